package recovery_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// history makes one of pairs of ancestor and switch point.
func history(tli wal.Timeline, pairs ...uint64) wal.History {
	h := wal.History{Timeline: tli}
	for i := 0; i < len(pairs); i += 2 {
		h.Entries = append(h.Entries, wal.HistoryEntry{Timeline: wal.Timeline(pairs[i]), End: wal.LSN(pairs[i+1]), Reason: "no recovery target specified"})
	}
	return h
}

const ourSystem wal.SystemID = 7710502924052112097

// The leader of most cases: timeline 3, which left 2 at 0/7000, which left 1 at 0/5000; now at 0/9000.
func leader3() recovery.Leader {
	return recovery.Leader{SystemID: ourSystem, History: history(3, 1, 0x5000, 2, 0x7000), Position: 0x9000}
}

func TestJudge(t *testing.T) {
	// A returning server of timeline 1 that can be rewound; each case changes what it is about.
	primary := func(state datadir.State, checkpoint wal.LSN) recovery.Returning {
		return recovery.Returning{CanRewind: true, Control: datadir.Control{
			SystemID: ourSystem, State: state, Checkpoint: checkpoint, Redo: checkpoint, CheckpointTimeline: 1, DataChecksums: true,
		}}
	}
	standby := func(state datadir.State, minRecovery wal.LSN) recovery.Returning {
		r := primary(state, 0x1000)
		r.Control.MinRecoveryPoint, r.Control.MinRecoveryTL = minRecovery, 1
		return r
	}
	with := func(r recovery.Returning, change func(r *recovery.Returning)) recovery.Returning {
		change(&r)
		return r
	}
	labelled := func(r recovery.Returning, method wal.BackupMethod) recovery.Returning {
		r.Label = &wal.BackupLabel{Start: 0x1000, Method: method}
		return r
	}
	newer := func(r recovery.Returning, histories ...wal.History) recovery.Returning {
		for _, h := range histories {
			r.Newer = append(r.Newer, recovery.NewerTimeline{History: h})
		}
		return r
	}
	newerEndsAt := func(r recovery.Returning, ends ...wal.LSN) recovery.Returning {
		for i, end := range ends {
			r.Newer[i].EndOfWAL = end
		}
		return r
	}
	endsAt := func(r recovery.Returning, end wal.LSN) recovery.Returning {
		r.EndOfWAL = end
		return r
	}
	onTimeline := func(r recovery.Returning, h wal.History) recovery.Returning {
		r.History = h
		r.Control.CheckpointTimeline = h.Timeline
		if r.Control.MinRecoveryTL != 0 {
			r.Control.MinRecoveryTL = h.Timeline
		}
		return r
	}
	const (
		clean   = datadir.StateShutDown
		killed  = datadir.StateInProduction
		running = datadir.StateInArchiveRecovery
		stopped = datadir.StateShutDownInRecovery
	)
	leader2 := recovery.Leader{SystemID: ourSystem, History: history(2, 1, 0x5000), Position: 0x9000}
	for _, tc := range []struct {
		name   string
		r      recovery.Returning
		l      recovery.Leader
		want   recovery.Verdict
		fork   wal.LSN
		reason string
	}{
		// An old primary.
		{"switchover", primary(clean, 0x4F98), leader2, recovery.Follow, 0x5000, "shut down cleanly at 0/4F98, before the fork at 0/5000"},
		{"switchover_two_promotions_ago", primary(clean, 0x4F98), leader3(), recovery.Follow, 0x5000, "before the fork"},
		{"clean_but_the_standby_missed_its_shutdown_checkpoint", primary(clean, 0x5000), leader2, recovery.Rewind, 0x5000, "not before the fork"},
		{"clean_after_the_fork", primary(clean, 0x6000), leader2, recovery.Rewind, 0x5000, "0/6000"},
		{"clean_but_more_WAL_was_found", endsAt(primary(clean, 0x4F98), 0x5008), leader2, recovery.Rewind, 0x5000, "ends at 0/5008"},
		{"crashed_end_unknown", primary(killed, 0x2000), leader2, recovery.Rewind, 0x5000, `"in production"`},
		{"crashed_while_shutting_down", primary(datadir.StateShuttingDown, 0x2000), leader2, recovery.Rewind, 0x5000, `"shutting down"`},
		{"crashed_in_crash_recovery", primary(datadir.StateInCrashRecovery, 0x2000), leader2, recovery.Rewind, 0x5000, "nothing proves"},
		{"crashed_end_before_the_fork", endsAt(primary(killed, 0x2000), 0x4000), leader2, recovery.Follow, 0x5000, "ends at 0/4000"},
		{"crashed_end_is_the_fork", endsAt(primary(killed, 0x2000), 0x5000), leader2, recovery.Follow, 0x5000, "ends at 0/5000"},
		{"crashed_end_one_byte_after_the_fork", endsAt(primary(killed, 0x2000), 0x5001), leader2, recovery.Rewind, 0x5000, "after the fork"},
		{"crashed_after_the_fork", endsAt(primary(killed, 0x2000), 0x6000), leader2, recovery.Rewind, 0x5000, "after the fork"},
		{"crashed_checkpoint_after_the_fork", primary(killed, 0x5800), leader2, recovery.Rewind, 0x5000, "0/5800"},

		// Evidence that contradicts itself counts as none.
		{"end_before_its_own_checkpoint", endsAt(primary(killed, 0x4000), 0x3000), leader2, recovery.Rewind, 0x5000, "nothing proves"},
		{"end_at_its_own_checkpoint", endsAt(primary(killed, 0x4000), 0x4000), leader2, recovery.Rewind, 0x5000, "nothing proves"},
		{"end_before_the_fork_but_checkpoint_after_it", endsAt(primary(killed, 0x6000), 0x4000), leader2, recovery.Rewind, 0x5000, "0/6000"},
		{"end_before_its_minimum_recovery_point", endsAt(standby(running, 0x4000), 0x3000), leader2, recovery.Rewind, 0x5000, "nothing proves"},

		// Another standby.
		{"standby_end_unknown", standby(running, 0x4000), leader2, recovery.Rewind, 0x5000, "nothing proves"},
		{"standby_stopped_end_unknown", standby(stopped, 0x4000), leader2, recovery.Rewind, 0x5000, "nothing proves"},
		{"standby_end_before_the_fork", endsAt(standby(running, 0x4000), 0x4800), leader2, recovery.Follow, 0x5000, "ends at 0/4800"},
		{"standby_received_past_the_fork", endsAt(standby(running, 0x4000), 0x5800), leader2, recovery.Rewind, 0x5000, "after the fork"},
		{"standby_replayed_to_the_fork", endsAt(standby(running, 0x5000), 0x5000), leader2, recovery.Follow, 0x5000, "ends at 0/5000"},
		{"standby_replayed_past_the_fork", standby(running, 0x5001), leader2, recovery.Rewind, 0x5000, "0/5001"},

		// Timelines.
		{"sibling_timeline", onTimeline(primary(clean, 0x4F98), history(2, 1, 0x3000)),
			recovery.Leader{SystemID: ourSystem, History: history(3, 1, 0x5000), Position: 0x9000}, recovery.Rewind, 0, "timeline 2 is not in the history"},
		{"newer_timeline_than_the_primary", onTimeline(primary(clean, 0x4F98), history(4, 1, 0x3000)), leader3(), recovery.Clone, 0, "newer"},
		{"child_of_the_primary", onTimeline(primary(clean, 0xA000), history(4, 1, 0x5000, 2, 0x7000, 3, 0x9000)), leader3(), recovery.Clone, 0, "newer"},
		{"ancestor_2_shared", onTimeline(primary(clean, 0x6000), history(2, 1, 0x5000)), leader3(), recovery.Follow, 0x7000, "before the fork at 0/7000"},
		{"ancestor_2_of_a_namesake", onTimeline(primary(clean, 0x6000), history(2, 1, 0x4000)), leader3(), recovery.Rewind, 0, "another timeline 2"},
		{"ancestor_2_history_unknown", with(onTimeline(primary(clean, 0x6000), history(2)), func(r *recovery.Returning) { r.History = wal.History{} }),
			leader3(), recovery.Rewind, 0, "history of its timeline 2 is not known"},
		{"ancestor_2_history_of_another_timeline", with(onTimeline(primary(clean, 0x6000), history(2)), func(r *recovery.Returning) { r.History = history(1) }),
			leader3(), recovery.Rewind, 0, "not known"},
		{"promoted_after_its_last_checkpoint", with(endsAt(primary(killed, 0x4000), 0x7000), func(r *recovery.Returning) {
			r.Control.MinRecoveryPoint, r.Control.MinRecoveryTL, r.History = 0x5030, 2, history(2, 1, 0x5000)
		}), leader3(), recovery.Follow, 0x7000, "ends at 0/7000"},
		{"followed_a_namesake_since_its_last_checkpoint", with(endsAt(standby(running, 0x4800), 0x4800), func(r *recovery.Returning) {
			r.Control.MinRecoveryTL, r.History = 2, history(2, 1, 0x4000)
		}), leader3(), recovery.Rewind, 0, "another timeline 2"},
		{"history_of_the_primary_lost", primary(clean, 0x4F98), recovery.Leader{SystemID: ourSystem, History: history(2), Position: 0x9000}, recovery.Rewind, 0, "not in the history"},

		// The primary's own timeline.
		{"same_timeline_standby", standby(running, 0x4000), recovery.Leader{SystemID: ourSystem, History: history(1), Position: 0x9000}, recovery.Follow, 0, "not ahead"},
		{"same_timeline_standby_stopped", standby(stopped, 0x9000), recovery.Leader{SystemID: ourSystem, History: history(1), Position: 0x9000}, recovery.Follow, 0, "not ahead"},
		{"same_timeline_standby_ahead", endsAt(standby(running, 0x4000), 0x9008), recovery.Leader{SystemID: ourSystem, History: history(1), Position: 0x9000}, recovery.Clone, 0, "reaches 0/9008"},
		{"same_timeline_standby_replayed_ahead", standby(stopped, 0x9001), recovery.Leader{SystemID: ourSystem, History: history(1), Position: 0x9000}, recovery.Clone, 0, "only at 0/9000"},
		{"same_timeline_standby_checkpoint_at_the_primarys_end", with(standby(stopped, 0x9000), func(r *recovery.Returning) { r.Control.Checkpoint = 0x9000 }),
			recovery.Leader{SystemID: ourSystem, History: history(1), Position: 0x9000}, recovery.Clone, 0, "only at 0/9000"},
		{"same_timeline_position_unknown", standby(running, 0x4000), recovery.Leader{SystemID: ourSystem, History: history(1)}, recovery.Clone, 0, "only at 0/0"},
		// The failback by renaming recovery.done and starting the copy without a promotion leaves two primaries' WAL on
		// one timeline.
		{"same_timeline_both_primaries_clean", onTimeline(primary(clean, 0x8000), history(3, 1, 0x5000, 2, 0x7000)), leader3(), recovery.Clone, 0, "as a primary of timeline 3"},
		{"same_timeline_both_primaries_crashed", onTimeline(primary(killed, 0x8000), history(3, 1, 0x5000, 2, 0x7000)), leader3(), recovery.Clone, 0, "as a primary of timeline 3"},
		{"same_timeline_both_primaries_behind", endsAt(primary(clean, 0x1000), 0x1078), recovery.Leader{SystemID: ourSystem, History: history(1), Position: 0x9000}, recovery.Clone, 0, "differ without a fork"},
		{"same_timeline_standby_of_a_namesake", onTimeline(standby(running, 0x8000), history(3, 1, 0x5000, 2, 0x7008)), leader3(), recovery.Clone, 0, "another timeline 3"},
		{"same_timeline_standby_history_unknown", with(onTimeline(standby(running, 0x8000), history(3)), func(r *recovery.Returning) { r.History = wal.History{} }),
			leader3(), recovery.Clone, 0, "not known"},
		{"same_timeline_both_histories_lost", onTimeline(standby(running, 0x8000), history(2)),
			recovery.Leader{SystemID: ourSystem, History: history(2), Position: 0x9000}, recovery.Clone, 0, "not known"},
		{"same_timeline_standby_history_known", onTimeline(standby(running, 0x8000), history(3, 1, 0x5000, 2, 0x7000)), leader3(), recovery.Follow, 0, "not ahead"},

		// Data that is not a server's yet.
		{"base_backup", labelled(primary(clean, 0x4F98), wal.BackupStreamed), leader2, recovery.Clone, 0, "backup_label"},
		{"base_backup_of_the_primary_itself", labelled(onTimeline(primary(killed, 0x4F98), history(2, 1, 0x5000)), wal.BackupStreamed), leader2, recovery.Clone, 0, "backup_label"},
		{"exclusive_backup_of_it_when_it_crashed", labelled(endsAt(primary(killed, 0x2000), 0x4000), wal.BackupExclusive), leader2, recovery.Clone, 0, "backup_label"},
		{"backup_of_9.0", labelled(primary(clean, 0x4F98), ""), leader2, recovery.Clone, 0, "backup_label"},
		{"rewound", labelled(onTimeline(standby(running, 0x8000), history(2, 1, 0x5000)), wal.BackupRewound), leader2, recovery.Follow, 0, "not ahead"},
		{"rewind_unfinished", labelled(primary(clean, 0x4F98), wal.BackupRewound), leader2, recovery.Clone, 0, "not finished"},
		{"recovery_of_a_backup_unfinished", with(endsAt(standby(running, 0x4000), 0x4800), func(r *recovery.Returning) { r.Control.BackupStart = 0x1000 }),
			leader2, recovery.Clone, 0, "has not reached its end"},
		{"recovery_of_a_backup_of_a_standby_unfinished", with(endsAt(standby(running, 0x4000), 0x4800), func(r *recovery.Returning) { r.Control.BackupEnd = 0x4400 }),
			leader2, recovery.Clone, 0, "has not reached its end"},
		{"end_of_the_backup_required", with(endsAt(standby(running, 0x4000), 0x4800), func(r *recovery.Returning) { r.Control.BackupEndRequired = true }),
			leader2, recovery.Clone, 0, "has not reached its end"},

		// Histories that lie about.
		{"has_the_primarys_history", newer(primary(clean, 0x4F98), history(2, 1, 0x5000)), leader2, recovery.Follow, 0x5000, "before the fork"},
		{"has_all_histories_of_the_primary", newerEndsAt(newer(primary(clean, 0x4F98), history(2, 1, 0x5000), history(3, 1, 0x5000, 2, 0x7000)), 0x5000),
			leader3(), recovery.Follow, 0x5000, ""},
		{"has_WAL_of_a_newer_timeline_to_the_fork", newerEndsAt(newer(endsAt(standby(running, 0x4000), 0x5000), history(2, 1, 0x5000)), 0x7000),
			leader3(), recovery.Follow, 0x5000, ""},
		{"has_WAL_of_a_newer_timeline_after_the_fork", newerEndsAt(newer(endsAt(standby(running, 0x4000), 0x5000), history(2, 1, 0x5000)), 0x7001),
			leader3(), recovery.Rewind, 0x7000, "its WAL of timeline 2 ends at 0/7001"},
		{"may_have_WAL_of_a_newer_timeline_after_the_fork", newer(endsAt(standby(running, 0x4000), 0x5000), history(2, 1, 0x5000)),
			leader3(), recovery.Rewind, 0x7000, "nothing proves that its WAL of timeline 2"},
		{"has_WAL_of_the_primarys_timeline", newerEndsAt(newer(endsAt(standby(running, 0x4000), 0x5000), history(3, 1, 0x5000, 2, 0x7000)), 0x9000),
			leader3(), recovery.Follow, 0x5000, ""},
		{"has_more_WAL_of_the_primarys_timeline_than_it", newerEndsAt(newer(endsAt(standby(running, 0x4000), 0x5000), history(3, 1, 0x5000, 2, 0x7000)), 0x9001),
			leader3(), recovery.Clone, 0, "reaches 0/9001"},
		{"has_the_history_of_a_namesake", newer(primary(clean, 0x4F98), history(2, 1, 0x4000)), leader2, recovery.Clone, 0, "00000002.history"},
		{"has_the_history_of_a_sibling", newer(primary(clean, 0x4F98), history(3, 1, 0x4000)), leader2, recovery.Clone, 0, "00000003.history"},
		{"has_the_history_of_a_child_of_the_primarys", newer(primary(clean, 0x4F98), history(2, 1, 0x5000), history(3, 1, 0x5000, 2, 0x8000)),
			leader2, recovery.Clone, 0, "00000003.history"},
		{"crashed_before_its_promotion_was_noted", newer(standby(running, 0x4000), history(2, 1, 0x4800)),
			recovery.Leader{SystemID: ourSystem, History: history(1), Position: 0x9000}, recovery.Clone, 0, "00000002.history"},

		// Means.
		{"another_cluster", with(primary(clean, 0x4F98), func(r *recovery.Returning) { r.Control.SystemID = 7 }), leader2, recovery.Clone, 0, "system identifier 7"},
		{"hints_instead_of_checksums", with(primary(killed, 0x2000), func(r *recovery.Returning) { r.Control.DataChecksums, r.Control.WALLogHints = false, true }), leader2, recovery.Rewind, 0x5000, ""},
		{"neither_checksums_nor_hints", with(primary(killed, 0x2000), func(r *recovery.Returning) { r.Control.DataChecksums = false }), leader2, recovery.Clone, 0x5000, "neither data checksums nor wal_log_hints"},
		{"no_pg_rewind", with(primary(killed, 0x2000), func(r *recovery.Returning) { r.CanRewind = false }), leader2, recovery.Clone, 0x5000, "pg_rewind of its major is not installed"},
		{"no_means_needed_to_follow", with(primary(clean, 0x4F98), func(r *recovery.Returning) { r.CanRewind, r.Control.DataChecksums = false, false }), leader2, recovery.Follow, 0x5000, ""},
		{"nothing_known_at_all", recovery.Returning{}, recovery.Leader{}, recovery.Clone, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := recovery.Judge(tc.r, tc.l)
			require.Equal(t, tc.want, got.Verdict, "%s", got.Reason)
			require.Equal(t, tc.fork, got.Fork, "%s", got.Reason)
			require.Contains(t, got.Reason, tc.reason)
		})
	}
}

func TestReturningFrom(t *testing.T) {
	gone := &fs.PathError{Op: "open", Path: "00000002.history", Err: fs.ErrNotExist}
	whole := func() datadir.Directory {
		return datadir.Directory{
			Path: "/data", Server: datadir.Server{Life: datadir.Stopped}, Major: 17, Control: datadir.Control{SystemID: ourSystem},
			History: history(2, 1, 0x5000), Newer: []wal.History{history(3, 1, 0x5000, 2, 0x6000)}, Label: &wal.BackupLabel{Start: 0x4000},
		}
	}
	r, err := recovery.ReturningFrom(whole())
	require.NoError(t, err)
	require.Equal(t, recovery.Returning{
		Control: datadir.Control{SystemID: ourSystem}, History: history(2, 1, 0x5000),
		Newer: []recovery.NewerTimeline{{History: history(3, 1, 0x5000, 2, 0x6000)}},
		Label: &wal.BackupLabel{Start: 0x4000},
	}, r)

	d := whole()
	d.History, d.HistoryErr = wal.History{}, gone
	r, err = recovery.ReturningFrom(d)
	require.NoError(t, err, "it can be judged, and will not follow")
	require.Zero(t, r.History)

	for name, change := range map[string]func(d *datadir.Directory){
		"running": func(d *datadir.Directory) { d.Server.Life = datadir.Running },
		"unknown": func(d *datadir.Directory) { d.Server.Life = datadir.Unknown },
		"zero":    func(d *datadir.Directory) { d.Server.Life = "" },
	} {
		d := whole()
		change(&d)
		_, err := recovery.ReturningFrom(d)
		require.ErrorIs(t, err, recovery.ErrNotStopped, name)
	}
	damaged := errors.New("damaged")
	for name, change := range map[string]func(d *datadir.Directory){
		"major":   func(d *datadir.Directory) { d.MajorErr = damaged },
		"control": func(d *datadir.Directory) { d.ControlErr = damaged },
		"history": func(d *datadir.Directory) { d.HistoryErr = damaged },
		"newer":   func(d *datadir.Directory) { d.NewerErr = damaged },
		"label":   func(d *datadir.Directory) { d.LabelErr = damaged },
	} {
		d := whole()
		change(&d)
		r, err := recovery.ReturningFrom(d)
		require.ErrorIs(t, err, damaged, name)
		require.Zero(t, r)
	}
}

// The control files of real servers, judged against primaries that left their timeline at various places.
func TestJudge_realControlFiles(t *testing.T) {
	files, err := filepath.Glob("datadir/testdata/control/*.bin")
	require.NoError(t, err)
	require.Len(t, files, 9*7, "nine majors in seven states")
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		c, err := datadir.ParseControl(file, data)
		require.NoError(t, err)
		judge := func(fork wal.LSN) recovery.Verdict {
			return recovery.Judge(recovery.Returning{Control: c, CanRewind: true},
				recovery.Leader{SystemID: c.SystemID, History: history(2, 1, uint64(fork)), Position: fork + 0x100000}).Verdict
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			after := max(c.Checkpoint, c.MinRecoveryPoint) + 0x100
			switch {
			case c.Timeline() == 2, c.BackupUnfinished(): // promoted itself, or never was a server
				require.Equal(t, recovery.Clone, judge(after))
			case c.State == datadir.StateShutDown:
				require.Equal(t, recovery.Follow, judge(after))
			default:
				require.Equal(t, recovery.Rewind, judge(after))
			}
			if c.Timeline() == 1 && c.Rewindable() && !c.BackupUnfinished() {
				require.Equal(t, recovery.Rewind, judge(c.Checkpoint))
			}
		})
	}
}

// line is a timeline in a world of many promotions, in which two servers may have chosen the same number (no archive, or not
// yet archived), but not at the same position.
type line struct {
	id     wal.Timeline
	parent *line
	begin  wal.LSN
	end    wal.LSN // of its WAL
}

func (l *line) path() []*line {
	if l == nil {
		return nil
	}
	return append(l.parent.path(), l)
}

func (l *line) history() wal.History {
	h := wal.History{Timeline: l.id}
	path := l.path()
	for i := 1; i < len(path); i++ {
		h.Entries = append(h.Entries, wal.HistoryEntry{Timeline: path[i-1].id, End: path[i].begin})
	}
	return h
}

// holds reports whether data of timeline o up to end is part of what leads to l at position.
func (l *line) holds(o *line, end, position wal.LSN) bool {
	path := l.path()
	i := slices.Index(path, o)
	switch {
	case i < 0:
		return false
	case i == len(path)-1:
		return end <= position
	default:
		return end <= path[i+1].begin
	}
}

const recordSize = 8 // every record of these worlds

func position(from, to wal.LSN) *rapid.Generator[wal.LSN] {
	return rapid.Custom(func(t *rapid.T) wal.LSN {
		return wal.LSN(rapid.Uint64Range(uint64(from)/recordSize, uint64(to)/recordSize).Draw(t, "record")) * recordSize
	})
}

// drawWorld makes a tree of timelines.
func drawWorld(t *rapid.T) []*line {
	lines := []*line{{id: 1, end: position(0x100, 0x200).Draw(t, "end of 1")}}
	for n := rapid.IntRange(0, 5).Draw(t, "promotions"); n > 0; n-- {
		parent := rapid.SampledFrom(lines).Draw(t, "parent")
		l := &line{id: parent.id + wal.Timeline(rapid.IntRange(1, 2).Draw(t, "skip")), parent: parent}
		l.begin = position(max(parent.begin, 0x20)+recordSize, parent.end).Draw(t, "begin")
		l.end = position(l.begin+2*recordSize, l.begin+0x100).Draw(t, "end")
		same := func(o *line) bool {
			return o.id == l.id && fmt.Sprint(o.history()) == fmt.Sprint(l.history())
		}
		if !slices.ContainsFunc(lines, same) { // such twins nobody can tell apart; see the documentation of Judge
			lines = append(lines, l)
		}
	}
	return lines
}

// drawReturning makes a server with data of timeline l up to end, and the control file that such a server has.
func drawReturning(t *rapid.T, l *line) (r recovery.Returning, end wal.LSN) {
	end = position(l.begin+recordSize, l.end).Draw(t, "end of its WAL")
	r.CanRewind = rapid.Bool().Draw(t, "pg_rewind")
	r.Control.SystemID = ourSystem
	r.Control.DataChecksums = rapid.Bool().Draw(t, "checksums")
	r.Control.CheckpointTimeline = l.id
	r.Control.Checkpoint = position(l.begin, end-recordSize).Draw(t, "checkpoint")
	switch r.Control.State = rapid.SampledFrom([]datadir.State{
		datadir.StateShutDown, datadir.StateInProduction, datadir.StateShutDownInRecovery, datadir.StateInArchiveRecovery,
	}).Draw(t, "state"); r.Control.State {
	case datadir.StateShutDown:
		r.Control.Checkpoint = end - recordSize
	case datadir.StateInProduction:
		if rapid.Bool().Draw(t, "no checkpoint since its promotion") && l.parent != nil {
			r.Control.MinRecoveryPoint, r.Control.MinRecoveryTL = l.begin+recordSize, l.id
			r.Control.CheckpointTimeline, r.Control.Checkpoint = l.parent.id, l.begin-recordSize
		}
	default:
		r.Control.MinRecoveryPoint = position(r.Control.Checkpoint, end).Draw(t, "minimum recovery point")
		r.Control.MinRecoveryTL = l.id
	}
	if rapid.Bool().Draw(t, "history known") {
		r.History = l.history()
	}
	if rapid.Bool().Draw(t, "end known") {
		r.EndOfWAL = end
	}
	return r, end
}

var cost = map[recovery.Verdict]int{recovery.Follow: 0, recovery.Rewind: 1, recovery.Clone: 2}

// In every world: who may follow shares all its WAL with the primary; less knowledge, fewer means or more WAL never make the
// verdict cheaper; and with full knowledge nobody is sent away without need.
func TestJudge_law(t *testing.T) {
	seen := map[recovery.Verdict]int{}
	rapid.Check(t, func(t *rapid.T) {
		lines := drawWorld(t)
		lead := rapid.SampledFrom(lines).Draw(t, "leader")
		l := recovery.Leader{SystemID: ourSystem, History: lead.history(), Position: position(lead.begin+recordSize, lead.end).Draw(t, "position")}
		own := rapid.SampledFrom(lines).Draw(t, "own")
		r, end := drawReturning(t, own)
		got := recovery.Judge(r, l)
		seen[got.Verdict]++
		wasPrimary := r.Control.State == datadir.StateShutDown || r.Control.State == datadir.StateInProduction
		shared := lead.holds(own, end, l.Position)

		trusted := own == lead && r.EndOfWAL == 0 && !wasPrimary // that a standby has only what its primary had flushed
		if got.Verdict == recovery.Follow && !shared && !trusted {
			t.Fatalf("follows, but its WAL to %v is not the primary's: %s", end, got.Reason)
		}
		full := r.EndOfWAL != 0 && (r.History.Timeline != 0 || own.id == 1)
		if full && shared && got.Verdict != recovery.Follow && !(own == lead && wasPrimary) {
			t.Fatalf("%s, but it could follow: %s", got.Verdict, got.Reason)
		}
		if got.Verdict == recovery.Rewind && (!r.CanRewind || !r.Control.Rewindable()) {
			t.Fatal("a rewind that cannot be")
		}
		if got.Reason == "" {
			t.Fatal("no reason")
		}
		cheaper := func(what string, change func(r *recovery.Returning)) {
			worse := r
			change(&worse)
			if j := recovery.Judge(worse, l); cost[j.Verdict] < cost[got.Verdict] {
				t.Fatalf("%s makes it cheaper: %s (%s), then %s (%s)", what, got.Verdict, got.Reason, j.Verdict, j.Reason)
			}
		}
		cheaper("no pg_rewind", func(r *recovery.Returning) { r.CanRewind = false })
		cheaper("no checksums", func(r *recovery.Returning) { r.Control.DataChecksums = false })
		cheaper("an unknown history", func(r *recovery.Returning) { r.History = wal.History{} })
		if own.id != lead.id { // else the end is taken on trust
			cheaper("an unknown end", func(r *recovery.Returning) { r.EndOfWAL = 0 })
		}
		cheaper("a backup_label", func(r *recovery.Returning) { r.Label = &wal.BackupLabel{Method: wal.BackupStreamed} })
		cheaper("an unfinished recovery", func(r *recovery.Returning) { r.Control.BackupEndRequired = true })
		if other := rapid.SampledFrom(lines).Draw(t, "another"); other.id > own.id {
			cheaper("another history", func(r *recovery.Returning) { r.Newer = []recovery.NewerTimeline{{History: other.history()}} })
		}
		cheaper("another cluster", func(r *recovery.Returning) { r.Control.SystemID++ })
		if r.EndOfWAL != 0 {
			more := position(0, 0x400).Draw(t, "more WAL")
			cheaper("more WAL", func(r *recovery.Returning) { r.EndOfWAL += more })
		}
	})
	for v := range cost {
		require.NotZero(t, seen[v], "the worlds never lead to %s", v)
	}
}
