package hba_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

func addrs(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

// TestLint: findings are spelled "code:line severity" without the severity if it is a warning.
func TestLint(t *testing.T) {
	noSSL := func(c *hba.LintConfig) { c.Server.NoSSL = true }
	knowing := func(c *hba.LintConfig) { c.Server = server() }
	peers := func(list ...string) func(c *hba.LintConfig) {
		return func(c *hba.LintConfig) { c.ReplicationUser, c.Peers = "rep", addrs(list...) }
	}
	for name, c := range map[string]struct {
		text  string
		want  string
		major pgconf.Major
		edit  func(*hba.LintConfig)
	}{
		"good": {text: "local all postgres peer\nhostssl all all 10.0.0.0/8 scram-sha-256\nhost replication rep 10.0.0.2/32 scram-sha-256\nhost all all all reject"},

		// Methods.
		"trust":                 {text: "host all all 10.0.0.1/32 trust", want: "trust-from-network:1 error"},
		"trust_everywhere":      {text: "host all all all trust\nhost replication all 10.0.0.0/24 trust", want: "trust-from-network:1 error, trust-from-network:2 error"},
		"trust_samenet":         {text: "host all all samenet trust", want: "trust-from-network:1 error"},
		"trust_wider_loopback":  {text: "host all all 126.0.0.0/7 trust", want: "trust-from-network:1 error"},
		"trust_here":            {text: "local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\nhost a b samehost trust", want: "trust-local:1 info, trust-local:2 info, trust-local:3 info, trust-local:4 info"},
		"trust_localhost":       {text: "host all all localhost trust", want: "trust-local:1 info, needs-dns:1 info"},
		"trust_with_cert":       {text: "hostssl all all 10.0.0.0/8 trust clientcert=verify-full"},
		"trust_with_any_cert":   {text: "hostssl all all 10.0.0.0/8 trust clientcert=verify-ca", want: "cert-of-anybody:1"},
		"trust_with_any_cert_1": {text: "hostssl all all 10.0.0.0/8 trust clientcert=1", want: "cert-of-anybody:1", major: 11},
		"cert_name":             {text: "hostssl all all 10.0.0.0/8 cert clientname=DN\nhostssl all all 11.0.0.0/8 cert clientname=DN map=m", want: "cert-name:1"},
		"md5":                   {text: "host all all 10.0.0.0/8 md5\nlocal all all md5", want: "md5:1, md5:2"},
		"md5_where_best":        {text: "host all all 10.0.0.0/8 md5", major: pgconf.V9_6},
		"password":              {text: "host all all 10.0.0.0/8 password\nhostnossl all x 11.0.0.0/8 password\nhostnogssenc all x 12.0.0.0/8 password", want: "password-in-clear:1, password-in-clear:2, password-in-clear:3"},
		"password_protected":    {text: "hostssl all all 10.0.0.0/8 password\nhostgssenc all all 10.0.0.0/8 password\nhost all all 127.0.0.1/32 password\nhost all all ::1/128 password\nlocal all all password"},
		"ldap":                  {text: "host all all 10.0.0.0/8 ldap ldapserver=l ldapprefix=x", want: "password-in-clear:1"},
		"ident":                 {text: "host all all 10.0.0.0/8 ident\nlocal all all ident\nhost all all 127.0.0.1/32 ident\nhost all all ::1/128 ident", want: "ident-from-network:1"},
		"world":                 {text: "host all all 0.0.0.0/0 md5\nhost a a ::/0 scram-sha-256\nhost b b all password\nhost d d 64.0.0.0/2 password", want: "md5:1, world-open:1, password-in-clear:3, world-open:3, password-in-clear:4, world-open:4, unreachable:4"},
		"world_ident":           {text: "host a a all ident", want: "ident-from-network:1, world-open:1"},
		"no_world":              {text: "host a a 10.0.0.0/8 md5\nhost a a fd00::/8 md5", want: "md5:1, md5:2"},

		// Reach.
		"never":              {text: "host all all 10.0.0.0/8 scram-sha-256\nhost app web 10.1.0.0/16 gss", want: "unreachable:2"},
		"never_rejects":      {text: "host all all 10.0.0.0/8 scram-sha-256\nhost app web 10.1.0.0/16 reject", want: "unreachable:2 error"},
		"never_after_reject": {text: "host all all 10.0.0.0/8 reject\nhost app web 10.1.0.0/16 scram-sha-256", want: "unreachable:2"},
		"redundant":          {text: "host all all 10.0.0.0/8 scram-sha-256\nhost app web 10.1.0.0/16 scram-sha-256", want: "redundant:2 info"},
		"twice_rejected":     {text: "host all all 10.0.0.0/8 reject\nhost app web 10.1.0.0/16 reject", want: "redundant:2 info"},
		"by_two":             {text: "hostssl all all 10.0.0.0/8 gss\nhostnossl all all 10.0.0.0/8 scram-sha-256\nhost all all 10.1.0.0/16 scram-sha-256", want: "unreachable:3"},
		"by_families": {text: "host all all 0.0.0.0/0 scram-sha-256\nhost all all ::/0 scram-sha-256\nhost a,b c all gss\nhost a b h gss\nhost a b samenet gss",
			want: "unreachable:3, needs-dns:4 info"},
		"by_all":             {text: "host a b all scram-sha-256\nhost a b h gss\nhost a b samenet gss\nhost a b ::1/128 gss", want: "needs-dns:2 info, unreachable:2, unreachable:3, unreachable:4"},
		"one_family_only":    {text: "host a b 0.0.0.0/0 scram-sha-256\nhost a b h gss\nhost a b all gss", want: "needs-dns:2 info"},
		"wider_after_narrow": {text: "host a b 10.0.0.0/16 scram-sha-256\nhost a b 10.0.0.0/8 gss"},
		"by_later_regexp":    {text: "local app x peer\nlocal /^ap all peer\nlocal app z scram-sha-256", want: "unreachable:3"},
		"by_lists":           {text: "local a x,y peer\nlocal b x,y peer\nlocal b,a y,x scram-sha-256\nlocal a,b x,z peer", want: "unreachable:3"},
		"by_suffix":          {text: "host a b .example.com gss\nhost a b x.y.example.com scram-sha-256\nhost a b example.com scram-sha-256", want: "needs-dns:1 info, needs-dns:2 info, unreachable:2, needs-dns:3 info"},
		"by_regexp": {text: "local /^ap x peer\nlocal app x scram-sha-256\nlocal bap x peer\nlocal / y peer\nlocal all y scram-sha-256\nlocal /z y peer\nlocal replication y peer",
			want: "unreachable:2, unreachable:5, regexp-not-anchored:6 info, redundant:6 info"},
		"by_role":             {text: "local all +grp peer\nlocal all bob scram-sha-256\nlocal all +sub peer\nlocal all alice peer", want: "unreachable:2, redundant:3 info", edit: knowing},
		"by_role_not_known":   {text: "local all +grp peer\nlocal all bob scram-sha-256\nlocal all +grp peer", want: "redundant:3 info"},
		"by_samerole":         {text: "local samerole all peer\nlocal grp bob scram-sha-256\nlocal bob bob peer\nlocal sameuser all peer\nlocal grp all peer", want: "unreachable:2, redundant:3 info, redundant:4 info", edit: knowing},
		"by_sameuser":         {text: "local sameuser all peer\nlocal bob bob scram-sha-256\nlocal sameuser bob peer\nlocal bob all peer", want: "unreachable:2, redundant:3 info"},
		"by_samenet":          {text: "host a b samenet gss\nhost a b samehost scram-sha-256\nhost a b 10.0.0.7/32 gss", want: "unreachable:2"},
		"by_known_samenet":    {text: "host a b samenet gss\nhost a b 10.0.0.9/32 scram-sha-256\nhost a b 10.0.1.9/32 scram-sha-256", want: "unreachable:2", edit: knowing},
		"by_odd_mask":         {text: "host a b 10.0.0.1 255.0.0.255 gss\nhost a b 10.7.7.1/32 scram-sha-256\nhost a b 10.7.7.2/32 scram-sha-256", want: "unreachable:2"},
		"all_and_replication": {text: "local all all peer\nlocal replication all peer\nlocal all,replication all peer", want: "redundant:3 info"},
		"many_takers":         {text: "local a x peer\nlocal b x peer\nlocal c x peer\nlocal d x peer\nlocal a,b,c,d x scram-sha-256", want: "unreachable:5"},

		// Names.
		"placeholders": {text: "host replication $REP_USER 10.0.0.1/32 scram-sha-256\nhost <db> ${U} 10.0.0.1/32 scram-sha-256\nhost __DB__ {{user}} 10.0.0.1/32 scram-sha-256\n" +
			"host %DB% changeme <host> scram-sha-256\nhost all x 10.0.0.1/32 ldap ldapserver=$LDAP ldapprefix=a", want: "placeholder:1 error, placeholder:2 error, placeholder:2 error, placeholder:3 error, placeholder:3 error, " +
			"placeholder:4 error, placeholder:4 error, placeholder:4 error, password-in-clear:5, placeholder:5 error"},
		"no_placeholders":    {text: "host a$b _x_ 10.0.0.1/32 scram-sha-256"},
		"keywords_of_others": {text: "local all sameuser peer\nlocal all samerole,samenet peer\nlocal +grp,samehost all peer\nlocal db replication peer", want: "not-a-keyword:1, not-a-keyword:2, not-a-keyword:2, not-a-keyword:3, not-a-keyword:3, not-a-keyword:4"},
		"role_replication":   {text: "local replication replication peer"},
		"case":               {text: "local ALL All peer\nlocal Replication x peer\nhost a b ALL scram-sha-256\nhost a b SameNet scram-sha-256", want: "keyword-case:1, keyword-case:1, keyword-case:2, keyword-case:3, keyword-case:4"},
		"quoted":             {text: "local \"all\" \"all\" peer\nlocal \"replication\" x peer\nhost a b \"samehost\" scram-sha-256", want: "quoted-keyword:1, quoted-keyword:1, quoted-keyword:2, quoted-keyword:3"},
		"quoted_member":      {text: `local all "+grp" peer`, want: "quoted-member:1"},
		"quoted_member_9":    {text: `local all "+grp" peer`, major: pgconf.V9_1},
		"regexp_15":          {text: "local /^a$ /b peer", want: "regexp-before-16:1, regexp-before-16:1", major: 15},
		"regexp_16":          {text: "local /^a$ /b peer", want: "regexp-not-anchored:1 info"},
		"wildcards":          {text: "local app_* % peer\nhost a b *.example.com scram-sha-256", want: "wildcard:1, wildcard:1, wildcard:2"},

		// Addresses.
		"dns":              {text: "host all all db.example.com scram-sha-256", want: "needs-dns:1 info"},
		"shorthand":        {text: "host all all 10/8 scram-sha-256\nhost all all 010.0.0.1/32 scram-sha-256", want: "odd-address:1, odd-address:2"},
		"mapped":           {text: "host all all ::ffff:10.0.0.0/104 scram-sha-256\nhost all all ::/0 scram-sha-256", want: "mapped-address:1"},
		"mapped_and_more":  {text: "host all all ::ffff:0:0/64 scram-sha-256", want: "host-bits:1"},
		"host_bits":        {text: "host all all 10.1.2.3/8 scram-sha-256\nhost all all 10.0.0.1 255.0.0.0 gss\nhost b b fd00::1/64 gss\nhost c c 11.0.0.9 255.0.0.1 gss", want: "host-bits:1, host-bits:2, unreachable:2, host-bits:3, host-bits:4"},
		"no_ipv6":          {text: "local all all peer\nhost all all 0.0.0.0/0 scram-sha-256", want: "no-ipv6:2 info"},
		"no_ipv6_loopback": {text: "host all all 127.0.0.1/32 scram-sha-256", want: "no-ipv6:1 info"},
		"ipv6":             {text: "host all all 0.0.0.0/0 scram-sha-256\nhost x y fd00::/8 gss"},
		"ipv6_all":         {text: "host all all 127.0.0.1/32 scram-sha-256\nhost x y all gss"},

		// Replication.
		"all_is_not_replication": {text: "host all replicator 10.0.0.2/32 scram-sha-256\nhost replication x 10.0.0.2/32 scram-sha-256", want: "all-not-replication:1"},
		"all_and_a_rule":         {text: "host all replicator 10.0.0.2/32 scram-sha-256\nhost replication replicator 10.0.0.2/32 scram-sha-256"},
		"all_and_a_pattern": {text: "host all replicator,repl2,replica 10.0.0.2/32 scram-sha-256\nhost all replica x scram-sha-256\nhost replication /^repl.$,+x 10.0.0.2/32 scram-sha-256\nhost replication +x 10.0.0.3/32 gss",
			edit: knowing, want: "all-not-replication:1, all-not-replication:1, needs-dns:2 info"},
		"all_and_every_user": {text: "host all replicator 10.0.0.2/32 scram-sha-256\nhost replication all 10.0.0.2/32 scram-sha-256"},
		"all_in_one":         {text: "host all,replication replicator 10.0.0.2/32 scram-sha-256"},
		"peers": {text: "host replication rep 10.0.0.2/32 scram-sha-256\nhostnossl replication rep 10.0.0.5/32 reject\nhost replication rep 10.0.0.4/30 reject\nhost replication +x 10.0.0.8/32 scram-sha-256",
			edit: peers("10.0.0.2", "10.0.0.3", "10.0.0.6", "10.0.0.8"), want: "peer-refused:3 error, peer-unknown:4, peer-refused:0 error"},
		"peers_in_doubt":  {text: "hostssl replication rep 10.0.0.2/32 reject\nhost replication +x 10.0.0.2/32 scram-sha-256", edit: peers("10.0.0.2"), want: "peer-unknown:2"},
		"peers_by_tls":    {text: "hostnossl all,replication all all reject\nhostssl replication rep 10.0.0.2/32 scram-sha-256", edit: peers("10.0.0.2", "::ffff:10.0.0.2")},
		"peers_all_is_no": {text: "host all rep all scram-sha-256", edit: peers("10.0.0.2"), want: "all-not-replication:1, peer-refused:0 error"},

		// Server.
		"ssl_off":      {text: "hostssl all all 10.0.0.0/8 scram-sha-256", edit: noSSL, want: "ssl-off:1"},
		"ssl_off_9":    {text: "hostssl all all 10.0.0.0/8 md5", edit: noSSL, want: "ssl-off:1 error", major: pgconf.V9_6},
		"ssl_off_peer": {text: "hostssl replication rep 10.0.0.2/32 scram-sha-256", edit: func(c *hba.LintConfig) { peers("10.0.0.2")(c); noSSL(c) }, want: "ssl-off:1, peer-refused:0 error"},
	} {
		t.Run(name, func(t *testing.T) {
			major := c.major
			if major == 0 {
				major = 18
			}
			rules, err := hba.Load(files("f", c.text), "f", major)
			require.NoError(t, err)
			var cfg hba.LintConfig
			if c.edit != nil {
				c.edit(&cfg)
			}
			found := hba.Lint(rules, cfg)
			var got []string
			for _, f := range found {
				s := fmt.Sprintf("%s:%d", f.Code, f.Line)
				if f.Severity != hba.Warning {
					s += " " + f.Severity.String()
				}
				got = append(got, s)
				require.NotEmpty(t, f.Remedy)
			}
			require.Equal(t, c.want, strings.Join(got, ", "), "%v", found)
		})
	}
}

func TestLintFiles(t *testing.T) {
	fsys := fstest.MapFS{
		"etc/pg_hba.conf": {Data: []byte("include a.conf\nlocal z z peer\n# one \\\nlocal all all peer\n# two \\\n# three\n"), Mode: 0o644},
		"etc/a.conf":      {Data: []byte("host all all 10.0.0.0/8 radius radiusservers=a radiussecrets=hidden\nlocal x all peer\n"), Mode: 0o640},
		"etc/b.conf":      {Data: []byte("local x all ldap ldapserver=a ldapbasedn=b ldapbinddn=c ldapbindpasswd=hidden\n# two \\\nlocal y y peer"), Mode: 0o604},
	}
	for _, c := range []struct {
		name  string
		major pgconf.Major
		want  string
	}{
		{"etc/pg_hba.conf", 18, "etc/a.conf:1 password-in-clear, etc/pg_hba.conf:3 backslash"},
		{"etc/b.conf", 18, "etc/b.conf:1 readable-secret, etc/b.conf:2 backslash"},
		{"etc/b.conf", 13, "etc/b.conf:1 readable-secret, etc/b.conf:2 backslash"},
	} {
		rules, err := hba.Load(fsys, c.name, c.major)
		require.NoError(t, err)
		var got []string
		for _, f := range hba.Lint(rules, hba.LintConfig{FS: fsys}) {
			got = append(got, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Code))
			require.NotContains(t, f.String(), "hidden")
		}
		require.Equal(t, c.want, strings.Join(got, ", "))
		rules, err = hba.Load(fsys, c.name, c.major)
		require.NoError(t, err)
		for _, f := range hba.Lint(rules, hba.LintConfig{}) {
			require.NotContains(t, []hba.Code{hba.CodeBackslash, hba.CodeReadable}, f.Code)
		}
	}
	require.Equal(t, fs.FileMode(0o644), fsys["etc/pg_hba.conf"].Mode)
}

func TestFindingPrints(t *testing.T) {
	f := hba.Finding{Code: hba.CodeMD5, Severity: hba.Warning, File: "f", Line: 3, Message: "m", Remedy: "r"}
	require.Equal(t, "f:3: warning: m (md5); r", f.String())
	f.File, f.Line = "", 0
	require.Equal(t, "warning: m (md5); r", f.String())
	b, err := json.Marshal(f)
	require.NoError(t, err)
	require.JSONEq(t, `{"code":"md5","severity":"warning","message":"m","remedy":"r"}`, string(b))
	require.Equal(t, "info error ?", fmt.Sprint(hba.Info, " ", hba.Error, " ", hba.Severity(9)))
}
