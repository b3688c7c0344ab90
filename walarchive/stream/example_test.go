package stream_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/stream"
)

// receive brings the WAL of a server into a directory until it is interrupted.
func receive(ctx context.Context, text, staging, archive string) error {
	info, err := conninfo.Parse(text)
	if err != nil {
		return err
	}
	server, err := stream.Identify(ctx, info)
	if err != nil {
		return err
	}
	store, err := dir.Open(archive)
	if err != nil {
		return err
	}
	a, err := walarchive.New(walarchive.Config{
		Targets:  []walarchive.Target{{Store: store}},
		Identity: walarchive.Identity{SystemID: server.SystemID, SegmentSize: server.SegmentSize},
	})
	if err != nil {
		return err
	}
	r, err := stream.New(stream.Config{
		Source: info, Dir: staging, Archive: a, Slot: "archive", CreateSlot: true,
		OnProblem: func(err error) { fmt.Fprintln(os.Stderr, err) },
	})
	if err != nil {
		return err
	}
	err = r.Run(ctx)
	var gap *stream.GapError
	if errors.As(err, &gap) {
		return fmt.Errorf("make a base backup now: %w", err)
	}
	return err
}

func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := receive(ctx, "host=db1 user=replicator", "/var/lib/receive", "/mnt/backup/archive"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func ExampleNew() {
	_, err := stream.New(stream.Config{Dir: "/var/lib/receive", Slot: "My-Slot"})
	fmt.Println(err)
	// Output: Slot: want 1 to 63 lower-case letters, digits and underscores
}
