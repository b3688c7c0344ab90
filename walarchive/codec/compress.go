package codec

import (
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// s2Block is less than a chunk for the sake of memory.
const s2Block = 256 << 10

// compressor appends the compressed form of src to dst, complete in itself: any number of them one after the other decode to all.
type compressor func(dst, src []byte) ([]byte, error)

// buffer has room for a chunk, and for one that grows a little because it does not compress.
type buffer [chunkSize + chunkSize/64]byte

// What one file is done with serves the next: a resident process encodes many.
var (
	buffers     = sync.Pool{New: func() any { return new(buffer) }}
	compressors sync.Map // of *sync.Pool, by Compression and Level
)

type setting struct {
	compression Compression
	level       int
}

// compress appends the compressed form of src to dst. None appends src itself.
func (e Encoding) compress(dst, src []byte) ([]byte, error) {
	if e.Compression == None {
		return append(dst, src...), nil
	}
	found, _ := compressors.LoadOrStore(setting{e.Compression, e.Level}, new(sync.Pool))
	pool := found.(*sync.Pool)
	zip, ok := pool.Get().(*compressor)
	if !ok {
		made, err := newCompressor(e)
		if err != nil {
			return nil, err
		}
		zip = &made
	}
	defer pool.Put(zip)
	return (*zip)(dst, src)
}

// newCompressor is not for None.
func newCompressor(e Encoding) (compressor, error) {
	level := e.Level
	if level == 0 {
		level = levels[e.Compression].standard
	}
	switch e.Compression {
	case Zstd:
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(chunkSize), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
		if err != nil {
			return nil, err
		}
		return func(dst, src []byte) ([]byte, error) { return w.EncodeAll(src, dst), nil }, nil
	case LZ4:
		return newLZ4(level)
	case Gzip:
		w, err := gzip.NewWriterLevel(nil, level)
		return whole(w), err
	default:
		options := []s2.WriterOption{s2.WriterConcurrency(1), s2.WriterBlockSize(s2Block)}
		switch level {
		case 2:
			options = append(options, s2.WriterBetterCompression())
		case 3:
			options = append(options, s2.WriterBestCompression())
		}
		return whole(s2.NewWriter(nil, options...)), nil
	}
}

func newLZ4(level int) (compressor, error) {
	w := lz4.NewWriter(nil)
	speed := lz4.Fast
	if level > 0 {
		speed = lz4.CompressionLevel(1 << (8 + level)) // Level1 is 1 << 9, Level2 is 1 << 10, and so on
	}
	err := w.Apply(lz4.BlockSizeOption(lz4.Block256Kb), lz4.ConcurrencyOption(1), lz4.CompressionLevelOption(speed))
	return whole(w), err
}

// whole makes a compressor of a streaming writer.
func whole(w interface {
	io.WriteCloser
	Reset(io.Writer)
}) compressor {
	return func(dst, src []byte) ([]byte, error) {
		out := appender(dst)
		w.Reset(&out)
		if _, err := w.Write(src); err != nil {
			return nil, err
		}
		err := w.Close()
		return out, err
	}
}

type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}
