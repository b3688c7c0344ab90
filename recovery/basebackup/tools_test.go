package basebackup_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/internal/pgtest"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/basebackup"
	"github.com/understudy-ha/understudy/topology/host"
)

// withTool returns an installed PostgreSQL that has a client program.
func withTool(t *testing.T, program string) localpg.Install {
	t.Helper()
	found := localpg.Installs()
	i := slices.IndexFunc(found, func(i localpg.Install) bool {
		_, err := os.Stat(i.Bin(program))
		return err == nil
	})
	if i < 0 {
		localpg.Missing(t, "no PostgreSQL with "+program)
	}
	return found[i]
}

// The folder is the same as that of pg_basebackup, but for what says when it was made.
func TestRun_as_pg_basebackup(t *testing.T) {
	w := pgserver.New(t, withTool(t, "pg_basebackup"))
	s := w.Initdb("primary")
	s.Up("-c", "autovacuum=off")
	m := mapped(fill(t, s), " ours")
	ours, theirs := filepath.Join(w.Dir, "ours"), filepath.Join(w.Dir, "theirs")
	_, err := basebackup.Run(t.Context(), source(t, s), basebackup.Options{Target: ours, Tablespaces: m})
	require.NoError(t, err)
	args := []string{"-D", theirs, "-d", s.Conninfo(), "-c", "fast"}
	for from := range m {
		args = append(args, "-T", from+"="+from+" theirs")
	}
	w.RunCommand("pg_basebackup", args...)
	require.Equal(t, listing(t, theirs), listing(t, ours))
	for from, to := range m {
		require.Equal(t, listing(t, from+" theirs"), listing(t, to))
	}
}

// listing returns each file below a folder with its mode and content, but for what differs between two backups. Segments have the number
// of the next backup.
func listing(t *testing.T, root string) map[string]string {
	t.Helper()
	differs := []string{"backup_label", "backup_manifest", "global/pg_control"}
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "pg_wal/archive_status/") {
			return nil // whether the rest of the last segment comes before the end of the backup is a matter of luck, for both
		}
		size := ""
		switch {
		case d.IsDir() || d.Type() == fs.ModeSymlink:
		case strings.HasPrefix(name, "pg_wal/"):
			segment := filepath.Base(name)
			name = filepath.Join(filepath.Dir(name), "segment"+filepath.Ext(segment))
			size = fmt.Sprint(info.Size())
		case !slices.Contains(differs, name):
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			size = string(content)
		}
		all[name] = info.Mode().String() + " " + size
		return nil
	}))
	return all
}

// pg_verifybackup of the server's own major accepts the copy, its WAL included. The copy is made over TCP with a password.
func TestRun_verified_by_the_same_major(t *testing.T) {
	for _, major := range []int{13, 17, 18} {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			t.Parallel()
			n := pgtest.NewCluster(t, pgtest.Config{Major: major}).Nodes[0]
			n.StartPrimary(t)
			n.MustQuery(t, "create table a as select i from generate_series(1, 10000) i")
			from, err := conninfo.Parse(n.ConnString())
			require.NoError(t, err)
			target := filepath.Join(t.TempDir(), "copy")
			result, err := basebackup.Run(t.Context(), from, basebackup.Options{Target: target, Manifest: basebackup.SHA512})
			require.NoError(t, err)
			require.True(t, result.Manifest)

			run := func(stdin io.Reader, program string, args ...string) string {
				t.Helper()
				out, err := n.Host().Run(t.Context(), host.Cmd{Path: program, Args: args, Stdin: stdin})
				require.NoError(t, err)
				return string(out.Stdout)
			}
			run(nil, "mkdir", "/tmp/copy")
			run(packed(t, target), "tar", "-x", "-C", "/tmp/copy")
			require.Contains(t, run(nil, n.Bin("pg_verifybackup"), "/tmp/copy"), "backup successfully verified")
		})
	}
}

// packed is a folder as a tar archive.
func packed(t *testing.T, dir string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.AddFS(os.DirFS(dir)))
	require.NoError(t, w.Close())
	return &b
}
