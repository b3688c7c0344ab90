package walarchive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const missing = "000000010000000000000099"

// filled returns an archive that holds seg3 and timeline 2's history.
func filled(t testing.TB) (path string, store *dir.Store) {
	path = t.TempDir()
	store, err := dir.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	a := newArchive(t, store, ours)
	require.NoError(t, a.Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 1))))
	require.NoError(t, a.Push(t.Context(), write(t, "00000002.history", []byte(historyOf2))))
	return path, store
}

func TestFetch_absent_is_proven(t *testing.T) {
	_, store := filled(t)
	a := newArchive(t, store, ours)
	for _, name := range []string{missing, "00000003.history", seg3 + ".partial"} {
		dst := filepath.Join(t.TempDir(), "RECOVERYXLOG")
		err := a.Fetch(t.Context(), name, dst)
		var absent *walarchive.AbsentError
		require.ErrorAs(t, err, &absent)
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.NoFileExists(t, dst)
	}
}

// TestFetch_trouble_is_never_absence asks for a file that is there and for one that is not, through every kind
// of trouble. Only the third answer is allowed, and %p must stay untouched.
func TestFetch_trouble_is_never_absence(t *testing.T) {
	boom := errors.New("boom")
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, path string, store *faultyStore, id *walarchive.Identity)
		skip   string // a name that this trouble does not touch
	}{
		{"store_error", func(_ *testing.T, _ string, s *faultyStore, _ *walarchive.Identity) {
			s.open = func(string) error { return boom }
		}, ""},
		{"permission", func(_ *testing.T, _ string, s *faultyStore, _ *walarchive.Identity) {
			s.open = func(string) error { return fs.ErrPermission }
		}, ""},
		{"marker_gone", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			require.NoError(t, os.Remove(filepath.Join(path, walarchive.MarkerName)))
		}, ""},
		{"marker_damaged", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			require.NoError(t, os.WriteFile(filepath.Join(path, walarchive.MarkerName), []byte("understudy WAL arch"), 0o600))
		}, ""},
		{"marker_newer_format", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			require.NoError(t, os.WriteFile(filepath.Join(path, walarchive.MarkerName), []byte("understudy WAL archive 2\nsystem identifier 1\n"), 0o600))
		}, ""},
		{"archive_emptied", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			for _, n := range names(t, path) {
				require.NoError(t, os.Remove(filepath.Join(path, n)))
			}
		}, ""},
		{"directory_deleted", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			require.NoError(t, os.RemoveAll(path))
		}, ""},
		{"goes_away_after_the_first_look", func(_ *testing.T, _ string, s *faultyStore, _ *walarchive.Identity) {
			looks := 0
			s.open = func(string) error {
				if looks++; looks > 1 {
					return fs.ErrNotExist
				}
				return nil
			}
		}, ""},
		{"other_cluster", func(_ *testing.T, _ string, _ *faultyStore, id *walarchive.Identity) { id.SystemID = 42 }, ""},
		{"copy_truncated", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			require.NoError(t, os.Truncate(filepath.Join(path, seg3), segSize-8192))
		}, missing},
		{"copy_empty", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			require.NoError(t, os.Truncate(filepath.Join(path, seg3), 0))
		}, missing},
		{"copy_too_long", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			require.NoError(t, os.Truncate(filepath.Join(path, seg3), segSize+1))
		}, missing},
		{"copy_of_other_segment", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			require.NoError(t, os.WriteFile(filepath.Join(path, seg3), segment(t, ours, "000000010000000000000004", 1), 0o600))
		}, missing},
		{"copy_is_a_folder", func(t *testing.T, path string, _ *faultyStore, _ *walarchive.Identity) {
			require.NoError(t, os.Remove(filepath.Join(path, seg3)))
			require.NoError(t, os.Mkdir(filepath.Join(path, seg3), 0o700))
		}, missing},
		{"read_error_in_the_middle", func(_ *testing.T, _ string, s *faultyStore, _ *walarchive.Identity) { s.read = boom }, missing},
		{"read_says_not_there", func(_ *testing.T, _ string, s *faultyStore, _ *walarchive.Identity) { s.read = fs.ErrNotExist }, missing},
	} {
		for _, name := range []string{seg3, missing} {
			if name == tc.skip {
				continue
			}
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				path, store := filled(t)
				faulty, id := &faultyStore{Store: store}, ours
				tc.damage(t, path, faulty, &id)
				dst := filepath.Join(t.TempDir(), "RECOVERYXLOG")
				requireUnknown(t, newArchive(t, faulty, id).Fetch(t.Context(), name, dst))
				require.Empty(t, names(t, filepath.Dir(dst)), "nothing at or beside %%p")
			})
		}
	}
}

func TestFetch_destination_trouble(t *testing.T) {
	_, store := filled(t)
	a := newArchive(t, store, ours)
	requireUnknown(t, a.Fetch(t.Context(), seg3, filepath.Join(t.TempDir(), "no such folder", "RECOVERYXLOG")))

	dst := write(t, "RECOVERYXLOG", []byte("somebody's"))
	err := a.Fetch(t.Context(), seg3, dst)
	requireUnknown(t, err)
	require.ErrorIs(t, err, fs.ErrExist)
	b, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.Equal(t, "somebody's", string(b))
}

func TestFetch_steps_fail(t *testing.T) {
	_, store := filled(t)
	a := newArchive(t, store, ours)
	boom := errors.New("boom")
	for _, failing := range []atomicfile.Step{atomicfile.StepCreate, atomicfile.StepWrite, atomicfile.StepMode,
		atomicfile.StepSync, atomicfile.StepClose, atomicfile.StepLink} {
		t.Run(string(failing), func(t *testing.T) {
			restore := atomicfile.SetHook(func(s atomicfile.Step) error {
				if s == failing {
					return boom
				}
				return nil
			})
			defer restore()
			dst := filepath.Join(t.TempDir(), "RECOVERYXLOG")
			err := a.Fetch(t.Context(), seg3, dst)
			requireUnknown(t, err)
			require.ErrorIs(t, err, boom)
			require.Empty(t, names(t, filepath.Dir(dst)))
		})
	}
}

func TestFetch_names(t *testing.T) {
	_, store := filled(t)
	a := newArchive(t, store, ours)
	for name, bad := range map[string]string{
		"not_wal": "RECOVERYXLOG", "outside": "../" + seg3, "empty": "", "marker": walarchive.MarkerName, "lower_case": "00000001000000000000000a",
	} {
		t.Run(name, func(t *testing.T) {
			requireUnknown(t, a.Fetch(t.Context(), bad, filepath.Join(t.TempDir(), "x")))
		})
	}
	t.Run("impossible_for_this_segment_size", func(t *testing.T) {
		const impossible = "000000010000000000001000"
		require.NoError(t, store.Create(t.Context(), impossible, errReader{io.EOF}))
		requireUnknown(t, a.Fetch(t.Context(), impossible, filepath.Join(t.TempDir(), "x")))
	})
}

func TestFetch_context_ends(t *testing.T) {
	_, store := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{seg3, missing} {
		err := newArchive(t, store, ours).Fetch(ctx, name, filepath.Join(t.TempDir(), "x"))
		requireUnknown(t, err)
		require.ErrorIs(t, err, context.Canceled)
	}
}

// TestFetch_archive_that_cp_filled: without the marker there is no proof, neither of presence nor of absence.
func TestFetch_archive_that_cp_filled(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, seg3), segment(t, ours, seg3, 1), 0o600))
	for _, name := range []string{seg3, missing} {
		err := openArchive(t, path, ours).Fetch(t.Context(), name, filepath.Join(t.TempDir(), "x"))
		requireUnknown(t, err)
		require.ErrorIs(t, err, walarchive.ErrNoMarker)
	}
}

func FuzzFetch_marker(f *testing.F) {
	f.Add([]byte("understudy WAL archive 1\nsystem identifier 7574928734098123456\n"))
	f.Add([]byte("understudy WAL archive 1\nsystem identifier 7574928734098123456"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, marker []byte) {
		path := t.TempDir()
		if err := os.WriteFile(filepath.Join(path, walarchive.MarkerName), marker, 0o600); err != nil {
			t.Fatal(err)
		}
		err := openArchive(t, path, ours).Fetch(t.Context(), missing, filepath.Join(path, "dst"))
		proves := string(marker) == "understudy WAL archive 1\nsystem identifier 7574928734098123456\n"
		if errors.Is(err, fs.ErrNotExist) && !proves {
			// Leading zeros are the one freedom a decimal number has.
			if id, parseErr := wal.ParseSystemID(string(marker[len("understudy WAL archive 1\nsystem identifier ") : len(marker)-1])); parseErr != nil || id != ours.SystemID {
				t.Fatalf("marker %q counted as proof", marker)
			}
		}
	})
}

func ExampleArchive_Fetch() {
	archive, _ := os.MkdirTemp("", "archive")
	defer os.RemoveAll(archive)
	store, err := dir.Open(archive)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	a, err := walarchive.New(walarchive.Config{
		Targets:  []walarchive.Target{{Store: store}},
		Identity: walarchive.Identity{SystemID: 7574928734098123456, SegmentSize: wal.DefaultSegmentSize},
	})
	if err != nil {
		panic(err)
	}
	// Nothing was ever pushed here, so the missing file proves nothing: the disk may not be mounted.
	err = a.Fetch(context.Background(), "000000010000000000000003", "pg_wal/RECOVERYXLOG")
	fmt.Println(errors.Is(err, fs.ErrNotExist), errors.Is(err, walarchive.ErrNoMarker))
	// Output:
	// false true
}
