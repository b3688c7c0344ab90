package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// restored is the name that PostgreSQL gives to what restore_command brings.
const restored = "pg_wal/RECOVERYXLOG"

// fetch compares restore_command: the calls of a recovery, one after the other, with the time between them in which a server replays
// the segment, and without.
func (b *bench) fetch(ctx context.Context) error {
	const archive = "walarchive"
	codec := b.encodings()[len(b.encodings())-1]
	copies := b.cp()
	for _, t := range []*tool{b.ours(archive, codec.ours), copies, b.pgBackRest(codec.pgBackRest)} {
		if err := b.fill(ctx, t); err != nil {
			return err
		}
	}
	for _, at := range []struct {
		title string
		pause time.Duration
		want  targets
	}{
		{fmt.Sprintf("fetch, %s, %v of replay between the calls", codec.name, b.pause), b.pause, targets{median: 4, p95: 10}},
		{fmt.Sprintf("fetch, %s, no replay", codec.name), 0, targets{}},
	} {
		tools, err := b.able(ctx, []*tool{
			b.fetcher("walarchive ahead", func() error { return fresh(b.spool()) }, func(name string) string {
				return b.line(b.archive(archive), b.lookAhead(), "fetch", name, restored)
			}),
			b.fetcher("walarchive", nil, func(name string) string { return b.line(b.archive(archive), "fetch", name, restored) }),
			b.fetcher("cp, not encoded", nil, func(name string) string { return "cp " + filepath.Join(b.copies(copies.name), name) + " " + restored }),
			b.pgBackRestGet("pgbackrest", ""),
			b.pgBackRestGet("pgbackrest async", b.async()),
		}, b.full[0])
		if err != nil {
			return err
		}
		if err := b.sequence(ctx, tools, b.full, at.pause); err != nil {
			return err
		}
		if err := b.report.compare(at.title, tools, wall, at.want, nil); err != nil {
			return err
		}
	}
	return nil
}

// fill has a tool archive all full segments, if it is there.
func (b *bench) fill(ctx context.Context, t *tool) error {
	if b.absent[t.program] {
		return nil
	}
	if err := b.reset(t); err != nil {
		return err
	}
	for _, name := range b.full {
		if _, err := b.call(ctx, t, name, byShell); err != nil {
			return err
		}
	}
	return nil
}

// fetcher is a restore_command. The server takes away what a call has brought.
func (b *bench) fetcher(name string, reset func() error, line func(name string) string) *tool {
	return &tool{name: name, reset: reset, line: line, after: func(string) error {
		return os.Remove(filepath.Join(b.dataDir, restored))
	}}
}

// pgBackRestGet is archive-get with some options.
func (b *bench) pgBackRestGet(name, options string) *tool {
	reset := func() error { return fresh(b.path("pgbackrest/spool")) }
	t := b.fetcher(name, reset, func(name string) string { return b.pgBackRestLine(options, "archive-get", name, restored) })
	t.program = "pgbackrest"
	return t
}
