package stream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// partialSuffix marks a segment of which not all is there. The file has the full size, as pg_receivewal wants it; what was not
// received is zeros.
const partialSuffix = ".partial"

// maxUnsynced is how many complete segments may wait to be made durable before receiving waits for them.
const maxUnsynced = 4

// place is a position on a timeline.
type place struct {
	tli wal.Timeline
	lsn wal.LSN
}

// staging is the directory of what was received and is not archived yet. One goroutine writes, one syncs; both and others may look.
type staging struct {
	dir     string
	segSize uint32
	system  wal.SystemID
	relay   bool // what is written now comes from a standby
	fsync   func(*os.File) error
	wake    chan struct{} // something can be synced

	mu      sync.Mutex
	room    *sync.Cond            // something was synced, or closed is set
	open    []*segmentFile        // not durable in whole, oldest first; the last may be the current one
	current *segmentFile          // being written
	flushed place                 // durable up to here
	left    map[wal.Segment]int64 // partial segments of which no more will come: bytes, or -1 if that is not known
	closed  bool
}

// segmentFile is a segment that is being received.
type segmentFile struct {
	seg     wal.Segment
	name    string // of the segment
	f       *os.File
	relayed bool  // some of it came from a standby
	new     bool  // its directory entry may not be durable
	old     int64 // bytes that it held when it was opened, up to the last that is not zero
	written int64 // bytes
	leave   bool  // no more will come
	synced  int64
}

func openStaging(dir string, segSize uint32, system wal.SystemID) *staging {
	s := &staging{dir: dir, segSize: segSize, system: system, fsync: (*os.File).Sync, wake: make(chan struct{}, 1), left: map[wal.Segment]int64{}}
	s.room = sync.NewCond(&s.mu)
	return s
}

func (s *staging) path(name string) string { return filepath.Join(s.dir, name) }

// staged is a segment in the directory.
type staged struct {
	seg     wal.Segment
	name    string // of the file
	partial bool
}

// list returns the segments in the order of the WAL, and the history files.
func (s *staging) list() (segments []staged, histories []string, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		f, err := wal.ParseFileName(e.Name())
		switch {
		case err != nil:
		case f.Kind == wal.KindHistory:
			histories = append(histories, e.Name())
		case f.Kind == wal.KindSegment || f.Kind == wal.KindPartial:
			seg, err := f.Segment(s.segSize)
			if err != nil {
				return nil, nil, &stagingError{err}
			}
			segments = append(segments, staged{seg, e.Name(), f.Kind == wal.KindPartial})
		}
	}
	slices.SortFunc(segments, compareStaged)
	slices.Sort(histories)
	return segments, histories, nil
}

// compareStaged orders by timeline and number; a complete segment counts for more than what is left of a partial one.
func compareStaged(a, b staged) int {
	switch {
	case a.seg.Timeline != b.seg.Timeline:
		return int(int64(a.seg.Timeline) - int64(b.seg.Timeline))
	case a.seg.Number != b.seg.Number:
		if a.seg.Number < b.seg.Number {
			return -1
		}
		return 1
	case a.partial == b.partial:
		return 0
	case a.partial:
		return -1
	}
	return 1
}

// inspect looks at what an earlier run left: whether it can be the server's, and where it ends. Without a segment there, found is
// false. A partial segment is received again from its beginning, as servers do it: the bytes that are there are
// compared, so that they need not be trusted, and whatever a crash left of them costs nothing but the transfer. A server that has some of
// a segment has all of it, so nothing gets out of reach. There may be several, as a segment is begun before the last one is durable.
func (s *staging) inspect() (at place, found bool, err error) {
	segments, _, err := s.list()
	if err != nil || len(segments) == 0 {
		return place{}, false, err
	}
	last := segments[len(segments)-1]
	history, err := s.history(last.seg.Timeline)
	if err != nil {
		return place{}, false, err
	}
	at = place{last.seg.Timeline, last.seg.Start(s.segSize) + wal.LSN(s.segSize)}
	for i, st := range segments {
		if err := s.check(st); err != nil {
			return place{}, false, err
		}
		switch {
		case !st.partial || found:
		case s.hasEnded(st, history) || i+1 < len(segments) && segments[i+1].seg == st.seg:
			s.left[st.seg] = -1
		default:
			at, found = place{st.seg.Timeline, st.seg.Start(s.segSize)}, true
		}
	}
	return at, true, nil
}

// history is the one of a timeline that is there. Without one, nothing is known of other timelines.
func (s *staging) history(tli wal.Timeline) (wal.History, error) {
	b, err := os.ReadFile(s.path(tli.HistoryName()))
	if errors.Is(err, fs.ErrNotExist) {
		return wal.History{Timeline: tli}, nil
	}
	if err != nil {
		return wal.History{}, err
	}
	return wal.ParseHistory(tli, b)
}

// hasEnded reports whether a timeline was left in a segment.
func (s *staging) hasEnded(st staged, history wal.History) bool {
	left, ended := history.SwitchPoint(st.seg.Timeline)
	start := st.seg.Start(s.segSize)
	return ended && left >= start && left < start+wal.LSN(s.segSize)
}

// check compares the size and the first page header of a staged file with the server.
func (s *staging) check(st staged) error {
	f, err := os.Open(s.path(st.name))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size != int64(s.segSize) && (!st.partial || size > 0) {
		return &SegmentSizeError{File: st.name, Want: int64(s.segSize), Got: size}
	}
	var head [wal.SegmentHeaderSize]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil // an empty file, as a crash leaves it, says nothing
	}
	h, err := wal.ParseSegmentHeader(head[:])
	switch {
	case err != nil && st.partial:
		return nil // it is received again, and compared then
	case err != nil:
		return &stagingError{fmt.Errorf("%s: %w", st.name, err)}
	case h.SystemID != s.system:
		return &ForeignServerError{Want: h.SystemID, Got: s.system}
	}
	return nil
}

// write takes WAL that begins at a place, which is where the last ended unless begin was called.
func (s *staging) write(at place, p []byte) error {
	for len(p) > 0 {
		cur, err := s.segmentAt(at)
		if err != nil {
			return err
		}
		n := min(len(p), int(int64(s.segSize)-cur.written))
		if err := s.writeTo(cur, p[:n]); err != nil {
			return err
		}
		cur.relayed = cur.relayed || s.relay
		if cur.relayed && cur.written+int64(n) == int64(s.segSize) {
			if err := s.settle(cur); err != nil {
				return err
			}
		}
		s.wrote(cur, n)
		at.lsn += wal.LSN(n) //nolint:gosec // positive
		p = p[n:]
	}
	return nil
}

// wrote counts bytes, and ends a segment that is complete. It waits while too much is not durable.
func (s *staging) wrote(cur *segmentFile, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cur.written += int64(n)
	if cur.written < int64(s.segSize) {
		return
	}
	s.current = nil
	s.kick()
	for len(s.open) > maxUnsynced && !s.closed {
		s.room.Wait()
	}
}

// kick wakes who syncs.
func (s *staging) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// segmentAt is the file of the segment that holds a place, which follows what is there.
func (s *staging) segmentAt(at place) (*segmentFile, error) {
	if s.current != nil {
		return s.current, nil
	}
	seg := wal.SegmentOf(at.tli, at.lsn, s.segSize)
	if at.lsn != seg.Start(s.segSize) {
		return nil, fmt.Errorf("WAL of a new segment from %v, which is not its beginning", at.lsn)
	}
	name := seg.Name(s.segSize)
	f, err := os.OpenFile(s.path(name+partialSuffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	cur := &segmentFile{seg: seg, name: name, f: f, new: true}
	if err := cur.prepare(int64(s.segSize)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = cur
	s.open = append(s.open, cur)
	return cur, nil
}

// prepare gives the file its size, and finds the end of what it holds.
func (c *segmentFile) prepare(size int64) error {
	info, err := c.f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return c.f.Truncate(size)
	}
	c.old, err = lastByte(c.f, info.Size())
	return err
}

// lastByte is the position behind the last byte that is not zero.
func lastByte(f *os.File, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for size > 0 {
		n := min(size, int64(len(buf)))
		if _, err := f.ReadAt(buf[:n], size-n); err != nil {
			return 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if buf[i] != 0 {
				return size - n + i + 1, nil
			}
		}
		size -= n
	}
	return 0, nil
}

// writeTo appends to what was received. What an earlier run received must be the same: a crash may have left zeros in its place, but
// no other bytes.
func (s *staging) writeTo(c *segmentFile, p []byte) error {
	if c.written < c.old {
		have := make([]byte, min(int64(len(p)), c.old-c.written))
		if _, err := c.f.ReadAt(have, c.written); err != nil {
			return err
		}
		for i, b := range have {
			if b == 0 || b == p[i] {
				continue
			}
			if err := s.mayDiffer(c, c.written+int64(i)); err != nil {
				return err
			}
			c.old = 0
			break
		}
	}
	_, err := c.f.WriteAt(p, c.written)
	return err
}

// mayDiffer returns a [*DivergedError] unless what the file held at an offset was no WAL but old bytes of a relayed segment.
func (s *staging) mayDiffer(c *segmentFile, offset int64) error {
	chain, err := s.chain(c, c.old)
	if err != nil {
		return err
	}
	if offset >= chain.ValidEnd() && chain.ValidEnd() > 0 {
		return nil
	}
	return &DivergedError{File: c.name + partialSuffix, LSN: c.seg.Start(s.segSize) + wal.LSN(offset)} //nolint:gosec // positive
}

// chain looks at the pages of a file's first n bytes.
func (s *staging) chain(c *segmentFile, n int64) (*wal.Chain, error) {
	chain := wal.NewChain(wal.ChainConfig{Segment: c.seg, SystemID: s.system, SegmentSize: s.segSize, Unfinished: n < int64(s.segSize)})
	_, err := io.Copy(chain, struct{ io.Reader }{io.NewSectionReader(c.f, 0, n)})
	if err == nil {
		err = chain.End()
	}
	if errors.As(err, new(*wal.ChainError)) || errors.As(err, new(*wal.HeaderError)) || errors.As(err, new(*wal.MismatchError)) {
		return chain, nil // what it says of the end is what is asked for
	}
	return chain, err
}

// settle clears what a relayed segment holds behind the end of its WAL. A standby that replayed a switch sends the rest of the segment before it
// has received that itself, so what its file held before goes out; the primary has zeros there (11+), and archives them.
func (s *staging) settle(c *segmentFile) error {
	chain, err := s.chain(c, int64(s.segSize))
	if err != nil {
		return err
	}
	if chain.End() != nil {
		return nil //nolint:nilerr // a damaged segment is for the archive to refuse
	}
	if chain.ValidEnd() >= chain.DataEnd() {
		return nil
	}
	zeros := make([]byte, 64<<10)
	for at := chain.ValidEnd(); at < int64(s.segSize); at += int64(len(zeros)) {
		if _, err := c.f.WriteAt(zeros[:min(int64(len(zeros)), int64(s.segSize)-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// end is the position behind all that the current segment holds, from this run or an earlier one; without one it is at.
func (s *staging) end(at wal.LSN) wal.LSN {
	if s.current == nil {
		return at
	}
	return s.current.seg.Start(s.segSize) + wal.LSN(max(s.current.written, s.current.old)) //nolint:gosec // positive
}

// wholeRecordAt reports whether the current segment holds a whole record from the LSN at on.
func (s *staging) wholeRecordAt(at wal.LSN) (bool, error) {
	cur := s.current
	b := make([]byte, max(cur.written, cur.old))
	if _, err := cur.f.ReadAt(b, 0); err != nil {
		return false, err
	}
	first := cur.seg.Start(s.segSize)
	return wholeRecord(b, first, at, first+wal.LSN(len(b)), s.segSize), nil
}

// leave ends the current segment, of whose timeline no more will come. It stays NAME.partial.
func (s *staging) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.leave = true
		s.left[s.current.seg] = max(s.current.written, s.current.old)
		s.current = nil
		s.kick()
	}
}

// sync makes durable what was received when it was called, gives complete segments their names, and returns how far that is. It is
// called by one goroutine at a time.
func (s *staging) sync() (place, error) {
	s.mu.Lock()
	type part struct {
		*segmentFile
		to   int64
		left bool
	}
	var parts []part
	for _, c := range s.open {
		parts = append(parts, part{c, c.written, c.leave})
	}
	s.mu.Unlock()
	for _, p := range parts {
		if err := s.syncFile(p.segmentFile, p.to, p.left); err != nil {
			return place{}, &stagingError{err}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushed, nil
}

// syncFile makes a file durable up to an offset, and ends it if that is all.
func (s *staging) syncFile(c *segmentFile, to int64, left bool) error {
	complete := to == int64(s.segSize)
	if to > c.synced || complete || left {
		if err := s.fsync(c.f); err != nil {
			return err
		}
	}
	if c.new {
		if err := atomicfile.SyncDir(s.dir); err != nil {
			return err
		}
		c.new = false
	}
	if complete || left {
		if err := c.f.Close(); err != nil {
			return err
		}
	}
	if complete {
		if err := atomicfile.Rename(s.path(c.name+partialSuffix), s.path(c.name)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.synced = to
	s.flushed = place{c.seg.Timeline, c.seg.Start(s.segSize) + wal.LSN(to)} //nolint:gosec // positive
	if complete || left {
		s.open = slices.DeleteFunc(s.open, func(o *segmentFile) bool { return o == c })
		s.room.Broadcast()
	}
	return nil
}

// resume opens the partial segment that is to be received again from a place, if there is one.
func (s *staging) resume(at place) error {
	name := wal.SegmentOf(at.tli, at.lsn, s.segSize).Name(s.segSize)
	if _, err := os.Stat(s.path(name + partialSuffix)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	_, err := s.segmentAt(at)
	return err
}

// begin says where receiving begins: everything before is durable.
func (s *staging) begin(at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushed = at
}

// durable is how far everything is durable.
func (s *staging) durable() place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushed
}

// busy reports whether a file is still being received or made durable.
func (s *staging) busy(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.open, func(c *segmentFile) bool { return c.name == strings.TrimSuffix(name, partialSuffix) })
}

// received returns how much there is of a segment that was left. What an earlier run left is counted up to the last
// byte that is not zero, which may be a little less.
func (s *staging) received(seg wal.Segment, f *os.File) (int64, error) {
	s.mu.Lock()
	n := s.left[seg]
	s.mu.Unlock()
	if n >= 0 {
		return n, nil
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return lastByte(f, info.Size())
}

// isLeft reports whether no more will come of a partial segment.
func (s *staging) isLeft(seg wal.Segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, left := s.left[seg]
	return left
}

// beginning returns the segment that is being received and how much of it is durable.
func (s *staging) beginning() (seg wal.Segment, upto int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return wal.Segment{}, 0
	}
	return s.current.seg, s.current.synced
}

// receiving returns the segment that is being received.
func (s *staging) receiving() wal.Segment {
	seg, _ := s.beginning()
	return seg
}

// stop lets nobody wait any more.
func (s *staging) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.room.Broadcast()
}

// close closes what is open. Nobody may use it any more.
func (s *staging) close() {
	for _, c := range s.open {
		_ = c.f.Close() // what is durable is known
	}
}

// keep stores a timeline history. One that is there must be the same.
func (s *staging) keep(name string, content []byte) error {
	have, err := os.ReadFile(s.path(name))
	switch {
	case err == nil && string(have) == string(content):
		return nil
	case err == nil:
		return &stagingError{fmt.Errorf("%s is not what the server has under this name: two servers were promoted to one timeline", name)}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return atomicfile.Write(s.path(name), content, 0o600)
}
