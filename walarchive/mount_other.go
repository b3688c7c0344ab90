//go:build !unix

package walarchive

import (
	"errors"
	"fmt"
)

// checkMountPoint cannot tell here.
func checkMountPoint(path string) error {
	return fmt.Errorf("%s: mount points are not known on this system: %w", path, errors.ErrUnsupported)
}
