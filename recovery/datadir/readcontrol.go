package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// How often, and with what pause, a control file with a fault is read before the fault counts. The server needs microseconds
// to write it.
const (
	controlReads = 5
	controlPause = 10 * time.Millisecond
)

// ReadControl reads and checks the control file of a data directory on this machine. A running server overwrites the
// file in place (update_controlfile in src/common/controldata_utils.c), so a file with a fault is read again a few times
// before the fault counts, which takes at most a twentieth of a second. Besides [*ControlError] there are the errors of
// [os.ReadFile].
func ReadControl(dataDir string) (Control, error) {
	return readControl(filepath.Join(dataDir, filepath.FromSlash(ControlFile)), os.ReadFile)
}

func readControl(name string, read func(name string) ([]byte, error)) (Control, error) {
	for n := 1; ; n++ {
		data, err := read(name)
		if err != nil {
			return Control{}, fmt.Errorf("read control file: %w", err)
		}
		c, err := ParseControl(name, data)
		if n == controlReads || !errors.As(err, new(*ControlError)) {
			return c, err
		}
		time.Sleep(controlPause)
	}
}
