//go:build !linux

package dir

import (
	"errors"
	"os"
)

func freeBytes(*os.File) (int64, error) { return 0, errors.ErrUnsupported }
