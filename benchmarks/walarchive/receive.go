package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// receive compares the programs that get WAL by streaming replication, which is on the server already. Each begins after the first
// segment, because it has that.
func (b *bench) receive(ctx context.Context) error {
	const archive = "walarchive receive"
	last, err := wal.ParseSegment(b.full[len(b.full)-1], segmentSize)
	if err != nil {
		return err
	}
	end := last.End(segmentSize).String()
	push := b.ours(archive, "")
	staging, theirs := b.path("staging"), b.path("copies", "pg_receivewal")
	tools := []*tool{
		{
			name: "walarchive receive",
			reset: func() error {
				if err := errors.Join(push.reset(), fresh(staging)); err != nil {
					return err
				}
				_, err := b.call(ctx, push, b.full[0], byShell)
				return err
			},
			line: func(string) string {
				return b.line(b.archive(archive), "receive", "--stop-at="+end, "postgres://postgres@/postgres?host="+b.server.base, staging)
			},
		},
		{
			name:    "pg_receivewal",
			program: b.Bin("pg_receivewal"),
			reset: func() error {
				return errors.Join(fresh(theirs), copyFile(filepath.Join(theirs, b.full[0]), filepath.Join(b.dataDir, "pg_wal", b.full[0])))
			},
			line: func(string) string {
				return joined([]string{b.Bin("pg_receivewal"), "--no-loop --no-password --username=postgres --host", b.server.base, "--endpos", end, "-D", theirs})
			},
		},
	}
	if tools, err = b.able(ctx, tools, ""); err != nil {
		return err
	}
	if err := b.sequence(ctx, tools, []string{""}, 0); err != nil {
		return err
	}
	speed := map[string]string{}
	for _, t := range tools {
		bytes := float64((len(b.full) - 1) * segmentSize)
		speed[t.name] = fmt.Sprintf("%.0f MB/s", bytes/median(each(t.calls, wall)).Seconds()/1e6)
	}
	return b.report.compare("receive", tools, wall, targets{}, speed)
}
