package hba_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

func replicator(address string) hba.Record {
	return hba.Record{
		Type: hba.HostSSL, Databases: tokens(hba.Replication), Users: tokens(hba.Name("replicator")),
		Address: hba.CIDR(netip.MustParsePrefix(address)), Method: hba.ScramSHA256,
	}
}

func TestAppend(t *testing.T) {
	const line = "hostssl replication     replicator      10.0.0.2/32             scram-sha-256"
	for name, c := range map[string]struct{ before, after string }{
		"empty":              {"", line + "\n"},
		"plain":              {"# x\n", "# x\n" + line + "\n"},
		"open_line":          {"local all all peer", "local all all peer\n" + line + "\n"},
		"crlf":               {"# x\r\n", "# x\r\n" + line + "\r\n"},
		"crlf_open_line":     {"# x\r\n# y", "# x\r\n# y\r\n" + line + "\r\n"},
		"continued":          {"# x\\\n", "# x\\\n\n" + line + "\n"},
		"continued_open":     {"# x\\", "# x\\\n\n" + line + "\n"},
		"continued_crlf":     {"# x\\\r\n", "# x\\\r\n\r\n" + line + "\r\n"},
		"continued_and_over": {"# x\\\n\n", "# x\\\n\n" + line + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := hba.Parse("f", []byte(c.before))
			require.NoError(t, err)
			had := len(f.Records())
			require.NoError(t, f.Append(replicator("10.0.0.2/32")))
			require.Equal(t, c.after, string(f.Bytes()))
			again, err := hba.Parse("f", f.Bytes())
			require.NoError(t, err)
			require.Equal(t, plain(again.Records()), plain(f.Records()), "line numbers included")
			require.Len(t, again.Records(), had+1)
			change, err := again.EnsureRule(replicator("10.0.0.2/32"), hba.EnsureConfig{})
			require.NoError(t, err)
			require.False(t, change.Changed)
			require.Equal(t, c.after, string(again.Bytes()))
		})
	}
}

func TestInsertBefore(t *testing.T) {
	const line = "hostssl replication     replicator      10.0.0.2/32             scram-sha-256"
	for name, c := range map[string]struct {
		before string
		at     int
		after  string
		major  pgconf.Major
	}{
		"first":                  {before: "# x\n", at: 1, after: line + "\n# x\n"},
		"empty":                  {before: "", at: 1, after: line + "\n"},
		"middle":                 {before: "# x\n# y\n", at: 2, after: "# x\n" + line + "\n# y\n"},
		"end":                    {before: "# x\n", at: 2, after: "# x\n" + line + "\n"},
		"end_of_open_line":       {before: "# x", at: 2, after: "# x\n" + line + "\n"},
		"before_open_line":       {before: "# x\r\n# y", at: 2, after: "# x\r\n" + line + "\r\n# y"},
		"crlf":                   {before: "# x\n# y\r\n# z\n", at: 2, after: "# x\n" + line + "\r\n# y\r\n# z\n"},
		"crlf_before":            {before: "# x\r\n# y\n# z\n", at: 2, after: "# x\r\n" + line + "\n# y\n# z\n"},
		"into_continued":         {before: "# w\n# x\\\n y\n# z\n", at: 3, after: "# w\n" + line + "\n# x\\\n y\n# z\n"},
		"behind_continued":       {before: "# x\\\n y\n# z\n", at: 3, after: "# x\\\n y\n" + line + "\n# z\n"},
		"behind_backslash_in_13": {before: "# x\\\n# y\n", at: 2, after: "# x\\\n\n" + line + "\n# y\n", major: 13},
	} {
		t.Run(name, func(t *testing.T) {
			if c.major == 0 {
				c.major = pgconf.Newest
			}
			f, err := hba.ParseFor("f", []byte(c.before), c.major)
			require.NoError(t, err)
			require.Empty(t, f.Diff())
			require.NoError(t, f.InsertBefore(c.at, replicator("10.0.0.2/32")))
			require.Equal(t, c.after, string(f.Bytes()))
			at := f.Records()[0].Line
			require.Contains(t, f.Diff(), "\n+"+line)
			require.NoError(t, f.Remove(at))
			require.Empty(t, f.Records())
		})
	}
}

func TestRemove(t *testing.T) {
	const text = "# a\nlocal all all peer\nlocal a \\\n a peer\nbad\nlocal b b peer"
	for name, c := range map[string]struct {
		at    int
		after string
	}{
		"comment":          {1, "local all all peer\nlocal a \\\n a peer\nbad\nlocal b b peer"},
		"record":           {2, "# a\nlocal a \\\n a peer\nbad\nlocal b b peer"},
		"continued":        {3, "# a\nlocal all all peer\nbad\nlocal b b peer"},
		"continuation":     {4, "# a\nlocal all all peer\nbad\nlocal b b peer"},
		"invalid":          {5, "# a\nlocal all all peer\nlocal a \\\n a peer\nlocal b b peer"},
		"last_without_end": {6, "# a\nlocal all all peer\nlocal a \\\n a peer\nbad\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := hba.Parse("f", []byte(text))
			require.Equal(t, []string{"5:1"}, places(err))
			require.NoError(t, f.Remove(c.at))
			require.Equal(t, c.after, string(f.Bytes()))
			again, _ := hba.Parse("f", f.Bytes())
			require.Equal(t, plain(again.Records()), plain(f.Records()))
		})
	}
}

func TestEditLineNumbers(t *testing.T) {
	f, err := hba.Parse("f", []byte("# a\n# b\n"))
	require.NoError(t, err)
	for _, n := range []int{-1, 0, 4} {
		require.ErrorIs(t, f.InsertBefore(n, some), hba.ErrLine)
		require.ErrorIs(t, f.Remove(n), hba.ErrLine)
	}
	require.ErrorIs(t, f.Remove(3), hba.ErrLine)
	require.ErrorIs(t, f.InsertBefore(1, hba.Record{}), hba.ErrRecord)
	require.Empty(t, f.Diff())
	require.Equal(t, "# a\n# b\n", string(f.Bytes()))
}

func TestDiff(t *testing.T) {
	f, err := hba.Parse("f", []byte("# 1\n# 2\n# 3\n# 4\n# 5\n# 6\n# 7\n# 8\n# 9\n# 10\n# 11"))
	require.NoError(t, err)
	require.NoError(t, f.Remove(2))
	require.NoError(t, f.InsertBefore(2, some))
	require.NoError(t, f.Append(some))
	require.NoError(t, f.InsertBefore(4, some))
	require.NoError(t, f.Remove(4))
	const added = "+local   all             all                                     trust\n"
	require.Equal(t, "--- f\n+++ f\n@@ -1,5 +1,5 @@\n # 1\n-# 2\n"+added+" # 3\n # 4\n # 5\n"+
		"@@ -8,4 +8,5 @@\n # 8\n # 9\n # 10\n-# 11\n\\ No newline at end of file\n+# 11\n"+added, f.Diff())
	f = hba.New("f")
	require.NoError(t, f.Append(some))
	require.Equal(t, "--- f\n+++ f\n@@ -0,0 +1 @@\n"+added, f.Diff())
	require.NoError(t, f.Remove(1))
	require.Empty(t, f.Diff())
}

func TestDiffHiding(t *testing.T) {
	f, err := hba.ParseFor("f", []byte("host a b 1.2.3.4/32 ldap ldapserver=x ldapbasedn=y ldapbindpasswd=\"sesame x\" # sesame\r\n"+
		"host a b 1.2.3.4/32 radius radiusservers=1.2.3.4 \"radiussecrets=sesame\"\n# ldapbindpasswd = sesame\nlocal a b trust\n"+
		"host a b 1.2.3.4/32 ldap ldapserver=x ldapbasedn=y ldapbindpasswd=\\\nsesame\n"), 17)
	require.NoError(t, err)
	require.NoError(t, f.Remove(4))
	require.NoError(t, f.InsertBefore(2, f.Records()[0]))
	require.Equal(t, "--- f\n+++ f\n@@ -1,6 +1,6 @@\n"+
		" host a b 1.2.3.4/32 ldap ldapserver=x ldapbasedn=y ldapbindpasswd=***\r\n"+
		"+host    a               b               1.2.3.4/32              ldap ldapserver=x ldapbasedn=y \"ldapbindpasswd=***\n"+
		" host a b 1.2.3.4/32 radius radiusservers=1.2.3.4 \"radiussecrets=***\n # ldapbindpasswd***\n-local a b trust\n"+
		" host a b 1.2.3.4/32 ldap ldapserver=x ldapbasedn=y ldapbindpasswd=***\n ***\n", f.DiffHiding())
	require.Contains(t, f.Diff(), "sesame x")
}

func TestAppendOwnsItsCopy(t *testing.T) {
	f := hba.New("f")
	r := replicator("10.0.0.2/32")
	require.NoError(t, f.Append(r))
	r.Databases[0] = hba.All
	f.Records()[0].Databases[0] = hba.All
	require.Equal(t, hba.Replication, f.Records()[0].Databases[0])
}

func TestEqual(t *testing.T) {
	for name, c := range map[string]struct {
		have, want string
		same       bool
	}{
		"same":                    {"local all all peer", "local all all peer", true},
		"remark":                  {"local all all peer # x", "local all all peer", true},
		"order_of_lists":          {"local a,b c,d peer", "local b,a d,c peer", true},
		"repeated_in_list":        {"local a,b,a c peer", "local a,b c peer", true},
		"needless_quotes":         {`local "a" "c" peer`, "local a c peer", true},
		"quoted_keyword":          {`local "all" all peer`, "local all all peer", false},
		"keyword_half_quoted":     {`local a"ll" all peer`, "local all all peer", true},
		"member_quoted":           {`local all "+g" peer`, "local all +g peer", false},
		"member_name_quoted":      {`local all +"g" peer`, "local all +g peer", true},
		"user":                    {"local all a peer", "local all b peer", false},
		"database_is_not_user":    {"local a b peer", "local b a peer", false},
		"case_of_names":           {"local a all peer", "local A all peer", false},
		"type":                    {"host all all all md5", "hostssl all all all md5", false},
		"method":                  {"host all all all md5", "host all all all password", false},
		"mask_or_length":          {"host all all 10.0.0.0 255.0.0.0 md5", "host all all 10.0.0.0/8 md5", true},
		"mask_or_length_v6":       {"host all all fe80:: ffff:ffff:8000:: md5", "host all all fe80::/33 md5", true},
		"odd_mask":                {"host all all 10.0.0.1 255.0.0.255 md5", "host all all 10.9.9.1 255.0.0.255 md5", true},
		"odd_mask_other":          {"host all all 10.0.0.1 255.0.0.255 md5", "host all all 10.9.9.2 255.0.0.255 md5", false},
		"bits_outside_mask":       {"host all all 10.1.2.3/8 md5", "host all all 10.0.0.0/8 md5", true},
		"bits_inside_mask":        {"host all all 10.1.2.3/16 md5", "host all all 10.0.0.0/16 md5", false},
		"length":                  {"host all all 10.0.0.0/8 md5", "host all all 10.0.0.0/9 md5", false},
		"v6_spelling":             {"host all all fe80:0::1/64 md5", "host all all FE80::/64 md5", true},
		"families":                {"host all all 0.0.0.0/0 md5", "host all all ::/0 md5", false},
		"mapped":                  {"host all all ::ffff:10.0.0.0/104 md5", "host all all 10.0.0.0/8 md5", false},
		"all_is_not_zero_length":  {"host all all all md5", "host all all 0.0.0.0/0 md5", false},
		"host_case":               {"host all all DB1.example.com md5", "host all all db1.example.com md5", true},
		"host_or_keyword":         {`host all all "samehost" md5`, "host all all samehost md5", false},
		"options_order":           {"local all all ldap ldapserver=x ldapprefix=1 ldapsuffix=2", "local all all ldap ldapserver=x ldapsuffix=2 ldapprefix=1", true},
		"options_last_wins":       {"local all all ldap ldapserver=x ldapprefix=1 ldapprefix=2", "local all all ldap ldapserver=x ldapprefix=2", true},
		"options_value":           {"local all all ldap ldapserver=x ldapprefix=1", "local all all ldap ldapserver=x ldapprefix=2", false},
		"options_missing":         {"local all all ldap ldapserver=x ldapprefix=1 ldapsuffix=1", "local all all ldap ldapserver=x ldapprefix=1", false},
		"options_other_same_size": {"local all all ldap ldapserver=x ldapprefix=1", "local all all ldap ldapserver=x ldapsuffix=1", false},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := hba.Parse("f", []byte(c.have+"\n"))
			require.NoError(t, err)
			want, err := hba.Parse("f", []byte(c.want))
			require.NoError(t, err)
			r := want.Records()[0]
			require.Equal(t, c.same, f.Records()[0].Equal(r))
			require.Equal(t, c.same, r.Equal(f.Records()[0]))
		})
	}
}

func TestValidate(t *testing.T) {
	edit := func(f func(r *hba.Record)) hba.Record {
		r := replicator("10.0.0.2/32")
		f(&r)
		return r
	}
	for name, c := range map[string]struct {
		r            hba.Record
		since, until pgconf.Major // majors that take it; until -1 for none
	}{
		"plain":               {r: edit(func(*hba.Record) {})},
		"zero":                {r: hba.Record{}, until: -1},
		"type":                {r: edit(func(r *hba.Record) { r.Type = "HOST" }), until: -1},
		"type_gssenc":         {r: edit(func(r *hba.Record) { r.Type = hba.HostGSSEnc }), since: 12},
		"type_include":        {r: edit(func(r *hba.Record) { r.Type = "include" }), until: -1},
		"no_database":         {r: edit(func(r *hba.Record) { r.Databases = nil }), until: -1},
		"no_user":             {r: edit(func(r *hba.Record) { r.Users = nil }), until: -1},
		"empty_token":         {r: edit(func(r *hba.Record) { r.Users = tokens("") }), until: -1},
		"blank_in_token":      {r: edit(func(r *hba.Record) { r.Users = tokens("a b") }), until: -1},
		"comma_in_token":      {r: edit(func(r *hba.Record) { r.Users = tokens("a,b") }), until: -1},
		"comma_after_token":   {r: edit(func(r *hba.Record) { r.Users = tokens("a,") }), until: -1},
		"comment_in_token":    {r: edit(func(r *hba.Record) { r.Users = tokens("a#") }), until: -1},
		"open_quote":          {r: edit(func(r *hba.Record) { r.Users = tokens(`"a`) }), until: -1},
		"backslash_at_end":    {r: edit(func(r *hba.Record) { r.Users = tokens(`a\`) }), until: -1},
		"newline":             {r: edit(func(r *hba.Record) { r.Users = tokens(hba.Name("a\nb")) }), until: -1},
		"nul":                 {r: edit(func(r *hba.Record) { r.Users = tokens(hba.Name("a\x00")) }), until: -1},
		"name_with_blank":     {r: edit(func(r *hba.Record) { r.Users = tokens(hba.Name("a b")) })},
		"name_with_slash":     {r: edit(func(r *hba.Record) { r.Users = tokens(hba.Name("/x")) }), until: 15},
		"regex":               {r: edit(func(r *hba.Record) { r.Users = tokens("/x") }), since: 16},
		"file":                {r: edit(func(r *hba.Record) { r.Users = tokens("@x") })},
		"local_with_address":  {r: edit(func(r *hba.Record) { r.Type = hba.Local }), until: -1},
		"no_address":          {r: edit(func(r *hba.Record) { r.Address = "" }), until: -1},
		"address_two":         {r: edit(func(r *hba.Record) { r.Address = "a b" }), until: -1},
		"address_file":        {r: edit(func(r *hba.Record) { r.Address = "@a" }), until: -1},
		"address_no_mask":     {r: edit(func(r *hba.Record) { r.Address = "10.0.0.1" }), until: -1},
		"address_zero_prefix": {r: edit(func(r *hba.Record) { r.Address = hba.CIDR(netip.Prefix{}) }), until: -1},
		"address_with_mask":   {r: edit(func(r *hba.Record) { r.Address, r.Mask = "10.0.0.1", "255.255.0.0" })},
		"network_with_mask":   {r: edit(func(r *hba.Record) { r.Mask = "255.255.0.0" }), until: -1},
		"host_name":           {r: edit(func(r *hba.Record) { r.Address = hba.Name("db1.example.com") })},
		"host_with_mask":      {r: edit(func(r *hba.Record) { r.Address, r.Mask = "db1", "255.0.0.0" }), until: -1},
		"no_method":           {r: edit(func(r *hba.Record) { r.Method = "" }), until: -1},
		"method_oauth":        {r: edit(func(r *hba.Record) { r.Method, r.Options = hba.OAuth, []hba.Option{{"issuer", "x"}, {"scope", ""}} }), since: 18},
		"option":              {r: edit(func(r *hba.Record) { r.Method, r.Options = hba.GSS, []hba.Option{{"krb_realm", `x "y", #z\`}} })},
		"option_no_name":      {r: edit(func(r *hba.Record) { r.Options = []hba.Option{{"", "x"}} }), until: -1},
		"option_equals":       {r: edit(func(r *hba.Record) { r.Options = []hba.Option{{"a=b", "x"}} }), until: -1},
		"option_newline":      {r: edit(func(r *hba.Record) { r.Options = []hba.Option{{"a", "x\n"}} }), until: -1},
		"long_token":          {r: edit(func(r *hba.Record) { r.Users = tokens(hba.Token(make300())) }), since: 11},
	} {
		t.Run(name, func(t *testing.T) {
			for major := pgconf.Major(10); major <= pgconf.Newest; major++ {
				ok := c.until >= 0 && major >= c.since && (c.until == 0 || major <= c.until)
				err := c.r.ValidateFor(major)
				require.Equal(t, ok, err == nil, "%d: %v", major, err)
				f := hba.NewFor("f", major)
				if !ok {
					require.ErrorIs(t, err, hba.ErrRecord)
					require.ErrorIs(t, f.Append(c.r), hba.ErrRecord)
					_, err = f.EnsureRule(c.r, hba.EnsureConfig{})
					require.ErrorIs(t, err, hba.ErrRecord)
					require.Empty(t, f.Bytes())
					continue
				}
				require.NoError(t, f.Append(c.r))
				again, err := hba.ParseFor("f", f.Bytes(), major)
				require.NoError(t, err)
				require.True(t, again.Records()[0].Equal(c.r), "%q", f.Bytes())
			}
			require.Equal(t, c.r.ValidateFor(pgconf.Newest), c.r.Validate())
		})
	}
}

func make300() string {
	b := make([]byte, 300)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}

func TestTokens(t *testing.T) {
	for name, want := range map[string]hba.Token{
		"alice": "alice", "Alice-1.x": "Alice-1.x", "é": "é", "all": `"all"`, "ALL": "ALL", "replication": `"replication"`,
		"sameuser": `"sameuser"`, "samerole": `"samerole"`, "samegroup": `"samegroup"`, "samehost": `"samehost"`, "samenet": `"samenet"`,
		"+x": `"+x"`, "@x": `"@x"`, "/x": `"/x"`, "": `""`, " x": `" x"`, `"`: `""""`, ",": `","`, "#": `"#"`,
		"a b": `"a b"`, `a"b`: `"a""b"`, "é b": `"é b"`, `a\`: `"a\"`, `\`: `"\"`, "a+b": "a+b",
	} {
		got := hba.Name(name)
		require.Equal(t, want, got)
		require.Equal(t, name, got.Text())
		require.Equal(t, want[0] == '"', got.Quoted())
	}
	require.Equal(t, hba.Token("+admin"), hba.Member("admin"))
	require.Equal(t, hba.Token(`+"my admins"`), hba.Member("my admins"))
	require.Equal(t, hba.Token("10.0.0.0/8"), hba.CIDR(netip.MustParsePrefix("10.0.0.0/8")))
	require.False(t, hba.All.Quoted())
}
