package command_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/command"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

// recorder is a program that notes its arguments, in a folder whose name needs all the quoting there is. Its first argument says what
// it is to answer: it restores nothing.
type recorder struct {
	t             *testing.T
	program, note string
}

func newRecorder(t *testing.T, w *pgserver.World) recorder {
	t.Helper()
	r := recorder{t: t, program: filepath.Join(w.Dir, `odd "$(fo)" %p 'é' \%%`, "it's `a` program"), note: filepath.Join(w.Dir, "calls")}
	require.NoError(t, os.Mkdir(filepath.Dir(r.program), 0o755))
	text := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\0' \"$@\" >>%[1]s\necho >>%[1]s\n[ \"$1\" != restore ]\n", r.note)
	require.NoError(t, os.WriteFile(r.program, []byte(text), 0o755))
	return r
}

// odd are arguments that a shell would take apart.
var odd = []string{"", "a b", `it's "here" \ $HOME %p %f %r %% 50%`, "`id`;&|<>(){}*?[~#!", "a=b", "é\xff\t"}

// build is a command that runs the recorder.
func (r recorder) build(s command.Server, kind command.Kind, verb string, words ...command.Word) string {
	r.t.Helper()
	argv := slices.Concat(command.Words(r.program, verb), words, command.Words(odd...))
	text, err := s.Build(kind, argv...)
	require.NoError(r.t, err)
	return text
}

// calls returns the arguments of each call with this verb so far.
func (r recorder) calls(verb string) [][]string {
	data, _ := os.ReadFile(r.note) // none before the first call
	var calls [][]string
	for line := range strings.Lines(string(data)) {
		args := strings.Split(strings.TrimSuffix(line, "\x00\n"), "\x00")
		if strings.HasSuffix(line, "\n") && args[0] == verb {
			calls = append(calls, args[1:])
		}
	}
	return calls
}

// wait waits for a call and returns the last one.
func (r recorder) wait(verb string) []string {
	r.t.Helper()
	var calls [][]string
	pgserver.Until(r.t, verb, func() error {
		if calls = r.calls(verb); len(calls) == 0 {
			return fmt.Errorf("no call yet")
		}
		return nil
	})
	return calls[len(calls)-1]
}

// configure appends settings to a file of the data directory.
func configure(t *testing.T, s *pgserver.Server, file string, settings ...string) {
	t.Helper()
	before := ""
	if s.Exists(file) {
		before = s.Read(file)
	}
	for i := 0; i < len(settings); i += 2 {
		value, err := pgconf.Quote(settings[i+1])
		require.NoError(t, err)
		before += settings[i] + " = " + value + "\n"
	}
	s.Write(file, before)
}

// standby makes a copy of a server its standby with these commands.
func standby(t *testing.T, primary *pgserver.Server, name string, settings ...string) *pgserver.Server {
	t.Helper()
	s := primary.World.Copy(primary, name)
	settings = append(settings, "primary_conninfo", fmt.Sprintf("host=%s port=%d user=%s", primary.World.Dir, primary.Port, pgserver.User),
		"recovery_target_timeline", "latest")
	if s.World.Major >= 12 {
		s.Write("standby.signal", "")
		configure(t, s, "postgresql.conf", settings...)
		return s
	}
	configure(t, s, "recovery.conf", append(settings, "standby_mode", "on")...)
	return s
}

// All four commands reach the program as they were meant, with the values of the server.
func TestServerRunsWhatWasBuilt(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		on := command.Server{Major: pgconf.Major(w.Major)}
		r := newRecorder(t, w)
		primary := w.Initdb("primary")
		configure(t, primary, "postgresql.conf", "archive_mode", "on",
			"archive_command", r.build(on, command.Archive, "archive", command.Word{command.Path}, command.Word{command.Text("%f is "), command.File}))
		primary.Up()
		primary.Exec("create table t (i int)", "select pg_switch_wal()")
		got := r.wait("archive")
		name, _ := strings.CutPrefix(got[0], "pg_wal/")
		require.Len(t, name, 24)
		require.Equal(t, append([]string{"pg_wal/" + name, "%f is " + name}, odd...), got)

		s := standby(t, primary, "standby",
			"restore_command", r.build(on, command.Restore, "restore", command.Word{command.File}, command.Word{command.Path}, command.Word{command.Oldest}),
			"archive_cleanup_command", r.build(on, command.Cleanup, "clean", command.Word{command.Oldest}),
			"recovery_end_command", r.build(on, command.RecoveryEnd, "end", command.Word{command.Oldest}))
		s.Up()
		s.Wait("select count(*) = 1 from pg_stat_wal_receiver")
		for _, got := range r.calls("restore") {
			require.Equal(t, odd, got[3:])
			require.Contains(t, []string{"pg_wal/RECOVERYXLOG", "pg_wal/RECOVERYHISTORY"}, got[1])
			require.Len(t, got[2], 24)
		}
		require.NotEmpty(t, r.calls("restore"))
		primary.Exec("insert into t values (1)", "checkpoint")
		pgserver.Until(t, "a restart point", func() error {
			s.Exec("checkpoint")
			if len(r.calls("clean")) == 0 {
				return fmt.Errorf("none yet")
			}
			return nil
		})
		s.Promote()
		for _, verb := range []string{"clean", "end"} {
			got := r.wait(verb)
			require.Len(t, got[0], 24)
			require.Equal(t, odd, got[1:], verb)
		}
	})
}

// What the server makes of unknown placeholders and of long commands is what Expand says, in all kinds.
func TestServerExpandsAsWeDo(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		on := command.Server{Major: pgconf.Major(w.Major)}
		note := filepath.Join(w.Dir, "calls")
		program := filepath.Join(w.Dir, "note") // notes the length and the arguments
		require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\nv=$1; shift; echo \"$v $*\" >>"+note+"\n[ $v != restore ]\n"), 0o755))
		check := func(kind command.Kind, verb, text string, values func(words []string) command.Values) {
			t.Helper()
			var words []string
			pgserver.Until(t, verb, func() error {
				data, _ := os.ReadFile(note)
				for line := range strings.Lines(string(data)) {
					if w := strings.Fields(line); w[0] == verb {
						words = w
						return nil
					}
				}
				return fmt.Errorf("no call of %s yet", verb)
			})
			want, err := on.Expand(kind, text, values(words[1:]))
			require.NoError(t, err)
			require.Equal(t, want, program+" "+strings.Join(words, " "), "%v", kind)
		}
		unknown := "%x %%"
		if w.Major >= 16 {
			unknown = "%%x %%"
		}
		long := " " + unknown + " " + strings.Repeat("x", 1100)
		archive := program + " archive %p %f" + long
		primary := w.Initdb("primary")
		configure(t, primary, "postgresql.conf", "archive_mode", "on", "archive_command", archive)
		primary.Up()
		primary.Exec("create table t (i int)", "select pg_switch_wal()")
		check(command.Archive, "archive", archive, func(w []string) command.Values { return command.Values{Path: w[0], File: w[1]} })

		restore, cleanup, end := program+" restore %p %f %r"+long, program+" clean %r"+long, program+" end %r"+long
		s := standby(t, primary, "standby", "restore_command", restore, "archive_cleanup_command", cleanup, "recovery_end_command", end)
		s.Up()
		check(command.Restore, "restore", restore, func(w []string) command.Values { return command.Values{Path: w[0], File: w[1], Oldest: w[2]} })
		oldest := func(w []string) command.Values { return command.Values{Oldest: w[0]} }
		primary.Exec("insert into t values (1)", "checkpoint")
		s.Wait("select count(*) = 1 from t")
		s.Exec("checkpoint")
		check(command.Cleanup, "clean", cleanup, oldest)
		s.Promote()
		check(command.RecoveryEnd, "end", end, oldest)

		if w.Major < 16 {
			return
		}
		primary.Exec("alter system set archive_command = 'true %f %p %r'", "select pg_reload_conf()")
		pgserver.Until(t, "the server refuses", func() error {
			primary.Exec("insert into t values (2)", "select pg_switch_wal()") // a file may still go the old way
			if !strings.Contains(primary.Log(), `unexpected placeholder "%r"`) {
				return fmt.Errorf("not yet")
			}
			return nil
		})
	})
}
