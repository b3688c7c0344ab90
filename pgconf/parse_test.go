package pgconf_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
)

// vector is one line and what every server from 10 to 18 makes of it.
type vector struct {
	line  string
	value string // if col is 0
	col   int    // column of the syntax error
}

// vectors are judged by real servers too, in TestOracleVectors.
var vectors = []vector{
	{line: `a foo`, value: "foo"},
	{line: `a=foo.bar`, col: 3},
	{line: `a='it''s'`, value: "it's"},
	{line: `a='it\'s'`, value: "it's"},
	{line: `a='\101\tb'`, value: "A\tb"},
	{line: `a='\b\f\n\r\t\7\08'`, value: "\b\f\n\r\t\a"}, // \0 ends the value
	{line: `a='\7x\1018\777'`, value: "\axA8\xff"},
	{line: `a='x\400y'`, value: "x"},
	{line: `a='\1234'`, value: "S4"},
	{line: `a='a\xb'`, value: "axb"},
	{line: `a='\\'`, value: `\`},
	{line: `a='x\'`, col: 3},
	{line: `a'adj'`, value: "adj"},
	{line: `a+1`, value: "+1"},
	{line: `a-1`, col: 1},
	{line: `a = = x`, col: 5},
	{line: `= x`, col: 1},
	{line: `a=0x1F`, value: "0x1F"},
	{line: `a=0xFFkB`, value: "0xFFkB"},
	{line: `a=-0xFF`, value: "-0xFF"},
	{line: `a=0x1`, value: "0x1"},
	{line: `a=0X1f`, col: 5},
	{line: `a=00x1f`, col: 6},
	{line: `a=0x`, value: "0x"},
	{line: `a=0xg`, value: "0xg"},
	{line: `a=1e6`, col: 5},
	{line: `a=1e`, value: "1e"},
	{line: `a=1.5`, value: "1.5"},
	{line: `a=5.e3`, value: "5.e3"},
	{line: `a=+.5e3`, value: "+.5e3"},
	{line: `a=1.5e-3`, value: "1.5e-3"},
	{line: `a=1.5e+`, col: 6},
	{line: `a=1.5GB`, col: 6},
	{line: `a=5min`, value: "5min"},
	{line: `a=5 kB`, col: 5},
	{line: `a=5x#y`, value: "5x"},
	{line: `a=.`, value: "."},
	{line: `a=-.`, value: "-."},
	{line: `a=*`, col: 3},
	{line: `a=/abs`, col: 3},
	{line: `a=a,b`, col: 4},
	{line: `a="x"`, col: 3},
	{line: `a=-`, col: 3},
	{line: `a=-a`, col: 3},
	{line: `a=a/b:c-d._`, value: "a/b:c-d._"},
	{line: `a=foo.bar.baz`, value: "foo.bar.baz"},
	{line: `a=a.1`, value: "a.1"},
	{line: `a=a..b`, value: "a..b"},
	{line: `a=a.b-`, value: "a.b-"},
	{line: `a=en_US.UTF-8`, value: "en_US.UTF-8"},
	{line: `a=C.UTF8`, col: 3},
	{line: `a=10.0.0.1`, col: 7},
	{line: `a=1_000`, col: 4},
	{line: `a=1a2`, col: 5},
	{line: `a=_a`, value: "_a"},
	{line: `a=on;`, col: 5},
	{line: `a='x'y`, col: 6},
	{line: `a=x'y'`, col: 4},
	{line: `a='a' 'b'`, col: 7},
	{line: `a='x' # 'y'`, value: "x"},
	{line: `a='x # y'`, value: "x # y"},
	{line: `a=x y`, col: 5},
	{line: `a='unterminated`, col: 3},
	{line: `a='odd''`, col: 3},
	{line: `a=`, col: 3},
	{line: `a`, col: 2},
	{line: `a = # x`, col: 5},
	{line: `a=''`, value: ""},
	{line: `a=''''`, value: "'"},
	{line: `a=é`, value: "é"},
	{line: "a=\x80", value: "\x80"},
	{line: "a=\x7f", col: 3},
	{line: `_p.x=1`, value: "1"},
	{line: `é.x=1`, value: "1"},
	{line: `x.y.z=1`, col: 1},
	{line: `x-y=1`, col: 1},
	{line: `x.=1`, col: 1},
	{line: `x. y=1`, col: 1},
	{line: `1x=1`, col: 1},
	{line: `x$=1`, col: 2},
	{line: `'a'=1`, col: 1},
	{line: "a=1\r", value: "1"},
	{line: "\r\t a \r=\t1 \r", value: "1"},
	{line: "a=1\rb=2", col: 5},
	{line: "a=1\fb", col: 4},
	{line: "a=\v1", col: 3},

	{line: `a1=2`, value: "2"},
	{line: `a.b1=2`, value: "2"},
	{line: `a._b=1`, value: "1"},
	{line: `a.1b=1`, col: 1},
	{line: `a.b'x'`, value: "x"},
	{line: `a.b+1`, value: "+1"},
	{line: `a=+1`, value: "+1"},
	{line: `a=+`, col: 3},
	{line: `a=+a`, col: 3},
	{line: `a=.e3`, value: ".e3"},
	{line: `a=.5`, value: ".5"},
	{line: `a=-.5E-3`, value: "-.5E-3"},
	{line: `a=..`, col: 4},
	{line: `a=...`, col: 4},
	{line: `a=1.e`, col: 5},
	{line: `a=1.5.6`, col: 6},
	{line: `a=1.5E`, col: 6},
	{line: `a=1.5e`, col: 6},
	{line: `a=1.5E3`, value: "1.5E3"},
	{line: `a=1.5ex`, col: 6},
	{line: `a=1.E5`, value: "1.E5"},
	{line: `a=1E5`, col: 5},
	{line: `a=1E`, value: "1E"},
	{line: `a=0x1G`, value: "0x1G"},
	{line: `a=0x1.5`, col: 6},
	{line: `a=+0x1F`, value: "+0x1F"},
	{line: `a=0xABCDEFabcdef`, value: "0xABCDEFabcdef"},
	{line: `a=0x1Fmin`, value: "0x1Fmin"},
	{line: `a=00`, value: "00"},
	{line: `a=1kB2`, col: 6},
	{line: `a=1 # 2`, value: "1"},
	{line: `a=1é`, col: 4},
	{line: `a=é1`, value: "é1"},
	{line: `a=é.é`, col: 3},
	{line: `a=_._`, col: 3},
	{line: `a=a-`, value: "a-"},
	{line: `a=a/`, value: "a/"},
	{line: `a=a:b.c`, value: "a:b.c"},
	{line: `a=a.b.c-d`, value: "a.b.c-d"},
	{line: `a=a.b:`, value: "a.b:"},
	{line: `a=a.b_c`, col: 3},
	{line: `a=a.é`, col: 3},
	{line: `a=A.1`, value: "A.1"},
	{line: `a='\'`, col: 3},
	{line: `a='a\`, col: 3},
	{line: `a='\`, col: 3},
	{line: `a='`, col: 3},
	{line: `a='x''`, col: 3},
	{line: `a='\377'`, value: "\xff"},
	{line: `a='\8'`, value: "8"},
	{line: `a='\08'`, value: ""},
	{line: `a='\18'`, value: "\x018"},
	{line: `a='\''`, value: "'"},
	{line: `a='\é'`, value: "é"},
	{line: `a='\"'`, value: "\""},
	{line: `a=#`, col: 3},
	{line: `a #`, col: 3},
	{line: `a='#'#`, value: "#"},
	{line: `a=1#`, value: "1"},
	{line: `a=''''''`, value: "''"},
	{line: `a='x''y'`, value: "x'y"},
	{line: `a='''x'`, value: "'x"},
	{line: "a='x'\t\r", value: "x"},
	{line: "a='x\ty'", value: "x\ty"},
	{line: "a='x\ry'", value: "x\ry"},
	{line: "a=\xff", value: "\xff"},
	{line: "a='\xff'", value: "\xff"},
	{line: `=`, col: 1},
	{line: `'`, col: 1},
	{line: `a==1`, col: 3},
	{line: `a=1=2`, col: 4},
	{line: `a=1,2`, col: 4},
	{line: `a=1;`, col: 4},
	{line: `a=(1)`, col: 3},
	{line: `a=$1`, col: 3},
	{line: `a=@x`, col: 3},
	{line: `a=~`, col: 3},
	{line: `a=\x`, col: 3},
	{line: "a=\x01", col: 3},
	{line: "a='\x01'", value: "\x01"},
	{line: `1`, col: 1},
	{line: `+a=1`, col: 1},
	{line: `.a=1`, col: 1},
	{line: `.=1`, col: 1},
	{line: `a .b=1`, col: 4},
	{line: `a-b=1`, col: 1},
	{line: `a/b=1`, col: 1},
	{line: `a:b=1`, col: 1},
	{line: `a,b=1`, col: 2},
	{line: `ä=1`, value: "1"},
	{line: `a.ä=1`, value: "1"},
	{line: `ÄB.Öc=1`, value: "1"},
	{line: `"a"=1`, col: 1},
	{line: `a = on off`, col: 8},
	{line: `a = 'on' off`, col: 10},
	{line: `a = 1 'off'`, col: 7},
	{line: `a = 1 b = 2`, col: 7},
	{line: `a on # off`, value: "on"},
	{line: "a\ton\t# off", value: "on"},
	{line: `a.b.c=1`, col: 1},
	{line: `a.b.=1`, col: 1},
	{line: `a..b=1`, col: 1},
	{line: `a.b-c=1`, col: 1},
	{line: `a.b =1`, value: "1"},
	{line: `a.b 1`, value: "1"},
	{line: `a.b c.d`, col: 5},
	{line: `a c.d`, col: 3},
	{line: `a c.d.e`, value: "c.d.e"},
	{line: `a=5.`, value: "5."},
	{line: `a=5.kB`, col: 5},
	{line: `a=5.5kB`, col: 6},
	{line: `a=-5min`, value: "-5min"},
	{line: `a=+5min`, value: "+5min"},
	{line: `a=--5`, col: 3},
	{line: `a=+-5`, col: 3},
	{line: `a=5-`, col: 4},
	{line: `a=5/6`, col: 4},
	{line: `a=5:6`, col: 4},
	{line: `a=5'x'`, col: 4},
	{line: `a='x'5`, col: 6},
	{line: `a=x+5`, col: 4},
	{line: `a=x-5`, value: "x-5"},
	{line: `a=x `, value: "x"},
	{line: "\ta=x", value: "x"},
	{line: `   a   =   x   `, value: "x"},
}

func TestParseVectors(t *testing.T) {
	for _, v := range vectors {
		for _, end := range []string{"", "\n"} {
			t.Run(fmt.Sprintf("%q", v.line+end), func(t *testing.T) {
				f, err := pgconf.Parse("f", []byte("b = 1\n"+v.line+end))
				require.Equal(t, "b = 1\n"+v.line+end, string(f.Bytes()))
				if v.col == 0 {
					require.NoError(t, err)
					require.Len(t, f.Settings(), 2)
					require.Equal(t, v.value, f.Settings()[1].Value)
					require.Equal(t, 2, f.Settings()[1].Line)
					return
				}
				var syntax *pgconf.SyntaxError
				require.ErrorAs(t, err, &syntax)
				require.Equal(t, [2]int{2, v.col}, [2]int{syntax.Line, syntax.Col}, syntax.Msg)
				require.Len(t, f.Settings(), 1)
			})
		}
	}
}

func TestParseRefusesWhatTheServerMisreads(t *testing.T) {
	for name, c := range map[string]struct {
		text      string
		line, col int
	}{
		"mark_before_setting": {"\uFEFFport = 1\n", 1, 1},
		"mark_before_comment": {"\uFEFF# hello\n", 1, 1},
		"nul_in_value":        {"a = 1\nb = 'x\x00y'\n", 2, 7},
		"nul_bare":            {"a = 1\x00\n", 1, 6},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := pgconf.Parse("f", []byte(c.text))
			var syntax *pgconf.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, [2]int{c.line, c.col}, [2]int{syntax.Line, syntax.Col})
			require.Equal(t, c.text, string(f.Bytes()))
		})
	}
	_, err := pgconf.Parse("f", []byte("# a NUL \x00 in a comment\na = 1\n"))
	require.NoError(t, err, "the server does not mind")
}

func TestParseRefusesAHugeText(t *testing.T) {
	defer pgconf.SetMaxText(9)()
	f, err := pgconf.Parse("f", []byte("a = 1\nb=2\n"))
	var syntax *pgconf.SyntaxError
	require.ErrorAs(t, err, &syntax)
	require.Equal(t, [2]int{1, 1}, [2]int{syntax.Line, syntax.Col})
	require.Equal(t, "a = 1\nb=2\n", string(f.Bytes()))
	require.Empty(t, f.Settings())
	require.Empty(t, f.Diff())
	require.NoError(t, f.Set("a", "2"))
	require.Equal(t, "--- f\n+++ f\n@@ -1,2 +1,3 @@\n a = 1\n b=2\n+a = '2'\n", f.Diff())
	_, err = pgconf.Parse("f", []byte("a = 1\nb=2"))
	require.NoError(t, err)
}

func TestParseReportsEveryError(t *testing.T) {
	f, err := pgconf.Parse("my.conf", []byte("a\nb = 1\nc = *\n"))
	var all pgconf.SyntaxErrors
	require.True(t, errors.As(err, &all))
	require.Len(t, all, 2)
	require.Equal(t, "my.conf:1:2: no value; write '' for an empty one\n"+
		"my.conf:3:5: a value cannot begin with '*' unless it is in single quotes", err.Error())
	require.Len(t, f.Settings(), 1, "the valid line is there")

	_, err = pgconf.Parse("f", []byte(strings.Repeat("a\n", 1000)))
	require.True(t, errors.As(err, &all))
	require.Len(t, all, pgconf.MaxSyntaxErrors)
	require.Contains(t, err.Error(), "and 90 more")
}

func TestErrorsShowNoValue(t *testing.T) {
	const marker = "s3cr3t"
	for _, text := range []string{
		"primary_conninfo = host=a password=" + marker,
		"primary_conninfo = 'password=" + marker,
		"primary_conninfo = " + marker + "." + marker,
		"primary_conninfo = " + marker + " " + marker,
		"primary_conninfo = x'" + marker + "'",
		"primary_conninfo = 'password=" + marker + "\x00'",
	} {
		_, err := pgconf.Parse("f", []byte(text))
		require.Error(t, err)
		require.NotContains(t, err.Error(), marker)
	}
	f := pgconf.New("f")
	err := f.Set("primary_conninfo", marker+"\x00")
	require.ErrorIs(t, err, pgconf.ErrValue)
	require.NotContains(t, err.Error(), marker)
}

func TestGet(t *testing.T) {
	f, err := pgconf.Parse("f", []byte("Work_Mem = 1\n  work_mem = 2 # two\ninclude_dir 'conf.d'\n\xc3\x89.X = 3\n"))
	require.NoError(t, err)
	require.Equal(t, []pgconf.Setting{
		{Name: "work_mem", Spelling: "Work_Mem", Value: "1", File: "f", Line: 1, Col: 1},
		{Name: "work_mem", Spelling: "work_mem", Value: "2", File: "f", Line: 2, Col: 3},
		{Name: "include_dir", Spelling: "include_dir", Value: "conf.d", File: "f", Line: 3, Col: 1},
		{Name: "É.x", Spelling: "É.X", Value: "3", File: "f", Line: 4, Col: 1},
	}, f.Settings())
	got, ok := f.Get("WORK_mem")
	require.True(t, ok)
	require.Equal(t, f.Settings()[1], got)
	az, err := pgconf.Parse("f", []byte("AZ_az[ = 1\nAZ_az = 1"))
	require.Error(t, err)
	require.Equal(t, "az_az", az.Settings()[0].Name)
	_, ok = f.Get("é.x")
	require.False(t, ok, "only ASCII letters fold")
	_, ok = f.Get("")
	require.False(t, ok)
	require.True(t, f.Settings()[2].IsInclude())
	require.False(t, got.IsInclude())
}

func TestParseKeepsNoReference(t *testing.T) {
	b := []byte("port = 5432\n")
	f, err := pgconf.Parse("f", b)
	require.NoError(t, err)
	copy(b, "XXXX")
	f.Bytes()[0] = 'Y'
	require.Equal(t, "port = 5432\n", string(f.Bytes()))
}

// TestLongLines has lines of 10 MiB of every kind that could make a careless parser quadratic.
func TestLongLines(t *testing.T) {
	const n = 10 << 20
	begin := time.Now()
	for name, text := range map[string]string{
		"value":        "a = '" + strings.Repeat("x", n) + "'",
		"quotes":       "a = '" + strings.Repeat("''", n/2) + "'",
		"escapes":      "a = '" + strings.Repeat(`\1`, n/2) + "'",
		"unterminated": "a = '" + strings.Repeat("''", n/2),
		"name":         strings.Repeat("a", n) + " = 1",
		"word":         "a = " + strings.Repeat("x.", n/2),
		"number":       "a = " + strings.Repeat("1", n),
		"values":       "a = " + strings.Repeat("1 ", n/2),
		"comment":      strings.Repeat("#", n),
		"blanks":       strings.Repeat(" ", n),
		"short_lines":  strings.Repeat("#a\n", n/3),
		"pad":          "a = 1" + strings.Repeat(" ", n) + "# x",
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := pgconf.Parse("f", []byte(text))
			require.True(t, text == string(f.Bytes()))
			require.NoError(t, f.Set("a", "it's"))
			got, _ := f.Get("a")
			require.Equal(t, "it's", got.Value)
			require.NoError(t, f.Unset("a"))
		})
	}
	require.Less(t, time.Since(begin), 60*time.Second, "linear time takes a few seconds, even with the race detector")
}
