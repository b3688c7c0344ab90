package archiver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/archiver"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const segSize = wal.DefaultSegmentSize

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// good is a server whose archiver has archived segment 5 and that writes segment 6.
func good() archiver.Row {
	return archiver.Row{
		Now: at(0), Mode: "on", Position: 6*segSize + 1000, SegmentSize: segSize,
		Archived: 5, LastArchived: "000000010000000000000005", LastTime: at(-1), StatsReset: at(-60), Ready: -1,
	}
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name            string
		change          func(*archiver.Row)
		limits          archiver.Limits
		state           archiver.State
		segments, bytes int64
	}{
		{"up_to_date", func(*archiver.Row) {}, archiver.Limits{}, archiver.OK, 0, 1000},
		{"at_the_boundary", func(r *archiver.Row) { r.Position = 6 * segSize }, archiver.Limits{}, archiver.OK, 0, 0},
		{"position_from_before", func(r *archiver.Row) { r.Position = 3 * segSize }, archiver.Limits{}, archiver.OK, 0, 0},
		{"two_wait", func(r *archiver.Row) { r.Position = 8*segSize + 1 }, archiver.Limits{}, archiver.OK, 2, 2*segSize + 1},
		{"three_wait", func(r *archiver.Row) { r.Position = 9*segSize + 1 }, archiver.Limits{}, archiver.Behind, 3, 3*segSize + 1},
		{"three_may_wait", func(r *archiver.Row) { r.Position = 9*segSize + 1 }, archiver.Limits{Segments: 3}, archiver.OK, 3, 3*segSize + 1},
		{"none_may_wait", func(r *archiver.Row) { r.Position = 7 * segSize }, archiver.Limits{Segments: -1}, archiver.Behind, 1, segSize},
		{"counted", func(r *archiver.Row) { r.Ready = 7 }, archiver.Limits{}, archiver.Behind, 7, 1000},
		{"a_history_was_last", func(r *archiver.Row) { r.LastArchived = "00000002.history" }, archiver.Limits{}, archiver.OK, -1, -1},
		{"a_history_was_last_but_counted", func(r *archiver.Row) { r.LastArchived, r.Ready = "00000002.history", 3 }, archiver.Limits{}, archiver.Behind, 3, -1},
		{"nothing_yet", func(r *archiver.Row) { r.LastArchived, r.LastTime = "", time.Time{} }, archiver.Limits{}, archiver.OK, -1, -1},
		{"impossible_name", func(r *archiver.Row) { r.LastArchived = "00000001000000000000FFFF" }, archiver.Limits{}, archiver.OK, -1, -1},
		{"no_position", func(r *archiver.Row) { r.Position = 0 }, archiver.Limits{}, archiver.OK, -1, -1},
		{"failed_before", func(r *archiver.Row) { r.Failed, r.FailedTime = 3, at(-2) }, archiver.Limits{}, archiver.OK, 0, 1000},
		{"failed_last", func(r *archiver.Row) { r.Failed, r.FailedTime = 3, at(0) }, archiver.Limits{}, archiver.Failing, 0, 1000},
		{"failed_and_behind", func(r *archiver.Row) { r.FailedTime, r.Ready = at(0), 9 }, archiver.Limits{}, archiver.Failing, 9, 1000},
		{"no_command", func(r *archiver.Row) { r.NoCommand = true }, archiver.Limits{}, archiver.Failing, 0, 1000},
		{"off", func(r *archiver.Row) { r.Mode, r.NoCommand = "off", true }, archiver.Limits{}, archiver.Off, 0, 1000},
		{"standby", func(r *archiver.Row) { r.InRecovery, r.FailedTime = true, at(0) }, archiver.Limits{}, archiver.Off, 0, 1000},
		{"standby_always", func(r *archiver.Row) { r.InRecovery, r.Mode = true, "always" }, archiver.Limits{}, archiver.OK, 0, 1000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := good()
			tc.change(&r)
			s := r.Judge(tc.limits, archiver.Status{})
			require.Equal(t, tc.state, s.State, s.Why)
			require.Equal(t, tc.segments, s.Segments)
			require.Equal(t, tc.bytes, s.Bytes)
			require.NotEmpty(t, s.Why)
			require.Equal(t, r.LastArchived, s.LastArchived)
			require.Equal(t, r.LastTime, s.LastTime)
			require.Equal(t, r.Failed, s.Failed)
		})
	}
}

// FailingSince is the first failure that was seen after the last success.
func TestJudge_failing_since(t *testing.T) {
	r := good()
	var s archiver.Status
	for _, step := range []struct{ success, failure, want time.Time }{
		{at(-1), time.Time{}, time.Time{}},
		{at(-1), at(1), at(1)},
		{at(-1), at(2), at(1)},
		{at(-1), at(3), at(1)},
		{at(4), at(3), time.Time{}},
		{at(4), at(6), at(6)},
		{at(7), at(8), at(8)}, // a success between two looks
	} {
		r.LastTime, r.FailedTime = step.success, step.failure
		s = r.Judge(archiver.Limits{}, s)
		require.Equal(t, step.want, s.FailingSince)
	}
}

func TestSQL(t *testing.T) {
	for version, want := range map[int][]string{
		90400: {"pg_current_xlog_location()", "'' = ''", "is_superuser"}, 90624: {"pg_last_xlog_receive_location()"},
		100000: {"pg_current_wal_lsn()", "is_superuser"}, 120000: {"has_function_privilege"}, 149999: {"'' = ''"},
		150000: {"current_setting('archive_library') = ''"},
	} {
		sql, err := archiver.SQL(version)
		require.NoError(t, err)
		for _, part := range want {
			require.Contains(t, sql, part, version)
		}
	}
	_, err := archiver.SQL(90399)
	require.Error(t, err)
}

func ExampleRow_Judge() {
	row := archiver.Row{
		Mode: "on", Position: 9*segSize + 4096, SegmentSize: segSize, Ready: -1,
		LastArchived: "000000010000000000000003", LastTime: at(-9), Failed: 12, LastFailed: "000000010000000000000004", FailedTime: at(-1),
	}
	s := row.Judge(archiver.Limits{}, archiver.Status{})
	fmt.Println(s.State, "since", s.FailingSince.Format(time.TimeOnly))
	fmt.Println(s.Why)
	fmt.Println(s.Segments, "segments wait,", s.Bytes, "bytes are in no archive")
	// Output:
	// failing since 11:59:00
	// the last attempt, at 000000010000000000000004, failed; the reason is in the server's log
	// 5 segments wait, 83890176 bytes are in no archive
}
