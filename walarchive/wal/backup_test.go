package wal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Labels that no server at hand writes, after the sources of the programs named.
const (
	label90 = "START WAL LOCATION: 0/2000020 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000058\n" +
		"START TIME: 2010-09-20 12:00:00 CEST\nLABEL: first\n"
	labelRewound = "START WAL LOCATION: 0/3000060 (file 000000020000000000000003)\nCHECKPOINT LOCATION: 0/3000098\n" +
		"BACKUP METHOD: pg_rewind\nBACKUP FROM: standby\nSTART TIME: 2026-11-21 18:40:09 UTC\n"
	labelIncremental = "START WAL LOCATION: 0/4000028 (file 000000010000000000000004)\nCHECKPOINT LOCATION: 0/4000080\n" +
		"BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-11-21 18:37:42 UTC\nLABEL: pg_basebackup base backup\n" +
		"START TIMELINE: 1\nINCREMENTAL FROM LSN: 0/2000028\nINCREMENTAL FROM TLI: 1\n" // of a real 18
)

const historyIncremental = "START WAL LOCATION: 0/4000028 (file 000000010000000000000004)\n" +
	"STOP WAL LOCATION: 0/4000120 (file 000000010000000000000004)\nCHECKPOINT LOCATION: 0/4000080\n" +
	"BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-11-21 18:37:42 UTC\nLABEL: pg_basebackup base backup\n" +
	"START TIMELINE: 1\nSTOP TIME: 2026-11-21 18:37:42 UTC\nSTOP TIMELINE: 1\n" +
	"INCREMENTAL FROM LSN: 0/2000028\nINCREMENTAL FROM TLI: 1\n" // of a real 18

// backupVectors returns what real servers wrote, by name; see generate.sh in recovery/datadir/testdata/files.
func backupVectors(t testing.TB, pattern string, want int) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "backup", pattern))
	require.NoError(t, err)
	require.Len(t, files, want)
	all := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		all[filepath.Base(file)] = string(data)
	}
	return all
}

func segmentFile(t testing.TB, name string) wal.FileName {
	t.Helper()
	f, err := wal.ParseFileName(name)
	require.NoError(t, err)
	return f
}

// field returns the value of a line, found without the parser.
func field(text, key string) string {
	_, after, _ := strings.Cut("\n"+text, "\n"+key+": ")
	value, _, _ := strings.Cut(after, "\n")
	return value
}

// until returns what comes before a part of the text.
func until(text, part string) string {
	before, _, _ := strings.Cut(text, part)
	return before
}

func TestParseBackupLabel_ofServers(t *testing.T) {
	for name, text := range backupVectors(t, "*.label", 9+9+5) {
		t.Run(name, func(t *testing.T) {
			l, err := wal.ParseBackupLabel([]byte(text))
			require.NoError(t, err)
			require.Equal(t, text, string(l.Bytes()))
			number, kind, _ := strings.Cut(strings.TrimSuffix(name, ".label"), "_")
			major, err := strconv.Atoi(number)
			require.NoError(t, err)

			require.Equal(t, field(text, "CHECKPOINT LOCATION"), l.Checkpoint.String())
			require.Equal(t, field(text, "START WAL LOCATION"), l.Start.String()+" (file "+l.StartFile.String()+")")
			require.Equal(t, field(text, "START TIME"), l.StartTime)
			require.Equal(t, map[string]string{"exclusive": "it's exclusive", "streamed": "two\nlines", "standby": "from a standby"}[kind], l.Label)
			require.Equal(t, kind == "exclusive", l.Method == wal.BackupExclusive)
			require.Equal(t, kind != "exclusive", l.Method == wal.BackupStreamed)
			switch {
			case kind == "standby":
				require.Equal(t, "standby", l.From)
			case major <= 13:
				require.Equal(t, "master", l.From)
			default:
				require.Equal(t, "primary", l.From)
			}
			if major >= 11 {
				require.Equal(t, wal.Timeline(1), l.StartTimeline)
			} else {
				require.Zero(t, l.StartTimeline)
			}
			require.Equal(t, wal.Timeline(1), l.StartFile.Timeline)
			require.Zero(t, l.IncrementalFrom)
			require.Zero(t, l.IncrementalFromTL)
		})
	}
}

func TestParseBackupHistory_ofServers(t *testing.T) {
	for name, text := range backupVectors(t, "*.backup", 9) {
		t.Run(name, func(t *testing.T) {
			h, err := wal.ParseBackupHistory([]byte(text))
			require.NoError(t, err)
			require.Equal(t, text, string(h.Bytes()))
			require.Equal(t, field(text, "STOP WAL LOCATION"), h.Stop.String()+" (file "+h.StopFile.String()+")")
			require.Equal(t, field(text, "STOP TIME"), h.StopTime)
			require.Equal(t, "two\nlines", h.Label)
			require.Equal(t, h.StartTimeline, h.StopTimeline)
			require.Less(t, h.Checkpoint, h.Stop)
			require.Equal(t, h.StartFile.String()+".00000028.backup", h.Name(wal.DefaultSegmentSize))
			_, err = wal.ParseBackupLabel([]byte(text))
			require.Error(t, err, "a history is no label")
		})
	}
}

func TestParseBackupLabel_others(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       wal.BackupLabel
	}{
		{"9.0", label90, wal.BackupLabel{
			Start: 0x2000020, StartFile: segmentFile(t, "000000010000000000000002"), Checkpoint: 0x2000058,
			StartTime: "2010-09-20 12:00:00 CEST", Label: "first",
		}},
		{"pg_rewind", labelRewound, wal.BackupLabel{
			Start: 0x3000060, StartFile: segmentFile(t, "000000020000000000000003"), Checkpoint: 0x3000098,
			Method: wal.BackupRewound, From: "standby", StartTime: "2026-11-21 18:40:09 UTC",
		}},
		{"incremental", labelIncremental, wal.BackupLabel{
			Start: 0x4000028, StartFile: segmentFile(t, "000000010000000000000004"), Checkpoint: 0x4000080,
			Method: wal.BackupStreamed, From: "primary", StartTime: "2026-11-21 18:37:42 UTC", Label: "pg_basebackup base backup",
			StartTimeline: 1, IncrementalFrom: 0x2000028, IncrementalFromTL: 1,
		}},
		{"empty_label", strings.Replace(label90, "first", "", 1), wal.BackupLabel{
			Start: 0x2000020, StartFile: segmentFile(t, "000000010000000000000002"), Checkpoint: 0x2000058,
			StartTime: "2010-09-20 12:00:00 CEST",
		}},
		{"label_like_a_line", strings.Replace(label90, "first", "x\nSTOP TIME: y", 1), wal.BackupLabel{
			Start: 0x2000020, StartFile: segmentFile(t, "000000010000000000000002"), Checkpoint: 0x2000058,
			StartTime: "2010-09-20 12:00:00 CEST", Label: "x\nSTOP TIME: y",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := wal.ParseBackupLabel([]byte(tc.text))
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.text, string(got.Bytes()))

			cut, err := wal.ParseBackupLabel([]byte(strings.TrimSuffix(tc.text, "\n")))
			require.NoError(t, err, "a client lost the last newline")
			require.Equal(t, got, cut)
		})
	}
	h, err := wal.ParseBackupHistory([]byte(historyIncremental))
	require.NoError(t, err)
	require.Equal(t, wal.LSN(0x4000120), h.Stop)
	require.Equal(t, wal.LSN(0x2000028), h.IncrementalFrom)
	require.Equal(t, historyIncremental, string(h.Bytes()))
	require.Equal(t, "000000010000000000000004.00000028.backup", h.Name(wal.DefaultSegmentSize))
	require.Equal(t, "000000010000000000000004.04000028.backup", wal.BackupHistory{BackupLabel: h.BackupLabel}.Name(1<<30))
}

func TestParseBackupLabel_refused(t *testing.T) {
	change := func(old, with string) string {
		require.Contains(t, labelIncremental, old)
		return strings.Replace(labelIncremental, old, with, 1)
	}
	for _, tc := range []struct {
		name, text string
		line       int
		says       string
	}{
		{"empty", "", 1, "START WAL LOCATION"},
		{"one_newline", "\n", 1, "START WAL LOCATION"},
		{"crlf", strings.ReplaceAll(labelIncremental, "\n", "\r\n"), 1, "its segment"},
		{"blank_before", " " + labelIncremental, 1, "START WAL LOCATION"},
		{"only_the_first_line", until(labelIncremental, "CHECK"), 2, "CHECKPOINT LOCATION"},
		{"cut_in_a_position", until(labelIncremental, "4000080"), 2, "LSN"},
		{"start_is_no_position", change("0/4000028 (", "0-4000028 ("), 1, "its segment"},
		{"segment_lower_case", change("000000010000000000000004", "00000001000000000000000a"), 1, "its segment"},
		{"segment_partial", change("0004)", "0004.partial)"), 1, "its segment"},
		{"no_closing_bracket", change("0004)", "0004"), 1, "its segment"},
		{"bad_checkpoint", change("0/4000080", "0/x"), 2, "LSN"},
		{"no_method", change("streamed", ""), 3, "missing"},
		{"no_time", change("START TIME: 2026-11-21 18:37:42 UTC\n", ""), 5, "START TIME"},
		{"another_timeline_than_the_segment", change("TIMELINE: 1", "TIMELINE: 2"), 7, "timeline 1"},
		{"timeline_0", change("TIMELINE: 1", "TIMELINE: 0"), 7, "decimal"},
		{"timeline_signed", change("TIMELINE: 1", "TIMELINE: +1"), 7, "decimal"},
		{"timeline_overflow", change("TIMELINE: 1", "TIMELINE: 4294967297"), 7, "decimal"},
		{"incremental_without_a_timeline", change("INCREMENTAL FROM TLI: 1\n", ""), 8, "both"},
		{"incremental_from_nowhere", change("FROM LSN: 0/2000028", "FROM LSN: 0/0"), 9, "both"},
		{"unknown_line_of_a_later_major", labelIncremental + "SHARD: 7\n", 10, "unknown"},
		{"twice", labelIncremental + labelIncremental, 10, "unknown"},
		{"another_order", change("BACKUP METHOD: streamed\nBACKUP FROM: primary\n", "BACKUP FROM: primary\nBACKUP METHOD: streamed\n"), 4, "START TIME"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := wal.ParseBackupLabel([]byte(tc.text))
			var syntax *wal.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, tc.line, syntax.Line, "%v", err)
			require.Contains(t, syntax.Msg, tc.says)
			require.Zero(t, l)
		})
	}
	for name, text := range map[string]string{
		"no_stop":                      labelIncremental,
		"no_stop_time":                 strings.Replace(historyIncremental, "STOP TIME: 2026-11-21 18:37:42 UTC\n", "", 1),
		"stop_is_another_timeline":     strings.Replace(historyIncremental, "STOP TIMELINE: 1", "STOP TIMELINE: 2", 1),
		"stop_file_is_no_segment":      strings.Replace(historyIncremental, "0/4000120 (file 0", "0/4000120 (file x", 1),
		"cut_before_the_stop_timeline": until(historyIncremental, "STOP TIME:"),
	} {
		_, err := wal.ParseBackupHistory([]byte(text))
		require.ErrorAs(t, err, new(*wal.SyntaxError), name)
	}
}

// FuzzBackupLabel: what is accepted, printed and read again is the same, in both kinds of file; and what was printed once is
// printed the same again.
func FuzzBackupLabel(f *testing.F) {
	for _, text := range backupVectors(f, "*", 9+9+5+9) {
		f.Add([]byte(text))
	}
	for _, text := range []string{label90, labelRewound, labelIncremental, historyIncremental, "", "\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := wal.ParseBackupLabel(b); err == nil {
			again, err := wal.ParseBackupLabel(l.Bytes())
			if err != nil || again != l || !bytes.Equal(again.Bytes(), l.Bytes()) {
				t.Fatalf("%+v, then %+v, %v", l, again, err)
			}
		}
		if h, err := wal.ParseBackupHistory(b); err == nil {
			again, err := wal.ParseBackupHistory(h.Bytes())
			if err != nil || again != h || !bytes.Equal(again.Bytes(), h.Bytes()) {
				t.Fatalf("%+v, then %+v, %v", h, again, err)
			}
		}
	})
}
