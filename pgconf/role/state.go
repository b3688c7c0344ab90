package role

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/understudy-ha/understudy/pgconf/role/verifier"
)

// state is what the server says about itself and the role.
type state struct {
	version  int // server_version_num
	now      time.Time
	readable bool // whether this user may read verifiers

	exists, super, login, replication, createRole, createDB bool
	connLimit                                               int
	validUntil                                              pgtype.Timestamptz // not valid: never
	stored                                                  string             // the verifier, if readable
	reaches                                                 []string           // superusers whose member the role is
}

const (
	aboutServer = `
		SELECT current_setting('server_version_num')::int4, now(), has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT')`

	aboutRole = `
		SELECT rolsuper, rolcanlogin, rolreplication, rolcreaterole, rolcreatedb, rolconnlimit, rolvaliduntil
		FROM pg_catalog.pg_roles WHERE rolname = $1`

	aboutPassword = `SELECT coalesce(rolpassword, '') FROM pg_catalog.pg_authid WHERE rolname = $1`

	aboutMembership = `
		WITH RECURSIVE reached(id) AS (
			SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1
			UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN reached ON m.member = reached.id)
		SELECT rolname::text FROM pg_catalog.pg_roles JOIN reached ON oid = reached.id WHERE rolsuper AND rolname <> $1 ORDER BY 1`
)

// look asks the server.
func look(ctx context.Context, tx pgx.Tx, spec Spec) (state, error) {
	s := state{connLimit: NoLimit}
	if err := tx.QueryRow(ctx, aboutServer).Scan(&s.version, &s.now, &s.readable); err != nil {
		return s, fmt.Errorf("read the server's state: %w", err)
	}
	err := tx.QueryRow(ctx, aboutRole, spec.Name).
		Scan(&s.super, &s.login, &s.replication, &s.createRole, &s.createDB, &s.connLimit, &s.validUntil)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read pg_roles: %w", err)
	}
	s.exists = true
	if s.readable && spec.Password != "" {
		if err := tx.QueryRow(ctx, aboutPassword, spec.Name).Scan(&s.stored); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return s, fmt.Errorf("read pg_authid: %w", err)
		}
	}
	rows, err := tx.Query(ctx, aboutMembership, spec.Name)
	if err == nil {
		s.reaches, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return s, fmt.Errorf("read pg_auth_members: %w", err)
	}
	return s, nil
}

// validUntilIs compares; the zero time is no end.
func (s state) validUntilIs(t time.Time) bool {
	never := !s.validUntil.Valid || s.validUntil.InfinityModifier == pgtype.Infinity
	if t.IsZero() || never {
		return t.IsZero() && never
	}
	return s.validUntil.Time.Equal(t.Truncate(time.Microsecond)) // that of -infinity is zero
}

// passwordIs reports whether nothing has to be done about the password.
func (s state) passwordIs(spec Spec) bool {
	if spec.Password == "" {
		return true
	}
	method := SCRAM
	if strings.HasPrefix(s.stored, "md5") {
		method = MD5
	}
	return method == spec.Method && verifier.Matches(s.stored, spec.Name, spec.Password)
}

// warnings says what may be a mistake.
func warnings(spec Spec, s state) (all []string) {
	warn := func(doubt bool, format string, args ...any) {
		if doubt {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	warn(spec.ConnLimit == 1, "the connection limit of 1 is too low for a base backup, which opens two connections (servers up to 12 count them)")
	warn(spec.Password != "" && spec.Password == spec.Name, "the password is the role's name")
	warn(spec.Password != "" && spec.Method == MD5 && s.version >= 10_00_00,
		"an md5 verifier can be used like a password by who reads it, and lines with scram-sha-256 in pg_hba.conf refuse the role; use SCRAM")
	warn(!spec.ValidUntil.IsZero() && spec.ValidUntil.Before(s.now), "the password is valid until %s, which has passed", spec.validUntil())
	warn(s.exists && spec.Password != "" && !s.readable, "the password was set anew, because only superusers may see whether it is the stored one")
	warn(s.createRole, "the role may create roles (CREATEROLE), which no replication needs")
	warn(s.createDB, "the role may create databases (CREATEDB), which no replication needs")
	warn(len(s.reaches) > 0, "the role is a member of superusers: %s", strings.Join(s.reaches, ", "))
	return all
}

// confirmation returns, as the middle of an error's text, what a commit in this transaction waits for, or nothing.
func confirmation(ctx context.Context, tx pgx.Tx) (string, error) {
	var names, level string
	var standbys int
	err := tx.QueryRow(ctx, `
		SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
			(SELECT count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))`).Scan(&names, &level, &standbys)
	switch {
	case err != nil:
		return "", fmt.Errorf("read the state of synchronous replication: %w", err)
	case names == "" || level == "off" || level == "local":
		return "", nil
	case standbys == 0:
		return fmt.Sprintf(" (synchronous_standby_names is %q, and no synchronous standby is seen that could confirm it)", names), nil
	}
	return fmt.Sprintf(" (synchronous_standby_names is %q)", names), nil
}
