package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/pgprobe"
)

// Observe asks all servers and looks at all machines, beside each other, each within Config.ObserveTimeout. What does not answer is an
// Err in the observation or the inspection of its node, not of Observe, which only fails if nothing can be asked at all.
func (b *Builder) Observe(ctx context.Context) (topology.Observed, error) {
	connect := map[topology.NodeID]string{}
	for _, n := range b.servers() {
		info, err := b.dial(ctx, n)
		if err != nil {
			return topology.Observed{}, err
		}
		connect[n.ID] = info.Text()
	}
	prober, err := pgprobe.New(pgprobe.Config{Connect: connect, Timeout: b.cfg.ObserveTimeout})
	if err != nil {
		return topology.Observed{}, err
	}
	var o topology.Observed
	var wg sync.WaitGroup
	wg.Go(func() { o.Status = prober.Observe(ctx) })
	wg.Go(func() { o.Inspections = b.inspectAll(ctx) })
	wg.Wait()
	b.closeQuietly(ctx, prober)
	primary, _ := b.cfg.Cluster.Primary()
	if at, ok := o.Status.Node(primary.ID); ok && at.Err == nil && !at.InRecovery && b.cfg.Cluster.Admin.Name != "" {
		if o.Lacking, err = b.lacking(ctx, primary); err != nil {
			return o, fmt.Errorf("look at the accounts: %w", err)
		}
	}
	return o, nil
}

// closeQuietly ends the connections of a prober. Servers that went away meanwhile are no news here.
func (b *Builder) closeQuietly(ctx context.Context, p *pgprobe.Prober) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = p.Close(ctx)
}

// servers are the nodes that have one.
func (b *Builder) servers() []topology.Node {
	return slices.DeleteFunc(slices.Clone(b.cfg.Cluster.Nodes), func(n topology.Node) bool { return n.Witness })
}

// inspectAll looks at the machines of all nodes, some at a time.
func (b *Builder) inspectAll(ctx context.Context) []topology.Inspection {
	nodes := b.servers()
	all := make([]topology.Inspection, len(nodes))
	slots := make(chan struct{}, b.cfg.Parallel)
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, b.cfg.ObserveTimeout)
			defer cancel()
			all[i] = b.inspect(ctx, n)
		})
	}
	wg.Wait()
	return all
}

// account is the one that works on the cluster: Admin, or, to look only, Monitor.
func (b *Builder) account() (topology.Account, error) {
	c := b.cfg.Cluster
	switch {
	case c.Admin.Name != "":
		return c.Admin, nil
	case c.Monitor.Name != "":
		return c.Monitor, nil
	}
	return topology.Account{}, errors.New("Cluster: neither Admin nor Monitor is named, so no server can be asked")
}

// dial returns how this process reaches a server, with the password.
func (b *Builder) dial(ctx context.Context, n topology.Node) (conninfo.Info, error) {
	account, err := b.account()
	if err != nil {
		return conninfo.Info{}, err
	}
	info, err := b.cfg.Cluster.Conninfo(n.ID, account)
	if err != nil {
		return conninfo.Info{}, err
	}
	address, port := b.cfg.Address(n)
	info = info.With("host", address).With("port", strconv.Itoa(port))
	password, err := b.secret(ctx, account.Secret)
	if err != nil {
		return conninfo.Info{}, fmt.Errorf("password of %s: %w", account.Name, err)
	}
	if password != "" {
		info = info.With("password", password)
	}
	return info, nil
}

// session connects to the server of a node, works, and ends the connection. Each of our statements is short; one that waits for a
// synchronous standby would not be, so commits wait for nobody.
func (b *Builder) session(ctx context.Context, n topology.Node, work func(context.Context, *pgx.Conn) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	info, err := b.dial(ctx, n)
	if err != nil {
		return err
	}
	cfg, err := pgx.ParseConfig(info.Text())
	if err != nil {
		return fmt.Errorf("connection string of node %s cannot be used: %s", n.ID, info)
	}
	cfg.RuntimeParams["application_name"] = "understudy_build"
	cfg.RuntimeParams["synchronous_commit"] = "local"
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is worth preparing
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to node %s: %w", n.ID, err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second) // also after ctx has ended
		defer cancel()
		_ = conn.Close(end)
	}()
	return work(ctx, conn)
}

// until tries until there is no error, for at most Config.Timeout, and returns the last one.
func (b *Builder) until(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ended := pause(ctx, wait); ended != nil {
			return fmt.Errorf("wait for %s: %w: %w", what, ended, err)
		}
	}
}

// Close ends the connections to machines that have one. The Builder may go on to be used; it connects again.
func (b *Builder) Close() error {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	var errs []error
	for id, h := range b.shared.hosts {
		if c, ok := h.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
		delete(b.shared.hosts, id)
	}
	return errors.Join(errs...)
}
