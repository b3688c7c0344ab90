package archivecli

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/lookahead"
)

type fetchCmd struct {
	Name       string `arg:"" help:"Name of the archived file, %f."`
	Path       string `arg:"" help:"Where to put it, %p. It must not exist."`
	Standby    *bool  `negatable:"" help:"Whether the server is a standby, which asks again after a failure. Default: as the data directory says."`
	Unfinished bool   `help:"Give the beginning of a segment, from 'receive' or a promotion, where the archive has no more. Only for a recovery to a point in time, after the old server is gone for good."`
}

func (c *fetchCmd) do(ctx context.Context, a app, g *grammar) error {
	err := c.fetch(ctx, a, g)
	if err == nil || errors.As(err, new(*walarchive.AbsentError)) || errors.As(err, new(*walarchive.UnknownError)) {
		return err
	}
	return &walarchive.UnknownError{Name: c.Name, Err: err} // not even asked
}

func (c *fetchCmd) fetch(ctx context.Context, a app, g *grammar) error {
	if c.Unfinished && c.isStandby(g) {
		return usageError{errors.New("--unfinished is not for a standby: it would never ask for the complete segment")}
	}
	return a.ahead(ctx, g, func(s settings, archive lookahead.Archive) error {
		err := walarchive.Retry(ctx, time.Duration(s.Retry), func(ctx context.Context) error { return archive.Fetch(ctx, c.Name, c.Path) })
		if !c.Unfinished || !errors.As(err, new(*walarchive.AbsentError)) {
			return err
		}
		return a.with(ctx, g, func(_ settings, archive *archiveOf) error { return archive.FetchUnfinished(ctx, c.Name, c.Path) })
	})
}

func (c *fetchCmd) isStandby(g *grammar) bool {
	if c.Standby != nil {
		return *c.Standby
	}
	return isStandby(g.DataDir)
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
	case c.isStandby(g):
		return exitUnknownStandby
	}
	return exitUnknownRecovery
}
