package atomicfile

import (
	"bytes"
	"io"
	"os"
)

const (
	// copyBuffer is how much is written at a time, and how long a run of zeros must be to become a hole.
	copyBuffer = 256 << 10
	// ahead is how much of a file the system is told to bring to the disk at a time, while more of it comes.
	ahead = 2 << 20
)

// zeros is for reading only.
var zeros [copyBuffer]byte

// copyOf writes all of r. What the sync at the end waits for is on its way to the disk by then, for the most part.
func copyOf(r io.Reader, sparse bool) content {
	return func(f *os.File) (int64, error) {
		w := &eagerWriter{file: f, sparse: sparse}
		n, err := io.CopyBuffer(w, r, make([]byte, copyBuffer))
		if err == nil && w.hole {
			err = f.Truncate(w.end)
		}
		return n, err
	}
}

// eagerWriter writes to a new file and has the system begin to bring that to the disk.
type eagerWriter struct {
	file   *os.File
	sparse bool
	end    int64 // of what was written
	begun  int64 // up to where the system was told
	hole   bool  // at the end, beyond which the file was not written
}

func (w *eagerWriter) Write(p []byte) (int, error) {
	if w.sparse && len(p) == copyBuffer && bytes.Equal(p, zeros[:]) {
		w.end += copyBuffer
		w.hole = true
		return copyBuffer, nil
	}
	n, err := w.file.WriteAt(p, w.end)
	w.end += int64(n)
	w.hole = false
	if w.end-w.begun >= ahead {
		beginWriting(w.file, w.begun, w.end-w.begun)
		w.begun = w.end
	}
	return n, err
}
