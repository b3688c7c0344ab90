package basebackup

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"
)

// statusDir holds, below pg_wal, what tells a server that a segment is archived: a copy must not archive again what its source
// wrote. The last segment, of which not all was received, is not marked: a copy that starts without recovery settings goes on
// writing there.
const statusDir = "archive_status"

// zeros fill up the last segment.
var zeros [64 << 10]byte

// walFolder keeps streamed WAL in pg_wal of the copy.
type walFolder struct {
	dir     *os.Root
	perm    fs.FileMode // of files
	segSize int64

	name string
	out  *output
}

func newWALFolder(dir *os.Root, perm, dirPerm fs.FileMode, segSize uint32) (*walFolder, error) {
	for _, name := range []string{walDir, path.Join(walDir, statusDir)} {
		if err := dir.Mkdir(name, dirPerm); err != nil {
			return nil, err
		}
		if err := dir.Chmod(name, dirPerm); err != nil { // whatever the umask
			return nil, err
		}
	}
	return &walFolder{dir: dir, perm: perm, segSize: int64(segSize)}, nil
}

func (w *walFolder) begin(name string) (err error) {
	w.name = name
	w.out, err = create(w.dir, path.Join(walDir, name), w.perm)
	return err
}

func (w *walFolder) write(p []byte) error { return w.out.write(p) }

func (w *walFolder) end() error {
	whole := w.out.written == w.segSize
	if err := fill(w.out, w.segSize-w.out.written); err != nil {
		return err
	}
	if err := w.out.close(); err != nil {
		return err
	}
	w.out = nil
	if !whole {
		return nil
	}
	return w.done(w.name)
}

// fill writes zeros, in blocks that the disk has to reserve.
func fill(out *output, n int64) error {
	for n > 0 {
		part := zeros[:min(n, int64(len(zeros)))]
		if err := out.write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

func (w *walFolder) done(name string) error {
	return w.put(path.Join(walDir, statusDir, name+".done"), nil)
}

func (w *walFolder) put(name string, content []byte) error {
	out, err := create(w.dir, name, w.perm)
	if err != nil {
		return err
	}
	if err := out.write(content); err != nil {
		_ = out.f.Close() // the file is of no use
		return err
	}
	return out.close()
}

func (w *walFolder) file(name string, content []byte) error {
	if err := w.put(path.Join(walDir, name), content); err != nil {
		return err
	}
	return w.done(name)
}

func (w *walFolder) close() error { return nil }

func (w *walFolder) abort() {
	if w.out != nil {
		_ = w.out.f.Close()
	}
}

// walTarFile is streamed WAL as a tar file, which is to be unpacked in pg_wal.
const walTarFile = "pg_wal.tar"

// walTar keeps streamed WAL in pg_wal.tar.
type walTar struct {
	out     *output
	tar     *tar.Writer
	segSize int64
	name    string
	written int64
}

// outputWriter lets package tar write to an output.
type outputWriter struct{ *output }

func (w outputWriter) Write(p []byte) (int, error) { return len(p), w.write(p) }

func newWALTar(dir *os.Root, segSize uint32) (*walTar, error) {
	out, err := create(dir, walTarFile, 0o600)
	if err != nil {
		return nil, err
	}
	return &walTar{out: out, tar: tar.NewWriter(outputWriter{out}), segSize: int64(segSize)}, nil
}

func (w *walTar) header(name string, size int64) error {
	return w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: size, ModTime: time.Now(), Format: tar.FormatUSTAR})
}

func (w *walTar) begin(name string) error {
	w.name, w.written = name, 0
	return w.header(name, w.segSize)
}

func (w *walTar) write(p []byte) error {
	n, err := w.tar.Write(p)
	w.written += int64(n)
	return err
}

func (w *walTar) end() error {
	whole := w.written == w.segSize
	for w.written < w.segSize {
		if err := w.write(zeros[:min(w.segSize-w.written, int64(len(zeros)))]); err != nil {
			return err
		}
	}
	if !whole {
		return nil
	}
	return w.header(path.Join(statusDir, w.name+".done"), 0)
}

func (w *walTar) file(name string, content []byte) error {
	if err := w.header(name, int64(len(content))); err != nil {
		return err
	}
	if _, err := w.tar.Write(content); err != nil {
		return err
	}
	return w.header(path.Join(statusDir, name+".done"), 0)
}

func (w *walTar) close() error {
	if err := w.tar.Close(); err != nil {
		return fmt.Errorf("%s: %w", walTarFile, err)
	}
	return w.out.close()
}

func (w *walTar) abort() { _ = w.out.f.Close() }
