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
	// still being received or written.
	Unfinished bool

	// Holes allows, in an unfinished segment, pages that belong to it after some that do not, as a power loss can leave them of what was
	// received last: then nothing is known of what follows the first such place. A promotion right after it hands that over as .partial.
	Holes bool

	// TimelineEnd is where the segment's timeline was left, if it is known from the history of a later one; zero if not. A standby
	// with archive_mode=always that follows its upstream to another timeline hands over the segment that it was receiving
	// under its full name (WalReceiverMain in walreceiver.c). So the WAL may end there, but not before.
	TimelineEnd LSN

	// Records has the records checked too, from 9.5 on: their lengths, their order and their checksums. It costs some milliseconds for
	// 16 MiB. Records that begin before the segment, or end after it, are not checked but for where they are on its pages.
	Records bool
}

// Chain checks the page headers of a segment while its bytes are written to it, in pieces of any size. It answers whether the
// pages are all there and each at its place, and if asked, whether the records on them are whole. Without that, a segment of 16 MiB
// costs some 0.2 ms if the pieces are whole pages.
//
// The rules are those of XLogReaderValidatePageHeader (xlogreader.c), and of what servers 10 to 18 were seen to archive:
//
//   - The first page names the segment, the cluster and the sizes, see [PageHeader.Check].
//   - Each page has the first one's magic number, its own position, flags that servers write, and a timeline that is not below the
//     page before and not above the segment's. (A timeline's first segment begins as a copy of its parent's.)
//   - A record that must go on says on the next page how much of it is left, unless the server gave it up in a crash.
//   - The pages go on to the end of the segment, or to a switch record. What follows a switch does not matter. As a rule it is
//     empty (11+), or nothing but page headers (9.4 to 10). Before 9.4 it is what the file held, as the server takes old files
//     for new segments; and the same may come, up to 18, from a standby that archives what it received from another standby, which
//     may send the rest of a segment as soon as it replayed the switch, before it has it.
//   - The pages of an unfinished segment, or of one in which the timeline ends, may end anywhere. What follows may be empty or old,
//     but no page that belongs to the segment.
//
// Records before 9.5 are laid out differently and not looked into: their segments may end anywhere.
//
// A Chain is for one segment and one goroutine. The error of a method is also that of all later calls.
type Chain struct {
	c     ChainConfig
	first PageHeader
	form  pageForm

	page    int64  // size of a page
	start   int64  // of the page that is not complete, in bytes from the segment's start
	part    []byte // what there is of it
	empty   bool   // and whether that is zero
	stray   bool   // and whether it is known not to be the segment's
	last    shortHeader
	records []byte // the last page that belongs there and holds any: kept, or still the caller's
	kept    []byte

	valid   int64 // where the last page ends that belongs there, as far as it was seen
	data    int64 // and the last that is not empty
	state   chainState
	check   *recordChecker
	rest    *ChainError // why the pages end before the segment does
	failure error
}

// chainState says what may come.
type chainState int

const (
	chainGoesOn   chainState = iota // pages of the segment
	chainEnded                      // anything but those
	chainSwitched                   // anything
)

// NewChain returns a Chain for one segment. It panics if the segment size is not valid.
func NewChain(c ChainConfig) *Chain {
	mustBeValid(c.SegmentSize)
	return &Chain{c: c, page: minBlockSize}
}

// Write takes the next bytes of the segment. The error for the first page is a [*HeaderError] or a [*MismatchError], for later ones
// a [*ChainError].
func (c *Chain) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) && c.failure == nil {
		n += c.step(p[n:])
	}
	c.keep()
	return n, c.failure
}

// Strip is [Chain.Write], and clears in p what lies on pages that are not the segment's: what a server left behind a switch, or
// behind the end of an unfinished segment, is no WAL, and may differ from server to server. Pages that are the segment's stay as they
// are, wherever they come. p must not end within the first [SegmentHeaderSize] bytes of a page, where nobody knows yet whose it is.
func (c *Chain) Strip(p []byte) (int, error) {
	n := 0
	for n < len(p) && c.failure == nil {
		from := n
		if n += c.step(p[n:]); c.stray {
			clear(p[from:n])
		}
	}
	c.keep()
	return n, c.failure
}

// End says that there are no more bytes. A segment that is not unfinished must be complete: a [*ChainError] otherwise.
func (c *Chain) End() error {
	if c.failure == nil && !c.c.Unfinished && c.Size() < int64(c.c.SegmentSize) {
		c.fail(c.Size(), "the file ends")
	}
	if c.failure == nil && c.check != nil && c.check.bad != "" && !c.mayEnd(c.check.badAt) {
		c.fail(c.check.badAt, c.check.bad)
	}
	return c.failure
}

// Header is the segment's first page header. It is zero until that was seen and found good.
func (c *Chain) Header() PageHeader { return c.first }

// Size is the number of bytes that were taken.
func (c *Chain) Size() int64 { return c.start + int64(len(c.part)) }

// DataEnd is where the last page ends that is not empty; all bytes taken after it are zero. In bytes from the segment's start.
func (c *Chain) DataEnd() int64 { return c.data }

// ValidEnd is where the last page ends that belongs to the segment, as far as it was written. It is less than [Chain.DataEnd] if
// the file holds older WAL behind its own. After an error it is where the WAL that can be trusted ends, at the latest.
func (c *Chain) ValidEnd() int64 { return c.valid }

// Rest says why the page at [Chain.ValidEnd] is not one of the segment, with a [*ChainError]. It is nil as long as all are.
func (c *Chain) Rest() error {
	if c.rest == nil {
		return nil
	}
	return c.rest
}

// Switched reports whether the pages of the segment end after a switch record, so that no WAL is missing in it.
func (c *Chain) Switched() bool { return c.state == chainSwitched }

// step takes some bytes: a page, or what there is of its header or of the rest.
func (c *Chain) step(p []byte) int {
	if c.start == int64(c.c.SegmentSize) {
		c.fail(c.start, "there is more than the segment")
		return 0
	}
	if len(c.part) == 0 && c.start > 0 && int64(len(p)) >= c.page {
		c.judge(p[:c.form.short])
		c.take(p[:c.page], p[c.form.short:c.page])
		return int(c.page)
	}
	have, header := int64(len(c.part)), c.headerSize()
	c.stray = c.stray && have >= header
	end := c.page
	if have < header {
		end = header
	}
	n := min(int64(len(p)), end-have)
	c.part = append(c.part, p[:n]...)
	switch {
	case have+n < header: // nobody knows yet where the page belongs
		if !allZero(c.part) {
			c.data = c.start + have + n
		}
	case have < header:
		c.judge(c.part)
		c.count(header)
	default:
		c.take(c.part, p[:n])
	}
	return int(n)
}

func (c *Chain) headerSize() int64 {
	if c.start == 0 {
		return SegmentHeaderSize
	}
	return c.form.short
}

// take takes bytes behind the header of a page that has so many by now.
func (c *Chain) take(page, more []byte) {
	if c.failure != nil {
		return
	}
	c.empty = c.empty && allZero(more)
	c.count(int64(len(page)))
	if int64(len(page)) < c.page {
		return
	}
	if c.state == chainGoesOn && c.check != nil {
		if at, msg := c.check.page(page); msg != "" {
			c.fail(at, msg)
			return
		}
	}
	c.start += c.page
	mine := len(c.part) > 0
	if c.state == chainGoesOn && !allZero(page[c.form.size(page):]) {
		c.records = page
		if mine {
			c.kept, c.part = c.part, c.kept
		}
	}
	c.part = c.part[:0]
}

// count notes how far the page goes.
func (c *Chain) count(n int64) {
	if c.failure != nil {
		return
	}
	if c.state == chainGoesOn {
		c.valid = c.start + n
	}
	if !c.empty {
		c.data = c.start + n
	}
}

// keep copies the page that is still the caller's.
func (c *Chain) keep() {
	if len(c.records) > 0 && (len(c.kept) == 0 || &c.records[0] != &c.kept[0]) {
		c.kept = append(c.kept[:0], c.records...)
		c.records = c.kept
	}
}

// judge looks at the header of a page.
func (c *Chain) judge(head []byte) {
	if c.start == 0 {
		c.firstPage(head)
		return
	}
	c.laterPage(head)
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
	c.first, c.form, c.page, c.empty = h, formOf(head), int64(h.BlockSize), false
	c.last = c.form.parse(head)
	if c.c.Records && h.Magic >= firstRecordsLikeToday {
		c.check = &recordChecker{form: c.form, start: h.PageAddr}
	}
}

func (c *Chain) laterPage(head []byte) {
	h, msg := c.form.parse(head), "the WAL ends without a switch"
	if c.empty = allZero(head); !c.empty {
		msg = c.belongs(h)
	}
	c.stray = msg != ""
	switch {
	case msg == "" && c.state == chainEnded && c.c.Holes:
	case msg == "" && c.state == chainEnded:
		c.fail(c.start, "a page that belongs there comes after one that does not")
	case msg == "":
		c.last = h
	case c.state == chainGoesOn:
		c.rest = c.errorAt(c.start, msg)
		c.rest.Got = h.addr
		if c.state = c.stateAfter(c.start); c.state == chainGoesOn {
			c.failure = c.rest
		}
	}
}

// stateAfter is what may come if the pages of the segment end at an offset. That is chainGoesOn if they may not.
func (c *Chain) stateAfter(offset int64) chainState {
	switch {
	case c.first.Magic >= firstRecordsLikeToday && c.form.switches(c.records):
		return chainSwitched
	case c.first.Magic < firstRecordsLikeToday, c.mayEnd(offset):
		return chainEnded
	}
	return chainGoesOn
}

// mayEnd reports whether the WAL may end at an offset without a switch.
func (c *Chain) mayEnd(offset int64) bool {
	end := c.c.TimelineEnd
	return c.c.Unfinished || end > 0 && c.wanted(offset) >= end
}

// belongs says what is wrong with a page of the segment.
func (c *Chain) belongs(h shortHeader) string {
	switch {
	case h.magic != c.first.Magic:
		return fmt.Sprintf("page magic %04X instead of %04X", h.magic, c.first.Magic)
	case h.addr != c.wanted(c.start):
		return fmt.Sprintf("the page is that of %v", h.addr)
	case h.info&^infoAllFlags != 0 || h.info&infoLongHeader != 0:
		return fmt.Sprintf("page flags %04X, which no server writes there", h.info)
	case h.timeline < c.last.timeline || h.timeline > c.c.Segment.Timeline:
		return fmt.Sprintf("timeline %d after %d in a segment of %d", h.timeline, c.last.timeline, c.c.Segment.Timeline)
	case c.state != chainGoesOn || c.goesOn() == 0 || h.info&infoOverwrites != 0:
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

func (c *Chain) wanted(offset int64) LSN { return c.c.Segment.Start(c.c.SegmentSize) + LSN(offset) } //nolint:gosec // not negative

func (c *Chain) fail(offset int64, msg string) { c.failure = c.errorAt(offset, msg) }

func (c *Chain) errorAt(offset int64, msg string) *ChainError {
	at := c.wanted(offset)
	return &ChainError{Name: c.c.Segment.Name(c.c.SegmentSize), Offset: offset, Want: at, Got: at, Msg: msg}
}

// ChainError says where the pages or records of a segment are not what they must be.
type ChainError struct {
	Name   string // of the segment
	Offset int64  // of the page or record, in bytes from the segment's start
	Want   LSN    // its position
	Got    LSN    // the position that the page's header states, which is zero on an empty page
	Msg    string // what is wrong
}

func (e *ChainError) Error() string { return fmt.Sprintf("%s, at %v: %s", e.Name, e.Want, e.Msg) }

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
