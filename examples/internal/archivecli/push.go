package archivecli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/lookahead"
	"github.com/understudy-ha/understudy/walarchive/queue"
)

type pushCmd struct {
	Path string `arg:"" help:"The file, %p."`
}

func (c *pushCmd) do(ctx context.Context, a app, g *grammar) error {
	return a.ahead(ctx, g, func(s settings, archive lookahead.Archive) error {
		err := archive.Push(ctx, c.Path)
		if err == nil {
			return nil
		}
		return a.giveUp(ctx, s, c.Path, err)
	})
}

// giveUp asks the drop policy what to do about a file that could not be pushed because of err. It returns nil if the file is dropped, and
// err otherwise.
func (a app) giveUp(ctx context.Context, s settings, path string, err error) error {
	policy := queue.Policy{MaxBytes: s.Drop.MaxBytes, MinFree: s.Drop.MinFree}
	if policy == (queue.Policy{}) {
		return err
	}
	valve := queue.Valve{Policy: policy, Dir: s.Drop.Records, Logger: a.logger()}
	dropped, problem := valve.Drop(ctx, path, unreachable(err, path), time.Now())
	if dropped && problem == nil {
		return nil
	}
	return errors.Join(err, problem)
}

// unreachable reports whether a push failed because of the archive and not of the file, in a way that a later try may mend.
func unreachable(err error, path string) bool {
	var local *fs.PathError
	return walarchive.IsTransient(err) && (!errors.As(err, &local) || local.Path != path)
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

// ahead calls use with the archive of the data directory's cluster: through the helper if looking ahead is wanted, else directly.
func (a app) ahead(ctx context.Context, g *grammar, use func(settings, lookahead.Archive) error) error {
	s, err := g.settings()
	if err != nil {
		return err
	}
	id, err := a.identify(g)
	if err != nil {
		return err
	}
	if s.Spool == "" {
		return a.withCluster(ctx, g, id, func(s settings, archive *archiveOf) error { return use(s, archive) })
	}
	bond, err := bond(g, s, id)
	if err != nil {
		return err
	}
	var opened []*archiveOf
	defer func() {
		for _, o := range opened {
			o.close()
		}
	}()
	client := lookahead.Client{
		Spool: s.Spool, Bond: bond, Logger: a.logger(),
		Open: func(ctx context.Context) (lookahead.Archive, error) {
			archive, err := a.open(ctx, s, id)
			if err == nil {
				opened = append(opened, archive)
			}
			return archive, err
		},
	}
	if s.Ahead > 0 && a.self != "" {
		client.Start = func(context.Context) error { return a.spawn(g, bond) }
	}
	return use(s, client)
}

func bond(g *grammar, s settings, id walarchive.Identity) (lookahead.Bond, error) {
	dataDir, err := absoluteDir(g.DataDir)
	return lookahead.Bond{SystemID: id.SystemID, SegmentSize: id.SegmentSize, DataDir: dataDir, Settings: fingerprint(g, s)}, err
}

func absoluteDir(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a directory")}
	}
	return absolute(path), err
}

// helperIdle is for how long a helper stays that a command has started.
const helperIdle = time.Minute

// spawn starts a helper with the same settings.
func (a app) spawn(g *grammar, bond lookahead.Bond) error {
	args := append(g.global(), "--data-dir="+bond.DataDir, "serve", fmt.Sprintf("--idle=%v", helperIdle))
	return lookahead.Spawn(lookahead.Command{Path: a.self, Args: args, Dir: bond.DataDir})
}
