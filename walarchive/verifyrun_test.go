package walarchive_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/codec"
)

// change rewrites an object of the archive.
func (p place) change(t testing.TB, name string, edit func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(p.path, name)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, edit(b), 0o600))
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] ^= 1
		return b
	}
}

func TestVerify(t *testing.T) {
	p := newPlace(t, 7)
	name, text := backupText(2, 3)
	p.pushText(t, name, text)
	p.pushText(t, "00000002.history", historyOf2)
	p.change(t, segmentName(2), flip(segSize-10))
	p.change(t, segmentName(3), flip(500_000))
	p.push(t, segmentName(3), 2) // the same again: repaired beside
	p.change(t, segmentName(4), func(b []byte) []byte { return b[:len(b)-1] })
	require.NoError(t, os.Remove(filepath.Join(p.path, segmentName(5)+".record")))
	p.change(t, segmentName(6)+".record", flip(30))
	p.change(t, name, func(b []byte) []byte { return append(b, "x\n"...) })
	for _, more := range []string{"notes.txt", segmentName(9) + ".record", segmentName(8) + ".received-00002000"} {
		require.NoError(t, os.WriteFile(filepath.Join(p.path, more), []byte("x"), 0o600))
	}
	recipient, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	sealed, err := walarchive.New(walarchive.Config{Identity: ours, Targets: []walarchive.Target{{Store: p.store,
		Encoding: codec.Encoding{Recipients: []age.Recipient{recipient.Recipient()}}}}})
	require.NoError(t, err)
	require.NoError(t, sealed.Push(t.Context(), write(t, segmentName(8), segment(t, ours, segmentName(8), 8))))

	var calls []walarchive.VerifyProgress
	r, err := p.Verify(t.Context(), walarchive.VerifyConfig{Parallel: 3, Progress: func(v walarchive.VerifyProgress) { calls = append(calls, v) }})
	require.NoError(t, err)
	got := map[string]walarchive.Verdict{}
	for _, f := range r.Findings {
		got[f.Name] = f.Verdict
		require.Equal(t, f.Verdict == walarchive.VerdictNoRecord, f.Err == nil, f.String())
	}
	require.Equal(t, map[string]walarchive.Verdict{
		segmentName(2): walarchive.VerdictDamaged, segmentName(3): walarchive.VerdictRepaired, segmentName(4): walarchive.VerdictDamaged,
		segmentName(5): walarchive.VerdictNoRecord, segmentName(6): walarchive.VerdictDamaged, segmentName(8): walarchive.VerdictNoKey,
		name: walarchive.VerdictDamaged,
	}, got)
	require.Equal(t, map[walarchive.Verdict]int{walarchive.VerdictOK: 3, walarchive.VerdictDamaged: 4, walarchive.VerdictRepaired: 1,
		walarchive.VerdictNoRecord: 1, walarchive.VerdictNoKey: 1}, r.Count)
	require.True(t, r.Bad())
	require.IsIncreasing(t, []string{r.Findings[0].Name, r.Findings[1].Name, r.Findings[2].Name})
	require.Len(t, calls, 10)
	last := calls[len(calls)-1]
	require.Equal(t, []int{10, 10}, []int{last.Done, last.Total})
	require.Equal(t, r.Bytes, last.Bytes)
	require.Greater(t, r.Bytes, int64(4*segSize))
	require.True(t, strings.HasSuffix(r.Findings[2].Object, ".repair-1") || r.Findings[1].Object != "", "the good copy is named")

	require.NoError(t, p.Push(t.Context(), write(t, segmentName(7), segment(t, ours, segmentName(7), 6))), "verify changed nothing")
}

func TestVerify_some(t *testing.T) {
	p := newPlace(t, 3)
	p.change(t, segmentName(3), flip(100))
	r, err := p.Verify(t.Context(), walarchive.VerifyConfig{Names: []string{segmentName(1), segmentName(9)}})
	require.NoError(t, err)
	require.True(t, r.Bad())
	require.Equal(t, map[walarchive.Verdict]int{walarchive.VerdictOK: 1, walarchive.VerdictAbsent: 1}, r.Count)
}

func TestVerify_unreadable(t *testing.T) {
	p := newPlace(t, 2)
	q := newPlace(t, 2)
	broken := &faultyStore{Store: q.store, open: func(name string) error {
		if name == segmentName(2) {
			return errors.New("no answer")
		}
		return nil
	}}
	a, err := walarchive.New(walarchive.Config{Identity: ours, Targets: []walarchive.Target{{Name: "one", Store: broken}, {Name: "another", Store: p.store}}})
	require.NoError(t, err)
	p.change(t, segmentName(1), flip(0))
	r, err := a.Verify(t.Context(), walarchive.VerifyConfig{})
	require.NoError(t, err)
	require.Len(t, r.Findings, 2)
	require.Equal(t, "one "+segmentName(2)+" unknown", fmt.Sprint(r.Findings[0].Target, " ", r.Findings[0].Name, " ", r.Findings[0].Verdict))
	require.Equal(t, "another "+segmentName(1)+" damaged", fmt.Sprint(r.Findings[1].Target, " ", r.Findings[1].Name, " ", r.Findings[1].Verdict))
	require.True(t, r.Bad())
}

func TestVerify_ended(t *testing.T) {
	p := newPlace(t, 5)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := p.Verify(ctx, walarchive.VerifyConfig{Parallel: 1, Progress: func(v walarchive.VerifyProgress) {
		if v.Done == 2 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, map[walarchive.Verdict]int{walarchive.VerdictOK: 2}, r.Count)
	// In the middle of a file: that is no finding about it.
	ctx, cancel = context.WithCancel(t.Context())
	slow := &faultyStore{Store: p.store, open: func(name string) error {
		if name == segmentName(3) {
			cancel()
		}
		return nil
	}}
	r, err = newArchive(t, slow, ours).Verify(ctx, walarchive.VerifyConfig{Names: []string{segmentName(1), segmentName(3)}, Parallel: 1})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, map[walarchive.Verdict]int{walarchive.VerdictOK: 1}, r.Count)
	require.Empty(t, r.Findings)
	_, err = emptyPlace(t).Verify(t.Context(), walarchive.VerifyConfig{})
	require.ErrorIs(t, err, walarchive.ErrNoMarker)
}

// TestVerify_names_that_are_not_there: who asks for a file wants to know that it can be restored.
func TestVerify_names_that_are_not_there(t *testing.T) {
	p := newPlace(t, 1)
	r, err := p.Verify(t.Context(), walarchive.VerifyConfig{Names: []string{segmentName(1), segmentName(7), segmentName(1)}})
	require.NoError(t, err)
	require.Equal(t, map[walarchive.Verdict]int{walarchive.VerdictOK: 1, walarchive.VerdictAbsent: 1}, r.Count)
	require.True(t, r.Bad())
	for _, name := range []string{"nonsense", segmentName(1) + ".record", "00000001FFFFFFFFFFFFFFFF"} {
		_, err := p.Verify(t.Context(), walarchive.VerifyConfig{Names: []string{segmentName(1), name}})
		require.Error(t, err, name)
	}
}

// TestVerify_target_that_lacks_a_file: one that must hold every file, and of which another one holds more, is found out.
func TestVerify_target_that_lacks_a_file(t *testing.T) {
	for _, tc := range []struct {
		need walarchive.Need
		bad  bool
	}{{walarchive.Must, true}, {walarchive.BestEffort, false}} {
		full, short := newPlace(t, 3), newPlace(t, 1)
		a, err := walarchive.New(walarchive.Config{Identity: ours, Targets: []walarchive.Target{
			{Store: full.store, Name: "full"}, {Store: short.store, Name: "short", Need: tc.need}}})
		require.NoError(t, err)
		r, err := a.Verify(t.Context(), walarchive.VerifyConfig{})
		require.NoError(t, err)
		require.Equal(t, tc.bad, r.Bad())
		require.Equal(t, 4, r.Count[walarchive.VerdictOK])
		var lacking []string
		for _, f := range r.Findings {
			require.Equal(t, walarchive.VerdictAbsent, f.Verdict)
			lacking = append(lacking, f.Target+" "+f.Name)
		}
		if tc.bad {
			require.Equal(t, []string{"short " + segmentName(2), "short " + segmentName(3)}, lacking)
		} else {
			require.Empty(t, lacking)
		}
	}
}

// TestVerify_beside_a_cleanup: what was removed after it was listed is no finding.
func TestVerify_beside_a_cleanup(t *testing.T) {
	p := newPlace(t, 3)
	r, err := p.Verify(t.Context(), walarchive.VerifyConfig{Parallel: 1, Progress: func(v walarchive.VerifyProgress) {
		for n := range 3 {
			if name := segmentName(n + 1); v.Done == 1 && name != v.Finding.Name {
				require.NoError(t, p.store.Remove(t.Context(), []string{name, name + ".record"}))
			}
		}
	}})
	require.NoError(t, err)
	require.Equal(t, map[walarchive.Verdict]int{walarchive.VerdictOK: 1}, r.Count)
	require.Empty(t, r.Findings)
	require.False(t, r.Bad())
}
