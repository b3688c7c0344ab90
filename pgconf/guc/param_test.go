package guc_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

func TestLookup(t *testing.T) {
	p, ok := guc.Lookup(9, "WORK_mem")
	require.True(t, ok)
	require.Equal(t, guc.Param{
		Name: "work_mem", Major: pgconf.V9_6, Type: guc.Int, Unit: guc.Kilobytes, Min: 64, Max: math.MaxInt32, Context: guc.User,
		Default: "4096", Category: "Resource Usage / Memory",
	}, p)
	p, ok = guc.Lookup(18, "sort_mem")
	require.True(t, ok)
	require.Equal(t, "work_mem", p.Name)
	p, ok = guc.Lookup(18, "ssl_ecdh_curve")
	require.True(t, ok)
	require.Equal(t, "ssl_groups", p.Name)
	p, ok = guc.Lookup(17, "ssl_ecdh_curve")
	require.True(t, ok)
	require.Equal(t, "ssl_ecdh_curve", p.Name)
	p, ok = guc.Lookup(18, "datestyle")
	require.True(t, ok)
	require.Equal(t, "DateStyle", p.Name)
	require.True(t, p.List)
	p, ok = guc.Lookup(14, "role")
	require.True(t, ok)
	require.True(t, p.Hidden)
	p, ok = guc.Lookup(15, "unix_socket_directories")
	require.True(t, ok)
	require.True(t, p.Varies)
	require.Equal(t, "/tmp", p.Default)
	for _, name := range []string{"", "work_mem ", "wörk_mem", "wal_keep_segments", "work_mem.x", "DATEſTYLE"} {
		_, ok := guc.Lookup(18, name)
		require.False(t, ok, name)
	}
	_, ok = guc.Lookup(pgconf.Newest+1, "work_mem")
	require.False(t, ok, "a major that is not known")
	_, ok = guc.Lookup(0, "work_mem")
	require.False(t, ok)
}

func TestEnumWords(t *testing.T) {
	shown := func(m pgconf.Major, name, word string) guc.EnumValue {
		p, ok := guc.Lookup(m, name)
		require.True(t, ok)
		i := slices.IndexFunc(p.Values, func(v guc.EnumValue) bool { return v.Name == word })
		require.GreaterOrEqual(t, i, 0)
		return p.Values[i]
	}
	require.Equal(t, guc.EnumValue{Name: "hot_standby", Shown: "replica", Hidden: true}, shown(9, "wal_level", "hot_standby"))
	require.Equal(t, guc.EnumValue{Name: "hot_standby", Shown: "hot_standby"}, shown(pgconf.V9_5, "wal_level", "hot_standby"))
	require.Equal(t, guc.EnumValue{Name: "zstd", Shown: "zstd", Varies: true}, shown(15, "wal_compression", "zstd"))
	require.Equal(t, guc.EnumValue{Name: "on", Shown: "pglz"}, shown(15, "wal_compression", "on"))
	require.Equal(t, guc.EnumValue{Shown: ""}, shown(15, "ssl_max_protocol_version", ""))
}

// TestParams: every parameter of every major is as it should be.
func TestParams(t *testing.T) {
	for m := pgconf.Oldest; m <= pgconf.Newest; m++ {
		all := guc.Params(m)
		require.Greater(t, len(all), 200)
		require.True(t, slices.IsSortedFunc(all, func(a, b guc.Param) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) }))
		for _, p := range all {
			again, ok := guc.Lookup(m, p.Name)
			require.True(t, ok)
			require.Equal(t, p, again)
			require.Equal(t, m, p.Major)
			require.Equal(t, p.Type == guc.Enum, len(p.Values) > 0, p.Name)
			require.NotEmpty(t, p.Category, p.Name)
			require.NotEqual(t, "?", p.Type.String()+p.Context.String()+p.Context.Action().String())
			if p.Type == guc.Int || p.Type == guc.Real {
				require.LessOrEqual(t, p.Min, p.Max, p.Name)
			}
			if p.Unit != guc.NoUnit {
				require.NotEqual(t, p.Unit.Memory(), p.Unit.Time())
				require.NotEmpty(t, p.Unit.Units(m), p.Name)
			}
			checkDefault(t, p)
		}
	}
}

// checkDefault: the default is a value, and printed as it is written.
func checkDefault(t *testing.T, p guc.Param) {
	t.Helper()
	v, err := p.Parse(p.Default)
	if p.Context == guc.Internal {
		require.ErrorIs(t, err, guc.ErrValue)
		return
	}
	require.NoError(t, err, "%s: %s", p.Major, p.Name)
	require.Equal(t, p.Type, v.Type())
	if p.Type == guc.Enum { // 10 and 11 list debug2 but show debug
		require.Contains(t, []string{p.Default, "debug"}, v.Setting(), p.Name)
	} else {
		require.Equal(t, p.Default, v.Setting(), "%s: %s", p.Major, p.Name)
	}
}

func TestAction(t *testing.T) {
	for name, want := range map[string]guc.Action{
		"block_size": guc.Never, "shared_buffers": guc.Restart, "max_wal_size": guc.Reload, "ignore_system_indexes": guc.NewSession,
		"log_connections": guc.NewSession, "work_mem": guc.Reload, "log_statement": guc.Reload,
	} {
		p, ok := guc.Lookup(17, name)
		require.True(t, ok)
		require.Equal(t, want, p.Context.Action(), name)
	}
	require.Less(t, guc.Nothing, guc.Reload)
	require.Equal(t, "nothing", guc.Nothing.String())
	require.Equal(t, "?", guc.Action(99).String())
}

func TestHistory(t *testing.T) {
	h, ok := guc.HistoryOf("Archive_Mode")
	require.True(t, ok)
	require.Equal(t, guc.History{
		Name: "archive_mode", First: pgconf.V9_0, Last: 18,
		Changes: []guc.Change{
			{Major: pgconf.V9_5, Fact: "vartype", Old: "bool", New: "enum"},
			{Major: pgconf.V9_5, Fact: "enumvals", Old: "", New: "always, on, off"},
		},
	}, h)
	h, ok = guc.HistoryOf("wal_keep_segments")
	require.True(t, ok)
	require.Equal(t, pgconf.Major(12), h.Last)
	require.Equal(t, "wal_keep_size", h.Fate.To)
	_, ok = guc.HistoryOf("sort_mem")
	require.False(t, ok)
	_, ok = guc.HistoryOf("nonsense")
	require.False(t, ok)
}

// TestFates: everything that a major dropped has a fate, which leads to a parameter of that major.
func TestFates(t *testing.T) {
	for m := pgconf.Oldest; m < pgconf.Newest; m++ {
		for _, p := range guc.Params(m) {
			_, still := guc.Lookup(m+1, p.Name)
			fate, gone := guc.FateOf(p.Name, m+1)
			require.NotEqual(t, still, gone, "%s after %s", p.Name, m)
			if !gone {
				continue
			}
			require.Equal(t, m+1, fate.Major, p.Name)
			require.NotEmpty(t, fate.Reason)
			if fate.To != "" {
				_, ok := guc.Lookup(m+1, fate.To)
				require.True(t, ok, fate.To)
			}
		}
	}
	f, ok := guc.FateOf("Trigger_File", 15)
	require.True(t, ok)
	require.Equal(t, guc.Fate{Name: "trigger_file", Major: 12, To: "promote_trigger_file", Convert: guc.Copy, Reason: "only the name changed"}, f)
	f, ok = guc.FateOf("trigger_file", 16)
	require.True(t, ok)
	require.Equal(t, guc.Drop, f.Convert)
	_, ok = guc.FateOf("trigger_file", 11)
	require.False(t, ok)
	_, ok = guc.FateOf("work_mem", 18)
	require.False(t, ok)
}
