package conninfo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// vector is one string and what libpq makes of it.
type vector struct {
	text string
	want []string // keyword, value, ...
	col  int      // column of the syntax error
	back string   // Text, if it is not text
}

// vectors are judged by libpq too, in TestOracleParse. All keywords are real ones.
var vectors = []vector{
	{text: ""},
	{text: " \t\n\v\f\r ", back: ""},
	{text: "user=a", want: []string{"user", "a"}},
	{text: "user=a dbname=b", want: []string{"user", "a", "dbname", "b"}},
	{text: "\n user = a\tdbname =b ", want: []string{"user", "a", "dbname", "b"}, back: "user=a dbname=b"},
	{text: "user='a b'", want: []string{"user", "a b"}},
	{text: `user='it\'s'`, want: []string{"user", "it's"}},
	{text: `user='a\\b'`, want: []string{"user", `a\b`}},
	{text: `user='a\b'`, want: []string{"user", "ab"}, back: "user=ab"},
	{text: `user=it\'s`, want: []string{"user", "it's"}, back: `user='it\'s'`},
	{text: `user=it's`, want: []string{"user", "it's"}, back: `user='it\'s'`},
	{text: `user=a\ b`, want: []string{"user", "a b"}, back: "user='a b'"},
	{text: `user=a\`, want: []string{"user", "a"}, back: "user=a"},
	{text: `user='a'dbname='b'`, want: []string{"user", "a", "dbname", "b"}, back: "user=a dbname=b"},
	{text: "user=", want: []string{"user", ""}, back: "user=''"},
	{text: "user=''", want: []string{"user", ""}},
	{text: "user= dbname=b", want: []string{"user", "dbname=b"}, back: "user=dbname=b"},
	{text: "user==", want: []string{"user", "="}},
	{text: "user=a=b", want: []string{"user", "a=b"}},
	{text: `user="a`, want: []string{"user", `"a`}},
	{text: "user=a dbname=b user=c", want: []string{"user", "c", "dbname", "b"}, back: "user=c dbname=b"},
	{text: "user=é", want: []string{"user", "é"}, back: "user='é'"},
	{text: "application_name=a#b", want: []string{"application_name", "a#b"}},
	{text: "user", col: 1},
	{text: "user=a b", col: 8},
	{text: "user=a b c=d", col: 8},
	{text: "user=a =b", col: 8},
	{text: "=b", col: 1},
	{text: "user='a", col: 6},
	{text: `user='a\'`, col: 6},
	{text: "user='it''s'", col: 10},
	{text: "user='a'b", col: 9},
	{text: "User=a", col: 1},
	{text: "us-er=a", col: 1},
	{text: "1=a", col: 1},
	{text: "'user'=a", col: 1},
}

func TestParseVectors(t *testing.T) {
	for _, v := range slices.Concat(vectors, uriVectors) {
		t.Run(v.text, func(t *testing.T) {
			info, err := conninfo.Parse(v.text)
			if v.col > 0 {
				var syntax *pgconf.SyntaxError
				require.ErrorAs(t, err, &syntax)
				require.Equal(t, v.col, syntax.Col, syntax.Msg)
				require.Empty(t, info.Keys())
				return
			}
			require.NoError(t, err)
			var got []string
			for _, key := range info.Keys() {
				value, ok := info.Get(key)
				require.True(t, ok)
				got = append(got, key, value)
			}
			require.Equal(t, v.want, got)
			back := v.back
			if back == "" && len(v.want) > 0 {
				back = v.text
			}
			if !strings.Contains(v.text, "://") {
				require.Equal(t, back, info.Text())
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"user=a\x00b", "\x00", "postgresql://h\x00", "jdbc:postgresql://h/d"} {
		_, err := conninfo.Parse(s)
		var syntax *pgconf.SyntaxError
		require.ErrorAs(t, err, &syntax, "%q", s)
	}
	_, err := conninfo.Parse("host=h port")
	require.EqualError(t, err, `connection string: column 8: no "=" after this word; a value with a blank needs single quotes`)
}

func TestWith(t *testing.T) {
	var zero conninfo.Info
	a := zero.With("host", "h1").With("port", "5432")
	b := a.With("host", "h 2")
	require.Equal(t, "", zero.Text())
	require.Equal(t, "host=h1 port=5432", a.Text(), "the old one is as it was")
	require.Equal(t, "host='h 2' port=5432", b.Text())
	require.Equal(t, "port=5432", b.Without("host").Text())
	require.Equal(t, "host='h 2' port=5432", b.Text())
	require.Equal(t, b.Text(), b.Without("user").Text())
	c, d := a.With("user", "c"), a.With("user", "d")
	require.Equal(t, "host=h1 port=5432 user=c", c.Text(), "copies share nothing")
	require.Equal(t, "host=h1 port=5432 user=d", d.Text())
	_, ok := a.Get("user")
	require.False(t, ok)
	for _, key := range []string{"", "a b", "a=", "A", "1a", "a'", "é", "a\x00"} {
		require.Panics(t, func() { a.With(key, "x") }, "%q", key)
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"", "", true},
		{"user=a host=b", "host='b'   user=a", true},
		{"user=a user=b", "user=b", true},
		{"user=a", "user=b", false},
		{"user=a", "", false},
		{"user=''", "", false},
		{"user=a", "host=a", false},
		{"user=a", "user=a host=b", false},
	} {
		a, err := conninfo.Parse(c.a)
		require.NoError(t, err)
		b, err := conninfo.Parse(c.b)
		require.NoError(t, err)
		require.Equal(t, c.same, a.Equal(b), "%s / %s", c.a, c.b)
		require.Equal(t, c.same, b.Equal(a), "%s / %s", c.b, c.a)
	}
}

// distinct returns n options with different keywords.
func distinct(n int, separator string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d=%d%s", i, i, separator)
	}
	return b.String()
}

// TestManyKeywords: past the number from which on they are looked up otherwise, the last value counts as before.
func TestManyKeywords(t *testing.T) {
	for _, n := range []int{62, 63, 64, 65, 66, 200} {
		info, err := conninfo.Parse(distinct(n, " ") + strings.ReplaceAll(distinct(n, " "), "=", "=x"))
		require.NoError(t, err)
		require.Len(t, info.Keys(), n)
		for i, key := range info.Keys() {
			require.Equal(t, fmt.Sprint("k", i), key)
			value, _ := info.Get(key)
			require.Equal(t, fmt.Sprint("x", i), value)
		}
		require.True(t, info.Equal(info.With("k0", "x0")))
		require.False(t, info.Equal(info.With("k0", "y")))
		require.False(t, info.Same(info.With(fmt.Sprint("k", n-1), "y")))
	}
}

// TestLong has strings of 256 KiB of every kind that could make a careless parser quadratic.
func TestLong(t *testing.T) {
	const n = 1 << 18
	begin := time.Now()
	for name, text := range map[string]string{
		"value":    "user=" + strings.Repeat("x", n),
		"escapes":  "user='" + strings.Repeat(`\'`, n/2) + "'",
		"open":     "user='" + strings.Repeat(`\'`, n/2),
		"blanks":   "user" + strings.Repeat(" ", n) + "=a",
		"repeated": strings.Repeat("user=a ", n/7),
		"keyword":  strings.Repeat("x", n) + "=a",
		"distinct": distinct(n/20, " "),
		"hosts":    "postgresql://" + strings.Repeat("h:1,", n/4),
		"ports":    "host=a port=" + strings.Repeat(",", n),
		"brackets": "postgresql://" + strings.Repeat("[", n),
		"percent":  "postgresql://h/" + strings.Repeat("%41", n/3),
		"blanks_u": "postgresql://h/" + strings.Repeat(" ", n),
		"params":   "postgresql://h/d?" + distinct(n/20, "&"),
		"jdbc":     "jdbc:postgresql://" + strings.Repeat("h:1,", n/4) + "/d?" + distinct(n/20, "&"),
	} {
		t.Run(name, func(t *testing.T) {
			info, err := conninfo.Parse(text)
			if err != nil {
				info, _ = conninfo.ParseJDBC(text)
			}
			for _, form := range []string{info.Text(), info.URI()} {
				back, err := conninfo.Parse(form)
				require.NoError(t, err)
				require.True(t, back.Same(info))
			}
			_, _ = info.JDBC()
			_ = info.Validate(18)
			_, _ = info.For(10)
		})
	}
	for name, content := range map[string]string{
		"lines": strings.Repeat("[a]\nport=1\n", n/11), "one_line": "[a]\nport=" + strings.Repeat("x", n), "keys": "[b]\n" + distinct(n/20, "\n"),
		"colons": strings.Repeat(":", n), "entries": strings.Repeat("h:1:d:u:p\n", n/10), "escapes": strings.Repeat(`\:`, n/2),
	} {
		t.Run(name, func(t *testing.T) {
			services, _ := conninfo.ParseServiceFile("f", []byte(content))
			_, _ = services.Lookup("b")
			_ = services.Ensure("b", new(conninfo.Info).With("port", "1"))
			_, _ = new(conninfo.Info).With("service", "b").Expand(services)
			passwords, _ := conninfo.ParsePassfile("f", []byte(content))
			_, _ = passwords.Lookup("h", "1", "d", "v")
			require.NoError(t, passwords.Ensure(entry("h", "1", "d", "u", "q")))
		})
	}
	require.Less(t, time.Since(begin), 60*time.Second, "linear time takes a few seconds, even with the race detector")
}
