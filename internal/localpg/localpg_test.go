package localpg_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
)

// fake makes a directory with a postgres of that version.
func fake(t *testing.T, version string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgres"), []byte(script), 0o755)) //nolint:gosec // a program
	return dir
}

func TestInstalls(t *testing.T) {
	first, second := fake(t, "16.3 (Debian 16.3-1)"), fake(t, "16.9")
	newer, unknown, old := fake(t, "18beta1"), fake(t, "99.1"), fake(t, "9.6.24")
	links := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(newer, "postgres"), filepath.Join(links, "postgres")))
	t.Setenv("PATH", filepath.Join(t.TempDir(), "missing")+":"+first+":"+second+":"+links+":"+unknown+":"+old)
	byMajor := map[int]string{}
	last := localpg.MaxMajor + 1
	for _, in := range localpg.Installs() {
		require.Less(t, in.Major, last, "newest first, each once")
		last = in.Major
		byMajor[in.Major] = in.Dir
	}
	require.Equal(t, first, byMajor[16], "the first on PATH counts")
	require.Equal(t, newer, byMajor[18], "a link leads to where the other programs are")
	require.NotContains(t, byMajor, 9)
	require.NotContains(t, byMajor, 99)
}

func TestServers(t *testing.T) {
	store := t.TempDir()
	fetch := func(folder, version string, programs ...string) string {
		bin := filepath.Join(store, folder, "bin")
		require.NoError(t, os.MkdirAll(filepath.Dir(bin), 0o755)) //nolint:gosec // programs
		require.NoError(t, os.Rename(fake(t, version), bin))
		for _, name := range programs {
			require.NoError(t, os.WriteFile(filepath.Join(bin, name), nil, 0o755)) //nolint:gosec // a program
		}
		return bin
	}
	ten := fetch("10", "10.23", "initdb")
	fetch("11", "11.22")
	fetch("12", "16.1", "initdb")
	onPath := fake(t, "16.3")
	require.NoError(t, os.WriteFile(filepath.Join(onPath, "initdb"), nil, 0o755)) //nolint:gosec // a program
	t.Setenv("UNDERSTUDY_POSTGRES_DIR", store)
	t.Setenv("PATH", onPath)
	byMajor := map[int]string{}
	for _, in := range localpg.Servers() {
		byMajor[in.Major] = in.Dir
	}
	require.Equal(t, ten, byMajor[10])
	require.Equal(t, onPath, byMajor[16], "what is installed goes first")
	require.NotContains(t, byMajor, 11, "without initdb")
	require.Equal(t, ten, localpg.Server(t, 10).Dir)
	for _, in := range localpg.Installs() {
		require.NotEqual(t, ten, in.Dir, "no client programs there")
	}
}

func TestOwner(t *testing.T) {
	dir := t.TempDir()
	account, err := localpg.Owner(dir)
	require.NoError(t, err)
	require.NotEmpty(t, account.Name)
	require.NotEqual(t, "root", account.Name)
	require.Equal(t, os.Geteuid() == 0, account.Credential != nil)
}
