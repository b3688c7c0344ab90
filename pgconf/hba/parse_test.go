package hba_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

func tokens(t ...hba.Token) []hba.Token { return t }

// vector is a text and what servers make of it: records, and places of errors.
type vector struct {
	name    string
	text    string
	since   pgconf.Major // 0 for all
	before  pgconf.Major // 0 for all
	records []hba.Record
	errors  []string // line:col
}

var (
	all  = tokens(hba.All)
	some = hba.Record{Type: hba.Local, Databases: all, Users: all, Method: hba.Trust, Line: 1}
)

func local(line int, dbs, users []hba.Token) []hba.Record {
	return []hba.Record{{Type: hba.Local, Databases: dbs, Users: users, Method: hba.Trust, Line: line}}
}

func host(address hba.Token, mask string) []hba.Record {
	return []hba.Record{{Type: hba.Host, Databases: all, Users: all, Address: address, Mask: mask, Method: hba.MD5, Line: 1}}
}

// vectors are judged by real servers too, in TestOracleVectors.
var vectors = []vector{
	{name: "list", text: "local a,b c trust", records: local(1, tokens("a", "b"), tokens("c"))},
	{name: "list_blank_after_comma", text: "local a, b c trust", records: local(1, tokens("a", "b"), tokens("c"))},
	{name: "list_blank_before_comma", text: "local a ,b x trust", errors: []string{"1:12"}},
	{name: "list_double_comma", text: "local a,,b c trust", records: local(1, tokens("a", "b"), tokens("c"))},
	{name: "list_leading_comma", text: ",local ,a c trust", records: local(1, tokens("a"), tokens("c"))},
	{name: "list_trailing_comma", text: "local all all trust,", records: []hba.Record{some}},
	{name: "list_comma_comment", text: "local all all trust,#x", records: []hba.Record{some}},
	{name: "quotes", text: `local "a b",c "x""y" trust`, records: local(1, tokens(`"a b"`, "c"), tokens(`"x""y"`))},
	{name: "quote_inside", text: `local a"l l"x a""b trust`, records: local(1, tokens(`"al lx"`), tokens("ab"))},
	{name: "quote_inside_plain", text: `local a"ll" all trust`, records: local(1, all, all)},
	{name: "quote_empty_first", text: `local ""all all trust`, records: local(1, tokens(`"all"`), all)},
	{name: "quote_empty", text: `local "" all trust`, records: local(1, tokens(`""`), all)},
	{name: "quote_open", text: `local all all peer "map=x`, errors: nil, records: []hba.Record{
		{Type: hba.Local, Databases: all, Users: all, Method: hba.Peer, Options: []hba.Option{{Name: "map", Value: "x"}}, Line: 1},
	}},
	{name: "quote_open_in_user", text: `local all "all trust`, errors: []string{"1:21"}},
	{name: "quoted_type_and_method", text: `"local" all all "trust"`, records: []hba.Record{some}},
	{name: "comment_touches", text: `local a#b all trust`, errors: []string{"1:20"}},
	{name: "comment_in_quotes", text: `local "a#b" all trust#c`, records: local(1, tokens(`"a#b"`), all)},
	{name: "blank_lines", text: " \t\r\n# x\n\n,\n  ,#\nlocal all all trust\r\r\n", records: local(6, all, all)},
	{name: "tabs_and_returns", text: "\tlocal\rall\tall \r trust", records: []hba.Record{some}},
	{name: "form_feed_is_no_blank", text: "local all all\ftrust", errors: []string{"1:20"}},
	{name: "single_at", text: `local @ "@x" trust`, records: local(1, tokens("@"), tokens(`"@x"`))},
	{name: "plus_and_slash", text: `local a +grp,+"my grp" trust`, records: local(1, tokens("a"), tokens("+grp", `+"my grp"`))},
	{name: "regex", text: `local /^db\d+$ "/a,b" trust`, records: local(1, tokens(`/^db\d+$`), tokens(`"/a,b"`))},

	{name: "continued", text: "local all all\\\n trust", since: 14, records: []hba.Record{some}},
	{name: "continued_before", text: "local all all\\\n trust", before: 14, errors: []string{"1:15", "2:2"}},
	{name: "continued_in_quotes", text: "local \"a\\\nb\" all trust", since: 14, records: local(1, tokens(`"ab"`), all)},
	{name: "continued_comment", text: "# c \\\nlocal all all trust", since: 14},
	{name: "continued_comment_before", text: "# c \\\nlocal all all trust", before: 14, records: local(2, all, all)},
	{name: "continued_crlf", text: "local\\\r\n all\\\r\n all trust\r\n#\nlocal a a trust", since: 14, records: append(local(1, all, all), local(5, tokens("a"), tokens("a"))...)},
	{name: "continued_blank_after", text: "local all all trust \\ \n", errors: []string{"1:21"}},
	{name: "continued_join_makes_no_other", text: "local all all map\\\\\n\ntrust x", since: 14, errors: []string{"1:15", "3:1"}},
	{name: "continued_at_end", text: "local all all trust\\", since: 14, records: []hba.Record{some}},
	{name: "continued_error_place", text: "local all \\\n  all \\\n bad", since: 14, errors: []string{"3:2"}},
	{name: "continued_error_first_line", text: "locl all \\\nall trust", since: 14, errors: []string{"1:1"}},

	{name: "include", text: "include x\nlocal all all trust", since: 16, records: local(2, all, all)},
	{name: "include_before", text: "include x\nlocal all all trust", before: 16, errors: []string{"1:1"}, records: local(2, all, all)},
	{name: "include_three_columns", text: "include x y", since: 16, errors: []string{"1:1"}},
	{name: "include_upper_case", text: "INCLUDE x", errors: []string{"1:1"}},

	{name: "mask", text: "host all all 10.0.0.0 255.0.0.0 md5", records: host("10.0.0.0", "255.0.0.0")},
	{name: "mask_any_bits", text: "host all all 10.0.0.0 255.0.255.0 md5", records: host("10.0.0.0", "255.0.255.0")},
	{name: "mask_missing", text: "host all all 10.0.0.0 md5", errors: []string{"1:23"}},
	{name: "mask_at_end", text: "host all all 10.0.0.0", errors: []string{"1:22"}},
	{name: "mask_other_family", text: "host all all 10.0.0.0 ffff:: md5", errors: []string{"1:23"}},
	{name: "mask_two", text: "host all all 10.0.0.0 255.0.0.0,255.0.0.0 md5", errors: []string{"1:33"}},
	{name: "mask_v6", text: "host all all fe80:: ffff:ffff:: md5", records: host("fe80::", "ffff:ffff::")},
	{name: "length", text: "host all all 10.1.2.3/8 md5", records: host("10.1.2.3/8", "")},
	{name: "length_zero", text: "host all all ::/0 md5", records: host("::/0", "")},
	{name: "length_leading_zero", text: "host all all 10.0.0.0/08 md5", records: host("10.0.0.0/08", "")},
	{name: "length_most", text: "host all all ::1/128 md5", records: host("::1/128", "")},
	{name: "length_too_long", text: "host all all 10.0.0.0/33 md5", errors: []string{"1:14"}},
	{name: "length_too_long_v6", text: "host all all ::1/129 md5", errors: []string{"1:14"}},
	{name: "length_empty", text: "host all all 10.0.0.0/ md5", errors: []string{"1:14"}},
	{name: "length_negative", text: "host all all 10.0.0.0/-1 md5", errors: []string{"1:14"}},
	{name: "length_junk", text: "host all all 10.0.0.0/8x md5", errors: []string{"1:14"}},
	{name: "length_dotted", text: "host all all 10.0.0.0/255.0.0.0 md5", errors: []string{"1:14"}},
	{name: "length_and_mask", text: "host all all 10.0.0.0/8 255.0.0.0 md5", errors: []string{"1:25"}},
	{name: "mapped_v6", text: "host all all ::ffff:10.0.0.1/104 md5", records: host("::ffff:10.0.0.1/104", "")},
	{name: "brackets", text: "host all all [::1]/128 md5", errors: []string{"1:14"}},
	{name: "not_an_address", text: "host all all 300.0.0.1/8 md5", errors: []string{"1:14"}},
	{name: "not_an_address_is_a_name", text: "host all all 300.0.0.1 md5", records: host("300.0.0.1", "")},
	{name: "host_name", text: "host all all db1.example.com md5", records: host("db1.example.com", "")},
	{name: "host_suffix", text: "host all all .example.com md5", records: host(".example.com", "")},
	{name: "host_star", text: "host all all * md5", records: host("*", "")},
	{name: "host_length", text: "host all all db1/24 md5", errors: []string{"1:14"}},
	{name: "host_mask", text: "host all all db1 255.255.255.0 md5", errors: []string{"1:18"}},
	{name: "host_quoted_keyword", text: `host all all "all" md5`, records: host(`"all"`, "")},
	{name: "host_upper_case_keyword", text: "host all all ALL md5", records: host("ALL", "")},
	{name: "address_keyword", text: "host all all samenet md5", records: host(hba.SameNet, "")},
	{name: "address_list", text: "host all all 10.0.0.1/32,10.0.0.2/32 md5", errors: []string{"1:26"}},
	{name: "address_zone", text: "host all all fe80::1%1/64 md5", records: host("fe80::1%1/64", "")},
	{name: "address_short", text: "host all all 10/8 md5", records: host("10/8", "")},
	{name: "address_short_two", text: "host all all 10.1/16 md5", records: host("10.1/16", "")},
	{name: "address_hex", text: "host all all 0x0a000001/32 md5", records: host("0x0a000001/32", "")},
	{name: "address_octal", text: "host all all 010.0.0.1/32 md5", records: host("010.0.0.1/32", "")},
	{name: "address_short_is_no_name", text: "host all all 10 255.0.0.0 md5", records: host("10", "255.0.0.0")},

	{name: "type_unknown", text: "LOCAL all all trust", errors: []string{"1:1"}},
	{name: "type_list", text: "local,host all all trust", errors: []string{"1:7"}},
	{name: "type_only", text: "local", errors: []string{"1:6"}},
	{name: "ends_before_user", text: "local all # x", errors: []string{"1:14"}},
	{name: "ends_before_address", text: "host all all", errors: []string{"1:13"}},
	{name: "ends_before_method", text: "host all all all", errors: []string{"1:17"}},
	{name: "method_list", text: "local all all trust,md5", errors: []string{"1:21"}},
	{name: "method_unknown", text: "local all all crypt", errors: []string{"1:15"}},
	{name: "method_upper_case", text: "local all all MD5", errors: []string{"1:15"}},
	{name: "method_peer_not_local", text: "host all all all peer", errors: []string{"1:18"}},
	{name: "method_gss_local", text: "local all all gss", errors: []string{"1:15"}},
	{name: "method_cert_not_ssl", text: "host all all all cert", errors: []string{"1:18"}},
	{name: "option_without_value", text: "host all all all md5 foo", errors: []string{"1:22"}},
	{name: "option_blank", text: "local all all peer map = x", errors: []string{"1:20"}},
	{name: "options", text: `local all all peer map="a b","map=c,d" map=`, records: []hba.Record{{
		Type: hba.Local, Databases: all, Users: all, Method: hba.Peer, Line: 1,
		Options: []hba.Option{{Name: "map", Value: "a b"}, {Name: "map", Value: "c,d"}, {Name: "map"}},
	}}},
	{name: "gssenc", text: "hostgssenc all all all md5", before: 12, errors: []string{"1:1"}},
	{name: "oauth", text: "local all all oauth issuer=x scope=y", before: 18, errors: []string{"1:15"}},
	{name: "file_ref_in_address", text: "host all all @f md5", errors: []string{"1:14"}}, // the server looks for a file that is not there
}

// in reports whether the vector is about a major.
func (v vector) in(major pgconf.Major) bool {
	return major >= v.since && (v.before == 0 || major < v.before)
}

func TestParseVectors(t *testing.T) {
	for _, v := range vectors {
		for major := pgconf.Major(10); major <= pgconf.Newest; major++ {
			if !v.in(major) {
				continue
			}
			t.Run(fmt.Sprintf("%s/major=%d", v.name, major), func(t *testing.T) {
				f, err := hba.ParseFor("f", []byte(v.text), major)
				require.Equal(t, v.text, string(f.Bytes()))
				require.Equal(t, v.errors, places(err))
				require.Equal(t, plain(v.records), plain(f.Records()))
			})
		}
	}
}

// places returns line:col of each syntax error.
func places(err error) []string {
	var at []string
	var errs pgconf.SyntaxErrors
	errors.As(err, &errs)
	for _, e := range errs {
		at = append(at, fmt.Sprintf("%d:%d", e.Line, e.Col))
	}
	return at
}

// plain makes records comparable and printable with all they hold.
func plain(records []hba.Record) []string {
	var s []string
	for _, r := range records {
		s = append(s, fmt.Sprintf("%d: %s|%q|%q|%s|%s|%s|%d", r.Line, r.Type, r.Databases, r.Users, r.Address, r.Mask, r.Method, len(r.Options)))
		for _, o := range r.Options {
			s = append(s, o.Name+"="+o.Value)
		}
	}
	return s
}

func TestParseFileRefs(t *testing.T) {
	f, err := hba.Parse("f", []byte(`local @dbs,x @"my users" trust`))
	require.NoError(t, err)
	require.Equal(t, tokens("@dbs", "x"), f.Records()[0].Databases)
	require.Equal(t, tokens(`@"my users"`), f.Records()[0].Users)
	require.False(t, f.Records()[0].Users[0].Quoted())
	require.Equal(t, "@my users", f.Records()[0].Users[0].Text())
}

func TestParseNUL(t *testing.T) {
	for _, text := range []string{"local all all trust\x00", "# \x00", "\x00local all all trust"} {
		f, err := hba.Parse("f", []byte(text))
		require.Error(t, err)
		require.Empty(t, f.Records())
		require.Equal(t, text, string(f.Bytes()))
	}
}

func TestParseLimits(t *testing.T) {
	text := func(n int, format string) string { return fmt.Sprintf(format, strings.Repeat("x", n)) }
	for name, c := range map[string]struct {
		major  pgconf.Major
		most   int // longest that is read
		format string
	}{
		"token/10":        {10, 255, "local %s all trust\n"},
		"token/13":        {13, 10239, "local %s all trust\n"},
		"token/15":        {15, 10239, "local %s all trust\n"},
		"token_quoted/15": {15, 10238, "local \"%s\" all trust\n"},
		"token_comma/15":  {15, 10238, "local %s,a all trust\n"},
		"token_remark/15": {15, 10239, "local a %s trust\n"},
		"line/10":         {10, 8190 - 22, "local all all trust #%s\n"},
		"line/13":         {13, 20478 - 22, "local all all trust #%s\n"},
		"line_open/13":    {13, 20478 - 21, "local all all trust #%s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hba.ParseFor("f", []byte(text(c.most, c.format)), c.major)
			require.NoError(t, err)
			_, err = hba.ParseFor("f", []byte(text(c.most+1, c.format)), c.major)
			require.ErrorContains(t, err, "too long")
			_, err = hba.ParseFor("f", []byte(text(c.most+1, c.format)), 16)
			require.NoError(t, err)
		})
	}
}

func TestErrorsShowNoSecret(t *testing.T) {
	const marker = "s3cr3t"
	for _, text := range []string{
		"host all all all ldap ldapbindpasswd= " + marker,
		"host all all all ldap ldapbindpasswd = " + marker,
		"host all all all " + marker,
		"host all all 1.2.3.4 " + marker,
		"host all all x/" + marker + " ldap",
		marker,
	} {
		_, err := hba.Parse("f", []byte(text))
		require.Error(t, err)
		require.NotContains(t, err.Error(), marker)
	}
}

// TestLongLines has lines of 10 MiB of every kind that could make a careless parser quadratic.
func TestLongLines(t *testing.T) {
	const n = 10 << 20
	word := strings.Repeat("x", 63)
	begin := time.Now()
	for name, text := range map[string]string{
		"token":         "local " + strings.Repeat("x", n) + " all trust",
		"list":          "local " + strings.Repeat(word+",", n/64) + "x all trust",
		"quotes":        "local \"" + strings.Repeat(`""`, n/2) + "\" all trust",
		"open_quote":    "local \"" + strings.Repeat(`""`, n/2),
		"columns":       "local all all trust " + strings.Repeat("a="+word[2:]+" ", n/64),
		"comment":       strings.Repeat("#", n),
		"commas":        strings.Repeat(",", n),
		"continuations": "local " + strings.Repeat(word+",\\\n", n/66) + "x all trust",
		"backslashes":   "local " + strings.Repeat(`\`, n) + "\n\n",
		"returns":       "local all all trust" + strings.Repeat("\r", n) + "\n",
		"short_lines":   strings.Repeat("\\\r\n#\n", n/5),
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := hba.Parse("f", []byte(text))
			require.True(t, text == string(f.Bytes()))
			require.NoError(t, f.Append(some))
			for _, r := range f.Records() {
				_, err := hba.Parse("f", []byte(r.Text()))
				require.NoError(t, err)
			}
		})
	}
	require.Less(t, time.Since(begin), 120*time.Second, "linear time takes a few seconds, even with the race detector")
}
