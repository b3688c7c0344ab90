package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runHBA runs the command on files in a new folder, named first in args, and returns its exit code and what it printed. In that, DIR
// stands for the folder.
func runHBA(t *testing.T, files map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "DIR", dir)
	}
	var out, errOut bytes.Buffer
	code = run(t.Context(), append([]string{"hba"}, args...), strings.NewReader(""), &out, &errOut)
	return code, strings.ReplaceAll(out.String(), dir, "DIR"), strings.ReplaceAll(errOut.String(), dir, "DIR")
}

var hbaFiles = map[string]string{
	"pg_hba.conf": "local all postgres peer map=m\ninclude more.conf\nhost x\n",
	"more.conf":   "host a,b +c 10.0.0.0/8 ldap ldapserver=l ldapbasedn=d ldapbindpasswd=s3cr3t\n",
}

func TestHBAListJSON(t *testing.T) {
	code, out, errOut := runHBA(t, hbaFiles, "list", "--json", "DIR/pg_hba.conf")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "DIR/pg_hba.conf:3:7: ")
	require.NotContains(t, out, "s3cr3t")
	require.True(t, strings.HasPrefix(out, "[\n  {\n    \"rule_number\": 1,\n    \"file_name\": \"DIR/pg_hba.conf\",\n    \"line_number\": 1,\n    \"type\""), out)
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &rows))
	require.Len(t, rows, 3)
	require.Equal(t, []any{"map=m"}, rows[0]["options"])
	require.Nil(t, rows[0]["address"])
	require.Contains(t, rows[0], "address")
	require.Equal(t, []any{"DIR/more.conf", 1.0, 2.0, "10.0.0.0", "255.0.0.0"},
		[]any{rows[1]["file_name"], rows[1]["line_number"], rows[1]["rule_number"], rows[1]["address"], rows[1]["netmask"]})
	require.Nil(t, rows[2]["rule_number"])
	require.NotEmpty(t, rows[2]["error"])

	_, out, _ = runHBA(t, hbaFiles, "list", "--json", "--secrets", "DIR/pg_hba.conf")
	require.Contains(t, out, "ldapbindpasswd=s3cr3t")
}

func TestHBAListByMajor(t *testing.T) {
	code, out, _ := runHBA(t, map[string]string{"f": "local all all peer\n"}, "list", "--json", "--major", "15", "DIR/f")
	require.Zero(t, code)
	require.JSONEq(t, `[{"line_number":1,"type":"local","database":["all"],"user_name":["all"],"address":null,"netmask":null,
		"auth_method":"peer","options":null,"error":null}]`, out)
	code, _, errOut := runHBA(t, nil, "list", "--major", "8.4", "DIR/f")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "8.4")
}

func TestHBAListTable(t *testing.T) {
	code, out, _ := runHBA(t, map[string]string{"f": "local a,b all peer\nhostssl all all ::1/128 cert\n"}, "list", "--major", "12", "DIR/f")
	require.Zero(t, code)
	require.Equal(t, `LINE_NUMBER  TYPE     DATABASE  USER_NAME  ADDRESS  NETMASK                                  AUTH_METHOD  OPTIONS                 ERROR
1            local    a,b       all        -        -                                        peer         -                       -
2            hostssl  all       all        ::1      ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff  cert         clientcert=verify-full  -
`, out)
}

func TestHBAListCannotRead(t *testing.T) {
	code, out, errOut := runHBA(t, nil, "list", "--json", "DIR/nothing")
	require.Equal(t, exitFailed, code)
	require.Empty(t, out)
	require.Contains(t, errOut, "nothing")
	code, out, errOut = runHBA(t, map[string]string{"f": "# x\n"}, "list", "--json", "DIR/f")
	require.Equal(t, exitFailed, code)
	require.Equal(t, "[]\n", out)
	require.Contains(t, errOut, "no rule")
}
