package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/recovery/basebackup"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

// call runs the command.
func call(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, problems bytes.Buffer
	code = run(ctx, args, nil, &out, &problems)
	return code, out.String(), problems.String()
}

func TestRun_usage(t *testing.T) {
	for _, args := range [][]string{{}, {"host=a"}, {"--wal", "some", "host=a", "t"}, {"nonsense", "t"}, {"--manifest=MD5", "host=a", "t"}} {
		code, _, problems := call(t.Context(), args...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, problems, "see basebackup --help")
	}
	code, _, problems := call(t.Context(), "host=a password=s3cret", "t")
	require.Equal(t, exitUsage, code)
	require.Contains(t, problems, "name a passfile instead")
	require.NotContains(t, problems, "s3cret")
	code, help, _ := call(t.Context(), "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, help, "CRC32C,NONE,SHA224")
}

func TestRun_copies(t *testing.T) {
	w := pgserver.New(t, localpg.Server(t, localpg.MaxMajor))
	s := w.Initdb("primary")
	s.Up()
	target := filepath.Join(w.Dir, "copy")
	code, out, problems := call(t.Context(), s.Conninfo(), target)
	require.Equal(t, exitOK, code, problems)
	require.Contains(t, out, target+": PostgreSQL 18, system ")
	require.Contains(t, out, "files verified with the backup manifest")
	for _, phase := range []string{"connecting", "waiting for checkpoint", "copying: ", "verifying", "syncing", "finished"} {
		require.Contains(t, problems, phase)
	}

	code, _, problems = call(t.Context(), s.Conninfo(), target)
	require.Equal(t, exitFailed, code)
	require.Contains(t, problems, "is not empty (--aside renames")
	code, out, problems = call(t.Context(), "--tar", "--wal=fetch", "--max-rate=1000", "--aside", target+".old", s.Conninfo(), target)
	require.Equal(t, exitOK, code, problems)
	require.Contains(t, out, "what was there before: "+target+".old")
	require.FileExists(t, filepath.Join(target, "base.tar"))
	require.FileExists(t, filepath.Join(target+".old", "PG_VERSION"))

	code, _, problems = call(t.Context(), "--tablespace", "/not, there=/b=c", s.Conninfo(), target+"2")
	require.Equal(t, exitFailed, code)
	require.Contains(t, problems, "no tablespace at /not, there")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, problems = call(ctx, s.Conninfo(), target+"2")
	require.Equal(t, exitInterrupted, code)
	require.Contains(t, problems, "interrupted")
}

func TestOptions(t *testing.T) {
	o := flags{WAL: "none", Checkpoint: "spread", Manifest: "SHA512", MaxRate: 0.5, Tablespace: map[string]string{"/a": "/b"}}.options()
	require.Equal(t, basebackup.Options{
		WAL: basebackup.NoWAL, Checkpoint: basebackup.Spread, Manifest: basebackup.SHA512, MaxRate: 512 << 10, Tablespaces: map[string]string{"/a": "/b"},
	}, o)
}

func TestPrinter_lines(t *testing.T) {
	var out strings.Builder
	p := newPrinter(&out)
	for _, now := range []basebackup.Progress{
		{Phase: basebackup.Waiting}, {Phase: basebackup.Waiting, Elapsed: 2 * time.Second},
		{Phase: basebackup.Waiting, Elapsed: 11 * time.Second, Limit: time.Minute},
		{Phase: basebackup.Copying, Done: 1 << 20, Total: 4 << 20, ETA: 3 * time.Second, Tablespace: "/srv/fast"},
	} {
		p.progress(now)
	}
	p.close()
	require.Equal(t, `waiting for checkpoint
waiting for checkpoint of the server, for 11s; a spread one takes up to 1m0s
copying: 1 of 4 MiB, 3s left (tablespace /srv/fast)
`, out.String())
}
