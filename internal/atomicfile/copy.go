package atomicfile

import (
	"io"
	"os"
)

const (
	copyBuffer = 256 << 10
	// ahead is how much of a file the system is told to write at a time, while more of it comes.
	ahead = 2 << 20
)

// copyTo writes all of r to a new file. What the sync at the end waits for is on its way to the disk by then, for the most part.
func copyTo(f *os.File, r io.Reader) (int64, error) {
	return io.CopyBuffer(&eagerWriter{file: f}, r, make([]byte, copyBuffer))
}

// eagerWriter writes to a file and has the system begin to bring that to the disk.
type eagerWriter struct {
	file           *os.File
	written, begun int64
}

func (w *eagerWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.written += int64(n)
	if w.written-w.begun >= ahead {
		beginWriting(w.file, w.begun, w.written-w.begun)
		w.begun = w.written
	}
	return n, err
}
