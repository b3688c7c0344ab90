package recovery_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
)

var update = flag.Bool("update", false, "rewrite the golden files; read the diff before you commit it")

func info(pairs ...string) conninfo.Info {
	var i conninfo.Info
	for n := 0; n < len(pairs); n += 2 {
		i = i.With(pairs[n], pairs[n+1])
	}
	return i
}

func allMajors() []int {
	var all []int
	for major := recovery.MinMajor; major <= recovery.MaxMajor; major++ {
		all = append(all, major)
	}
	return all
}

// configs are the standbys that the golden files describe.
var configs = map[string]recovery.Config{
	"streaming": {
		PrimaryConninfo: info("host", "db1", "port", "5432", "user", "replicator", "passfile", "/var/lib/postgresql/.pgpass", "application_name", "db2"),
		TargetTimeline:  recovery.TimelineLatest,
	},
	"archive_only": {RestoreCommand: "/usr/bin/walarchive fetch --archive /mnt/wal %f %p"},
	"everything_odd": {
		PrimaryConninfo:       info("host", "db1,db2", "user", "it's me", "password", `a'b\c d%e "f`, "application_name", "größe", "options", ""),
		PrimarySlotName:       "slot_2",
		RestoreCommand:        `test "$(hostname)" = 'db 2' && cp '/mnt/w a l/100%%/%f' "%p" # \ ` + "\t\r\nexit 1",
		ArchiveCleanupCommand: `pg_archivecleanup '/mnt/w a l' %r`,
		TargetTimeline:        recovery.TimelineLatest,
	},
}

func TestConfig_Render(t *testing.T) {
	for name, cfg := range configs {
		for _, major := range allMajors() {
			t.Run(fmt.Sprintf("%s/major=%d", name, major), func(t *testing.T) {
				files, err := cfg.Render(major)
				require.NoError(t, err)
				var got strings.Builder
				for _, f := range files {
					fmt.Fprintf(&got, "-- %s --\n%s", f.Name, f.Data)
				}
				era := "12-18"
				if major <= 11 {
					era = "10-11"
				}
				golden := filepath.Join("testdata", "render", name+"."+era+".golden")
				if *update && (major == 10 || major == 12) {
					require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
				}
				want, err := os.ReadFile(golden)
				require.NoError(t, err)
				require.Equal(t, string(want), got.String())
			})
		}
	}
}

// The file that carries the role comes first: it must be there before anything that could go wrong.
func TestConfig_Render_roleFirst(t *testing.T) {
	for _, major := range allMajors() {
		files, err := configs["streaming"].Render(major)
		require.NoError(t, err)
		if major <= 11 {
			require.Equal(t, recovery.RecoveryConf, files[0].Name)
			conf, err := pgconf.Parse("recovery.conf", files[0].Data)
			require.NoError(t, err)
			mode, _ := conf.Get("standby_mode")
			require.Equal(t, "on", mode.Value)
		} else {
			require.Equal(t, recovery.File{Name: recovery.StandbySignal}, files[0])
		}
	}
}

func TestConfig_Validate(t *testing.T) {
	good := configs["everything_odd"]
	change := func(f func(c *recovery.Config)) recovery.Config {
		c := good
		f(&c)
		return c
	}
	for _, tc := range []struct {
		name   string
		cfg    recovery.Config
		majors []int  // all if nil
		says   string // how the error begins; empty for none
	}{
		{"everything", good, nil, ""},
		{"streaming_only", change(func(c *recovery.Config) { c.RestoreCommand, c.ArchiveCleanupCommand = "", "" }), nil, ""},
		{"archive_only", configs["archive_only"], nil, ""},
		{"default_timeline", change(func(c *recovery.Config) { c.TargetTimeline = recovery.TimelineDefault }), nil, ""},
		{"major_9", good, []int{9, 0, -1}, "PostgreSQL "},
		{"major_19", good, []int{19, 100000}, "PostgreSQL "},
		{"no_source", recovery.Config{}, nil, "PrimaryConninfo and RestoreCommand are both empty"},
		{"slot_without_streaming", change(func(c *recovery.Config) { c.PrimaryConninfo = conninfo.Info{} }), nil, "PrimarySlotName"},
		{"other_timeline", change(func(c *recovery.Config) { c.TargetTimeline = "3" }), nil, "TargetTimeline"},
		{"timeline_in_capitals", change(func(c *recovery.Config) { c.TargetTimeline = "LATEST" }), nil, "TargetTimeline"},
		{"slot_with_a_dash", change(func(c *recovery.Config) { c.PrimarySlotName = "slot-2" }), nil, "PrimarySlotName"},
		{"slot_with_a_capital", change(func(c *recovery.Config) { c.PrimarySlotName = "Slot" }), nil, "PrimarySlotName"},
		{"slot_of_63", change(func(c *recovery.Config) { c.PrimarySlotName = strings.Repeat("a", 63) }), nil, ""},
		{"slot_of_64", change(func(c *recovery.Config) { c.PrimarySlotName = strings.Repeat("a", 64) }), nil, "PrimarySlotName"},
		{"NUL_in_the_conninfo", change(func(c *recovery.Config) { c.PrimaryConninfo = info("password", "marker\x00") }), nil, "PrimaryConninfo"},
		{"NUL_in_restore_command", change(func(c *recovery.Config) { c.RestoreCommand = "cp marker\x00" }), nil, "RestoreCommand"},
		{"NUL_in_cleanup", change(func(c *recovery.Config) { c.ArchiveCleanupCommand = "rm marker\x00" }), nil, "ArchiveCleanupCommand"},

		// A placeholder that is none goes to the shell as it stands up to 15, and stops the server from 16 on.
		{"unknown_placeholder_16", change(func(c *recovery.Config) { c.RestoreCommand = "cp %f %p $(date +%s)" }), []int{16, 17, 18}, `RestoreCommand: "%s"`},
		{"unknown_placeholder_15", change(func(c *recovery.Config) { c.RestoreCommand = "cp %f %p $(date +%s)" }), []int{10, 11, 12, 13, 14, 15}, ""},
		{"percent_at_the_end_16", change(func(c *recovery.Config) { c.RestoreCommand = "cp %f %p %" }), []int{16, 17, 18}, `RestoreCommand: "%"`},
		{"percent_percent_at_the_end", change(func(c *recovery.Config) { c.RestoreCommand = "cp %f %p %%" }), nil, ""},
		{"percent_percent_f", change(func(c *recovery.Config) { c.RestoreCommand = "cp %%f %%%p %r" }), nil, ""},
		{"cleanup_knows_only_r_16", change(func(c *recovery.Config) { c.ArchiveCleanupCommand = "rm %f" }), []int{16, 17, 18}, `ArchiveCleanupCommand: "%f"`},
		{"cleanup_knows_only_r_15", change(func(c *recovery.Config) { c.ArchiveCleanupCommand = "rm %f" }), []int{10, 15}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			majors := tc.majors
			if majors == nil {
				majors = allMajors()
			}
			for _, major := range majors {
				err := tc.cfg.Validate(major)
				if tc.says == "" {
					require.NoError(t, err, "major %d", major)
					continue
				}
				require.ErrorContains(t, err, tc.says, "major %d", major)
				require.True(t, strings.HasPrefix(err.Error(), tc.says), "%v", err)
				require.NotContains(t, err.Error(), "marker")
				files, renderErr := tc.cfg.Render(major)
				require.Equal(t, err, renderErr)
				require.Nil(t, files)
				if major < recovery.MinMajor || major > recovery.MaxMajor {
					var bad *recovery.MajorError
					require.ErrorAs(t, err, &bad)
					require.Equal(t, major, bad.Major)
				}
			}
		})
	}
}

func TestConfig_printedShowsNoPassword(t *testing.T) {
	cfg := recovery.Config{PrimaryConninfo: info("host", "h", "password", "marker")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(verb, cfg), "marker", verb)
		require.NotContains(t, fmt.Sprintf(verb, &cfg), "marker", verb)
	}
}

// FuzzRenderRoundTrip: what a config says is what the server will read from the files.
func FuzzRenderRoundTrip(f *testing.F) {
	f.Add("it's me", `a'b\c d`, "slot_2", `cp '/a b/%f' "%p"`, "pg_archivecleanup /x %r", true)
	f.Add("", "", "", "\\\n\r\t'%%'", "", false)
	f.Add("é\xff", "'", "_", "#", "''", true)
	f.Fuzz(func(t *testing.T, user, password, slot, restore, cleanup string, latest bool) {
		cfg := recovery.Config{PrimaryConninfo: info("user", user, "password", password), PrimarySlotName: slot, RestoreCommand: restore, ArchiveCleanupCommand: cleanup}
		if latest {
			cfg.TargetTimeline = recovery.TimelineLatest
		}
		for _, major := range []int{10, 12, 18} {
			files, err := cfg.Render(major)
			if err != nil {
				if cfg.Validate(major) == nil {
					t.Fatalf("valid, but: %v", err)
				}
				continue
			}
			last := files[len(files)-1]
			conf, err := pgconf.Parse(last.Name, last.Data)
			if err != nil {
				t.Fatalf("%v\n%s", err, last.Data)
			}
			got := func(name string) string {
				s, _ := conf.Get(name)
				return s.Value
			}
			for name, want := range map[string]string{
				"primary_slot_name": slot, "restore_command": restore, "archive_cleanup_command": cleanup,
			} {
				if got(name) != want {
					t.Fatalf("major %d: %s: got %q, want %q", major, name, got(name), want)
				}
			}
			back, err := conninfo.Parse(got("primary_conninfo"))
			if err != nil || !back.Equal(cfg.PrimaryConninfo) {
				t.Fatalf("major %d: primary_conninfo differs: %v", major, err)
			}
			if timeline := got("recovery_target_timeline"); latest && timeline != "latest" || !latest && major <= 11 && timeline != "" {
				t.Fatalf("major %d: recovery_target_timeline %q", major, timeline)
			}
		}
	})
}

func TestMajorError(t *testing.T) {
	err := recovery.Config{}.Validate(9)
	require.True(t, errors.As(err, new(*recovery.MajorError)))
	require.EqualError(t, err, "PostgreSQL 9: recovery settings are known for majors 10 to 18")
}
