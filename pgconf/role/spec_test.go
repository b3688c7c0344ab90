package role_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/role"
	"github.com/understudy-ha/understudy/pgconf/role/verifier"
)

func TestSpec_refused(t *testing.T) {
	for name, c := range map[string]struct {
		spec role.Spec
		want string
	}{
		"no_name":       {role.Spec{}, "Name is empty"},
		"long_name":     {role.Spec{Name: strings.Repeat("é", 32)}, "is longer than 63 bytes"},
		"NUL_in_name":   {role.Spec{Name: "a\x00b"}, "has a NUL character"},
		"limit":         {role.Spec{Name: "r", ConnLimit: -2}, "ConnLimit is -2; it is -1 for none, or more"},
		"year_0":        {role.Spec{Name: "r", ValidUntil: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)}, "ValidUntil"},
		"year_10000":    {role.Spec{Name: "r", ValidUntil: time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -3600))}, "ValidUntil"},
		"method":        {role.Spec{Name: "r", Method: 7}, "Method is 7"},
		"negative_kind": {role.Spec{Name: "r", Method: -1}, "Method is -1"},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.Password = "marker"
			_, err := role.EnsureReplicationRole(t.Context(), nil, c.spec)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "marker")
		})
	}
}

func TestSpec_printsNoPassword(t *testing.T) {
	spec := role.Spec{Name: "r", Password: "marker"}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", spec)
		fmt.Fprintf(&out, verb+"\n", []any{spec, &spec, struct{ S role.Spec }{spec}})
	}
	fmt.Fprintln(&out, spec.String(), spec.GoString())
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "spec", spec)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "spec", spec)
	require.NoError(t, json.NewEncoder(&out).Encode(spec))
	require.NotContains(t, out.String(), "marker")
	require.NotContains(t, out.String(), fmt.Sprintf("%x", "marker"))
	require.Contains(t, out.String(), "password set")
	require.Contains(t, fmt.Sprint(role.Spec{}), "password not set")
}

func TestClauses(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 678912345, time.FixedZone("", 3600))
	require.Equal(t, "LOGIN REPLICATION", role.Clause(role.Spec{Name: "r"}))
	require.Equal(t, "LOGIN REPLICATION", role.Clause(role.Spec{Name: "r", ConnLimit: role.NoLimit}))
	require.Equal(t, "LOGIN REPLICATION CONNECTION LIMIT 5 VALID UNTIL '2030-01-02 02:04:05.678912+00'",
		role.Clause(role.Spec{Name: "r", ConnLimit: 5, ValidUntil: at}))
}

// A server before 10 would take a SCRAM verifier for a password.
func TestStore(t *testing.T) {
	_, err := role.Store(role.Spec{Name: "r", Password: "marker"}, 9_06_24)
	require.ErrorIs(t, err, role.ErrMethod)
	require.NotContains(t, err.Error(), "marker")
	stored, err := role.Store(role.Spec{Name: "r", Password: "marker", Method: role.MD5}, 9_06_24)
	require.NoError(t, err)
	require.True(t, verifier.Matches(stored, "r", "marker"))
	stored, err = role.Store(role.Spec{Name: "r", Password: "marker"}, 10_00_00)
	require.NoError(t, err)
	require.True(t, verifier.Matches(stored, "r", "marker"))
}

func TestErrors(t *testing.T) {
	pg := func(code, message string) error {
		return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code, Message: message})
	}
	for _, err := range []error{pg("42710", ""), pg("23505", ""), pg("42704", ""), pg("XX000", "tuple concurrently updated")} {
		require.True(t, role.Outrun(err), err)
	}
	for _, err := range []error{pg("42501", ""), pg("XX000", "other"), context.DeadlineExceeded, errors.New("x")} {
		require.False(t, role.Outrun(err), err)
	}
	for _, err := range []error{pg("40001", ""), pgx.ErrTxCommitRollback} {
		require.True(t, role.Answered(err), err)
	}
	for _, err := range []error{pg("57P01", ""), context.DeadlineExceeded, errors.New("x")} {
		require.False(t, role.Answered(err), err)
	}
}
