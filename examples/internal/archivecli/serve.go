package archivecli

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/understudy-ha/understudy/walarchive/lookahead"
)

type serveCmd struct {
	Idle time.Duration `placeholder:"TIME" help:"End when nobody has asked for so long. Default: never."`
}

// softLimit keeps a helper of four workers below 64 MiB, and it is no slower.
const softLimit = 40 << 20

func (c *serveCmd) do(ctx context.Context, a app, g *grammar) error {
	debug.SetMemoryLimit(softLimit)
	return a.with(ctx, g, func(s settings, archive *archiveOf) error {
		if s.Spool == "" {
			return usageError{errors.New("serve needs --spool")}
		}
		bond, err := bond(g, s, archive.Identity())
		if err != nil {
			return err
		}
		server, err := lookahead.New(lookahead.Config{
			Spool: s.Spool, Bond: bond, Archive: archive, Workers: s.Ahead, Idle: c.Idle, Logger: a.logger(),
		})
		if err != nil {
			return err
		}
		return server.Run(ctx)
	})
}

func (c *serveCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }
