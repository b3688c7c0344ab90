package recovery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
)

const dataDir = "/srv/pg/data"

var (
	errDisk = errors.New("disk full")
	errRead = errors.New("permission denied")
)

// memory is a data directory in memory. Names are relative to it.
type memory struct {
	files      map[string]string
	writes     []string // in order
	failWrite  int      // the number of the write that fails, from 1; 0 for none
	halfDone   bool     // the failing write happened, only its success was not reported
	unreadable string   // the name that cannot be read
}

func newMemory(files map[string]string) *memory { return &memory{files: maps.Clone(files)} }

func (m *memory) name(p string) string {
	name, ok := strings.CutPrefix(path.Clean(p), dataDir+"/")
	if !ok {
		return p
	}
	return name
}

func (m *memory) ReadFile(ctx context.Context, p string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := m.name(p)
	if name == m.unreadable {
		return nil, &fs.PathError{Op: "read", Path: p, Err: errRead}
	}
	data, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: p, Err: fs.ErrNotExist}
	}
	return []byte(data), nil
}

func (m *memory) WriteFile(_ context.Context, p string, data []byte, perm fs.FileMode) error {
	m.writes = append(m.writes, m.name(p))
	if perm != 0o600 {
		return fmt.Errorf("mode %v: others could read a password", perm)
	}
	fails := len(m.writes) == m.failWrite
	if !fails || m.halfDone {
		m.files[m.name(p)] = string(data)
	}
	if fails {
		return &fs.PathError{Op: "write", Path: p, Err: errDisk}
	}
	return nil
}

// Remove counts as a write.
func (m *memory) Remove(_ context.Context, p string) error {
	m.writes = append(m.writes, "-"+m.name(p))
	fails := len(m.writes) == m.failWrite
	if !fails || m.halfDone {
		delete(m.files, m.name(p))
	}
	if fails {
		return &fs.PathError{Op: "remove", Path: p, Err: errDisk}
	}
	return nil
}

func (m *memory) apply(t *testing.T, major pgconf.Major, cfg recovery.Config) error {
	t.Helper()
	return recovery.Apply(t.Context(), m, recovery.Server{DataDir: dataDir, Major: major}, cfg)
}

// dir returns the files of a data directory of a major, and others given as name and content.
func dir(major pgconf.Major, files ...string) map[string]string {
	all := map[string]string{"PG_VERSION": major.String() + "\n", "postgresql.conf": "port = 5432\n"}
	for i := 0; i < len(files); i += 2 {
		all[files[i]] = files[i+1]
	}
	return all
}

// role says how a server would start with these files: "primary", "standby", "recovery" (to a target, then primary) or "refuses".
func role(t *testing.T, major pgconf.Major, files map[string]string) string {
	t.Helper()
	conf, hasConf := files["recovery.conf"]
	_, standby := files["standby.signal"]
	_, target := files["recovery.signal"]
	switch {
	case major <= 11 && !hasConf:
		return "primary"
	case major <= 11:
		f, err := pgconf.Parse("recovery.conf", []byte(conf))
		if err != nil {
			return "refuses"
		}
		if mode, _ := f.Get("standby_mode"); mode.Value == "on" {
			return "standby"
		}
		return "recovery"
	case hasConf:
		return "refuses"
	case standby:
		return "standby"
	case target:
		return "recovery"
	default:
		return "primary"
	}
}

// effective returns the recovery settings that a server would read: recovery.conf, or postgresql.conf with the includes of our
// file, then postgresql.auto.conf.
func effective(t *testing.T, major pgconf.Major, files map[string]string) map[string]string {
	t.Helper()
	got := map[string]string{}
	var read func(name string)
	read = func(name string) {
		f, err := pgconf.Parse(name, []byte(files[name]))
		require.NoError(t, err)
		for _, s := range f.Settings() {
			included := strings.TrimPrefix(path.Clean(s.Value), dataDir+"/")
			if !s.IsInclude() {
				got[s.Name] = s.Value
			} else if s.Name != "include_dir" && included == recovery.SettingsFile {
				read(included)
			}
		}
	}
	if major <= 11 {
		read("recovery.conf")
	} else {
		read("postgresql.conf")
		read("postgresql.auto.conf")
	}
	maps.DeleteFunc(got, func(name, value string) bool { return value == "" || !slices.Contains(recoverySettings, name) })
	return got
}

// recoverySettings are those that Config speaks of or that decide when a standby ends to be one.
var recoverySettings = []string{
	"archive_cleanup_command", "primary_conninfo", "primary_slot_name", "recovery_target", "recovery_target_lsn", "recovery_target_name",
	"recovery_target_time", "recovery_target_timeline", "recovery_target_xid", "restore_command",
}

// streaming is a standby that every major can be.
var streaming = recovery.Config{
	PrimaryConninfo: info("host", "db1", "port", "5432", "user", "replicator", "application_name", "db2"),
	TargetTimeline:  recovery.TimelineLatest,
}

func streamingSettings() map[string]string {
	return map[string]string{"primary_conninfo": streaming.PrimaryConninfo.Text(), "recovery_target_timeline": "latest"}
}

// Directories that a server may be in when Apply is called.
func directories(major pgconf.Major) map[string]map[string]string {
	all := map[string]map[string]string{
		"new_cluster":           dir(major),
		"empty_postgresql_conf": dir(major, "postgresql.conf", ""),
		"no_final_newline":      dir(major, "postgresql.conf", "port = 5432"),
		"comment_at_the_end":    dir(major, "postgresql.conf", "port = 5432\n# the end"),
		"crlf":                  dir(major, "postgresql.conf", "port = 5432\r\nssl = off\r\n"),
		"crlf_no_final_newline": dir(major, "postgresql.conf", "port = 5432\r\nssl = off"),
		"auto_conf_of_others":   dir(major, "postgresql.auto.conf", "# Do not edit this file manually!\nwork_mem = '4MB'\n"),
	}
	if major <= 11 {
		maps.Copy(all, map[string]map[string]string{
			"promoted_before":            dir(major, "recovery.done", "standby_mode = 'on'\nprimary_conninfo = 'host=old'\n"),
			"standby_of_another":         dir(major, "recovery.conf", "standby_mode = 'on'\nprimary_conninfo = 'host=old'\nrecovery_end_command = 'old'\n"),
			"standby_from_the_archive":   dir(major, "recovery.conf", "standby_mode = 'on'\nrestore_command = 'cp /a/%f %p'\nrecovery_target_timeline = '5'"),
			"restores_to_the_end":        dir(major, "recovery.conf", "restore_command = 'cp /a/%f %p'\r\n"),
			"signal_file_of_later_major": dir(major, "standby.signal", ""),
		})
		return all
	}
	maps.Copy(all, map[string]map[string]string{
		"promoted_before": dir(major, "postgresql.conf", "port = 5432\ninclude_if_exists = 'understudy.recovery.conf'\n",
			recovery.SettingsFile, "primary_conninfo = 'host=old'\nprimary_slot_name = 'old'\nrestore_command = 'old'\n"),
		"standby_of_another": dir(major, "standby.signal", "", "postgresql.conf", "port = 5432\ninclude_if_exists = 'understudy.recovery.conf'\n",
			recovery.SettingsFile, "primary_conninfo = 'host=old'\narchive_cleanup_command = 'old'\nrecovery_target_timeline = 'current'\n"),
		"settings_by_hand":     dir(major, "postgresql.conf", "primary_conninfo = 'host=old'\nprimary_slot_name = 'old'\nrestore_command = 'old'\narchive_cleanup_command = 'old'\n"),
		"settings_after_ours":  dir(major, "postgresql.conf", "include_if_exists = 'understudy.recovery.conf'\nPrimary_ConnInfo = 'host=old'\n"),
		"include_after_ours":   dir(major, "postgresql.conf", "include_if_exists = 'understudy.recovery.conf'\ninclude_dir = 'conf.d'\n"),
		"include_spelled_1":    dir(major, "postgresql.conf", "INCLUDE 'understudy.recovery.conf' # ours\nport = 1\n"),
		"include_spelled_2":    dir(major, "postgresql.conf", "include_if_exists='./understudy.recovery.conf'\r\n"),
		"include_spelled_3":    dir(major, "postgresql.conf", "include = '"+dataDir+"/understudy.recovery.conf'"),
		"include_commented":    dir(major, "postgresql.conf", "#include_if_exists = 'understudy.recovery.conf'\n"),
		"include_dir_of_ours":  dir(major, "postgresql.conf", "include_dir = 'understudy.recovery.conf'\n"),
		"include_of_a_copy":    dir(major, "postgresql.conf", "include = '/backup/understudy.recovery.conf'\n"),
		"empty_target":         dir(major, "postgresql.conf", "recovery_target_lsn = '0/1'\nrecovery_target_lsn = ''\n"),
		"target_reset_in_auto": dir(major, "postgresql.conf", "recovery_target_lsn = '0/1'\n", "postgresql.auto.conf", "recovery_target_lsn = ''\n"),
		"trigger_not_pulled":   dir(major, "postgresql.conf", "promote_trigger_file = '/run/pull'\n"),
	})
	return all
}

// Whatever the directory was: afterwards it is the standby that the config describes, a second Apply changes no byte and does
// not write postgresql.conf, and what was in postgresql.conf stands there still.
func TestApply(t *testing.T) {
	for _, major := range allMajors() {
		for name, files := range directories(major) {
			t.Run(fmt.Sprintf("%s/major=%s", name, major), func(t *testing.T) {
				m := newMemory(files)
				require.NoError(t, m.apply(t, major, streaming))
				require.Equal(t, "standby", role(t, major, m.files))
				require.Equal(t, streamingSettings(), effective(t, major, m.files))
				before, after := files["postgresql.conf"], m.files["postgresql.conf"]
				require.True(t, strings.HasPrefix(after, before), "%q does not begin with %q", after, before)
				if added := after[len(before):]; added != "" && strings.Contains(before, "\r\n") {
					require.NotContains(t, strings.ReplaceAll(added, "\r\n", ""), "\n", "the line ends of the file")
				}

				again := newMemory(m.files)
				require.NoError(t, again.apply(t, major, streaming))
				require.Equal(t, m.files, again.files)
				require.NotContains(t, again.writes, "postgresql.conf", "there is nothing to change")
			})
		}
	}
}

func TestApply_bytes(t *testing.T) {
	for _, tc := range []struct {
		name, before, after string
	}{
		{"new", "port = 1\n", "port = 1\ninclude_if_exists = 'understudy.recovery.conf'\n"},
		{"empty", "", "include_if_exists = 'understudy.recovery.conf'\n"},
		{"no_newline", "port = 1", "port = 1\ninclude_if_exists = 'understudy.recovery.conf'\n"},
		{"crlf", "port = 1\r\n", "port = 1\r\ninclude_if_exists = 'understudy.recovery.conf'\r\n"},
		{"crlf_no_newline", "a = 1\r\nport = 1", "a = 1\r\nport = 1\r\ninclude_if_exists = 'understudy.recovery.conf'\r\n"},
		{"already", "include 'understudy.recovery.conf'\n", "include 'understudy.recovery.conf'\n"},
		{"overruled", "include 'understudy.recovery.conf'\nrestore_command = x\n",
			"include 'understudy.recovery.conf'\nrestore_command = x\ninclude_if_exists = 'understudy.recovery.conf'\n"},
		{"other_include_after_it", "include 'understudy.recovery.conf'\ninclude_dir = 'conf.d'\n",
			"include 'understudy.recovery.conf'\ninclude_dir = 'conf.d'\ninclude_if_exists = 'understudy.recovery.conf'\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMemory(dir(15, "postgresql.conf", tc.before))
			require.NoError(t, m.apply(t, 15, streaming))
			require.Equal(t, tc.after, m.files["postgresql.conf"])
		})
	}
}

// recovery.conf is edited by hand too: what Config does not speak of stays.
func TestApply_recoveryConfKeepsWhatIsNotOurs(t *testing.T) {
	const before = "# our standby\nstandby_mode = 'on'\t# always\nprimary_conninfo = 'host=old'   # see wiki\r\n" +
		"primary_slot_name = 'old'\nrestore_command = 'cp /a/%f %p'\n\n  # trigger_file = '/run/pull'\nrecovery_target_name = 'before'"
	m := newMemory(dir(11, "recovery.conf", before))
	require.NoError(t, m.apply(t, 11, recovery.Config{PrimaryConninfo: info("host", "db9"), TargetTimeline: recovery.TimelineLatest}))
	require.Equal(t, "# our standby\nstandby_mode = 'on'\t# always\nprimary_conninfo = 'host=db9'   # see wiki\r\n"+
		"#primary_slot_name = 'old'\n#restore_command = 'cp /a/%f %p'\n\n  # trigger_file = '/run/pull'\n#recovery_target_name = 'before'\n"+
		"recovery_target_timeline = 'latest'\n", m.files["recovery.conf"])
}

// Where Apply cannot or must not, it says so before it has written anything.
func TestApply_refused(t *testing.T) {
	conflict := func(file string, line int, name string) func(t *testing.T, err error) {
		return func(t *testing.T, err error) {
			var got *recovery.ConflictError
			require.ErrorAs(t, err, &got)
			require.Equal(t, recovery.ConflictError{File: dataDir + "/" + file, Line: line, Name: name, Major: got.Major}, *got)
		}
	}
	unfit := func(file string) func(t *testing.T, err error) {
		return func(t *testing.T, err error) {
			var got *recovery.DataDirError
			require.ErrorAs(t, err, &got)
			require.Equal(t, path.Join(dataDir, file), got.File)
		}
	}
	is := func(target error) func(t *testing.T, err error) {
		return func(t *testing.T, err error) { require.ErrorIs(t, err, target) }
	}
	syntax := func(t *testing.T, err error) { require.ErrorAs(t, err, new(*pgconf.SyntaxError)) }
	const marker = "primary_conninfo = 'password=marker'\n"
	for _, tc := range []struct {
		name       string
		majors     []pgconf.Major
		files      func(major pgconf.Major) map[string]string
		unreadable string
		check      func(t *testing.T, err error)
	}{
		{"alter_system_conninfo", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string {
			return dir(m, "postgresql.auto.conf", "# x\nwork_mem = '1MB'\n"+marker)
		}, "", conflict("postgresql.auto.conf", 3, "primary_conninfo")},
		{"alter_system_of_what_the_config_leaves_empty", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string {
			return dir(m, "postgresql.auto.conf", "RESTORE_COMMAND = 'cp /old/%f %p'\n")
		}, "", conflict("postgresql.auto.conf", 1, "restore_command")},
		{"target_in_auto_conf", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string {
			return dir(m, "postgresql.auto.conf", "recovery_target_lsn = '0/1'\n")
		}, "", conflict("postgresql.auto.conf", 1, "recovery_target_lsn")},
		{"target_in_postgresql_conf", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string {
			return dir(m, "postgresql.conf", "\nrecovery_target = immediate\n")
		}, "", conflict("postgresql.conf", 2, "recovery_target")},
		{"left_recovery_conf", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string { return dir(m, "recovery.conf", marker) }, "", unfit("recovery.conf")},
		{"left_recovery_signal", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string { return dir(m, "recovery.signal", "") }, "", unfit("recovery.signal")},
		{"both_signals", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string { return dir(m, "recovery.signal", "", "standby.signal", "") }, "", unfit("recovery.signal")},
		{"include_in_recovery_conf", []pgconf.Major{10, 11}, func(m pgconf.Major) map[string]string { return dir(m, "recovery.conf", "include = 'x'\n") }, "", unfit("recovery.conf")},
		{"other_major", []pgconf.Major{10, 11, 12, 18}, func(m pgconf.Major) map[string]string { return dir(m + 1) }, "", unfit("PG_VERSION")},
		{"major_9.6", []pgconf.Major{10, 12}, func(m pgconf.Major) map[string]string { return dir(m, "PG_VERSION", "9.6\n") }, "", unfit("PG_VERSION")},
		{"no_data_directory", []pgconf.Major{10, 12}, func(pgconf.Major) map[string]string { return map[string]string{"postgresql.conf": ""} }, "", func(t *testing.T, err error) {
			unfit("PG_VERSION")(t, err)
			require.ErrorContains(t, err, "no data directory")
		}},
		{"alter_system_of_the_trigger", []pgconf.Major{12, 15}, func(m pgconf.Major) map[string]string {
			return dir(m, "postgresql.auto.conf", "promote_trigger_file = '/run/pull'\n")
		}, "", conflict("postgresql.auto.conf", 1, "promote_trigger_file")},
		{"postgresql_conf_elsewhere", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string {
			d := dir(m)
			delete(d, "postgresql.conf")
			return d
		}, "", is(fs.ErrNotExist)},
		{"postgresql_conf_unreadable", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string { return dir(m) }, "postgresql.conf", is(errRead)},
		{"auto_conf_unreadable", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string { return dir(m) }, "postgresql.auto.conf", is(errRead)},
		{"recovery_signal_unknown", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string { return dir(m) }, "recovery.signal", is(errRead)},
		{"recovery_conf_unknown", []pgconf.Major{10, 11, 12, 18}, func(m pgconf.Major) map[string]string { return dir(m) }, "recovery.conf", is(errRead)},
		{"version_unreadable", []pgconf.Major{10, 18}, func(m pgconf.Major) map[string]string { return dir(m) }, "PG_VERSION", is(errRead)},
		{"postgresql_conf_broken", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string { return dir(m, "postgresql.conf", "a = 'marker") }, "", syntax},
		{"auto_conf_broken", []pgconf.Major{12, 18}, func(m pgconf.Major) map[string]string { return dir(m, "postgresql.auto.conf", "a = 'marker") }, "", syntax},
		{"recovery_conf_broken", []pgconf.Major{10, 11}, func(m pgconf.Major) map[string]string { return dir(m, "recovery.conf", "a = 'marker") }, "", syntax},
	} {
		for _, major := range tc.majors {
			t.Run(fmt.Sprintf("%s/major=%s", tc.name, major), func(t *testing.T) {
				files := tc.files(major)
				m := newMemory(files)
				m.unreadable = tc.unreadable
				err := m.apply(t, major, streaming)
				require.Error(t, err)
				tc.check(t, err)
				require.NotContains(t, err.Error(), "marker")
				require.Empty(t, m.writes)
				require.Equal(t, files, m.files)
			})
		}
	}
	t.Run("invalid_config", func(t *testing.T) {
		m := newMemory(dir(15))
		require.ErrorContains(t, m.apply(t, 15, recovery.Config{}), "PrimaryConninfo")
		require.Empty(t, m.writes)
	})
}

// What is in the way for one major is no matter for another.
func TestApply_ofOtherMajors(t *testing.T) {
	require.NoError(t, newMemory(dir(11, "recovery.signal", "")).apply(t, 11, streaming), "11 does not know recovery.signal")
	require.NoError(t, newMemory(dir(11, "postgresql.auto.conf", "x = '")).apply(t, 11, streaming), "11 does not look for recovery settings there")
	require.NoError(t, newMemory(dir(16, "recovery.done", "x")).apply(t, 16, streaming), "the server removes it")
	require.NoError(t, newMemory(dir(16, "postgresql.conf", "promote_trigger_file = 'PG_VERSION'\n")).apply(t, 16, streaming), "16 has no such parameter")
}

// The crash law: stop Apply at every write, before it or just after. If anything was written, the server starts as a standby or not
// at all; if nothing was, it is what it was. Running it again gives what one run would have given.
func TestApply_stoppedAtEveryWrite(t *testing.T) {
	for _, major := range allMajors() {
		for name, files := range directories(major) {
			t.Run(fmt.Sprintf("%s/major=%s", name, major), func(t *testing.T) {
				whole := newMemory(files)
				require.NoError(t, whole.apply(t, major, streaming))
				for k := 1; k <= len(whole.writes); k++ {
					for _, halfDone := range []bool{false, true} {
						m := newMemory(files)
						m.failWrite, m.halfDone = k, halfDone
						require.ErrorIs(t, m.apply(t, major, streaming), errDisk)
						require.Len(t, m.writes, k, "nothing more is written after a failure")
						if k == 1 && !halfDone {
							require.Equal(t, files, m.files)
						} else if got := role(t, major, m.files); !slices.Contains(whole.writes, "recovery.conf") || got != "refuses" {
							require.Equal(t, "standby", got, "after write %d of %v", k, whole.writes)
						}
						m.failWrite = 0
						require.NoError(t, m.apply(t, major, streaming))
						require.Equal(t, whole.files, m.files)
					}
				}
			})
		}
	}
}

// Whatever a server was: TakeOver makes it what the config says, by the judgement of Read and of the independent look at the files, and a
// second time changes no byte. Stopped at any step, it leaves the server as it was, or it refuses to start, or it is what it shall be, or
// a standby without a target; and doing it again completes the work.
func TestTakeOver_fromAnyToAny(t *testing.T) {
	for _, major := range []pgconf.Major{pgconf.V9_0, pgconf.V9_1, pgconf.V9_4, 11, 12, 15, 18} {
		for _, first := range []string{"archive_only", "everything_odd", "standby_to_name", "to_name", "to_the_end", "trigger_file"} {
			if configs[first].Validate(major) != nil {
				continue
			}
			for _, second := range sortedConfigs() {
				if cfg := configs[second]; cfg.Validate(major) == nil {
					t.Run(fmt.Sprintf("%s_then_%s/major=%s", first, second, major), func(t *testing.T) {
						before := newMemory(dir(major))
						require.NoError(t, before.apply(t, major, configs[first]))
						testTakeOver(t, major, before.files, cfg)
					})
				}
			}
		}
	}
}

func testTakeOver(t *testing.T, major pgconf.Major, files map[string]string, cfg recovery.Config) {
	t.Helper()
	where := recovery.Server{DataDir: dataDir}
	takeOver := func(m *memory) error { return recovery.TakeOver(t.Context(), m, where, cfg) }
	outcome := func(m *memory) recovery.Start {
		start, err := recovery.Read(t.Context(), m, where)
		require.NoError(t, err)
		return start
	}
	whole := newMemory(files)
	require.NoError(t, takeOver(whole))
	done := outcome(whole)
	want := map[recovery.Role]string{recovery.Standby: "standby", recovery.Targeted: "recovery"}[cfg.Role]
	require.Equal(t, want, role(t, major, whole.files))
	require.Equal(t, cfg.WithDefaults(major), done.Config)
	again := newMemory(whole.files)
	require.NoError(t, takeOver(again))
	require.Equal(t, whole.files, again.files)

	for k := 1; k <= len(whole.writes); k++ {
		for _, halfDone := range []bool{false, true} {
			m := newMemory(files)
			m.failWrite, m.halfDone = k, halfDone
			require.ErrorIs(t, takeOver(m), errDisk)
			now := outcome(m)
			stays := now.Outcome == recovery.StartsStandby && now.Config.Target == nil && !now.Triggered
			untouched := k == 1 && !halfDone
			require.True(t, untouched || stays || now.Outcome == recovery.RefusesToStart || reflect.DeepEqual(now.Config, done.Config),
				"after step %d of %v: %v", k, whole.writes, now)
			m.failWrite = 0
			require.NoError(t, takeOver(m))
			require.Equal(t, whole.files, m.files)
		}
	}
}

func TestApply_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := newMemory(dir(15))
	require.ErrorIs(t, recovery.Apply(ctx, m, recovery.Server{DataDir: dataDir}, streaming), context.Canceled)
	require.Empty(t, m.writes)
}

// FuzzApplyKeepsFile: whatever postgresql.conf holds, Apply keeps its bytes, ours comes last, and a second time changes nothing; or it
// refuses and writes nothing. The same for recovery.conf, of which it keeps what is not ours.
func FuzzApplyKeepsFile(f *testing.F) {
	for _, files := range directories(15) {
		f.Add([]byte(files["postgresql.conf"]))
	}
	f.Add([]byte("include 'understudy.recovery.conf' \r"))
	f.Add([]byte("standby_mode = off\nprimary_conninfo\t'a'\n#standby_mode = on\n"))
	f.Fuzz(func(t *testing.T, conf []byte) {
		m := newMemory(dir(15, "postgresql.conf", string(conf)))
		if err := m.apply(t, 15, streaming); err != nil {
			if len(m.writes) > 0 {
				t.Fatalf("refused half-way: %v", err)
			}
		} else {
			got := m.files["postgresql.conf"]
			if !strings.HasPrefix(got, string(conf)) {
				t.Fatalf("got %q", got)
			}
			again := newMemory(m.files)
			if err := again.apply(t, 15, streaming); err != nil || !maps.Equal(again.files, m.files) {
				t.Fatalf("the second time: %v, %q", err, again.files)
			}
			if settings := effective(t, 15, m.files); !maps.Equal(settings, streamingSettings()) {
				t.Fatalf("got %q", settings)
			}
		}

		m = newMemory(dir(11, "recovery.conf", string(conf)))
		if err := m.apply(t, 11, streaming); err != nil {
			if len(m.writes) > 0 {
				t.Fatalf("refused half-way: %v", err)
			}
			return
		}
		again := newMemory(m.files)
		if err := again.apply(t, 11, streaming); err != nil || !maps.Equal(again.files, m.files) {
			t.Fatalf("the second time: %v, %q", err, again.files)
		}
		if role(t, 11, m.files) != "standby" {
			t.Fatalf("%q", m.files)
		}
		if bytes.Count(conf, []byte("\n")) > strings.Count(m.files["recovery.conf"], "\n") {
			t.Fatalf("lines are gone: %q", m.files["recovery.conf"])
		}
	})
}

// A link is not written through. That shows before anything is written, not when a primary has its signal file already.
func TestApplyRefusesLinksFirst(t *testing.T) {
	for _, link := range []string{"postgresql.conf", "conf.d/10.conf"} {
		for name, apply := range map[string]func(context.Context, recovery.Files, recovery.Server, recovery.Config) error{"Apply": recovery.Apply, "TakeOver": recovery.TakeOver} {
			if name == "Apply" && link != "postgresql.conf" {
				continue // it does not touch others
			}
			t.Run(name+"/"+link, func(t *testing.T) {
				dir, elsewhere := t.TempDir(), t.TempDir()
				require.NoError(t, os.Mkdir(filepath.Join(dir, "conf.d"), 0o700))
				for name, text := range map[string]string{
					"PG_VERSION": "17\n", "postgresql.conf": "include_dir 'conf.d'\n", "conf.d/10.conf": "recovery_target_name = ''\nport = 5433\n",
				} {
					require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
				}
				target := filepath.Join(elsewhere, "target")
				require.NoError(t, os.Rename(filepath.Join(dir, link), target))
				require.NoError(t, os.Symlink(target, filepath.Join(dir, link)))
				before := names(t, dir)
				server := recovery.Server{DataDir: dir}
				cfg := recovery.Config{PrimaryConninfo: info("host", "b")}
				var refused *recovery.DataDirError
				require.ErrorAs(t, apply(t.Context(), recovery.Disk{}, server, cfg), &refused)
				require.Equal(t, filepath.Join(dir, link), refused.File)
				require.Equal(t, before, names(t, dir))
				if link == "postgresql.conf" { // as the message says
					server.ConfigFile = target
					require.NoError(t, os.WriteFile(target, nil, 0o600))
					require.NoError(t, apply(t.Context(), recovery.Disk{}, server, cfg))
					server.ConfigFile = ""
					start, err := recovery.Read(t.Context(), recovery.Disk{}, server)
					require.NoError(t, err)
					require.Equal(t, cfg.WithDefaults(17), start.Config)
				}
			})
		}
	}
}

// names lists the files of a folder.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
