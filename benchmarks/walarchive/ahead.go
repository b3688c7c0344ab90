package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// async makes pgBackRest work ahead, with as many processes as ours has workers.
const async = "--archive-async --process-max=2"

// ahead compares archive_command where it works ahead: the calls of an archiver that finds all segments ready.
func (b *bench) ahead(ctx context.Context) error {
	for _, codec := range codecs {
		tools := []*tool{
			b.pushAhead("walarchive ahead", b.ours("walarchive", codec.ours+" "+b.lookAhead())),
			b.pushAhead("pgbackrest async", b.pgBackRest(codec.pgBackRest+" "+async)),
		}
		tools, err := b.able(ctx, tools, b.full[0])
		if err != nil {
			return err
		}
		if err := b.sequence(ctx, tools, b.full, 0); err != nil {
			return err
		}
		want := targets{median: 3, ratio: map[string]limit{"pgbackrest async": 0.85}}
		if err := b.report.compare("push ahead, "+codec.name, tools, wall, want, nil); err != nil {
			return err
		}
	}
	return nil
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
