package basebackup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Run makes a base backup of the server at source, whose role needs REPLICATION. It returns when the backup is complete, verified
// and durable, or with an error, having removed what it made; when ctx ends, it also ends what the server does. See the package
// documentation for what a killed process leaves.
func Run(ctx context.Context, source conninfo.Info, o Options) (Result, error) {
	b := &backup{o: o, source: source, track: &tracker{report: o.Progress}}
	if err := b.run(ctx); err != nil {
		return Result{}, fmt.Errorf("base backup: %w", explain(err))
	}
	return b.result, nil
}

// backup is one run.
type backup struct {
	o      Options
	source conninfo.Info
	track  *tracker
	place  *place

	main     *server
	stream   *walStream // nil unless WAL is streamed
	spaces   []space
	unpacker *unpacker

	warnings sync.Mutex // of result
	result   Result
}

// tasks are goroutines of which the first failure ends all.
type tasks struct {
	sync.WaitGroup
	fail context.CancelCauseFunc
}

func (t *tasks) start(f func() error) {
	t.Go(func() {
		if err := f(); err != nil {
			t.fail(err)
		}
	})
}

func (b *backup) run(ctx context.Context) (err error) {
	if err := b.o.check(); err != nil {
		return err
	}
	var reports sync.WaitGroup
	reporting, stop := context.WithCancel(ctx)
	reports.Go(func() { b.track.run(reporting) })
	defer func() { stop(); reports.Wait() }()
	b.track.phase(Connecting)
	if b.place, err = openPlace(b.o); err != nil {
		return err
	}
	defer b.place.leave()
	published := false
	defer func() {
		if err != nil && !published {
			if left := b.place.discard(); left != nil {
				err = errors.Join(err, fmt.Errorf("remove the unfinished copy: %w", left))
			}
		}
	}()
	if err := b.copy(ctx); err != nil {
		return err
	}
	if err := b.finish(ctx); err != nil {
		return err
	}
	if b.result.Aside, err = b.place.publish(); err != nil {
		return err
	}
	published = true
	b.result.Dir = b.place.target
	b.track.phase(Finished)
	return b.place.unmark()
}

// copy receives and verifies everything.
func (b *backup) copy(parent context.Context) error {
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)
	defer func() {
		if b.unpacker != nil {
			b.unpacker.close()
		}
	}()
	if err := b.connect(ctx); err != nil {
		return b.give(ctx, fail, err)
	}
	defer b.main.obey(ctx)()
	if err := b.begin(); err != nil {
		return b.give(ctx, fail, err)
	}
	if err := b.transfer(ctx, fail); err != nil {
		return b.give(ctx, fail, err)
	}
	b.main.hangUp()
	if b.stream != nil {
		b.stream.hangUp()
	}
	return b.verify()
}

// give ends both connections after an error, and returns the first one that there was.
func (b *backup) give(ctx context.Context, fail context.CancelCauseFunc, err error) error {
	fail(err)
	if b.main != nil {
		b.main.abandon(ctx)
	}
	if b.stream != nil {
		_ = b.stream.conn.Close() // nothing waits there
	}
	return b.damage(context.Cause(ctx))
}

// damage makes a [*ChecksumError] of the server's error about damaged pages, which it described in warnings.
func (b *backup) damage(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != codeDataCorrupted || !strings.Contains(pg.Message, "checksum") {
		return err
	}
	b.warnings.Lock()
	defer b.warnings.Unlock()
	var pages []string
	for _, w := range b.result.Warnings {
		if strings.Contains(w, "checksum") {
			pages = append(pages, w)
		}
	}
	return &explained{&ChecksumError{Pages: pages}, err}
}

func (b *backup) warn(text string) {
	b.warnings.Lock()
	defer b.warnings.Unlock()
	if len(b.result.Warnings) < 1000 { // a server with very many damaged pages
		b.result.Warnings = append(b.result.Warnings, text)
	}
}

// connect opens the connections and asks what has to be known. The one for WAL comes before the checkpoint, so that nobody waits for
// that only to hear that there is no second connection.
func (b *backup) connect(ctx context.Context) (err error) {
	if b.main, err = connect(ctx, b.source, b.warn); err != nil {
		return err
	}
	defer b.main.obey(ctx)()
	r := &b.result
	r.Major, r.SystemID = b.main.major, b.main.system
	if r.SegmentSize, err = b.segmentSize(); err != nil {
		return err
	}
	group := false
	if r.Major >= majorPageChecksums {
		mode, err := b.main.show("data_directory_mode")
		if err != nil {
			return err
		}
		group = mode == "0750"
	}
	b.unpacker = &unpacker{
		tar: b.o.Format == Tar, dir: b.place.dir, group: group, hash: b.o.Manifest.newHash(), track: b.track,
		walFile: newSegmentChecker(r.SegmentSize, r.SystemID), roots: map[uint32]*os.Root{},
		files: map[string]fileSum{}, links: map[uint32]string{}, kept: map[string][]byte{},
	}
	if b.o.Format == Plain { // somebody may have made the folder, with another mode
		if err := b.place.dir.Chmod(".", b.unpacker.dirPerm()); err != nil {
			return err
		}
	}
	if b.o.WAL != Stream {
		return nil
	}
	return b.connectStream(ctx)
}

func (b *backup) connectStream(ctx context.Context) (err error) {
	s := &walStream{
		slot: b.o.Slot, segSize: b.result.SegmentSize, track: b.track, check: newSegmentChecker(b.result.SegmentSize, b.result.SystemID),
	}
	source := b.source
	if b.main.major >= majorIdleSessions {
		options, _ := source.Get("options")
		source = source.With("options", options+" -c idle_session_timeout=0") // while the main connection waits for the checkpoint
	}
	if s.server, err = connect(ctx, source, b.warn); err != nil {
		return fmt.Errorf("second connection, for WAL: %w", err)
	}
	b.stream = s
	if s.system != b.main.system {
		return fmt.Errorf("the second connection reached another system: %v, not %v", s.system, b.main.system)
	}
	defer s.obey(ctx)()
	return s.reserve()
}

func (b *backup) segmentSize() (uint32, error) {
	text, err := b.main.show("wal_segment_size")
	if err != nil {
		return 0, err
	}
	size, err := parseUnit(text, map[string]int64{"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30})
	if err != nil || size > 1<<30 || !wal.ValidSegmentSize(uint32(size)) { //nolint:gosec // compared before
		return 0, fmt.Errorf("wal_segment_size of the server: %q is no size", text)
	}
	return uint32(size), nil //nolint:gosec // valid
}

// parseUnit reads a number with a unit as SHOW prints it.
func parseUnit(text string, units map[string]int64) (int64, error) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	n, err := strconv.ParseInt(digits, 10, 32)
	unit, known := units[text[len(digits):]]
	if err != nil || !known {
		return 0, fmt.Errorf("%q is no number with a unit", text)
	}
	return n * unit, nil
}

// begin asks for the backup and waits until the server has begun it.
func (b *backup) begin() error {
	if b.o.Checkpoint == Spread {
		limit := b.checkpointLimit()
		b.track.set(func(p *Progress) { p.Limit = limit })
	}
	b.track.phase(Waiting)
	if err := b.main.command(b.o.command(b.result.Major)); err != nil {
		return err
	}
	rows, err := b.main.rows()
	if err != nil {
		return err
	}
	if b.result.Start, b.result.StartTimeline, err = position(rows); err != nil {
		return fmt.Errorf("start of the backup: %w", err)
	}
	if rows, err = b.main.rows(); err != nil {
		return err
	}
	if b.spaces, err = parseSpaces(rows); err != nil {
		return err
	}
	return b.settle()
}

// checkpointLimit is how long a spread checkpoint takes at most. It is only for people, so that nothing is said if it cannot be
// found out.
func (b *backup) checkpointLimit() time.Duration {
	timeout, err1 := b.main.show("checkpoint_timeout")
	target, err2 := b.main.show("checkpoint_completion_target")
	if err1 != nil || err2 != nil {
		return 0
	}
	ms, err1 := parseUnit(timeout, map[string]int64{"ms": 1, "s": 1e3, "min": 60e3, "h": 3600e3, "d": 86400e3})
	share, err2 := strconv.ParseFloat(target, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return time.Duration(float64(ms) * share * float64(time.Millisecond)).Round(time.Second)
}

// settle decides where the tablespaces go.
func (b *backup) settle() error {
	var total int64
	unused := map[string]bool{}
	for from := range b.o.Tablespaces {
		unused[filepath.Clean(from)] = true
	}
	for i := range b.spaces {
		s := &b.spaces[i]
		total += s.sizeKiB << 10
		if s.oid == 0 {
			continue
		}
		if err := b.settleSpace(s, unused); err != nil {
			return err
		}
		b.result.Tablespaces = append(b.result.Tablespaces, Tablespace{OID: s.oid, Source: s.source, Location: s.location})
	}
	b.track.set(func(p *Progress) { p.Total = total })
	for from := range unused {
		return fmt.Errorf("Tablespaces: the server has no tablespace at %s", from)
	}
	return nil
}

func (b *backup) settleSpace(s *space, unused map[string]bool) error {
	s.location = s.source
	if !filepath.IsAbs(s.source) {
		if s.source != path.Join(linkDir, strconv.FormatUint(uint64(s.oid), 10)) {
			return fmt.Errorf("list of tablespaces: the location %q is not absolute", s.source)
		}
		s.inPlace = true
		return nil
	}
	for from, to := range b.o.Tablespaces {
		if filepath.Clean(from) == filepath.Clean(s.source) {
			s.location = filepath.Clean(to)
			delete(unused, filepath.Clean(from))
		}
	}
	if b.o.Format == Tar {
		return nil
	}
	root, err := b.place.addSpace(s.location)
	if err != nil {
		return err
	}
	b.unpacker.roots[s.oid] = root
	return root.Chmod(".", b.unpacker.dirPerm())
}

// transfer receives files and WAL.
func (b *backup) transfer(ctx context.Context, fail context.CancelCauseFunc) error {
	writing, streaming := &tasks{fail: fail}, &tasks{fail: fail}
	defer streaming.Wait()
	defer writing.Wait()
	if b.stream != nil {
		if err := b.openSink(); err != nil {
			return err
		}
		streaming.start(func() error { return b.stream.run(ctx, b.result.Start, b.result.StartTimeline) })
	}
	b.track.phase(Copying)
	r := newReceiver(b.main.wire, b.spaces, b.result.Major >= majorManifest)
	writing.start(func() error { return b.unpacker.run(ctx, r.out, r.free) })
	if err := b.receive(ctx, r); err != nil {
		fail(err)
		return err
	}
	b.track.phase(WaitingWAL)
	rows, err := b.main.rows()
	if err == nil {
		b.result.End, b.result.EndTimeline, err = position(rows)
	}
	if err == nil {
		err = b.main.ready()
	}
	if err != nil {
		fail(err)
		return err
	}
	if b.stream != nil {
		b.stream.stopAt(b.result.End, b.result.EndTimeline)
	}
	writing.Wait()
	streaming.Wait()
	return context.Cause(ctx)
}

// receive receives the archives and the manifest.
func (b *backup) receive(ctx context.Context, r *receiver) error {
	receive := r.manyStreams
	if b.result.Major >= majorOneStream {
		receive = r.oneStream
	}
	if err := receive(ctx); err != nil {
		return err
	}
	close(r.out)
	return nil
}

// openSink decides where streamed WAL goes.
func (b *backup) openSink() (err error) {
	if b.o.Format == Tar {
		b.stream.sink, err = newWALTar(b.place.dir, b.result.SegmentSize)
		return err
	}
	b.stream.sink, err = newWALFolder(b.place.dir, b.unpacker.perm(0), b.unpacker.dirPerm(), b.result.SegmentSize)
	return err
}

// verify checks that everything is there and as the server sent it.
func (b *backup) verify() error {
	b.track.phase(Verifying)
	u, r := b.unpacker, &b.result
	if err := u.complete(*r); err != nil {
		return err
	}
	ranges := []walRange{{r.StartTimeline, r.EndTimeline, r.Start, r.End}}
	if r.Major >= majorManifest {
		var err error
		if ranges, err = b.verifyManifest(); err != nil {
			return err
		}
		r.Manifest = true
	}
	r.Bytes = u.bytes
	check := u.walFile
	switch b.o.WAL {
	case NoWAL:
		return nil
	case Stream:
		check = b.stream.check
		r.Bytes += b.track.wal.Load()
	}
	for _, want := range ranges {
		if err := check.covers(want); err != nil {
			return err
		}
	}
	return nil
}

func (b *backup) verifyManifest() ([]walRange, error) {
	f, err := b.place.dir.Open(manifestFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	check := manifestCheck{algorithm: b.o.Manifest, system: b.result.SystemID, files: b.unpacker.files}
	return check.verify(f, info.Size())
}

// finish makes the copy what it is to be, makes it durable, and only then one that a server would start from.
func (b *backup) finish(ctx context.Context) error {
	if b.o.Format == Plain {
		if err := b.linkSpaces(); err != nil {
			return err
		}
		if err := b.place.reveal(datadir.VersionFile); err != nil {
			return err
		}
		if b.o.Prepare != nil {
			b.track.phase(Preparing)
			if err := b.o.Prepare(ctx, b.place.incoming); err != nil {
				return fmt.Errorf("prepare: %w", err)
			}
		}
	}
	b.track.phase(Syncing)
	if err := b.place.sync(ctx); err != nil {
		return err
	}
	if b.o.Format == Tar {
		return nil
	}
	return b.place.reveal(datadir.ControlFile)
}

// linkSpaces makes the symbolic links of the tablespaces, as the server has them but for the mapping.
func (b *backup) linkSpaces() error {
	links := b.unpacker.links
	for _, s := range b.spaces {
		if s.oid == 0 || s.inPlace {
			continue
		}
		oid := strconv.FormatUint(uint64(s.oid), 10)
		if links[s.oid] != s.source {
			return baseFault(path.Join(linkDir, oid), fmt.Sprintf("links to %q, not to %s", links[s.oid], s.source))
		}
		delete(links, s.oid)
		if err := b.place.dir.Symlink(s.location, path.Join(linkDir, oid)); err != nil {
			return err
		}
	}
	if len(links) > 0 {
		oid := slices.Sorted(maps.Keys(links))[0]
		return baseFault(path.Join(linkDir, strconv.Itoa(int(oid))), "is a link of no tablespace in the list")
	}
	return nil
}
