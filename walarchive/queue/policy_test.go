package queue_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/queue"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestPolicy(t *testing.T) {
	both := queue.Policy{MaxBytes: 1000, MinFree: 500}
	for name, c := range map[string]struct {
		policy      queue.Policy
		file        string
		answered    bool
		bytes, free int64
		drop        bool
		reason      string
	}{
		"zero_policy":                      {file: seg1, bytes: 1 << 50, reason: "keep everything"},
		"below_both_limits":                {policy: both, file: seg1, bytes: 999, free: 501, reason: "within"},
		"at_both_limits":                   {policy: both, file: seg1, bytes: 1000, free: 500, reason: "within"},
		"too_much_waits":                   {policy: both, file: seg1, bytes: 1001, free: 500, drop: true, reason: "1001 bytes wait"},
		"too_little_free":                  {policy: both, file: seg1, bytes: 10, free: 499, drop: true, reason: "499 bytes are free"},
		"only_bytes_limited":               {policy: queue.Policy{MaxBytes: 1000}, file: seg1, bytes: 1000, free: 0, reason: "within"},
		"only_room_limited":                {policy: queue.Policy{MinFree: 500}, file: seg1, bytes: 1 << 50, free: 500, reason: "within"},
		"negative_limits":                  {policy: queue.Policy{MaxBytes: -1, MinFree: -1}, file: seg1, bytes: 1 << 50, reason: "keep everything"},
		"an_answer_is_no_outage":           {policy: both, file: seg1, answered: true, bytes: 1 << 50, reason: "refuses"},
		"history":                          {policy: both, file: "00000002.history", bytes: 1 << 50, reason: "histories are never dropped"},
		"partial":                          {policy: both, file: seg1 + ".partial", bytes: 1001, free: 500, drop: true, reason: "1001"},
		"backup_history_blocks_the_others": {policy: both, file: seg1 + ".00000028.backup", bytes: 1001, free: 500, drop: true, reason: "1001"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := wal.ParseFileName(c.file)
			require.NoError(t, err)
			got := c.policy.Decide(queue.Facts{File: file, Unreachable: !c.answered, Waiting: queue.State{Bytes: c.bytes, Free: c.free}})
			require.Equal(t, c.drop, got.Drop)
			require.Contains(t, got.Reason, c.reason)
		})
	}
}

func TestValve_drops_and_says_so(t *testing.T) {
	dir, records := folder(t, seg1, seg2, seg3), t.TempDir()
	var log bytes.Buffer
	var hooked []queue.Drop
	v := queue.Valve{Policy: queue.Policy{MaxBytes: 200}, Dir: records, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		OnDrop: func(d queue.Drop) {
			require.FileExists(t, filepath.Join(records, d.Name.String()+".dropped"), "the record comes before the alarm")
			hooked = append(hooked, d)
		}}
	dropped, err := v.Drop(t.Context(), filepath.Join(dir, seg1), true, start.Add(time.Millisecond))
	require.NoError(t, err)
	require.True(t, dropped)
	require.Contains(t, log.String(), "level=ERROR")
	require.Contains(t, log.String(), seg1)

	got, err := queue.Dropped(records)
	require.NoError(t, err)
	require.Equal(t, hooked, got)
	require.Len(t, got, 1)
	require.Equal(t, start, got[0].Time)
	require.Equal(t, "300 bytes wait for an archive that cannot be reached, the limit is 200", got[0].Reason)

	again, err := v.Drop(t.Context(), filepath.Join(dir, seg1), true, start.Add(time.Hour)) // the server was not told
	require.NoError(t, err)
	require.True(t, again)
	got, err = queue.Dropped(records)
	require.NoError(t, err)
	require.Equal(t, start, got[0].Time, "the first record stays")

	require.NoError(t, os.Remove(filepath.Join(dir, "archive_status", seg1+".ready"))) // the server was told
	dropped, err = v.Drop(t.Context(), filepath.Join(dir, seg2), true, start)
	require.NoError(t, err)
	require.False(t, dropped, "no more than brings the queue below its limit")
}

func TestValve_keeps(t *testing.T) {
	dir := folder(t, seg1)
	full := queue.Policy{MaxBytes: 1}
	t.Run("zero", func(t *testing.T) {
		dropped, err := queue.Valve{}.Drop(t.Context(), "nowhere/"+seg1, true, start)
		require.NoError(t, err)
		require.False(t, dropped)
	})
	t.Run("record_impossible", func(t *testing.T) {
		v := queue.Valve{Policy: full, Dir: filepath.Join(dir, "none"), OnDrop: func(queue.Drop) { t.Error("nothing was dropped") }}
		dropped, err := v.Drop(t.Context(), filepath.Join(dir, seg1), true, start)
		require.ErrorContains(t, err, "is not dropped")
		require.False(t, dropped)
	})
	t.Run("facts_unreadable", func(t *testing.T) {
		dropped, err := queue.Valve{Policy: full, Dir: t.TempDir()}.Drop(t.Context(), filepath.Join(t.TempDir(), seg1), true, start)
		require.Error(t, err)
		require.False(t, dropped)
	})
	t.Run("reachable", func(t *testing.T) {
		records := t.TempDir()
		dropped, err := queue.Valve{Policy: full, Dir: records}.Drop(t.Context(), filepath.Join(dir, seg1), false, start)
		require.NoError(t, err)
		require.False(t, dropped)
		got, err := queue.Dropped(records)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	t.Run("not_WAL", func(t *testing.T) {
		_, err := queue.Valve{Policy: full, Dir: t.TempDir()}.Drop(t.Context(), filepath.Join(dir, "x"), true, start)
		require.Error(t, err)
	})
}

func TestDropped_reads_only_records(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		seg2 + ".dropped": "2026-11-21T12:00:00Z\nb\n", seg1 + ".dropped": "2026-11-21T11:00:00Z\na\n",
		"x.dropped": "?", seg3: "?", "." + seg3 + ".dropped.tmp-0123": "?",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	got, err := queue.Dropped(dir)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, []string{seg1, seg2}, []string{got[0].Name.String(), got[1].Name.String()})
	require.Equal(t, "a", got[0].Reason)

	require.NoError(t, os.WriteFile(filepath.Join(dir, seg3+".dropped"), []byte("yesterday\n"), 0o600))
	_, err = queue.Dropped(dir)
	require.ErrorContains(t, err, seg3, "a record that cannot be read is not passed over")
	require.False(t, strings.Contains(err.Error(), "\n"))
}
