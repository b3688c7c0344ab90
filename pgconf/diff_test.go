package pgconf_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/unified/unifiedtest"
)

func TestDiff(t *testing.T) {
	const text = "a = 1\nb = 1\nc = 1\nd = 1\ne = 1"
	for name, c := range map[string]struct {
		edit func(f *pgconf.File)
		want string // after the two lines with the name
	}{
		"set":      {func(f *pgconf.File) { _ = f.Set("b", "2") }, "@@ -1,5 +1,5 @@\n a = 1\n-b = 1\n+b = 2\n c = 1\n d = 1\n e = 1\n\\ No newline at end of file\n"},
		"appended": {func(f *pgconf.File) { _ = f.Set("x", "2") }, "@@ -2,4 +2,5 @@\n b = 1\n c = 1\n d = 1\n-e = 1\n\\ No newline at end of file\n+e = 1\n+x = '2'\n"},
		"undone":   {func(f *pgconf.File) { _ = f.Unset("b"); _ = f.Set("b", "1") }, ""},
		"inserted": {func(f *pgconf.File) { _ = f.InsertAfter("a", "x", "2") }, "@@ -1,4 +1,5 @@\n a = 1\n+x = 2\n b = 1\n c = 1\n d = 1\n"},
		"twice":    {func(f *pgconf.File) { _ = f.Set("a", "2"); _ = f.Set("a", "3"); _ = f.Set("b", "4") }, "@@ -1,5 +1,5 @@\n-a = 1\n-b = 1\n+a = 3\n+b = 4\n c = 1\n d = 1\n e = 1\n\\ No newline at end of file\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := pgconf.Parse("my.conf", []byte(text))
			require.NoError(t, err)
			require.Empty(t, f.Diff())
			c.edit(f)
			want := c.want
			if want != "" {
				want = "--- my.conf\n+++ my.conf\n" + want
			}
			require.Equal(t, want, f.Diff())
		})
	}
	f := pgconf.New("f")
	require.Empty(t, f.Diff())
	require.NoError(t, f.Set("a", "1"))
	require.Equal(t, "--- f\n+++ f\n@@ -0,0 +1 @@\n+a = '1'\n", f.Diff())
}

// TestDiffPatches applies the diff of many edits of a packaged file, with this test's own hands and with those of patch and
// git where they are installed.
func TestDiffPatches(t *testing.T) {
	for _, name := range samples(t) {
		before := readSample(t, name)
		const file = "my file.conf"
		f, err := pgconf.Parse(file, before)
		require.NoError(t, err)
		_, err = f.SetBlock("x", settings("geqo", "off"))
		require.NoError(t, err)
		f, err = pgconf.Parse(file, f.Bytes()[:len(f.Bytes())-1])
		require.NoError(t, err)
		before = f.Bytes()

		require.NoError(t, f.SetAll(map[string]string{"port": "5433", "archive_command": "cp %p x", "zz.top": "1"}))
		require.NoError(t, f.SetKeeping("work_mem", "64MB"))
		require.NoError(t, f.Rename("port", "Port"))
		require.NoError(t, f.Comment("archive_command", "why"))
		require.NoError(t, f.InsertAfter("max_connections", "my.own", "1"))
		require.NoError(t, f.RemoveBlock("x"))
		require.Equal(t, string(f.Bytes()), unifiedtest.Apply(t, string(before), f.Diff()))

		for _, tool := range [][]string{{"patch", "-p0", "--fuzz=0", "--input"}, {"git", "apply", "-p0"}} {
			if _, err := exec.LookPath(tool[0]); err != nil {
				t.Logf("%s is not on PATH", tool[0])
				continue
			}
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), before, 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "diff"), []byte(f.Diff()), 0o600))
			cmd := exec.CommandContext(t.Context(), tool[0], append(tool[1:], "diff")...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s\n%s", out, f.Diff())
			got, err := os.ReadFile(filepath.Join(dir, file))
			require.NoError(t, err)
			require.Equal(t, string(f.Bytes()), string(got))
		}
	}
}

func TestDiffHiding(t *testing.T) {
	const marker = "s3cr3t"
	f, err := pgconf.Parse("f", []byte("\uFEFF primary_conninfo = '"+marker+"'\nprimary_conninfo = '"+marker+"' # "+marker+"\n"+
		"# primary_conninfo = '"+marker+"'\n  ##\tPrimary_Conninfo '"+marker+"'\r\nport = 5432\n"+
		"# primary_conninfo \nx.vault_token = '"+marker+"'\n\n#\n"+
		" x = 'of two lines\n  "+marker+"'\nprimary_conninfo=host=a password="+marker)) // not valid, and without a line end
	require.Error(t, err)
	require.NoError(t, f.Set("port", "5433"))
	require.NoError(t, f.Set("primary_conninfo", marker+"2"))
	require.NoError(t, f.SetKeeping("ssl_passphrase_command", marker))
	require.Contains(t, f.Diff(), marker)
	require.Equal(t, "--- f\n+++ f\n@@ -1,12 +1,13 @@\n"+
		" \uFEFF '***'\n"+
		"-primary_conninfo = '***'\n"+
		"+primary_conninfo = '***'\n"+
		" # primary_conninfo = '***'\n"+
		"   ##\tPrimary_Conninfo '***'\r\n"+
		"-port = 5432\n"+
		"+port = 5433\n"+
		" # primary_conninfo \n"+
		" x.vault_token = '***'\n"+
		" \n #\n"+
		"  '***'\n   '***'\n"+
		"-'***'\n\\ No newline at end of file\n"+
		"+'***'\n"+
		"+ssl_passphrase_command = '***'\n", f.DiffHiding(pgconf.MayHoldSecret))

	f, err = pgconf.Parse("f", []byte("\uFEFFprimary_conninfo = '"+marker+"'\n"))
	require.Error(t, err)
	require.NoError(t, f.Set("a", "1"))
	require.NotContains(t, f.DiffHiding(pgconf.MayHoldSecret), marker)

	f, err = pgconf.Parse("f", []byte("primary_conninfo = 'x'\n"))
	require.NoError(t, err)
	require.NoError(t, f.Set("primary_conninfo", "y"))
	require.Equal(t, f.Diff(), f.DiffHiding(func(string) bool { return false }))
	require.NoError(t, f.Rename("primary_conninfo", "Primary_ConnInfo"))
	require.NotContains(t, f.DiffHiding(func(name string) bool { return name == "primary_conninfo" }), "'y'", "names are folded")
}

func TestMayHoldSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"primary_conninfo": true, "Primary_ConnInfo": true, "ssl_passphrase_command": true, "archive_command": true,
		"restore_command": true, "archive_cleanup_command": true, "recovery_end_command": true, "x.api_token": true,
		"x.secret": true, "my.Password": true,
		"x.passwd": true, "x.credentials": true, "x.api_key": true, "primary_conninfo_": true, "x.conninfo": true,
		"password_encryption": false, "port": false, "ssl_key_file": false, "": false,
	} {
		require.Equal(t, want, pgconf.MayHoldSecret(name), name)
	}
}
