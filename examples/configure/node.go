package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/topology"
)

// add puts a node into the cluster file, unless it is there, and makes the machine what the file says.
func (p *program) add(ctx context.Context, role string, flags standbyFlags) error {
	f, err := p.loadOrNew()
	if err != nil {
		return err
	}
	c := f.cluster
	id := topology.NodeID(cmp.Or(flags.Name, role))
	if known, ok := c.Node(id); ok {
		if err := flags.agree(known); err != nil {
			return err
		}
	} else {
		n, err := p.describe(id, role, flags)
		if err != nil {
			return err
		}
		c = c.Attached(n)
		if c.Replication.Secret != "" {
			c.Replication.Passfile = cmp.Or(c.Replication.Passfile, passfile(c.Name, n))
		}
	}
	if err := c.Validate(); err != nil {
		return usage("node %s does not fit into %s: %w", id, f.path, err)
	}
	if p.DryRun {
		f.cluster = c
		return p.apply(ctx, f)
	}
	if err := p.ensureSecrets(c); err != nil {
		return err
	}
	if err := f.save(c); err != nil {
		return err
	}
	f.cluster = c
	return p.apply(ctx, f)
}

// describe makes a node of what is given, what is asked, and what goes without saying.
func (p *program) describe(id topology.NodeID, role string, flags standbyFlags) (topology.Node, error) {
	n := topology.Node{ID: id, Host: cmp.Or(flags.Host, "127.0.0.1"), Port: flags.Port}
	switch role {
	case "standby":
		n.Upstream = "master"
	case "cascade":
		n.Upstream, n.Sync = "master", true
	case "downstream":
		n.Upstream, n.Sync = "cascade", true
	}
	if flags.Upstream != "" {
		n.Upstream = topology.NodeID(flags.Upstream)
	}
	if flags.Sync != nil {
		n.Sync = *flags.Sync
	}
	if err := p.placeOf(&n, flags.masterFlags); err != nil {
		return n, err
	}
	if addr, err := netip.ParseAddr(n.Host); err == nil && addr.IsLoopback() {
		n.Settings = map[string]string{"listen_addresses": n.Host} // nobody else can reach it there
	}
	err := p.portOf(&n)
	return n, err
}

// placeOf says where the server lies.
func (p *program) placeOf(n *topology.Node, flags masterFlags) error {
	if flags.Cluster == "" && flags.DataDir == "" {
		answer, err := p.terminal.ask(fmt.Sprintf("Debian cluster of %s, as in 17/main, or its data directory: ", n.ID))
		switch {
		case err != nil:
			return usage("node %s: give --cluster VERSION/NAME or --data-dir DIR: %w", n.ID, err)
		case strings.HasPrefix(answer, "/"):
			flags.DataDir = answer
		default:
			flags.Cluster = answer
		}
	}
	if flags.Cluster != "" {
		if flags.BinDir != "" {
			return usage("--bin-dir is for --data-dir: Debian's tools know where the programs of a cluster are")
		}
		n.Service = topology.Service{Manager: topology.Debian, Cluster: flags.Cluster}
		return nil
	}
	if flags.BinDir == "" {
		answer, err := p.terminal.ask(fmt.Sprintf("Folder of the programs of %s, as in /usr/lib/postgresql/17/bin: ", n.ID))
		if err != nil {
			return usage("node %s: give --bin-dir DIR beside --data-dir: %w", n.ID, err)
		}
		flags.BinDir = answer
	}
	var err error
	if n.DataDir, err = filepath.Abs(flags.DataDir); err == nil {
		n.Service.BinDir, err = filepath.Abs(flags.BinDir)
	}
	return err
}

func (p *program) portOf(n *topology.Node) error {
	if n.Port != 0 {
		return nil
	}
	answer, err := p.terminal.ask(fmt.Sprintf("Port of %s [5432]: ", n.ID))
	if err != nil {
		return usage("node %s: give --port N: %w", n.ID, err)
	}
	if n.Port, err = strconv.Atoi(cmp.Or(answer, "5432")); err != nil {
		return usage("port %q is no number", answer)
	}
	return nil
}

// passfile is where the servers find the password for replication.
func passfile(cluster string, n topology.Node) string {
	home := "/var/lib/postgresql"
	if n.DataDir != "" {
		home = filepath.Dir(n.DataDir)
	}
	return filepath.Join(home, "."+cluster+".pgpass")
}

// agree refuses flags that say something else of a node than the file does.
func (flags standbyFlags) agree(n topology.Node) error {
	_, port := n.Address()
	for _, fact := range []struct{ flag, given, have string }{
		{"--host", flags.Host, n.Host},
		{"--port", number(flags.Port), number(port)},
		{"--cluster", flags.Cluster, n.Service.Cluster},
		{"--data-dir", absolute(flags.DataDir), n.DataDir},
		{"--bin-dir", absolute(flags.BinDir), n.Service.BinDir},
		{"--upstream", flags.Upstream, string(n.Upstream)},
	} {
		if fact.given != "" && fact.given != fact.have {
			return usage("node %s is in the file with %s %s, not %s: edit the file if it shall change, or give another --name",
				n.ID, fact.flag, cmp.Or(fact.have, "(nothing)"), fact.given)
		}
	}
	if flags.Sync != nil && *flags.Sync != n.Sync {
		return usage("node %s is in the file with sync: %v: edit the file if it shall change, or give another --name", n.ID, n.Sync)
	}
	return nil
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func absolute(dir string) string {
	if dir == "" {
		return ""
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	return path
}
