package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// setSync changes for whom the primary waits. Those for whom it did not wait before must be streaming first, or commits would stall.
func (b *Builder) setSync(ctx context.Context, n topology.Node, to string) error {
	major, now, err := b.syncNames(ctx, n)
	if err != nil {
		return err
	}
	before, err := guc.ParseSyncNames(major, now)
	if err != nil {
		return err
	}
	after, err := guc.ParseSyncNames(major, to)
	if err != nil {
		return err
	}
	for _, name := range after.Names {
		if name == "*" || before.Lists(name) {
			continue
		}
		if err := b.awaitSender(ctx, n, name); err != nil {
			return err
		}
	}
	if err := b.set(ctx, n, map[string]string{"synchronous_standby_names": to}); err != nil {
		return err
	}
	if now == to {
		return nil
	}
	if err := b.reload(ctx, n); err != nil {
		return err
	}
	if _, now, err = b.syncNames(ctx, n); err == nil && now != to {
		err = fmt.Errorf("synchronous_standby_names is %q after the reload, not %q", now, to)
	}
	return err
}

// syncNames returns what is in effect.
func (b *Builder) syncNames(ctx context.Context, n topology.Node) (major pgconf.Major, names string, err error) {
	err = b.session(ctx, n, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000, current_setting('synchronous_standby_names')").
			Scan(&major, &names)
	})
	if err != nil {
		return 0, "", fmt.Errorf("ask for synchronous_standby_names: %w", err)
	}
	return major, names, nil
}

// awaitSender waits until a standby streams from a node, and has on disk what that had when the wait began.
func (b *Builder) awaitSender(ctx context.Context, upstream topology.Node, name string) error {
	target := ""
	return b.until(ctx, name+" to stream from "+string(upstream.ID), func(ctx context.Context) error {
		return b.session(ctx, upstream, func(ctx context.Context, conn *pgx.Conn) error {
			if target == "" {
				err := conn.QueryRow(ctx, `SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
					ELSE pg_current_wal_flush_lsn() END::text`).Scan(&target)
				if err != nil {
					return fmt.Errorf("ask where its WAL ends: %w", err)
				}
			}
			return streams(ctx, conn, name, target)
		})
	})
}

// streams says why a standby does not stream, or does not have everything up to a position on disk.
func streams(ctx context.Context, conn *pgx.Conn, name, target string) error {
	var state, flushed string
	var enough bool
	err := conn.QueryRow(ctx, `SELECT state, coalesce(flush_lsn::text, 'nothing'), coalesce(flush_lsn >= $2::pg_lsn, false)
		FROM pg_stat_replication WHERE application_name = $1 ORDER BY flush_lsn DESC NULLS LAST LIMIT 1`, name, target).
		Scan(&state, &flushed, &enough)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errors.New("it is not connected; its log says why")
	case err != nil:
		return err
	case state != "streaming" || !enough:
		return fmt.Errorf("its state is %s, and it has %s of %s", state, flushed, target)
	}
	return nil
}

// awaitStreaming waits until a standby follows: that it streams, or, from an archive, that it replays.
func (b *Builder) awaitStreaming(ctx context.Context, n topology.Node, upstream topology.NodeID) error {
	up, ok := b.cfg.Cluster.Node(upstream)
	if !ok || n.ArchiveOnly {
		return b.awaitAnswer(ctx, n)
	}
	return b.awaitSender(ctx, up, string(n.ID))
}

// awaitAnswer waits until a server answers queries in the role that it should have.
func (b *Builder) awaitAnswer(ctx context.Context, n topology.Node) error {
	_, standby := b.cfg.Cluster.Upstream(n.ID)
	return b.until(ctx, fmt.Sprintf("%s to answer", n.ID), func(ctx context.Context) error {
		return b.session(ctx, n, func(ctx context.Context, conn *pgx.Conn) error {
			var recovering bool
			if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering); err != nil {
				return err
			}
			if recovering != standby {
				return fmt.Errorf("it is in recovery: %t, and should be: %t", recovering, standby)
			}
			return nil
		})
	})
}

// awaitRole waits until a server is what it should be: the primary answers, a standby follows.
func (b *Builder) awaitRole(ctx context.Context, n topology.Node) error {
	up, standby := b.cfg.Cluster.Upstream(n.ID)
	if !standby {
		return b.awaitAnswer(ctx, n)
	}
	return b.awaitStreaming(ctx, n, up.ID)
}

// ReloadError says that a server did not take its files. It goes on with what it had, and may not start with them.
type ReloadError struct{ Reloaded pgnode.Reloaded }

func (e *ReloadError) Error() string {
	if len(e.Reloaded.Refused) > 0 || e.Reloaded.Outcome == pgnode.Refused {
		return "the server refuses its configuration: " + strings.Join(e.Reloaded.Refused, "; ")
	}
	return "whether the server took its configuration is not known: " + e.Reloaded.Why
}

// unaffected is what a server also says when a change only waits for a restart.
const unaffected = "unaffected changes were applied"

// reload makes a server read its files, and proves that it took them: a server that refuses them says so only in its log, and goes
// on as before.
func (b *Builder) reload(ctx context.Context, n topology.Node) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	return b.session(ctx, n, func(ctx context.Context, conn *pgx.Conn) error {
		r, err := node.Reload(ctx, conn)
		r.Refused = slices.DeleteFunc(r.Refused, func(line string) bool { return strings.Contains(line, unaffected) })
		if err == nil && (r.Outcome != pgnode.Accepted || len(r.Refused) > 0) {
			err = &ReloadError{r}
		}
		return err
	})
}

// restart stops and starts a server, and waits until it answers.
func (b *Builder) restart(ctx context.Context, n topology.Node) error {
	if err := b.stop(ctx, n); err != nil {
		return err
	}
	return b.start(ctx, n)
}

// start starts a server that is stopped, if its files make it what it should be, and waits until it answers.
func (b *Builder) start(ctx context.Context, n topology.Node) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	pids, err := node.Processes(ctx)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		if err := b.mayStart(ctx, n); err != nil {
			return err
		}
		// This removes a postmaster.pid that a crash left: where another process has its number by now, no server would start.
		if err := node.Fence(ctx); err != nil {
			return err
		}
		if err := node.Start(ctx); err != nil {
			return err
		}
	}
	return b.awaitAnswer(ctx, n)
}

// mayStart refuses to start what would be a second primary.
func (b *Builder) mayStart(ctx context.Context, n topology.Node) error {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	start, err := recovery.Read(ctx, d.node.Files(), d.server)
	if err != nil {
		return err
	}
	want := recovery.StartsPrimary
	if _, standby := b.cfg.Cluster.Upstream(n.ID); standby {
		want = recovery.StartsStandby
	}
	if start.Outcome != want || len(start.Doubts) > 0 || start.Triggered {
		return fmt.Errorf("it is not started, because it would not do what it should (%s): %s", want, start)
	}
	if want == recovery.StartsPrimary {
		return b.noOtherPrimary(ctx, n)
	}
	return nil
}

// noOtherPrimary refuses to start a primary beside another one.
func (b *Builder) noOtherPrimary(ctx context.Context, n topology.Node) error {
	o, err := b.Observe(ctx)
	if err != nil {
		return err
	}
	for _, other := range o.Status.Nodes {
		if other.Node != n.ID && other.Err == nil && !other.InRecovery {
			return fmt.Errorf("it is not started as a primary, because %s accepts writes", other.Node)
		}
	}
	return nil
}

// clone makes the data directory of a standby and starts it. One that is there already is only started if it is a copy of this cluster
// that would follow.
func (b *Builder) clone(ctx context.Context, n topology.Node, from topology.NodeID) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	there, err := node.Exists(ctx)
	if err != nil {
		return err
	}
	if there {
		err = b.isCopy(ctx, n)
	} else {
		err = b.copyFrom(ctx, n, from)
	}
	if err != nil {
		return err
	}
	return b.start(ctx, n)
}

// isCopy refuses a data directory of another cluster. Whether it follows, its start tells.
func (b *Builder) isCopy(ctx context.Context, n topology.Node) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	control, err := node.Control(ctx)
	if err != nil {
		return err
	}
	leader, err := b.leader(ctx)
	if err == nil && control.SystemID != leader.SystemID {
		err = &NotRedundantError{Node: n.ID, DataDir: node.DataDir(), Remedy: "move it away if nobody needs it",
			Why: fmt.Sprintf("it belongs to another cluster (%v, not %v)", control.SystemID, leader.SystemID)}
	}
	return err
}

// initialise makes the first data directory. It is made under another name, configured, and moved into place last, so that a half one is
// never taken for a server. A Debian cluster has its configuration elsewhere, and is made in its place.
func (b *Builder) initialise(ctx context.Context, n topology.Node) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	if there, err := node.Exists(ctx); err != nil || there {
		return err
	}
	if n.Service.Manager == topology.Debian {
		if err := b.init(ctx, n, node); err != nil {
			return err
		}
		return b.configureFirst(ctx, n, node)
	}
	draft, err := b.draft(ctx, n, node.DataDir()+".initialising")
	if err != nil {
		return err
	}
	if err := b.init(ctx, n, draft); err != nil {
		return err
	}
	if err := b.configureFirst(ctx, n, draft); err != nil {
		return err
	}
	h, err := b.host(n)
	if err != nil {
		return err
	}
	return h.Rename(ctx, draft.DataDir(), node.DataDir())
}

// init runs initdb, with Admin as the first superuser.
func (b *Builder) init(ctx context.Context, n topology.Node, node *pgnode.Node) error {
	admin := b.cfg.Cluster.Admin
	password, err := b.secret(ctx, admin.Secret)
	if err != nil {
		return fmt.Errorf("password of %s: %w", admin.Name, err)
	}
	cfg := pgnode.InitConfig{Superuser: cmp.Or(admin.Name, "postgres"), Password: password}
	if n.Service.Manager == topology.Debian {
		_, cfg.Port = n.Address()
	}
	return node.Init(ctx, cfg)
}

// configureFirst gives the first server its settings and access rules. It waits for nobody, since nobody is there yet.
func (b *Builder) configureFirst(ctx context.Context, n topology.Node, node *pgnode.Node) error {
	d, err := b.diskOf(ctx, n, node)
	if err != nil {
		return err
	}
	rendered, err := b.cfg.Cluster.Render(n.ID, d.server.Major)
	if err != nil {
		return err
	}
	settings := rendered.Values()
	settings["synchronous_standby_names"] = ""
	if err := d.set(ctx, settings); err != nil {
		return err
	}
	_, err = d.allow(ctx, rendered.Access, nil)
	return err
}
