package wal

import (
	"fmt"
	"hash/crc32"
)

// The layout of a record (XLogRecord in xlogrecord.h), the same from 9.5 to 18.
const (
	recordHeaderSize = 24
	recordPrev       = 8  // offset of xl_prev
	recordInfo       = 16 // offset of xl_info, xl_rmid is next
	recordCRC        = 20 // offset of xl_crc
	maxRecordSize    = 1 << 30
	recordAlign      = 8    // where records begin
	resourceXLOG     = 0    // RM_XLOG_ID
	infoOfResource   = 0xF0 // the bits of xl_info that are the resource manager's
	infoSwitch       = 0x40 // XLOG_SWITCH: the rest of the segment is empty
)

// switches reports whether a switch record ends on a page that holds records.
func (f *pageForm) switches(page []byte) bool {
	if len(page) == 0 {
		return false
	}
	at, rest := f.size(page), int64(0)
	if h := f.parse(page); h.info&infoContinues != 0 {
		rest = int64(h.remLen)
	}
	if (rest == recordAlign || rest == 2*recordAlign) && isSwitch(page[at+rest-recordAlign:]) {
		return true
	}
	for at = roundUp(at+rest, recordAlign); at+recordHeaderSize <= int64(len(page)); {
		size := int64(f.order.Uint32(page[at:]))
		if size < recordHeaderSize {
			return false
		}
		if size == recordHeaderSize && isSwitch(page[at+recordInfo:]) {
			return true
		}
		at = roundUp(at+size, recordAlign)
	}
	return false
}

// isSwitch looks at a record from its info on: the last eight bytes of its header.
func isSwitch(info []byte) bool {
	return info[0]&infoOfResource == infoSwitch && info[1] == resourceXLOG
}

func roundUp(at, to int64) int64 { return (at + to - 1) / to * to }

// recordChecker checks the records on the pages of a segment as ValidXLogRecordHeader and ValidXLogRecord in xlogreader.c do. What is no
// record may be the end of the WAL, so it is an error only if there must be more.
type recordChecker struct {
	form  pageForm
	start LSN   // of the segment
	off   int64 // of the page, in bytes from there

	open bool // a record is not complete
	at   int64
	size int64
	have int64 // bytes of it
	head [recordHeaderSize]byte
	crc  uint32 // of what comes after the header
	prev LSN    // the record before; zero if not known

	ended bool
	bad   string // why the records ended, if not by a switch
	badAt int64
}

// page takes the next page. It returns what is wrong if that cannot be the end of the WAL, and at which offset.
func (r *recordChecker) page(page []byte) (at int64, msg string) {
	h, from := r.form.parse(page), r.form.size(page)
	rest := int64(0)
	if h.info&infoContinues != 0 {
		rest = int64(h.remLen)
	}
	switch {
	case r.ended && r.bad != "" && !allZero(page[from:]):
		return r.badAt, r.bad
	case r.open && h.info&infoOverwrites != 0:
		r.open = false
	case r.open && rest != r.size-r.have:
		return r.at, fmt.Sprintf("a record of %d bytes does not go on at %v", r.size, h.addr)
	case !r.open: // it began before the segment
		from += rest
	}
	for !r.ended && from < int64(len(page)) {
		from = r.step(page, from)
	}
	r.off += int64(len(page))
	return 0, ""
}

// step takes what a page holds of a record, from an offset on, and returns where that ends.
func (r *recordChecker) step(page []byte, from int64) int64 {
	if !r.open {
		if from = roundUp(from, recordAlign); from >= int64(len(page)) {
			return from
		}
		size := int64(r.form.order.Uint32(page[from:]))
		r.open, r.at, r.size, r.have, r.crc = true, r.off+from, size, 0, 0
		if size < recordHeaderSize || size > maxRecordSize {
			r.end(fmt.Sprintf("no record begins there: its length would be %d", size))
			return from
		}
	}
	n := min(int64(len(page))-from, r.size-r.have)
	part := page[from : from+n]
	if r.have < recordHeaderSize {
		part = part[copy(r.head[r.have:], part):]
	}
	r.crc = crc32.Update(r.crc, castagnoli, part)
	if r.have += n; r.have == r.size {
		r.complete()
	}
	return from + n
}

// complete judges a record.
func (r *recordChecker) complete() {
	prev := LSN(r.form.order.Uint64(r.head[recordPrev:]))
	sum := r.form.order.Uint32(r.head[recordCRC:])
	switch {
	case r.prev != 0 && prev != r.prev:
		r.end(fmt.Sprintf("the record follows one at %v, not the one at %v", prev, r.prev))
	case crc32.Update(r.crc, castagnoli, r.head[:recordCRC]) != sum:
		r.end("the checksum of the record is wrong")
	case r.size == recordHeaderSize && isSwitch(r.head[recordInfo:]):
		r.end("")
	}
	r.open, r.prev = false, r.start+LSN(r.at) //nolint:gosec // not negative
}

func (r *recordChecker) end(why string) { r.ended, r.open, r.bad, r.badAt = true, false, why, r.at }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
