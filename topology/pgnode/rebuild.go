package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology/host"
)

// Standby is everything that makes a data directory a particular standby: its own settings and access rules, and whom it
// follows. Clones and rewound servers come with the configuration of their source, so it is written anew each time.
type Standby struct {
	Settings map[string]string
	Access   []hba.Record
	Recovery recovery.Config
}

// Clone copies the server at source into the data directory with pg_basebackup (fast checkpoint, WAL streamed along) and
// makes the copy a standby. The data directory must not exist; see [Node.SetAside]. The copy is made beside it in
// DataDir + ".incoming" and moved into place when it is complete and configured; a leftover of an interrupted Clone there is
// removed first, since it never was a complete copy. source names a role with REPLICATION; its password comes from the
// passfile it names. The server is not started.
func (n *Node) Clone(ctx context.Context, source conninfo.Info, standby Standby) error {
	exists, err := n.Exists(ctx)
	if err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	if exists {
		return fmt.Errorf("clone: %s exists: set it aside first", n.cfg.DataDir)
	}
	major, err := n.Major(ctx)
	if err != nil {
		return err
	}
	incoming := n.cfg.DataDir + ".incoming"
	// Host has no recursive removal on purpose; this one name is safe, since it never held a complete copy.
	if _, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "rm", Args: []string{"-rf", "--", incoming}}); err != nil {
		return fmt.Errorf("clone: remove an unfinished earlier copy: %w", err)
	}
	if _, err := n.run(ctx, "pg_basebackup", "-D", incoming, "-d", source.Text(), "-X", "stream", "-c", "fast", "-w"); err != nil {
		return fmt.Errorf("clone: pg_basebackup: %w", err)
	}
	// The role first: from here on the copy can start only as a standby.
	if err := recovery.Apply(ctx, n.cfg.Host, incoming, major, standby.Recovery); err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	if err := n.configure(ctx, incoming, standby.Settings, standby.Access); err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	if err := n.cfg.Host.Rename(ctx, incoming, n.cfg.DataDir); err != nil {
		return fmt.Errorf("clone: move the finished copy into place: %w", err)
	}
	return nil
}

// CanRewind reports whether pg_rewind is among the binaries.
func (n *Node) CanRewind(ctx context.Context) bool {
	_, err := n.run(ctx, "pg_rewind", "--version")
	return err == nil
}

// Rewind takes back what the stopped server wrote after its history parted from that of the running primary at source, and
// makes it a standby. A crashed server is first brought to a clean end in single-user mode, which accepts no connection.
// source names a superuser, or from 11 on a role allowed to call the functions the pg_rewind manual lists; dbname must be
// set. The server is not started. After an error the data directory may be unusable: clone it.
//
// The configuration files come from the source, so the standby's own are written anew. The primary must have made a
// checkpoint on its timeline since its promotion, or pg_rewind up to 15 sees no difference (manual of pg_rewind, 16).
func (n *Node) Rewind(ctx context.Context, source conninfo.Info, standby Standby) error {
	if err := n.endCleanly(ctx); err != nil {
		return fmt.Errorf("rewind: %w", err)
	}
	major, err := n.Major(ctx)
	if err != nil {
		return err
	}
	if _, err := n.run(ctx, "pg_rewind", "-D", n.cfg.DataDir, "--source-server="+source.Text()); err != nil {
		return fmt.Errorf("rewind: pg_rewind: %w", err)
	}
	if err := recovery.Apply(ctx, n.cfg.Host, n.cfg.DataDir, major, standby.Recovery); err != nil {
		return fmt.Errorf("rewind: %w", err)
	}
	return n.Configure(ctx, standby.Settings, standby.Access)
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

// SetAside renames the data directory of a stopped server to DataDir + ".aside-" and the time at, and returns the new
// name. It refuses while any process of the server runs. Nothing is deleted: when to remove it is a decision for people.
func (n *Node) SetAside(ctx context.Context, at time.Time) (string, error) {
	pids, err := n.Processes(ctx)
	if err != nil {
		return "", err
	}
	if len(pids) > 0 {
		return "", fmt.Errorf("set aside %s: the server runs (pid %d): stop it first", n.cfg.DataDir, pids[0])
	}
	aside := n.cfg.DataDir + ".aside-" + at.UTC().Format("20060102T150405Z")
	if err := n.cfg.Host.Rename(ctx, n.cfg.DataDir, aside); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return "", fmt.Errorf("set aside %s: %w", n.cfg.DataDir, err)
	}
	return aside, nil
}
