package lookahead_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/lookahead"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
)

// A client and a helper in one program; commands for PostgreSQL are two programs, see the examples of Server and Client.
func Example() {
	if err := together(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// push: <nil>
	// fetch: <nil>
	// fetch: 000000010000000000000004 is not in the archive true
	// helper: <nil>
}

func together() error {
	base, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	const name = "000000010000000000000003"
	source, restored := filepath.Join(base, name), filepath.Join(base, "RECOVERYXLOG")
	if err := os.WriteFile(source, waltest.Segment(7, 1<<20, name, 1<<20, 1), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(base, "archive"), 0o700); err != nil {
		return err
	}
	bond := lookahead.Bond{SystemID: 7, SegmentSize: 1 << 20, DataDir: base, Settings: "file:///archive"}
	open := func(context.Context) (lookahead.Archive, error) {
		store, err := dir.Open(filepath.Join(base, "archive"))
		if err != nil {
			return nil, err
		}
		return walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: store}},
			Identity: walarchive.Identity{SystemID: bond.SystemID, SegmentSize: bond.SegmentSize}})
	}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	archive, err := open(ctx)
	if err != nil {
		return err
	}
	server, err := lookahead.New(lookahead.Config{Spool: filepath.Join(base, "spool"), Bond: bond, Archive: archive})
	if err != nil {
		return err
	}
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()

	client := lookahead.Client{Spool: filepath.Join(base, "spool"), Bond: bond, Open: open}
	fmt.Println("push:", client.Push(ctx, source))
	fmt.Println("fetch:", client.Fetch(ctx, name, restored))
	err = client.Fetch(ctx, "000000010000000000000004", restored)
	fmt.Println("fetch:", err, errors.As(err, new(*walarchive.AbsentError)))
	stop()
	fmt.Println("helper:", <-ended)
	return nil
}

// The helper's program: started by a client, or as a service if Idle is zero.
func ExampleServer() {
	serve := func(ctx context.Context, spool string, bond lookahead.Bond, archive lookahead.Archive) error {
		debug.SetMemoryLimit(40 << 20) // keeps a helper of four workers below 64 MiB
		server, err := lookahead.New(lookahead.Config{Spool: spool, Bond: bond, Archive: archive, Idle: time.Minute})
		if err != nil {
			return err
		}
		err = server.Run(ctx)
		if errors.Is(err, lookahead.ErrRunning) {
			return nil // another one was faster
		}
		return err
	}
	_ = serve
}

// The program that PostgreSQL calls: it starts a helper if there is none, and does the work itself this time.
func ExampleClient() {
	push := func(ctx context.Context, spool string, bond lookahead.Bond, open func(context.Context) (lookahead.Archive, error)) error {
		start := func(context.Context) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			args := []string{"--archive", bond.Settings, "serve", "--spool", spool, "--idle", "1m"}
			return lookahead.Spawn(lookahead.Command{Path: program, Args: args, Dir: bond.DataDir})
		}
		client := lookahead.Client{Spool: spool, Bond: bond, Open: open, Start: start}
		return client.Push(ctx, "pg_wal/000000010000000000000003")
	}
	_ = push
}
