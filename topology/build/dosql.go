package build

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/pgconf/role"
	"github.com/understudy-ha/understudy/pgconf/role/verifier"
	"github.com/understudy-ha/understudy/topology"
)

// ensureAccount makes a role as it should be. Its password reaches the server as a verifier only.
func (b *Builder) ensureAccount(ctx context.Context, n topology.Node, a topology.EnsureAccount) error {
	password, err := b.secret(ctx, a.Account.Secret)
	if err != nil {
		return fmt.Errorf("password of %s: %w", a.Account.Name, err)
	}
	return b.session(ctx, n, func(ctx context.Context, conn *pgx.Conn) error {
		switch a.Use {
		case topology.ForReplication:
			_, err := role.EnsureReplicationRole(ctx, conn, role.Spec{Name: a.Account.Name, Password: password})
			return err
		case topology.ForMonitoring:
			return ensureMonitor(ctx, conn, a.Account.Name, password)
		default:
			return fmt.Errorf("account %s: use %q is not known", a.Account.Name, a.Use)
		}
	})
}

// account is what a server has of a role.
type account struct {
	there, login, replication, monitor bool

	stored *string // its password, as a verifier; nil for none
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func findAccount(ctx context.Context, conn querier, name string) (a account, err error) {
	err = conn.QueryRow(ctx, `SELECT true, rolcanlogin, rolreplication, pg_has_role(oid, 'pg_monitor', 'MEMBER'), rolpassword
		FROM pg_authid WHERE rolname = $1`, name).Scan(&a.there, &a.login, &a.replication, &a.monitor, &a.stored)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return a, fmt.Errorf("look at the role %s: %w", name, err)
	}
	return a, nil
}

// has reports whether the role can log in with a password; an empty one is nobody's business here.
func (a account) has(name, password string) bool {
	return a.there && a.login && (password == "" || a.stored != nil && matches(*a.stored, password, name))
}

// lacking are the accounts that are not as they should be.
func (b *Builder) lacking(ctx context.Context, primary topology.Node) (all []topology.AccountUse, err error) {
	c := b.cfg.Cluster
	err = b.session(ctx, primary, func(ctx context.Context, conn *pgx.Conn) error {
		for _, want := range []struct {
			name   string
			secret topology.SecretRef
			use    topology.AccountUse
		}{
			{c.Replication.User, c.Replication.Secret, topology.ForReplication},
			{c.Monitor.Name, c.Monitor.Secret, topology.ForMonitoring},
		} {
			if want.name == "" {
				continue
			}
			password, err := b.secret(ctx, want.secret)
			if err != nil {
				return fmt.Errorf("password of %s: %w", want.name, err)
			}
			have, err := findAccount(ctx, conn, want.name)
			if err != nil {
				return err
			}
			may := have.replication
			if want.use == topology.ForMonitoring {
				may = have.monitor
			}
			if !may || !have.has(want.name, password) {
				all = append(all, want.use)
			}
		}
		return nil
	})
	return all, err
}

// ensureMonitor makes a role that may log in and see everything there is to observe (pg_monitor, 10+).
func ensureMonitor(ctx context.Context, conn *pgx.Conn, name, password string) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after a commit it does nothing
	have, err := findAccount(ctx, tx, name)
	if err != nil {
		return err
	}
	quoted := pgx.Identifier{name}.Sanitize()
	var statements []string
	if !have.there {
		statements = append(statements, "CREATE ROLE "+quoted+" LOGIN")
	} else if !have.login {
		statements = append(statements, "ALTER ROLE "+quoted+" LOGIN")
	}
	if !have.monitor {
		statements = append(statements, "GRANT pg_monitor TO "+quoted)
	}
	if password != "" && (have.stored == nil || !matches(*have.stored, password, name)) {
		scram, err := verifier.SCRAM(password)
		if err != nil {
			return err
		}
		statements = append(statements, "ALTER ROLE "+quoted+" PASSWORD '"+scram+"'")
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make the role %s: %w", name, err) // pgx does not repeat the statement
		}
	}
	return tx.Commit(ctx)
}

// matches reports whether a stored password is a SCRAM verifier of that one.
func matches(stored, password, name string) bool {
	return strings.HasPrefix(stored, "SCRAM-SHA-256$") && verifier.Matches(stored, name, password)
}

// createSlot makes a physical slot that keeps WAL from now on.
func (b *Builder) createSlot(ctx context.Context, n topology.Node, name string) error {
	return b.session(ctx, n, func(ctx context.Context, conn *pgx.Conn) error {
		slot, err := findSlot(ctx, conn, name)
		if err != nil || slot.there {
			return slot.usable(name, err)
		}
		_, err = conn.Exec(ctx, "SELECT pg_create_physical_replication_slot($1, true)", name)
		if err != nil {
			return fmt.Errorf("create the slot %s: %w", name, err)
		}
		return nil
	})
}

// dropSlot removes a physical slot that nobody uses any more; a connection that is just ending is waited for.
func (b *Builder) dropSlot(ctx context.Context, n topology.Node, name string) error {
	if _, ours := b.cfg.Cluster.Node(topology.NodeID(name)); !ours {
		return fmt.Errorf("slot %s is not named for a node of the cluster, so it is somebody else's", name)
	}
	return b.dropSlotNamed(ctx, n, name)
}

func (b *Builder) dropSlotNamed(ctx context.Context, n topology.Node, name string) error {
	return b.session(ctx, n, func(ctx context.Context, conn *pgx.Conn) error {
		return b.until(ctx, "the end of the use of slot "+name, func(ctx context.Context) error {
			slot, err := findSlot(ctx, conn, name)
			if err != nil || !slot.there {
				return err
			}
			if err := slot.usable(name, nil); err != nil {
				return err
			}
			if slot.active {
				return fmt.Errorf("slot %s is in use", name)
			}
			_, err = conn.Exec(ctx, "SELECT pg_drop_replication_slot($1)", name)
			return err
		})
	})
}

type slot struct{ there, physical, active bool }

func findSlot(ctx context.Context, conn *pgx.Conn, name string) (slot, error) {
	s := slot{there: true}
	err := conn.QueryRow(ctx, "SELECT slot_type = 'physical', active FROM pg_replication_slots WHERE slot_name = $1", name).
		Scan(&s.physical, &s.active)
	if errors.Is(err, pgx.ErrNoRows) {
		return slot{}, nil
	}
	if err != nil {
		return slot{}, fmt.Errorf("look for the slot %s: %w", name, err)
	}
	return s, nil
}

// usable says why a slot is none of ours.
func (s slot) usable(name string, err error) error {
	if err == nil && s.there && !s.physical {
		return fmt.Errorf("slot %s is a logical one: it is somebody else's", name)
	}
	return err
}
