package hba_test

import (
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
