package archivecli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/store"
)

// sweepAge is how old a temporary file must be to be a dead push's. No push takes that long.
const sweepAge = 24 * time.Hour

type cleanupCmd struct {
	Oldest fileName `arg:"" optional:"" help:"The oldest file that must stay, %r. Without it backups and consumers alone decide."`

	DryRun        bool   `short:"n" help:"Remove nothing; print what would go."`
	Debug         bool   `short:"d" help:"Print each file with the reason why it stays or goes."`
	BackupHistory bool   `short:"b" help:"Backup history files may go too."`
	Extension     string `short:"x" placeholder:"EXT" help:"With --by-name: take this off the ends of names."`
	ByName        bool   `help:"Do as pg_archivecleanup does: by position in the name alone, whoever else needs the WAL, in any directory."`

	Consumer    string        `placeholder:"NAME" help:"Register first that this standby needs WAL from %r on."`
	KeepBackups string        `placeholder:"N" default:"all" help:"Keep what the newest N base backups need that the archive knows of: a number, all or none."`
	KeepFor     time.Duration `placeholder:"TIME" help:"Keep what is needed to restore any moment of this last time, such as 336h."`
	KeepBytes   int64         `placeholder:"BYTES" help:"Give old backups up until the archive is no larger; the newest always stays."`
	FullDepth   int           `placeholder:"N" help:"Only for the newest N kept backups keep all later WAL."`
	Pin         []string      `sep:"none" placeholder:"NAME" help:"Keep the backup with this history file. Can be repeated."`
	MinAge      time.Duration `placeholder:"TIME" help:"Remove nothing that is younger."`
	SetAside    string        `placeholder:"URL" help:"Copy what goes to this place, which is no archive, before it is removed."`
}

func (c *cleanupCmd) do(ctx context.Context, a app, g *grammar) error {
	if c.ByName {
		return c.byName(ctx, a, g)
	}
	policy, err := c.policy()
	if err != nil {
		return usageError{err}
	}
	return a.with(ctx, g, func(_ settings, archive *archiveOf) error {
		if c.Consumer != "" && !c.DryRun {
			if err := archive.Register(ctx, c.Consumer, string(c.Oldest)); err != nil {
				return err
			}
		}
		cfg := walarchive.CleanupConfig{Policy: policy, DryRun: c.DryRun}
		if c.SetAside != "" {
			aside, err := store.Open(ctx, c.SetAside, store.Options{})
			if err != nil {
				return err
			}
			defer aside.Close()
			cfg.SetAside = aside
		}
		result, err := archive.Cleanup(ctx, cfg)
		if err := errors.Join(err, c.report(a, result)); err != nil || c.DryRun {
			return err
		}
		return archive.sweep(ctx, time.Now().Add(-sweepAge))
	})
}

func (c *cleanupCmd) policy() (catalog.Policy, error) {
	p := catalog.Policy{
		Oldest: string(c.Oldest), BackupHistory: c.BackupHistory, Age: c.KeepFor, Bytes: c.KeepBytes, WALDepth: c.FullDepth, Pinned: c.Pin, MinAge: c.MinAge,
	}
	switch {
	case c.Extension != "":
		return p, errors.New("-x is for --by-name: names in an archive have no extension")
	case c.Consumer != "" && c.Oldest == "":
		return p, errors.New("--consumer needs the oldest file that it needs, %r")
	case c.KeepBackups == "none":
		p.Backups = -1
	case c.KeepBackups != "all":
		n, err := strconv.Atoi(c.KeepBackups)
		if err != nil || n < 1 {
			return p, fmt.Errorf("--keep-backups %q: want a number, all or none", c.KeepBackups)
		}
		p.Backups = n
	}
	return p, nil
}

// report prints what was asked for.
func (c *cleanupCmd) report(a app, r walarchive.CleanupResult) error {
	var b strings.Builder
	if c.Debug {
		for _, d := range r.Plan.Decisions {
			fmt.Fprintln(&b, d)
		}
	} else if c.DryRun {
		for _, name := range r.Removed {
			fmt.Fprintln(&b, name)
		}
	}
	for _, w := range r.Plan.Warnings {
		fmt.Fprintf(a.stderr, "walarchive cleanup: %s\n", w) // a lost message changes nothing
	}
	return a.print(b.String())
}

// byName is pg_archivecleanup.
func (c *cleanupCmd) byName(ctx context.Context, a app, g *grammar) error {
	s, err := g.settings()
	if err != nil {
		return err
	}
	plan := catalog.PgCleanup{Oldest: string(c.Oldest), Extension: c.Extension, BackupHistory: c.BackupHistory}
	for _, p := range s.Archives {
		if err := c.byNameIn(ctx, a, p.URL, plan); err != nil {
			return err
		}
	}
	return nil
}

func (c *cleanupCmd) byNameIn(ctx context.Context, a app, url string, plan catalog.PgCleanup) error {
	st, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	defer st.Close()
	names, err := st.List(ctx)
	if err != nil {
		return err
	}
	slices.Sort(names)
	gone, err := plan.Plan(names)
	if err != nil {
		return err
	}
	if c.DryRun || c.Debug {
		if err := a.print(strings.Join(append(gone, ""), "\n")); err != nil || c.DryRun {
			return err
		}
	}
	return st.Remove(ctx, gone)
}

func (c *cleanupCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }

// sweep removes what killed pushes left.
func (a *archiveOf) sweep(ctx context.Context, before time.Time) error {
	var errs []error
	for _, s := range a.stores {
		errs = append(errs, s.Sweep(ctx, before))
	}
	return errors.Join(errs...)
}

type consumerCmd struct {
	List   consumerListCmd   `cmd:"" help:"Show who is registered."`
	Set    consumerSetCmd    `cmd:"" help:"Register that somebody needs WAL from a segment on; cleanup --consumer does it for a standby."`
	Remove consumerRemoveCmd `cmd:"" help:"Register that somebody needs nothing any more."`
}

type consumerListCmd struct{}

func (c *consumerListCmd) do(ctx context.Context, a app, g *grammar) error {
	return a.withMarked(ctx, g, func(_ settings, archive *archiveOf) error {
		consumers, err := archive.Consumers(ctx)
		if err != nil {
			return err
		}
		var b strings.Builder
		for _, who := range consumers {
			fmt.Fprintf(&b, "%s\t%s\n", who.Name, who.Segment)
		}
		return a.print(b.String())
	})
}

func (c *consumerListCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }

type consumerSetCmd struct {
	Name    string   `arg:"" help:"Letters, digits, '-' and '_'."`
	Segment fileName `arg:"" help:"The oldest segment that it needs."`
}

func (c *consumerSetCmd) do(ctx context.Context, a app, g *grammar) error {
	return a.withMarked(ctx, g, func(_ settings, archive *archiveOf) error { return archive.Register(ctx, c.Name, string(c.Segment)) })
}

func (c *consumerSetCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }

type consumerRemoveCmd struct {
	Name string `arg:"" help:"Who."`
}

func (c *consumerRemoveCmd) do(ctx context.Context, a app, g *grammar) error {
	return a.withMarked(ctx, g, func(_ settings, archive *archiveOf) error { return archive.Unregister(ctx, c.Name) })
}

func (c *consumerRemoveCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }
