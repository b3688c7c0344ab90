package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func runConninfo(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), append([]string{"conninfo"}, args...), strings.NewReader(stdin), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestConninfo(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	services := write("services", "[shop]\nhost=db1\nuser=app\n[bad]\nport = 1\n")
	own := write("own", "[mine]\nhost=me\n")
	passfile := write("pass", "db1:5432:app:app:s3cr3t\n*:*:shop:app:other\n")
	public := write("public", "*:*:*:*:x")
	require.NoError(t, os.Chmod(public, 0o644))
	for name, c := range map[string]struct {
		args   []string
		stdin  string
		code   int
		stdout string
		stderr string
	}{
		"keyword":      {args: []string{"postgresql://app:s3cr3t@db1/shop"}, stdout: "user=app password=******** host=db1 dbname=shop\n"},
		"show_secrets": {args: []string{"postgresql://app:s3cr3t@db1/shop", "--show-secrets"}, stdout: "user=app password=s3cr3t host=db1 dbname=shop\n"},
		"uri":          {args: []string{"host=db1 password=s3cr3t", "--to=uri"}, stdout: "postgresql://:********@db1\n"},
		"stdin":        {args: []string{"-", "--to=uri", "--show-secrets"}, stdin: "host=db1 password=s3cr3t\r\n", stdout: "postgresql://:s3cr3t@db1\n"},
		"jdbc":         {args: []string{"host=db1 user=app target_session_attrs=read-write", "--to=jdbc"}, stdout: "jdbc:postgresql://db1/?user=app&targetServerType=primary\n"},
		"jdbc_lost":    {args: []string{"host=db1 keepalives_idle=3", "--to=jdbc"}, code: exitNo, stdout: "jdbc:postgresql://db1/\n", stderr: "keepalives_idle: pgjdbc has no such property\n"},
		"jdbc_never":   {args: []string{"host=/tmp", "--to=jdbc"}, code: exitNo, stderr: "host: a Unix socket, which pgjdbc cannot use; name a host\n"},
		"from_jdbc":    {args: []string{"jdbc:postgresql://db1/shop?user=app&ssl=true"}, stdout: "host=db1 port=5432 dbname=shop user=app sslmode=verify-full\n"},
		"from_jdbc_lost": {
			args: []string{"jdbc:postgresql://db1/shop?currentSchema=x"}, code: exitNo, stdout: "host=db1 port=5432 dbname=shop\n",
			stderr: "currentSchema: libpq has no keyword for it\n",
		},
		"edit":          {args: []string{"host=db1 sslmode=require", "--set=host=a,b", "--set", "port=1,2", "--unset", "sslmode"}, stdout: "host=a,b port=1,2\n"},
		"set_unknown":   {args: []string{"host=db1", "--set=hots=x"}, code: exitUsage, stderr: "pgconf: wrong command line: --set takes a keyword of libpq, =, and the value\n"},
		"set_nothing":   {args: []string{"host=db1", "--set=host"}, code: exitUsage, stderr: "pgconf: wrong command line: --set takes a keyword of libpq, =, and the value\n"},
		"set_nul":       {args: []string{"host=db1", "--set=host=\x00"}, code: exitUsage, stderr: "pgconf: wrong command line: --set: NUL byte in the value\n"},
		"invalid":       {args: []string{"host=db1 s3cr3t"}, code: exitFailed, stderr: "pgconf: connection string: column 10: no \"=\" after this word; a value with a blank needs single quotes\n"},
		"invalid_jdbc":  {args: []string{"jdbc:postgresql://s3cr3t"}, code: exitFailed, stderr: "pgconf: connection string: column 25: no \"/\" after the host, which pgjdbc needs\n"},
		"useless":       {args: []string{"host=a,b port=1,2,3"}, code: exitNo, stdout: "host=a,b port=1,2,3\n", stderr: "port: 3 ports for 2 hosts; give each host one, or one for all\n"},
		"major":         {args: []string{"host=a channel_binding=require", "--major=12"}, code: exitNo, stdout: "host=a\n", stderr: "channel_binding: the libpq of PostgreSQL 12 has no such keyword; it is new in 13\n"},
		"major_fine":    {args: []string{"host=a channel_binding=require", "--major=13"}, stdout: "host=a channel_binding=require\n"},
		"bad_major":     {args: []string{"host=a", "--major=19"}, code: exitUsage},
		"bad_form":      {args: []string{"host=a", "--to=x"}, code: exitUsage},
		"same":          {args: []string{"host=a", "--same", "postgresql://A:5432"}, stdout: "same\n"},
		"different":     {args: []string{"host=a", "--same", "postgresql://b"}, code: exitNo, stdout: "different\n"},
		"same_stdin":    {args: []string{"host=a", "--same=-"}, stdin: "host=A", stdout: "same\n"},
		"same_invalid":  {args: []string{"host=a", "--same", "b"}, code: exitFailed, stderr: "pgconf: connection string: column 1: no \"=\" after this word; a value with a blank needs single quotes\n"},
		"two_stdins":    {args: []string{"-", "--same=-"}, code: exitUsage, stderr: "pgconf: wrong command line: only one string can come from standard input\n"},
		"service":       {args: []string{"service=shop user=me", "--service-file", own, "--service-file", services}, stdout: "user=me host=db1\n"},
		"no_service":    {args: []string{"service=nope", "--service-file", own}, code: exitFailed, stderr: "pgconf: not a service: no service file defines \"nope\"\n"},
		"bad_service":   {args: []string{"service=bad", "--service-file", services}, code: exitFailed, stderr: "pgconf: " + services + ":5:1: a blank before \"=\"; remove it, and the one after it, which would belong to the value\n"},
		"no_file":       {args: []string{"service=a", "--service-file", filepath.Join(dir, "nope")}, code: exitUsage},
		"passfile":      {args: []string{"host=db1 user=app", "--passfile", passfile, "--show-secrets"}, stdout: "host=db1 user=app password=s3cr3t\n"},
		"passfile_addr": {args: []string{"hostaddr=10.0.0.1 user=app dbname=shop", "--passfile", passfile, "--show-secrets"}, stdout: "hostaddr=10.0.0.1 user=app dbname=shop password=other\n"},
		"password":      {args: []string{"host=db1 user=app password=x", "--passfile", passfile, "--show-secrets"}, stdout: "host=db1 user=app password=x\n"},
		"no_password":   {args: []string{"host=db1,db2 user=app", "--passfile", passfile}, code: exitFailed, stderr: "pgconf: " + passfile + ": no password for db2:5432 as this user, or another one than for the server before\n"},
		"passfile_mode": {args: []string{"host=db1 user=app", "--passfile", public}, code: exitFailed, stderr: "pgconf: libpq ignores the password file: its mode is 0644, which lets others in; make it 0600\n"},
		"passfile_host": {args: []string{"host=db1 port=x user=app", "--passfile", passfile}, code: exitFailed, stderr: "pgconf: port: not a port; it is a number from 1 to 65535\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runConninfo(t, c.stdin, c.args...)
			require.Equal(t, c.code, code, stderr)
			require.Equal(t, c.stdout, stdout)
			if c.code != exitUsage || c.stderr != "" {
				require.Equal(t, c.stderr, stderr)
			}
			require.NotContains(t, stderr, "s3cr3t")
		})
	}
}

func TestConninfoJSON(t *testing.T) {
	code, stdout, stderr := runConninfo(t, "", "postgresql://app:s3cr3t@db1,[::1]:5433/shop?hostaddr=10.0.0.1,&sslmode=x", "--json", "--to=uri")
	require.Equal(t, exitNo, code)
	require.Empty(t, stderr)
	require.JSONEq(t, `{
		"text": "postgresql://app:********@db1,[::1]:5433/shop?hostaddr=10.0.0.1,&sslmode=x",
		"options": [
			{"keyword": "user", "value": "app"}, {"keyword": "password", "value": "********"}, {"keyword": "host", "value": "db1,::1"},
			{"keyword": "port", "value": ",5433"}, {"keyword": "dbname", "value": "shop"}, {"keyword": "hostaddr", "value": "10.0.0.1,"},
			{"keyword": "sslmode", "value": "x"}
		],
		"servers": [
			{"host": "db1", "hostaddr": "10.0.0.1", "port": 5432, "socket": false}, {"host": "::1", "port": 5433, "socket": false}
		],
		"problems": [
			{"keyword": "sslmode", "message": "not a value that it can have; PostgreSQL 18 knows disable, allow, prefer, require, verify-ca, verify-full"}
		]
	}`, stdout)
	code, stdout, _ = runConninfo(t, "", "", "--json")
	require.Zero(t, code)
	require.JSONEq(t, `{"text": "", "options": [], "servers": [{"host": "", "port": 5432, "socket": true}], "problems": []}`, stdout)
}
