package recovery_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

var update = flag.Bool("update", false, "rewrite the golden files; read the diff before you commit it")

func info(pairs ...string) conninfo.Info {
	var i conninfo.Info
	for n := 0; n < len(pairs); n += 2 {
		i = i.With(pairs[n], pairs[n+1])
	}
	return i
}

func allMajors() []pgconf.Major { return majors(pgconf.Oldest, pgconf.Newest) }

func majors(from, to pgconf.Major) []pgconf.Major {
	var all []pgconf.Major
	for major := from; major <= to; major++ {
		all = append(all, major)
	}
	return all
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// configs are the servers that the golden files describe.
var configs = map[string]recovery.Config{
	"streaming": {
		PrimaryConninfo: info("host", "db1", "port", "5432", "user", "replicator", "passfile", "/var/lib/postgresql/.pgpass", "application_name", "db2"),
		TargetTimeline:  recovery.TimelineLatest,
	},
	"archive_only": {RestoreCommand: "/usr/bin/walarchive fetch --archive /mnt/wal %f %p"},
	"everything_odd": {
		PrimaryConninfo:       info("host", "db1", "user", "it's me", "password", `a'b\c d%e "f`, "application_name", "größe", "options", ""),
		PrimarySlotName:       "slot_2",
		RestoreCommand:        `test "$(hostname)" = 'db 2' && cp '/mnt/w a l/100%%/%f' "%p" # \ ` + "\t\r\nexit 1",
		ArchiveCleanupCommand: `pg_archivecleanup '/mnt/w a l' %r`,
		RecoveryEndCommand:    `touch '/run/it''s up'`,
		MinApplyDelay:         90 * time.Minute,
		TargetTimeline:        recovery.TimelineLatest,
	},
	"windows": {
		RestoreCommand:        `copy "\\server\share\wal\%f" "%p"`,
		ArchiveCleanupCommand: `pg_archivecleanup "\\server\share\wal" %r`,
	},
	"trigger_file":     {RestoreCommand: "cp /a/%f %p", TriggerFile: `\path\to\it's`},
	"timeline_current": {RestoreCommand: "cp /a/%f %p", TargetTimeline: recovery.TimelineCurrent},
	"timeline_3":       {RestoreCommand: "cp /a/%f %p", TargetTimeline: recovery.TimelineNumber(3)},
	"to_the_end":       {Role: recovery.Targeted, RestoreCommand: "cp /a/%f %p"},
	"to_time": {Role: recovery.Targeted, RestoreCommand: "cp /a/%f %p", Action: recovery.ActionPromote,
		Target: recovery.TargetTime{At: noon.Add(time.Microsecond).In(time.FixedZone("", 7200)), Exclusive: true}},
	"to_time_in_words": {Role: recovery.Targeted, RestoreCommand: "cp /a/%f %p", Target: recovery.TargetTime{Text: "2026-03-01 12:00 Europe/Berlin"}},
	"to_xid":           {Role: recovery.Targeted, RestoreCommand: "cp /a/%f %p", Target: recovery.TargetXID{XID: 4294967295}},
	"to_lsn":           {Role: recovery.Targeted, RestoreCommand: "cp /a/%f %p", Target: recovery.TargetLSN{LSN: 0x1_0300_0148}, Action: recovery.ActionShutdown},
	"to_name":          {Role: recovery.Targeted, RestoreCommand: "cp /a/%f %p", Target: recovery.TargetName{Name: "it's\\here"}, Action: recovery.ActionPause},
	"to_consistency":   {Role: recovery.Targeted, RestoreCommand: "cp /a/%f %p", Target: recovery.TargetImmediate{}, Action: recovery.ActionPromote},
	"standby_to_name": {PrimaryConninfo: info("host", "db1"), Target: recovery.TargetName{Name: "release"}, Action: recovery.ActionPromote,
		TargetTimeline: recovery.TimelineLatest},
}

// What each config is for each major, or why it is refused; majors that agree share a section.
func TestConfig_Render(t *testing.T) {
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			var got, last string
			var first pgconf.Major
			section := func(until pgconf.Major) {
				if last != "" {
					got += fmt.Sprintf("== %s to %s ==\n%s", first, until, last)
				}
			}
			for _, major := range allMajors() {
				files, err := cfg.Render(major)
				require.Equal(t, cfg.Validate(major), err)
				var text strings.Builder
				if err != nil {
					require.Nil(t, files)
					fmt.Fprintln(&text, "error:", strings.ReplaceAll(err.Error(), "PostgreSQL "+major.String(), "PostgreSQL …"))
				}
				for _, f := range files {
					fmt.Fprintf(&text, "-- %s --\n%s", f.Name, f.Data)
				}
				if text.String() != last {
					section(major - 1)
					first, last = major, text.String()
				}
			}
			section(pgconf.Newest)
			golden := filepath.Join("testdata", "render", name+".golden")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

// The file that carries the role comes first: it must be there before anything that could go wrong.
func TestConfig_Render_roleFirst(t *testing.T) {
	for _, major := range allMajors() {
		for _, name := range []string{"archive_only", "to_the_end"} {
			files, err := configs[name].Render(major)
			require.NoError(t, err)
			signal := map[string]string{"archive_only": recovery.StandbySignal, "to_the_end": recovery.RecoverySignal}[name]
			if major <= 11 {
				require.Equal(t, recovery.RecoveryConf, files[0].Name)
				require.Equal(t, name == "archive_only", strings.Contains(string(files[0].Data), "standby_mode = 'on'\n"))
			} else {
				require.Equal(t, recovery.File{Name: signal}, files[0])
			}
		}
	}
}

func TestConfig_Validate(t *testing.T) {
	good := recovery.Config{PrimaryConninfo: info("host", "db1"), RestoreCommand: "cp /a/%f %p"}
	targeted := recovery.Config{Role: recovery.Targeted, RestoreCommand: "cp /a/%f %p"}
	change := func(c recovery.Config, f func(c *recovery.Config)) recovery.Config {
		f(&c)
		return c
	}
	standby := func(f func(c *recovery.Config)) recovery.Config { return change(good, f) }
	target := func(to recovery.Target, action recovery.TargetAction) recovery.Config {
		return change(targeted, func(c *recovery.Config) { c.Target, c.Action = to, action })
	}
	at := func(text string) recovery.Config { return target(recovery.TargetTime{Text: text}, "") }
	for _, tc := range []struct {
		name   string
		cfg    recovery.Config
		majors []pgconf.Major // for which it is refused
		fields []string       // in the order of the faults
		says   string         // the alternative
	}{
		{"standby", good, nil, nil, ""},
		{"targeted", targeted, nil, nil, ""},
		{"no_source", recovery.Config{}, allMajors(), []string{"PrimaryConninfo"}, "set one"},
		{"no_such_role", standby(func(c *recovery.Config) { c.Role = 2 }), allMajors(), []string{"Role"}, "Standby or Targeted"},
		{"no_archive", recovery.Config{Role: recovery.Targeted}, allMajors(), []string{"RestoreCommand"}, "set it"},
		{"targeted_that_streams", change(targeted, func(c *recovery.Config) { c.PrimaryConninfo = info("host", "h") }), allMajors(), []string{"PrimaryConninfo"}, "Standby with a Target"},
		{"conninfo_too_new", standby(func(c *recovery.Config) { c.PrimaryConninfo = info("channel_binding", "require") }), majors(pgconf.Oldest, 12), []string{"PrimaryConninfo"}, "13"},
		{"slot", standby(func(c *recovery.Config) { c.PrimarySlotName = "slot_2" }), majors(pgconf.Oldest, pgconf.V9_3), []string{"PrimarySlotName"}, "wal_keep_segments"},
		{"slot_without_streaming", standby(func(c *recovery.Config) { c.PrimaryConninfo, c.PrimarySlotName = conninfo.Info{}, "s" }), majors(10, 18), []string{"PrimarySlotName"}, "both or neither"},
		{"slot_with_a_dash", standby(func(c *recovery.Config) { c.PrimarySlotName = "slot-2" }), majors(10, 18), []string{"PrimarySlotName"}, "a-z"},
		{"slot_with_a_capital", standby(func(c *recovery.Config) { c.PrimarySlotName = "Slot" }), majors(10, 18), []string{"PrimarySlotName"}, "a-z"},
		{"slot_of_63", standby(func(c *recovery.Config) { c.PrimarySlotName = strings.Repeat("a", 63) }), majors(pgconf.Oldest, pgconf.V9_3), []string{"PrimarySlotName"}, ""},
		{"slot_of_64", standby(func(c *recovery.Config) { c.PrimarySlotName = strings.Repeat("a", 64) }), majors(10, 18), []string{"PrimarySlotName"}, "63"},

		{"NUL_in_the_conninfo", standby(func(c *recovery.Config) { c.PrimaryConninfo = info("password", "marker\x00") }), majors(12, 18), []string{"PrimaryConninfo"}, "NUL"},
		{"NUL_in_restore_command", standby(func(c *recovery.Config) { c.RestoreCommand = "cp marker\x00" }), allMajors(), []string{"RestoreCommand"}, "NUL"},
		{"NUL_in_cleanup", standby(func(c *recovery.Config) { c.ArchiveCleanupCommand = "rm marker\x00" }), allMajors(), []string{"ArchiveCleanupCommand"}, "NUL"},
		{"NUL_in_end_command", standby(func(c *recovery.Config) { c.RecoveryEndCommand = "rm marker\x00" }), allMajors(), []string{"RecoveryEndCommand"}, "NUL"},
		{"line_break", standby(func(c *recovery.Config) { c.RestoreCommand = "a\nb" }), majors(pgconf.V9_0, pgconf.V9_0), []string{"RestoreCommand"}, "one line"},
		{"long_line", standby(func(c *recovery.Config) { c.RestoreCommand = strings.Repeat("x", 951) }), majors(pgconf.V9_0, pgconf.V9_0), []string{"RestoreCommand"}, "script"},
		{"long_line_of_quotes", standby(func(c *recovery.Config) { c.RestoreCommand = strings.Repeat("'", 476) }), majors(pgconf.V9_0, pgconf.V9_0), []string{"RestoreCommand"}, "script"},
		{"line_that_fits", standby(func(c *recovery.Config) { c.RestoreCommand = strings.Repeat("x", 950) }), nil, nil, ""},

		// A placeholder that is none goes to the shell as it stands up to 15, and stops the server from 16 on.
		{"unknown_placeholder", standby(func(c *recovery.Config) { c.RestoreCommand = "cp %f %p $(date +%s)" }), majors(16, 18), []string{"RestoreCommand"}, "%%"},
		{"percent_at_the_end", standby(func(c *recovery.Config) { c.RestoreCommand = "cp %f %p %" }), majors(16, 18), []string{"RestoreCommand"}, "%%"},
		{"percent_percent", standby(func(c *recovery.Config) { c.RestoreCommand = "cp %%f %%%p %r %%" }), nil, nil, ""},
		{"cleanup_knows_only_r", standby(func(c *recovery.Config) { c.ArchiveCleanupCommand = "rm %f" }), majors(16, 18), []string{"ArchiveCleanupCommand"}, "%%"},
		{"end_command_knows_only_r", standby(func(c *recovery.Config) { c.RecoveryEndCommand = "echo %r %p" }), majors(16, 18), []string{"RecoveryEndCommand"}, "%%"},

		{"trigger", standby(func(c *recovery.Config) { c.TriggerFile = "/run/t" }), majors(16, 18), []string{"TriggerFile"}, "pg_promote()"},
		{"trigger_of_targeted", change(targeted, func(c *recovery.Config) { c.TriggerFile = "/run/t" }), majors(10, 15), []string{"TriggerFile"}, "Standby with a Target"},
		{"delay", standby(func(c *recovery.Config) { c.MinApplyDelay = time.Millisecond }), majors(pgconf.Oldest, pgconf.V9_3), []string{"MinApplyDelay"}, "pg_xlog_replay_pause()"},
		{"delay_negative", standby(func(c *recovery.Config) { c.MinApplyDelay = -time.Second }), majors(10, 18), []string{"MinApplyDelay"}, "whole milliseconds"},
		{"delay_too_fine", standby(func(c *recovery.Config) { c.MinApplyDelay = time.Microsecond }), majors(10, 18), []string{"MinApplyDelay"}, "whole milliseconds"},
		{"delay_longest", standby(func(c *recovery.Config) { c.MinApplyDelay = 2147483647 * time.Millisecond }), majors(pgconf.Oldest, pgconf.V9_3), []string{"MinApplyDelay"}, ""},
		{"delay_too_long", standby(func(c *recovery.Config) { c.MinApplyDelay = 2147483648 * time.Millisecond }), majors(10, 18), []string{"MinApplyDelay"}, "596h"},

		{"time", target(recovery.TargetTime{At: noon}, ""), nil, nil, ""},
		{"time_not_set", target(recovery.TargetTime{}, ""), allMajors(), []string{"Target"}, "At and Text"},
		{"time_twice", target(recovery.TargetTime{At: noon, Text: "2026-03-01"}, ""), allMajors(), []string{"Target"}, "At and Text"},
		{"time_too_fine", target(recovery.TargetTime{At: noon.Add(1)}, ""), allMajors(), []string{"Target"}, "Truncate"},
		{"time_too_late", target(recovery.TargetTime{At: noon.AddDate(8000, 0, 0)}, ""), allMajors(), []string{"Target"}, "9999"},
		{"time_before_Christ", target(recovery.TargetTime{At: noon.AddDate(-2026, 0, 0)}, ""), allMajors(), []string{"Target"}, "9999"},
		{"time_yesterday", at("Yesterday"), allMajors(), []string{"Target"}, "date"},
		{"time_infinity", at("infinity"), allMajors(), []string{"Target"}, "date"},
		{"xid", target(recovery.TargetXID{XID: 3}, ""), nil, nil, ""},
		{"xid_2", target(recovery.TargetXID{XID: 2}, ""), allMajors(), []string{"Target"}, "3"},
		{"lsn", target(recovery.TargetLSN{LSN: 1}, ""), majors(pgconf.Oldest, pgconf.V9_6), []string{"Target"}, "restore point"},
		{"lsn_not_set", target(recovery.TargetLSN{}, ""), majors(10, 18), []string{"Target"}, "not set"},
		{"name", target(recovery.TargetName{Name: strings.Repeat("é", 31)}, ""), majors(pgconf.V9_0, pgconf.V9_0), []string{"Target"}, "a time"},
		{"name_not_set", target(recovery.TargetName{}, ""), majors(10, 18), []string{"Target"}, "63"},
		{"name_of_64_bytes", target(recovery.TargetName{Name: strings.Repeat("é", 32)}, ""), majors(10, 18), []string{"Target"}, "63"},
		{"immediate", target(recovery.TargetImmediate{}, ""), majors(pgconf.Oldest, pgconf.V9_3), []string{"Target"}, "base backup"},
		{"target_of_a_standby", standby(func(c *recovery.Config) { c.Target = recovery.TargetXID{XID: 3} }), nil, nil, ""},

		{"pause", target(recovery.TargetXID{XID: 3}, recovery.ActionPause), majors(pgconf.V9_0, pgconf.V9_0), []string{"Action"}, "leave it empty"},
		{"promote", target(recovery.TargetXID{XID: 3}, recovery.ActionPromote), nil, nil, ""},
		{"shutdown", target(recovery.TargetXID{XID: 3}, recovery.ActionShutdown), majors(pgconf.Oldest, pgconf.V9_4), []string{"Action"}, "ActionPause"},
		{"other_action", target(recovery.TargetXID{XID: 3}, "Pause"), allMajors(), []string{"Action"}, `"pause"`},
		{"action_at_the_end", target(nil, recovery.ActionPause), allMajors(), []string{"Action"}, "becomes a primary"},
		{"action_of_a_standby", standby(func(c *recovery.Config) { c.Action = recovery.ActionPause }), allMajors(), []string{"Action"}, "leave it empty"},

		{"timeline_1", standby(func(c *recovery.Config) { c.TargetTimeline = recovery.TimelineNumber(1) }), nil, nil, ""},
		{"timeline_4294967295", standby(func(c *recovery.Config) { c.TargetTimeline = "4294967295" }), nil, nil, ""},
		{"timeline_0", standby(func(c *recovery.Config) { c.TargetTimeline = recovery.TimelineNumber(0) }), allMajors(), []string{"TargetTimeline"}, "TimelineLatest"},
		{"timeline_too_high", standby(func(c *recovery.Config) { c.TargetTimeline = "4294967296" }), allMajors(), []string{"TargetTimeline"}, "TimelineLatest"},
		{"timeline_in_hex", standby(func(c *recovery.Config) { c.TargetTimeline = "0x3" }), allMajors(), []string{"TargetTimeline"}, "TimelineLatest"},
		{"timeline_in_capitals", standby(func(c *recovery.Config) { c.TargetTimeline = "LATEST" }), allMajors(), []string{"TargetTimeline"}, "TimelineLatest"},

		{"many_faults", recovery.Config{Role: recovery.Targeted, TriggerFile: "t", MinApplyDelay: -1, Action: "x", TargetTimeline: "x"}, majors(16, 18),
			[]string{"RestoreCommand", "TriggerFile", "MinApplyDelay", "Action", "TargetTimeline"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, major := range allMajors() {
				err := tc.cfg.Validate(major)
				if err != nil {
					require.NotContains(t, err.Error(), "marker")
				}
				if !slices.Contains(tc.majors, major) {
					refusedOnly := len(tc.majors) > 0 && tc.majors[0] >= 10 // older ones may have reasons of their own
					require.True(t, err == nil || refusedOnly, "major %s: %v", major, err)
					continue
				}
				require.Error(t, err, "major %s", major)
				require.Contains(t, err.Error(), tc.says)
				var fields []string
				for _, fault := range err.(interface{ Unwrap() []error }).Unwrap() {
					var field *recovery.FieldError
					require.ErrorAs(t, fault, &field)
					require.Equal(t, major, field.Major)
					require.True(t, strings.HasPrefix(fault.Error(), field.Field+": "))
					fields = append(fields, field.Field)
				}
				require.Equal(t, tc.fields, fields, "major %s: %v", major, err)
			}
		})
	}
	for _, major := range []pgconf.Major{0, -1, pgconf.V9_0 - 1, 19, 100000} {
		var bad *recovery.MajorError
		require.ErrorAs(t, good.Validate(major), &bad)
		require.Equal(t, major, bad.Major)
	}
	require.EqualError(t, good.Validate(19), "PostgreSQL 19: recovery settings are known for majors 9.0 to 18")
}

func TestConfig_WithDefaults(t *testing.T) {
	cfg := recovery.Config{Target: recovery.TargetTime{Text: "2026-03-01 14:00:00+02", Exclusive: true}}
	for _, major := range allMajors() {
		got := cfg.WithDefaults(major)
		require.Equal(t, recovery.TargetTime{At: noon, Exclusive: true}, got.Target)
		require.Equal(t, major >= 12, got.TargetTimeline == recovery.TimelineLatest)
		require.Equal(t, major < 12, got.TargetTimeline == recovery.TimelineCurrent)
		require.Equal(t, major == pgconf.V9_0, got.Action == recovery.ActionPromote)
		require.Equal(t, major > pgconf.V9_0, got.Action == recovery.ActionPause)
		require.Equal(t, got, got.WithDefaults(major))
		require.Empty(t, recovery.Config{}.WithDefaults(major).Action)
	}
}

// Text that says a time without doubt is that time; any other stays as it is.
func TestTargetTime_text(t *testing.T) {
	for _, text := range []string{
		"2026-03-01 12:00:00+00", "2026-03-01 12:00:00Z", "2026-03-01 12:00:00 UTC", "2026-03-01T12:00:00.000000Z", "2026-03-01 14:00+02",
		"2026-03-01 14:00:00 +02:00", "2026-03-01 17:30:00+0530", "2026-03-01 12:00 GMT", "2026-03-01 04:00:00-08",
	} {
		got := recovery.Config{Target: recovery.TargetTime{Text: text}}.WithDefaults(17)
		require.Equal(t, recovery.TargetTime{At: noon}, got.Target, text)
	}
	for _, text := range []string{
		"2026-03-01 12:00:00", "2026-03-01 12:00:00 CET", "01.03.2026 12:00Z", "Mar 1 2026 12:00 UTC", "2026-03-01 12:00:00.1234567+00", "2026-03-01", "x",
		"2026-02-30 12:00:00Z", "2026-03-01 12:00:00,5Z", "0000-03-01 12:00:00Z",
	} {
		got := recovery.Config{Target: recovery.TargetTime{Text: text}}.WithDefaults(17)
		require.Equal(t, recovery.TargetTime{Text: text}, got.Target, text)
	}
}

func TestTargetTimeline_Number(t *testing.T) {
	for text, want := range map[recovery.TargetTimeline]wal.Timeline{
		"1": 1, "4294967295": 4294967295, recovery.TimelineNumber(7): 7, "": 0, "0": 0, "latest": 0, "current": 0, "+1": 0, "01": 0, "4294967296": 0,
	} {
		got, ok := text.Number()
		require.Equal(t, want, got, text)
		require.Equal(t, want != 0, ok, text)
	}
}

func TestConfig_printedShowsNoPassword(t *testing.T) {
	cfg := recovery.Config{PrimaryConninfo: info("host", "h", "password", "marker")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(verb, cfg), "marker", verb)
		require.NotContains(t, fmt.Sprintf(verb, &cfg), "marker", verb)
		require.NotContains(t, fmt.Sprintf(verb, recovery.Start{Config: cfg}), "marker", verb)
	}
}

func sortedConfigs() []string { return slices.Sorted(maps.Keys(configs)) }
