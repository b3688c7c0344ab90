package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Frames that decoders skip. Zstd and LZ4 share the magic numbers 184D2A50 to 184D2A5F (RFC 8878, 3.1.2; LZ4 frame format, "Skippable
// Frames"); in S2, chunks of the types 80 to FD are skipped (framing_format.txt, 4.6); gzip ignores extra fields (RFC 1952, 2.3.1.1).
const (
	skippableMagic = 0x184D2A5D
	s2Chunk        = 0xA7
	maxFrame       = MaxRecord + 64
)

var (
	gzipStart = []byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255}
	gzipField = []byte("US")
	gzipEnd   = []byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 0} // an empty block; CRC and size of nothing
)

// recordFrame is the record in a form that decoders of c skip.
func recordFrame(c Compression, r Record) []byte {
	text := r.Bytes()
	le := binary.LittleEndian
	var b []byte
	switch c {
	case Zstd, LZ4:
		b = le.AppendUint32(le.AppendUint32(b, skippableMagic), uint32(len(text)))
		return append(b, text...)
	case S2:
		b = append(b, s2Chunk, byte(len(text)), byte(len(text)>>8), 0)
		return append(b, text...)
	case Gzip:
		b = le.AppendUint16(append(b, gzipStart...), uint16(len(gzipField)+2+len(text)))
		b = le.AppendUint16(append(b, gzipField...), uint16(len(text)))
		return append(append(b, text...), gzipEnd...)
	}
	return nil
}

// cutRecord splits the end of an object of compression c into what comes before the record, and the record.
func cutRecord(c Compression, tail []byte) ([]byte, Record, error) {
	start := bytes.LastIndex(tail, []byte(recordFormat))
	if start < 0 {
		return nil, Record{}, &DamagedError{Err: errors.New("it does not end with its record: cut off, or not written by an archive")}
	}
	text := tail[start:]
	if c == Gzip {
		text = text[:max(0, len(text)-len(gzipEnd))]
	}
	r, err := ParseRecord(text)
	if err != nil {
		return nil, Record{}, err
	}
	frame := recordFrame(c, r)
	if !bytes.HasSuffix(tail, frame) {
		return nil, Record{}, &DamagedError{Err: errors.New("record: its frame is not what it should be")}
	}
	return tail[:len(tail)-len(frame)], r, nil
}
