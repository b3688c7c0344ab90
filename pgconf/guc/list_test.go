package guc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/guc"
)

func TestSplitNames(t *testing.T) {
	for list, want := range map[string][]string{
		"": nil, "  ": nil, "a": {"a"}, " A , B ": {"a", "b"}, `"A","b ""c"`: {"A", `b "c`}, `"",b`: {"", "b"}, "$user, é": {"$user", "é"},
		"a-b,1.2.3.4,*": {"a-b", "1.2.3.4", "*"}, `a"b`: {`a"b`},
	} {
		names, ok := guc.SplitNames(18, list)
		require.True(t, ok, list)
		require.Equal(t, want, names, list)
	}
	for _, list := range []string{",", "a,", ",a", "a b", `"a`, `"a"b`, "a,,b", `"a""`} {
		_, ok := guc.SplitNames(18, list)
		require.False(t, ok, list)
	}
	_, ok := guc.SplitNames(16, "a\v,b")
	require.True(t, ok, "a vertical tab belongs to a name")
	names, ok := guc.SplitNames(17, "a\v,b")
	require.True(t, ok)
	require.Equal(t, []string{"a", "b"}, names)
}

// A server finds these lists wrong only when it starts.
func TestListsAtStart(t *testing.T) {
	for name, lists := range map[string][]string{
		"listen_addresses":        {"", "*", "localhost, 10.0.0.1", "::1", `"a"`},
		"unix_socket_directories": {"", "/a b, c", `"/a,b"`, " /a ,/B "},
	} {
		for _, list := range lists {
			require.NoError(t, guc.Validate(18, name, list), "%s = %q", name, list)
		}
	}
	for name, lists := range map[string][]string{
		"listen_addresses":        {",", "a b", "a,", `"a`},
		"unix_socket_directories": {",,", "/a,", `"/a`, `"/a" b`},
	} {
		for _, list := range lists {
			require.ErrorIs(t, guc.Validate(18, name, list), guc.ErrValue, "%s = %q", name, list)
		}
	}
}
