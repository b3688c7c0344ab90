package walarchive_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
)

// problems are what Check finds; the probe is gone in any case.
func problems(t *testing.T, cfg walarchive.CheckConfig, paths ...string) []walarchive.Problem {
	t.Helper()
	findings, err := walarchive.Check(t.Context(), cfg)
	require.NoError(t, err)
	var found []walarchive.Problem
	for _, f := range findings {
		found = append(found, f.Problem)
		require.Error(t, f.Err)
		require.Contains(t, f.String(), string(f.Problem))
	}
	for _, path := range paths {
		for _, name := range names(t, path) {
			require.NotContains(t, name, "probe")
		}
	}
	return found
}

// Two hosts reach the archive by two paths: one through a link, as a bind mount would be, and one that is another place.
func TestCheck(t *testing.T) {
	p, elsewhere := newPlace(t, 1), newPlace(t, 1)
	link := filepath.Join(t.TempDir(), "share")
	require.NoError(t, os.Symlink(p.path, link))
	linked, err := dir.Open(link)
	require.NoError(t, err)
	defer linked.Close()
	cfg := walarchive.CheckConfig{Write: p.store, Identity: ours, Segments: -1}
	require.Empty(t, problems(t, cfg, p.path))
	cfg.Read = linked
	require.Empty(t, problems(t, cfg, p.path))
	cfg.Read = elsewhere.store
	require.Equal(t, []walarchive.Problem{walarchive.NotShared}, problems(t, cfg, p.path, elsewhere.path))
}

func TestCheck_marker(t *testing.T) {
	p, empty := newPlace(t, 1), emptyPlace(t)
	require.Equal(t, []walarchive.Problem{walarchive.NoMarker}, problems(t, walarchive.CheckConfig{Write: empty.store}, empty.path))
	foreign := walarchive.CheckConfig{Write: p.store, Identity: walarchive.Identity{SystemID: 42, SegmentSize: segSize}, Segments: -1}
	require.Equal(t, []walarchive.Problem{walarchive.Foreign}, problems(t, foreign, p.path))
	foreign.Identity = walarchive.Identity{SystemID: ours.SystemID, SegmentSize: 2 * segSize}
	require.Equal(t, []walarchive.Problem{walarchive.Foreign}, problems(t, foreign, p.path))
	require.Empty(t, problems(t, walarchive.CheckConfig{Write: p.store}, p.path), "anybody's")
}

func TestCheck_broken(t *testing.T) {
	p := newPlace(t, 1)
	no := errors.New("no")
	readonly := &faultyStore{Store: p.store, create: func(string) error { return no }}
	require.Equal(t, []walarchive.Problem{walarchive.NotWritable}, problems(t, walarchive.CheckConfig{Write: readonly}, p.path))
	stuck := &stuckStore{Store: p.store, stuck: func(string) bool { return true }}
	require.Equal(t, []walarchive.Problem{walarchive.NotWritable}, problems(t, walarchive.CheckConfig{Write: stuck}))
	deaf := &faultyStore{Store: p.store, open: func(string) error { return no }}
	require.Equal(t, []walarchive.Problem{walarchive.NotReadable, walarchive.NotReadable},
		problems(t, walarchive.CheckConfig{Write: p.store, Read: deaf}))
	wrong := &faultyStore{Store: p.store, open: func(name string) error {
		if strings.Contains(name, "probe") {
			return os.WriteFile(filepath.Join(p.path, name), []byte("other"), 0o600)
		}
		return nil
	}}
	require.Equal(t, []walarchive.Problem{walarchive.NotShared}, problems(t, walarchive.CheckConfig{Write: p.store, Read: wrong}))
}

// roomy is a store that says how much is free.
type roomy struct {
	walarchive.Store
	free int64
	err  error
}

func (r roomy) Free(context.Context) (int64, error) { return r.free, r.err }

func TestCheck_space(t *testing.T) {
	p := newPlace(t, 1)
	for _, tc := range []struct {
		name     string
		store    roomy
		segments int64
		low      bool
	}{
		{"enough", roomy{p.store, 64 * segSize, nil}, 0, false},
		{"not_enough", roomy{p.store, 64*segSize - 1, nil}, 0, true},
		{"enough_for_two", roomy{p.store, 2 * segSize, nil}, 2, false},
		{"not_looked_at", roomy{p.store, 0, nil}, -1, false},
		{"unsupported", roomy{p.store, 0, errors.ErrUnsupported}, 0, false},
		{"not_known", roomy{p.store, 1 << 40, errors.New("no answer")}, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var want []walarchive.Problem
			if tc.low {
				want = append(want, walarchive.LowSpace)
			}
			require.Equal(t, want, problems(t, walarchive.CheckConfig{Write: tc.store, Identity: ours, Segments: tc.segments}, p.path))
		})
	}
}

func TestCheck_mount(t *testing.T) {
	p := newPlace(t, 1)
	cfg := walarchive.CheckConfig{Write: p.store, MountPoint: "/"}
	require.Empty(t, problems(t, cfg))
	if _, err := os.Stat("/proc/self"); err == nil {
		cfg.MountPoint = "/proc"
		require.Empty(t, problems(t, cfg))
	}
	for _, path := range []string{p.path, filepath.Join(p.path, "no", "such"), filepath.Join(p.path, segmentName(1))} {
		cfg.MountPoint = path
		require.Equal(t, []walarchive.Problem{walarchive.NotMounted}, problems(t, cfg))
	}
}

func TestCheck_config(t *testing.T) {
	_, err := walarchive.Check(t.Context(), walarchive.CheckConfig{})
	require.Error(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = walarchive.Check(ctx, walarchive.CheckConfig{Write: newPlace(t, 1).store})
	require.ErrorIs(t, err, context.Canceled)
}
