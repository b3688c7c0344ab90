package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
)

// leftover is a combination of files and arguments that some tool, or some hand, left behind. In texts, DATA stands for the data directory.
type leftover struct {
	name     string
	from, to pgconf.Major
	files    map[string]string // added to what initdb makes; postgresql.conf and postgresql.auto.conf are appended to
	args     []string
	basic    bool // looked at on every major; the others where something changed
}

// leftovers are what Read and the real servers must agree on.
func leftovers() []leftover {
	var all []leftover
	add := func(from, to pgconf.Major, name string, files map[string]string, args ...string) {
		all = append(all, leftover{name: name, from: from, to: to, files: files, args: args})
	}
	conf := func(text string) map[string]string { return map[string]string{"postgresql.conf": text} }
	old := func(text string) map[string]string { return map[string]string{"recovery.conf": text} }
	const restore = "restore_command = 'sleep 0.5'\n"
	signals := func(text string) map[string]string {
		return map[string]string{"recovery.signal": "", "postgresql.conf": restore + text}
	}
	standby := func(text string) map[string]string {
		return map[string]string{"standby.signal": "", "postgresql.conf": text}
	}
	oldTarget := func(text string) map[string]string { return old(restore + text) }

	// While the data is on timeline 1.
	add(12, 18, "timeline_1", signals("recovery_target_timeline = 0x1\n"))
	add(12, 18, "standby_timeline_1", standby("recovery_target_timeline = 1\n"))
	add(10, 11, "old_timeline_1", oldTarget("recovery_target_timeline = 01\n"))

	// Which file decides.
	add(10, 18, "nothing", nil)
	add(10, 18, "standby_signal", map[string]string{"standby.signal": ""})
	add(10, 18, "recovery_signal", map[string]string{"recovery.signal": ""})
	add(10, 18, "both_signals", map[string]string{"standby.signal": "junk", "recovery.signal": "junk", "postgresql.auto.conf": restore})
	add(10, 18, "recovery_conf_empty", old(""))
	add(10, 18, "recovery_conf_and_standby_signal", map[string]string{"standby.signal": "", "recovery.conf": "standby_mode = on\n"})
	add(10, 18, "recovery_done", map[string]string{"recovery.done": "standby_mode = on\n"})
	add(10, 18, "promote_file", map[string]string{"standby.signal": "", "recovery.conf": "standby_mode = on\n", "promote": ""})
	add(12, 18, "settings_without_signal", conf("primary_conninfo = 'host=/nowhere'\nrecovery_target_timeline = '7'\n"+restore))
	add(12, 18, "as_pg_basebackup_R", map[string]string{"standby.signal": "", "postgresql.auto.conf": "primary_conninfo = 'host=/old'\nprimary_conninfo = 'host=/nowhere'\nprimary_slot_name = 'a'\n"})
	add(12, 18, "empty_restore_command", signals("restore_command = ''\n"))
	add(12, 18, "targeted", signals(""))
	add(10, 11, "old_targeted", old(restore))
	add(12, 18, "targeted_by_argument", map[string]string{"recovery.signal": ""}, "-c", "restore_command=sleep 0.5", "--recovery-target-name=here")

	for i := range all {
		all[i].basic = true
	}

	// Targets.
	add(12, 18, "to_name", signals("recovery_target_name = 'it''s'\n"))
	add(12, 18, "to_xid", signals("recovery_target_xid = '731'\n"))
	add(12, 18, "to_xid_hex", signals("recovery_target_xid = 0x1F\n"))
	add(12, 18, "to_xid_octal", signals("recovery_target_xid = 010\n"))
	add(12, 18, "to_xid_junk", signals("recovery_target_xid = 'abc'\n"))
	add(12, 18, "to_xid_too_long", signals("recovery_target_xid = '99999999999999999999999'\n"))
	add(12, 18, "to_lsn", signals("recovery_target_lsn = '0/3000148'\nrecovery_target_inclusive = off\n"))
	add(12, 18, "to_lsn_junk", conf("recovery_target_lsn = '03000148'\n"))
	add(12, 18, "to_lsn_junk_overruled", signals("recovery_target_lsn = '03000148'\nrecovery_target_lsn = '0/3000148'\n"))
	add(12, 18, "to_lsn_junk_in_another_spelling", signals("Recovery_Target_LSN = '03000148'\nrecovery_target_lsn = '0/3000148'\n"))
	add(12, 18, "to_consistency", signals("recovery_target = immediate\n"))
	add(12, 18, "to_something", conf("recovery_target = soon\n"))
	add(12, 18, "to_time", signals("recovery_target_time = '2046-03-01 14:00:00+02'\n"))
	add(12, 18, "to_yesterday", conf("recovery_target_time = yesterday\n"))
	add(12, 18, "long_name", conf("recovery_target_name = '"+strings.Repeat("x", 64)+"'\n"))
	add(12, 18, "two_targets", signals("recovery_target_name = a\nrecovery_target_xid = 5\n"))
	add(12, 18, "two_targets_of_a_primary", conf("recovery_target_name = a\nrecovery_target_xid = 5\n"))
	add(12, 18, "two_targets_of_a_standby", map[string]string{"standby.signal": "", "postgresql.conf": "recovery_target_name = a\n", "postgresql.auto.conf": "recovery_target_lsn = '0/1'\n"})
	add(12, 18, "empty_target_after", conf("recovery_target_name = a\nrecovery_target_xid = ''\n"))
	add(12, 18, "empty_target_before", signals("recovery_target_xid = ''\nrecovery_target_name = a\n"))
	add(12, 18, "target_twice", signals("recovery_target_name = a\nrecovery_target_name = b\n"))
	add(12, 18, "target_unset_again", signals("recovery_target_name = a\nrecovery_target_name = ''\n"))
	add(12, 18, "target_unset_in_another_spelling", signals("RECOVERY_TARGET_NAME = a\nrecovery_target_name = ''\nrecovery_target_xid = 9\n"))
	add(12, 18, "target_after_unset_in_another_spelling", signals("recovery_target_name = a\nrecovery_target_xid = 9\nrecovery_target_name = ''\n"))
	add(12, 18, "target_of_file_and_argument", signals("recovery_target_name = a\n"), "-c", "recovery_target_xid=5")
	add(12, 18, "target_of_file_overruled", signals("recovery_target_name = ''\n"), "-c", "recovery_target_name=a")
	add(12, 18, "target_unset_by_argument", signals("recovery_target_name = a\n"), "-c", "recovery_target_name=")
	add(12, 18, "targets_of_arguments", nil, "-c", "recovery_target_xid=5", "-c", "recovery_target_lsn=")
	add(12, 18, "target_of_a_standby", standby("recovery_target_name = a\nrecovery_target_action = Promote\n"))
	add(12, 18, "hot_standby_off", signals("recovery_target_name = a\n"), "-c", "hot_standby=off")

	// Other values.
	for name, line := range sorted(map[string]string{
		"action_junk": "recovery_target_action = stop", "action_in_capitals": "recovery_target_action = PAUSE", "inclusive_junk": "recovery_target_inclusive = maybe",
		"timeline_empty": "recovery_target_timeline = ''", "timeline_0": "recovery_target_timeline = 0", "timeline_junk": "recovery_target_timeline = abc",
		"timeline_in_capitals": "recovery_target_timeline = LATEST", "timeline_current": "recovery_target_timeline = 'current'",
		"timeline_too_high": "recovery_target_timeline = '99999999999999999999'", "delay": "recovery_min_apply_delay = '1.5s'", "delay_junk": "recovery_min_apply_delay = '5 parsecs'",
		"slot_junk": "primary_slot_name = 'Bad-Name'", "conninfo_junk": "primary_conninfo = 'nonsense'", "standby_mode": "standby_mode = on", "trigger_file": "trigger_file = x",
		"promote_trigger_file": "promote_trigger_file = 'pulled'", "work_mem_junk": "work_mem = much", "no_such_parameter": "wal_keep_segments_of_mine = 1", "extension": "my.own = 1",
		"syntax_error": "port = = 5", "segments": "checkpoint_segments = 3",
	}) {
		add(10, 18, "primary_"+name, conf(line+"\n"))
		add(12, 18, "standby_"+name, standby(line+"\n"))
	}

	// Other files.
	add(10, 18, "missing_include", conf("include 'missing.conf'\n"))
	add(10, 18, "missing_include_if_exists", conf("include_if_exists 'missing.conf'\n"))
	add(12, 18, "target_in_an_include", map[string]string{"recovery.signal": "", "postgresql.conf": "include_dir 'conf.d'\n", "conf.d/10.conf": restore, "conf.d/9.conf": "recovery_target_name = 'hidden'\n"})
	add(12, 18, "two_targets_in_includes", map[string]string{"postgresql.conf": "include_dir = conf.d\nrecovery_target_xid = 5\n", "conf.d/one.conf": "recovery_target_name = 'hidden'\n"})
	add(10, 18, "broken_auto_conf", map[string]string{"postgresql.auto.conf": "primary_conninfo = 'x\n"})
	add(10, 18, "recursion", conf("include 'postgresql.conf'\n"))

	// recovery.conf, up to 11.
	for name, text := range sorted(map[string]string{
		"standby": "standby_mode = 'on'\n", "standby_by_a_prefix": "standby_mode = tru\n", "standby_junk": "standby_mode = perhaps\n" + restore,
		"standby_off": "standby_mode = off\n" + restore, "capitals": "STANDBY_MODE = on\n", "unknown": "standby_mode = on\nfollow = 'me'\n", "without_source": "# nothing\n",
		"syntax_error": "standby_mode = 'on\n", "standby_twice": "standby_mode = perhaps\nstandby_mode = on\n",
		"pause": restore + "pause_at_recovery_target = on\n", "include": "include 'more.conf'\n", "include_dir": "include_dir 'conf.d'\n", "include_missing": "include 'none.conf'\n",
	}) {
		add(10, 11, "old_"+name, map[string]string{"recovery.conf": text, "more.conf": "standby_mode = on\n", "conf.d/one.conf": restore + "recovery_target_name = 'hidden'\n"})
	}
	for name, text := range sorted(map[string]string{
		"name": "recovery_target_name = 'it''s'", "name_then_xid": "recovery_target_name = a\nrecovery_target_xid = 5", "xid_then_name": "recovery_target_xid = 5\nrecovery_target_name = a",
		"empty_name_wins": "recovery_target = immediate\nrecovery_target_name = ''", "empty_time": "recovery_target_time = ''", "empty_xid": "recovery_target_xid = ''",
		"empty_lsn": "recovery_target_lsn = ''", "empty_immediate": "recovery_target = ''", "immediate_in_capitals": "recovery_target = Immediate", "xid_junk": "recovery_target_xid = abc",
		"xid_too_long": "recovery_target_xid = 99999999999999999999", "time": "recovery_target_time = '2046-03-01 12:00:00Z'", "time_then_lsn": "recovery_target_time = '2046-03-01 12:00:00Z'\nrecovery_target_lsn = '0/3000000'",
		"long_name": "recovery_target_name = '" + strings.Repeat("x", 64) + "'", "longest_name": "recovery_target_name = '" + strings.Repeat("x", 63) + "'",
		"lsn_junk": "recovery_target_lsn = '0/'", "lsn_junk_overruled": "recovery_target_lsn = '0/'\nrecovery_target_lsn = '0/3000000'", "inclusive_junk": "recovery_target_inclusive = maybe", "exclusive": "recovery_target_inclusive = of\nrecovery_target_xid = 77",
		"action_in_capitals": "recovery_target_action = Pause", "action": "recovery_target_action = shutdown\nrecovery_target_xid = 77", "timeline_junk": "recovery_target_timeline = abc", "timeline_empty": "recovery_target_timeline = ''",
		"timeline_current": "recovery_target_timeline = current", "timeline_too_high": "recovery_target_timeline = '99999999999999999999'",
		"slot_empty": "primary_slot_name = ''", "slot_junk": "primary_slot_name = 'Bad-Name'", "delay": "recovery_min_apply_delay = 5min", "delay_negative": "recovery_min_apply_delay = -5",
		"delay_fraction": "recovery_min_apply_delay = '1.5s'", "delay_junk": "recovery_min_apply_delay = '5 parsecs'", "conninfo_junk": "standby_mode = on\nprimary_conninfo = nonsense",
	}) {
		add(10, 11, "old_to_"+name, oldTarget(text+"\n"))
	}

	// These promote themselves.
	add(10, 11, "old_empty_restore_command", old("restore_command = ''\n"))
	add(12, 18, "trigger_pulled", map[string]string{"standby.signal": "", "pulled": "", "postgresql.conf": "promote_trigger_file = 'pulled'\n"})
	add(12, 18, "trigger_pulled_elsewhere", map[string]string{"standby.signal": "", "pulled": "", "postgresql.auto.conf": "promote_trigger_file = 'DATA/pulled'\n"})
	add(10, 11, "old_trigger_pulled", map[string]string{"pulled": "", "recovery.conf": "standby_mode = on\ntrigger_file = 'DATA/pulled'\n"})
	return all
}

// sorted goes through a map in the order of its keys.
func sorted(all map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(name, all[name]) {
				return
			}
		}
	}
}

// What Read says of left-over files, the server does.
func TestServerDoesWhatReadSays(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("s")
		clean := map[string]string{"postgresql.conf": s.Read("postgresql.conf"), "postgresql.auto.conf": s.Read("postgresql.auto.conf")}
		seen := map[recovery.Outcome]int{}
		var made []string
		for _, c := range leftovers() {
			major := pgconf.Major(w.Major)
			if major < c.from || major > c.to || !c.basic && !slices.Contains([]pgconf.Major{10, 12, 18}, major) {
				continue
			}
			for _, name := range made {
				require.NoError(t, os.RemoveAll(filepath.Join(s.Data, name)))
			}
			for name, text := range clean {
				s.Write(name, text)
			}
			made = slices.Collect(maps.Keys(c.files))
			for name, text := range c.files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(s.Data, name)), 0o755))
				s.Write(name, clean[name]+strings.ReplaceAll(text, "DATA", s.Data))
			}
			server := where(s)
			server.Args = append(server.Args, c.args...)
			says, err := recovery.Read(t.Context(), recovery.Disk{}, server)
			require.NoError(t, err, c.name)
			does := observe(t, s, server.Args, says.Triggered)
			require.Equal(t, strings.HasSuffix(c.name, "_no_such_parameter"), len(says.Doubts) > 0, "%s: %v", c.name, says.Doubts)
			if len(says.Doubts) > 0 && does.outcome == recovery.RefusesToStart {
				continue
			}
			require.Equal(t, says.Outcome.String(), does.outcome.String(), "%s: %v\n%v\n%s", c.name, says, says.Doubts, does.log)
			if says.Outcome == recovery.StartsRecovery {
				require.Equal(t, goal(says.Config.Target), does.goal, "%s: %s", c.name, does.log)
			}
			seen[says.Outcome]++
		}
		require.Len(t, seen, 4, "all outcomes are among them")
	})
}

// observed is what a server did.
type observed struct {
	outcome recovery.Outcome
	goal    string // of a targeted recovery
	log     string
}

// observe starts a server and stops it as soon as its log says what it does.
func observe(t *testing.T, s *pgserver.Server, args []string, triggered bool) observed {
	t.Helper()
	cmd := s.World.Command("postgres", args...)
	log, err := os.Create(s.Data + ".log")
	require.NoError(t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	exited, err := localpg.Launch(cmd)
	require.NoError(t, err)
	var o observed
	pgserver.Until(t, "a decision", func() error {
		ended := false
		select {
		case <-exited:
			ended = true
		default:
		}
		o.log = s.Log()
		_, o.goal, _ = strings.Cut(o.log, "starting point-in-time recovery to ")
		o.goal, _, _ = strings.Cut(o.goal, "\n")
		switch {
		case strings.Contains(o.log, "starting point-in-time recovery"), strings.Contains(o.log, "starting archive recovery"):
			o.outcome = recovery.StartsRecovery
		case strings.Contains(o.log, "entering standby mode"):
			o.outcome = recovery.StartsStandby
		case strings.Contains(o.log, "ready to accept connections"):
			o.outcome = recovery.StartsPrimary
		case ended:
			o.outcome = recovery.RefusesToStart
		}
		if o.outcome == recovery.Unknown || triggered && !strings.Contains(o.log, "trigger file found") {
			return errors.New("not yet: " + o.log)
		}
		return nil
	})
	_ = cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
	<-exited
	return o
}

// goal is how servers name a target in their logs.
func goal(target recovery.Target) string {
	switch target := target.(type) {
	case recovery.TargetTime:
		return target.At.UTC().Format("2006-01-02 15:04:05.999999") + "+00"
	case recovery.TargetXID:
		return "XID " + strconv.FormatUint(uint64(target.XID), 10)
	case recovery.TargetLSN:
		return `WAL location (LSN) "` + target.LSN.String() + `"`
	case recovery.TargetName:
		return `"` + target.Name + `"`
	case recovery.TargetImmediate:
		return "earliest consistent point"
	default:
		return ""
	}
}

// Every config that a major can have makes its server start in the role, with the target and the values that it says.
func TestServerStartsWithEveryConfig(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		major := pgconf.Major(w.Major)
		looks, s := w.Initdb("looks"), w.Initdb("s")
		looks.Write("postgresql.conf", looks.Read("postgresql.conf")+"include_if_exists = 'understudy.recovery.conf'\n")
		looks.Up()
		for _, name := range sortedConfigs() {
			cfg := configs[name]
			cfg.PrimaryConninfo = cfg.PrimaryConninfo.Without("host").Without("options")
			if cfg.RestoreCommand != "" {
				cfg.RestoreCommand = "sleep 0.5; : " + cfg.RestoreCommand
			}
			if _, ok := cfg.TargetTimeline.Number(); ok {
				cfg.TargetTimeline = recovery.TimelineCurrent // there is no other
			}
			some := slices.Contains([]string{"everything_odd", "windows", "to_time", "to_lsn", "to_name"}, name)
			if cfg.Validate(major) != nil || !some && !slices.Contains([]pgconf.Major{10, 12, 15, 18}, major) {
				continue
			}
			require.NoError(t, recovery.TakeOver(t.Context(), recovery.Disk{}, where(s), cfg))
			does := observe(t, s, s.Args(), false)
			want := map[recovery.Role]recovery.Outcome{recovery.Standby: recovery.StartsStandby, recovery.Targeted: recovery.StartsRecovery}[cfg.Role]
			require.Equal(t, want.String(), does.outcome.String(), "%s: %s", name, does.log)
			if text, ok := cfg.Target.(recovery.TargetTime); ok && text.Text != "" {
				require.Contains(t, does.goal, "2026-03-01 11:00:00+00")
			} else if cfg.Role == recovery.Targeted {
				require.Equal(t, goal(cfg.Target), does.goal, name)
			}
			if major < 12 {
				continue
			}
			looks.Write(recovery.SettingsFile, s.Read(recovery.SettingsFile))
			for param, value := range map[string]string{
				"restore_command": cfg.RestoreCommand, "archive_cleanup_command": cfg.ArchiveCleanupCommand, "recovery_end_command": cfg.RecoveryEndCommand,
				"primary_conninfo": cfg.PrimaryConninfo.Text(), "primary_slot_name": cfg.PrimarySlotName, "recovery_target_timeline": string(cfg.WithDefaults(major).TargetTimeline),
				"recovery_min_apply_delay": fmt.Sprintf("%dms", cfg.MinApplyDelay.Milliseconds()),
			} {
				require.Equal(t, value, looks.Ask("select setting from pg_file_settings where name = '"+param+"'"), "%s: %s", name, param)
			}
		}
	})
}

// failing is a disk on which one step is done but fails, and no other follows.
type failing struct {
	recovery.Disk
	left int
}

func (f *failing) step(do func() error) error {
	f.left--
	if err := do(); err != nil || f.left != 0 {
		return err
	}
	return errDisk
}

func (f *failing) WriteFile(ctx context.Context, name string, data []byte, perm fs.FileMode) error {
	return f.step(func() error { return f.Disk.WriteFile(ctx, name, data, perm) })
}

func (f *failing) Remove(ctx context.Context, name string) error {
	return f.step(func() error { return f.Disk.Remove(ctx, name) })
}

// Interrupted at any step, a server that is to become a standby or to recover never starts as a primary; Read says so, too.
func TestServerInterrupted(t *testing.T) {
	const oldTarget = "recovery_target_name = 'old'\nrecovery_target_action = 'promote'\nrestore_command = 'sleep 0.5'\n"
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		if w.Major != 11 && w.Major != 12 && w.Major != 18 {
			return // nothing changes between them
		}
		s := w.Initdb("s")
		clean := map[string]string{"postgresql.conf": s.Read("postgresql.conf"), "postgresql.auto.conf": s.Read("postgresql.auto.conf")}
		for _, before := range []map[string]string{
			{}, {"recovery.signal": "", "postgresql.auto.conf": oldTarget}, {"standby.signal": "", "postgresql.conf": clean["postgresql.conf"] + oldTarget},
			{recovery.SettingsFile: oldTarget, "postgresql.conf": clean["postgresql.conf"] + "include 'understudy.recovery.conf'\n"},
		} {
			if len(before) > 0 && w.Major < 12 {
				continue
			}
			for _, cfg := range []recovery.Config{{PrimaryConninfo: dial(s)}, {Role: recovery.Targeted, RestoreCommand: "sleep 0.5", Target: recovery.TargetName{Name: "new"}}} {
				for k, over := 1, false; !over; k++ {
					for _, name := range []string{"recovery.conf", "standby.signal", "recovery.signal", recovery.SettingsFile} {
						require.NoError(t, os.RemoveAll(filepath.Join(s.Data, name)))
					}
					for _, files := range []map[string]string{clean, before} {
						for name, text := range files {
							s.Write(name, text)
						}
					}
					err := recovery.TakeOver(t.Context(), &failing{left: k}, where(s), cfg)
					if over = err == nil; !over {
						require.ErrorIs(t, err, errDisk)
					}
					says, err := recovery.Read(t.Context(), recovery.Disk{}, where(s))
					require.NoError(t, err)
					require.NotEqual(t, recovery.StartsPrimary, says.Outcome, "step %d", k)
					does := observe(t, s, s.Args(), false)
					require.Equal(t, says.Outcome.String(), does.outcome.String(), "step %d: %v: %s", k, says, does.log)
					if says.Outcome == recovery.StartsRecovery {
						require.Equal(t, goal(cfg.Target), does.goal, "step %d: %s", k, does.log)
					}
				}
			}
		}
	})
}
