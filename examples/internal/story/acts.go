package story

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/failover"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/role/verifier"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/pgnode"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// createMaster makes a cluster with initdb, configures and starts it, and creates the roles and the client's table.
func (s *stage) createMaster(ctx context.Context) error {
	if err := s.writePassfiles(ctx); err != nil {
		return err
	}
	node := s.nodes[Master]
	if err := node.Init(ctx, pgnode.InitConfig{Superuser: superuser, Password: s.passwords[superuser]}); err != nil {
		return err
	}
	cfg, err := s.config(Master)
	if err != nil {
		return err
	}
	settings := cfg.Values()
	// With a synchronous standby named but none there yet, the first commit would wait for ever.
	settings["synchronous_standby_names"] = ""
	if err := node.Configure(ctx, settings, cfg.Access); err != nil {
		return err
	}
	if err := node.Start(ctx); err != nil {
		return err
	}
	return s.createRoles(ctx)
}

// writePassfiles gives each node the passwords with which it connects to the others, in a file only its user can read.
func (s *stage) writePassfiles(ctx context.Context) error {
	var text string
	for _, r := range []string{replicator, s.rewindRole()} {
		entry := conninfo.PassEntry{Host: conninfo.Any, Port: conninfo.Any, Database: conninfo.Any, User: r, Password: s.passwords[r]}
		line, err := entry.Text()
		if err != nil {
			return err
		}
		text += line + "\n"
	}
	for id, server := range s.cfg.Servers {
		if err := server.Host.WriteFile(ctx, s.passfile(id), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the password file of %s: %w", id, err)
		}
	}
	return nil
}

// createRoles creates the roles with their SCRAM verifiers, so that no clear password reaches the server's log.
func (s *stage) createRoles(ctx context.Context) error {
	var statements []string
	for _, r := range []struct{ name, options string }{
		{replicator, "LOGIN REPLICATION CONNECTION LIMIT 10"}, {rewinder, "LOGIN"},
		{observer, "LOGIN IN ROLE pg_monitor"}, {writer, "LOGIN"},
	} {
		stored, err := verifier.SCRAM(s.passwords[r.name])
		if err != nil {
			return err
		}
		statements = append(statements, fmt.Sprintf("CREATE ROLE %s %s PASSWORD '%s'", r.name, r.options, stored))
	}
	statements = append(statements, s.rewindGrants()...)
	statements = append(statements, "CREATE DATABASE "+database+" OWNER "+writer)
	if err := s.exec(ctx, Master, "postgres", statements...); err != nil {
		return err
	}
	return s.exec(ctx, Master, database,
		"CREATE TABLE ledger (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())",
		"ALTER TABLE ledger OWNER TO "+writer)
}

// rewindGrants lets the rewinder read files through the server (manual of pg_rewind, 11 and later). In 10 only a superuser
// can.
func (s *stage) rewindGrants() []string {
	if s.cfg.Major < 11 {
		return nil
	}
	var grants []string
	for _, function := range []string{
		"pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)",
		"pg_read_binary_file(text)", "pg_read_binary_file(text, bigint, bigint, boolean)",
	} {
		grants = append(grants, "GRANT EXECUTE ON FUNCTION pg_catalog."+function+" TO "+rewinder)
	}
	return grants
}

// cloneStandby makes a standby from its upstream and waits until it streams.
func (s *stage) cloneStandby(ctx context.Context, id topology.NodeID) error {
	standby, err := s.standby(id)
	if err != nil {
		return err
	}
	if err := s.nodes[id].Clone(ctx, standby.Recovery.PrimaryConninfo, standby); err != nil {
		return err
	}
	if err := s.nodes[id].Start(ctx); err != nil {
		return err
	}
	return s.waitStreaming(ctx, id)
}

// waitStreaming waits until the upstream of a node reports that it streams.
func (s *stage) waitStreaming(ctx context.Context, id topology.NodeID) error {
	return until(ctx, string(id)+" streams", func(ctx context.Context) error {
		o, _ := s.Observe(ctx).Node(id)
		switch {
		case o.Err != nil:
			return o.Err
		case o.Receiver == nil || o.Receiver.Status != "streaming":
			return errors.New("its receiver is not streaming")
		}
		return nil
	})
}

// enableSync names the cascade as synchronous on the master, now that it streams.
func (s *stage) enableSync(ctx context.Context) error {
	cfg, err := s.config(Master)
	if err != nil {
		return err
	}
	if err := s.nodes[Master].Configure(ctx, cfg.Values(), cfg.Access); err != nil {
		return err
	}
	if err := s.reload(ctx, Master); err != nil {
		return err
	}
	return until(ctx, "the cascade is synchronous", func(ctx context.Context) error {
		o, _ := s.Observe(ctx).Node(Master)
		for _, sender := range o.Senders {
			if sender.Name == string(Cascade) && sender.SyncState == "sync" {
				return nil
			}
		}
		return fmt.Errorf("the master reports %+v", o.Senders)
	})
}

// reload makes a server read its files, all of which it must take.
func (s *stage) reload(ctx context.Context, id topology.NodeID) error {
	reloaded, err := s.nodes[id].Reload(ctx, nil)
	if err != nil {
		return err
	}
	return reloaded.Err()
}

// proveArchive closes a WAL segment and waits until the server reports it archived, by this project's own command.
func (s *stage) proveArchive(ctx context.Context) error {
	var segment string
	err := s.sql(ctx, Master, "postgres", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_switch_wal())").Scan(&segment)
	})
	if err != nil {
		return err
	}
	err = until(ctx, "segment "+segment+" is archived", func(ctx context.Context) error {
		return s.sql(ctx, Master, "postgres", func(conn *pgx.Conn) error {
			var archived, failed string
			var failures int
			err := conn.QueryRow(ctx, `SELECT coalesce(last_archived_wal, ''), failed_count, coalesce(last_failed_wal, '')
				FROM pg_stat_archiver`).Scan(&archived, &failures, &failed)
			if err == nil && archived < segment {
				err = fmt.Errorf("last archived is %q, %d attempts failed (last %q)", archived, failures, failed)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	s.emit(Event{Kind: KindProof, Message: "segment " + segment + " is in the archive"})
	return nil
}

// startClient starts the client and lets it commit some rows.
func (s *stage) startClient(ctx context.Context) error {
	cfg, err := s.clientConfig()
	if err != nil {
		return err
	}
	s.client = &client{cfg: cfg}
	clientCtx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it ends with the story, in leave
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.client.run(clientCtx)
	}()
	s.stopClient = func() { cancel(); <-ended }
	return s.waitRows(ctx, s.cfg.Rows)
}

// clientConfig lists every node; libpq's rule target_session_attrs=read-write finds the one that takes writes.
func (s *stage) clientConfig() (*pgx.ConnConfig, error) {
	var hosts, ports string
	for i, n := range s.shape.Nodes {
		if i > 0 {
			hosts, ports = hosts+",", ports+","
		}
		server := s.cfg.Servers[n.ID]
		hosts, ports = hosts+server.Dial, ports+fmt.Sprint(server.DialPort)
	}
	info := s.dial(Master, writer, database).With("host", hosts).With("port", ports).
		With("target_session_attrs", "read-write").With("connect_timeout", "1")
	return pgx.ParseConfig(info.Text())
}

// waitRows waits until the client has had more rows acknowledged.
func (s *stage) waitRows(ctx context.Context, more int) error {
	goal := s.client.ledger.count() + more
	err := until(ctx, fmt.Sprintf("%d more rows are committed", more), func(context.Context) error {
		n := s.client.ledger.count()
		s.emit(Event{Kind: KindRows, Rows: n, Expected: goal})
		if n < goal {
			return fmt.Errorf("%d of %d", n, goal)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.emit(Event{Kind: KindNote, Message: fmt.Sprintf("%d rows acknowledged", s.client.ledger.count())})
	return nil
}

// showTree prints the cluster as its servers report it.
func (s *stage) showTree(ctx context.Context) error {
	tree := topology.Derive(s.everyNode(), s.Observe(ctx))
	s.emit(Event{Kind: KindTree, Tree: lines(tree), Drawing: tree.String()})
	return nil
}

// everyNode is the present shape with the nodes that are not part of it now, so that a tree shows them too.
func (s *stage) everyNode() topology.Cluster {
	all := s.shape
	for _, n := range s.cfg.shape().Nodes {
		if _, ok := all.Node(n.ID); !ok {
			all = all.Attached(n)
		}
	}
	return all
}

// killMaster ends the master as a crash would, and leaves the rest to the failover machine.
func (s *stage) killMaster(ctx context.Context) error {
	s.state = failover.Begin(s.shape, time.Now())
	var err error
	if s.state, err = s.driver.Run(ctx, s.state, func(failover.State) bool { return true }); err != nil {
		return err
	}
	pids, err := s.nodes[Master].Processes(ctx)
	if err != nil {
		return err
	}
	if err := s.nodes[Master].Kill(ctx); err != nil {
		return err
	}
	s.emit(Event{Kind: KindNote, Message: fmt.Sprintf("SIGKILL to the postmaster and its children, %d processes", len(pids))})
	return nil
}

// failOver runs the machine until the cluster has settled around a new primary.
func (s *stage) failOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	begun := s.shape
	state, err := s.driver.Run(ctx, s.state, func(st failover.State) bool {
		now, _ := st.Shape.Primary()
		return st.Phase == failover.Watching && now.ID != Master
	})
	s.state, s.shape = state, state.Shape
	if err != nil {
		return fmt.Errorf("the machine stopped while %s: %w", state.Phase, err)
	}
	if len(s.shape.Nodes) != len(begun.Nodes)-1 {
		return fmt.Errorf("the new shape has %d nodes", len(s.shape.Nodes))
	}
	return s.showTree(ctx)
}

// writeMore lets the client write to the new master, and measures the time without writes.
func (s *stage) writeMore(ctx context.Context) error {
	if err := s.waitRows(ctx, s.cfg.Rows); err != nil {
		return err
	}
	_, _, gaps := s.client.ledger.copies()
	outage, ok := gapAround(gaps, s.clock.at(failover.Electing))
	if !ok {
		return errors.New("the client noticed no interruption although its master was killed")
	}
	s.report.Timings = s.clock.split(outage)
	s.emit(Event{Kind: KindTiming, Timing: &s.report.Timings})
	return nil
}

// gapAround returns the time without writes that includes a moment. There can be others, longer ones as well: a commit that
// takes too long on a slow machine counts as a broken connection, too.
func gapAround(gaps []gap, at time.Time) (gap, bool) {
	i := slices.IndexFunc(gaps, func(g gap) bool { return !g.from.After(at) && !g.to.Before(at) })
	if i < 0 {
		return gap{}, false
	}
	return gaps[i], true
}

// split divides the time without writes among the phases of the failover. A phase that ended only after the first write
// counts up to it.
func (c *clock) split(g gap) Timing {
	t := Timing{Outage: g.to.Sub(g.from)}
	at := g.from
	for _, part := range []struct {
		length *time.Duration
		next   failover.Phase
	}{
		{&t.Detect, failover.Fencing}, {&t.Fence, failover.Electing}, {&t.Elect, failover.Promoting}, {&t.Promote, failover.Settling},
	} {
		end := c.at(part.next)
		if end.After(g.to) {
			end = g.to
		}
		if end.After(at) {
			*part.length, at = end.Sub(at), end
		}
	}
	t.First = g.to.Sub(at)
	return t
}

// proveSurvivors checks the client's ledger against the nodes that survived.
func (s *stage) proveSurvivors(ctx context.Context) error {
	return s.prove(ctx, Cascade, Downstream)
}

// proveAll stops the client, waits until all nodes are equally far, and checks each of them.
func (s *stage) proveAll(ctx context.Context) error {
	s.stopClient()
	return s.prove(ctx, Cascade, Downstream, Master)
}

// prove checks that every row whose commit was acknowledged so far exists on each of the nodes.
func (s *stage) prove(ctx context.Context, ids ...topology.NodeID) error {
	acked, doubtful, _ := s.client.ledger.copies()
	s.report.Acked, s.report.Doubtful = len(acked), len(doubtful)
	for _, id := range ids {
		if err := s.catchUp(ctx, id); err != nil {
			return err
		}
		rows, err := s.rows(ctx, id)
		if err != nil {
			return err
		}
		missing := absent(acked, rows)
		s.report.Rescued = len(doubtful) - len(absent(doubtful, rows))
		if len(missing) > 0 {
			s.report.Missing = max(s.report.Missing, len(missing))
			return fmt.Errorf("%d acknowledged rows are missing on %s, the first is %d", len(missing), id, missing[0])
		}
		s.emit(Event{Kind: KindProof, Message: fmt.Sprintf("%s has all %d acknowledged rows (%d in doubt, of which %d exist)",
			id, len(acked), len(doubtful), s.report.Rescued)})
	}
	return nil
}

// catchUp waits until a standby has replayed what its primary had written when it was asked.
func (s *stage) catchUp(ctx context.Context, id topology.NodeID) error {
	primary, _ := s.shape.Primary()
	leader, _ := s.Observe(ctx).Node(primary.ID)
	if id == primary.ID {
		return leader.Err
	}
	return until(ctx, string(id)+" replays up to "+leader.Position.String(), func(ctx context.Context) error {
		o, _ := s.Observe(ctx).Node(id)
		if o.Err != nil {
			return o.Err
		}
		if o.Replayed < leader.Position {
			return fmt.Errorf("it is at %v", o.Replayed)
		}
		return nil
	})
}

// rows reads the numbers of all rows of a node.
func (s *stage) rows(ctx context.Context, id topology.NodeID) (map[int64]bool, error) {
	found := map[int64]bool{}
	err := s.sql(ctx, id, database, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT id FROM ledger")
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		for _, n := range ids {
			found[n] = true
		}
		return err
	})
	return found, err
}

// absent returns the numbers that are not among the rows.
func absent(ids []int64, rows map[int64]bool) []int64 {
	var gone []int64
	for _, id := range ids {
		if !rows[id] {
			gone = append(gone, id)
		}
	}
	return gone
}

// rejoin brings the old master back below the last node of the chain, so that the shape is that of the beginning with the
// parts handed on. How it may come back is decided from its control file and the new primary's history.
func (s *stage) rejoin(ctx context.Context) error {
	primary, _ := s.shape.Primary()
	s.shape = s.shape.Attached(s.cfg.node(Master, Downstream))
	verdict, err := s.judge(ctx, primary.ID)
	if err != nil {
		return err
	}
	s.emit(Event{Kind: KindNote, Message: fmt.Sprintf("the old master must %s: %s", verdict.Verdict, verdict.Reason)})
	standby, err := s.standby(Master)
	if err != nil {
		return err
	}
	if err := s.makeStandby(ctx, verdict.Verdict, primary.ID, standby); err != nil {
		return err
	}
	if err := s.nodes[Master].Start(ctx); err != nil {
		return err
	}
	if err := s.refresh(ctx, Downstream); err != nil {
		return err
	}
	return s.waitStreaming(ctx, Master)
}

// judge collects the evidence about the old master.
func (s *stage) judge(ctx context.Context, primary topology.NodeID) (recovery.Judgement, error) {
	control, err := s.nodes[Master].Control(ctx)
	if err != nil {
		return recovery.Judgement{}, err
	}
	o, _ := s.Observe(ctx).Node(primary)
	if o.Err != nil {
		return recovery.Judgement{}, o.Err
	}
	theirs, err := s.history(ctx, primary, o.Timeline)
	if err != nil {
		return recovery.Judgement{}, err
	}
	own, err := s.history(ctx, Master, control.Timeline())
	if err != nil {
		return recovery.Judgement{}, err
	}
	return recovery.Judge(
		recovery.Returning{Control: control, History: own, CanRewind: !s.cfg.NoRewind && s.nodes[Master].CanRewind(ctx)},
		recovery.Leader{SystemID: o.SystemID, History: theirs, Position: o.Position},
	), nil
}

// history reads the history of a timeline that a node is on; the first one has none.
func (s *stage) history(ctx context.Context, id topology.NodeID, tli wal.Timeline) (wal.History, error) {
	if tli == 1 {
		return wal.History{Timeline: tli}, nil
	}
	text, err := s.cfg.Servers[id].Host.ReadFile(ctx, path.Join(s.nodes[id].DataDir(), "pg_wal", tli.HistoryName()))
	if err != nil {
		return wal.History{}, fmt.Errorf("read the history of %s: %w", id, err)
	}
	return wal.ParseHistory(tli, text)
}

// makeStandby turns the old master into a standby as the verdict says. A rewind that fails leaves it unusable, so then it is
// set aside and cloned.
func (s *stage) makeStandby(ctx context.Context, verdict recovery.Verdict, primary topology.NodeID, standby pgnode.Standby) error {
	node := s.nodes[Master]
	s.report.Rejoin = string(verdict)
	switch verdict {
	case recovery.Follow:
		return errors.Join(node.Follow(ctx, standby.Recovery), node.Configure(ctx, standby.Settings, standby.Access))
	case recovery.Rewind:
		// Up to 15 pg_rewind compares timelines by the last checkpoint, which right after a promotion is still the old one's.
		if err := s.exec(ctx, primary, "postgres", "CHECKPOINT"); err != nil {
			return err
		}
		err := node.Rewind(ctx, s.rewindSource(primary), standby)
		if err == nil {
			return nil
		}
		s.emit(Event{Kind: KindNote, Message: fmt.Sprintf("cannot rewind, so clone: %v", err)})
		s.report.Rejoin = string(recovery.Clone)
	}
	aside, err := node.SetAside(ctx, time.Now())
	if err != nil {
		return err
	}
	s.emit(Event{Kind: KindNote, Message: "its old data directory is set aside as " + aside})
	return node.Clone(ctx, standby.Recovery.PrimaryConninfo, standby)
}

// rewindSource is how pg_rewind on the old master connects to the new primary.
func (s *stage) rewindSource(primary topology.NodeID) conninfo.Info {
	server := s.cfg.Servers[primary]
	return new(conninfo.Info).With("host", server.Peer).With("port", fmt.Sprint(server.PeerPort)).
		With("user", s.rewindRole()).With("dbname", "postgres").With("passfile", s.passfile(Master))
}

// refresh writes a running node's settings for the present shape and reloads it.
func (s *stage) refresh(ctx context.Context, id topology.NodeID) error {
	cfg, err := s.config(id)
	if err != nil {
		return err
	}
	const name = "synchronous_standby_names"
	if err := s.nodes[id].Set(ctx, map[string]string{name: cfg.Values()[name]}); err != nil {
		return err
	}
	return s.reload(ctx, id)
}
