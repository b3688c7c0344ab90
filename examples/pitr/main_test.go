package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func runIt(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, nil, &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestUsage(t *testing.T) {
	code, out, _ := runIt(t, "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "--restore-command")
	needed := []string{"backup", "data", "--bin-dir=/bin", "--restore-command=false"}
	for _, args := range [][]string{
		nil, needed[:3], append(needed, "--lsn=03000148"), append(needed, "--lsn=0/3000148", "--xid=5"), append(needed, "--then=stop"), append(needed, "--xid=-1"),
	} {
		code, _, errOut := runIt(t, args...)
		require.Equal(t, exitUsage, code, "%v", args)
		require.Contains(t, errOut, "see pitr --help")
	}
}

func TestTarget(t *testing.T) {
	for _, tc := range []struct {
		flags flags
		want  recovery.Target
	}{
		{flags{}, nil},
		{flags{Time: "2026-03-01 12:00+00", Exclusive: true}, recovery.TargetTime{Text: "2026-03-01 12:00+00", Exclusive: true}},
		{flags{LSN: "0/3000148"}, recovery.TargetLSN{LSN: wal.LSN(0x3000148)}},
		{flags{Name: "release"}, recovery.TargetName{Name: "release"}},
		{flags{XID: 731, Exclusive: true}, recovery.TargetXID{XID: 731, Exclusive: true}},
		{flags{Consistency: true}, recovery.TargetImmediate{}},
	} {
		tc.flags.Then = "promote"
		o, err := tc.flags.options()
		require.NoError(t, err)
		require.Equal(t, tc.want, o.Target)
		require.Equal(t, tc.want == nil, o.Action == "")
	}
}

// What is no backup is not touched, and nothing is made.
func TestFails(t *testing.T) {
	dir := t.TempDir()
	backup := filepath.Join(dir, "backup")
	require.NoError(t, os.Mkdir(backup, 0o700))
	code, out, errOut := runIt(t, backup, filepath.Join(dir, "data"), "--bin-dir=/bin", "--restore-command=false", "--xid=5")
	require.Equal(t, exitFailed, code)
	require.Empty(t, out)
	require.Contains(t, errOut, "backup_label")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
