package role

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/pgconf/role/verifier"
)

var (
	// ErrSuperuser is matched by the error for a role that exists and is a superuser. It is left as it is.
	ErrSuperuser = errors.New("the role is a superuser")

	// ErrUnconfirmed is matched by the error of a call that ended, by ctx or a broken connection, while the server was committing. The
	// change may be there or not; the same call again finds out and does what is missing.
	ErrUnconfirmed = errors.New("commit not confirmed")

	// ErrMethod is matched by the error for a server that does not know the Method.
	ErrMethod = errors.New("the server does not know this password method")
)

// Conn is a connection to the server's database, any of its databases: *pgx.Conn, *pgxpool.Pool, or pgx.Tx, of which what is done becomes
// part (a savepoint); then it is the caller who commits, and whose commit may wait.
type Conn interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Result says what EnsureReplicationRole did.
type Result struct {
	// Created means that the role was not there.
	Created bool

	// Changed are the clauses of ALTER ROLE that were needed for a role that was there, in this order: LOGIN, REPLICATION, CONNECTION LIMIT,
	// VALID UNTIL, PASSWORD.
	Changed []string

	// Warnings are sentences for a person, about what is as it was asked for and may still be a mistake.
	Warnings []string
}

// attempts is how often EnsureReplicationRole looks again after somebody else was faster.
const attempts = 5

// EnsureReplicationRole makes the role exist as spec says: created, or altered where it differs, or left alone. See the package's
// documentation for what it needs and how it fails. The errors match [ErrSuperuser], [ErrUnconfirmed], [ErrMethod],
// [verifier.ErrPassword], what ctx ended with, or are those of pgx. None holds the password.
func EnsureReplicationRole(ctx context.Context, conn Conn, spec Spec) (Result, error) {
	if err := spec.check(); err != nil {
		return Result{}, fmt.Errorf("replication role: %w", err)
	}
	for attempt := 1; ; attempt++ {
		result, err := ensure(ctx, conn, spec)
		if err == nil {
			return result, nil
		}
		if attempt == attempts || !outrun(err) {
			return Result{}, fmt.Errorf("replication role %q: %w", spec.Name, err)
		}
	}
}

// outrun reports whether an error means that somebody else has created, altered or dropped the role meanwhile.
func outrun(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "42710", "23505", "42704": // duplicate_object, unique_violation, undefined_object
		return true
	case "XX000": // internal_error; never translated
		return strings.Contains(pg.Message, "tuple concurrently")
	}
	return false
}

// ensure is one attempt, in one transaction.
func ensure(ctx context.Context, conn Conn, spec Spec) (Result, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer rollback(ctx, tx)
	now, err := look(ctx, tx, spec)
	if err != nil {
		return Result{}, err
	}
	if now.super {
		return Result{}, ErrSuperuser
	}
	result := Result{Created: !now.exists, Warnings: warnings(spec, now)}
	todo, err := clauses(spec, now)
	if err != nil || len(todo) == 0 {
		return result, err
	}
	verb := "CREATE"
	if now.exists {
		verb = "ALTER"
		result.Changed = names(todo)
	}
	sql := verb + " ROLE " + pgx.Identifier{spec.Name}.Sanitize() + " " + strings.Join(texts(todo), " ")
	if _, err := tx.Exec(ctx, sql); err != nil {
		return Result{}, fmt.Errorf("%s ROLE: %w", verb, err)
	}
	return result, commit(ctx, tx)
}

// rollback ends a transaction that has not been committed, also when ctx has ended.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // it has been committed, or the connection is broken, which ends it too
}

// clause is a part of CREATE or ALTER ROLE.
type clause struct {
	name string // as Result has it
	text string
}

func names(clauses []clause) (all []string) {
	for _, c := range clauses {
		all = append(all, c.name)
	}
	return all
}

func texts(clauses []clause) (all []string) {
	for _, c := range clauses {
		all = append(all, c.text)
	}
	return all
}

// clauses returns what makes the role as spec says: all that is not the default for one that does not exist.
func clauses(spec Spec, now state) ([]clause, error) {
	var todo []clause
	add := func(need bool, name, text string) {
		if need {
			todo = append(todo, clause{name, text})
		}
	}
	add(!now.login, "LOGIN", "LOGIN")
	add(!now.replication, "REPLICATION", "REPLICATION")
	add(now.connLimit != spec.connLimit(), "CONNECTION LIMIT", spec.connLimitClause())
	add(!now.validUntilIs(spec.ValidUntil), "VALID UNTIL", spec.validUntilClause())
	if !now.passwordIs(spec) {
		stored, err := store(spec, now.version)
		if err != nil {
			return nil, err
		}
		add(true, "PASSWORD", "PASSWORD '"+stored+"'")
	}
	return todo, nil
}

// store returns the verifier to store.
func store(spec Spec, version int) (string, error) {
	switch {
	case spec.Method == MD5:
		return verifier.MD5(spec.Password, spec.Name)
	case version < 10_00_00:
		return "", fmt.Errorf("%w: SCRAM came with 10", ErrMethod)
	default:
		return verifier.SCRAM(spec.Password)
	}
}

// commit commits, and says what it was waiting for if that did not end well.
func commit(ctx context.Context, tx pgx.Tx) error {
	wait, err := confirmation(ctx, tx)
	if err != nil {
		return err
	}
	if err = tx.Commit(ctx); err == nil || answered(err) {
		return err
	}
	return fmt.Errorf("%w%s: %w", ErrUnconfirmed, wait, err)
}

// answered reports whether the error of a commit is the server's answer, so that nothing has been committed; and not its last words.
func answered(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return !strings.HasPrefix(pg.Code, "57P") // operator_intervention
	}
	return errors.Is(err, pgx.ErrTxCommitRollback)
}
