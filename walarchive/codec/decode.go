package codec

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Options say what is known about an object before it is read. None has to be.
type Options struct {
	// Name is the file's, which the record must have, too.
	Name string
	// Record is asked for the record of an object that does not carry its own. It returns nil if there is none.
	Record func() (*Record, error)
	// Others is asked for more records if the object is not as the one from Record says: those of files that were to get its name
	// too, of which one came. May be nil.
	Others func() ([]Record, error)
	// Identities decrypt age files.
	Identities []age.Identity
	// MaxSize is the largest file that is taken for right, in bytes. 0 means 1 GiB, the largest segment.
	MaxSize int64
}

// Decoder is a file in plain form, as a reader. It is not for concurrent use.
type Decoder struct {
	name      string
	want      *Record // from beside the object
	others    func() ([]Record, error)
	tail      *tailReader
	format    Compression
	encrypted bool

	chunks chan chunk
	stop   chan struct{}
	ended  chan struct{} // the goroutine that decompresses has

	sum      sum
	maxSize  int64
	rest     []byte // read next
	used     *buffer
	err      error
	verified bool
}

type chunk struct {
	bytes []byte
	in    *buffer
	err   error
}

// Decode starts to decode the object that r gives. Read returns io.EOF only after the whole object was compared with its record: the
// object's own at its end, or else the one that o finds. If there is neither, as for a file that "cp" brought, it returns io.EOF at the end,
// and [Decoder.Verified] is false.
//
// What does not decode or compare is a [*DamagedError]; an age file without the right identity matches [ErrNoKey]; an error of r comes
// as it is. The Decoder must be closed, and nothing else may use r before.
func Decode(r io.Reader, o Options) (*Decoder, error) {
	d := &Decoder{name: o.Name, others: o.Others, maxSize: o.MaxSize, sum: newSum(), chunks: make(chan chunk, 1),
		stop: make(chan struct{}), ended: make(chan struct{})}
	if d.maxSize == 0 {
		d.maxSize = 1 << 30
	}
	source := &sourceReader{r: r}
	plain, err := d.open(source, o.Identities)
	if err != nil {
		return nil, source.explain(err)
	}
	if d.tail == nil && o.Record != nil {
		if d.want, err = o.Record(); err != nil {
			return nil, err
		}
	}
	go d.decompress(source, plain)
	return d, nil
}

// Magic numbers of the formats, and the longest of them.
const (
	zstdMagic = "\x28\xb5\x2f\xfd"
	lz4Magic  = "\x04\x22\x4d\x18"
	gzipMagic = "\x1f\x8b\x08"
	s2Magic   = "\xff\x06\x00\x00S2sTwO"
	ageMagic  = "age-encryption.org/v1\n"
)

// open finds out what the object is, from outside in.
func (d *Decoder) open(source io.Reader, identities []age.Identity) (io.Reader, error) {
	r := bufio.NewReaderSize(source, 64<<10)
	start, err := peek(r)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(start, ageMagic) {
		d.encrypted = true
		if r, err = decrypt(r, identities); err != nil {
			return nil, err
		}
		if start, err = peek(r); err != nil {
			return nil, err
		}
	}
	if d.format = formatOf(start); d.format == None {
		return r, nil
	}
	if d.encrypted {
		return decompressor(d.format, r)
	}
	d.tail = &tailReader{r: r, format: d.format}
	return decompressor(d.format, d.tail)
}

func peek(r *bufio.Reader) (string, error) {
	b, err := r.Peek(len(ageMagic))
	if isEnd(err) {
		err = nil
	}
	return string(b), err
}

func formatOf(start string) Compression {
	for magic, c := range map[string]Compression{zstdMagic: Zstd, lz4Magic: LZ4, gzipMagic: Gzip, s2Magic: S2} {
		if strings.HasPrefix(start, magic) {
			return c
		}
	}
	return None
}

func decrypt(r io.Reader, identities []age.Identity) (*bufio.Reader, error) {
	if len(identities) == 0 {
		return nil, fmt.Errorf("encrypted with age, and no identity was given: %w", ErrNoKey)
	}
	plain, err := age.Decrypt(r, identities...)
	if errors.As(err, new(*age.NoIdentityMatchError)) {
		return nil, fmt.Errorf("encrypted with age: %w", ErrNoKey)
	}
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(plain, 64<<10), nil
}

// decompressor returns a reader for concatenated pieces of a format. Frames of stock tools are read, too, with windows up to 8 MiB.
func decompressor(c Compression, r io.Reader) (io.Reader, error) {
	switch c {
	case Zstd:
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	case LZ4:
		z := lz4.NewReader(r)
		err := z.Apply(lz4.ConcurrencyOption(1))
		return z, err
	case Gzip:
		return gzip.NewReader(r)
	}
	return s2.NewReader(r, s2.ReaderMaxBlockSize(4<<20)), nil
}

// decompress gives chunk after chunk, and at the end what the object says of itself.
func (d *Decoder) decompress(source *sourceReader, plain io.Reader) {
	defer close(d.ended)
	defer close(d.chunks)
	if z, ok := plain.(*zstd.Decoder); ok {
		defer z.Close()
	}
	for {
		b := buffers.Get().(*buffer)
		n, err := fill(plain, b[:chunkSize])
		if isEnd(err) && d.tail != nil {
			err = d.tail.end()
		}
		if err != nil {
			err = source.explain(err)
		}
		select {
		case d.chunks <- chunk{b[:n], b, err}:
		case <-d.stop:
			return
		}
		if err != nil {
			return
		}
	}
}

// isEnd reports whether a reader has come to its end. An error that wraps io.EOF is none: something was cut off.
func isEnd(err error) bool { return err == io.EOF } //nolint:errorlint // see above

// fill reads until b is full or r ends, and returns r's own error.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var got int
		got, err = r.Read(b[n:])
		n += got
	}
	if n == len(b) && n > 0 {
		return n, nil // an error comes again
	}
	return n, err
}

// Read implements io.Reader.
func (d *Decoder) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.advance()
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, which spares a copy.
func (d *Decoder) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := w.Write(d.rest)
		d.rest = d.rest[n:]
		total += int64(n)
		switch {
		case err != nil:
			return total, err
		case isEnd(d.err):
			return total, nil
		case d.err != nil:
			return total, d.err
		}
		d.advance()
	}
}

// advance takes the next chunk.
func (d *Decoder) advance() {
	if d.used != nil {
		buffers.Put(d.used)
		d.used = nil
	}
	c, ok := <-d.chunks
	if !ok {
		d.err = errors.New("the decoder is closed")
		return
	}
	d.used = c.in
	d.sum.add(c.bytes)
	d.rest, d.err = c.bytes, c.err
	switch {
	case d.sum.size > d.maxSize:
		d.rest, d.err = nil, &DamagedError{fmt.Errorf("more than %d bytes", d.maxSize)}
	case isEnd(d.err):
		d.err = d.verify()
	}
}

// verify compares what came with the record, and returns io.EOF if it is the same.
func (d *Decoder) verify() error {
	want := d.want
	if d.tail != nil {
		want = &d.tail.record
	}
	if want == nil {
		return io.EOF
	}
	err := d.compare(*want)
	if err != nil && d.tail == nil && d.others != nil {
		others, othersErr := d.others()
		if othersErr != nil {
			return othersErr
		}
		if slices.ContainsFunc(others, func(r Record) bool { return d.compare(r) == nil }) {
			err = nil
		}
	}
	if err != nil {
		return &DamagedError{err}
	}
	d.verified = true
	return io.EOF
}

// compare says what is not as the record has it.
func (d *Decoder) compare(want Record) error {
	got := d.sum.record(want.Name)
	switch {
	case d.name != "" && want.Name != d.name:
		return fmt.Errorf("it is %s, by its record", want.Name)
	case got.Size != want.Size:
		return fmt.Errorf("%d bytes, and by its record %d", got.Size, want.Size)
	case got.Data != want.Data:
		return fmt.Errorf("%d bytes of data, and by its record %d", got.Data, want.Data)
	case got.SHA256 != want.SHA256:
		return fmt.Errorf("sha256 %s, and by its record %s", got.Sum(), want.Sum())
	}
	return nil
}

// Verified reports whether Read returned io.EOF because the file is as its record says.
func (d *Decoder) Verified() bool { return d.verified }

// Sum is what the decoded file is: its size, data and SHA-256, and the name that Options gave. It is of use after io.EOF.
func (d *Decoder) Sum() Record { return d.sum.record(d.name) }

// Encoding is how the object is encoded: the compression, and whether it is encrypted.
func (d *Decoder) Encoding() (c Compression, encrypted bool) { return d.format, d.encrypted }

// Close ends what is still under way. When it returns, nothing uses the object's reader any more.
func (d *Decoder) Close() error {
	select {
	case <-d.stop:
	default:
		close(d.stop)
	}
	<-d.ended
	return nil
}

// sourceReader remembers what its reader failed with.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !isEnd(err) {
		s.err = err
	}
	return n, err
}

// explain tells an object that could not be read from one that was read and is damaged.
func (s *sourceReader) explain(err error) error {
	switch {
	case s.err != nil:
		return s.err
	case isEnd(err), errors.Is(err, ErrNoKey), errors.As(err, new(*DamagedError)):
		return err
	}
	return &DamagedError{err}
}

// tailReader gives a compressed object without the record at its end, which it finds when the object ends.
type tailReader struct {
	r      io.Reader
	format Compression
	held   []byte // of buf: read and not given out
	buf    [64<<10 + maxFrame]byte
	ended  bool
	err    error
	record Record
	stored int64
	crc    uint32
}

func (t *tailReader) Read(p []byte) (int, error) {
	for !t.ended && len(t.held) <= maxFrame {
		t.more()
	}
	n := len(t.held)
	if !t.ended {
		n -= maxFrame
	} else if n == 0 {
		return 0, t.err
	}
	n = copy(p, t.held[:n])
	t.crc = crc32.Update(t.crc, castagnoli, t.held[:n])
	t.stored += int64(n)
	t.held = t.held[n:]
	return n, nil
}

func (t *tailReader) more() {
	n := copy(t.buf[:], t.held)
	got, err := fill(t.r, t.buf[n:])
	t.held = t.buf[:n+got]
	if err == nil {
		return
	}
	t.ended = true
	if t.err = err; isEnd(err) {
		var recordErr error
		if t.held, t.record, recordErr = cutRecord(t.format, t.held); recordErr != nil {
			t.err = recordErr
		}
	}
}

// end checks, after the decompressor saw the end, that it saw all of the object, and that the object is what was stored.
func (t *tailReader) end() error {
	if n, err := io.Copy(io.Discard, onlyReader{t}); n > 0 || err != nil {
		return errors.Join(errors.New("something follows the last frame"), err)
	}
	if t.stored != t.record.Stored {
		return fmt.Errorf("%d bytes stored, and by its record %d", t.stored, t.record.Stored)
	}
	if t.crc != t.record.StoredCRC {
		return fmt.Errorf("crc32c %08x of what is stored, and by its record %08x", t.crc, t.record.StoredCRC)
	}
	return io.EOF
}

type onlyReader struct{ io.Reader }
