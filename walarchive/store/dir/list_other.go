//go:build !linux

package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/understudy-ha/understudy/walarchive/internal/objname"
)

// listNames reads the names of objects in the directory f.
func listNames(ctx context.Context, _ *os.Root, f *os.File) (names []string, err error) {
	for ctx.Err() == nil {
		entries, err := f.ReadDir(1000)
		for _, e := range entries {
			if e.Type()&^fs.ModeSymlink == 0 && objname.Check(e.Name()) == nil {
				names = append(names, e.Name())
			}
		}
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, context.Cause(ctx)
}
