package conninfo_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// jdbcVectors are URLs and what org.postgresql.Driver.parseURL of pgjdbc 42.5.5 makes of them, in libpq's words.
var jdbcVectors = []struct {
	url  string
	text string
	lost string // the error, if libpq has no word for something
	col  int    // column of the syntax error
}{
	{url: "jdbc:postgresql:db", text: "host=localhost port=5432 dbname=db"},
	{url: "jdbc:postgresql:a/b", text: "host=localhost port=5432 dbname=a/b"},
	{url: "jdbc:postgresql:", text: "host=localhost port=5432"},
	{url: "jdbc:postgresql:?user=a", text: "host=localhost port=5432 user=a"},
	{url: "jdbc:postgresql:db?user=a?b", text: "host=localhost port=5432 dbname=db user=a?b"},
	{url: "jdbc:postgresql:d%2fb", text: "host=localhost port=5432 dbname=d/b"},
	{url: "jdbc:postgresql://", text: "host=localhost port=5432"},
	{url: "jdbc:postgresql:///", text: "host=localhost port=5432"},
	{url: "jdbc:postgresql:///db", text: "host=localhost port=5432 dbname=db"},
	{url: "jdbc:postgresql://h/", text: "host=h port=5432"},
	{url: "jdbc:postgresql://h/?", text: "host=h port=5432"},
	{url: "jdbc:postgresql://h:1/db", text: "host=h port=1 dbname=db"},
	{url: "jdbc:postgresql://h:05432/db", text: "host=h port=5432 dbname=db"},
	{url: "jdbc:postgresql://h1:1,h2/db", text: "host=h1,h2 port=1,5432 dbname=db"},
	{url: "jdbc:postgresql://h:1,,g/db", text: "host=h,localhost,g port=1,5432,5432 dbname=db"},
	{url: "jdbc:postgresql://,h,,/db", text: "host=localhost,h port=5432,5432 dbname=db"},
	{url: "jdbc:postgresql://[::1]:5/db", text: "host=::1 port=5 dbname=db"},
	{url: "jdbc:postgresql://[::1],[::2]:6/db", text: "host=::1,::2 port=5432,6 dbname=db"},
	{url: "jdbc:postgresql://h/d%20b?user=a+b&password=x%26y", text: "host=h port=5432 dbname='d b' user='a b' password=x&y"},
	{url: "jdbc:postgresql://h/+db", text: "host=h port=5432 dbname=' db'"},
	{url: "jdbc:postgresql://h/db#x", text: "host=h port=5432 dbname=db#x"},
	{url: "jdbc:postgresql://h/db&user=a", text: "host=h port=5432 dbname=db&user=a"},
	{url: "jdbc:postgresql://h/db?user", text: "host=h port=5432 dbname=db user=''"},
	{url: "jdbc:postgresql://h/db?user=a&&password=b&", text: "host=h port=5432 dbname=db user=a password=b"},
	{url: "jdbc:postgresql://h/db?user=a=b", text: "host=h port=5432 dbname=db user=a=b"},
	{url: "jdbc:postgresql://h/db?user=a&user=b", text: "host=h port=5432 dbname=db user=b"},
	{url: "jdbc:postgresql://h/db?user=%c3%a9", text: "host=h port=5432 dbname=db user='é'"},
	{url: "jdbc:postgresql://h/a?PGDBNAME=b", text: "host=h port=5432 dbname=b"},
	// properties
	{url: "jdbc:postgresql://h/?ssl", text: "host=h port=5432 sslmode=verify-full"},
	{url: "jdbc:postgresql://h/?ssl=TRUE", text: "host=h port=5432 sslmode=verify-full"},
	{url: "jdbc:postgresql://h/?ssl=false", text: "host=h port=5432"},
	{url: "jdbc:postgresql://h/?ssl=true&sslmode=require", text: "host=h port=5432 sslmode=require"},
	{url: "jdbc:postgresql://h/?targetServerType=primary", text: "host=h port=5432 target_session_attrs=read-write"},
	{url: "jdbc:postgresql://h/?targetServerType=master", text: "host=h port=5432 target_session_attrs=read-write"},
	{url: "jdbc:postgresql://h/?targetServerType=secondary", text: "host=h port=5432 target_session_attrs=read-only"},
	{url: "jdbc:postgresql://h/?targetServerType=slave", text: "host=h port=5432 target_session_attrs=read-only"},
	{url: "jdbc:postgresql://h/?targetServerType=preferSecondary", text: "host=h port=5432 target_session_attrs=prefer-standby"},
	{url: "jdbc:postgresql://h/?targetServerType=preferSlave", text: "host=h port=5432 target_session_attrs=prefer-standby"},
	{url: "jdbc:postgresql://h/?targetServerType=any", text: "host=h port=5432 target_session_attrs=any"},
	{url: "jdbc:postgresql://h/?targetServerType=preferPrimary", text: "host=h port=5432", lost: "targetServerType: a value that libpq has no word for"},
	{url: "jdbc:postgresql://h/?loadBalanceHosts=true&tcpKeepAlive=true", text: "host=h port=5432 load_balance_hosts=random keepalives=1"},
	{url: "jdbc:postgresql://h/?loadBalanceHosts=x&tcpKeepAlive", text: "host=h port=5432 load_balance_hosts=disable keepalives=0"},
	{url: "jdbc:postgresql://h/?connectTimeout=3&ApplicationName=a%20b", text: "host=h port=5432 connect_timeout=3 application_name='a b'"},
	{
		url:  "jdbc:postgresql://h/?sslmode=x&connectTimeout=x&gssEncMode=allow&loginTimeout=3&PGHOST=a&secret=1&user=a",
		text: "host=h port=5432 user=a",
		lost: "sslmode: a value that libpq has no word for; connectTimeout: a value that libpq has no word for; " +
			"gssEncMode: a value that libpq has no word for; loginTimeout: libpq has no keyword for it; PGHOST: libpq has no keyword for it; " +
			"property 6: libpq has no keyword for it",
	},
	// errors
	{url: "postgresql://h/", col: 1},
	{url: "JDBC:postgresql://h/", col: 1},
	{url: "jdbc:postgresql:/", col: 17},
	{url: "jdbc:postgresql:/db", col: 17},
	{url: "jdbc:postgresql://h", col: 20},
	{url: "jdbc:postgresql://h?user=a", col: 20},
	{url: "jdbc:postgresql://h/a/b", col: 22},
	{url: "jdbc:postgresql://h//", col: 21},
	{url: "jdbc:postgresql://,/db", col: 19},
	{url: "jdbc:postgresql://h:/db", col: 19},
	{url: "jdbc:postgresql://a,h:x/db", col: 21},
	{url: "jdbc:postgresql://h:0/db", col: 19},
	{url: "jdbc:postgresql://h:65536/db", col: 19},
	{url: "jdbc:postgresql://h:-5/db", col: 19},
	{url: "jdbc:postgresql://h: 5/db", col: 19},
	{url: "jdbc:postgresql://u:p@h/db", col: 19},
	{url: "jdbc:postgresql://h/%zz", col: 21},
	{url: "jdbc:postgresql:a%z", col: 18},
	{url: "jdbc:postgresql://h/d?user=a%", col: 29},
	{url: "jdbc:postgresql://h/d?a=1&user=a%4", col: 33},
	// what the driver takes, but nobody can mean
	{url: "jdbc:postgresql://::1/db", col: 19},
	{url: "jdbc:postgresql://a,u@h/db", col: 21},
	{url: "jdbc:postgresql://a b/db", col: 19},
	{url: "jdbc:postgresql://[::1]x:5/db", col: 19},
	{url: "jdbc:postgresql://[h]/db", col: 19},
	{url: "jdbc:postgresql://h/db?user=%ff", col: 29},
	{url: "jdbc:postgresql://h/db?user=%00", col: 29},
	{url: "jdbc:postgresql://h/db\x00", col: 23},
}

func TestParseJDBC(t *testing.T) {
	for _, v := range jdbcVectors {
		t.Run(v.url, func(t *testing.T) {
			info, err := conninfo.ParseJDBC(v.url)
			if v.col > 0 {
				var syntax *pgconf.SyntaxError
				require.ErrorAs(t, err, &syntax)
				require.Equal(t, v.col, syntax.Col, syntax.Msg)
				require.Empty(t, info.Keys())
				return
			}
			require.Equal(t, v.text, info.Text())
			if v.lost == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, v.lost)
				require.ErrorAs(t, err, new(conninfo.OptionErrors))
			}
			back, err := info.JDBC()
			require.NoError(t, err)
			again, err := conninfo.ParseJDBC(back)
			require.NoError(t, err)
			require.True(t, again.Equal(info), back)
		})
	}
}

func TestJDBC(t *testing.T) {
	for text, want := range map[string]string{
		"host=db1":                         "jdbc:postgresql://db1/",
		"host=db1 dbname='a b/c'":          "jdbc:postgresql://db1/a%20b%2Fc",
		"host=a,b port=1":                  "jdbc:postgresql://a:1,b:1/",
		"host=a,b port=,2":                 "jdbc:postgresql://a:5432,b:2/",
		"host=::1 port=5":                  "jdbc:postgresql://[::1]:5/",
		"hostaddr=10.0.0.1":                "jdbc:postgresql://10.0.0.1/",
		"hostaddr=::1,10.0.0.1 dbname=d":   "jdbc:postgresql://[::1],10.0.0.1/d",
		"host=h user=u password='a+b &%é'": "jdbc:postgresql://h/?user=u&password=a%2Bb%20%26%25%C3%A9",
		"host=h sslmode=verify-full sslrootcert=/etc/ca.pem":                   "jdbc:postgresql://h/?sslmode=verify-full&sslrootcert=/etc/ca.pem",
		"host=h target_session_attrs=any":                                      "jdbc:postgresql://h/?targetServerType=any",
		"host=h target_session_attrs=primary load_balance_hosts=random":        "jdbc:postgresql://h/?targetServerType=primary&loadBalanceHosts=true",
		"host=h target_session_attrs=read-write":                               "jdbc:postgresql://h/?targetServerType=primary",
		"host=h target_session_attrs=standby":                                  "jdbc:postgresql://h/?targetServerType=secondary",
		"host=h target_session_attrs=read-only load_balance_hosts=disable":     "jdbc:postgresql://h/?targetServerType=secondary&loadBalanceHosts=false",
		"host=h target_session_attrs=prefer-standby":                           "jdbc:postgresql://h/?targetServerType=preferSecondary",
		"host=h keepalives=1 connect_timeout=5 client_encoding=utf8":           "jdbc:postgresql://h/?tcpKeepAlive=true&connectTimeout=5",
		"host=h keepalives=0 connect_timeout=-1 client_encoding=auto":          "jdbc:postgresql://h/?tcpKeepAlive=false&connectTimeout=0",
		"host=h channel_binding=require sslnegotiation=direct krbsrvname=x":    "jdbc:postgresql://h/?channelBinding=require&sslNegotiation=direct&kerberosServerName=x",
		"host=h application_name=a options='-c work_mem=1' gssencmode=disable": "jdbc:postgresql://h/?ApplicationName=a&options=-c%20work_mem%3D1&gssEncMode=disable",
	} {
		info, err := conninfo.Parse(text)
		require.NoError(t, err)
		got, err := info.JDBC()
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
}

// TestJDBCLosses: nothing is left out silently.
func TestJDBCLosses(t *testing.T) {
	for text, c := range map[string]struct{ url, lost string }{
		"user=a":                        {"", "host"},
		"host=/tmp":                     {"", "host"},
		"host=a,/tmp":                   {"", "host"},
		"host=@x":                       {"", "host"},
		"host='a b'":                    {"", "host"},
		"host=a/b":                      {"", "host"},
		"host=::1%/":                    {"", "host"},
		"host=a,b port=1,2,3":           {"", "port"},
		"host=a port=x":                 {"", "port"},
		"host=a hostaddr=x":             {"", "hostaddr"},
		"host=a hostaddr=10.0.0.1":      {"jdbc:postgresql://a/", "hostaddr"},
		"host=a sslmode=x":              {"jdbc:postgresql://a/", "sslmode"},
		"host=a connect_timeout=x":      {"jdbc:postgresql://a/", "connect_timeout"},
		"host=a client_encoding=latin1": {"jdbc:postgresql://a/", "client_encoding"},
		"host=a dbname='\xff' user=u":   {"jdbc:postgresql://a/?user=u", "dbname"},
		"host=a user='\xff'":            {"jdbc:postgresql://a/", "user"},
		"host=a sslcrl=x passfile=y keepalives_idle=1 requirepeer=z fallback_application_name=f nope=1 user=u": {
			"jdbc:postgresql://a/?user=u", "sslcrl passfile keepalives_idle requirepeer fallback_application_name nope",
		},
	} {
		info, err := conninfo.Parse(text)
		require.NoError(t, err)
		got, err := info.JDBC()
		require.Equal(t, c.url, got, text)
		var errs conninfo.OptionErrors
		require.ErrorAs(t, err, &errs, text)
		var lost []string
		for _, e := range errs {
			lost = append(lost, e.Keyword)
			require.NotEmpty(t, e.Msg)
		}
		require.Equal(t, c.lost, strings.Join(lost, " "), text)
		var one *conninfo.OptionError
		require.True(t, errors.As(err, &one) && one == errs[0])
	}
}

// Every keyword of libpq is either translated or reported.
func TestJDBCKnowsEveryKeyword(t *testing.T) {
	values := map[string]string{
		"hostaddr": "10.0.0.1", "port": "1", "connect_timeout": "3", "scram_client_key": strings.Repeat("A", 43) + "=", "scram_server_key": strings.Repeat("A", 43) + "=",
		"target_session_attrs": "primary", "load_balance_hosts": "random", "sslmode": "require", "channel_binding": "require", "gssencmode": "disable",
		"sslnegotiation": "direct", "sslcertmode": "require", "ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "TLSv1.3",
		"min_protocol_version": "3.2", "max_protocol_version": "3.2", "keepalives": "1", "keepalives_idle": "1", "keepalives_interval": "1",
		"keepalives_count": "1", "tcp_user_timeout": "1", "client_encoding": "utf8",
	}
	for _, k := range conninfo.Keywords(pgconf.Newest) {
		value, ok := values[k.Name]
		if !ok {
			value = "value"
		}
		info := new(conninfo.Info).With("host", "h").With(k.Name, value)
		url, err := info.JDBC()
		require.NotEmpty(t, url, k.Name)
		if err != nil || k.Name == "client_encoding" {
			continue
		}
		back, err := conninfo.ParseJDBC(url)
		require.NoError(t, err)
		want := value
		if k.Name == "target_session_attrs" {
			want = "read-write"
		}
		got, _ := back.Get(k.Name)
		require.Equal(t, want, got, k.Name)
	}
}
