package guc_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

func TestUnknown(t *testing.T) {
	for _, c := range []struct {
		major pgconf.Major
		name  string
		want  string
	}{
		{17, "shared_bufers", `unknown parameter "shared_bufers": did you mean shared_buffers?`},
		{17, "work_mme", `unknown parameter "work_mme": did you mean work_mem?`},
		{17, "Listen_Adresses", `unknown parameter "Listen_Adresses": did you mean listen_addresses?`},
		{17, "prt", `unknown parameter "prt": did you mean port?`},
		{17, "xyzzy", `unknown parameter "xyzzy"`},
		{17, "", `unknown parameter ""`},
		{17, strings.Repeat("x", 64), `unknown parameter "` + strings.Repeat("x", 64) + `"`},
		{12, "wal_keep_size", `unknown parameter "wal_keep_size": PostgreSQL 12 has it only from 13 on`},
		{13, "wal_keep_segments", `unknown parameter "wal_keep_segments": gone since 13, use wal_keep_size: the size of that many WAL segments`},
		{18, "Silent_Mode", `unknown parameter "Silent_Mode": gone since 9.2: start the server with pg_ctl -l instead`},
		{11, "restore_command", `unknown parameter "restore_command": PostgreSQL 11 takes it in recovery.conf`},
		{11, "standby_mode", `unknown parameter "standby_mode": PostgreSQL 11 takes it in recovery.conf`},
		{pgconf.V9_0, "recovery_target_lsn", `unknown parameter "recovery_target_lsn": PostgreSQL 9.0 has it only from 12 on`},
		{pgconf.V9_4, "pause_at_recovery_target", `unknown parameter "pause_at_recovery_target": PostgreSQL 9.4 takes it in recovery.conf`},
		{10, "pause_at_recovery_target", `unknown parameter "pause_at_recovery_target": gone since 9.5, use recovery_target_action: true is pause, false is promote`},
		{12, "standby_mode", `unknown parameter "standby_mode": gone since 12: on is an empty file standby.signal in the data directory, off is recovery.signal`},
		{16, "force_parallel_mode", `unknown parameter "force_parallel_mode": gone since 16, use debug_parallel_query: only the name changed`},
	} {
		err := guc.Validate(c.major, c.name, "secret")
		require.EqualError(t, err, c.want)
		require.ErrorIs(t, err, guc.ErrUnknown)
		require.NotErrorIs(t, err, guc.ErrValue)
		var unknown *guc.UnknownError
		require.True(t, errors.As(err, &unknown))
		require.Equal(t, c.name, unknown.Name)
		require.Equal(t, c.major, unknown.Major)
	}
}

// Names of identifiers with dots between them are an extension's.
func TestCustomNames(t *testing.T) {
	for _, name := range []string{"pg_stat_statements.max", "a.b", "_.x", "é.b", "plpgsql.variable_conflict", "work_mem.x", "a.b$", "a.b.c"} {
		require.NoError(t, guc.Validate(17, name, "\x00anything"), name)
		v, err := guc.Parse(pgconf.V9_0, name, "Any Thing")
		require.NoError(t, err)
		require.Equal(t, "Any Thing", v.String())
		require.Equal(t, guc.String, v.Type())
	}
	for _, name := range []string{".b", "a.", ".", "a b.c", "1.x", "a.1", "a-b.c", "a..b"} {
		require.ErrorIs(t, guc.Validate(17, name, "1"), guc.ErrUnknown, name)
	}
}
