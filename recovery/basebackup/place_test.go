package basebackup

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func mustOpen(t *testing.T, o Options) *place {
	t.Helper()
	p, err := openPlace(o)
	require.NoError(t, err)
	t.Cleanup(p.leave)
	return p
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestOpenPlace_refuses(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, dir string)
		aside   string
		want    string
		is      error
	}{
		"no_parent":         {func(*testing.T, string) {}, "", "no such file", os.ErrNotExist},
		"target_not_empty":  {func(t *testing.T, dir string) { write(t, dir+"/data/x", "") }, "", "is not empty", ErrNotEmpty},
		"target_is_a_file":  {func(t *testing.T, dir string) { write(t, dir+"/data", "") }, "", "is no folder", nil},
		"target_is_a_link":  {func(t *testing.T, dir string) { require.NoError(t, os.Symlink(t.TempDir(), dir+"/data")) }, "", "is no folder", nil},
		"incoming_not_ours": {func(t *testing.T, dir string) { write(t, dir+"/data.incoming/x", "") }, "", "no base backup was made there", ErrNotEmpty},
		"incoming_runs": {func(t *testing.T, dir string) {
			write(t, dir+"/data.incoming/understudy-incoming", "{}")
			write(t, dir+"/data.incoming/postmaster.pid", "1\n")
		}, "", "a server was started there", nil},
		"incoming_was_started": {func(t *testing.T, dir string) {
			write(t, dir+"/data.incoming/understudy-incoming", "{}")
			write(t, dir+"/data.incoming/global/pg_control", "")
		}, "", "a server was started there", nil},
		"aside_exists":    {func(t *testing.T, dir string) { write(t, dir+"/old", ""); write(t, dir+"/data/x", "") }, "old", "exists", nil},
		"aside_elsewhere": {func(t *testing.T, dir string) { write(t, dir+"/data/x", "") }, "no/old", "no such file", nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tc.prepare(t, dir)
			o := Options{Target: filepath.Join(dir, "data")}
			if name == "no_parent" {
				o.Target = filepath.Join(dir, "no", "data")
			}
			if tc.aside != "" {
				o.Aside = filepath.Join(dir, tc.aside)
			}
			before := names(t, dir)
			_, err := openPlace(o)
			require.ErrorContains(t, err, tc.want)
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
			require.Equal(t, before, names(t, dir), "nothing may change")
		})
	}
}

// names lists everything below a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	}))
	return all
}

func TestPlace_busy(t *testing.T) {
	o := Options{Target: filepath.Join(t.TempDir(), "data")}
	p := mustOpen(t, o)
	write(t, p.incoming+"/base/1", "")
	_, err := openPlace(o)
	require.ErrorIs(t, err, ErrBusy)
	require.FileExists(t, p.incoming+"/base/1")
	p.leave()
	p = mustOpen(t, o)
	require.NoFileExists(t, p.incoming+"/base/1")

	require.True(t, p.stillThere())
	require.NoError(t, os.Rename(p.incoming, o.Target))
	require.False(t, p.stillThere(), "what is locked is no unfinished copy any more")
}

func TestPlace_leftovers(t *testing.T) {
	dir := t.TempDir()
	o := Options{Target: filepath.Join(dir, "data")}
	p := mustOpen(t, o)
	ours, taken := filepath.Join(dir, "ours"), filepath.Join(dir, "taken")
	for _, space := range []string{ours, taken} {
		root, err := p.addSpace(space)
		require.NoError(t, err)
		require.NoError(t, root.Close())
		write(t, space+"/PG_15_202209061/1/2", "")
	}
	write(t, p.incoming+"/backup_label", "")
	write(t, p.incoming+"/global/pg_control", "") // complete, but not yet renamed
	p.leave()

	// Meanwhile somebody made another use of one of the folders.
	require.NoError(t, os.RemoveAll(taken))
	write(t, taken+"/understudy-incoming", `{"id": "another"}`)
	write(t, taken+"/precious", "")
	precious := names(t, taken)

	p = mustOpen(t, o)
	require.Equal(t, []string{p.incoming, p.incoming + "/understudy-incoming"}, names(t, p.incoming))
	require.Equal(t, []string{ours}, names(t, ours))
	require.Equal(t, precious, names(t, taken))

	_, err := p.addSpace(taken)
	require.ErrorIs(t, err, ErrNotEmpty)
	_, err = p.addSpace(ours)
	require.NoError(t, err)
}

// A run that is killed between making the marker of a tablespace and writing it is no obstacle for the next.
func TestPlace_space_marker_cut_off(t *testing.T) {
	dir := t.TempDir()
	o := Options{Target: dir + "/data"}
	p := mustOpen(t, o)
	_, err := p.addSpace(dir + "/space")
	require.NoError(t, err)
	write(t, dir+"/other/understudy-incoming", "") // empty, but in no journal
	write(t, dir+"/space/understudy-incoming", "")
	p.leave()
	p = mustOpen(t, o)
	_, err = p.addSpace(dir + "/space")
	require.NoError(t, err)
	require.FileExists(t, dir+"/other/understudy-incoming")

	// With anything beside it, it is somebody else's.
	write(t, dir+"/space/understudy-incoming", "")
	write(t, dir+"/space/precious", "")
	p.leave()
	p = mustOpen(t, o)
	_, err = p.addSpace(dir + "/space")
	require.ErrorIs(t, err, ErrNotEmpty)
	require.FileExists(t, dir+"/space/precious")
}

func TestPlace_marker_cut_off(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/data.incoming/understudy-incoming", `{"id": "x`)
	write(t, dir+"/data.incoming/base/1", "")
	p := mustOpen(t, Options{Target: dir + "/data"})
	require.NoFileExists(t, p.incoming+"/base/1")
}

func TestPlace_space_inside_the_target(t *testing.T) {
	dir := t.TempDir()
	p := mustOpen(t, Options{Target: dir + "/data"})
	for _, location := range []string{dir, dir + "/data", dir + "/data/x", dir + "/data.incoming/x"} {
		_, err := p.addSpace(location)
		require.ErrorContains(t, err, "inside the target", location)
	}
	_, err := p.addSpace(dir + "/data2")
	require.NoError(t, err)
}

func TestPlace_discard(t *testing.T) {
	dir := t.TempDir()
	there := dir + "/there"
	require.NoError(t, os.Mkdir(there, 0o700))
	p := mustOpen(t, Options{Target: dir + "/data"})
	for _, space := range []string{there, dir + "/new"} {
		_, err := p.addSpace(space)
		require.NoError(t, err)
		write(t, space+"/PG_15/1", "")
	}
	write(t, p.incoming+"/base/1", "")
	require.NoError(t, p.discard())
	require.Equal(t, []string{dir, there}, names(t, dir))
}

func TestPlace_publish(t *testing.T) {
	for name, tc := range map[string]struct {
		target []string // files
		aside  bool
		want   error
	}{
		"absent": {}, "empty": {target: []string{}}, "empty_with_aside": {target: []string{}, aside: true},
		"aside": {target: []string{"PG_VERSION"}, aside: true}, "aside_absent": {aside: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Target: dir + "/data"}
			if tc.aside {
				o.Aside = dir + "/old"
			}
			if tc.target != nil {
				require.NoError(t, os.Mkdir(o.Target, 0o700))
			}
			for _, f := range tc.target {
				write(t, filepath.Join(o.Target, f), "old")
			}
			p := mustOpen(t, o)
			write(t, p.incoming+"/PG_VERSION", "new")
			aside, err := p.publish()
			require.NoError(t, err)
			require.NoError(t, p.unmark())
			require.Equal(t, []string{o.Target, o.Target + "/PG_VERSION"}, names(t, o.Target))
			if len(tc.target) == 0 {
				require.Empty(t, aside)
				require.NoDirExists(t, dir+"/old")
				return
			}
			require.Equal(t, dir+"/old", aside)
			require.FileExists(t, dir+"/old/PG_VERSION")
		})
	}
}

func TestPlace_publish_refuses_what_came_meanwhile(t *testing.T) {
	dir := t.TempDir()
	p := mustOpen(t, Options{Target: dir + "/data"})
	write(t, dir+"/data/x", "")
	_, err := p.publish()
	require.ErrorIs(t, err, ErrNotEmpty)

	q := mustOpen(t, Options{Target: dir + "/other"})
	write(t, dir+"/other", "")
	_, err = q.publish()
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrNotEmpty, "a file, or a mount point, is not an obstacle of that kind")
	require.FileExists(t, dir+"/other")
	require.False(t, errors.Is(err, os.ErrNotExist))
}
