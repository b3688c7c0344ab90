package guc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// syncNameVectors are values of synchronous_standby_names and how they are printed again after they were read: by 9.5, by 9.6
// and from 10 on. "refused" is a value that is not read.
var syncNameVectors = []struct{ value, old, middle, now string }{
	{"", "", "", ""},
	{"a", "a", "a", "a"},
	{"A, b", "a, b", `"A", b`, `"A", b`},
	{"*", "*", "*", "*"},
	{`"*"`, "*", "*", "*"},
	{"*,*", "*, *", "*, *", "*, *"},
	{"  ", "", refused, refused},
	{"a b", refused, refused, refused},
	{"a,", refused, refused, refused},
	{"(a)", `"(a)"`, refused, refused},
	{"a-b", `"a-b"`, refused, refused},
	{`"a-b"`, `"a-b"`, `"a-b"`, `"a-b"`},
	{`"a""b"`, `"a""b"`, `"a""b"`, `"a""b"`},
	{`"a`, refused, refused, refused},
	{`"a"b`, refused, refused, refused},
	{`""`, `""`, `""`, `""`},
	{"a.b", `"a.b"`, refused, refused},
	{"1a", `"1a"`, refused, refused},
	{"$x", `"$x"`, refused, refused},
	{"x$", `"x$"`, `"x$"`, `"x$"`},
	{"é", `"é"`, `"é"`, `"é"`},
	{"1", `"1"`, `"1"`, `"1"`},
	{"10, 2", `"10", "2"`, `"10", "2"`, `"10", "2"`},
	{"2(a)", `"2(a)"`, "2 (a)", "2 (a)"},
	{"2(a, b)", `"2(a", "b)"`, "2 (a, b)", "2 (a, b)"},
	{"1 (a)", refused, "a", "a"},
	{"1 (1)", refused, `"1"`, `"1"`},
	{"00002(a)", `"00002(a)"`, "2 (a)", "2 (a)"},
	{"2 ()", refused, refused, refused},
	{"2 (a", refused, refused, refused},
	{"2 (a) b", refused, refused, refused},
	{"2 (a),b", refused, refused, refused},
	{"0 (a)", refused, "0 (a)", refused},
	{"2147483648 (a)", refused, "-2147483648 (a)", refused},
	{"4294967297 (a)", refused, "a", "a"},
	{"99999999999999999999 (a)", refused, "-1 (a)", refused},
	{"FIRST 2 (a, b)", refused, refused, "2 (a, b)"},
	{"First 1 (a)", refused, refused, "a"},
	{"ANY 2 (a, *)", refused, refused, "ANY 2 (a, *)"},
	{"any 1 (a)", refused, refused, "ANY 1 (a)"},
	{`any"1"(a)`, `"any""1""(a)"`, refused, refused},
	{"ANY1(a)", `"any1(a)"`, refused, refused},
	{"anyx, firsta", "anyx, firsta", "anyx, firsta", "anyx, firsta"},
	{"any", `"any"`, `"any"`, refused},
	{"first", `"first"`, `"first"`, refused},
	{`"first", "Any"`, `"first", "Any"`, `"first", "Any"`, `"first", "Any"`},
	{"a, any", `a, "any"`, `a, "any"`, refused},
	{"FIRST (a)", refused, refused, refused},
	{"FIRST a", refused, refused, refused},
	{"FIRST 1 a", refused, refused, refused},
	{"FIRST 1, a", refused, refused, refused},
	{"ANY ANY 1 (a)", refused, refused, refused},
	{"ANY -1 (a)", refused, refused, refused},
	{"1 (a) (b)", refused, refused, refused},
	{"1 (1 (a))", refused, refused, refused},
	{"a (b)", refused, refused, refused},
}

func TestParseSyncNames(t *testing.T) {
	for _, v := range syncNameVectors {
		for m, want := range map[pgconf.Major]string{pgconf.V9_1: v.old, pgconf.V9_5: v.old, pgconf.V9_6: v.middle, 10: v.now, 18: v.now} {
			s, err := guc.ParseSyncNames(m, v.value)
			require.Equal(t, err, guc.Validate(m, "synchronous_standby_names", v.value), "%s: %q", m, v.value)
			got := refused
			if err == nil {
				got = s.String()
			}
			require.Equal(t, want, got, "%s: %q", m, v.value)
		}
	}
	_, err := guc.ParseSyncNames(pgconf.V9_0, "a")
	require.ErrorIs(t, err, guc.ErrUnknown)
}

func TestSyncNamesLists(t *testing.T) {
	s, err := guc.ParseSyncNames(17, `ANY 1 (Alpha, "b c")`)
	require.NoError(t, err)
	require.Equal(t, guc.SyncNames{Quorum: true, Num: 1, Names: []string{"Alpha", "b c"}}, s)
	require.True(t, s.Lists("alpha"))
	require.True(t, s.Lists("B C"))
	require.False(t, s.Lists("*"))
	require.False(t, guc.SyncNames{}.Lists(""))
	require.True(t, guc.SyncNames{Names: []string{"*"}}.Lists("any"))
}
