package stream

import (
	"encoding/binary"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

const (
	pageSize        = 8192 // XLOG_BLCKSZ unless built otherwise; then there is merely no answer
	shortHeaderSize = 24
	maxRecordLength = 1 << 30 // a record of more is none (XLogRecordMaxSize in xlogrecord.h)
)

// wholeRecord reports whether the WAL of a segment that was received up to end holds a whole record that begins at the LSN at. A
// server that sends WAL of its upstream as it comes may have sent the beginning of a record of which it never got the rest, and be promoted
// then (XLogSendPhysical in walsender.c); such a rest is of no use to anybody. What begins before the segment counts as whole.
func wholeRecord(segment []byte, first, at, end wal.LSN, segSize uint32) bool {
	at = skipHeader(at, segSize)
	if at < first {
		return true
	}
	if at+4 > end || at+4 > first+wal.LSN(len(segment)) {
		return false
	}
	length := byteOrder(segment).Uint32(segment[at-first:])
	if length == 0 || length > maxRecordLength {
		return false
	}
	return recordEnd(at, length, segSize) <= end
}

// byteOrder is that of the machine that wrote the segment.
func byteOrder(segment []byte) binary.ByteOrder {
	h, err := wal.ParseSegmentHeader(segment)
	if err == nil && h.Magic != binary.LittleEndian.Uint16(segment) {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// recordEnd is the position behind a record of this length that begins at the LSN at, which is not in a page header.
func recordEnd(at wal.LSN, length uint32, segSize uint32) wal.LSN {
	left := wal.LSN(length)
	for {
		room := pageSize - at%pageSize
		if left <= room {
			return at + left
		}
		left -= room
		at = skipHeader(at+room, segSize)
	}
}

// skipHeader goes to behind the page header if at is the beginning of a page.
func skipHeader(at wal.LSN, segSize uint32) wal.LSN {
	switch {
	case at%wal.LSN(segSize) == 0:
		return at + wal.SegmentHeaderSize
	case at%pageSize == 0:
		return at + shortHeaderSize
	}
	return at
}
