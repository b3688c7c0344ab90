package pitr

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/recovery"
)

func TestWatch(t *testing.T) {
	const (
		stop   = "LOG:  recovery stopping before commit of transaction 731, time 2026-03-01 12:00:00+00\n"
		prefix = "2026-03-01 12:00:00.123 UTC [7] "
		paused = prefix + "LOG:  recovery has paused\nHINT:  Execute pg_wal_replay_resume() to continue.\n"
		over   = "LOG:  archive recovery complete\n"
		ready  = "LOG:  database system is ready to accept connections\n"
		halfUp = "LOG:  database system is ready to accept read-only connections\n"
		client = "FATAL:  the database system is starting up\n"
		narrow = "WARNING:  hot standby is not possible because of insufficient parameter settings\nDETAIL:  max_connections = 10 is ...\n"
		early  = "FATAL:  recovery ended before configured recovery target was reached\n"
	)
	said := strings.TrimSuffix(strings.TrimPrefix(stop, "LOG:  "), "\n")
	to := recovery.TargetXID{XID: 731}
	for name, tc := range map[string]struct {
		log     string
		ended   bool
		target  recovery.Target
		action  recovery.TargetAction
		done    bool
		stopped string
		err     string
	}{
		"nothing_yet":           {"", false, to, "pause", false, "", ""},
		"read_only":             {halfUp + client, false, to, "promote", false, "", ""},
		"stopped_not_yet_there": {stop, false, to, "pause", false, "", ""},
		"paused":                {halfUp + stop + paused, false, to, "pause", true, said, ""},
		"paused_13":             {stop + "LOG:  pausing at the end of recovery\n", false, to, "pause", true, said, ""},
		"paused_by_somebody":    {paused, false, to, "pause", false, "", ""},
		"paused_on_the_way":     {stop + paused, false, to, "promote", false, "", ""},
		"promoted":              {stop + over + ready, false, to, "promote", true, said, ""},
		"not_ready_yet":         {stop + over, false, to, "promote", false, "", ""},
		"half_a_line":           {stop + over + strings.TrimSuffix(ready, "\n"), false, to, "promote", false, "", ""},
		"shut_down":             {client + stop, true, to, "shutdown", true, said, ""},
		"not_shut_down_yet":     {stop, false, to, "shutdown", false, "", ""},
		"end_of_the_archive":    {over + ready, false, nil, "", true, "", ""},
		"ended_early":           {client + early, true, to, "promote", true, "", ErrNotReached.Error()},
		"ended_early_12":        {over + ready, false, to, "promote", true, "", ErrNotReached.Error()},
		"ended":                 {"FATAL:  could not restore file \"0001\"\nLOG:  database system is shut down\n", true, to, "promote", true, "", "could not restore"},
		"ended_while_paused":    {stop, true, to, "pause", true, "", "the server ended"},
		"ended_at_once":         {"", true, to, "shutdown", true, "", "the server ended"},
		"not_paused":            {stop + over + ready, false, to, "pause", true, "", "did not pause"},
		"cannot_go_on":          {halfUp + prefix + narrow + paused, false, to, "promote", true, "", "insufficient parameter"},
		"text_of_a_client":      {stop + prefix + "ERROR:  syntax error at or near \"" + ready + "\tLOG:  " + ready + prefix + "STATEMENT:  " + ready, false, to, "promote", false, "", ""},
		"name_of_a_client":      {prefix + "FATAL:  role \"LOG:  recovery stopping \" does not exist\n" + paused, false, to, "pause", false, "", ""},
		"panic":                 {"PANIC:  could not locate a valid checkpoint record\n", true, nil, "", true, "", "valid checkpoint"},
	} {
		for _, at := range []int{0, len(tc.log) / 2, len(tc.log)} { // what comes in two pieces says the same
			w := &watch{log: "data.log", cfg: recovery.Config{Target: tc.target, Action: tc.action}}
			done, err := w.read(tc.log[:at], false)
			if !done {
				done, err = w.read(tc.log[at:], tc.ended)
			}
			require.Equal(t, tc.done, done, name)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err, name)
				continue
			}
			require.NoError(t, err, name)
			if done {
				require.Equal(t, tc.stopped, w.stopped, name)
			}
		}
	}
}

// A copy that is not complete, however it ended, is none that a server starts from.
func TestCopying_interrupted(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "data")
	for _, name := range []string{"global/pg_control", "PG_VERSION"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(from, name), []byte("17\n"), 0o600))
	}
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(from, "z"))) // comes last, and is refused
	c := &copying{backup: &backup{dir: from, major: 17}, dir: to}
	require.ErrorContains(t, c.run(t.Context()), "symbolic link")
	require.FileExists(t, filepath.Join(to, "PG_VERSION"))
	require.NoFileExists(t, filepath.Join(to, "global", "pg_control"))

	require.NoError(t, os.Remove(filepath.Join(from, "z")))
	require.NoError(t, os.RemoveAll(to))
	c.prepare = func() error { return os.ErrPermission }
	require.ErrorIs(t, c.run(t.Context()), os.ErrPermission)
	require.NoFileExists(t, filepath.Join(to, "global", "pg_control"), "it has no role yet")

	c.prepare = nil
	require.NoError(t, os.RemoveAll(to))
	require.NoError(t, c.run(t.Context()))
	require.FileExists(t, filepath.Join(to, "global", "pg_control"))
	require.NoFileExists(t, filepath.Join(to, heldBack))
}

// The file without which no server starts comes after everything else is durable.
func TestCopying_durable(t *testing.T) {
	from, parent := t.TempDir(), t.TempDir()
	to, space := filepath.Join(parent, "data"), filepath.Join(parent, "space")
	old := t.TempDir()
	for _, name := range []string{from + "/global/pg_control", from + "/pg_tblspc/x", old + "/PG_17/1"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	require.NoError(t, os.Symlink(old, from+"/pg_tblspc/7"))
	full := errors.New("disk")
	defer atomicfile.SetHook(func(s atomicfile.Step) error {
		if s == atomicfile.StepSyncDir {
			return full
		}
		return nil
	})()
	c := &copying{backup: &backup{dir: from, major: 17}, dir: to, tablespaces: map[string]string{old: space}}
	require.ErrorIs(t, c.run(t.Context()), full)
	require.FileExists(t, space+"/PG_17/1")
	require.NoFileExists(t, to+"/global/pg_control")
}
