package hba_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// viewJudge asks a server for its views of the files in its data directory. Those are put back at the end of the test.
type viewJudge struct {
	server  *oracle.Server
	major   pgconf.Major
	conn    *pgx.Conn
	skipped []string // errors of lines about which a server cannot be asked
}

func newViewJudge(t *testing.T, s *oracle.Server) *viewJudge {
	conn, err := pgx.Connect(t.Context(), s.Conninfo())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	s.Keep(t, "pg_hba.conf", "pg_ident.conf")
	j := &viewJudge{server: s, major: pgconf.Major(s.Major), conn: conn}
	j.enableSSL(t)
	return j
}

// enableSSL gives the server a certificate, since hostssl lines show an error without.
func (j *viewJudge) enableSSL(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certDER, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	j.private(t, "server.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}))
	j.private(t, "server.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	sets := []string{"alter system set ssl = on"}
	if j.major >= 18 {
		sets = append(sets, "alter system set oauth_validator_libraries = 'x'")
	}
	for _, sql := range append(sets, "select pg_reload_conf()") {
		_, err = j.conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		for _, sql := range []string{"alter system reset all", "select pg_reload_conf()"} {
			_, err := j.conn.Exec(context.WithoutCancel(t.Context()), sql)
			require.NoError(t, err)
		}
	})
	require.Eventually(t, func() bool {
		var on bool
		return j.conn.QueryRow(t.Context(), "select current_setting('ssl')::bool").Scan(&on) == nil && on
	}, 30*time.Second, 20*time.Millisecond)
}

// private writes a file that the server alone may read.
func (j *viewJudge) private(t *testing.T, name string, content []byte) {
	t.Helper()
	info, err := os.Stat(j.server.Data)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(j.server.Path(name), content, 0o600))
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		require.NoError(t, os.Chown(j.server.Path(name), int(owner.Uid), int(owner.Gid)))
	}
	t.Cleanup(func() { _ = os.Remove(j.server.Path(name)) })
}

// put writes files into the data directory. What a name ending in / or -> stands for is a folder or a link. They are removed at the end of the
// test; only pg_hba.conf and pg_ident.conf are put back.
func (j *viewJudge) put(t *testing.T, set map[string]string) {
	t.Helper()
	for name, text := range set {
		full := j.server.Path(strings.TrimSuffix(strings.TrimSuffix(name, "->"), "/"))
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		switch {
		case strings.HasSuffix(name, "/"):
			require.NoError(t, os.Mkdir(full, 0o755))
		case strings.HasSuffix(name, "->"):
			require.NoError(t, os.Symlink(text, full))
		default:
			require.NoError(t, os.WriteFile(full, []byte(text), 0o644))
		}
		if name != "pg_hba.conf" && name != "pg_ident.conf" {
			top, _, _ := strings.Cut(strings.TrimSuffix(name, "->"), "/")
			t.Cleanup(func() { _ = os.RemoveAll(j.server.Path(top)) })
		}
	}
}

// rows returns what the server shows.
func (j *viewJudge) rows(t *testing.T, view string) []hba.Row {
	t.Helper()
	result, err := j.conn.Query(t.Context(), "select * from "+view)
	require.NoError(t, err)
	defer result.Close()
	rows := []hba.Row{}
	for result.Next() {
		values, err := result.Values()
		require.NoError(t, err)
		row := hba.Row{}
		for i, v := range values {
			row = append(row, hba.Column{Name: result.FieldDescriptions()[i].Name, Value: goValue(v)})
		}
		if row.Get("type") == nil && row.Get("map_name") == nil && row.Get("error") == nil {
			silent(row)
		}
		rows = append(rows, row)
	}
	require.NoError(t, result.Err())
	return rows
}

// silent puts an error into a row without values: for some options the server forgets to, and counts the line as a rule, although it
// does not load a file with it.
func silent(row hba.Row) {
	for i := range row {
		switch row[i].Name {
		case "error":
			row[i].Value = "forgotten"
		case "rule_number":
			row[i].Value = nil
		}
	}
}

// goValue returns a value with the type that a Column has.
func goValue(v any) any {
	switch v := v.(type) {
	case int32:
		return int(v)
	case []any:
		list := make([]string, len(v))
		for i := range v {
			list[i] = v[i].(string)
		}
		return list
	}
	return v
}

// unjudged are errors that have to do with the server and not with the file.
var unjudged = []string{"not supported by this build", "could not translate RADIUS server name", "not supported on this platform"}

// compare fails the test if our rows are others than those of the server. Of errors only the place counts.
func (j *viewJudge) compare(t *testing.T, view string, got []hba.Row, what string) {
	t.Helper()
	want := j.rows(t, view)
	for _, row := range want {
		if j.isUnjudged(row) {
			return
		}
	}
	assert.Equal(t, show(want, nil), show(got, want), "%s", what)
}

// show writes rows one a line. Errors of ours show as those of the server.
func show(rows, of []hba.Row) string {
	var b strings.Builder
	for i, row := range rows {
		for _, c := range row {
			if c.Name == "error" && c.Value != nil && i < len(of) && of[i].Get("error") != nil {
				c.Value = of[i].Get("error")
			}
			fmt.Fprintf(&b, "%s=%#v ", c.Name, c.Value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// hbaRows are ours. They are null if the file cannot be read.
func (j *viewJudge) hbaRows() []hba.Row {
	rs, _ := hba.Load(os.DirFS("/"), j.server.Path("pg_hba.conf"), j.major)
	return rs.ViewSecrets()
}

func (j *viewJudge) hba(t *testing.T, text string) {
	t.Helper()
	j.server.Write(t, "pg_hba.conf", []byte(text))
	j.compare(t, "pg_hba_file_rules", j.hbaRows(), text)
}

// lines has the server judge lines one by one, but asks it once. Rules are not counted, since it may refuse some.
func (j *viewJudge) lines(t *testing.T, lines []string) {
	t.Helper()
	j.server.Write(t, "pg_hba.conf", []byte(strings.Join(lines, "\n")))
	want, got := j.rows(t, "pg_hba_file_rules"), j.hbaRows()
	require.Len(t, got, len(want))
	for i, row := range want {
		n := row.Get("line_number").(int)
		require.Equal(t, n, got[i].Get("line_number"))
		line := lines[n-1]
		if j.isUnjudged(row) {
			continue
		}
		if strings.Contains(line, "oauth") && !strings.Contains(line, "validator=") {
			withoutValidator(row)
		}
		assert.Equal(t, show([]hba.Row{uncounted(row)}, nil), show([]hba.Row{uncounted(got[i])}, []hba.Row{row}), "%s", line)
	}
}

// withoutValidator takes the option validator away, which the server has from a setting and not from the file.
func withoutValidator(row hba.Row) {
	for i := range row {
		if list, ok := row[i].Value.([]string); ok {
			row[i].Value = slices.DeleteFunc(list, func(s string) bool { return s == "validator=x" })
		}
	}
}

func uncounted(row hba.Row) hba.Row {
	return slices.DeleteFunc(slices.Clone(row), func(c hba.Column) bool { return c.Name == "rule_number" })
}

// isUnjudged reports whether a row has an error that has to do with the server and not with the file, and notes it.
func (j *viewJudge) isUnjudged(row hba.Row) bool {
	text, _ := row.Get("error").(string)
	for _, s := range unjudged {
		if strings.Contains(text, s) {
			j.skipped = append(j.skipped, text)
			return true
		}
	}
	return false
}

// optionLines are lines about options: some of every method, with everything that is checked.
func optionLines() []string {
	lines := []string{
		"host all all all trust map=x", "hostssl all all all trust clientcert=1", "host all all all trust clientcert=verify-ca", "local all all trust clientname=CN",
		"hostssl all all all cert map=x", "hostssl all all all cert", "hostssl all all all md5 clientcert=verify-full clientcert=verify-ca", "local all all ident map=x", "local all all peer map=",
		"host all all all ident map=a map=b", "host all all all md5 map=a", "host all all all ident map", "host all all all ident =x", "host all all all ident map=a=b",
		`host all all all ident "map=a b" map="c, d"`, "host all all all ident map=a,map=b", "host all all all ident map=a, map=b", "host all all all ident map=a ,map=b", "host all all all ident Map=a",
		"host all all all reject foo=bar", "host all all all scram-sha-256 clientcert=1", "local all all trust foo",
	}
	for _, value := range []string{"0", "1", "2", "no-verify", "verify-ca", "verify-full", "", "VERIFY-CA"} {
		lines = append(lines, "hostssl all all all md5 clientcert="+value, "hostssl all all all cert clientcert="+value)
	}
	for _, value := range []string{"CN", "DN", "cn", ""} {
		lines = append(lines, "hostssl all all all cert clientname="+value)
	}
	for _, method := range []string{"trust", "reject", "md5", "password", "scram-sha-256", "ident", "peer", "gss", "sspi", "pam", "bsd", "ldap", "radius", "cert", "oauth", "krb5", "crypt"} {
		for _, kind := range []string{"local all all ", "host all all all ", "hostssl all all all ", "hostgssenc all all all "} {
			line := kind + method
			lines = append(lines, line)
			for _, o := range []string{
				"map=x", "clientcert=verify-full", "clientname=DN", "pamservice=x", "pam_use_hostname=1", "ldapserver=x", "ldapport=1", "ldaptls=1", "ldapprefix=x", "ldapsuffix=x", "ldapbasedn=x",
				"ldapbinddn=x", "ldapbindpasswd=x", "ldapsearchattribute=x", "ldapurl=ldap://x/y", "ldapscheme=ldaps", "ldapsearchfilter=x", "include_realm=0", "include_realm=1", "krb_realm=x",
				"krb_server_hostname=x", "compat_realm=1", "upn_username=1", "radiusserver=x", "radiussecret=x", "radiusservers=127.0.0.1", "radiussecrets=x", "radiusports=1", "radiusidentifiers=x",
				"issuer=x", "scope=x", "validator=x", "delegate_ident_mapping=1",
			} {
				lines = append(lines, line+" "+o)
			}
		}
	}
	add := func(prefix string, rests ...string) {
		for _, rest := range rests {
			lines = append(lines, prefix+rest)
		}
	}
	add("host all all all ldap ", "ldapserver=x ldapprefix=a", "ldapserver=x ldapsuffix=a", "ldapserver=x ldapprefix=a ldapsuffix=b ldaptls=1", "ldapserver=x ldapprefix=a ldapbasedn=b",
		"ldapserver=x ldapsuffix=a ldapbinddn=b", "ldapserver=x ldapsuffix=a ldapbindpasswd=b", "ldapserver=x ldapsuffix=a ldapsearchattribute=b", "ldapserver=x ldapsuffix=a ldapsearchfilter=b",
		"ldapserver=x ldapbasedn=b", "ldapserver=x ldapbinddn=b", "ldapserver=x ldapbasedn=b ldapsearchattribute=c ldapsearchfilter=d", "ldapbasedn=b", "ldapprefix=",
		"ldapserver= ldapprefix=", `ldapserver="a b" ldapbasedn="dc=a,dc=b" ldapbinddn=x ldapbindpasswd=y ldapsearchattribute=z ldaptls=1 ldapport=12`,
		"ldapserver=x ldapbasedn=b ldapsearchfilter=(x=$username)", "ldapserver=x ldapprefix=a ldaptls=0", "ldapserver=x ldapprefix=a ldapport=0", "ldapserver=x ldapprefix=a ldapport=12x",
		"ldapserver=x ldapprefix=a ldapport=x", "ldapserver=x ldapprefix=a ldapport=", "ldapserver=x ldapprefix=a ldapport=-5", "ldapserver=x ldapprefix=a ldapport=99999999999", "ldapserver=x ldapprefix=a ldapport=4294967296",
		`ldapserver=x ldapprefix=a "ldapport= 7"`, "ldapserver=x ldapprefix=a ldapscheme=ldap", "ldapserver=x ldapprefix=a ldapscheme=foo", "ldapserver=x ldapprefix=a ldapscheme=LDAPS")
	for _, url := range []string{
		"ldap://h/b", "ldap://h:99/b", "ldap://h", "ldap://h/", "ldap:///b", "ldap:///", "ldap://", "ldap://h/b?a", "ldap://h/b?a?one", "ldap://h/b?a?sub", "ldap://h/b?a?base", "ldap://h/b??one", "ldap://h/b???(f=1)",
		"ldap://h/b?a??(f=1)", "ldap://h/b?a?one?(f=1)", "ldap://h/b?a?foo", "ldap://h/b?a?ONE", "ldaps://h/b", "ldaps://h:1/b", "LDAP://h/b", "ldapi://h/b", "http://h/b", "h/b", "", "ldap:/h/b", "ldap://h:x/b", "ldap://h:/b",
		"ldap://h:99999/b", "ldap://h:0/b", "ldap://h/dc=a%2cdc=b", "ldap://h/dc=a%20b", "ldap://h/dc=a%2", "ldap://h/dc=a%zz", "ldap://[::1]/b", "ldap://[::1]:5/b", "ldap://h?a", "ldap://h/b?a?one?f?x=1", "ldap://h/b?a?one?f?x=1?y", "ldap://h:5?a",
		"<ldap://h/b>", "URL:ldap://h/b", "ldap://h/b?a,c", "ldap://h/b?", "ldap://h/b??", "ldap://h/b???", "ldap://h/b????", "ldap://h%20i/b", "ldap://a:b:5/c", "ldap://h/b/c", "ldap://h/b?a%2cb", "ldap://h/b?,a", "ldap://[::1/b",
	} {
		add("host all all all ldap ", `"ldapurl=`+url+`"`, `"ldapurl=`+url+`" ldapserver=z`, `ldapserver=z "ldapurl=`+url+`"`, `ldapbasedn=q "ldapurl=`+url+`" ldaptls=1`)
	}
	add("host all all all radius ", "radiusservers=127.0.0.1 radiussecrets=a", `"radiusservers=127.0.0.1,::1" radiussecrets=a`, `"radiusservers=127.0.0.1,::1" "radiussecrets=a,b"`,
		`radiusservers=127.0.0.1 "radiussecrets=a,b"`, `"radiusservers=127.0.0.1,::1,127.0.0.2" "radiussecrets=a,b"`, `radiusservers=127.0.0.1 radiussecrets=a radiusports=1 radiusidentifiers=x`,
		`radiusservers=127.0.0.1 radiussecrets=a "radiusports=1,2"`, `radiusservers=127.0.0.1 radiussecrets=a "radiusidentifiers=x,y"`, `"radiusservers=127.0.0.1,::1" radiussecrets=a "radiusports=1,2" "radiusidentifiers=x, y"`,
		`radiusservers=127.0.0.1 radiussecrets=a radiusports=x`, `radiusservers=127.0.0.1 radiussecrets=a radiusports=`, `radiusservers=127.0.0.1 radiussecrets=a radiusports=0`, `radiusservers=127.0.0.1 radiussecrets=a "radiusports=1,x"`,
		"radiusservers= radiussecrets=a", "radiusservers=127.0.0.1 radiussecrets=", `radiusservers=127.0.0.1 "radiussecrets=a,"`, `radiusservers=127.0.0.1 "radiussecrets=a b"`, `radiusservers=127.0.0.1 "radiussecrets=""a b"""`,
		`radiusservers=127.0.0.1 "radiussecrets=""a"`, `radiusservers=127.0.0.1 "radiussecrets= a , b "`, `"radiusservers=127.0.0.1 , ::1" "radiussecrets= a , b "`, `radiusservers=127.0.0.1 "radiussecrets=,a"`,
		`radiusservers=127.0.0.1 "radiussecrets=""a""""b"""`, `radiusservers=127.0.0.1 "radiussecrets=""a""b"`)
	add("host all all all gss ", "include_realm=0", "include_realm=1", "include_realm=true", "include_realm=1 krb_realm=X map=y", "include_realm=0 include_realm=1")
	add("host all all all pam ", "pamservice=x", "pamservice=", "pam_use_hostname=1 pamservice=a")
	add("host all all all oauth ", "issuer=x scope=y", "issuer=x", "scope=y", "issuer= scope=", `issuer=x "scope=a b" validator=x map=m`, "issuer=x scope=y delegate_ident_mapping=1", "issuer=x scope=y delegate_ident_mapping=1 map=m",
		"issuer=x scope=y delegate_ident_mapping=0 map=m", "issuer=x scope=y delegate_ident_mapping=1 map=", "delegate_ident_mapping=1 issuer=x scope=y validator=x")
	return lines
}

func TestOracleOptions(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newViewJudge(t, s)
		lines := optionLines()
		j.lines(t, lines)
		require.Less(t, len(j.skipped), len(lines)/2, "of %d lines", len(lines))
	})
}

// fileSets are files that name others. They lie in the data directory.
var fileSets = map[string]map[string]string{
	"at_file":              {"pg_hba.conf": "local @dbs,x @users trust", "dbs": "a b,c\n# z\n\"d e\" \"@f\" @\n", "users": "+u\n/x\n\"all\""},
	"at_quoted_name":       {"pg_hba.conf": `local @"my dbs" all trust`, "my dbs": "a\n"},
	"at_nested":            {"pg_hba.conf": "local @h/1,z all trust", "h/1": "a @2 b", "h/2": "c @h/3", "h/h/3": "d"},
	"at_missing":           {"pg_hba.conf": "local @nothing all trust\nlocal all all trust"},
	"at_missing_nested":    {"pg_hba.conf": "local @h1 all trust\nlocal all all trust", "h1": "a\n@nothing\n"},
	"at_empty":             {"pg_hba.conf": "local @h1 all all trust\nlocal a,@h1 all trust\nlocal @h1 all trust\n@h1\n", "h1": "# x\n"},
	"at_every_column":      {"pg_hba.conf": "@h1 all all trust\nhost all all @h2 @h3\nlocal all all peer @h4\nlocal all all @h4", "h1": "local", "h2": "10.0.0.0/8", "h3": "md5", "h4": "map=x map=y"},
	"at_two_values":        {"pg_hba.conf": "local all all @h1\n@h2 all all trust\nhost all all @h3 md5", "h1": "trust md5", "h2": "local\nlocal", "h3": "10.0.0.0\n255.0.0.0"},
	"at_quoted_in_file":    {"pg_hba.conf": "local all @h1 trust", "h1": "\"all\"\n\"+x\" \"a,b\"\n"},
	"at_continued":         {"pg_hba.conf": "local all @h1 trust", "h1": "a\\\nb c\\\n,d\n"},
	"at_long":              {"pg_hba.conf": "local all @h1 trust", "h1": "a" + strings.Repeat("x", 300)},
	"at_bad_include":       {"pg_hba.conf": "local all @h1 trust", "h1": "include nothing\nb"},
	"at_include":           {"pg_hba.conf": "local all @h1 trust", "h1": "a\ninclude h2\nb c d", "h2": "x y z\n"},
	"at_deep":              {"pg_hba.conf": "local all @h1 trust", "h1": "1 @h2", "h2": "2 @h3", "h3": "3 @h4", "h4": "4 @h5", "h5": "5 @h6", "h6": "6 @h7", "h7": "7 @h8", "h8": "8 @h9", "h9": "9 @h10", "h10": "10"},
	"at_too_deep":          {"pg_hba.conf": "local all @h1 trust", "h1": "1 @h2", "h2": "2 @h3", "h3": "3 @h4", "h4": "4 @h5", "h5": "5 @h6", "h6": "6 @h7", "h7": "7 @h8", "h8": "8 @h9", "h9": "9 @h10", "h10": "@h11", "h11": "x"},
	"at_absolute":          {"pg_hba.conf": "local all @DATA/h1 trust", "h1": "a"},
	"at_parent":            {"pg_hba.conf": "local all @h/1 trust", "h/1": "@../h2", "h2": "a"},
	"at_link":              {"pg_hba.conf": "local all @h/1 trust", "h/1->": "../h2", "h2": "a @h3", "h/h3": "b"},
	"at_method_options":    {"pg_hba.conf": "host all all all ldap @h1", "h1": "ldapserver=x\nldapbasedn=y # z"},
	"include":              {"pg_hba.conf": "local a all trust\ninclude h1\nlocal c all trust", "h1": "local b all trust\n"},
	"include_missing":      {"pg_hba.conf": "local a all trust\ninclude h1\nlocal c all trust"},
	"include_if_exists":    {"pg_hba.conf": "include_if_exists h1\ninclude_if_exists h2\nlocal c all trust", "h1": "local b all trust\nbad\n"},
	"include_dir":          {"pg_hba.conf": "include_dir h\nlocal z all trust", "h/b.conf": "local b all trust", "h/a.conf": "local a all trust\nbad", "h/.c.conf": "bad", "h/conf": "bad", "h/d.conff": "bad", "h/Z.conf": "local Z all trust", "h/.conf": "bad", "h/e.CONF": "bad", "h/10.conf": "local 10 all trust", "h/9.conf": "local 9 all trust", "h/x.conf/y.conf": "bad"},
	"include_dir_missing":  {"pg_hba.conf": "include_dir h\nlocal z all trust"},
	"include_dir_empty":    {"pg_hba.conf": "include_dir h\nlocal z all trust", "h/": ""},
	"include_dir_dangling": {"pg_hba.conf": "include_dir h\nlocal z all trust", "h/a.conf": "local a all trust", "h/b.conf->": "nothing"},
	"include_dir_blank":    {"pg_hba.conf": "include_dir \"\"\ninclude_dir \" \"\nlocal z all trust"},
	"include_dir_file":     {"pg_hba.conf": "include_dir h1\nlocal z all trust", "h1": "local a all trust"},
	"include_nested":       {"pg_hba.conf": "include h/1\nlocal z all trust", "h/1": "local 1 all trust\ninclude 2", "h/2": "local 2 all trust\ninclude ../h3\ninclude_dir d", "h3": "local 3 @h4 trust", "h4": "x", "h/d/a.conf": "local d all trust"},
	"include_list":         {"pg_hba.conf": "include h1,h2\nlocal z all trust", "h1": "local 1 all trust", "h2": "local 2 all trust"},
	"include_quoted":       {"pg_hba.conf": "\"include\" \"h1\"\n\"include\",x h1\ninclude \"h 2\"", "h1": "local 1 all trust", "h 2": "local 2 all trust"},
	"include_three":        {"pg_hba.conf": "include h1 h2\ninclude\nInclude h1", "h1": "local 1 all trust"},
	"include_continued":    {"pg_hba.conf": "include \\\n h1\n", "h1": "local 1 \\\n all \\\n trust\nlocal 2 all trust"},
	"include_at":           {"pg_hba.conf": "include @h1\n@h2\n", "h1": "h3", "h2": "include h3", "h3": "local 3 all trust"},
	"include_itself":       {"pg_hba.conf": "local a all trust\ninclude pg_hba.conf\n"},
	"include_deep":         {"pg_hba.conf": "include h1", "h1": "include h2", "h2": "include h3", "h3": "include h4", "h4": "include h5", "h5": "include h6", "h6": "include h7", "h7": "include h8", "h8": "include h9", "h9": "include h10", "h10": "local a @h11 trust\nlocal b all trust", "h11": "x"},
	"include_cr":           {"pg_hba.conf": "include h1\r\nlocal a all trust\r\n", "h1": "local 1 all trust\r\n"},
	"include_no_newline":   {"pg_hba.conf": "include h1\nlocal all all trust", "h1": "local 1 all trust \\"},
	"ends_open":            {"pg_hba.conf": "local all all trust \\"},
	"empty":                {"pg_hba.conf": ""},
	"cr_only":              {"pg_hba.conf": "local all all trust\rlocal all all trust\r"},
	"bom":                  {"pg_hba.conf": "\ufefflocal all all trust\n"},

	// Lines of documented set-ups.
	"replication":  {"pg_hba.conf": "host replication rep 192.168.1.2/32 md5\nhost replication $REP_USER $SECONDARY_PG_IP/32 md5\n"},
	"placeholders": {"pg_hba.conf": "host replication replicator <sub_net>/<stand_by_ip> md5\nhost all all <user>/all md5\nhost replication replicator 10.0.0.0/24 md5\nhost all all 10.0.0.0/24 md5"},
	"names":        {"pg_hba.conf": "host stashdb stashuser all trust\nhost replication replicator 172.16.254.0/24 trust\nhost all all <name>/32 md5\n"},
}

func TestOracleFiles(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newViewJudge(t, s)
		for name, set := range fileSets {
			t.Run(name, func(t *testing.T) {
				files := map[string]string{}
				for file, text := range set {
					files[file] = strings.ReplaceAll(text, "DATA", s.Data)
				}
				j.put(t, files)
				j.compare(t, "pg_hba_file_rules", j.hbaRows(), files["pg_hba.conf"])
			})
		}
	})
}

// TestOracleSample has the files of the package as initdb fills them in, and as they are.
func TestOracleSample(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newViewJudge(t, s)
		j.compare(t, "pg_hba_file_rules", j.hbaRows(), "of initdb")
		sample := sampleFile(t, s, "pg_hba.conf.sample")
		j.hba(t, string(sample))
		for _, method := range []string{"md5", "scram-sha-256", "trust"} {
			filled := bytes.ReplaceAll(sample, []byte("@authmethodhost@"), []byte(method))
			filled = bytes.ReplaceAll(filled, []byte("@authmethodlocal@"), []byte(method))
			for _, remark := range []string{"@remove-line-for-nolocal@", "@authcomment@"} {
				filled = bytes.ReplaceAll(filled, []byte(remark), nil)
			}
			j.hba(t, string(filled))
			f, err := hba.ParseFor("f", filled, j.major)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(f.Records()), 3)
		}
	})
}

// sampleFile returns a file of the server package.
func sampleFile(t *testing.T, s *oracle.Server, name string) []byte {
	t.Helper()
	var dir string
	conn, err := pgx.Connect(t.Context(), s.Conninfo())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), "select setting from pg_config where name = 'SHAREDIR'").Scan(&dir))
	content, err := fs.ReadFile(os.DirFS("/"), strings.TrimPrefix(filepath.Join(dir, name), "/"))
	require.NoError(t, err)
	return content
}

// viewAddresses are tried with every form of mask.
var viewAddresses = []string{
	"10.0.0.1", "10.0.0.1/8", "10.0.0.1/08", "10.0.0.1/+8", "10.0.0.1/-0", "10.0.0.1/", "10.0.0.1/33", "10/8", "10.1/16", "10.1.2/24", "0/0", "0x0a000001/32", "0xa.1/32", "010.0.0.1/32", "08.0.0.1/32", "256.0.0.1/32", "1.2.3.4.5/32",
	"1.2.3./24", "1.2.3/24", "4294967295/32", "4294967296/32", "1.16777215/32", "1.16777216/32", "1.2.65535/32", "1.2.65536/32", "0x/8", "1.2.3.4x/8", "1.2.3.-4/8", "1.2.3.4%1/8", "::/0", "::1/128", "::1/129", "1::/16", "fe80::1%1/64",
	"::1%1/128", "::1%x/128", "fe80::1%lo/64", "::ffff:10.0.0.1/104", "::10.0.0.1/128", "::0.1.2.3/128", "::1:2/128", "::0001/128", "00001::/16", "1:2:3:4:5:6:7:8/128", "1::3:4:5:6:7:8/128", "1:0:0:4:0:0:0:8/128",
	"1:0:3:0:5:0:7:0/128", "FE80::A/64", "[::1]/128", "::1::/16", "1:2:3:4:5:6:7/16", ":1/16", "::/64x", "all", "ALL", `"all"`, "samehost", "samenet", "samehost/8", "*", ".example.com", "Example.COM", "a/b", "/8", `""`, `"10.0.0.1 "`, `" 10.0.0.1"`,
	`"10.0.0.1/ 8"`, "é", "é/8", "1", "1 2", "-", "0", "00/8", "1_0/8", "0b1/8", "0o7/8", "0X1F/8", "1.0x2.03.4/32", "1..2/8", "./8", "1.2.3.4/8/8",
}

func TestOracleAddresses(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newViewJudge(t, s)
		var lines []string
		for _, a := range viewAddresses {
			for _, mask := range []string{"", " 255.0.0.0", " 255.0.255.0", " 255", " 0xff000000", " ffff::", " ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", " ::ffff:ffff", " ::255.255.0.0", " fe80::1%1", " x", ` ""`, " 255.0.0.0,255.0.0.0"} {
				lines = append(lines, "host all all "+a+mask+" md5")
			}
		}
		j.lines(t, lines)
	})
}

// TestOracleRegexpLines has regular expressions as the server reads them from the file.
func TestOracleRegexpLines(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newViewJudge(t, s)
		var lines []string
		for _, c := range regexps {
			quoted := `"/` + strings.ReplaceAll(c.pattern, `"`, `""`) + `"`
			if !strings.ContainsAny(c.pattern, "\n") {
				lines = append(lines, "local "+quoted+" all trust", "local all x,"+quoted+" trust")
			}
		}
		j.lines(t, lines)
	})
}
