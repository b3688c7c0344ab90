// Package waltest makes segments of WAL for tests: pages with the headers that a server writes, filled with bytes that mean nothing.
package waltest

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

const (
	magic      = 0xD110 // PostgreSQL 15
	page       = 8192
	longHeader = 2

	recordHeader = 24
	xlogSwitch   = 0x40 // the info of a switch record; its resource manager is 0
)

// Segment is a file that belongs under name, a segment or partial segment, in the cluster id. Its first data bytes, rounded up to whole
// pages, are filled; the rest is zeros, as after a switch. Two seeds give two contents. It panics if name is not one.
func Segment(id wal.SystemID, segSize uint32, name string, data int, seed uint64) []byte {
	f, err := wal.ParseFileName(name)
	if err != nil {
		panic(err)
	}
	seg, err := f.Segment(segSize)
	if err != nil {
		panic(err)
	}
	b := make([]byte, segSize)
	filled := b[:min((data+page-1)/page*page, len(b))]
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(filled) // never fails
	for at := 0; at < len(filled); at += page {
		header := filled[at : at+wal.SegmentHeaderSize]
		clear(header)
		le := binary.LittleEndian
		le.PutUint16(header, magic)
		le.PutUint32(header[4:], uint32(seg.Timeline))
		le.PutUint64(header[8:], uint64(seg.Start(segSize))+uint64(at)) //nolint:gosec // not negative
		if at == 0 {
			le.PutUint16(header[2:], longHeader)
			le.PutUint64(header[24:], uint64(id))
			le.PutUint32(header[32:], segSize)
			le.PutUint32(header[36:], page)
		}
	}
	if len(filled) > 0 && len(filled) < len(b) {
		leave(filled[len(filled)-page:])
	}
	return b
}

// leave makes a page hold one record and, as its last, a switch to the next segment.
func leave(p []byte) {
	first := 24
	if p[2] == longHeader {
		first = wal.SegmentHeaderSize
	}
	last := p[page-recordHeader:]
	clear(p[first : first+recordHeader])
	clear(last)
	binary.LittleEndian.PutUint32(p[first:], uint32(page-recordHeader-first)) //nolint:gosec // less than a page
	binary.LittleEndian.PutUint32(last, recordHeader)
	last[16] = xlogSwitch
}
