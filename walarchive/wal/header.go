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
	RemLen      uint32   // bytes of a record that continues from the previous segment
	SystemID    SystemID
	SegmentSize uint32 // bytes
	BlockSize   uint32 // bytes of a WAL page
}

const (
	infoLongHeader = 0x0002 // XLP_LONG_HEADER
	infoAllFlags   = 0x000F // XLP_ALL_FLAGS
)

// majors maps XLOG_PAGE_MAGIC of the released majors (xlog_internal.h of each) to the text of PG_VERSION.
var majors = map[uint16]string{
	0xD064: "9.0", 0xD066: "9.1", 0xD071: "9.2", 0xD075: "9.3", 0xD07E: "9.4", 0xD087: "9.5", 0xD093: "9.6",
	0xD097: "10", 0xD098: "11", 0xD101: "12", 0xD106: "13", 0xD10D: "14", 0xD110: "15", 0xD113: "16",
	0xD116: "17", 0xD118: "18",
}

const firstLaidOutLikeToday = 0xD075 // 9.3

// Major is the PostgreSQL major that wrote the page, spelled as in PG_VERSION: "9.6", "15". It is empty for a
// magic number that no released major up to 18 uses.
func (h PageHeader) Major() string { return majors[h.Magic] }

// HeaderError says that bytes are not the start of a WAL segment of a supported major, whatever its name.
type HeaderError struct{ Msg string }

func (e *HeaderError) Error() string { return "not a WAL segment: " + e.Msg }

// ParseSegmentHeader reads the header at the start of a segment from its first [SegmentHeaderSize] bytes or more.
// Both byte orders are understood: the magic number tells which one the server's machine used. The error is
// a [*HeaderError]: too short, all zero, unknown magic number, a major before 9.3, or fields no server writes.
func ParseSegmentHeader(b []byte) (PageHeader, error) {
	if len(b) < SegmentHeaderSize {
		return PageHeader{}, headerErrorf("%d bytes, want at least %d", len(b), SegmentHeaderSize)
	}
	var order binary.ByteOrder = binary.LittleEndian
	magic := order.Uint16(b)
	if _, known := majors[bits.ReverseBytes16(magic)]; known {
		order, magic = binary.BigEndian, bits.ReverseBytes16(magic)
	}
	if err := checkMagic(magic); err != nil {
		return PageHeader{}, err
	}
	h := PageHeader{
		Magic: magic, Info: order.Uint16(b[2:]), Timeline: Timeline(order.Uint32(b[4:])),
		PageAddr: LSN(order.Uint64(b[8:])), RemLen: order.Uint32(b[16:]),
		SystemID: SystemID(order.Uint64(b[24:])), SegmentSize: order.Uint32(b[32:]), BlockSize: order.Uint32(b[36:]),
	}
	return h, h.plausible()
}

func checkMagic(magic uint16) error {
	major, known := majors[magic]
	switch {
	case magic == 0:
		return headerErrorf("the first page is empty")
	case !known:
		return headerErrorf("page magic %04X is not that of a PostgreSQL major from 9.3 to 18", magic)
	case magic < firstLaidOutLikeToday:
		return headerErrorf("page magic %04X is that of PostgreSQL %s; WAL from before 9.3 is not supported", magic, major)
	}
	return nil
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
	case bits.OnesCount32(h.BlockSize) != 1 || h.BlockSize < 1<<10 || h.BlockSize > 1<<16:
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
