package walarchive_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const (
	walPage    = 8192
	switchedAt = 24 * walPage // where the WAL of switched ends
)

// switched is segment 3 as its primary archives it, with zeros behind the switch.
func switched(seed uint64) []byte {
	return waltest.Segment(ours.SystemID, ours.SegmentSize, seg3, switchedAt, seed)
}

// withOldRest is the same segment as a standby's standby archives it: in a recycled file, which holds older WAL behind the switch.
func withOldRest(t testing.TB, b []byte, from int) []byte {
	t.Helper()
	b = bytes.Clone(b)
	copy(b[from:], segment(t, ours, "000000010000000000000001", 9)[from:])
	return b
}

// TestPush_from_two_servers: what lies behind a switch is no WAL, so whatever it is, it makes no conflict, and nobody gets it.
func TestPush_from_two_servers(t *testing.T) {
	primary := switched(1)
	sources := map[string][]byte{
		"zeros": primary, "old": withOldRest(t, primary, switchedAt), "zeros_then_old": withOldRest(t, primary, 80*walPage),
		"old_then_zeros": append(withOldRest(t, primary, switchedAt)[:90*walPage:90*walPage], primary[90*walPage:]...),
	}
	for first, content := range sources {
		for _, e := range []codec.Encoding{{}, {Compression: codec.Zstd}} {
			t.Run(fmt.Sprint(first, "/", e.Compression), func(t *testing.T) {
				place := t.TempDir()
				a, err := walarchive.New(walarchive.Config{Identity: ours, Targets: []walarchive.Target{{Store: openStore(t, place), Encoding: e}}})
				require.NoError(t, err)
				path := write(t, seg3, content)
				require.NoError(t, a.Push(t.Context(), path))
				stored := names(t, place)
				untouched, err := os.ReadFile(path)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, untouched), "the server's file stays as it is")
				for second, content := range sources {
					require.NoError(t, a.Push(t.Context(), write(t, seg3, content)), second)
				}
				require.Equal(t, stored, names(t, place))
				for at := range switchedAt / walPage { // of each page one byte
					other := bytes.Clone(sources["old"])
					other[at*walPage+100+at*300] ^= 1
					require.ErrorAs(t, a.Push(t.Context(), write(t, seg3, other)), new(*walarchive.ConflictError), "page %d", at)
				}
				dst := filepath.Join(t.TempDir(), "dst")
				require.NoError(t, a.Fetch(t.Context(), seg3, dst))
				got, err := os.ReadFile(dst)
				require.NoError(t, err)
				require.True(t, bytes.Equal(primary, got), "the segment, as the primary has it")
			})
		}
	}
}

// TestPush_partial_in_a_recycled_file: nor is what lies behind the end of an unfinished segment WAL.
func TestPush_partial_in_a_recycled_file(t *testing.T) {
	name := seg3 + ".partial"
	content := bytes.Clone(segment(t, ours, seg3, 1))
	clear(content[switchedAt:])
	a := openArchive(t, t.TempDir(), ours)
	require.NoError(t, a.Push(t.Context(), write(t, name, withOldRest(t, content, switchedAt))))
	require.NoError(t, a.Push(t.Context(), write(t, name, content)))
	dst := filepath.Join(t.TempDir(), "dst")
	require.NoError(t, a.Fetch(t.Context(), name, dst))
	require.Equal(t, string(content), readString(t, dst))
	more := bytes.Clone(segment(t, ours, seg3, 1))
	clear(more[switchedAt+walPage:])
	require.ErrorAs(t, a.Push(t.Context(), write(t, name, more)), new(*walarchive.ConflictError), "it has more WAL")
}

// TestPush_keeps_pages_behind_a_switch: up to 10, page headers follow a switch. They are the segment's, wherever old pages lie between.
func TestPush_keeps_pages_behind_a_switch(t *testing.T) {
	want := switched(1)
	for at := switchedAt; at < len(want); at += walPage {
		copy(want[at:], want[walPage:walPage+24])
		binary.LittleEndian.PutUint64(want[at+8:], uint64(3*segSize+at))
	}
	clear(want[40*walPage : 50*walPage])
	content := bytes.Clone(want)
	copy(content[40*walPage:50*walPage], segment(t, ours, "000000010000000000000001", 9)[40*walPage:])
	archive := t.TempDir()
	require.NoError(t, openArchive(t, archive, ours).Push(t.Context(), write(t, seg3, content)))
	require.Equal(t, string(want), readString(t, filepath.Join(archive, seg3)))
}

// TestReadSource_pieces: in whatever pieces a source is read, the same comes out.
func TestReadSource_pieces(t *testing.T) {
	f, err := wal.ParseFileName(seg3)
	require.NoError(t, err)
	want := switched(1)
	path := write(t, seg3, withOldRest(t, want, switchedAt))
	for _, n := range []int{7, 39, 1000, walPage - 1, walPage, walPage + 1, 2*walPage - 2, 100_000, 3 * segSize} {
		file, err := os.Open(path)
		require.NoError(t, err)
		r, err := walarchive.ReadSource(ours, f, file)
		require.NoError(t, err)
		var got bytes.Buffer
		_, err = io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{r}, make([]byte, n))
		require.NoError(t, err)
		require.NoError(t, file.Close())
		require.True(t, bytes.Equal(want, got.Bytes()), "pieces of %d", n)
	}
}

// TestCheckRecords: pages that are in order may hold what no server wrote.
func TestCheckRecords(t *testing.T) {
	place := t.TempDir()
	path := write(t, seg3, segment(t, ours, seg3, 1)) // noise in order
	strict, err := walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: openStore(t, place)}}, Identity: ours, CheckRecords: true})
	require.NoError(t, err)
	var bad *wal.ChainError
	require.ErrorAs(t, strict.Push(t.Context(), path), &bad)
	require.NoFileExists(t, filepath.Join(place, seg3))

	lax := openArchive(t, place, ours)
	require.NoError(t, lax.Push(t.Context(), path))
	report, err := lax.Verify(t.Context(), walarchive.VerifyConfig{})
	require.NoError(t, err)
	require.False(t, report.Bad())
	report, err = strict.Verify(t.Context(), walarchive.VerifyConfig{})
	require.NoError(t, err)
	require.True(t, report.Bad())
	require.ErrorAs(t, report.Findings[0].Err, &bad)
}

func readString(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}
