package hba_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func TestLoad(t *testing.T) {
	fsys := files("etc/pg_hba.conf", "local @dbs,x all ident\ninclude sub/more.conf\nhost all all 10/8 md5",
		"etc/dbs", "a b # c\n@sub/deep\n", "etc/sub/deep", `"all"`, "etc/sub/more.conf", "hostssl all all all cert")
	rs, err := hba.Load(fsys, "/etc/pg_hba.conf", 18)
	require.NoError(t, err)
	rules := rs.All()
	require.Len(t, rules, 3)
	require.Equal(t, tokens("a", "b", `"all"`, "x"), rules[0].Databases)
	require.Equal(t, hba.Peer, rules[0].Method)
	require.Equal(t, "/etc/sub/more.conf", rules[1].File)
	require.Equal(t, []int{3, 3}, []int{rules[2].Number, rules[2].Line})

	rs, err = hba.Load(fsys, "etc/pg_hba.conf", pgconf.V9_0)
	require.ErrorContains(t, err, "etc/pg_hba.conf:2:1: ")
	require.Equal(t, hba.Ident, rs.All()[0].Method)
}

func TestLoadIncludeDir(t *testing.T) {
	set := files()
	for name, text := range fileSets["include_dir"] {
		set[name] = files(name, text)[name]
	}
	rs, err := hba.Load(set, "pg_hba.conf", 18)
	require.Equal(t, []string{"2:1"}, places(err), "that of h/a.conf; h/.c.conf and the others are not read")
	var names []hba.Token
	for _, r := range rs.All() {
		names = append(names, r.Databases...)
	}
	require.Equal(t, tokens("10", "9", "Z", "a", "b", "z"), names)
}

func TestLoadDepth(t *testing.T) {
	for name, want := range map[string]string{"at_deep": "", "at_too_deep": "h10:1:1: ", "include_deep": "h10:1:9: "} {
		set := files()
		for file, text := range fileSets[name] {
			set[file] = files(file, text)[file]
		}
		_, err := hba.Load(set, "pg_hba.conf", 18)
		if want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, want, name)
	}
}

// An error names the file that is to blame, not the folder that it is in.
func TestLoadDirWithBrokenLink(t *testing.T) {
	fsys := fstest.MapFS{
		"pg_hba.conf":  {Data: []byte("include_dir d\nlocal all all peer\n")},
		"d/a.conf":     {Data: []byte("nowhere"), Mode: fs.ModeSymlink | 0o777},
		"d/other.conf": {Data: []byte("local a a trust\n")},
	}
	_, err := hba.Load(fsys, "/pg_hba.conf", 17)
	require.EqualError(t, err, "/pg_hba.conf:1:13: cannot read /d/a.conf: file does not exist")
	_, err = hba.Load(fsys, "/x.conf", 17)
	require.EqualError(t, err, "open /x.conf: file does not exist")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
