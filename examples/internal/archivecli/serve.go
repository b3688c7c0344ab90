package archivecli

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-ha/understudy/walarchive/lookahead"
)

type serveCmd struct {
	Idle time.Duration `placeholder:"TIME" help:"End when nobody has asked for so long. Default: never."`
}

func (c *serveCmd) do(ctx context.Context, a app, g *grammar) error {
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
