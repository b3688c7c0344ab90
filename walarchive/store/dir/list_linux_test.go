package dir_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/store/dir"
)

// record is a struct linux_dirent64.
func record(kind byte, name string) []byte {
	size := (19 + len(name) + 1 + 7) / 8 * 8
	r := make([]byte, size)
	binary.NativeEndian.PutUint16(r[16:], uint16(size))
	r[18] = kind
	copy(r[19:], name)
	return r
}

func TestAppendObjects_unknown_type(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(path, "folder"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(path, "file"), nil, 0o600))
	d, err := os.OpenRoot(path)
	require.NoError(t, err)
	defer d.Close()
	var records []byte
	for _, name := range []string{"folder", "file", "gone", ".", ".."} {
		records = append(records, record(syscall.DT_UNKNOWN, name)...)
	}
	names, err := dir.AppendObjects(records, d)
	require.NoError(t, err)
	require.Equal(t, []string{"file"}, names)
}

// FuzzAppendObjects_never_panics reads whatever a broken file system may say.
func FuzzAppendObjects_never_panics(f *testing.F) {
	f.Add(append(record(syscall.DT_REG, "000000010000000000000001"), record(syscall.DT_DIR, "x")...))
	f.Add(record(syscall.DT_LNK, "a")[:20])
	f.Add([]byte{})
	for _, size := range []uint16{0, 5, 19, 20, 9999} {
		short := record(syscall.DT_REG, "a")
		binary.NativeEndian.PutUint16(short[16:], size)
		f.Add(short)
	}
	root, err := os.OpenRoot(f.TempDir())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, records []byte) {
		names, err := dir.AppendObjects(records, root)
		if err == nil && len(names)*20 > len(records) {
			t.Errorf("%d names from %d bytes", len(names), len(records))
		}
	})
}
