package hba_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// locked is a file system in which one file cannot be read.
type locked struct {
	fstest.MapFS
	name string
}

func (l locked) Open(name string) (fs.File, error) {
	if name == l.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.MapFS.Open(name)
}

func (l locked) ReadFile(name string) ([]byte, error) {
	if _, err := l.Open(name); err != nil {
		return nil, err
	}
	return l.MapFS.ReadFile(name)
}

func TestLoadHostile(t *testing.T) {
	dir := files("f", "local all all trust\nlocal @h all trust", "h/x", "")
	for name, c := range map[string]struct {
		fsys  fs.FS
		major pgconf.Major
		want  string
	}{
		"missing":          {files("f", "local all all trust\n local @h all trust"), 18, "f:2:8: cannot read h: file does not exist"},
		"missing_in_file":  {files("f", "local @h all trust", "h", "a\n b @i"), 18, "h:2:4: cannot read i: file does not exist"},
		"unreadable":       {locked{files("f", "include h", "h", "x"), "h"}, 18, "f:1:9: cannot read h: permission denied"},
		"folder":           {dir, 18, "f:2:7: cannot read h: "},
		"folder_include":   {files("f", "include h", "h/x", ""), 18, "f:1:9: cannot read h: "},
		"dir_is_a_file":    {files("f", "include_dir h", "h", ""), 18, "f:1:13: cannot read h: "},
		"outside":          {files("f", "include ../../h"), 18, "f:1:9: cannot read ../../h: "},
		"include_cycle":    {files("f", "local all all trust\ninclude f"), 18, "f:2:9: cannot read f: files are nested deeper than 10"},
		"at_cycle":         {files("f", "local @h all trust", "h", "@h"), 18, "h:1:1: cannot read h: files are nested deeper than 10"},
		"at_cycle_before":  {files("f", "local @h all trust", "h", "@i", "i", "\n @h"), 15, "i:2:2: cannot read h: it stands for itself"},
		"at_itself_before": {files("f", "local @f all trust"), 10, "f:1:7: cannot read f: it stands for itself"},
		"many_cycles":      {files("f", strings.Repeat("include f\n", 1000)), 18, "nested deeper"}, // and more errors than are kept
		"doubling":         {doubling(), 18, "name each other too often"},
		"doubling_before":  {doubling(), 15, "name each other too often"},
		"nul":              {files("f", "local all\x00 all trust"), 18, "f:1:10: NUL byte"},
		"nul_in_file":      {files("f", "local @h all trust", "h", "a\x00"), 18, "h:1:2: NUL byte"},
		"cr_only":          {files("f", "local all all trust\rlocal x\r"), 18, "f:1:21: "},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			rs, err := hba.Load(c.fsys, "f", c.major)
			var errs pgconf.SyntaxErrors
			require.ErrorAs(t, err, &errs)
			all := ""
			for _, e := range errs {
				all += e.Error() + "\n"
			}
			require.Contains(t, all, c.want)
			require.NotNil(t, rs)
			require.Less(t, time.Since(begin), 60*time.Second)
		})
	}
}

// doubling has files each of which names the next one many times.
func doubling() fstest.MapFS {
	m := files("f", "local @f1 all trust", "f9", "x")
	for i := range 8 {
		m[fmt.Sprintf("f%d", i+1)] = &fstest.MapFile{Data: []byte(strings.Repeat(fmt.Sprintf("@f%d\n", i+2), 100))}
	}
	return m
}

func TestLoadFirstFile(t *testing.T) {
	for name, fsys := range map[string]fs.FS{"missing": files(), "folder": files("f/x", ""), "unreadable": locked{files("f", ""), "f"}} {
		t.Run(name, func(t *testing.T) {
			rs, err := hba.Load(fsys, "f", 18)
			require.Nil(t, rs)
			var path *fs.PathError
			require.ErrorAs(t, err, &path)
			require.Equal(t, "f", path.Path)
		})
	}
}

func TestLoadSymlinkLoop(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink("a", filepath.Join(dir, "b")))
	require.NoError(t, os.Symlink("b", filepath.Join(dir, "a")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("include a\nlocal all all trust"), 0o600))
	rs, err := hba.Load(os.DirFS(dir), "f", 18)
	require.ErrorContains(t, err, "f:1:9: cannot read a: ")
	require.Len(t, rs.All(), 1)
}

// A list takes memory, and there is a bound to it.
func TestLoadManyValues(t *testing.T) {
	const most = 1 << 20
	list := strings.Repeat("a,", most-3)
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"most": {"local " + list + "a all trust\n", false}, "one_less": {"local " + list[2:] + "a all trust\n", true},
		"in_a_file": {"local @l all trust\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			rs, err := hba.Load(files("f", c.text+"local all all trust\n", "l", list+"a,a,a,a"), "f", 18)
			if c.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, ":1:")
			require.ErrorContains(t, err, "more than 1048576 values")
			require.Len(t, rs.All(), 1)
		})
	}
}

// Reading a pipe or a device might never end.
func TestLoadPipe(t *testing.T) {
	fsys := fstest.MapFS{
		"p": {Mode: fs.ModeNamedPipe}, "d": {Mode: fs.ModeDevice | fs.ModeCharDevice},
		"f": {Data: []byte("include p\nlocal @d all trust\nlocal all all trust\n")},
	}
	_, err := hba.Load(fsys, "p", 18)
	var path *fs.PathError
	require.ErrorAs(t, err, &path)
	require.Equal(t, "p", path.Path)
	rs, err := hba.Load(fsys, "f", 18)
	var all pgconf.SyntaxErrors
	require.ErrorAs(t, err, &all)
	require.Len(t, all, 2)
	require.Len(t, rs.All(), 1)
}

func TestLoadNoRule(t *testing.T) {
	for _, text := range []string{"", "# x\n", "include h"} {
		_, err := hba.Load(files("f", text, "h", ""), "f", 18)
		require.ErrorContains(t, err, "f:1:1: there is no rule")
	}
	_, err := hba.Load(files("f", ""), "f", pgconf.V9_1)
	require.NoError(t, err)
	_, err = hba.LoadIdent(files("f", ""), "f", 18)
	require.NoError(t, err)
}

// TestLoadBefore10 has what servers of 9.x do with a file that is not there.
func TestLoadBefore10(t *testing.T) {
	fsys := files("f", "local @h all trust\nlocal a,@h all trust\nlocal all @h x trust")
	rs, err := hba.Load(fsys, "f", pgconf.V9_6)
	require.Equal(t, []string{"1:19"}, places(err))
	require.Equal(t, []int{2, 3}, []int{rs.All()[0].Line, rs.All()[1].Line})
	require.Equal(t, tokens("a"), rs.All()[0].Databases)
	require.Equal(t, tokens("x"), rs.All()[1].Users)
	rs, err = hba.Load(files("f", "local @h all trust"), "f", pgconf.V9_1)
	require.NoError(t, err)
	require.Equal(t, tokens(`""`), rs.All()[0].Databases)
}

// TestParse9 has what is another thing before 10.
func TestParse9(t *testing.T) {
	for _, c := range []struct {
		text         string
		since, until pgconf.Major // majors that take it
	}{
		{"host all all all md5", pgconf.V9_1, 18},
		{"host all all example.com md5", pgconf.V9_1, 18},
		{"host all all samehost md5", pgconf.V9_0, 18},
		{"local all all peer", pgconf.V9_1, 18},
		{"host all all 10.0.0.1/8 krb5", pgconf.V9_0, pgconf.V9_3},
		{"host all all 10.0.0.1/8 krb5 krb_server_hostname=x include_realm=1 krb_realm=y map=z", pgconf.V9_0, pgconf.V9_3},
		{"local all all bsd", pgconf.V9_6, 18},
		{"local all all scram-sha-256", 10, 18},
		{"local all all pam pam_use_hostname=1", pgconf.V9_6, 18},
		{"host all all 10.0.0.1/8 sspi upn_username=1", pgconf.V9_6, 18},
		{"host all all 10.0.0.1/8 radius radiusserver=a radiussecret=b radiusport=1 radiusidentifier=c", pgconf.V9_0, pgconf.V9_6},
		{"host all all 10.0.0.1/8 radius radiusservers=a radiussecrets=b", 10, 18},
		{"host all all 10.0.0.1/8 ldap ldapurl=ldap://a/b", pgconf.V9_3, 18},
		{"host all all 10.0.0.1/8 ldap ldapserver=a ldapprefix=b", pgconf.V9_0, 18},
		{"host all all 10.0.0.1/8 ldap ldapprefix=b", 12, 18},
		{"hostssl all all 10.0.0.1/8 md5 clientcert=1", pgconf.V9_0, 13},
		{"local all all trust # " + strings.Repeat("x", 9000), pgconf.V9_0, pgconf.V9_2},
		{"local krb5 all krb5", 19, 18},
		{"host all all 10.0.0.1/8 radius radiusserver=a", 19, 18},
	} {
		for major := pgconf.Oldest; major <= pgconf.Newest; major++ {
			if len(c.text) > 9000 && major >= 11 {
				break
			}
			_, err := hba.ParseFor("f", []byte(c.text), major)
			require.Equal(t, major >= c.since && major <= c.until, err == nil, "%s: %.60s: %v", major, c.text, err)
		}
	}
}

// TestQuotes9 has what quotes mean before 9.2.
func TestQuotes9(t *testing.T) {
	const text = `local a"ll","all",all "+g",+g,a"ll" trust`
	for _, c := range []struct {
		major      pgconf.Major
		dbs, users []hba.Token
	}{
		{pgconf.V9_1, tokens(`"all"`, `"all"`, "all"), tokens(`"+g"`, "+g", `"all"`)},
		{pgconf.V9_2, tokens("all", `"all"`, "all"), tokens(`"+g"`, "+g", "all")},
	} {
		f, err := hba.ParseFor("f", []byte(text), c.major)
		require.NoError(t, err)
		require.Equal(t, c.dbs, f.Records()[0].Databases)
		require.Equal(t, c.users, f.Records()[0].Users)
	}
	require.ErrorIs(t, hba.Record{Type: hba.Local, Databases: all, Users: tokens(hba.Name("+g")), Method: hba.Trust}.ValidateFor(pgconf.V9_1), hba.ErrRecord)
	require.NoError(t, hba.Record{Type: hba.Local, Databases: all, Users: tokens(hba.Name("+g")), Method: hba.Trust}.ValidateFor(pgconf.V9_2))
}
