package codec

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"sync"

	"filippo.io/age"
)

// Encoder is a file in encoded form, as a reader. It is not for concurrent use.
type Encoder struct {
	name     string
	encoding Encoding
	out      io.Reader // the whole object

	// The workers take turns at reading and hashing, and compress side by side.
	turn     sync.Mutex
	src      io.Reader
	sum      sum
	finished bool            // the file's end, or an error, was read
	order    chan chan block // in the order of the file
	stop     chan struct{}
	workers  sync.WaitGroup

	// The rest is the reading side's.
	started bool
	todo    []part
	part    []byte  // of the first of todo, read next
	used    *buffer // that it is in, or nil
	mib     []byte  // a chunk of zeros, compressed
	state   state
	stored  int64 // bytes given out
	crc     uint32
	record  Record
	err     error
}

// block is a part of the file's data: zeros, and then bytes that are already compressed.
type block struct {
	zeros int64
	bytes []byte
	in    *buffer
	err   error
}

// part is one of both.
type part struct {
	zeros int64
	bytes []byte
	in    *buffer
}

type state int

const (
	inData state = iota
	inTail
	inRecord
	atEnd
)

// Encode returns the encoded form of the file that r gives, whose name goes into the record. Nothing is read before the first Read. An
// error of r is the Encoder's error, as it is. The Encoder must be closed; nothing else may use r before.
func Encode(name string, r io.Reader, e Encoding) (*Encoder, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	if name == "" || len(name) > maxName || strings.ContainsAny(name, "\n\r") {
		return nil, fmt.Errorf("encode: a name has 1 to %d bytes and no line breaks", maxName)
	}
	workers := min(2, runtime.GOMAXPROCS(0))
	enc := &Encoder{name: name, encoding: e, src: r, sum: newSum(), order: make(chan chan block, workers),
		stop: make(chan struct{})}
	enc.out = parts{enc}
	if len(e.Recipients) > 0 {
		var err error
		if enc.out, err = age.EncryptReader(enc.out, e.Recipients...); err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
	}
	return enc, nil
}

// Read implements io.Reader.
func (e *Encoder) Read(p []byte) (int, error) { return e.out.Read(p) }

// Record is what the file was. It is an error to ask before Read has returned io.EOF.
func (e *Encoder) Record() (Record, error) {
	if e.state != atEnd {
		return Record{}, errors.New("record: the file was not read to its end")
	}
	return e.record, nil
}

// Close ends what is still under way. When it returns, nothing uses the file's reader any more.
func (e *Encoder) Close() error {
	if e.err == nil {
		e.err = errors.New("the encoder is closed")
	}
	if !e.stopped() {
		close(e.stop)
	}
	e.workers.Wait()
	return nil
}

// work encodes chunk after chunk until the file or the Encoder ends.
func (e *Encoder) work() {
	in := buffers.Get().(*buffer)
	defer func() { buffers.Put(in) }()
	for {
		b, n, slot := e.next(in[:chunkSize])
		if slot == nil {
			return
		}
		switch {
		case b.err != nil:
		case e.encoding.Compression == None:
			b.in, b.bytes = in, in[:n]
			in = buffers.Get().(*buffer)
		default:
			b.in = buffers.Get().(*buffer)
			b.bytes, b.err = e.encoding.compress(b.in[:0], in[:n])
		}
		slot <- b
	}
}

// next reads the next chunk that has data, and books its place in the order. Without a slot there is none.
func (e *Encoder) next(in []byte) (b block, n int, slot chan block) {
	e.turn.Lock()
	defer e.turn.Unlock()
	if e.finished {
		return block{}, 0, nil
	}
	for !e.finished && n == 0 && !e.stopped() {
		got, err := fill(e.src, in)
		b.zeros, n = e.sum.add(in[:got])
		e.finished = err != nil
		if e.finished && !isEnd(err) {
			b.err = err
		}
	}
	if e.finished {
		defer close(e.order) // behind the last slot
	}
	if n == 0 && b.err == nil {
		return block{}, 0, nil
	}
	slot = make(chan block, 1)
	select {
	case e.order <- slot:
		return b, n, slot
	case <-e.stop:
		return block{}, 0, nil
	}
}

func (e *Encoder) stopped() bool {
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}

// parts is the object before encryption.
type parts struct{ *Encoder }

func (e parts) Read(p []byte) (int, error) {
	if !e.started {
		e.started = true
		for range cap(e.order) {
			e.workers.Go(e.work)
		}
	}
	for len(e.part) == 0 {
		if e.err == nil {
			e.err = e.advance()
		}
		if e.err != nil {
			return 0, e.err
		}
	}
	n := copy(p, e.part)
	e.part = e.part[n:]
	return n, nil
}

// advance makes the next part ready, or finds out that there is none.
func (e *Encoder) advance() error {
	if e.used != nil {
		buffers.Put(e.used)
		e.used = nil
	}
	for len(e.todo) == 0 {
		if err := e.plan(); err != nil {
			return err
		}
	}
	err := e.take()
	if e.state != atEnd && e.encoding.CarriesRecord() {
		e.stored += int64(len(e.part))
		e.crc = crc32.Update(e.crc, castagnoli, e.part)
	}
	return err
}

// take takes the next bytes from what is to do.
func (e *Encoder) take() (err error) {
	next := &e.todo[0]
	if next.zeros > 0 {
		n := min(next.zeros, chunkSize)
		next.zeros -= n
		e.part, err = e.zeroPart(int(n))
		return err
	}
	e.part, e.used = next.bytes, next.in
	e.todo = e.todo[1:]
	return nil
}

// plan finds what comes next. io.EOF is the end of the object.
func (e *Encoder) plan() error {
	switch e.state {
	case inData:
		slot, ok := <-e.order
		if !ok {
			e.state = inTail
			return nil
		}
		b := <-slot
		e.todo = append(e.todo, part{zeros: b.zeros}, part{bytes: b.bytes, in: b.in})
		return b.err
	case inTail:
		e.state = inRecord
		e.record = e.sum.record(e.name) // no worker touches it any more
		if e.record.Size > 0 {
			e.todo = append(e.todo, part{zeros: e.record.Size - e.record.Data})
			return nil
		}
		empty, err := e.encoding.compress(nil, nil) // so that the first bytes tell the format
		if e.encoding.Compression == S2 {
			empty = []byte(s2Magic) // its writer writes nothing for nothing
		}
		e.todo = append(e.todo, part{bytes: empty})
		return err
	case inRecord:
		e.state = atEnd
		if e.encoding.CarriesRecord() {
			e.record.Stored, e.record.StoredCRC = e.stored, e.crc
			e.todo = append(e.todo, part{bytes: recordFrame(e.encoding.Compression, e.record)})
		}
		return nil
	}
	return io.EOF
}

// zeroPart is n zeros, at most a chunk, as they stand in the object.
func (e *Encoder) zeroPart(n int) (b []byte, err error) {
	if e.encoding.Compression == None {
		return zeros[:n], nil
	}
	if n < chunkSize {
		return e.encoding.compress(nil, zeros[:n])
	}
	if e.mib == nil {
		e.mib, err = e.encoding.compress(nil, zeros[:])
	}
	return e.mib, err
}
