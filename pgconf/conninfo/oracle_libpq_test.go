package conninfo_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// TestOracleKeywords: each libpq knows the keywords that Keywords lists for its major, and hides those that we do.
func TestOracleKeywords(t *testing.T) {
	eachLibpq(t, func(t *testing.T, l libpq) {
		var got []string
		for _, k := range conninfo.Keywords(l.major) {
			got = append(got, k.Name)
			if l.options[k.Name] == "*" {
				require.True(t, k.Secret, k.Name)
			}
		}
		want := slices.Sorted(maps.Keys(l.options))
		if l.major < 12 && !slices.Contains(want, "gsslib") { // they depend on the build
			want = slices.Sorted(slices.Values(append(want, "gsslib")))
		}
		require.Equal(t, want, got)
	})
}

// TestOracleParse: ParseFor accepts what the libpq of that major does, with the same values.
func TestOracleParse(t *testing.T) {
	texts := corpus(6000)
	eachLibpq(t, func(t *testing.T, l libpq) {
		accepted := 0
		for i, a := range l.ask(t, "parse", texts) {
			info, err := conninfo.ParseFor(l.major, texts[i])
			if a.message != "ok" {
				require.Error(t, err, "%q: libpq says %s", texts[i], a.message)
				continue
			}
			accepted++
			require.NoError(t, err, "%q: libpq takes it", texts[i])
			require.Equal(t, a.options, options(info), "%q", texts[i])
			tolerant, err := conninfo.Parse(texts[i])
			if err == nil && l.major == pgconf.Newest {
				require.Equal(t, info, tolerant, "%q", texts[i])
			}
		}
		require.Greater(t, accepted, 1500, "too few strings are valid")
		require.Less(t, accepted, len(texts)-1500, "too few strings are not")
	})
}

func options(info conninfo.Info) map[string]string {
	got := map[string]string{}
	for _, key := range info.Keys() {
		got[key], _ = info.Get(key)
	}
	return got
}
