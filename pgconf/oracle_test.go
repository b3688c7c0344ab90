package pgconf_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
	"github.com/understudy-ha/understudy/pgconf/internal/unified/unifiedtest"
)

// entry is what a server tells about a setting.
type entry struct {
	name, value string
	line        int
}

// reading is what a server or this package makes of a file: the settings, or the line of the first syntax error.
type reading struct {
	settings []entry
	bad      bool
	badLine  int
}

func ours(text string) reading {
	f, err := pgconf.Parse("f", []byte(text))
	var syntax *pgconf.SyntaxError
	if errors.As(err, &syntax) {
		return reading{bad: true, badLine: syntax.Line}
	}
	var r reading
	for _, s := range f.Settings() {
		r.settings = append(r.settings, entry{s.Name, s.Value, s.Line})
	}
	return r
}

// judge asks a server. Its own postgresql.conf is put back at the end of the test.
type judge struct {
	server *oracle.Server
	conn   *pgx.Conn
	path   string
}

func newJudge(t *testing.T, s *oracle.Server) *judge {
	conn, err := pgx.Connect(t.Context(), s.Conninfo())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	s.Keep(t, "postgresql.conf")
	return &judge{s, conn, s.Path("postgresql.conf")}
}

// read returns the server's reading of a postgresql.conf.
func (j *judge) read(t *testing.T, text string) reading {
	t.Helper()
	j.server.Write(t, "postgresql.conf", []byte(text))
	rows, err := j.conn.Query(t.Context(), `
		select sourceline, coalesce(lower(name), ''), coalesce(setting, ''), coalesce(error, '')
		from pg_file_settings where sourcefile = $1 order by seqno`, j.path)
	require.NoError(t, err)
	defer rows.Close()
	var r reading
	for rows.Next() {
		var s entry
		var problem string
		require.NoError(t, rows.Scan(&s.line, &s.name, &s.value, &problem))
		if strings.Contains(problem, "syntax error") {
			r.bad, r.badLine = true, s.line
		} else {
			r.settings = append(r.settings, s)
		}
	}
	require.NoError(t, rows.Err())
	if r.bad {
		r.settings = nil
	}
	return r
}

// compare fails the test if the server and this package read the text differently. A known difference is the line of a
// missing value at the very end of a file without newline: the server names the line before.
func (j *judge) compare(t *testing.T, text string) reading {
	t.Helper()
	want, got := j.read(t, text), ours(text)
	if want.bad && want.badLine == got.badLine-1 && got.badLine == strings.Count(text, "\n")+1 && !strings.HasSuffix(text, "\n") {
		want.badLine = got.badLine
	}
	require.Equal(t, want, got, "%q", text)
	return want
}

func TestOracleVectors(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		var valid strings.Builder
		for _, v := range vectors {
			if v.col == 0 {
				valid.WriteString(v.line + "\n")
				continue
			}
			for _, end := range []string{"", "\n"} {
				require.True(t, j.compare(t, "# first\n"+v.line+end).bad, "%q", v.line)
			}
		}
		require.Greater(t, len(j.compare(t, valid.String()).settings), 50)
		j.compare(t, strings.TrimSuffix(valid.String(), "\n"))
	})
}

// setUps are the settings of documented set-ups for replication, as people paste them into a postgresql.conf.
var setUps = map[string]struct {
	text string
	want map[string]string
}{
	"primary_with_a_shared_folder": {
		"archive_mode = on\n" +
			"archive_command = 'test ! -f /share/primary_wal/%f && mkdir -p /share/primary_wal && cp %p /share/primary_wal/%f && chmod 644 /share/primary_wal/%f'\n" +
			"archive_timeout = 60\nmax_wal_senders = 1\nhot_standby = on\nwal_level = hot_standby\nwal_keep_segments = 30\n",
		map[string]string{
			"archive_mode":    "on",
			"archive_command": "test ! -f /share/primary_wal/%f && mkdir -p /share/primary_wal && cp %p /share/primary_wal/%f && chmod 644 /share/primary_wal/%f",
			"archive_timeout": "60", "max_wal_senders": "1", "hot_standby": "on", "wal_level": "hot_standby", "wal_keep_segments": "30",
		},
	},
	"primary_with_a_local_archive": {
		"listen_addresses='*'\t\t# what IP address(es) to listen on;\r\nwal_level=hot_standby\r\narchive_mode=on\r\n" +
			"archive_command='test ! -f $REP_ARCHIVE/%f && cp %p $REP_ARCHIVE/%f'\r\nmax_wal_senders=3\r\n",
		map[string]string{
			"listen_addresses": "*", "wal_level": "hot_standby", "archive_mode": "on",
			"archive_command": "test ! -f $REP_ARCHIVE/%f && cp %p $REP_ARCHIVE/%f", "max_wal_senders": "3",
		},
	},
	"master_of_a_cascade": {
		"listen_addresses = '*'\nwal_level = 'hot_standby'\narchive_mode = on\n" +
			"archive_command = 'rsync -av %p postgres@<standby_ip>:/var/lib/postgresql/wal_archive/%f'\n" +
			"max_wal_senders = 3\nwal_keep_segments = 32\nsynchronous_standby_names = '*'",
		map[string]string{
			"listen_addresses": "*", "wal_level": "hot_standby", "archive_mode": "on",
			"archive_command": "rsync -av %p postgres@<standby_ip>:/var/lib/postgresql/wal_archive/%f",
			"max_wal_senders": "3", "wal_keep_segments": "32", "synchronous_standby_names": "*",
		},
	},
}

func TestOracleSetUps(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		for name, c := range setUps {
			got := map[string]string{}
			for _, e := range j.compare(t, c.text).settings {
				got[e.name] = e.value
			}
			require.Equal(t, c.want, got, name)
		}
	})
}

// TestOraclePackagedFiles has every server read the packaged files of several majors, the one it came with among them: as
// they are, and with everything uncommented that can be.
func TestOraclePackagedFiles(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		own, err := os.ReadFile(s.Path("postgresql.conf"))
		require.NoError(t, err)
		files := map[string][]byte{"its own": own}
		for _, name := range samples(t) {
			files[name] = readSample(t, name)
		}
		for name, sample := range files {
			j.compare(t, string(sample))
			f, err := pgconf.Parse(name, sample)
			require.NoError(t, err)
			for line := range strings.Lines(string(sample)) {
				one, err := pgconf.Parse(name, []byte(strings.TrimPrefix(line, "#")))
				if err == nil && strings.Contains(line, "=") && !strings.HasPrefix(line, "# ") && len(one.Settings()) == 1 && !one.Settings()[0].IsInclude() {
					set := one.Settings()[0]
					require.NoError(t, f.Set(set.Name, set.Value))
				}
			}
			require.Greater(t, len(j.compare(t, string(f.Bytes())).settings), 200, name)
			require.Equal(t, strings.Count(string(sample), "\n"), strings.Count(string(f.Bytes()), "\n"), "every one has a line")
		}
	})
}

// TestOracleEdits has the servers read a packaged file after each of many edits.
func TestOracleEdits(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		own, err := os.ReadFile(s.Path("postgresql.conf"))
		require.NoError(t, err)
		f, err := pgconf.Parse("postgresql.conf", own)
		require.NoError(t, err)
		values := map[string]string{
			"archive_command": `cp "%p" '/arch/%f' # \ x`, "hot_standby_feedback": "on", "port": "6000", "work_mem": "64MB",
			"log_line_prefix": "%m '[%p]' ", "max_connections": "50", "cluster_name": "it's",
		}
		for _, edit := range []func() error{
			func() error { return f.SetAll(values) },
			func() error { return f.SetKeeping("max_connections", "51") },
			func() error { return f.SetKeeping("temp_buffers", "9MB") },
			func() error { return f.InsertAfter("port", "my.own", "a 'b' \\") },
			func() error { return f.InsertAfter("hba_file", "my.other", "1") },
			func() error { return f.Rename("my.own", "my.renamed") },
			func() error { return f.Comment("cluster_name", "it's gone\nnow # ' \\") },
			func() error { return f.Unset("port") },
			func() error {
				_, err := f.SetBlock("m", settings("port", "6001", "work_mem", "65MB", "x.y", ""))
				return err
			},
			func() error { _, err := f.SetBlock("m", settings("work_mem", "66MB")); return err },
			func() error { return f.RemoveBlock("m") },
			func() error { return f.Set("work_mem", "1GB") },
		} {
			require.NoError(t, edit())
			j.compare(t, string(f.Bytes()))
		}
		require.Equal(t, string(f.Bytes()), unifiedtest.Apply(t, string(own), f.Diff()))
		values["max_connections"], values["work_mem"] = "51", "1GB"
		values["temp_buffers"], values["my.renamed"], values["my.other"] = "9MB", "a 'b' \\", "1"
		delete(values, "port")
		delete(values, "cluster_name")
		for _, set := range j.read(t, string(f.Bytes())).settings {
			if want, ok := values[set.name]; ok {
				require.Equal(t, want, set.value)
				delete(values, set.name)
			}
		}
		require.Empty(t, values, "not seen by the server")
	})
}

// TestOracleTakesEffect goes all the way: a value that Set wrote is what SHOW shows after a reload.
func TestOracleTakesEffect(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		sample, err := os.ReadFile(s.Path("postgresql.conf"))
		require.NoError(t, err)
		f, err := pgconf.Parse("postgresql.conf", sample)
		require.NoError(t, err)
		const want = "a'b''c\\d \té # "
		require.NoError(t, f.Set("log_line_prefix", want))
		s.Write(t, "postgresql.conf", f.Bytes())
		_, err = j.conn.Exec(t.Context(), "select pg_reload_conf()")
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			var got string
			err := j.conn.QueryRow(t.Context(), "show log_line_prefix").Scan(&got)
			return err == nil && got == want
		}, 30*time.Second, 20*time.Millisecond)
	})
}

var pieces = []string{
	"a", "b.c", "_", "é", "Kb", "on", "=", "=", " ", " ", "\t", "\r", "'", "'", "''", "\\", "\\n", "\\101", "\\0", "\\8",
	"1", "0x1F", "0x", "5", ".", "e3", "E", "+", "-", "#", ":", "/", "*", ",", "\"", "$", "\f", "\x7f", "\xff",
}

func randomLine(r *rand.Rand) string {
	head := []string{"a=", "a = ", "a ", "b.c='", "a='", "a'", "a", "# ", "", ""}[r.IntN(10)]
	var b strings.Builder
	b.WriteString(head)
	for range 1 + r.IntN(6) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	if strings.HasSuffix(head, "'") && r.IntN(4) > 0 {
		b.WriteString("' # c")
	}
	return b.String()
}

// TestOracleRandomLines lets the servers judge lines nobody would write, each one others. The seeds are fixed; FuzzParsePrint
// explores.
func TestOracleRandomLines(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		r := rand.New(rand.NewPCG(1, uint64(s.Major)))
		good := 0
		for range 600 {
			text := randomLine(r)
			for range r.IntN(3) {
				text += "\n" + randomLine(r)
			}
			if r.IntN(2) == 0 {
				text += "\n"
			}
			if len(j.compare(t, text).settings) > 0 {
				good++
			}
		}
		require.Greater(t, good, 40, "too few valid files to prove anything")
	})
}

// TestOracleSet lets the servers read what Set wrote, for values of any bytes.
func TestOracleSet(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		r := rand.New(rand.NewPCG(3, uint64(s.Major)))
		for range 300 {
			f, err := pgconf.Parse("f", []byte([]string{"", "a+1", "A = 'x' # c\r\n", "a=b#c\n", "#a = 5\t# c", "a'b'"}[r.IntN(6)]))
			require.NoError(t, err)
			value := make([]byte, r.IntN(12))
			for i := range value {
				value[i] = byte(1 + r.IntN(255))
				if r.IntN(2) == 0 {
					value[i] = "'\\\n\r\t #=a0"[r.IntN(10)]
				}
			}
			require.NoError(t, f.Set("a", string(value)))
			got := j.read(t, string(f.Bytes())).settings
			require.NotEmpty(t, got, "%q", f.Bytes())
			require.Equal(t, string(value), got[len(got)-1].value, "%q", f.Bytes())
		}
	})
}
