package pgnode

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology/host"
)

// Standby is everything that makes a data directory a particular standby: its own settings and access rules, and whom it
// follows. Clones and rewound servers come with the configuration of their source, so it is written anew each time, and what
// ALTER SYSTEM once set on the source for the same parameters is commented out.
type Standby struct {
	Settings map[string]string
	Access   []hba.Record
	Recovery recovery.Config
}

// cloneName is the application_name of pg_basebackup. It streams WAL through a slot of its own and confirms what it has
// written, so under the name of a node it would count as that synchronous standby: commits would be acknowledged that only an
// unfinished copy holds (ReceiveXlogStream in src/bin/pg_basebackup/receivelog.c). No node can have this name.
const cloneName = "understudy-clone"

// Clone copies the server at source into the data directory with pg_basebackup (fast checkpoint, WAL streamed along) and
// makes the copy a standby. Nothing of that name may exist; see [Node.SetAside]. The copy is made beside it in
// DataDir + ".cloning" and moved into place when it is complete and configured; a leftover of an interrupted Clone there is
// removed first, since it never was in use. source names a role with REPLICATION; its password comes from the passfile it
// names, and one in source itself is refused. The server is not started.
func (n *Node) Clone(ctx context.Context, source conninfo.Info, standby Standby) error {
	if err := n.clone(ctx, source, standby); err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	return nil
}

func (n *Node) clone(ctx context.Context, source conninfo.Info, standby Standby) error {
	if err := checkSource(source); err != nil {
		return err
	}
	for _, name := range []string{n.cfg.DataDir, n.rewinding()} {
		exists, err := n.cfg.Host.Exists(ctx, name)
		if err != nil {
			return err
		}
		if exists {
			return fmt.Errorf("%s exists: set it aside first", name)
		}
	}
	major, err := n.Major(ctx)
	if err != nil {
		return err
	}
	incoming := n.cfg.DataDir + ".cloning"
	if err := n.removeIncoming(ctx, incoming); err != nil {
		return fmt.Errorf("remove an unfinished earlier copy: %w", err)
	}
	// -R makes the copy a standby before it is complete, so that at no time could anyone start it as a primary.
	_, err = n.run(ctx, "pg_basebackup", "-D", incoming, "-d", source.With("application_name", cloneName).Text(),
		"-X", "stream", "-c", "fast", "-w", "-R")
	if err != nil {
		return fmt.Errorf("pg_basebackup: %w", err)
	}
	if err := n.adopt(ctx, incoming, major, standby); err != nil {
		return err
	}
	if err := n.cfg.Host.Rename(ctx, incoming, n.cfg.DataDir); err != nil {
		return fmt.Errorf("move the finished copy into place: %w", err)
	}
	return nil
}

// removeIncoming removes what an interrupted Clone left, unless somebody has started a server in it.
func (n *Node) removeIncoming(ctx context.Context, dir string) error {
	pids, err := n.processesIn(ctx, dir)
	if err != nil {
		return err
	}
	if len(pids) > 0 {
		return fmt.Errorf("a server runs in %s (pid %d)", dir, pids[0])
	}
	// Host has no recursive removal on purpose; this one name is safe, since it never held a copy in use.
	_, err = n.cfg.Host.Run(ctx, host.Cmd{Path: "rm", Args: []string{"-rf", "--", dir}})
	return err
}

// checkSource refuses secrets, because the source ends up in the arguments of a command.
func checkSource(source conninfo.Info) error {
	if source.String() != source.Text() {
		return fmt.Errorf("source %v holds a secret, which every user of the machine could read in the process list: name a passfile instead", source)
	}
	return nil
}

// adopt gives a data directory its role, and then its own configuration.
func (n *Node) adopt(ctx context.Context, dir string, major int, standby Standby) error {
	if err := n.clearAutoConf(ctx, dir, standby.Settings); err != nil {
		return err
	}
	if err := recovery.Apply(ctx, n.cfg.Host, recovery.Server{DataDir: dir, Major: pgconf.Major(major)}, standby.Recovery); err != nil {
		return err
	}
	return n.configure(ctx, dir, standby.Settings, standby.Access)
}

// roleSettings are the parameters that say whom a server follows. Set on the source, by pg_basebackup -R or ALTER SYSTEM, they
// are wrong for whoever follows the source.
var roleSettings = []string{
	"primary_conninfo", "primary_slot_name", "restore_command", "archive_cleanup_command", "recovery_end_command",
	"recovery_min_apply_delay", "recovery_target", "recovery_target_action", "recovery_target_inclusive", "recovery_target_lsn",
	"recovery_target_name", "recovery_target_time", "recovery_target_timeline", "recovery_target_xid", "promote_trigger_file",
}

// clearAutoConf comments out what would overrule the standby's own configuration.
func (n *Node) clearAutoConf(ctx context.Context, dir string, settings map[string]string) error {
	auto, err := n.autoConf(ctx, dir)
	if err != nil {
		return err
	}
	before := string(auto.Bytes())
	for _, name := range roleSettings {
		if err := auto.Unset(name); err != nil {
			return err
		}
	}
	for name := range settings {
		if err := auto.Unset(name); err != nil {
			return err
		}
	}
	if string(auto.Bytes()) == before {
		return nil
	}
	if err := n.cfg.Host.WriteFile(ctx, path.Join(dir, autoConfName), auto.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", autoConfName, err)
	}
	return nil
}

// CanRewind reports whether pg_rewind is among the binaries.
func (n *Node) CanRewind(ctx context.Context) bool {
	_, err := n.run(ctx, "pg_rewind", "--version")
	return err == nil
}

// Rewind takes back what the stopped server wrote after its history parted from that of the running primary at source, and
// makes it a standby. A crashed primary is first brought to a clean end in single-user mode, which accepts no connection; for a
// crashed standby there is no such way, so it must be cloned. source names a superuser, or from 11 on a role allowed to call the
// functions the pg_rewind manual lists; dbname must be set, and a password in it is refused as by [Node.Clone]. The server is
// not started.
//
// pg_rewind first runs without changing anything, so what it refuses leaves the data as it was. Then the data directory is
// renamed to DataDir + ".rewinding", where nobody starts it, until it is a configured standby: interrupted half-way it may be
// a mixture of two servers, and complete but without its role it would start as a second primary on the timeline of the
// first. After an interruption it stays under that name, Start and Rewind return [ErrHalfRewound], and only a clone helps.
//
// The configuration files come from the source, so the standby's own are written anew. The primary must have made a
// checkpoint on its timeline since its promotion, or pg_rewind up to 15 sees no difference (manual of pg_rewind, 16).
func (n *Node) Rewind(ctx context.Context, source conninfo.Info, standby Standby) error {
	if err := n.rewind(ctx, source, standby); err != nil {
		return fmt.Errorf("rewind: %w", err)
	}
	return nil
}

func (n *Node) rewind(ctx context.Context, source conninfo.Info, standby Standby) error {
	if err := checkSource(source); err != nil {
		return err
	}
	if err := n.checkStopped(ctx); err != nil {
		return err
	}
	half, err := n.cfg.Host.Exists(ctx, n.rewinding())
	if err != nil {
		return err
	}
	if half {
		return ErrHalfRewound
	}
	major, err := n.Major(ctx)
	if err != nil {
		return err
	}
	if err := n.endCleanly(ctx); err != nil {
		return err
	}
	from := "--source-server=" + source.Text()
	if _, err := n.run(ctx, "pg_rewind", "--dry-run", "-D", n.cfg.DataDir, from); err != nil {
		return fmt.Errorf("pg_rewind --dry-run: %w", err)
	}
	// This finds out what is wrong with the configuration before there is no way back.
	if err := n.adopt(ctx, n.cfg.DataDir, major, standby); err != nil {
		return err
	}
	if err := n.cfg.Host.Rename(ctx, n.cfg.DataDir, n.rewinding()); err != nil {
		return fmt.Errorf("move the data directory out of the way: %w", err)
	}
	if _, err := n.run(ctx, "pg_rewind", "-D", n.rewinding(), from); err != nil {
		return fmt.Errorf("pg_rewind: %w", err)
	}
	if err := n.adopt(ctx, n.rewinding(), major, standby); err != nil {
		return err
	}
	if err := n.cfg.Host.Rename(ctx, n.rewinding(), n.cfg.DataDir); err != nil {
		return fmt.Errorf("move the data directory back: %w", err)
	}
	return nil
}

// rewinding is the name of the data directory while pg_rewind works in it.
func (n *Node) rewinding() string { return n.cfg.DataDir + ".rewinding" }

// checkStopped refuses a server that runs, or may.
func (n *Node) checkStopped(ctx context.Context) error {
	pids, err := n.Processes(ctx)
	if err != nil {
		return err
	}
	if len(pids) > 0 {
		return fmt.Errorf("the server in %s runs (pid %d): stop it first", n.cfg.DataDir, pids[0])
	}
	return nil
}

// endCleanly brings a crashed server to the state that pg_rewind needs. In single-user mode the server replays its WAL and
// writes a shutdown checkpoint when its standard input ends.
func (n *Node) endCleanly(ctx context.Context) error {
	control, err := n.Control(ctx)
	if err != nil {
		return err
	}
	if control.State.Clean() {
		return nil
	}
	_, err = n.cfg.Host.Run(ctx, host.Cmd{
		Path:  path.Join(n.cfg.BinDir, "postgres"),
		Args:  []string{"--single", "-D", n.cfg.DataDir, "-c", "archive_mode=off", "template1"},
		Env:   []string{"LC_ALL=C"},
		Stdin: strings.NewReader(""),
	})
	if err != nil {
		return fmt.Errorf("crash recovery in single-user mode: %w", err)
	}
	return nil
}

// SetAside renames the data directory of a stopped server to DataDir + ".aside-" and the time at, in seconds, and returns the
// new name, or "" if there is nothing. A half rewound one is set aside, too. It refuses while any process of the server runs, or
// may run. Nothing is deleted: when to remove it is a decision for people.
func (n *Node) SetAside(ctx context.Context, at time.Time) (string, error) {
	aside, err := n.setAside(ctx, n.cfg.DataDir+".aside-"+at.UTC().Format("20060102T150405Z"))
	if err != nil {
		return aside, fmt.Errorf("set aside %s: %w", n.cfg.DataDir, err)
	}
	return aside, nil
}

func (n *Node) setAside(ctx context.Context, name string) (aside string, err error) {
	if err := n.checkStopped(ctx); err != nil {
		return "", err
	}
	for _, dir := range []struct{ from, to string }{{n.cfg.DataDir, name}, {n.rewinding(), name + ".rewinding"}} {
		exists, err := n.cfg.Host.Exists(ctx, dir.from)
		if err != nil {
			return aside, err
		}
		if !exists {
			continue
		}
		if err := n.cfg.Host.Rename(ctx, dir.from, dir.to); err != nil {
			return aside, err
		}
		aside = cmp.Or(aside, dir.to)
	}
	return aside, nil
}
