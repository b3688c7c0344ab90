package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWrite_new_file_has_exactly_the_mode(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "a.conf")
	require.NoError(t, Write(path, []byte("x"), 0o644))
	require.Equal(t, "x", read(t, path))
	require.Equal(t, fs.FileMode(0o644), mode(t, path))
	onlyFile(t, path)
}

func TestWrite_existing_file_keeps_mode_and_owner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.conf")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, os.Chmod(path, 0o640))
	wantUID, wantGID := os.Getuid(), os.Getgid()
	if os.Getuid() == 0 {
		wantUID, wantGID = 1234, 2345
		require.NoError(t, os.Chown(path, wantUID, wantGID))
	}
	require.NoError(t, Write(path, []byte("new"), 0o604))
	require.Equal(t, "new", read(t, path))
	require.Equal(t, fs.FileMode(0o640), mode(t, path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	require.Equal(t, []int{wantUID, wantGID}, []int{int(stat.Uid), int(stat.Gid)})
	onlyFile(t, path)
}

func TestWrite_refuses(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	require.NoError(t, os.WriteFile(target, []byte("somebody's"), 0o600))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(target, link))
	dangling := filepath.Join(dir, "dangling")
	require.NoError(t, os.Symlink(filepath.Join(dir, "nowhere"), dangling))
	sub := filepath.Join(dir, "sub")
	require.NoError(t, os.Mkdir(sub, 0o700))

	require.ErrorIs(t, Write(link, []byte("x"), 0o600), ErrSymlink)
	require.ErrorIs(t, Write(dangling, []byte("x"), 0o600), ErrSymlink)
	require.ErrorIs(t, Write(sub, []byte("x"), 0o600), ErrNotRegular)
	require.ErrorIs(t, Write(sub+"/", []byte("x"), 0o600), fs.ErrInvalid)
	require.ErrorIs(t, Write(sub+"/..", []byte("x"), 0o600), fs.ErrInvalid)
	require.ErrorIs(t, Write(filepath.Join(dir, "no", "such"), []byte("x"), 0o600), fs.ErrNotExist)
	require.Equal(t, "somebody's", read(t, target))
	require.Empty(t, temps(t, dir))
}

func TestWrite_through_a_linked_directory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "real"), 0o700))
	require.NoError(t, os.Symlink("real", filepath.Join(dir, "pg_wal")))
	require.NoError(t, Write(filepath.Join(dir, "pg_wal", "x"), []byte("1"), 0o600))
	require.Equal(t, "1", read(t, filepath.Join(dir, "real", "x")))
}

func TestPublish(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seg")
	n, err := Publish(path, strings.NewReader("content"), 0o600)
	require.NoError(t, err)
	require.Equal(t, int64(7), n)
	require.Equal(t, "content", read(t, path))
	require.Equal(t, fs.FileMode(0o600), mode(t, path))
	onlyFile(t, path)

	_, err = Publish(path, strings.NewReader("other"), 0o600)
	require.ErrorIs(t, err, fs.ErrExist)
	require.Equal(t, "content", read(t, path))
	onlyFile(t, path)
}

// A large file goes to the disk while more of it comes.
func TestPublish_large(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abc"), 2*ahead/13)
	path := filepath.Join(t.TempDir(), "seg")
	n, err := Publish(path, struct{ io.Reader }{bytes.NewReader(want)}, 0o600)
	require.NoError(t, err)
	require.Equal(t, int64(len(want)), n)
	require.True(t, bytes.Equal(want, []byte(read(t, path))))
	onlyFile(t, path)
}

// Where there are zeros there may be holes, which nobody sees who reads.
func TestPublishSparseIn(t *testing.T) {
	data, hole := bytes.Repeat([]byte{1}, copyBuffer), make([]byte, copyBuffer)
	for name, want := range map[string][]byte{
		"end":    slices.Concat(data, hole, hole),
		"inside": slices.Concat(data, hole, data),
		"begin":  slices.Concat(hole, data, data[:5]),
		"odd":    slices.Concat(data, hole, hole[:100]),
		"all":    hole,
		"less":   hole[1:],
		"none":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d, err := os.OpenRoot(dir)
			require.NoError(t, err)
			defer d.Close()
			n, err := PublishSparseIn(d, "seg", struct{ io.Reader }{bytes.NewReader(want)}, 0o640)
			require.NoError(t, err)
			require.Equal(t, int64(len(want)), n)
			path := filepath.Join(dir, "seg")
			require.True(t, bytes.Equal(want, []byte(read(t, path))))
			require.Equal(t, fs.FileMode(0o640), mode(t, path))
			onlyFile(t, path)
		})
	}
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// Only the file that nobody writes to again may lack room on the disk.
func TestPublish_room(t *testing.T) {
	dir := t.TempDir()
	d, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer d.Close()
	content := func() io.Reader { return io.LimitReader(zeroReader{}, 16<<20) }
	_, err = PublishSparseIn(d, "sparse", content(), 0o600)
	require.NoError(t, err)
	_, err = PublishIn(d, "full", content(), 0o600)
	require.NoError(t, err)
	full := blocks(t, filepath.Join(dir, "full"))
	if full < 16<<20 {
		t.Logf("the file system stores zeros in %d bytes by itself", full)
		return
	}
	require.Less(t, blocks(t, filepath.Join(dir, "sparse")), full/2)
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestPublish_symlink_is_not_followed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "seg")))
	_, err := Publish(filepath.Join(dir, "seg"), strings.NewReader("x"), 0o600)
	require.ErrorIs(t, err, fs.ErrExist)
	require.ErrorIs(t, err, ErrSymlink)
	require.NoFileExists(t, filepath.Join(dir, "nowhere"))
	require.Empty(t, temps(t, dir))
}

func TestPublish_reader_fails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seg")
	boom := errors.New("boom")
	_, err := Publish(path, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(boom)), 0o600)
	require.ErrorIs(t, err, boom)
	require.NoFileExists(t, path)
	require.Empty(t, temps(t, filepath.Dir(path)))
}

func TestPublish_race_has_one_winner(t *testing.T) {
	dir := t.TempDir()
	for round := range 50 {
		path := filepath.Join(dir, fmt.Sprint(round))
		var wg sync.WaitGroup
		errs := make([]error, 8)
		start := make(chan struct{})
		for i := range errs {
			wg.Go(func() {
				<-start
				_, errs[i] = Publish(path, strings.NewReader(fmt.Sprint(i)), 0o600)
			})
		}
		close(start)
		wg.Wait()
		winner := read(t, path)
		for i, err := range errs {
			if fmt.Sprint(i) == winner {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, fs.ErrExist)
			}
		}
	}
	require.Empty(t, temps(t, dir))
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, Remove(path))
	require.NoFileExists(t, path)
	require.ErrorIs(t, Remove(path), fs.ErrNotExist)
}

func TestRename(t *testing.T) {
	for _, impl := range []struct {
		name   string
		rename func(a, b string) error
	}{{"Rename", Rename}, {"without_renameat2", renameByLink}} {
		t.Run(impl.name, func(t *testing.T) {
			dir := t.TempDir()
			at := func(s string) string { return filepath.Join(dir, s) }
			require.NoError(t, os.Mkdir(at("data"), 0o700))
			require.NoError(t, os.WriteFile(at("data/PG_VERSION"), []byte("15"), 0o600))
			require.NoError(t, os.Mkdir(at("empty"), 0o700))
			require.NoError(t, os.WriteFile(at("file"), []byte("f"), 0o600))

			require.ErrorIs(t, impl.rename(at("data"), at("empty")), fs.ErrExist, "rename(2) would replace an empty directory")
			require.ErrorIs(t, impl.rename(at("data"), at("file")), fs.ErrExist)
			require.ErrorIs(t, impl.rename(at("file"), at("empty")), fs.ErrExist)
			require.ErrorIs(t, impl.rename(at("nothing"), at("new")), fs.ErrNotExist)
			require.FileExists(t, at("data/PG_VERSION"))

			require.NoError(t, impl.rename(at("data"), at("data.aside")))
			require.NoDirExists(t, at("data"))
			require.Equal(t, "15", read(t, at("data.aside/PG_VERSION")))
			require.NoError(t, impl.rename(at("file"), at("empty/file")))
			require.Equal(t, "f", read(t, at("empty/file")))
		})
	}
}

func TestSyncDir(t *testing.T) {
	require.NoError(t, SyncDir(t.TempDir()))
	require.ErrorIs(t, SyncDir(filepath.Join(t.TempDir(), "no")), fs.ErrNotExist)
}

// TestSteps_order fixes the order that makes the changes durable: content before name, name before success.
func TestSteps_order(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	require.Equal(t, []Step{StepCreate, StepWrite, StepMode, StepSync, StepClose, StepLink, StepUnlinkTemp, StepSyncDir},
		steps(t, func() error { _, err := Publish(path, strings.NewReader("1"), 0o600); return err }))
	require.Equal(t, []Step{StepCreate, StepWrite, StepMode, StepSync, StepClose, StepRename, StepSyncDir},
		steps(t, func() error { return Write(path, []byte("2"), 0o600) }))
	require.Equal(t, []Step{StepRename, StepSyncDir}, steps(t, func() error { return Rename(path, path+"2") }))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
	require.Equal(t, []Step{StepRename, StepSyncDir, StepSyncDir},
		steps(t, func() error { return Rename(path+"2", filepath.Join(dir, "d", "x")) }))
	require.Equal(t, []Step{StepRemove, StepSyncDir}, steps(t, func() error { return Remove(filepath.Join(dir, "d", "x")) }))
}

// TestSteps_failing makes each step fail once: the error comes back, a reader sees old or new, no temporary
// file stays unless removing it is what failed, and a second call succeeds.
func TestSteps_failing(t *testing.T) {
	boom := errors.New("boom")
	for _, op := range operations {
		for _, failing := range op.steps {
			t.Run(op.name+"/"+string(failing), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "file")
				op.prepare(t, path)
				restore := SetHook(func(s Step) error {
					if s == failing {
						return boom
					}
					return nil
				})
				err := op.run(path)
				restore()
				require.ErrorIs(t, err, boom)
				if failing != StepUnlinkTemp {
					require.Empty(t, temps(t, filepath.Dir(path)))
				}
				op.check(t, path, failing)
			})
		}
	}
}

// TestSteps_killed is the same with the process killed before each step, so nothing can clean up after itself.
func TestSteps_killed(t *testing.T) {
	for _, op := range operations {
		for _, at := range op.steps {
			t.Run(op.name+"/"+string(at), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "file")
				op.prepare(t, path)
				runKilled(t, op.name, string(at), path)
				op.check(t, path, at)

				d, err := os.OpenRoot(filepath.Dir(path))
				require.NoError(t, err)
				defer d.Close()
				_, err = Sweep(d, time.Now().Add(time.Hour))
				require.NoError(t, err)
				require.Empty(t, temps(t, filepath.Dir(path)))
			})
		}
	}
}

const (
	oldText = "old content"
	newText = "new content, longer than the old"
)

type operation struct {
	name    string
	steps   []Step
	prepare func(t *testing.T, path string)
	run     func(path string) error
	check   func(t *testing.T, path string, stopped Step) // also runs the operation again
}

var operations = []operation{
	{
		name:  "write",
		steps: []Step{StepCreate, StepWrite, StepMode, StepSync, StepClose, StepRename, StepSyncDir},
		prepare: func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(oldText), 0o600))
		},
		run: func(path string) error { return Write(path, []byte(newText), 0o600) },
		check: func(t *testing.T, path string, stopped Step) {
			want := oldText
			if stopped == StepSyncDir {
				want = newText
			}
			require.Equal(t, want, read(t, path))
			require.NoError(t, Write(path, []byte(newText), 0o600))
			require.Equal(t, newText, read(t, path))
		},
	},
	{
		name:    "publish",
		steps:   []Step{StepCreate, StepWrite, StepMode, StepSync, StepClose, StepLink, StepUnlinkTemp, StepSyncDir},
		prepare: func(*testing.T, string) {},
		run:     func(path string) error { _, err := Publish(path, strings.NewReader(newText), 0o600); return err },
		check: func(t *testing.T, path string, stopped Step) {
			_, err := Publish(path, strings.NewReader(newText), 0o600)
			if stopped == StepUnlinkTemp || stopped == StepSyncDir {
				require.ErrorIs(t, err, fs.ErrExist, "was there already")
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, newText, read(t, path))
		},
	},
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{TempName("a"), TempName("b"), ".profile", "x.tmp-1", ".tmp-x"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, old, old))
	}
	young := TempName("young")
	require.NoError(t, os.WriteFile(filepath.Join(dir, young), nil, 0o600))
	d, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer d.Close()
	swept, err := Sweep(d, time.Now().Add(-time.Minute))
	require.NoError(t, err)
	require.Len(t, swept, 2)
	for _, kept := range []string{young, ".profile", "x.tmp-1", ".tmp-x"} {
		require.FileExists(t, filepath.Join(dir, kept))
	}
}

func ExampleWrite() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "postgresql.auto.conf")
	fmt.Println(Write(path, []byte("port = 5432\n"), 0o600))
	b, _ := os.ReadFile(path)
	fmt.Print(string(b))
	// Output:
	// <nil>
	// port = 5432
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	return info.Mode()
}

func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, filepath.Base(path), entries[0].Name())
}

func temps(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if IsTemp(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

func steps(t *testing.T, f func() error) []Step {
	t.Helper()
	var got []Step
	restore := SetHook(func(s Step) error { got = append(got, s); return nil })
	defer restore()
	require.NoError(t, f())
	return got
}

func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{8 << 10, 16 << 20} {
		b.Run(fmt.Sprintf("size=%dKiB", size>>10), func(b *testing.B) {
			content := bytes.Repeat([]byte{7}, size)
			path := filepath.Join(b.TempDir(), "seg")
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Publish(path, bytes.NewReader(content), 0o600); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				os.Remove(path)
				b.StartTimer()
			}
		})
	}
}
