package hba_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// regexps are judged by real servers too, in TestOracleRegexp, with all the names.
var regexps = []struct {
	pattern string
	bad     bool // no regular expression
	unknown bool // not translated
}{
	{pattern: ""}, {pattern: "db1"}, {pattern: "^db1$"}, {pattern: `^db\d+$`}, {pattern: "a|b"}, {pattern: "|a"}, {pattern: "a|"}, {pattern: "()"},
	{pattern: "(a)"}, {pattern: "(?:a)b"}, {pattern: "a.b"}, {pattern: "^a*$"}, {pattern: "^a+?b$"}, {pattern: "^(ab)*$"}, {pattern: "^a{2}$"},
	{pattern: "^a{2,}$"}, {pattern: "^a{0,1}b$"}, {pattern: "^a{2,3}?$"}, {pattern: "a{0}"}, {pattern: "^(a){0}b$"}, {pattern: "a{,2}"}, {pattern: "a{x"}, {pattern: "{"},
	{pattern: "a}"}, {pattern: "]"}, {pattern: "[]a]"}, {pattern: "^[^]a]$"}, {pattern: "[a-c]"}, {pattern: "[-a]"}, {pattern: "[a-]"}, {pattern: "[--/]"},
	{pattern: "^[[:alpha:]]+$"}, {pattern: "[[:cntrl:]]"}, {pattern: `^[\d_]+$`}, {pattern: `^[^\d]+$`}, {pattern: `^\D+$`}, {pattern: `^\S+$`}, {pattern: `^\W+$`},
	{pattern: `\w\s\w`}, {pattern: `a\.b`}, {pattern: `\x41`}, {pattern: `\101`}, {pattern: `\u0041`}, {pattern: `\U00000041`}, {pattern: `\cA`}, {pattern: `\e`},
	{pattern: `\B`}, {pattern: `\bx`}, {pattern: `\ya`}, {pattern: `a\Yb`}, {pattern: `\Aa\Z`}, {pattern: "[[.a.]]"}, {pattern: "[[=a=]b]"}, {pattern: "[a[.-.]]"},
	{pattern: "a^b"}, {pattern: "a$b"}, {pattern: "^$"}, {pattern: "é"}, {pattern: "^..$"}, {pattern: "[é]"}, {pattern: "(?i)DB"}, {pattern: "(?i)[^a]"}, {pattern: "(?i)[[:lower:]]"},
	{pattern: "(?c)a"}, {pattern: "(?q)a.b"}, {pattern: "(?s)."}, {pattern: "(?t)a b"}, {pattern: "(?iq)A.B"}, {pattern: "***=a.b"}, {pattern: "***:a.b"}, {pattern: "a(?#x)b"},
	{pattern: "^a(?#x)*$"}, {pattern: "(?#x"}, {pattern: `[\w-]`}, {pattern: `[a\-z]`}, {pattern: `[\]]`}, {pattern: `a\/b`}, {pattern: `[[]`}, {pattern: `[[a]`}, {pattern: `\0`},
	{pattern: `\400`}, {pattern: `^(a|ab)(c|bcd)$`}, {pattern: "((((a))))"}, {pattern: `\xff`}, {pattern: `[\x80-\xff]`}, {pattern: `\u1234`}, {pattern: `[^\u1234]`},

	{pattern: `(a)\1`, unknown: true}, {pattern: `(?=a)b`, unknown: true}, {pattern: `(?!a)b`, unknown: true}, {pattern: `(?<=a)b`, unknown: true}, {pattern: `(?<!a)b`, unknown: true},
	{pattern: `\ma`, unknown: true}, {pattern: `a\M`, unknown: true}, {pattern: "[[:<:]]a", unknown: true}, {pattern: "a[[:>:]]", unknown: true}, {pattern: "(?x)a b", unknown: true},
	{pattern: "(?n)^a", unknown: true}, {pattern: "[[.hyphen.]]", unknown: true}, {pattern: "(?i)é", unknown: true}, {pattern: "(?i)[é]", unknown: true},

	{pattern: "*", bad: true}, {pattern: "+a", bad: true}, {pattern: "a**", bad: true}, {pattern: "a|*", bad: true}, {pattern: "(*a)", bad: true}, {pattern: "^*", bad: true},
	{pattern: "$*", bad: true}, {pattern: `\y*`, bad: true}, {pattern: "(?=a)*", bad: true}, {pattern: "{1}", bad: true}, {pattern: "a{2}{3}", bad: true}, {pattern: "a{1", bad: true},
	{pattern: "a{2,1}", bad: true}, {pattern: "a{256}", bad: true}, {pattern: "a{1,b}", bad: true}, {pattern: "a{1x}", bad: true}, {pattern: "(", bad: true}, {pattern: ")", bad: true},
	{pattern: "a)", bad: true}, {pattern: "(a", bad: true}, {pattern: "[", bad: true}, {pattern: "[]", bad: true}, {pattern: "[a", bad: true}, {pattern: "[b-a]", bad: true},
	{pattern: "[a-b-c]", bad: true}, {pattern: `[a-\d]`, bad: true}, {pattern: "[[:foo:]]", bad: true}, {pattern: "[[::]]", bad: true}, {pattern: "[[:alpha:", bad: true},
	{pattern: "[[..]]", bad: true}, {pattern: `a\`, bad: true}, {pattern: `\q`, bad: true}, {pattern: `\u12`, bad: true}, {pattern: `\xg`, bad: true}, {pattern: `[\y]`, bad: true},
	{pattern: `\1`, bad: true}, {pattern: `(a\1)`, bad: true}, {pattern: `\8`, bad: true}, {pattern: "(?z)a", bad: true}, {pattern: "(?i", bad: true}, {pattern: "(?", bad: true},
	{pattern: "(?a", bad: true}, {pattern: "(?<a)", bad: true}, {pattern: "***", bad: true}, {pattern: "***a", bad: true}, {pattern: "***?", bad: true}, {pattern: "[[", bad: true},
	{pattern: `[\`, bad: true}, {pattern: `\c`, bad: true}, {pattern: "((a)", bad: true}, {pattern: "a(?#x)**", bad: true}, {pattern: `(?=(a)\1)`, bad: true},
}

// regexpNames are matched with all regexps.
var regexpNames = []string{
	"", "a", "b", "ab", "aab", "aaab", "abc", "abcd", "db1", "db12", "DB1", "a.b", "A.B", "a b", "a-b", "-", "_", "]", "[", "{", "}", "a{x", "a{,2}", "a/b", `a\b`, `\`, "\x01", "\x1b", "\b",
	"é", "É", "\xe9", "\xff", "\x80", "x", "aa", "aaa", "z", "0", "9", "A", " ", "\t", "\n", "a\nb", "abb", " a", "ba", "b-", "Z_9", ".", "*", "bx", "/", "\v",
}

func TestRegexp(t *testing.T) {
	for _, c := range regexps {
		t.Run(c.pattern, func(t *testing.T) {
			r, err := hba.CompileRegexp(c.pattern, pgconf.Newest)
			if c.bad {
				require.ErrorIs(t, err, hba.ErrRegexp)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.pattern, r.String())
			for _, name := range regexpNames {
				_, why := r.Match(name)
				require.Equal(t, c.unknown, why != "", why)
			}
		})
	}
}

// olderRegexps are other things to older servers.
var olderRegexps = []struct {
	pattern      string
	bad, unknown bool
}{{pattern: `[\D]`}, {pattern: `[^\S]`}, {pattern: "[[:word:]]"}}

func TestRegexpByMajor(t *testing.T) {
	for _, c := range olderRegexps {
		_, err := hba.CompileRegexp(c.pattern, 14)
		require.NoError(t, err)
		_, err = hba.CompileRegexp(c.pattern, 13)
		require.ErrorIs(t, err, hba.ErrRegexp)
	}
}
