package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const (
	mib    = 1 << 20
	system = wal.SystemID(7)
)

func TestNew(t *testing.T) {
	for text, cfg := range map[string]Config{
		"Dir: missing":            {},
		"Slot: want":              {Dir: "x", Slot: "Receiver"},
		"CreateSlot: needs Slot":  {Dir: "x", CreateSlot: true},
		"FlushEvery: negative":    {Dir: "x", FlushEvery: -1},
		"StatusEvery: negative":   {Dir: "x", StatusEvery: -1},
		"ServerTimeout: negative": {Dir: "x", ServerTimeout: -1},
		"RetryEvery: negative":    {Dir: "x", RetryEvery: -1},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, text)
	}
	r, err := New(Config{Dir: filepath.Join(t.TempDir(), "none"), Slot: "a_1"})
	require.NoError(t, err)
	require.Equal(t, 10*time.Second, r.cfg.StatusEvery)
	require.ErrorIs(t, r.Run(t.Context()), fs.ErrNotExist)
}

func TestLockDir(t *testing.T) {
	dir := t.TempDir()
	d, err := lockDir(dir)
	require.NoError(t, err)
	_, err = lockDir(dir)
	require.ErrorIs(t, err, ErrBusy)
	require.NoError(t, d.Close())
	d, err = lockDir(dir)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestStatusMessage(t *testing.T) {
	b := statusMessage(0x1122334455667788, 0x99, epoch.Add(3*time.Microsecond), true)
	require.Equal(t, []byte{'d', 0, 0, 0, 38, 'r', 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0, 0, 0, 0, 0, 0, 0, 0x99,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1}, b)
	require.Zero(t, statusMessage(1, 0, epoch, false)[38])
}

func TestRecordEnd(t *testing.T) {
	for _, c := range []struct {
		at     wal.LSN
		length uint32
		want   wal.LSN
	}{
		{0x1000028, 100, 0x1000028 + 100},
		{0x1001FF0, 16, 0x1002000},                     // ends with the page
		{0x1001FF0, 17, 0x1002000 + 24 + 1},            // over a short header
		{0x10FFFF0, 32, 0x1100000 + 40 + 16},           // over a long one
		{0x1001FF0, 16 + 8168 + 1, 0x1004000 + 24 + 1}, // over two pages
	} {
		require.Equal(t, c.want, recordEnd(c.at, c.length, mib), "%v %d", c.at, c.length)
	}
}

func TestWholeRecord(t *testing.T) {
	b := waltest.Segment(system, mib, "000000010000000000000010", 3*8192, 1)
	const first = 0x1000000
	put := func(offset int, length uint32) { binary.LittleEndian.PutUint32(b[offset:], length) }
	put(8192+24, 100)
	put(8192+200, 8192)
	put(8192+300, 0)
	for name, c := range map[string]struct {
		at, end wal.LSN
		want    bool
	}{
		"whole":                   {first + 8192 + 24, first + 8192 + 124, true},
		"at the page's beginning": {first + 8192, first + 8192 + 124, true},
		"a byte is missing":       {first + 8192 + 24, first + 8192 + 123, false},
		"goes on":                 {first + 8192 + 200, first + 2*8192, false},
		"goes on and is whole":    {first + 8192 + 200, first + 2*8192 + 224, true},
		"nothing":                 {first + 8192 + 300, first + 2*8192, false},
		"its length is missing":   {first + 8192 + 24, first + 8192 + 27, false},
		"before the segment":      {first - 8, first + 8192, true},
		"behind the end":          {first + 3*8192, first + 8192, false},
	} {
		require.Equal(t, c.want, wholeRecord(b, first, c.at, c.end, mib), name)
	}
}

func TestFollow(t *testing.T) {
	h3 := wal.History{Timeline: 3, Entries: []wal.HistoryEntry{{Timeline: 1, End: 0x1000100}, {Timeline: 2, End: 0x2000000}}}
	h5 := wal.History{Timeline: 5, Entries: []wal.HistoryEntry{{Timeline: 1, End: 0x1000100}, {Timeline: 4, End: 0x2000000}}}
	for name, c := range map[string]struct {
		at     place
		end    wal.LSN
		whole  bool
		server source
		want   place
		err    any
	}{
		"same timeline":               {at: place{1, 0x100}, server: source{timeline: 1, position: 0x100, primary: true}, want: place{1, 0x100}},
		"a standby that is behind":    {at: place{1, 0x100}, server: source{timeline: 1, position: 0x90}, want: place{1, 0x100}},
		"a primary that is behind":    {at: place{1, 0x100}, server: source{timeline: 1, position: 0x90, primary: true}, err: new(*BehindError)},
		"an older timeline":           {at: place{4, 0x100}, server: source{timeline: 3, position: 0x90, history: h3}, err: new(*BehindError)},
		"before the switch":           {at: place{1, 0x10000FF}, server: source{timeline: 3, history: h3}, want: place{1, 0x10000FF}},
		"at the switch":               {at: place{1, 0x1000100}, server: source{timeline: 3, history: h3}, want: place{2, 0x1000000}},
		"to the next, not the newest": {at: place{1, 0x1000100}, server: source{timeline: 5, history: h5}, want: place{4, 0x1000000}},
		"to the newest":               {at: place{2, 0x2000000}, server: source{timeline: 3, history: h3}, want: place{3, 0x2000000}},
		"beyond, a piece of a record": {at: place{1, 0x1000108}, end: 0x1000108, server: source{timeline: 3, history: h3}, want: place{2, 0x1000000}},
		"beyond, a record":            {at: place{1, 0x1000180}, end: 0x1000180, whole: true, server: source{timeline: 3, history: h3}, err: new(*ForkedError)},
		"a record of an earlier run":  {at: place{1, 0x1000100}, end: 0x1000180, whole: true, server: source{timeline: 3, history: h3}, err: new(*ForkedError)},
		"not in the history":          {at: place{3, 0x100}, server: source{timeline: 5, history: h5}, err: new(*ForkedError)},
		"no history":                  {at: place{1, 0x100}, server: source{timeline: 2, history: wal.History{Timeline: 2}}, err: new(*ForkedError)},
	} {
		got, err := follow(c.at, max(c.end, c.at.lsn), func(wal.LSN) (bool, error) { return c.whole, nil }, c.server, mib)
		if c.err != nil {
			require.ErrorAs(t, err, c.err, name)
			require.True(t, permanent(err), name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}

func TestArchiveEnd(t *testing.T) {
	_, found := archiveEnd([]string{"understudy-archive", "00000002.history", "000000010000000000000002.partial"}, mib)
	require.False(t, found)
	at, found := archiveEnd([]string{"000000020000000000000004", "000000010000000000000009", "000000020000000000000005", "000000020000000000000003"}, mib)
	require.True(t, found)
	require.Equal(t, place{2, 0x600000}, at)
}

// staged opens a staging directory in which one segment lies.
func stagedIn(t *testing.T, name string, b []byte) *staging {
	t.Helper()
	s := openStaging(t.TempDir(), mib, system)
	t.Cleanup(s.close)
	if name != "" {
		require.NoError(t, os.WriteFile(s.path(name), b, 0o600))
	}
	return s
}

const (
	name1 = "000000010000000000000010"
	at1   = wal.LSN(0x1000000)
)

func TestStaging(t *testing.T) {
	want := waltest.Segment(system, mib, name1, mib, 1)
	s := stagedIn(t, "", nil)
	_, found, err := s.inspect()
	require.NoError(t, err)
	require.False(t, found)
	require.Error(t, s.write(place{1, at1 + 5}, want[5:10]), "not the beginning of a segment")

	s.begin(place{1, at1})
	at := place{1, at1}
	for i := 0; i < mib; i += 100_000 {
		p := want[i:min(i+100_000, mib)]
		require.NoError(t, s.write(at, p))
		at.lsn += wal.LSN(len(p))
		if i == 300_000 { // half-way: durable as far as it goes, a full-size .partial
			got, err := s.sync()
			require.NoError(t, err)
			require.Equal(t, place{1, at1 + 400_000}, got)
			info, err := os.Stat(s.path(name1 + ".partial"))
			require.NoError(t, err)
			require.Equal(t, int64(mib), info.Size())
			seg, upto := s.beginning()
			require.Equal(t, wal.Segment{Timeline: 1, Number: 0x10}, seg)
			require.Equal(t, int64(400_000), upto)
			require.True(t, s.busy(name1+".partial"))
		}
	}
	require.Equal(t, place{1, at1 + 400_000}, s.durable(), "not synced yet")
	got, err := s.sync()
	require.NoError(t, err)
	require.Equal(t, place{1, at1 + mib}, got)
	require.False(t, s.busy(name1))
	b, err := os.ReadFile(s.path(name1))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, b))
	require.NoFileExists(t, s.path(name1+".partial"))

	again, found, err := openStaging(s.dir, mib, system).inspect()
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, place{1, at1 + mib}, again)
	_, _, err = openStaging(s.dir, 2*mib, system).inspect()
	require.ErrorAs(t, err, new(*SegmentSizeError))
	_, _, err = openStaging(s.dir, mib, system+1).inspect()
	require.ErrorAs(t, err, new(*ForeignServerError))
}

// What a crash leaves is received again: some of it may be zeros, nothing of it may be something else.
func TestStaging_again(t *testing.T) {
	want := waltest.Segment(system, mib, name1, mib, 1)
	torn := bytes.Clone(want)
	clear(torn[500_000:])
	clear(torn[200_000:204_096])
	run := func(have []byte) (*staging, error) {
		s := stagedIn(t, name1+".partial", have)
		at, found, err := s.inspect()
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, place{1, at1}, at)
		require.NoError(t, s.resume(at))
		if len(have) > 0 {
			require.Greater(t, s.end(at1), at1+400_000)
		}
		err = s.write(at, want)
		return s, err
	}
	for _, have := range [][]byte{torn, {}} {
		s, err := run(have)
		require.NoError(t, err)
		_, err = s.sync()
		require.NoError(t, err)
		b, err := os.ReadFile(s.path(name1))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, b))
	}

	torn[300_000]++
	s, err := run(torn)
	var diverged *DivergedError
	require.ErrorAs(t, err, &diverged)
	require.Equal(t, at1+300_000, diverged.LSN)
	b, err := os.ReadFile(s.path(diverged.File))
	require.NoError(t, err)
	require.True(t, bytes.Equal(torn, b), "the evidence is untouched")
}

// A standby sends old bytes behind a switch.
func TestStaging_relayed(t *testing.T) {
	want := waltest.Segment(system, mib, name1, 300_000, 1)
	old := waltest.Segment(system, mib, "000000010000000000000008", mib, 2)
	sent := bytes.Clone(want)
	copy(sent[400_000:], old[400_000:])

	s := stagedIn(t, "", nil)
	s.relay = true
	require.NoError(t, s.write(place{1, at1}, sent))
	_, err := s.sync()
	require.NoError(t, err)
	b, err := os.ReadFile(s.path(name1))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, b))

	// Damage is not taken for old bytes: the archive is to refuse it.
	damaged := waltest.Segment(system, mib, name1, mib, 1)
	copy(damaged[400_000:], old[400_000:])
	s = stagedIn(t, "", nil)
	s.relay = true
	require.NoError(t, s.write(place{1, at1}, damaged))
	_, err = s.sync()
	require.NoError(t, err)
	b, err = os.ReadFile(s.path(name1))
	require.NoError(t, err)
	require.True(t, bytes.Equal(damaged, b))

	// Sent by a primary, it stays: the archive decides. And it may differ the next time.
	s = stagedIn(t, name1+".partial", sent)
	require.NoError(t, s.resume(place{1, at1}))
	require.NoError(t, s.write(place{1, at1}, want))
}

// A segment is begun before the last one is durable. After a kill, all of them are received again.
func TestStaging_severalPartial(t *testing.T) {
	whole := waltest.Segment(system, mib, name1, mib, 1)
	next := waltest.Segment(system, mib, "000000010000000000000011", mib, 1)
	s := stagedIn(t, name1+".partial", whole)
	require.NoError(t, os.WriteFile(s.path("000000010000000000000011.partial"), next, 0o600))
	at, found, err := s.inspect()
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, place{1, at1}, at)
	require.False(t, s.isLeft(wal.Segment{Timeline: 1, Number: 0x10}))

	// A later timeline says what was left and what was not.
	require.NoError(t, os.WriteFile(s.path("000000020000000000000011.partial"), nil, 0o600))
	require.NoError(t, s.keep("00000002.history", []byte("1\t0/1100100\tx\n")))
	at, _, err = s.inspect()
	require.NoError(t, err)
	require.Equal(t, place{1, at1}, at)
	require.NoError(t, os.Rename(s.path(name1+".partial"), s.path(name1)))
	at, _, err = s.inspect()
	require.NoError(t, err)
	require.Equal(t, place{2, at1 + mib}, at)
	require.True(t, s.isLeft(wal.Segment{Timeline: 1, Number: 0x11}))

	// A complete segment counts for more than what is left of it as a partial one.
	require.NoError(t, os.WriteFile(s.path("000000020000000000000011"), waltest.Segment(system, mib, "000000020000000000000011", mib, 1), 0o600))
	at, _, err = s.inspect()
	require.NoError(t, err)
	require.Equal(t, place{2, at1 + 2*mib}, at)
}

func TestStaging_leave(t *testing.T) {
	want := waltest.Segment(system, mib, name1, mib, 1)
	s := stagedIn(t, "", nil)
	require.NoError(t, s.write(place{1, at1}, want[:300_000]))
	whole, err := s.wholeRecordAt(at1 - 8)
	require.NoError(t, err)
	require.True(t, whole)
	s.leave()
	next := waltest.Segment(system, mib, "000000020000000000000010", mib, 1)
	require.NoError(t, s.write(place{2, at1}, next[:100]))
	require.True(t, s.busy(name1+".partial"))
	got, err := s.sync()
	require.NoError(t, err)
	require.Equal(t, place{2, at1 + 100}, got)
	require.False(t, s.busy(name1+".partial"))
	f, err := os.Open(s.path(name1 + ".partial"))
	require.NoError(t, err)
	defer f.Close()
	n, err := s.received(wal.Segment{Timeline: 1, Number: 0x10}, f)
	require.NoError(t, err)
	require.Equal(t, int64(300_000), n)
	require.NoError(t, s.keep("00000002.history", []byte("1\t0/1000100\tx\n")))
	at, _, err := s.inspect()
	require.NoError(t, err)
	require.Equal(t, place{2, at1}, at)
}

// Nothing counts as durable before the file and its name are.
func TestStaging_syncFails(t *testing.T) {
	want := waltest.Segment(system, mib, name1, mib, 1)
	for _, step := range []atomicfile.Step{atomicfile.StepSyncDir, atomicfile.StepRename} {
		s := stagedIn(t, "", nil)
		s.begin(place{1, at1})
		require.NoError(t, s.write(place{1, at1}, want))
		broken := errors.New("broken")
		restore := atomicfile.SetHook(func(now atomicfile.Step) error {
			if now == step {
				return broken
			}
			return nil
		})
		_, err := s.sync()
		restore()
		require.ErrorIs(t, err, broken)
		require.True(t, permanent(err))
		require.Equal(t, place{1, at1}, s.durable())
	}
}

func TestStaging_durable(t *testing.T) {
	want := waltest.Segment(system, mib, name1, mib, 1)
	s := stagedIn(t, "", nil)
	s.begin(place{1, at1})
	synced, broken := 0, errors.New("broken")
	s.fsync = func(*os.File) error { synced++; return broken }
	require.NoError(t, s.write(place{1, at1}, want[:1000]))
	_, err := s.sync()
	require.ErrorIs(t, err, broken)
	require.Equal(t, place{1, at1}, s.durable())

	// A new file's name, too.
	s.fsync = func(*os.File) error { synced++; return nil }
	restore := atomicfile.SetHook(func(step atomicfile.Step) error {
		if step == atomicfile.StepSyncDir {
			return broken
		}
		return nil
	})
	_, err = s.sync()
	restore()
	require.ErrorIs(t, err, broken)
	require.Equal(t, place{1, at1}, s.durable())
	got, err := s.sync()
	require.NoError(t, err)
	require.Equal(t, place{1, at1 + 1000}, got)
	require.Equal(t, 3, synced)
	_, err = s.sync()
	require.NoError(t, err)
	require.Equal(t, 3, synced, "nothing new")
}

// memory is an archive that notes what it gets.
type memory struct {
	got  []string
	fail error
}

func (m *memory) Push(_ context.Context, path string) error {
	m.got = append(m.got, filepath.Base(path))
	return m.fail
}

func (m *memory) PushReceived(_ context.Context, segment string, upto uint32, _ io.Reader) error {
	m.got = append(m.got, fmt.Sprintf("%s:%d", segment, upto))
	return m.fail
}

func (m *memory) Names(context.Context) ([]string, error) { return nil, nil }

func TestUploader(t *testing.T) {
	m := &memory{}
	r, err := New(Config{Dir: "x", Archive: m})
	require.NoError(t, err)
	s := stagedIn(t, name1, waltest.Segment(system, mib, name1, mib, 1))
	const left, next = "000000010000000000000011", "000000020000000000000011"
	require.NoError(t, os.WriteFile(s.path(left+".partial"), waltest.Segment(system, mib, left, 8192, 1), 0o600))
	require.NoError(t, s.keep("00000002.history", []byte("1\t0/1100100\tx\n")))
	require.NoError(t, os.WriteFile(s.path(next), waltest.Segment(system, mib, next, mib, 1), 0o600))
	at, _, err := s.inspect()
	require.NoError(t, err)
	u := newUploader(r, s)

	// Nothing goes before the archive has it.
	m.fail = errors.New("away")
	require.ErrorIs(t, u.pass(t.Context(), false), m.fail)
	require.Equal(t, []string{"00000002.history"}, m.got)
	m.fail, m.got = nil, nil
	require.NoError(t, u.pass(t.Context(), false))
	require.Equal(t, []string{"00000002.history", name1, left + ":8185", next}, m.got) // up to the last byte that is not zero
	require.NoFileExists(t, s.path(name1))
	require.NoFileExists(t, s.path(left+".partial"))
	require.FileExists(t, s.path(next), "it says where to go on")
	require.Equal(t, at1+2*mib, r.Status().Archived)
	m.got = nil
	require.NoError(t, u.pass(t.Context(), false))
	require.Empty(t, m.got, "once is enough")

	// The beginning of the next, when it is durable and not more often than wanted.
	const third = "000000020000000000000012"
	require.NoError(t, s.write(at, waltest.Segment(system, mib, third, mib, 1)[:5000]))
	require.NoError(t, u.pass(t.Context(), true))
	require.Equal(t, []string{}, append([]string{}, m.got...), "not durable yet")
	_, err = s.sync()
	require.NoError(t, err)
	require.NoError(t, u.pass(t.Context(), false))
	require.Empty(t, m.got, "not time yet")
	require.NoError(t, u.pass(t.Context(), true))
	require.NoError(t, u.pass(t.Context(), true))
	require.Equal(t, []string{third + ":5000"}, m.got)
	require.NoFileExists(t, s.path(next), "a later file says where to go on")

	// A segment that is to be received again, and all after it, wait.
	m.got = nil
	s = stagedIn(t, name1+".partial", waltest.Segment(system, mib, name1, mib, 1))
	require.NoError(t, os.WriteFile(s.path(left), waltest.Segment(system, mib, left, mib, 1), 0o600))
	_, _, err = s.inspect()
	require.NoError(t, err)
	require.NoError(t, newUploader(r, s).pass(t.Context(), true))
	require.Empty(t, m.got)
	require.FileExists(t, s.path(name1+".partial"))
}

func TestKeep(t *testing.T) {
	s := stagedIn(t, "", nil)
	require.NoError(t, s.keep("00000002.history", []byte("1\t0/1000100\tx\n")))
	require.NoError(t, s.keep("00000002.history", []byte("1\t0/1000100\tx\n")))
	err := s.keep("00000002.history", []byte("1\t0/1000200\tx\n"))
	require.True(t, permanent(err))
}

// No error shows a secret of the connection string.
func TestSecrets(t *testing.T) {
	for _, text := range []string{"host=127.0.0.1 port=1 password=MARKER", "postgres://u:MARKER@127.0.0.1:1/x", "host=h password=MARKER sslmode=nonsense"} {
		info, err := conninfo.Parse(text)
		if err != nil {
			continue
		}
		_, err = Identify(t.Context(), info)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "MARKER")
	}
}

// Whatever length a record claims, its end is behind it and not on a page header.
func FuzzRecordEndIsBehind(f *testing.F) {
	f.Add(uint64(0x1000028), uint32(100))
	f.Add(uint64(0x10FFFF0), uint32(1<<30))
	f.Fuzz(func(t *testing.T, at uint64, length uint32) {
		lsn := skipHeader(wal.LSN(at%(1<<40)), mib)
		length = length%maxRecordLength + 1
		end := recordEnd(lsn, length, mib)
		pages := uint64(end-1)/pageSize - uint64(lsn)/pageSize
		over := uint64(end-lsn) - uint64(length)
		segments := uint64(end-1)/mib - uint64(lsn)/mib
		if over != pages*shortHeaderSize+segments*(wal.SegmentHeaderSize-shortHeaderSize) {
			t.Fatalf("%v + %d = %v", lsn, length, end)
		}
	})
}

func TestMessages(t *testing.T) {
	for _, err := range []error{&ForeignServerError{1, 2}, &SegmentSizeError{"x", 1, 2}, &ForkedError{1, 2, 3, 0}, &ForkedError{1, 2, 3, 4}, &BehindError{1, 2, 3, 4},
		&DivergedError{"x", 2}, &GapError{1, 2, errors.New("x")}, &SlotError{"x", errors.New("x")}} {
		require.True(t, permanent(err))
		require.False(t, strings.Contains(err.Error(), "%!"), "%v", err)
	}
	require.False(t, permanent(ErrConnectionLost))
}
