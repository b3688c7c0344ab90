package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const segSize = 1 << 20 // the smallest, so that tests are quick

var cluster = walarchive.Identity{SystemID: 7574928734098123456, SegmentSize: segSize}

// Archive tests what an archive promises on the stores that newStore makes, as for [Run]: of every kind of file, what a push and a
// fetch do if the name is there already, with the same content, with other content, damaged, in another encoding, for another key; and
// that of racing pushers with two contents one content wins and everybody learns it.
func Archive(t *testing.T, newStore func(t *testing.T) walarchive.Store) {
	for _, k := range kinds {
		for _, e := range []string{"none", "zstd", "lz4+age"} {
			t.Run(k.name+"/"+e, func(t *testing.T) {
				a := newArchiveTest(t, newStore(t), k, e)
				t.Run("same", a.same)
				t.Run("other", a.other)
				t.Run("damaged", a.damaged)
				t.Run("damaged_record", a.damagedRecord)
				t.Run("other_codec", a.otherCodec)
				t.Run("other_key", a.otherKey)
			})
		}
	}
	t.Run("race", func(t *testing.T) { Race(t, newStore(t), 20) })
}

// kind is a kind of archived file, of which there are several.
type kind struct {
	name    string
	file    func(n int) string
	content func(name string, seed uint64) []byte
}

func segment(name string, seed uint64) []byte {
	return waltest.Segment(cluster.SystemID, segSize, name, 200_000, seed)
}

var kinds = []kind{
	{"segment", func(n int) string { return fmt.Sprintf("0000000100000000000000%02X", n) }, segment},
	{"partial", func(n int) string { return fmt.Sprintf("0000000100000000000000%02X.partial", n) }, segment},
	{"history", func(n int) string { return fmt.Sprintf("%08X.history", n+2) }, func(_ string, seed uint64) []byte {
		return fmt.Appendf(nil, "1\t0/%X\tno recovery target specified\n", 0x3000060+seed)
	}},
	{"backup", func(n int) string { return fmt.Sprintf("0000000100000000000000%02X.00000028.backup", n) },
		func(name string, seed uint64) []byte {
			number := name[22:24]
			return fmt.Appendf(nil, "START WAL LOCATION: 0/%s00028 (file %s)\nLABEL: %d\n", strings.TrimLeft(number, "0"), name[:24], seed)
		}},
}

// archiveTest is a store that holds files of one kind in one encoding.
type archiveTest struct {
	store    walarchive.Store
	kind     kind
	encoding codec.Encoding
	key      *age.X25519Identity // nil without encryption
}

func newArchiveTest(t *testing.T, s walarchive.Store, k kind, encoding string) archiveTest {
	t.Helper()
	a := archiveTest{store: s, kind: k}
	name, encrypted := strings.CutSuffix(encoding, "+age")
	var err error
	a.encoding, err = codec.ParseEncoding(name)
	require.NoError(t, err)
	if encrypted {
		a.key, err = age.GenerateX25519Identity()
		require.NoError(t, err)
		a.encoding.Recipients = []age.Recipient{a.key.Recipient()}
	}
	return a
}

// archive is the archive for somebody who writes in this encoding and has the key if there is one.
func (a archiveTest) archive(t *testing.T) *walarchive.Archive {
	t.Helper()
	var keys []age.Identity
	if a.key != nil {
		keys = append(keys, a.key)
	}
	w, err := walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: a.store, Encoding: a.encoding}}, Identity: cluster, Keys: keys})
	require.NoError(t, err)
	return w
}

// push pushes the n-th file of the kind with the content of a seed.
func (a archiveTest) push(t *testing.T, n int, seed uint64) error {
	t.Helper()
	name := a.kind.file(n)
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, a.kind.content(name, seed), 0o600))
	return a.archive(t).Push(t.Context(), path)
}

// requireFetched demands that a fetch gives the content that was pushed first, of seed 1.
func (a archiveTest) requireFetched(t *testing.T, n int) {
	t.Helper()
	name, dst := a.kind.file(n), filepath.Join(t.TempDir(), "dst")
	require.NoError(t, a.archive(t).Fetch(t.Context(), name, dst))
	got, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.True(t, bytes.Equal(got, a.kind.content(name, 1)), "%s: fetched something else", name)
}

func (a archiveTest) requireConflict(t *testing.T, err error) {
	t.Helper()
	var conflict *walarchive.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.NotEqual(t, conflict.SourceSum, conflict.StoredSum)
}

// objects are the store's objects, by name, whose names begin with the file's.
func (a archiveTest) objects(t *testing.T, n int) map[string]string {
	t.Helper()
	names, err := a.store.List(t.Context())
	require.NoError(t, err)
	found := map[string]string{}
	for _, name := range names {
		if o, err := walarchive.ParseObject(name); err == nil && o.File.String() == a.kind.file(n) {
			r, err := a.store.Open(t.Context(), name)
			require.NoError(t, err)
			b, err := io.ReadAll(r)
			require.NoError(t, errors.Join(err, r.Close()))
			found[name] = string(b)
		}
	}
	return found
}

func (a archiveTest) same(t *testing.T) {
	require.NoError(t, a.push(t, 0, 1))
	before := a.objects(t, 0)
	require.NoError(t, a.push(t, 0, 1))
	require.Equal(t, before, a.objects(t, 0), "nothing is to be written again")
	a.requireFetched(t, 0)
}

func (a archiveTest) other(t *testing.T) {
	require.NoError(t, a.push(t, 1, 1))
	before := a.objects(t, 1)
	a.requireConflict(t, a.push(t, 1, 2))
	require.Equal(t, before, a.objects(t, 1), "neither replaced nor added to")
	a.requireFetched(t, 1)
}

// damage changes the middle byte of an object.
func (a archiveTest) damage(t *testing.T, object string) {
	t.Helper()
	r, err := a.store.Open(t.Context(), object)
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, errors.Join(err, r.Close()))
	b[len(b)/2] ^= 0x20
	require.NoError(t, a.store.Remove(t.Context(), []string{object}))
	require.NoError(t, a.store.Create(t.Context(), object, bytes.NewReader(b)))
}

// damaged: a damaged copy is never delivered, and a new push writes a good one beside it.
func (a archiveTest) damaged(t *testing.T) { a.repairs(t, 2, a.kind.file(2)) }

func (a archiveTest) damagedRecord(t *testing.T) {
	require.NoError(t, a.push(t, 3, 1))
	record := a.kind.file(3) + ".record"
	if _, ok := a.objects(t, 3)[record]; ok {
		a.repairs(t, 3, record)
	}
}

func (a archiveTest) repairs(t *testing.T, n int, object string) {
	t.Helper()
	name := a.kind.file(n)
	require.NoError(t, a.push(t, n, 1))
	a.damage(t, object)
	before := a.objects(t, n)
	dst := filepath.Join(t.TempDir(), "dst")
	require.ErrorAs(t, a.archive(t).Fetch(t.Context(), name, dst), new(*walarchive.UnknownError))
	require.NoFileExists(t, dst)

	require.NoError(t, a.push(t, n, 1))
	after := a.objects(t, n)
	require.Contains(t, after, name+".repair-1")
	for object, content := range before {
		require.Equal(t, content, after[object], "what is damaged stays")
	}
	a.requireFetched(t, n)
	require.NoError(t, a.push(t, n, 1))
	require.Equal(t, after, a.objects(t, n), "once is enough")
	a.requireConflict(t, a.push(t, n, 2))
}

// otherCodec: whatever the encoding of the second push, it is the content that counts.
func (a archiveTest) otherCodec(t *testing.T) {
	require.NoError(t, a.push(t, 4, 1))
	before := a.objects(t, 4)
	for _, form := range []string{"none", "gzip", "s2+age"} {
		other := newArchiveTest(t, a.store, a.kind, form)
		if a.key != nil {
			other.key = a.key
		}
		require.NoError(t, other.push(t, 4, 1), form)
		a.requireConflict(t, other.push(t, 4, 2))
	}
	require.Equal(t, before, a.objects(t, 4))
	a.requireFetched(t, 4)
}

// otherKey: who cannot decrypt what is there decides by its record.
func (a archiveTest) otherKey(t *testing.T) {
	require.NoError(t, a.push(t, 5, 1))
	before := a.objects(t, 5)
	other := newArchiveTest(t, a.store, a.kind, "lz4+age")
	require.NoError(t, other.push(t, 5, 1))
	a.requireConflict(t, other.push(t, 5, 2))
	require.Equal(t, before, a.objects(t, 5))
	a.requireFetched(t, 5)
	if a.key != nil {
		dst := filepath.Join(t.TempDir(), "dst")
		err := other.archive(t).Fetch(t.Context(), a.kind.file(5), dst)
		require.ErrorAs(t, err, new(*walarchive.UnknownError))
		require.ErrorIs(t, err, codec.ErrNoKey)
		require.NoFileExists(t, dst)
	}
}

// Race lets eight pushers with two contents race for one name, so many times: of segments and timeline histories, encoded in the
// same way and in two. One content wins, who pushed it succeeds, and who pushed the other is told.
func Race(t *testing.T, s walarchive.Store, rounds int) {
	dir := quickDir(t)
	forms := [][2]string{{"none", "none"}, {"zstd", "lz4"}, {"none", "s2"}, {"s2", "none"}}
	for round := range rounds {
		form := forms[round%len(forms)]
		k := kinds[2]
		if round%5 == 0 {
			k = kinds[0]
		}
		k.file = func(int) string {
			if k.name == "history" {
				return fmt.Sprintf("%08X.history", round+2)
			}
			return wal.Segment{Timeline: 1, Number: uint64(round)}.Name(segSize) //nolint:gosec // small
		}
		raceOnce(t, dir, k, [2]archiveTest{newArchiveTest(t, s, k, form[0]), newArchiveTest(t, s, k, form[1])})
	}
}

// quickDir is a directory where an fsync costs nothing, if there is such a place.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "walarchive-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func raceOnce(t *testing.T, dir string, k kind, pushers [2]archiveTest) {
	t.Helper()
	name := k.file(0)
	var paths [2]string
	for i := range paths {
		folder := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.MkdirAll(folder, 0o700))
		paths[i] = filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(paths[i], k.content(name, uint64(i)), 0o600)) //nolint:gosec // small
	}
	errs := make([]error, 8)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		a := pushers[i%2].archive(t)
		wg.Go(func() { <-start; errs[i] = a.Push(t.Context(), paths[i/2%2]) })
	}
	close(start)
	wg.Wait()

	dst := filepath.Join(dir, "dst")
	require.NoError(t, pushers[0].archive(t).Fetch(t.Context(), name, dst))
	defer os.Remove(dst)
	defer os.Remove(paths[0])
	defer os.Remove(paths[1])
	won, err := os.ReadFile(dst)
	require.NoError(t, err)
	for i, err := range errs {
		content, err2 := os.ReadFile(paths[i/2%2])
		require.NoError(t, err2)
		if !bytes.Equal(content, won) {
			require.ErrorAs(t, err, new(*walarchive.ConflictError), "%s: a loser must learn it", name)
			continue
		}
		if err != nil && pushers[0].encoding.CarriesRecord() != pushers[1].encoding.CarriesRecord() {
			// The record of a loser who came to publishing too late was all there was to see. PostgreSQL pushes again.
			require.ErrorAs(t, err, new(*walarchive.ConflictError))
			err = pushers[i%2].archive(t).Push(t.Context(), paths[i/2%2])
		}
		require.NoError(t, err, "%s: who pushed what won", name)
	}
}
