package walarchive

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Problem is what can be wrong with the place of an archive.
type Problem string

// The problems.
const (
	NotMounted  Problem = "not mounted"  // the directory that must be a mount point is none
	NotWritable Problem = "not writable" // where it is archived
	NotReadable Problem = "not readable" // where it is restored
	NotShared   Problem = "not shared"   // what is written in one place does not appear in the other
	LowSpace    Problem = "low space"
	NoMarker    Problem = "no marker" // nothing was ever pushed there, or it is not the archive
	Foreign     Problem = "foreign"   // it is another cluster's archive
)

// CheckConfig says what [Check] looks at.
type CheckConfig struct {
	// Write is the archive as the server that archives reaches it.
	Write Store
	// Read is the archive as the server that restores reaches it. nil means through Write.
	Read Store
	// Identity is the cluster's. The zero Identity accepts every cluster's archive.
	Identity Identity
	// MountPoint is a directory that must be a mount point on this machine. Empty means none.
	MountPoint string
	// Segments is how many segments, uncompressed, must still fit where Write says how much is free. Zero means 64, negative means that
	// this is not looked at. It needs Identity.SegmentSize.
	Segments int64
}

// CheckFinding is a problem that [Check] found.
type CheckFinding struct {
	Problem Problem
	Err     error
}

// String is a line.
func (f CheckFinding) String() string { return fmt.Sprintf("%s: %v", f.Problem, f.Err) }

// freer is a store that knows how much fits in it.
type freer interface {
	// Free returns how many bytes can still be written.
	Free(ctx context.Context) (int64, error)
}

// probeName begins the name of the object that [Check] writes. No archive names one so: what a killed check left is an unknown object.
const probeName = "understudy-probe-"

// Check finds out whether an archive can work from here: it writes an object through one store, reads it through the other, and removes
// it. What it finds is no error but a list of problems, empty if all is well. The error is only about cfg and ctx.
func Check(ctx context.Context, cfg CheckConfig) ([]CheckFinding, error) {
	if cfg.Write == nil {
		return nil, errors.New("Write: missing")
	}
	if cfg.Read == nil {
		cfg.Read = cfg.Write
	}
	if cfg.Segments == 0 {
		cfg.Segments = 64
	}
	var c checker
	c.mounted(cfg.MountPoint)
	c.marker(ctx, cfg.Write, cfg.Identity, NotWritable)
	if cfg.Read != cfg.Write {
		c.marker(ctx, cfg.Read, cfg.Identity, NotReadable)
	}
	c.probe(ctx, cfg.Write, cfg.Read)
	c.space(ctx, cfg)
	return c.findings, context.Cause(ctx)
}

type checker struct{ findings []CheckFinding }

func (c *checker) found(p Problem, err error) {
	c.findings = append(c.findings, CheckFinding{p, err})
}

func (c *checker) mounted(path string) {
	if path == "" {
		return
	}
	if err := checkMountPoint(path); err != nil {
		c.found(NotMounted, err)
	}
}

func (c *checker) marker(ctx context.Context, s Store, id Identity, unreadable Problem) {
	owner, err := readMarker(ctx, s)
	switch {
	case errors.Is(err, ErrNoMarker):
		c.found(NoMarker, fmt.Errorf("%v: %w", s, err))
	case err != nil:
		c.found(unreadable, fmt.Errorf("%v: %w", s, err))
	case id != Identity{} && (owner.SystemID != id.SystemID || owner.SegmentSize != 0 && owner.SegmentSize != id.SegmentSize):
		c.found(Foreign, fmt.Errorf("%v: %w", s, &ForeignArchiveError{Archive: owner, Cluster: id}))
	}
}

// removeTime is how long the removal of the probe may take after ctx has ended.
const removeTime = 10 * time.Second

func (c *checker) probe(ctx context.Context, write, read Store) {
	content := []byte(rand.Text() + rand.Text())
	name := probeName + rand.Text()
	if err := write.Create(ctx, name, bytes.NewReader(content)); err != nil {
		c.found(NotWritable, fmt.Errorf("%v: %w", write, err))
		return
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime) // a check that was cancelled leaves nothing behind, either
		defer cancel()
		if err := write.Remove(ctx, []string{name}); err != nil {
			c.found(NotWritable, fmt.Errorf("%v: the probe %s stays: %w", write, name, err))
		}
	}()
	got, err := readSmall(ctx, read, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.found(NotShared, fmt.Errorf("what was written to %v is not in %v", write, read))
	case err != nil:
		c.found(NotReadable, fmt.Errorf("%v: %w", read, err))
	case !bytes.Equal(got, content):
		c.found(NotShared, fmt.Errorf("what was written to %v is something else in %v", write, read))
	}
}

func (c *checker) space(ctx context.Context, cfg CheckConfig) {
	f, ok := cfg.Write.(freer)
	if !ok || cfg.Segments < 0 || cfg.Identity.SegmentSize == 0 {
		return
	}
	free, err := f.Free(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		c.found(LowSpace, fmt.Errorf("%v: how much is free is not known: %w", cfg.Write, err))
		return
	}
	if want := cfg.Segments * int64(cfg.Identity.SegmentSize); free < want {
		c.found(LowSpace, fmt.Errorf("%v: %d bytes are free, want %d for %d segments", cfg.Write, free, want, cfg.Segments))
	}
}
