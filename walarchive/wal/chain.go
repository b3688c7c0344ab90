package wal

import (
	"bytes"
	"fmt"
)

// ChainConfig says which segment a [Chain] expects.
type ChainConfig struct {
	Segment     Segment
	SystemID    SystemID
	SegmentSize uint32 // bytes

	// Unfinished allows that the WAL ends somewhere in the segment without a switch: in a .partial file, in a segment that is
	// still being received or written. What follows is then what the file held before, as the server takes old files for new
	// segments. Without it only empty pages may follow.
	Unfinished bool
}

// Chain checks the page headers of a segment while its bytes are written to it, in pieces of any size. It answers whether the
// pages are all there and each at its place, not whether the records on them are whole. A segment of 16 MiB costs some 0.1 ms if the
// pieces are whole pages.
//
// The rules are those of XLogReaderValidatePageHeader (xlogreader.c), and of what servers 10 to 18 were seen to archive:
//
//   - The first page names the segment, the cluster and the sizes, see [PageHeader.Check].
//   - Each page has the first one's magic number, its own position, flags that servers write, and a timeline that is not below the
//     page before and not above the segment's. (A timeline's first segment begins as a copy of its parent's.)
//   - A record that must go on says on the next page how much of it is left, unless the server gave it up in a crash.
//   - Empty pages come last, as the rest of a segment that was left by a switch. From 9.4 on the server clears that rest. Before,
//     the file keeps what it held: for them [Chain] allows it as in an unfinished segment.
//   - In an unfinished segment, anything may come last but a page that belongs to the segment.
//
// A Chain is for one segment and one goroutine. The error of a method is also that of all later calls.
type Chain struct {
	c     ChainConfig
	first PageHeader
	form  pageForm

	off   int64 // bytes so far
	valid int64 // of these, up to the last page that belongs there
	data  int64 // up to the last page that is not empty
	head  [SegmentHeaderSize]byte
	last  shortHeader // of the page before

	page    int64 // size
	tail    bool  // the WAL ended before this page
	empty   bool  // this page, as far as it was seen
	failure error
}

// NewChain returns a Chain for one segment. It panics if the segment size is not valid.
func NewChain(c ChainConfig) *Chain {
	mustBeValid(c.SegmentSize)
	return &Chain{c: c, page: minBlockSize}
}

// Write takes the next bytes of the segment. The error for the first page is a [*HeaderError] or a [*MismatchError], for later ones
// a [*ChainError]. It comes with the bytes that decide it, so that what was written elsewhere before must be taken back.
func (c *Chain) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) && c.failure == nil {
		n += c.step(p[n:])
	}
	return n, c.failure
}

// End says that there are no more bytes. A segment that is not unfinished must be complete: a [*ChainError] otherwise.
func (c *Chain) End() error {
	if c.failure == nil && !c.c.Unfinished && c.off < int64(c.c.SegmentSize) {
		c.fail(c.off, "the file ends")
	}
	return c.failure
}

// Header is the segment's first page header. It is zero until that was seen and found good.
func (c *Chain) Header() PageHeader { return c.first }

// Size is the number of bytes that were taken.
func (c *Chain) Size() int64 { return c.off }

// DataEnd is where the last page ends that is not empty; all bytes taken after it are zero. In bytes from the segment's start.
func (c *Chain) DataEnd() int64 { return c.data }

// ValidEnd is where the last page ends that belongs to the segment, as far as it was written. It is less than [Chain.DataEnd] if
// the file holds older WAL behind its own. After an error it is where the WAL that can be trusted ends, at the latest.
func (c *Chain) ValidEnd() int64 { return c.valid }

// step takes some bytes: the rest of a header, or of a page.
func (c *Chain) step(p []byte) int {
	at := c.off % c.page
	if c.off == int64(c.c.SegmentSize) {
		c.fail(c.off, "there is more than the segment")
		return 0
	}
	if need := c.headerSize(); at < need {
		return c.header(p, at, need)
	}
	n := min(int64(len(p)), c.page-at)
	c.body(p[:n])
	return int(n)
}

func (c *Chain) headerSize() int64 {
	if c.off < c.page {
		return SegmentHeaderSize
	}
	return c.form.short
}

// header takes bytes of a header of which it has the first at.
func (c *Chain) header(p []byte, at, need int64) int {
	head, n := p, need
	if at > 0 || int64(len(p)) < need {
		n = int64(copy(c.head[at:need], p))
		head = c.head[:need]
	}
	c.off += n
	if at+n < need {
		if !allZero(c.head[:at+n]) {
			c.data = c.off
		}
		return int(n)
	}
	if start := c.off - need; start == 0 {
		c.firstPage(head)
	} else {
		c.laterPage(head[:need], start)
	}
	return int(n)
}

// body takes bytes behind a header.
func (c *Chain) body(p []byte) {
	if c.empty && !allZero(p) {
		c.empty = false
		if !c.oldTail() {
			c.fail(c.off-c.off%c.page, "the page has no header, but is not empty")
			return
		}
	}
	c.off += int64(len(p))
	c.count()
}

// count notes how far the page goes.
func (c *Chain) count() {
	if !c.tail {
		c.valid = c.off
	}
	if !c.empty {
		c.data = c.off
	}
}

func (c *Chain) firstPage(head []byte) {
	h, err := ParseSegmentHeader(head)
	if err == nil {
		err = h.Check(c.c.Segment, c.c.SystemID, c.c.SegmentSize)
	}
	if err != nil {
		c.failure = err
		return
	}
	c.first, c.form, c.page = h, formOf(head), int64(h.BlockSize)
	c.last = c.form.parse(head)
	c.count()
}

// laterPage judges the page that begins at offset start.
func (c *Chain) laterPage(head []byte, start int64) {
	c.empty = allZero(head)
	switch {
	case !c.empty:
		c.filledPage(c.form.parse(head), start)
	case c.goesOn() > 0 && !c.tail && !c.oldTail():
		c.fail(start, "the page is empty, but the record on the page before goes on")
	default:
		c.tail = true
	}
	if c.failure == nil {
		c.count()
	}
}

func (c *Chain) filledPage(h shortHeader, start int64) {
	switch msg := c.belongs(h, start); {
	case msg == "" && c.tail:
		c.fail(start, "a page that belongs there comes after one that does not")
	case msg == "":
		c.last = h
	case !c.oldTail():
		c.failAt(start, h.addr, msg)
	default:
		c.tail = true
	}
}

// belongs says what is wrong with a page of the segment at offset start.
func (c *Chain) belongs(h shortHeader, start int64) string {
	switch {
	case h.magic != c.first.Magic:
		return fmt.Sprintf("page magic %04X instead of %04X", h.magic, c.first.Magic)
	case h.addr != c.wanted(start):
		return "the page belongs elsewhere"
	case h.info&^infoAllFlags != 0 || h.info&infoLongHeader != 0:
		return fmt.Sprintf("page flags %04X, which no server writes there", h.info)
	case h.timeline < c.last.timeline || h.timeline > c.c.Segment.Timeline:
		return fmt.Sprintf("timeline %d after %d in a segment of %d", h.timeline, c.last.timeline, c.c.Segment.Timeline)
	case c.tail || c.goesOn() == 0 || h.info&infoOverwrites != 0:
		return ""
	case h.info&infoContinues == 0 || h.remLen != c.goesOn():
		return fmt.Sprintf("%d bytes of a record go on there, want %d", h.remLen, c.goesOn())
	}
	return ""
}

// goesOn is how many bytes of the record that the page before began with must be on this page and later ones.
func (c *Chain) goesOn() uint32 {
	room := uint32(c.page - c.form.short) //nolint:gosec // at most 64 kB
	if c.last.info&infoLongHeader != 0 {
		room = uint32(c.page - c.form.long) //nolint:gosec // as above
	}
	if c.last.info&infoContinues == 0 || c.last.remLen <= room {
		return 0
	}
	return c.last.remLen - room
}

// oldTail reports whether the rest of the segment may be what the file held before.
func (c *Chain) oldTail() bool { return c.c.Unfinished || c.first.Magic < firstClearedRest }

func (c *Chain) wanted(offset int64) LSN { return c.c.Segment.Start(c.c.SegmentSize) + LSN(offset) } //nolint:gosec // not negative

func (c *Chain) fail(offset int64, msg string) { c.failAt(offset, c.wanted(offset), msg) }

func (c *Chain) failAt(offset int64, got LSN, msg string) {
	c.failure = &ChainError{Name: c.c.Segment.Name(c.c.SegmentSize), Offset: offset, Want: c.wanted(offset), Got: got, Msg: msg}
}

// ChainError says where the pages of a segment are not what they must be.
type ChainError struct {
	Name   string // of the segment
	Offset int64  // of the page, in bytes from the segment's start
	Want   LSN    // the position of the page
	Got    LSN    // the position that its header states; Want, if something else is wrong
	Msg    string // what is wrong with the page
}

func (e *ChainError) Error() string {
	if e.Got != e.Want {
		return fmt.Sprintf("%s, offset %#x, %v: %s: its header says %v", e.Name, e.Offset, e.Want, e.Msg, e.Got)
	}
	return fmt.Sprintf("%s, offset %#x, %v: %s", e.Name, e.Offset, e.Want, e.Msg)
}

var zeros [8192]byte

func allZero(p []byte) bool {
	for len(p) > len(zeros) {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
		p = p[len(zeros):]
	}
	return bytes.Equal(p, zeros[:len(p)])
}
