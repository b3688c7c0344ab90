package hba_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// identCases are judged by real servers too, in TestOracleIdentMatch, with the name of whoever runs the tests in the place of SYS.
var identCases = []struct {
	name, text, role string
	before, since16  bool // the answer before 16 and from then on
	unknown          bool // not known here
}{
	{name: "name", text: "m SYS alice", role: "alice", before: true, since16: true},
	{name: "other_role", text: "m SYS alice", role: "bob"},
	{name: "other_system_user", text: "m SYSx alice", role: "alice"},
	{name: "other_map", text: "n SYS alice", role: "alice"},
	{name: "case", text: "m SYS Alice", role: "alice"},
	{name: "second_line", text: "m SYS bob\nm x alice\nm SYS alice", role: "alice", before: true, since16: true},
	{name: "all", text: "m SYS all", role: "bob", since16: true},
	{name: "all_is_a_name", text: "m SYS all", role: "all", before: true, since16: true},
	{name: "all_quoted", text: `m SYS "all"`, role: "bob"},
	{name: "all_system_user", text: "m all alice", role: "alice"},
	{name: "member", text: "m SYS +grp", role: "bob", since16: true},
	{name: "member_of_itself", text: "m SYS +grp", role: "grp", since16: true},
	{name: "member_not", text: "m SYS +grp", role: "alice"},
	{name: "member_quoted", text: `m SYS "+grp"`, role: "bob"},
	{name: "member_quoted_name", text: `m SYS +"grp"`, role: "bob", since16: true},
	{name: "regexp", text: "m /^x alice", role: "alice"},
	{name: "regexp_any", text: "m /. alice", role: "alice", before: true, since16: true},
	{name: "regexp_quoted", text: `m "/^SYS$" alice`, role: "alice", before: true, since16: true},
	{name: "regexp_anchored", text: "m /^$ alice", role: "alice"},
	{name: "regexp_role", text: "m SYS /^al", role: "alice", since16: true},
	{name: "regexp_role_quoted", text: `m SYS "/^al"`, role: "alice", since16: true},
	{name: "regexp_role_no", text: "m SYS /^b", role: "alice"},
	{name: "group", text: `m /^(SYS)$ x_\1`, role: "x_SYS", before: true, since16: true},
	{name: "group_part", text: `m /^(.) \1`, role: "alice"},
	{name: "group_greedy", text: `m /^(.*).$ \1`, role: "SY", before: true, since16: true},
	{name: "group_once", text: `m /^(SYS) \1\1`, role: "SYSSYS"},
	{name: "group_once_rest", text: `m /^(SYS) \1\1`, role: `SYS\1`, before: true, since16: true},
	{name: "group_second", text: `m /^(SYS)() \2`, role: `\2`, before: true, since16: true},
	{name: "group_missing_ends", text: "m /^SYS \\1\nm SYS alice", role: "alice"},
	{name: "group_missing_other_map", text: "n /^SYS \\1\nm SYS alice", role: "alice", before: true, since16: true},
	{name: "group_missing_no_match", text: "m /^xSYS \\1\nm SYS alice", role: "alice", before: true, since16: true},
	{name: "group_is_all", text: `m /^SYS(a*) \1all`, role: "bob"},
	{name: "group_is_member", text: `m /^SYS()$ +\1grp`, role: "bob"},
	{name: "group_in_name_only", text: `m SYS \1`, role: `\1`, before: true, since16: true},
	{name: "group_of_role_regexp", text: `m /^(SYS)$ /^\1$`, role: "alice"},
	{name: "extra_columns", text: "m SYS alice extra x,y", role: "alice", before: true, since16: true},
	{name: "quoted", text: `"m" "SYS" "alice"`, role: "alice", before: true, since16: true},
	{name: "look_ahead", text: "m /^(?=SYS) alice", role: "alice", before: true, since16: true, unknown: true},
	{name: "alternatives", text: `m /^(SYS|x)$ \1`, role: "SYS", before: true, since16: true, unknown: true},
}

var identRoles = hba.Memberships{"bob": {"grp"}}

// matchIdent asks for a role in the map m.
func matchIdent(t *testing.T, text, system, role string, major pgconf.Major) hba.LoginResult {
	t.Helper()
	maps, err := hba.LoadIdent(files("f", text), "f", major)
	if err != nil { // a reference back in a regular expression that has no group is refused
		return hba.LoginResult{Outcome: hba.NoneMatch}
	}
	return maps.Match(hba.Login{Map: "m", SystemUser: system, Role: role, Member: identRoles.Member})
}

func TestIdentMatch(t *testing.T) {
	for _, c := range identCases {
		for _, major := range []pgconf.Major{pgconf.V9_0, 10, 15, 16, 18} {
			t.Run(fmt.Sprintf("%s/major=%s", c.name, major), func(t *testing.T) {
				want := c.before
				if major >= 16 {
					want = c.since16
				}
				r := matchIdent(t, c.text, "SYS", c.role, major)
				if c.unknown {
					require.Equal(t, hba.CannotSay, r.Outcome)
					require.NotEmpty(t, r.Why)
					return
				}
				require.Equal(t, want, r.Outcome == hba.Matched, "%+v", r)
				require.NotEqual(t, hba.CannotSay, r.Outcome)
				require.Equal(t, want, r.Mapping != nil && r.Why == "")
			})
		}
	}
}

func TestIdentMatchWithout(t *testing.T) {
	var none hba.IdentMaps
	require.Equal(t, hba.Matched, none.Match(hba.Login{SystemUser: "a", Role: "a"}).Outcome, "no map")
	require.Equal(t, hba.NoneMatch, none.Match(hba.Login{SystemUser: "a", Role: "b"}).Outcome)
	require.Equal(t, hba.NoneMatch, none.Match(hba.Login{SystemUser: "a", Role: "A"}).Outcome)
	require.Equal(t, hba.Matched, none.Match(hba.Login{SystemUser: "a", Role: "A", FoldCase: true}).Outcome)
	require.Equal(t, hba.NoneMatch, none.Match(hba.Login{Map: "m", SystemUser: "a", Role: "a"}).Outcome)
	maps, err := hba.LoadIdent(files("f", "m a +g\nm B c\n"), "f", 18)
	require.NoError(t, err)
	r := maps.Match(hba.Login{Map: "m", SystemUser: "a", Role: "b"})
	require.Equal(t, hba.CannotSay, r.Outcome)
	require.Equal(t, 1, r.Mapping.Number)
	r = maps.Match(hba.Login{Map: "m", SystemUser: "a", Role: "b", Member: func(string, string) (bool, error) { return false, os.ErrClosed }})
	require.Equal(t, hba.CannotSay, r.Outcome)
	require.Equal(t, hba.Matched, maps.Match(hba.Login{Map: "m", SystemUser: "b", Role: "C", FoldCase: true}).Outcome)
	require.Equal(t, hba.NoneMatch, maps.Match(hba.Login{Map: "M", SystemUser: "b", Role: "C", FoldCase: true}).Outcome)
}

// identTexts are read by real servers too, in TestOracleIdentView.
var identTexts = []string{
	"", "# x\n", "m a b", "m a b c d", "m a", "m", "m,n a b", "m a,b c", "m a b,c", "m a b,c d", "m a b c,d", `"m n" "a b" "c"`, "m a b # c", "m\ta\tb\r\n", "m /( b", "m /a b\nm /b( c\n", "m a /(", "m a /b",
	`m a "/("`, `m "/(" a`, "m \\\n a b", "m a b\\", "m @f b", "all all all", `"" "" ""`, "include x", "include x y", "m a b\nbad\nm c d", ",m a b", "m ,a b", "m a b\rm c d\r", "m a ", "m a é", "m \"a", "m a/b c",
}

func TestParseIdent(t *testing.T) {
	f, err := hba.ParseIdent("f", []byte("# x\nm \"all\" +g # y\n\nm a\nm /( b\n"+`m /^(.*)@x$ \1 z`), 18)
	require.Equal(t, []string{"4:4", "5:3"}, places(err))
	m := f.Mappings()
	require.Equal(t, []hba.Mapping{
		{Map: "m", SystemUser: `"all"`, Role: "+g", Line: 2}, {Map: "m", SystemUser: "/^(.*)@x$", Role: `\1`, Line: 6},
	}, m)
	m[0].Line = 7
	require.Equal(t, 2, f.Mappings()[0].Line)
	require.Empty(t, f.Diff())
}

func TestIdentEdits(t *testing.T) {
	f := hba.NewIdent("f", 18)
	m := hba.Mapping{Map: "m", SystemUser: hba.Name("a b"), Role: hba.Name("all")}
	changed, err := f.Ensure(m)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, "m               \"a b\"                   \"all\"\n", string(f.Bytes()))
	changed, err = f.Ensure(hba.Mapping{Map: `"m"`, SystemUser: `a" "b`, Role: `"all"`})
	require.NoError(t, err)
	require.False(t, changed)
	changed, err = f.Ensure(hba.Mapping{Map: "m", SystemUser: hba.Name("a b"), Role: hba.All})
	require.NoError(t, err)
	require.True(t, changed)
	require.NoError(t, f.InsertBefore(1, hba.Mapping{Map: "m", SystemUser: "/x", Role: "/y"}))
	require.Equal(t, []int{1, 2, 3}, []int{f.Mappings()[0].Line, f.Mappings()[1].Line, f.Mappings()[2].Line})
	require.NoError(t, f.Remove(2))
	require.Equal(t, "--- f\n+++ f\n@@ -0,0 +1,2 @@\n+m               /x                      /y\n+m               \"a b\"                   all\n", f.Diff())
	require.ErrorIs(t, f.Remove(3), hba.ErrLine)
	require.ErrorIs(t, f.InsertBefore(9, m), hba.ErrLine)
	for name, bad := range map[string]hba.Mapping{
		"zero": {}, "blank": {Map: "a b", SystemUser: "x", Role: "x"}, "regexp_name": {Map: "m", SystemUser: hba.Name("/x"), Role: "x"},
		"regexp_bad": {Map: "m", SystemUser: "/(", Role: "x"}, "role_regexp_name": {Map: "m", SystemUser: "x", Role: hba.Name("/x")}, "file": {Map: "m", SystemUser: "x", Role: "@x"},
		"line": {Map: "m", SystemUser: "x", Role: hba.Name("x\ny")},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, bad.Validate(), hba.ErrMapping)
			require.ErrorIs(t, f.Append(bad), hba.ErrMapping)
			require.ErrorIs(t, f.InsertBefore(1, bad), hba.ErrMapping)
			_, err := f.Ensure(bad)
			require.ErrorIs(t, err, hba.ErrMapping)
		})
	}
	require.NoError(t, hba.Mapping{Map: "m", SystemUser: "x", Role: hba.Name("/x")}.ValidateFor(15))
	require.NoError(t, hba.Mapping{Map: hba.Name("/m"), SystemUser: "/a", Role: "x"}.Validate())
	require.ErrorIs(t, hba.Mapping{Map: hba.Token(make300()), SystemUser: "x", Role: "x"}.ValidateFor(10), hba.ErrMapping)
}

func TestLoadIdent(t *testing.T) {
	maps, err := hba.LoadIdent(files("d/pg_ident.conf", "m @users x\ninclude more\nbad\n", "d/users", "u", "d/more", "n a b"), "d/pg_ident.conf", 18)
	require.ErrorContains(t, err, "d/pg_ident.conf:3:4: ")
	require.Equal(t, "u", maps.All()[0].SystemUser.Text())
	require.Equal(t, []any{"d/more", 1, 2}, []any{maps.All()[1].File, maps.All()[1].Line, maps.All()[1].Number})
	_, err = hba.LoadIdent(files(), "f", 18)
	require.ErrorIs(t, err, os.ErrNotExist)
}
