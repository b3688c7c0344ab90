package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// mostWAL bounds how many WAL files are fetched to judge a server: 2 GiB of the usual ones.
const mostWAL = 128

// judge says how the stopped server of a node may join the primary.
func (b *Builder) judge(ctx context.Context, n topology.Node) (recovery.Judgement, error) {
	returning, err := b.evidence(ctx, n)
	if err != nil {
		return recovery.Judgement{}, fmt.Errorf("collect the evidence of %s: %w", n.ID, err)
	}
	leader, err := b.leader(ctx)
	if err != nil {
		return recovery.Judgement{}, fmt.Errorf("collect the evidence of the primary: %w", err)
	}
	return recovery.Judge(returning, leader), nil
}

// evidence copies what a judgement needs of a stopped server to this machine, and reads it here: its control file, its histories, and the
// WAL since its last checkpoint.
func (b *Builder) evidence(ctx context.Context, n topology.Node) (recovery.Returning, error) {
	d, err := b.disk(ctx, n)
	if err != nil {
		return recovery.Returning{}, err
	}
	node, err := b.node(ctx, n)
	if err != nil {
		return recovery.Returning{}, err
	}
	pids, err := node.Processes(ctx)
	if err != nil {
		return recovery.Returning{}, err
	}
	if len(pids) > 0 {
		return recovery.Returning{}, fmt.Errorf("its server runs (process %d); what it holds is not to be judged meanwhile", pids[0])
	}
	control, err := node.Control(ctx)
	if err != nil {
		return recovery.Returning{}, err
	}
	local, err := os.MkdirTemp("", "understudy-judge-")
	if err != nil {
		return recovery.Returning{}, err
	}
	defer os.RemoveAll(local) // a copy of this process's own
	if err := d.fetch(ctx, local, control); err != nil {
		return recovery.Returning{}, err
	}
	copied := datadir.Inspect(local)
	copied.Server.Life = datadir.Stopped // seen above, where it matters
	returning, err := recovery.ReturningFrom(copied)
	if err != nil {
		return recovery.Returning{}, err
	}
	returning.CanRewind = node.CanRewind(ctx)
	return returning, nil
}

// fetch copies the files of a judgement.
func (d disk) fetch(ctx context.Context, local string, control datadir.Control) error {
	folder := datadir.WALDir(d.server.Major)
	names := []string{datadir.VersionFile, datadir.ControlFile, datadir.LabelFile, datadir.TablespaceMapFile}
	list, err := d.host.Run(ctx, host.Cmd{Path: "ls", Args: []string{"-1", "--", d.path(folder)}, Env: []string{"LC_ALL=C"}})
	if err != nil {
		return fmt.Errorf("list its WAL: %w", err)
	}
	var segments []string
	for _, name := range strings.Fields(string(list.Stdout)) {
		switch {
		case strings.HasSuffix(name, ".history"):
			names = append(names, path.Join(folder, name))
		case needed(name, control):
			segments = append(segments, path.Join(folder, name))
		}
	}
	if len(segments) <= mostWAL { // else the end of its WAL stays unknown, and it is not taken for redundant
		names = append(names, segments...)
	}
	for _, name := range names {
		data, err := d.host.ReadFile(ctx, d.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		to := filepath.Join(local, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// needed reports whether a file is a segment that recovery would read.
func needed(name string, control datadir.Control) bool {
	segment, err := wal.ParseSegment(name, control.SegmentSize)
	return err == nil && segment.End(control.SegmentSize) > control.Redo
}
