package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var accessFiles = map[string]string{
	"pg_hba.conf": "local all all peer\ninclude more.conf\nhost all +ops 10.0.0.0/8 scram-sha-256\nhost all all db.example.com gss\nhost all all samenet ldap ldapserver=l ldapbasedn=d ldapbindpasswd=s3cr3t\n",
	"more.conf":   "hostssl replication rep 10.0.0.0/24 scram-sha-256\nhost all eve all reject\n",
}

func TestHBAMatch(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		out  string
	}{
		"socket": {[]string{"--user", "a"}, 0, "matched: DIR/pg_hba.conf:1 is the first that matches; its method is peer\n  local   all             all                                     peer\n"},
		"replication": {[]string{"--user=rep", "--host=10.0.0.9", "--tls", "--replication=physical"}, 0,
			"matched: DIR/more.conf:1 is the first that matches; its method is scram-sha-256\n  hostssl replication     rep             10.0.0.0/24             scram-sha-256\n" +
				"not DIR/pg_hba.conf:1: type local does not take connections over tls\n"},
		"reject": {[]string{"--user=eve", "--host=10.0.0.9"}, exitNo, "matched: DIR/more.conf:2 is the first that matches; its method is reject\n  host    all             eve             all                     reject\n" +
			"not DIR/pg_hba.conf:1: type local does not take connections over tcp\nnot DIR/more.conf:1: type hostssl does not take connections over tcp\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := runHBA(t, accessFiles, append([]string{"match", "DIR/pg_hba.conf"}, c.args...)...)
			require.Equal(t, c.code, code, errOut)
			require.Equal(t, c.out, out)
		})
	}
}

func TestHBAMatchKnowing(t *testing.T) {
	for name, c := range map[string]struct {
		args    []string
		code    int
		outcome string
		line    float64
	}{
		"member_not_known":  {[]string{"--host=10.0.0.9"}, exitNo, "cannot say", 3},
		"member":            {[]string{"--host=10.0.0.9", "--member=x", "--member=ops"}, 0, "matched", 3},
		"name_not_known":    {[]string{"--host=10.0.0.9", "--member="}, exitNo, "cannot say", 4},
		"network_not_known": {[]string{"--host=127.0.0.1", "--resolve", "--member="}, exitNo, "cannot say", 5},
		"no_rule":           {[]string{"--host=127.0.0.1", "--resolve", "--member=", "--server-address=10.0.0.1/8"}, exitNo, "no rule", 0},
		"network":           {[]string{"--host=127.0.0.1", "--resolve", "--member=", "--server-address=127.0.0.1/8"}, 0, "matched", 5},
		"no_ssl":            {[]string{"--host=10.0.0.9", "--tls", "--no-ssl"}, exitNo, "cannot say", 0},
		"gss":               {[]string{"--host=10.0.0.9", "--gss", "--member=ops"}, 0, "matched", 3},
		"logical":           {[]string{"--replication=logical"}, 0, "matched", 1},
		"old_superuser":     {[]string{"--host=10.0.0.9", "--member=", "--superuser"}, exitNo, "cannot say", 4},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := runHBA(t, accessFiles, append([]string{"match", "DIR/pg_hba.conf", "--json", "--user=a"}, c.args...)...)
			require.Equal(t, c.code, code, errOut)
			require.NotContains(t, out, "s3cr3t")
			var got map[string]any
			require.NoError(t, json.Unmarshal([]byte(out), &got))
			require.Equal(t, c.outcome, got["outcome"], out)
			if c.line > 0 {
				require.Equal(t, c.line, got["line"])
			} else {
				require.NotContains(t, got, "line")
			}
		})
	}
	code, out, _ := runHBA(t, map[string]string{"f": "local all +ops peer\n"}, "match", "DIR/f", "--user=a", "--major=9.1", "--superuser")
	require.Zero(t, code, out)
	code, out, _ = runHBA(t, map[string]string{"f": "local all +ops peer\n"}, "match", "DIR/f", "--user=a", "--major=9.1", "--no-superuser", "--member=")
	require.Equal(t, exitNo, code)
	require.Contains(t, out, "no rule: ")
}

func TestHBAMatchUsage(t *testing.T) {
	for _, args := range [][]string{
		{"match", "DIR/pg_hba.conf"}, {"match", "DIR/pg_hba.conf", "--user=a", "--tls"}, {"match", "DIR/pg_hba.conf", "--user=a", "--host=x"},
		{"match", "DIR/pg_hba.conf", "--user=a", "--host=::1", "--tls", "--gss"}, {"lint", "DIR/pg_hba.conf", "--peer=10.0.0.1"},
		{"add", "DIR/pg_hba.conf"}, {"add", "DIR/pg_hba.conf", "local all"}, {"add", "DIR/pg_hba.conf", "# nothing"},
	} {
		code, _, errOut := runHBA(t, accessFiles, args...)
		require.Equal(t, exitUsage, code, "%v: %s", args, errOut)
	}
	_, _, errOut := runHBA(t, accessFiles, "match", "DIR/pg_hba.conf", "--user=a", "--host=300.1.1.1")
	require.Contains(t, errOut, `"300.1.1.1" is not an IP address`)
	for _, verb := range [][]string{{"match", "DIR/f", "--user=a"}, {"add", "DIR/f", "local all all peer"}, {"lint", "DIR/f"}, {"lint", "DIR/missing"}, {"add", "DIR/missing", "local all all peer"}} {
		code, _, errOut := runHBA(t, map[string]string{"f": "local all all\n"}, verb...)
		require.Equal(t, exitFailed, code, errOut)
	}
}

func TestHBAAdd(t *testing.T) {
	files := map[string]string{"f": "local all all peer\nhost all all all md5\n"}
	code, out, errOut := runHBA(t, files, "add", "DIR/f", "host", "shop", "app", "10.0.0.0/8", "scram-sha-256")
	require.Zero(t, code, errOut)
	require.Equal(t, `--- DIR/f
+++ DIR/f
@@ -1,2 +1,3 @@
 local all all peer
+host    shop            app             10.0.0.0/8              scram-sha-256
 host all all all md5
`, out)
	require.Equal(t, "overridden: DIR/f:2 no longer decides for some connections, which came by md5\n", errOut)

	dir := t.TempDir()
	name := filepath.Join(dir, "pg_hba.conf")
	require.NoError(t, os.WriteFile(name, []byte("include more.conf\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "more.conf"), []byte("host all all all reject\n"), 0o600))
	code, _, errOut = runHBA(t, nil, "add", name, "host shop app 10.0.0.0/8 scram-sha-256", "--write")
	require.Equal(t, exitNo, code)
	require.Contains(t, errOut, "--before-reject")
	for _, want := range []string{"written", "nothing to change"} {
		code, _, errOut = runHBA(t, nil, "add", name, "host shop app 10.0.0.0/8 scram-sha-256", "--write", "--before-reject")
		require.Zero(t, code)
		require.Contains(t, errOut, want)
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, "host    shop            app             10.0.0.0/8              scram-sha-256\ninclude more.conf\n", string(b))
	}
}

func TestHBAAddHidesSecrets(t *testing.T) {
	files := map[string]string{"f": "host a b 1.2.3.4/32 radius radiusservers=1.2.3.4 radiussecrets=sesame\n"}
	rule := []string{"add", "DIR/f", "host c d 1.2.3.4/32 ldap ldapserver=x ldapbasedn=y ldapbindpasswd=sesame"}
	code, out, errOut := runHBA(t, files, rule...)
	require.Zero(t, code, errOut)
	require.NotContains(t, out+errOut, "sesame")
	require.Equal(t, 2, strings.Count(out, "=***\n"))
	_, out, _ = runHBA(t, files, append(rule, "--secrets")...)
	require.Equal(t, 2, strings.Count(out, "=sesame\n"))
}

func TestHBALint(t *testing.T) {
	code, out, errOut := runHBA(t, accessFiles, "lint", "DIR/pg_hba.conf", "--user=rep", "--peer=10.0.0.5", "--peer=10.0.1.5", "--server-address=10.9.0.1/16")
	require.Equal(t, exitNo, code, errOut)
	require.Equal(t, `DIR/pg_hba.conf:4: info: address db.example.com is a host name: each login looks the client's name up, and its address again (needs-dns); write addresses if logins must not depend on name servers
DIR/pg_hba.conf:5: warning: with ldap the password crosses the network readable unless it is encrypted (password-in-clear); write hostssl, or use scram-sha-256
error: 10.0.1.5 cannot replicate from here as rep: no rule matches, so the server refuses the connection (peer-refused); add: host replication rep 10.0.1.5/32 scram-sha-256
`, out)

	code, out, _ = runHBA(t, map[string]string{"f": "local all all trust\n", "g": "local all all peer\n"}, "lint", "--json", "DIR/f", "DIR/g")
	require.Zero(t, code)
	var got []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Len(t, got, 1)
	require.Equal(t, "trust-local", got[0]["code"])
	require.Equal(t, "info", got[0]["severity"])

	code, out, _ = runHBA(t, map[string]string{"g": "local all all peer\n"}, "lint", "--json", "DIR/g")
	require.Zero(t, code)
	require.Equal(t, "[]\n", out)
}
