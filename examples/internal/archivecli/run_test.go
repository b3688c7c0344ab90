package archivecli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive"
)

const (
	historyName = "00000002.history"
	history     = "1\t0/3000060\tno recovery target specified\n"
)

var ours = walarchive.Identity{SystemID: 7574928734098123456, SegmentSize: 1 << 20}

// world is a data directory, an archive and a way to call the command.
type world struct {
	t             *testing.T
	data, archive string
	identity      func(string) (walarchive.Identity, error)
	grace         time.Duration
	ctx           context.Context
	flag          string // one more flag for fetch, or nothing
}

func newWorld(t *testing.T) *world {
	return &world{t: t, data: t.TempDir(), archive: t.TempDir(), ctx: t.Context(), grace: time.Minute,
		identity: func(string) (walarchive.Identity, error) { return ours, nil }}
}

// run calls the command with --archive, -D and --retry in front, unless args begins with a bare "--".
func (w *world) run(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	if args[0] == "--" {
		args = args[1:]
	} else {
		args = append([]string{"--archive", w.archive, "-D", w.data, "--retry", "0s"}, args...)
	}
	if w.flag != "" && slices.Contains(args, "fetch") {
		args = append(args, w.flag)
	}
	var out, errOut bytes.Buffer
	a := app{stdout: &out, stderr: &errOut, identity: w.identity, grace: w.grace}
	code = a.run(w.ctx, args)
	return code, out.String(), errOut.String()
}

func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.data, name)
	require.NoError(w.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func (w *world) pushHistory() {
	w.t.Helper()
	code, _, stderr := w.run("push", w.file(historyName, history))
	require.Zero(w.t, code, stderr)
}

func TestRun_success_is_silent(t *testing.T) {
	w := newWorld(t)
	path := w.file(historyName, history)
	for range 2 {
		code, stdout, stderr := w.run("push", path)
		require.Zero(t, code)
		require.Empty(t, stdout+stderr)
	}
	dst := filepath.Join(w.data, "RECOVERYHISTORY")
	code, stdout, stderr := w.run("fetch", historyName, dst)
	require.Zero(t, code)
	require.Empty(t, stdout+stderr)
	b, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.Equal(t, history, string(b))
}

func TestRun_archive_as_url_and_environment(t *testing.T) {
	w := newWorld(t)
	path := w.file(historyName, history)
	code, _, stderr := w.run("--", "--archive", "file://"+w.archive, "-D", w.data, "push", path)
	require.Zero(t, code, stderr)
	t.Setenv("UNDERSTUDY_ARCHIVE", w.archive)
	code, stdout, _ := w.run("--", "list", "--names")
	require.Zero(t, code)
	require.Equal(t, historyName+"\n", stdout)
	for _, bad := range []string{"s3://bucket", "file://host/archive", "file://", "://", ""} {
		code, _, stderr := w.run("--", "--archive", bad, "-D", w.data, "push", path)
		require.Contains(t, []int{exitFailed, exitUsage}, code, "%q: %s", bad, stderr)
	}
}

func TestRun_push_codes(t *testing.T) {
	w := newWorld(t)
	w.pushHistory()
	for _, tc := range []struct {
		name string
		code int
		call func(w *world) (int, string, string)
	}{
		{"conflict", exitConflict, func(w *world) (int, string, string) {
			return w.run("push", w.file(historyName, strings.Replace(history, "3000060", "3000090", 1)))
		}},
		{"foreign", exitForeign, func(w *world) (int, string, string) {
			w.identity = func(string) (walarchive.Identity, error) {
				return walarchive.Identity{SystemID: 1, SegmentSize: 1 << 20}, nil
			}
			return w.run("push", w.file(historyName, history))
		}},
		{"no_such_file", exitFailed, func(w *world) (int, string, string) { return w.run("push", "00000009.history") }},
		{"archive_missing", exitFailed, func(w *world) (int, string, string) {
			w.archive += ".not-mounted"
			return w.run("push", w.file(historyName, history))
		}},
		{"no_identity", exitFailed, func(w *world) (int, string, string) {
			w.identity = func(string) (walarchive.Identity, error) { return walarchive.Identity{}, errors.New("boom") }
			return w.run("push", w.file(historyName, history))
		}},
		{"empty_identity", exitFailed, func(w *world) (int, string, string) {
			w.identity = func(string) (walarchive.Identity, error) { return walarchive.Identity{}, nil }
			return w.run("push", w.file(historyName, history))
		}},
		{"panic", exitFailed, func(w *world) (int, string, string) {
			w.identity = func(string) (walarchive.Identity, error) { panic("boom") }
			return w.run("push", w.file(historyName, history))
		}},
		{"stopped", exitFailed, func(w *world) (int, string, string) {
			ctx, cancel := context.WithCancelCause(w.ctx)
			cancel(signalError{15})
			w.ctx = ctx
			return w.run("push", w.file("00000003.history", history))
		}},
		{"usage", exitUsage, func(w *world) (int, string, string) { return w.run("push") }},
		{"usage_flag", exitUsage, func(w *world) (int, string, string) { return w.run("push", "--frobnicate", "x") }},
		{"usage_no_archive", exitUsage, func(w *world) (int, string, string) { return w.run("--", "push", "x") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			copied := *w
			copied.t = t
			code, stdout, stderr := tc.call(&copied)
			require.Equal(t, tc.code, code, stderr)
			require.LessOrEqual(t, code, 125, "the archiver would restart")
			require.Empty(t, stdout)
			require.Equal(t, 1, strings.Count(stderr, "\n"), "one line for the server log: %q", stderr)
		})
	}
}

func TestRun_fetch_absent(t *testing.T) {
	w := newWorld(t)
	w.pushHistory()
	for _, flag := range []string{"--standby", "--no-standby"} {
		code, stdout, stderr := w.run("fetch", flag, "00000003.history", filepath.Join(w.data, "RECOVERYHISTORY"))
		require.Equal(t, exitAbsent, code, stderr)
		require.Empty(t, stdout+stderr, "a standby asks all day")
		require.NoFileExists(t, filepath.Join(w.data, "RECOVERYHISTORY"))
	}
}

// fetchTrouble are the ways in which a fetch ends without an answer.
var fetchTrouble = map[string]func(w *world) (int, string, string){
	"archive_missing": func(w *world) (int, string, string) {
		w.archive += ".not-mounted"
		return w.run("fetch", historyName, filepath.Join(w.data, "x"))
	},
	"archive_empty": func(w *world) (int, string, string) {
		w.archive = w.t.TempDir()
		return w.run("fetch", historyName, filepath.Join(w.data, "x"))
	},
	"no_identity": func(w *world) (int, string, string) {
		w.identity = func(string) (walarchive.Identity, error) { return walarchive.Identity{}, os.ErrNotExist }
		return w.run("fetch", historyName, filepath.Join(w.data, "x"))
	},
	"foreign": func(w *world) (int, string, string) {
		w.identity = func(string) (walarchive.Identity, error) {
			return walarchive.Identity{SystemID: 1, SegmentSize: 1 << 20}, nil
		}
		return w.run("fetch", historyName, filepath.Join(w.data, "x"))
	},
	"destination": func(w *world) (int, string, string) {
		return w.run("fetch", historyName, filepath.Join(w.data, "no", "x"))
	},
	"panic": func(w *world) (int, string, string) {
		w.identity = func(string) (walarchive.Identity, error) { panic("boom") }
		return w.run("fetch", historyName, filepath.Join(w.data, "x"))
	},
	"not_a_wal_name": func(w *world) (int, string, string) { return w.run("fetch", "%f", filepath.Join(w.data, "x")) },
}

func TestRun_fetch_cannot_tell(t *testing.T) {
	signalFile := func(w *world) { w.file("standby.signal", "") }
	conf := func(text string) func(w *world) { return func(w *world) { w.file("recovery.conf", text) } }
	nothing := func(*world) {}
	for _, mode := range []struct {
		name  string
		setUp func(w *world)
		flag  string
		want  int
	}{
		{"nothing", nothing, "", exitUnknownRecovery},
		{"recovery.signal", func(w *world) { w.file("recovery.signal", "") }, "", exitUnknownRecovery},
		{"standby.signal", signalFile, "", exitUnknownStandby},
		{"both_signals", func(w *world) { w.file("recovery.signal", ""); signalFile(w) }, "", exitUnknownStandby},
		{"standby.signal_overruled", signalFile, "--no-standby", exitUnknownRecovery},
		{"told", nothing, "--standby", exitUnknownStandby},
		{"conf_standby", conf("standby_mode = 'on'\n"), "", exitUnknownStandby},
		{"conf_standby_yes", conf("restore_command='x'\nSTANDBY_MODE yes # c\n"), "", exitUnknownStandby},
		{"conf_last_wins", conf("standby_mode = on\nstandby_mode = off\n"), "", exitUnknownRecovery},
		{"conf_pitr", conf("restore_command = 'standby_mode = on'\n"), "", exitUnknownRecovery},
		{"conf_comment", conf("# standby_mode = on\n"), "", exitUnknownRecovery},
		{"conf_broken", conf("standby_mode = on\n= =\n"), "", exitUnknownRecovery},
	} {
		for name, trouble := range fetchTrouble {
			t.Run(mode.name+"/"+name, func(t *testing.T) {
				w := newWorld(t)
				w.pushHistory()
				mode.setUp(w)
				w.flag = mode.flag
				code, stdout, stderr := trouble(w)
				require.Equal(t, mode.want, code, stderr)
				require.Empty(t, stdout)
				require.Equal(t, 1, strings.Count(stderr, "\n"), "one line for the server log: %q", stderr)
				require.NoFileExists(t, filepath.Join(w.data, "x"))
			})
		}
	}
}

// A slip in restore_command must not look like the end of the archive.
func TestRun_fetch_usage(t *testing.T) {
	w := newWorld(t)
	for name, args := range map[string][]string{
		"no_arguments": {"fetch"}, "one_argument": {"fetch", "a"}, "three_arguments": {"fetch", "a", "b", "c"},
		"flag": {"fetch", "--frobnicate", "a", "b"}, "no_archive": {"--", "fetch", "a", "b"},
		"misspelt_verb": {"ftech", "a", "b"}, "no_verb": {"--", "--archive", "x"}, "nothing": {"--"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := w.run(args...)
			require.Equal(t, exitUnknownRecovery, code)
			require.Equal(t, 1, strings.Count(stderr, "\n"), "%q", stderr)
		})
	}
}

func TestRun_cleanup_and_list(t *testing.T) {
	w := newWorld(t)
	w.pushHistory()
	for _, name := range []string{"000000010000000000000001", "000000010000000000000002", "000000010000000000000002.00000028.backup"} {
		require.NoError(t, os.WriteFile(filepath.Join(w.archive, name), nil, 0o600))
	}
	code, stdout, stderr := w.run("cleanup", "-n", "000000010000000000000002")
	require.Zero(t, code, stderr)
	require.Equal(t, "000000010000000000000001\n", stdout)
	require.Contains(t, stderr, "its history file was not read", "the backup is kept")
	code, stdout, stderr = w.run("cleanup", "-n", "-d", "000000010000000000000002")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "remove 000000010000000000000001: nobody needs it\n")
	require.Contains(t, stdout, "keep 000000010000000000000002: ")
	code, stdout, stderr = w.run("cleanup", "--keep-backups", "none", "000000010000000000000002")
	require.Zero(t, code)
	require.Empty(t, stdout+stderr)
	code, _, stderr = w.run("cleanup", "--keep-backups", "none", "-b", "--consumer", "standby1", "000000010000000000000003")
	require.Zero(t, code, stderr)
	code, stdout, _ = w.run("list", "--names")
	require.Zero(t, code)
	require.Equal(t, historyName+"\n", stdout)
	code, stdout, _ = w.run("consumer", "list")
	require.Zero(t, code)
	require.Equal(t, "standby1\t000000010000000000000003\n", stdout)
	for _, wrong := range [][]string{{"-x", ".gz", "000000010000000000000003"}, {"--keep-backups", "0"}, {"--consumer", "standby1"}} {
		code, _, stderr = w.run(append([]string{"cleanup"}, wrong...)...)
		require.Equal(t, exitUsage, code, stderr)
	}

	code, _, stderr = w.run("cleanup", historyName)
	require.Equal(t, exitFailed, code, stderr)
	w.archive = t.TempDir()
	code, _, _ = w.run("list")
	require.Equal(t, exitFailed, code)
}

// TestRun_names_that_are_none: a mistake of the one who calls is told from an archive that failed.
func TestRun_names_that_are_none(t *testing.T) {
	for _, args := range [][]string{
		{"wait", "0/"}, {"wait", "00000001000000000000000"}, {"gaps", "--from", "x"}, {"consumer", "set", "standby1", "00000002.histor"},
		{"cleanup", "%r"}, {"cleanup", "--by-name", "00000001000000000000000g"},
	} {
		w := newWorld(t)
		w.pushHistory()
		code, _, stderr := w.run(args...)
		require.Equal(t, exitUsage, code, "%v: %s", args, stderr)
		require.Contains(t, stderr, "(see walarchive --help)", args)
	}
}

func TestRun_wait_gives_up(t *testing.T) {
	w := newWorld(t)
	w.pushHistory()
	code, stdout, stderr := w.run("wait", "--timeout", "50ms", "0/5000000")
	require.Equal(t, exitFailed, code)
	require.Empty(t, stdout)
	require.Equal(t, "walarchive wait: 0/5000000 is not archived after 50ms\n", stderr)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	w.ctx = ctx
	code, _, stderr = w.run("wait", "--timeout", "1h", "0/5000000")
	require.Equal(t, exitFailed, code)
	require.NotContains(t, stderr, "is not archived")
}

func TestRun_help(t *testing.T) {
	code, stdout, stderr := newWorld(t).run("--", "--help")
	require.Zero(t, code)
	require.Empty(t, stderr)
	for _, want := range []string{"push", "fetch", "cleanup", "list", "Exit code", "200", "settings", "UNDERSTUDY_ARCHIVE"} {
		require.Contains(t, stdout, want)
	}
}

// TestRun_stops_although_the_file_system_hangs: the grace period is the limit.
func TestRun_stops_although_the_file_system_hangs(t *testing.T) {
	for verb, want := range map[string]int{"push": exitFailed, "fetch": exitSignal + 15} {
		t.Run(verb, func(t *testing.T) {
			w := newWorld(t)
			w.pushHistory()
			ctx, cancel := context.WithCancelCause(w.ctx)
			w.ctx, w.grace = ctx, 10*time.Millisecond
			hang, hanging := make(chan struct{}), make(chan struct{})
			finished := make(chan struct{})
			restore := atomicfile.SetHook(func(s atomicfile.Step) error {
				if s == atomicfile.StepSync {
					close(hanging)
					<-hang
					close(finished)
					return errors.New("gone")
				}
				return nil
			})
			go func() { <-hanging; cancel(signalError{15}) }()
			args := []string{"fetch", historyName, filepath.Join(w.data, "x")}
			if verb == "push" {
				args = []string{"push", w.file("00000003.history", history)}
			}
			code, _, stderr := w.run(args...)
			require.Equal(t, want, code, stderr)
			close(hang)
			<-finished
			restore()
		})
	}
}

// --check-records and its key in the configuration file have push and verify look at records: pages in order may hold none.
func TestRun_check_records(t *testing.T) {
	w := newWorld(t)
	const name = "000000010000000000000003"
	path := w.file(name, string(waltest.Segment(ours.SystemID, ours.SegmentSize, name, int(ours.SegmentSize), 1)))
	config := w.file("archive.yaml", "archives: [{url: "+w.archive+"}]\ncheck-records: true\n")
	strict := [][]string{{"--", "--archive", w.archive, "-D", w.data, "--check-records"}, {"--", "--config", config, "-D", w.data}}
	for _, flags := range strict {
		code, _, stderr := w.run(append(flags, "push", path)...)
		require.Equal(t, exitFailed, code)
		require.Contains(t, stderr, "record")
	}
	code, _, stderr := w.run("push", path)
	require.Zero(t, code, stderr)
	code, _, stderr = w.run("verify")
	require.Zero(t, code, stderr)
	for _, flags := range strict {
		code, stdout, _ := w.run(append(flags, "verify")...)
		require.Equal(t, exitBad, code)
		require.Contains(t, stdout, name+": damaged")
	}
	require.Contains(t, (&grammar{CheckRecords: true}).global(), "--check-records", "a helper has it, too")
}
