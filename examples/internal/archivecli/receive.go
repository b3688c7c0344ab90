package archivecli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/stream"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

type receiveCmd struct {
	Source string `arg:"" help:"Connection string or URI of the server. The password comes from a passfile or the environment."`
	Dir    string `arg:"" help:"Staging directory: local, for this receiver alone."`

	Slot          string        `placeholder:"NAME" help:"Replication slot that makes the server keep WAL for us."`
	CreateSlot    bool          `help:"Make the slot if it is not there."`
	Name          string        `placeholder:"NAME" help:"application_name, for synchronous_standby_names. Default: understudy-receive."`
	Synchronous   bool          `help:"Make everything durable and report it at once, so that commits can wait for it."`
	SnapshotEvery time.Duration `placeholder:"TIME" help:"How often the beginning of a segment is archived. Default: 5s."`
	StopAt        string        `placeholder:"LSN" help:"End when everything up to this position is archived."`
	AcceptGap     bool          `help:"Go on if the server no longer has the WAL that comes next."`
}

func (c *receiveCmd) do(ctx context.Context, a app, g *grammar) error {
	cfg, err := c.config()
	if err != nil {
		return usageError{err}
	}
	server, err := stream.Identify(ctx, cfg.Source)
	if err != nil {
		return err
	}
	id := walarchive.Identity{SystemID: server.SystemID, SegmentSize: server.SegmentSize}
	return a.withCluster(ctx, g, id, func(_ settings, archive *archiveOf) error {
		cfg.SystemID, cfg.Archive, cfg.Logger = server.SystemID, archive, a.logger()
		receiver, err := stream.New(cfg)
		if err != nil {
			return usageError{err}
		}
		err = receiver.Run(ctx)
		if wasStopped(ctx, err) {
			return nil
		}
		return err
	})
}

// wasStopped reports whether err is only that a signal came.
func wasStopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Cause(ctx))
}

func (c *receiveCmd) config() (stream.Config, error) {
	source, err := conninfo.Parse(c.Source)
	if err != nil {
		return stream.Config{}, err
	}
	if source.String() != source.Text() {
		return stream.Config{}, fmt.Errorf("%v holds a secret, which every user of the machine could read in the process list: name a passfile instead", source)
	}
	cfg := stream.Config{
		Source: source, Dir: c.Dir, Slot: c.Slot, CreateSlot: c.CreateSlot, ApplicationName: c.Name, Synchronous: c.Synchronous,
		SnapshotEvery: c.SnapshotEvery, AcceptGap: c.AcceptGap,
	}
	if c.StopAt != "" {
		cfg.StopAt, err = wal.ParseLSN(c.StopAt)
	}
	return cfg, err
}

// exitCode tells what only a decision can change from what may mend itself.
func (c *receiveCmd) exitCode(_ *grammar, err error) int {
	for _, decisive := range []any{
		new(*stream.ForeignServerError), new(*stream.SegmentSizeError), new(*stream.ForkedError), new(*stream.BehindError),
		new(*stream.DivergedError), new(*stream.GapError), new(*stream.SlotError), new(*walarchive.ForeignArchiveError),
	} {
		if errors.As(err, decisive) {
			return exitBad
		}
	}
	return plainExit(err)
}
