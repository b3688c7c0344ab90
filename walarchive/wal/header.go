package wal

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// SegmentHeaderSize is how many bytes at the start of a segment [ParseSegmentHeader] needs.
const SegmentHeaderSize = 40

// PageHeader is the long page header at the start of every segment (XLogLongPageHeaderData in xlog_internal.h).
type PageHeader struct {
	Magic       uint16
	Info        uint16   // flag bits XLP_*
	Timeline    Timeline // of the first record on the page; in a timeline's first segment it may be an ancestor's
	PageAddr    LSN      // position of the page's first byte
	RemLen      uint32   // bytes of a record that continues from the previous segment; 0 before 9.3
	SystemID    SystemID
	SegmentSize uint32 // bytes
	BlockSize   uint32 // bytes of a WAL page
}

const (
	infoContinues  = 0x0001 // XLP_FIRST_IS_CONTRECORD
	infoLongHeader = 0x0002 // XLP_LONG_HEADER
	infoOverwrites = 0x0008 // XLP_FIRST_IS_OVERWRITE_CONTRECORD: the record that the page before began was given up
	infoAllFlags   = 0x000F // XLP_ALL_FLAGS

	minBlockSize, maxBlockSize = 1 << 10, 1 << 16
)

// majors maps XLOG_PAGE_MAGIC of the released majors (xlog_internal.h of each) to the text of PG_VERSION.
var majors = map[uint16]string{
	0xD064: "9.0", 0xD066: "9.1", 0xD071: "9.2", 0xD075: "9.3", 0xD07E: "9.4", 0xD087: "9.5", 0xD093: "9.6",
	0xD097: "10", 0xD098: "11", 0xD101: "12", 0xD106: "13", 0xD10D: "14", 0xD110: "15", 0xD113: "16",
	0xD116: "17", 0xD118: "18",
}

// Magic numbers of the majors with which something changed.
const (
	firstLaidOutLikeToday = 0xD075 // 9.3
	firstRecordsLikeToday = 0xD087 // 9.5
)

// Major is the PostgreSQL major that wrote the page, spelled as in PG_VERSION: "9.6", "15". It is empty for a
// magic number that no released major up to 18 uses.
func (h PageHeader) Major() string { return majors[h.Magic] }

// HeaderError says that bytes are not the start of a WAL segment of a supported major, whatever its name.
type HeaderError struct{ Msg string }

func (e *HeaderError) Error() string { return "not a WAL segment: " + e.Msg }

// ParseSegmentHeader reads the header at the start of a segment from its first [SegmentHeaderSize] bytes or more.
// Both byte orders are understood: the magic number tells which one the server's machine used. Before 9.3 the header
// is shorter and has no RemLen. The error is a [*HeaderError]: too short, all zero, unknown magic number, or fields no
// server writes.
func ParseSegmentHeader(b []byte) (PageHeader, error) {
	if len(b) < SegmentHeaderSize {
		return PageHeader{}, headerErrorf("%d bytes, want at least %d", len(b), SegmentHeaderSize)
	}
	form := formOf(b)
	page := form.parse(b)
	switch {
	case page.magic == 0:
		return PageHeader{}, headerErrorf("the first page is empty")
	case majors[page.magic] == "":
		return PageHeader{}, headerErrorf("page magic %04X is not that of a PostgreSQL major from 9.0 to 18", page.magic)
	}
	long := b[form.short:]
	h := PageHeader{
		Magic: page.magic, Info: page.info, Timeline: page.timeline, PageAddr: page.addr, RemLen: page.remLen,
		SystemID: SystemID(form.order.Uint64(long)), SegmentSize: form.order.Uint32(long[8:]), BlockSize: form.order.Uint32(long[12:]),
	}
	return h, h.plausible()
}

// pageForm is how a server lays out its page headers (XLogPageHeaderData and XLogLongPageHeaderData in xlog_internal.h).
type pageForm struct {
	order       binary.ByteOrder
	short, long int64 // sizes
	hasRemLen   bool  // 9.3+
}

// formOf tells the form from the magic number at the start of a page. If that is unknown, it is today's.
func formOf(page []byte) pageForm {
	form := pageForm{order: binary.LittleEndian, short: 24, long: 40, hasRemLen: true}
	magic := binary.LittleEndian.Uint16(page)
	if swapped := bits.ReverseBytes16(magic); majors[swapped] != "" {
		form.order, magic = binary.BigEndian, swapped
	}
	if majors[magic] != "" && magic < firstLaidOutLikeToday {
		form.short, form.long, form.hasRemLen = 16, 32, false
	}
	return form
}

// size is that of the header of a page.
func (f *pageForm) size(page []byte) int64 {
	if f.order.Uint16(page[2:])&infoLongHeader != 0 {
		return f.long
	}
	return f.short
}

// shortHeader is what every page begins with.
type shortHeader struct {
	magic, info uint16
	timeline    Timeline
	addr        LSN
	remLen      uint32 // 0 before 9.3
}

// parse reads a header of at least the short size.
func (f *pageForm) parse(b []byte) shortHeader {
	h := shortHeader{magic: f.order.Uint16(b), info: f.order.Uint16(b[2:]), timeline: Timeline(f.order.Uint32(b[4:]))}
	if !f.hasRemLen {
		h.addr = LSN(f.order.Uint32(b[8:]))<<32 | LSN(f.order.Uint32(b[12:]))
		return h
	}
	h.addr, h.remLen = LSN(f.order.Uint64(b[8:])), f.order.Uint32(b[16:])
	return h
}

// plausible makes the checks of XLogReaderValidatePageHeader (xlogreader.c) that need no knowledge of the file.
func (h PageHeader) plausible() error {
	switch {
	case h.Info&^infoAllFlags != 0:
		return headerErrorf("unknown flags %04X", h.Info)
	case h.Info&infoLongHeader == 0:
		return headerErrorf("no long header on the first page")
	case !ValidSegmentSize(h.SegmentSize):
		return headerErrorf("segment size %d is not a power of two from 1 MiB to 1 GiB", h.SegmentSize)
	case bits.OnesCount32(h.BlockSize) != 1 || h.BlockSize < minBlockSize || h.BlockSize > maxBlockSize:
		return headerErrorf("page size %d is not a power of two from 1 kB to 64 kB", h.BlockSize)
	}
	return nil
}

func headerErrorf(format string, args ...any) error {
	return &HeaderError{Msg: fmt.Sprintf(format, args...)}
}

// Field is a fact that a segment's header states and its name or cluster demands.
type Field string

// The fields that [PageHeader.Check] compares, in this order.
const (
	FieldSystemID    Field = "system identifier"
	FieldSegmentSize Field = "segment size"
	FieldPageAddr    Field = "start position"
	FieldTimeline    Field = "timeline"
)

// MismatchError says why a file is not the segment that its name and cluster say. Want comes from them, Got from
// the header.
type MismatchError struct {
	Name      string // the name the file goes by
	Field     Field
	Want, Got string
}

func (e *MismatchError) Error() string {
	hint := ""
	if e.Field == FieldPageAddr {
		hint = " (a recycled or misnamed file)"
	}
	return fmt.Sprintf("%s: header names %s %s, want %s%s", e.Name, e.Field, e.Got, e.Want, hint)
}

// Check compares the header with what the file's name and the cluster demand: system identifier, segment size,
// start position, and a timeline that is seg's or an older one. (The first segment of a timeline starts as a
// copy of its parent's, so its first page may carry the parent's timeline.) The error is a [*MismatchError].
// Check panics if segSize is not valid.
func (h PageHeader) Check(seg Segment, system SystemID, segSize uint32) error {
	name := seg.Name(segSize)
	differ := func(f Field, want, got any) error {
		return &MismatchError{Name: name, Field: f, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
	}
	switch start := seg.Start(segSize); {
	case h.SystemID != system:
		return differ(FieldSystemID, system, h.SystemID)
	case h.SegmentSize != segSize:
		return differ(FieldSegmentSize, segSize, h.SegmentSize)
	case h.PageAddr != start:
		return differ(FieldPageAddr, start, h.PageAddr)
	case h.Timeline == 0 || h.Timeline > seg.Timeline:
		return differ(FieldTimeline, fmt.Sprintf("%d or an ancestor", seg.Timeline), uint32(h.Timeline))
	}
	return nil
}
