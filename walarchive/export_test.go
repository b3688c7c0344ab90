package walarchive

import (
	"io"
	"os"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// ReadSource reads a file as a push does.
func ReadSource(id Identity, f wal.FileName, file *os.File) (io.Reader, error) {
	return id.verifiedSource(f, file, false)
}
