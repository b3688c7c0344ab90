package archivecli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
)

type pushCmd struct {
	Path string `arg:"" help:"The file, %p."`
}

func (c *pushCmd) do(ctx context.Context, a app, g *grammar) error {
	return a.withArchive(g, func(archive *walarchive.Archive, _ *dir.Store) error { return archive.Push(ctx, c.Path) })
}

func (c *pushCmd) exitCode(_ *grammar, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(*walarchive.ConflictError)):
		return exitConflict
	case errors.As(err, new(*walarchive.ForeignArchiveError)):
		return exitForeign
	}
	return exitFailed
}

type fetchCmd struct {
	Name    string `arg:"" help:"Name of the archived file, %f."`
	Path    string `arg:"" help:"Where to put it, %p. It must not exist."`
	Standby *bool  `negatable:"" help:"Whether the server is a standby, which asks again after a failure. Default: as the data directory says."`
}

func (c *fetchCmd) do(ctx context.Context, a app, g *grammar) error {
	err := a.withArchive(g, func(archive *walarchive.Archive, _ *dir.Store) error { return archive.Fetch(ctx, c.Name, c.Path) })
	if err == nil || errors.As(err, new(*walarchive.AbsentError)) || errors.As(err, new(*walarchive.UnknownError)) {
		return err
	}
	return &walarchive.UnknownError{Name: c.Name, Err: err} // not even asked
}

func (c *fetchCmd) exitCode(g *grammar, err error) int {
	var stopped signalError
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(*walarchive.AbsentError)):
		return exitAbsent
	case errors.As(err, &stopped):
		return exitSignal + int(stopped.signal)
	case c.Standby != nil && *c.Standby, c.Standby == nil && isStandby(g.DataDir):
		return exitUnknownStandby
	}
	return exitUnknownRecovery
}

// sweepAge is how old a temporary file must be to be a dead push's. No push takes that long.
const sweepAge = 24 * time.Hour

type cleanupCmd struct {
	Oldest        string `arg:"" help:"The oldest file that must stay, %r."`
	DryRun        bool   `short:"n" help:"Remove nothing; print the names that would go."`
	BackupHistory bool   `short:"b" help:"Remove backup history files too."`
}

func (c *cleanupCmd) do(ctx context.Context, a app, g *grammar) error {
	return a.withArchive(g, func(archive *walarchive.Archive, store *dir.Store) error {
		policy := catalog.Policy{Oldest: c.Oldest, BackupHistory: c.BackupHistory, Backups: -1}
		r, err := archive.Cleanup(ctx, walarchive.CleanupConfig{Policy: policy, DryRun: c.DryRun})
		if err != nil {
			return err
		}
		if c.DryRun {
			return a.print(r.Removed)
		}
		return store.Sweep(time.Now().Add(-sweepAge))
	})
}

func (c *cleanupCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }

type listCmd struct{}

func (c *listCmd) do(ctx context.Context, a app, g *grammar) error {
	store, err := openStore(g.Archive)
	if err != nil {
		return err
	}
	defer store.Close()
	l, err := walarchive.List(ctx, store)
	if err != nil {
		return err
	}
	return a.print(l.Names)
}

func (c *listCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }

func plainExit(err error) int {
	if err != nil {
		return exitFailed
	}
	return 0
}

func (a app) print(names []string) error {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + "\n")
	}
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}

func (a app) withArchive(g *grammar, use func(*walarchive.Archive, *dir.Store) error) error {
	id, err := a.identity(g.DataDir)
	if err != nil {
		return fmt.Errorf("identify the cluster: %w", err)
	}
	store, err := openStore(g.Archive)
	if err != nil {
		return err
	}
	defer store.Close()
	archive, err := walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: store}}, Identity: id})
	if err != nil {
		return err
	}
	return use(archive, store)
}

// openStore opens the archive at a path or file URL.
func openStore(location string) (*dir.Store, error) {
	if !strings.Contains(location, "://") {
		return dir.Open(location)
	}
	u, err := url.Parse(location)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "file" || u.Host != "" && u.Host != "localhost" || u.Path == "" {
		return nil, errors.New("want a directory or file:///DIRECTORY")
	}
	return dir.Open(u.Path)
}
