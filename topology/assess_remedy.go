package topology

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Remedies name the command to type. On which machine, they say first.

func isNotMonitor(err error) bool { return errors.Is(err, ErrNotMonitor) }

// sql is the call that runs statements on a node.
func (a *assessment) sql(n Node, statements ...string) string {
	host, port := n.Address()
	words := fmt.Sprintf("psql -h %s -p %d -U %s -d %s", shellWord(host), port, shellWord(cmp.Or(a.c.Admin.Name, "postgres")),
		shellWord(cmp.Or(a.c.Admin.Database, "postgres")))
	for _, s := range statements {
		words += " -c " + shellWord(s)
	}
	return words
}

// service is the call that does something to a node's server, on its machine.
func (a *assessment) service(n Node, verb string) string {
	s := n.Service
	switch s.Manager {
	case Debian:
		version, name, _ := strings.Cut(s.Cluster, "/")
		return fmt.Sprintf("pg_ctlcluster %s %s %s", version, name, verb)
	case Systemd:
		return fmt.Sprintf("systemctl %s %s", verb, s.Unit)
	case Commands:
		if own := s.Commands[verb]; own != "" {
			return "your own command for " + verb
		}
	}
	program := "pg_ctl"
	if s.BinDir != "" {
		program = s.BinDir + "/pg_ctl"
	}
	return fmt.Sprintf("%s -D %s %s", shellWord(program), shellWord(cmp.Or(n.DataDir, "DATADIR")), verb)
}

// promote is the call that promotes a node, on its machine.
func (a *assessment) promote(n Node) string {
	if n.Service.Manager == Systemd {
		n.Service.Manager = PgCtl // systemd has no word for it
	}
	return a.service(n, "promote")
}

// reparent is how a node gets another upstream.
func (a *assessment) reparent(n Node, upstream NodeID, version int) string {
	verb := takeUp(version, 13)
	return fmt.Sprintf("let topology/build reparent %s below %s (a %s, in its major); by hand: the address of %s in primary_conninfo, then %s",
		n.ID, upstream, verb, upstream, a.service(n, verb))
}

// takeUp is how a server takes up a setting that a reload changes only from a major on.
func takeUp(version int, from pgconf.Major) string {
	if m := major(version); m != 0 && m < from {
		return "restart"
	}
	return "reload"
}

// clone is how a node gets a new copy.
func (a *assessment) clone(n Node, from NodeID) string {
	return fmt.Sprintf("let topology/build clone %s anew from %s; the old data directory is set aside, not deleted", n.ID, from)
}

// shellWord quotes a word for a POSIX shell, if it needs that.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:%=+,", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// reload is the statement that makes a server read its files again.
const reload = "SELECT pg_reload_conf()"
