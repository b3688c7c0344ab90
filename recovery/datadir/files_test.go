package datadir_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// vector returns what a server of the major wrote; see testdata/files/generate.sh.
func vector(t testing.TB, major pgconf.Major, kind string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "files", major.String()+"."+kind))
	require.NoError(t, err)
	return string(data)
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]pgconf.Major{
		"9.0\n": pgconf.V9_0, "9.6\n": pgconf.V9_6, "10\n": 10, "18\n": 18, "17": 17, "14\r\n": 14,
	} {
		got, err := datadir.ParseVersion("PG_VERSION", []byte(text))
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "\n", "8.4\n", "19\n", "9\n", "9.6.1\n", "17.2\n", "17 \n18\n", "017\n", "seventeen"} {
		major, err := datadir.ParseVersion("/data/PG_VERSION", []byte(text))
		var bad *datadir.FileError
		require.ErrorAs(t, err, &bad, "%q", text)
		require.Equal(t, "/data/PG_VERSION", bad.File)
		require.Zero(t, major)
	}
	_, err := datadir.ReadVersion(t.TempDir())
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestParsePostmaster_ofServers(t *testing.T) {
	for major := pgconf.Major(10); major <= 18; major++ {
		text := vector(t, major, "pid")
		lines := strings.Split(text, "\n")
		p, err := datadir.ParsePostmaster("f", []byte(text))
		require.NoError(t, err)
		require.Equal(t, lines[0], fmt.Sprint(p.PID))
		require.False(t, p.Standalone)
		require.Equal(t, lines[2], fmt.Sprint(p.StartTime.Unix()))
		require.Equal(t, lines[6], fmt.Sprintf("%9d %9d", p.ShmemKey, p.ShmemID))
		require.NotZero(t, p.ShmemKey)
		p.PID, p.StartTime, p.ShmemKey, p.ShmemID = 0, time.Time{}, 0, 0
		require.Equal(t, datadir.Postmaster{DataDir: "/srv/a", Port: 5432, SocketDir: "/srv", Status: datadir.StatusReady}, p, "no address to listen on")
	}
}

func TestParsePostmaster(t *testing.T) {
	start := time.Unix(1795286150, 0)
	for _, tc := range []struct {
		name, text string
		want       datadir.Postmaster
	}{
		{"9.0", "27\n/data\n  5432001    131072\n", datadir.Postmaster{PID: 27, DataDir: "/data", ShmemKey: 5432001, ShmemID: 131072}},
		{"9.1_to_9.6", "27\n/data\n1795286150\n5432\n/tmp\n*\n  5432001         0\n", datadir.Postmaster{
			PID: 27, DataDir: "/data", StartTime: start, Port: 5432, SocketDir: "/tmp", ListenAddr: "*", ShmemKey: 5432001,
		}},
		{"just_started", "27\n/data\n1795286150\n5432\n\n", datadir.Postmaster{PID: 27, DataDir: "/data", StartTime: start, Port: 5432}},
		{"standby", "27\n/data\n1795286150\n5432\n\n::1\n  5432001         0\nstandby \n", datadir.Postmaster{
			PID: 27, DataDir: "/data", StartTime: start, Port: 5432, ListenAddr: "::1", ShmemKey: 5432001, Status: datadir.StatusStandby,
		}},
		{"single_user", "-27\n/data\n1795286150\n5432\n\n\n  5432001         0\n", datadir.Postmaster{
			PID: 27, Standalone: true, DataDir: "/data", StartTime: start, Port: 5432, ShmemKey: 5432001,
		}},
		{"windows", "27\r\nC:/data\r\n1795286150\r\n5432\r\n\r\nlocalhost\r\n\r\nready   \r\n", datadir.Postmaster{
			PID: 27, DataDir: "C:/data", StartTime: start, Port: 5432, ListenAddr: "localhost", Status: datadir.StatusReady,
		}},
		{"negative_key_of_the_kernel", "27\n/data\n1795286150\n5432\n\n\n18446744073709551615 7\n", datadir.Postmaster{
			PID: 27, DataDir: "/data", StartTime: start, Port: 5432, ShmemKey: 1<<64 - 1, ShmemID: 7,
		}},
		{"only_a_number", "27\n", datadir.Postmaster{PID: 27}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := datadir.ParsePostmaster("f", []byte(tc.text))
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
	for _, tc := range []struct {
		name, text string
		line       int
	}{
		{"empty", "", 0}, {"blank", " \n\n", 0}, {"text", "me\n/data\n", 1}, {"zero", "0\n/data\n", 1}, {"overflow", "99999999999\n", 1},
		{"no_time", "27\n/data\nnow\n", 3}, {"no_port", "27\n/data\n1\nx\n", 4}, {"port_too_high", "27\n/data\n1\n65536\n", 4}, {"port_below_0", "27\n/data\n1\n-1\n", 4},
		{"three_numbers", "27\n/data\n1\n5432\n\n\n1 2 3\n", 7}, {"one_number", "27\n/data\n1\n5432\n\n\n1\n", 7},
		{"nine_lines", "27\n/data\n1\n5432\n\n\n1 2\nready\nmore\n", 9}, {"9.0_without_numbers", "27\n/data\na b\n", 3},
	} {
		t.Run("refused_"+tc.name, func(t *testing.T) {
			got, err := datadir.ParsePostmaster("/data/postmaster.pid", []byte(tc.text))
			var bad *datadir.FileError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, tc.line, bad.Line)
			require.Equal(t, "/data/postmaster.pid", bad.File)
			require.Zero(t, got)
		})
	}
}

func TestTablespaceMap_ofServers(t *testing.T) {
	for major := pgconf.Major(10); major <= 18; major++ {
		text := vector(t, major, "map")
		all, err := datadir.ParseTablespaceMap("f", major, []byte(text))
		require.NoError(t, err)
		paths := map[string]bool{}
		for _, ts := range all {
			require.Greater(t, ts.OID, uint32(16000))
			paths[ts.Path] = true
		}
		require.Equal(t, map[string]bool{`/srv/back\slash`: true, "/srv/new\nline": true, "/srv/plain": true}, paths, "major %s", major)
		require.Equal(t, text, string(datadir.FormatTablespaceMap(major, all)))
	}
}

func TestParseTablespaceMap(t *testing.T) {
	for _, tc := range []struct {
		name  string
		major pgconf.Major
		text  string
		want  []datadir.Tablespace
	}{
		{"empty", 17, "", nil},
		{"crlf", 17, "1 /a b\r\n2 /c\r\n", []datadir.Tablespace{{1, "/a b"}, {2, "/c"}}},
		{"backslash_last", 14, "1 /a\\\\\n2 /b\n", []datadir.Tablespace{{1, `/a\`}, {2, "/b"}}},
		{"backslash_last_up_to_13", 13, "1 /a\\\n2 /b\n", []datadir.Tablespace{{1, "/a\n2 /b"}}},
		{"two_backslashes_up_to_13", 13, "1 /a\\\\b\n", []datadir.Tablespace{{1, `/a\\b`}}},
		{"carriage_return", 9, "1 /a\\\rb\n", []datadir.Tablespace{{1, "/a\rb"}}},
		{"carriage_return_14", 14, "1 /a\\\rb\n", []datadir.Tablespace{{1, "/a\rb"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := datadir.ParseTablespaceMap("f", tc.major, []byte(tc.text))
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
	for _, tc := range []struct {
		name, text string
		line       int
	}{
		{"no_path", "1\n", 1}, {"empty_path", "1 \n", 1}, {"no_number", "1 /a\nx /b\n", 2}, {"zero", "0 /a\n", 1}, {"overflow", "4294967296 /a\n", 1},
		{"cut_off", "1 /a\n2 /b", 2}, {"cut_off_after_a_backslash", "1 /a\n\\", 2}, {"after_a_name_of_two_lines", "1 /a\\\nb\nx\n", 3},
	} {
		t.Run("refused_"+tc.name, func(t *testing.T) {
			got, err := datadir.ParseTablespaceMap("f", 17, []byte(tc.text))
			var bad *datadir.FileError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, tc.line, bad.Line)
			require.Nil(t, got)
		})
	}
}

// Every part has its own error, and what is optional has none.
func TestInspect(t *testing.T) {
	dir := dataDirWith(t, controlVectorOf(t, "17_promoted_killed").data)
	write := func(name, content string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	d := datadir.Inspect(dir)
	require.ErrorIs(t, d.MajorErr, fs.ErrNotExist)
	require.NoError(t, d.ControlErr)
	require.ErrorContains(t, d.HistoryErr, "not known")
	require.ErrorContains(t, d.NewerErr, "not known")
	require.NoError(t, errors.Join(d.LabelErr, d.TablespacesErr))

	write(datadir.VersionFile, "17\n")
	d = datadir.Inspect(dir)
	require.ErrorIs(t, d.HistoryErr, fs.ErrNotExist, "it is on timeline 2")
	require.ErrorIs(t, d.NewerErr, fs.ErrNotExist, "it has no pg_wal")
	require.ErrorIs(t, d.Err(), fs.ErrNotExist)
	write("pg_wal/00000002.history", "1\t0/749380\tno recovery target specified\n")
	write(datadir.TablespaceMapFile, "16384 /srv/a\n")
	d = datadir.Inspect(dir)
	require.NoError(t, d.Err())
	require.Equal(t, wal.LSN(0x749380), d.History.Entries[0].End)
	require.Equal(t, []datadir.Tablespace{{16384, "/srv/a"}}, d.Tablespaces)
	require.Nil(t, d.Label)
	require.Empty(t, d.Newer)

	write("pg_wal/00000004.history", "1\t0/749380\tx\n")
	write("pg_wal/00000003.history", "1\t0/749380\tx\n2\t0/749390\ty\n")
	write("pg_wal/00000001.history", "older\n")
	write("pg_wal/000000030000000000000007", "")
	d = datadir.Inspect(dir)
	require.NoError(t, d.Err())
	require.Equal(t, []wal.Timeline{3, 4}, []wal.Timeline{d.Newer[0].Timeline, d.Newer[1].Timeline})
	write("pg_wal/00000004.history", "damaged\n")
	d = datadir.Inspect(dir)
	require.ErrorAs(t, d.NewerErr, new(*wal.SyntaxError))
	require.ErrorContains(t, d.Err(), "00000004.history")

	write(datadir.LabelFile, "START")
	write(datadir.TablespaceMapFile, "16384")
	write(datadir.ControlFile, "damaged")
	d = datadir.Inspect(dir)
	require.ErrorAs(t, d.LabelErr, new(*wal.SyntaxError))
	require.ErrorAs(t, d.TablespacesErr, new(*datadir.FileError))
	require.ErrorAs(t, d.ControlErr, new(*datadir.ControlError))
	require.ErrorContains(t, d.HistoryErr, "not known")
	require.Equal(t, pgconf.Major(17), d.Major)
	for _, name := range []string{datadir.LabelFile, datadir.TablespaceMapFile} {
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	d = datadir.Inspect(dir)
	require.Error(t, d.LabelErr, "a folder is no file that is not there")
	require.Error(t, d.TablespacesErr)

	require.Equal(t, "pg_xlog", datadir.WALDir(pgconf.V9_6))
	require.Equal(t, "pg_wal", datadir.WALDir(10))
}

// FuzzParsePostmaster: nothing but a value or a typed error; and the lines that matter come back.
func FuzzParsePostmaster(f *testing.F) {
	for major := pgconf.Major(10); major <= 18; major++ {
		f.Add([]byte(vector(f, major, "pid")))
	}
	f.Add([]byte("27\n/data\n  5432001    131072\n"))
	f.Add([]byte("-27\n/data\n1\n5432\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := datadir.ParsePostmaster("f", b)
		if err != nil {
			if !errors.As(err, new(*datadir.FileError)) || p != (datadir.Postmaster{}) {
				t.Fatalf("%+v, %v", p, err)
			}
			return
		}
		if p.PID <= 0 || p.Port < 0 || p.Port > 65535 || !bytes.Contains(b, []byte(p.DataDir)) || !bytes.Contains(b, []byte(p.Status)) {
			t.Fatalf("%+v from %q", p, b)
		}
	})
}

// FuzzTablespaceMap: what was read and written is read the same, as any major does it.
func FuzzTablespaceMap(f *testing.F) {
	for _, major := range []pgconf.Major{10, 18} {
		f.Add(int(major), []byte(vector(f, major, "map")))
	}
	f.Add(13, []byte("1 /a\\\\\n2 /b\n"))
	f.Fuzz(func(t *testing.T, major int, b []byte) {
		all, err := datadir.ParseTablespaceMap("f", pgconf.Major(major), b)
		if err != nil {
			if !errors.As(err, new(*datadir.FileError)) || all != nil {
				t.Fatalf("%+v, %v", all, err)
			}
			return
		}
		again, err := datadir.ParseTablespaceMap("f", pgconf.Major(major), datadir.FormatTablespaceMap(pgconf.Major(major), all))
		if err != nil || !slices.Equal(all, again) {
			t.Fatalf("%+v, then %+v, %v", all, again, err)
		}
	})
}
