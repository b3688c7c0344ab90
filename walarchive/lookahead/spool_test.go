package lookahead

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSpool_bad_places(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    string
	}{
		"open_to_everybody": {func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o700))
			require.NoError(t, os.Chmod(path, 0o777))
		}, "mode 777"},
		"open_to_a_group": {func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o700))
			require.NoError(t, os.Chmod(path, 0o710))
		}, "mode 710"},
		"symbolic_link":                    {func(t *testing.T, path string) { require.NoError(t, os.Symlink(t.TempDir(), path)) }, "symbolic link"},
		"file":                             {func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, nil, 0o600)) }, "not a folder"},
		"no_parent":                        {func(t *testing.T, path string) { require.NoError(t, os.Remove(filepath.Dir(path))) }, "no such file"},
		"below_a_folder_open_to_everybody": {func(t *testing.T, path string) { require.NoError(t, os.Chmod(filepath.Dir(path), 0o777)) }, "everybody may write"},
		"below_a_link_to_a_folder_open_to_everybody": {func(t *testing.T, path string) {
			open := t.TempDir()
			require.NoError(t, os.Chmod(open, 0o777))
			require.NoError(t, os.Remove(filepath.Dir(path)))
			require.NoError(t, os.Symlink(open, filepath.Dir(path)))
		}, "everybody may write"},
		"another_user's": {func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a folder away")
			}
			require.NoError(t, os.Mkdir(path, 0o700))
			require.NoError(t, os.Chown(path, 12345, -1))
		}, "another user"},
	} {
		t.Run(name, func(t *testing.T) {
			path := spoolDir(t)
			c.prepare(t, path)
			_, err := openSpool(path, ours)
			require.ErrorContains(t, err, c.want)
			require.Error(t, checkSpool(path), "the client sees it, too")
		})
	}
	t.Run("path_too_long", func(t *testing.T) {
		_, err := openSpool(filepath.Join(t.TempDir(), strings.Repeat("x", 100)), ours)
		require.ErrorContains(t, err, "too long for a socket")
	})
}

func TestSpool_one_helper(t *testing.T) {
	path := spoolDir(t)
	var mu sync.Mutex
	var held []*spool
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			s, err := openSpool(path, ours)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				held = append(held, s)
			} else {
				require.ErrorIs(t, err, ErrRunning)
			}
		})
	}
	group.Wait()
	require.Len(t, held, 1)
	held[0].close()
	s, err := openSpool(path, ours)
	require.NoError(t, err)
	s.close()
}

func TestSpool_what_a_dead_helper_left(t *testing.T) {
	changed := func(change func(b *Bond)) Bond {
		b := ours
		change(&b)
		return b
	}
	temp := "." + segName(1, 2) + ".tmp-0123456789ABCDEF"
	for name, c := range map[string]struct {
		bond Bond
		want []string
	}{
		"same":                   {ours, []string{segName(1, 1)}},
		"other_settings":         {changed(func(b *Bond) { b.Settings = "s3://bucket" }), nil},
		"other_data_directory":   {changed(func(b *Bond) { b.DataDir = "/data2" }), nil},
		"other_size_of_segments": {changed(func(b *Bond) { b.SegmentSize *= 2 }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := spoolDir(t)
			s, err := openSpool(path, ours)
			require.NoError(t, err)
			for _, left := range []string{segName(1, 1), temp} {
				require.NoError(t, os.WriteFile(filepath.Join(s.files(), left), nil, 0o600))
			}
			s.close()

			s, err = openSpool(path, c.bond)
			require.NoError(t, err)
			s.close()
			var got []string
			entries, err := os.ReadDir(s.files())
			require.NoError(t, err)
			for _, e := range entries {
				got = append(got, e.Name())
			}
			require.Equal(t, c.want, got)
			bond, err := readBond(filepath.Join(path, bondName))
			require.NoError(t, err)
			require.Equal(t, c.bond, bond)
		})
	}
}

func TestSpool_of_another_cluster(t *testing.T) {
	path := spoolDir(t)
	s, err := openSpool(path, ours)
	require.NoError(t, err)
	file := filepath.Join(s.files(), segName(1, 1))
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	s.close()
	other := ours
	other.SystemID++
	_, err = openSpool(path, other)
	var foreign *ForeignSpoolError
	require.ErrorAs(t, err, &foreign)
	require.Equal(t, ours, foreign.Owner)
	require.ErrorContains(t, err, "7574928734098123456")
	require.ErrorContains(t, err, "7574928734098123457")
	require.FileExists(t, file)
}

func TestSpool_whose_bond_is_damaged(t *testing.T) {
	path := spoolDir(t)
	require.NoError(t, os.Mkdir(path, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(path, bondName), []byte("{"), 0o600))
	_, err := openSpool(path, ours)
	require.ErrorContains(t, err, "remove the spool")
}

func TestNew_validates(t *testing.T) {
	good := Config{Spool: "x", Bond: ours, Archive: newFake()}
	_, err := New(good)
	require.NoError(t, err)
	for want, change := range map[string]func(c *Config){
		"Spool":            func(c *Config) { c.Spool = "" },
		"Bond.SystemID":    func(c *Config) { c.Bond.SystemID = 0 },
		"Bond.SegmentSize": func(c *Config) { c.Bond.SegmentSize = 12345 },
		"Bond.DataDir":     func(c *Config) { c.Bond.DataDir = "." },
		"Archive":          func(c *Config) { c.Archive = nil },
		"Workers":          func(c *Config) { c.Workers = -1 },
		"FetchBytes":       func(c *Config) { c.FetchBytes = -1 },
		"Idle":             func(c *Config) { c.Idle = -1 },
	} {
		cfg := good
		change(&cfg)
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
	for want, cfg := range map[int]Config{16: {}, 3: {FetchBytes: 3*segSize + 1}, 2: {FetchAhead: 2}, 0: {FetchAhead: -1}} {
		cfg.Spool, cfg.Bond, cfg.Archive = "x", ours, newFake()
		s, err := New(cfg)
		require.NoError(t, err)
		require.Equal(t, want, s.cfg.FetchAhead)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Time
		w := newWatch(time.Minute, func() { ended = time.Now() })
		start := time.Now()
		time.Sleep(50 * time.Second)
		require.True(t, w.enter())
		time.Sleep(2 * time.Minute)
		require.True(t, w.enter())
		w.leave()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.ring() // too late
		require.Zero(t, ended, "somebody is inside")
		w.leave()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, start.Add(50*time.Second+5*time.Minute), ended)
		require.False(t, w.enter())

		never := newWatch(0, func() { t.Error("ended") })
		require.True(t, never.enter())
		never.leave()
		time.Sleep(time.Hour)
	})
}
