package basebackup_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/basebackup"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(pgserver.Run(m))
}

// source is how to reach a server.
func source(t testing.TB, s *pgserver.Server) conninfo.Info {
	t.Helper()
	info, err := conninfo.Parse(s.Conninfo())
	require.NoError(t, err)
	return info
}

// give makes the owner of the world the owner of a copy, so that its servers can start in it.
func give(t testing.TB, w *pgserver.World, roots ...string) {
	t.Helper()
	if w.Owner.Credential == nil {
		return
	}
	for _, root := range roots {
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, int(w.Owner.Credential.Uid), int(w.Owner.Credential.Gid))
		}))
	}
}

// folder makes a folder of the world that its owner may write in.
func folder(t testing.TB, w *pgserver.World, name string) string {
	t.Helper()
	dir := filepath.Join(w.Dir, name)
	require.NoError(t, os.Mkdir(dir, 0o700))
	give(t, w, dir)
	return dir
}

// fill gives a server something to copy: tables in two tablespaces, one of them with a space in its name.
func fill(t testing.TB, s *pgserver.Server) (spaces []string) {
	t.Helper()
	for _, name := range []string{"fast disk", "slow"} {
		spaces = append(spaces, folder(t, s.World, filepath.Base(s.Data)+" "+name))
	}
	s.Exec(
		"create tablespace fast location '"+spaces[0]+"'", "create tablespace slow location '"+spaces[1]+"'",
		"create table a as select i, md5(i::text) from generate_series(1, 20000) i",
		"create table b tablespace fast as select i, md5(i::text) from generate_series(1, 5000) i",
		"create table c (i int) tablespace slow", "insert into c values (1)",
		"create unlogged table u as select 1")
	return spaces
}

const content = `select (select md5(string_agg(a::text, '')) from (select * from a order by i) a) ||
	(select md5(string_agg(b::text, '')) from (select * from b order by i) b) || (select count(*) from c)`

// mapped maps tablespaces to folders beside them.
func mapped(spaces []string, suffix string) map[string]string {
	m := map[string]string{}
	for _, s := range spaces {
		m[s] = s + suffix
	}
	return m
}

// standby makes a copy a standby of a server.
func standby(of *pgserver.Server) func(context.Context, string) error {
	settings := "primary_conninfo = '" + of.Conninfo() + " application_name=standby'\nrecovery_target_timeline = 'latest'\n"
	return func(_ context.Context, dir string) error {
		if of.World.Major < 12 {
			return os.WriteFile(filepath.Join(dir, "recovery.conf"), []byte("standby_mode = on\n"+settings), 0o600)
		}
		f, err := os.OpenFile(filepath.Join(dir, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, settings)
		return errors.Join(err, f.Close(), os.WriteFile(filepath.Join(dir, "standby.signal"), nil, 0o600))
	}
}

func TestRun(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up()
		spaces := fill(t, primary)
		want := primary.Ask(content)

		// A standby, made of a plain copy.
		clone := w.Server("copy")
		m := mapped(spaces, " copy")
		var phases []basebackup.Phase
		got, err := basebackup.Run(t.Context(), source(t, primary), basebackup.Options{
			Target: clone.Data, Tablespaces: m,
			Progress: func(p basebackup.Progress) { phases = append(phases, p.Phase) },
			Prepare: func(ctx context.Context, dir string) error {
				require.Equal(t, clone.Data+".incoming", dir)
				wantNoStart(t, primary, dir)
				return standby(primary)(ctx, dir)
			},
		})
		require.NoError(t, err)
		require.Equal(t, []basebackup.Phase{basebackup.Connecting, basebackup.Waiting, basebackup.Copying, basebackup.WaitingWAL,
			basebackup.Verifying, basebackup.Preparing, basebackup.Syncing, basebackup.Finished}, slices.Compact(phases))
		require.Equal(t, clone.Data, got.Dir)
		require.Equal(t, w.Major, int(got.Major))
		require.Equal(t, w.Major >= 13, got.Manifest)
		require.Empty(t, got.Warnings)
		require.Less(t, got.Start, got.End)
		require.Len(t, got.Tablespaces, 2)
		for _, space := range got.Tablespaces {
			require.Equal(t, m[space.Source], space.Location)
			target, err := os.Readlink(filepath.Join(clone.Data, "pg_tblspc", fmt.Sprint(space.OID)))
			require.NoError(t, err)
			require.Equal(t, space.Location, target)
			require.NoFileExists(t, filepath.Join(space.Location, "understudy-incoming"))
			give(t, w, space.Location)
		}
		require.NoFileExists(t, filepath.Join(clone.Data, "understudy-incoming"))
		verifyBackup(t, w, clone.Data)
		give(t, w, clone.Data)
		clone.Up()
		require.Equal(t, "true", clone.Ask("select pg_is_in_recovery()"))
		require.Equal(t, want, clone.Ask(content))
		primary.Exec("insert into c values (2)")
		clone.Wait("select count(*) = 2 from c")
		want = primary.Ask(content)

		// A copy of the standby, standing alone, with the WAL fetched, and as tar files.
		second := w.Server("second")
		primary.Exec("checkpoint") // or a restartpoint from before the table is all that the standby can offer
		got, err = basebackup.Run(t.Context(), source(t, clone), basebackup.Options{
			Target: second.Data + " tar", Format: basebackup.Tar, WAL: basebackup.Fetch, Manifest: basebackup.SHA256, Checkpoint: basebackup.Spread,
		})
		require.NoError(t, err)
		require.Equal(t, []string{}, beyond(t, got.Dir, append([]string{"base.tar"}, tarNames(got)...), w.Major >= 13))
		untar(t, filepath.Join(got.Dir, "base.tar"), second.Data)
		remap(t, second.Data, " copy", " second")
		for _, space := range got.Tablespaces {
			to := strings.TrimSuffix(space.Source, " copy") + " second"
			untar(t, filepath.Join(got.Dir, fmt.Sprint(space.OID)+".tar"), to)
			give(t, w, to)
		}
		for _, signal := range []string{"standby.signal", "recovery.conf"} {
			_ = os.Remove(filepath.Join(second.Data, signal)) // one of them is there
		}
		give(t, w, second.Data)
		clone.Stop()
		second.Up()
		second.Wait("select not pg_is_in_recovery()")
		require.Equal(t, want, second.Ask(content))
	})
}

// tarNames are the files of the tablespaces.
func tarNames(r basebackup.Result) []string {
	var names []string
	for _, s := range r.Tablespaces {
		names = append(names, fmt.Sprint(s.OID)+".tar")
	}
	return names
}

// beyond returns what a folder has besides these names and, if there is to be one, the manifest.
func beyond(t *testing.T, dir string, names []string, manifest bool) []string {
	t.Helper()
	if manifest {
		names = append(names, "backup_manifest")
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	rest := []string{}
	for _, e := range entries {
		if !slices.Contains(names, e.Name()) {
			rest = append(rest, e.Name())
		}
	}
	require.Len(t, entries, len(names)+len(rest), "something is missing")
	return rest
}

// untar unpacks an archive as tar would.
func untar(t *testing.T, name, dir string) {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, os.MkdirAll(dir, 0o700))
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(path, 0o700))
			continue
		}
		require.Equal(t, byte(tar.TypeReg), h.Typeflag, h.Name)
		out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = io.Copy(out, r)
		require.NoError(t, errors.Join(err, out.Close()))
	}
}

// remap edits tablespace_map.
func remap(t *testing.T, dir, from, to string) {
	t.Helper()
	name := filepath.Join(dir, "tablespace_map")
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, []byte(strings.ReplaceAll(string(text), from+"\n", to+"\n")), 0o600))
}

// wantNoStart demands that no server starts in a folder, not even with a configuration from elsewhere.
func wantNoStart(t testing.TB, s *pgserver.Server, dir string) {
	t.Helper()
	give(t, s.World, dir)
	args := append(s.Args(), "-D", dir, "-c", "config_file="+filepath.Join(s.Data, "postgresql.conf"), "-c", "port=1")
	out, err := s.World.Command("postgres", args...).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	require.Regexp(t, "could not find the database system|is not a valid data directory", string(out))
	require.NoFileExists(t, filepath.Join(dir, "postmaster.pid"))
}

// verifyBackup lets pg_verifybackup of an installed PostgreSQL judge a copy, as far as it knows the major. It leaves out what Prepare wrote.
func verifyBackup(t testing.TB, w *pgserver.World, dir string) {
	t.Helper()
	found := localpg.Installs()
	i := slices.IndexFunc(found, func(i localpg.Install) bool {
		_, err := os.Stat(i.Bin("pg_verifybackup"))
		return err == nil
	})
	if i < 0 || w.Major < 13 || found[i].Major < 17 && w.Major >= 17 { // the manifest of 17 is another one
		return
	}
	in := found[i]
	args := []string{dir}
	if in.Major != w.Major {
		args = append(args, "--no-parse-wal")
	}
	out, err := exec.CommandContext(t.Context(), in.Bin("pg_verifybackup"), args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "backup successfully verified")
}
