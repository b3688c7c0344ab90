package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
)

// push compares archive_command, segment by segment.
func (b *bench) push(ctx context.Context) error {
	tools := []*tool{b.ours("walarchive", ""), b.dd(), b.cp(), b.rsync(), b.pgBackRest(codecs[0].pgBackRest), b.barman()}
	want := targets{ratio: map[string]limit{"dd": 1.5, "pgbackrest": 0.6}}
	if err := b.pushed(ctx, "push, "+codecs[0].name, tools, want); err != nil {
		return err
	}
	for _, codec := range b.encodings()[1:] {
		tools := []*tool{b.ours("walarchive", codec.ours), b.pgBackRest(codec.pgBackRest)}
		if err := b.pushed(ctx, "push, "+codec.name, tools, targets{ratio: map[string]limit{"pgbackrest": 0.8}}); err != nil {
			return err
		}
	}
	return nil
}

type codec struct{ name, ours, pgBackRest string }

// encodings are those that are compared.
func (b *bench) encodings() []codec {
	if b.brief {
		return codecs[:2]
	}
	return codecs
}

// codecs are the encodings with the flags for them.
var codecs = []codec{
	{"not encoded", "", "--compress-type=none"},
	{"lz4", "--compress=lz4", "--compress-type=lz4"},
	{"zstd level 1", "--compress=zstd:1", "--compress-type=zst --compress-level=1"},
	{"zstd level 3", "--compress=zstd:3", "--compress-type=zst --compress-level=3"},
}

func (b *bench) pushed(ctx context.Context, title string, tools []*tool, want targets) error {
	tools, err := b.able(ctx, tools, b.full[0])
	if err != nil {
		return err
	}
	if err := b.interleave(ctx, tools, b.full, b.rounds, byShell); err != nil {
		return err
	}
	stored := map[string]string{}
	for _, t := range tools {
		if t.stores == "" {
			continue
		}
		size, err := dirSize(t.stores)
		if err != nil {
			return err
		}
		stored[t.name] = fmt.Sprintf("stores %.1f%%", 100*float64(size)/float64(len(b.full)*segmentSize))
	}
	return b.report.compare(title, tools, wall, want, stored)
}

// dirSize adds up the files in a folder.
func dirSize(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
