package pgnode

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology/host"
)

// asideTime is how the time stands in the name of a directory that was set aside.
const asideTime = "20060102T150405Z"

// SetAside renames the data directory of a stopped server to DataDir + ".aside-" and the time at, in seconds, and returns the
// new name, or "" if there is nothing. A half rewound one is set aside, too. It refuses while any process of the server runs, or
// may run. Nothing is deleted: when to remove it is a decision for people, see [Node.Asides].
func (n *Node) SetAside(ctx context.Context, at time.Time) (string, error) {
	aside, err := n.setAside(ctx, n.asidePrefix()+at.UTC().Format(asideTime))
	if err != nil {
		return aside, fmt.Errorf("set aside %s: %w", n.cfg.DataDir, err)
	}
	return aside, nil
}

func (n *Node) asidePrefix() string { return n.cfg.DataDir + ".aside-" }

func (n *Node) setAside(ctx context.Context, name string) (aside string, err error) {
	if err := n.checkStopped(ctx); err != nil {
		return "", err
	}
	for _, dir := range []struct{ from, to string }{{n.cfg.DataDir, name}, {n.rewinding(), name + halfAside}} {
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

// halfAside ends the name of a half rewound directory that was set aside.
const halfAside = ".rewinding"

// Aside is a data directory that [Node.SetAside] has set aside.
type Aside struct {
	Path        string
	At          time.Time // when, whole seconds
	HalfRewound bool      // its data may be a mixture of two servers
}

// parseAside tells whether a path is one that SetAside gives.
func (n *Node) parseAside(name string) (Aside, bool) {
	stamp, ok := strings.CutPrefix(name, n.asidePrefix())
	stamp, half := strings.CutSuffix(stamp, halfAside)
	at, err := time.Parse(asideTime, stamp)
	return Aside{name, at, half}, ok && err == nil && at.Format(asideTime) == stamp
}

// besideScript prints the paths that begin with $1 and a dot. The names of a pattern come sorted.
const besideScript = `for d in "$1".*; do
	if [ -e "$d" ] || [ -L "$d" ]; then printf '%s\n' "$d"; fi
done
exit 0`

// beside lists what lies beside the data directory under names made from its own.
func (n *Node) beside(ctx context.Context) ([]string, error) {
	r, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", besideScript, "sh", n.cfg.DataDir}, Env: []string{"LC_ALL=C"}})
	return linesOf(string(r.Stdout)), err
}

// Asides lists the data directories that were set aside, oldest first. How many to keep is the caller's decision.
func (n *Node) Asides(ctx context.Context) ([]Aside, error) {
	names, err := n.beside(ctx)
	if err != nil {
		return nil, fmt.Errorf("list what was set aside of %s: %w", n.cfg.DataDir, err)
	}
	var all []Aside
	for _, name := range names {
		if a, ok := n.parseAside(name); ok {
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b Aside) int { return a.At.Compare(b.At) })
	return all, nil
}

// RemoveAside deletes one data directory that was set aside, with all that is in it. It takes the path as [Node.Asides] gives it, and
// refuses every other one, a symbolic link, what has no PG_VERSION, and one in which a server runs or may run. What lies in other file
// systems, tablespaces and a pg_wal elsewhere, stays.
func (n *Node) RemoveAside(ctx context.Context, name string) error {
	if err := n.removeAside(ctx, name); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

func (n *Node) removeAside(ctx context.Context, name string) error {
	if _, ok := n.parseAside(name); !ok {
		return fmt.Errorf("it is not what SetAside calls a directory that was %s", n.cfg.DataDir)
	}
	_, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", `[ -d "$1" ] && [ ! -L "$1" ]`, "sh", name}})
	if err != nil {
		return fmt.Errorf("it is no directory: %w", err)
	}
	there, err := n.cfg.Host.Exists(ctx, path.Join(name, "PG_VERSION"))
	if err == nil && !there {
		err = fmt.Errorf("it has no PG_VERSION, so it is no data directory")
	}
	if err != nil {
		return err
	}
	return n.removeDir(ctx, name)
}
