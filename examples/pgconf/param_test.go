package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func runParam(t *testing.T, args ...string) (code int, stdout string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), append([]string{"param"}, args...), strings.NewReader(""), &out, &errOut)
	require.Empty(t, errOut.String())
	return code, out.String()
}

func TestParam(t *testing.T) {
	code, out := runParam(t, "MAX_WAL_SIZE", "4GB", "--major", "17")
	require.Zero(t, code)
	require.Equal(t, strings.TrimPrefix(`
parameter  max_wal_size, PostgreSQL 17
type       integer
range      2 to 2147483647
unit       MB; TB, GB, MB, kB, B
default    1GB
change     reload
context    sighup
category   Write-Ahead Log / Checkpoints
since      9.5
in 10      unit: 16MB -> MB
in 10      default: 64 -> 1024
value      4GB, which is 4096
`, "\n"), out)

	code, out = runParam(t, "wal_compression", "lz5")
	require.Equal(t, exitNo, code)
	require.Contains(t, out, "lz4 (if built in)")
	require.Contains(t, out, "yes (pglz)")
	require.Contains(t, out, "value      refused: wal_compression: takes one of pglz, on, off, lz4, zstd\n")

	code, out = runParam(t, "wal_keep_segments", "--major", "12")
	require.Zero(t, code)
	require.Contains(t, out, "gone in    13: the size of that many WAL segments\nuse        wal_keep_size\n")
}

func TestParamUnknown(t *testing.T) {
	code, out := runParam(t, "wal_keep_segments")
	require.Equal(t, exitNo, code)
	require.Equal(t, "unknown parameter \"wal_keep_segments\": gone since 13, use wal_keep_size: the size of that many WAL segments\n", out)
	code, out = runParam(t, "pg_stat_statements.max")
	require.Equal(t, exitNo, code)
	require.Equal(t, "pg_stat_statements.max belongs to an extension, which alone knows it\n", out)
}
