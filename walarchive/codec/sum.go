package codec

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
)

const (
	pageSize  = 8192
	chunkSize = 512 << 10 // whole pages
)

// zeros is for reading only.
var zeros [chunkSize]byte

// sum finds out size, data and SHA-256 of a file that it gets in chunks, all but the last of whole pages.
type sum struct {
	hash       hash.Hash
	size, data int64
}

func newSum() sum { return sum{hash: sha256.New()} }

// add takes the next chunk. It returns how many of its bytes come up to its last page that is not all zeros and, if there are any, how many
// zeros before the chunk turn out to be data, too.
func (s *sum) add(chunk []byte) (gap int64, n int) {
	if n = dataLen(chunk); n > 0 {
		gap = s.size - s.data
		for left := gap; left > 0; left -= chunkSize {
			s.hash.Write(zeros[:min(left, chunkSize)])
		}
		s.hash.Write(chunk[:n])
		s.data = s.size + int64(n)
	}
	s.size += int64(len(chunk))
	return gap, n
}

func (s *sum) record(name string) Record {
	r := Record{Name: name, Size: s.size, Data: s.data}
	s.hash.Sum(r.SHA256[:0])
	return r
}

// dataLen is the length of chunk without the pages of zeros at its end.
func dataLen(chunk []byte) int {
	for n := len(chunk); n > 0; {
		start := (n - 1) / pageSize * pageSize
		if !bytes.Equal(chunk[start:n], zeros[:n-start]) {
			return n
		}
		n = start
	}
	return 0
}

// Sum reads a file to its end and returns what it is.
func Sum(name string, r io.Reader) (Record, error) {
	s, b := newSum(), buffers.Get().(*buffer)
	defer buffers.Put(b)
	for {
		n, err := fill(r, b[:chunkSize])
		s.add(b[:n])
		if isEnd(err) {
			return s.record(name), nil
		}
		if err != nil {
			return Record{}, err
		}
	}
}
