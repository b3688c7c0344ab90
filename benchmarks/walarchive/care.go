package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// care times what is done with an archive as a whole: the commands that read the names of a large one, and the removal of nearly all of it.
func (b *bench) care(ctx context.Context) error {
	if err := b.reading(ctx); err != nil {
		return err
	}
	return b.removal(ctx)
}

// manyName is the name of one of many segments.
func manyName(i int) string { return wal.Segment{Timeline: 1, Number: uint64(i)}.Name(segmentSize) }

// crowd fills a folder with files that have the names of segments.
func crowd(dir string, many int) error {
	for i := 1; i <= many; i++ {
		f, err := os.OpenFile(filepath.Join(dir, manyName(i)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// crowded is an archive of ours with many segments. It begins with a real push, which makes it ours.
func (b *bench) crowded(ctx context.Context, name string) error {
	t := b.ours(name, "")
	if err := b.reset(t); err != nil {
		return err
	}
	if _, err := b.call(ctx, t, b.full[0], byShell); err != nil {
		return err
	}
	return crowd(b.archive(name), b.many)
}

// reading times list, gaps and a dry run of cleanup.
func (b *bench) reading(ctx context.Context) error {
	const archive = "walarchive many"
	if err := b.crowded(ctx, archive); err != nil {
		return err
	}
	keep := manyName(b.many - b.many/100)
	tools := []*tool{
		{name: "walarchive list", line: func(string) string { return b.line(b.archive(archive), "list") }},
		{name: "walarchive gaps", line: func(string) string { return b.line(b.archive(archive), "gaps") }},
		{name: "walarchive cleanup -n", line: func(string) string { return b.line(b.archive(archive), "cleanup -n", keep) }},
		{name: "pg_archivecleanup -n", program: b.Bin("pg_archivecleanup"), line: func(string) string {
			return joined([]string{b.Bin("pg_archivecleanup"), "-n", b.archive(archive), keep})
		}},
	}
	tools, err := b.able(ctx, tools, "")
	if err != nil {
		return err
	}
	if err := b.interleave(ctx, tools, make([]string, 3*b.passes), 1, byShell); err != nil {
		return err
	}
	return b.readingReport(tools)
}

func (b *bench) readingReport(tools []*tool) error {
	t := b.report.table(fmt.Sprintf("look over an archive of %d segments", b.many), "by", "median", "95 of 100", "")
	var sum time.Duration
	for _, tool := range tools {
		calls := each(tool.calls, wall)
		t.row(tool.name, ms(median(calls)), ms(quantile(calls, 0.95)))
		if tool.program == "" {
			sum += median(calls)
		}
	}
	t.row("walarchive, the sum", ms(sum), "", b.report.judge(t.title, inMS(sum), 150, " ms"))
	return t.end()
}

// removal times a cleanup that leaves a hundredth.
func (b *bench) removal(ctx context.Context) error {
	const archive = "walarchive removal"
	keep := manyName(b.many - b.many/100)
	plain := b.path("copies", "removal")
	tools := []*tool{
		{
			name:  "walarchive cleanup",
			reset: func() error { return b.crowded(ctx, archive) },
			line:  func(string) string { return b.line(b.archive(archive), "cleanup", keep) },
		},
		{
			name:    "pg_archivecleanup",
			program: b.Bin("pg_archivecleanup"),
			reset:   func() error { return errors.Join(fresh(plain), crowd(plain, b.many)) },
			line:    func(string) string { return joined([]string{b.Bin("pg_archivecleanup"), plain, keep}) },
		},
	}
	tools, err := b.able(ctx, tools, "")
	if err != nil {
		return err
	}
	if err := b.sequence(ctx, tools, []string{""}, 0); err != nil {
		return err
	}
	title := fmt.Sprintf("remove %d of %d segments", b.many-b.many/100-1, b.many)
	return b.report.compare(title, tools, wall, targets{ratio: map[string]limit{"pg_archivecleanup": 1.1}}, nil)
}
