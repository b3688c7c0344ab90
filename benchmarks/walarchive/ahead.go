package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// async makes pgBackRest work ahead.
func (b *bench) async() string { return fmt.Sprintf("--archive-async --process-max=%d", b.workers) }

// ahead compares archive_command where it works ahead: the calls of an archiver that finds all segments ready; and once with time between
// them, in which the next files get archived, so that a call costs no more than to learn that.
func (b *bench) ahead(ctx context.Context) error {
	for _, codec := range b.encodings() {
		want := targets{median: 3, ratio: map[string]limit{"pgbackrest async": 0.85}}
		if err := b.pushedAhead(ctx, "push ahead, "+codec.name, codec, 0, want); err != nil {
			return err
		}
	}
	codec := codecs[1]
	return b.pushedAhead(ctx, fmt.Sprintf("push ahead, %s, %v between the calls", codec.name, b.pause), codec, b.pause, targets{})
}

func (b *bench) pushedAhead(ctx context.Context, title string, by codec, pause time.Duration, want targets) error {
	tools, err := b.able(ctx, []*tool{
		b.pushAhead("walarchive ahead", b.ours("walarchive", by.ours+" "+b.lookAhead())),
		b.pushAhead("pgbackrest async", b.pgBackRest(by.pgBackRest+" "+b.async())),
	}, b.full[0])
	if err != nil {
		return err
	}
	if err := b.sequence(ctx, tools, b.full, pause); err != nil {
		return err
	}
	return b.report.compare(title, tools, wall, want, nil)
}

// pushAhead is a tool that finds all segments ready, and each done after its call.
func (b *bench) pushAhead(name string, t *tool) *tool {
	reset := t.reset
	t.name = name
	t.reset = func() error { return errors.Join(reset(), fresh(b.spool()), b.ready()) }
	t.after = func(job string) error {
		status := filepath.Join(b.dataDir, "pg_wal/archive_status", job)
		return os.Rename(status+".ready", status+".done")
	}
	return t
}
