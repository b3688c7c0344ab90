package basebackup_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/basebackup"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

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
func fillServer(t testing.TB, s *pgserver.Server) (spaces []string) {
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

const rows = `select (select md5(string_agg(a::text, '')) from (select * from a order by i) a) ||
	(select md5(string_agg(b::text, '')) from (select * from b order by i) b) || (select count(*) from c)`

// mapped maps tablespaces to folders beside them.
func mapped(spaces []string) map[string]string {
	m := map[string]string{}
	for _, s := range spaces {
		m[s] = s + " of the copy"
	}
	return m
}

func TestRun_plain_copy_starts_with_the_same_data(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up()
		spaces := fillServer(t, primary)
		clone := w.Server("copy")
		m := mapped(spaces)
		got, err := basebackup.Run(t.Context(), source(t, primary), basebackup.Options{Target: clone.Data, Tablespaces: m, Progress: phases(t)})
		require.NoError(t, err)
		require.Equal(t, clone.Data, got.Dir)
		require.Equal(t, w.Major, int(got.Major))
		require.Equal(t, w.Major >= 13, got.Manifest)
		require.Len(t, got.Tablespaces, 2)
		require.Empty(t, got.Warnings)
		for from, to := range m {
			give(t, w, to)
			target, err := os.Readlink(filepath.Join(clone.Data, "pg_tblspc", oidOf(t, got, from)))
			require.NoError(t, err)
			require.Equal(t, to, target)
		}
		require.NoFileExists(t, filepath.Join(clone.Data, "understudy-incoming"))
		give(t, w, clone.Data)
		clone.Up()
		clone.Wait("select not pg_is_in_recovery()")
		require.Equal(t, primary.Ask(rows), clone.Ask(rows))
	})
}

func oidOf(t testing.TB, r basebackup.Result, location string) string {
	t.Helper()
	for _, s := range r.Tablespaces {
		if s.Source == location {
			return fmt.Sprint(s.OID)
		}
	}
	require.Fail(t, "no tablespace at "+location)
	return ""
}


func phases(t testing.TB) func(basebackup.Progress) {
	var last basebackup.Phase
	begin := time.Now()
	return func(p basebackup.Progress) {
		if p.Phase != last {
			t.Logf("%v %s", time.Since(begin).Round(time.Millisecond), p.Phase)
		}
		last = p.Phase
	}
}
