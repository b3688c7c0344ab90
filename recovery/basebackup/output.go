package basebackup

import (
	"errors"
	"io/fs"
	"os"
)

// output is a file that is being written. The kernel is told to begin with the writing to disk while more arrives, so that the disk
// is not idle first and waited for at the end.
type output struct {
	f       *os.File
	written int64
	flushed int64 // up to here
}

// flushStep is how many bytes are collected before the disk gets them.
const flushStep = 8 << 20

// create makes a new file.
func create(root *os.Root, name string, perm fs.FileMode) (*output, error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if perm != 0o600 {
		if err := f.Chmod(perm); err != nil { // whatever the umask
			return nil, errors.Join(err, f.Close())
		}
	}
	return &output{f: f}, nil
}

func (o *output) write(p []byte) error {
	n, err := o.f.Write(p)
	o.written += int64(n)
	if o.written-o.flushed >= flushStep {
		o.flush()
	}
	return err
}

func (o *output) flush() {
	startWriteback(o.f, o.flushed, o.written-o.flushed)
	o.flushed = o.written
}

// close closes the file. It is not synced yet.
func (o *output) close() error {
	if o.written > o.flushed {
		o.flush()
	}
	return o.f.Close()
}
