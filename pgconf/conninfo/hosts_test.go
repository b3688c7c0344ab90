package conninfo_test

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// connectionFailed is in the messages about a server that does not answer, and not in those about the connection string.
var connectionFailed = regexp.MustCompile(`(?i)connection refused|no such file`)

// attempted finds the servers in such messages, of 14+ and of those before: address and port, or socket.
var attempted = regexp.MustCompile(`(?:at "(.*?)", port\s+(\d+)\s+failed|on socket "(.*?)" failed)` +
	`|(?:running on host "(.*?)" and accepting\s+TCP/IP connections on port\s+(\d+)|connections on Unix domain socket "(.*?)")`)

// TestOracleHosts: libpq tries the servers that Hosts lists, in that order.
func TestOracleHosts(t *testing.T) {
	var texts []string
	for _, host := range []string{"", "/nx", "/nx,/ny", "/nx,,/ny", "/nx,@ny", "a", "a,b", "a,/nx", "/nx/", ","} {
		for _, addr := range []string{"", "127.0.0.1", "127.0.0.1,127.0.0.2", ",127.0.0.1", "::1,127.0.0.1", "127.0.0.1,127.0.0.1,127.0.0.1", ","} {
			if addr == "" && strings.Contains(host, "a") || strings.Contains(host, "a") && strings.HasPrefix(addr, ",") {
				continue // names would be looked up
			}
			for _, port := range []string{"", "1", "1,2", ",2", "1,", ",", "1,2,3", ",,3", " 7 "} {
				texts = append(texts, fmt.Sprintf("user=u dbname=d host='%s' hostaddr='%s' port='%s'", host, addr, port))
			}
		}
	}
	eachLibpq(t, func(t *testing.T, l libpq) {
		paired, compared := 0, 0
		socket := attempted.FindStringSubmatch(l.ask(t, "connect", []string{"user=u"})[0].message)
		folder := path.Dir(socket[3] + socket[6])
		for i, a := range l.ask(t, "connect", texts) {
			if l.major < 16 && strings.Contains(texts[i], "@") {
				continue // no abstract sockets before 14; 14 and 15 show the rest of a longer name before
			}
			info, err := conninfo.Parse(texts[i])
			require.NoError(t, err)
			hosts, err := info.Hosts()
			if !connectionFailed.MatchString(a.message) {
				require.ErrorAs(t, err, new(*conninfo.OptionError), "%s: libpq says %s", texts[i], a.message)
				continue
			}
			require.NoError(t, err, "%s: libpq says %s", texts[i], a.message)
			paired++
			var want []string
			for _, m := range attempted.FindAllStringSubmatch(a.message, -1) {
				want = append(want, m[1]+m[4]+" "+strings.ReplaceAll(m[2]+m[5]+m[3]+m[6], "//", "/"))
			}
			var got []string
			for _, h := range hosts {
				got = append(got, shown(h, folder))
			}
			require.Equal(t, got, want, "%s: libpq says %s", texts[i], a.message)
			compared += len(want)
		}
		require.Greater(t, paired, 100)
		require.Greater(t, compared, paired)
	})
}

// shown is how libpq names a server in its messages. It has no name for the default folder of sockets but the path.
func shown(h conninfo.HostPort, defaultFolder string) string {
	switch {
	case h.Addr.IsValid():
		return h.Addr.String() + " " + strconv.Itoa(int(h.Port))
	case h.Host == "":
		return " " + defaultFolder + "/" + h.String()
	}
	return " " + h.String()
}

func TestHostPort(t *testing.T) {
	for _, c := range []struct {
		text   string
		string string
		socket bool
	}{
		{"", ".s.PGSQL.5432", true},
		{"port=6000", ".s.PGSQL.6000", true},
		{"host=/run/pg", "/run/pg/.s.PGSQL.5432", true},
		{"host=@pg", "@pg/.s.PGSQL.5432", true},
		{"host=db1 port=6000", "db1:6000", false},
		{"host=::1", "[::1]:5432", false},
		{"host=db1 hostaddr=10.0.0.1", "db1:5432", false},
		{"hostaddr=10.0.0.1", "10.0.0.1:5432", false},
		{"hostaddr=fe80::1 port=1", "[fe80::1]:1", false},
		{"host=/run/pg hostaddr=10.0.0.1", "/run/pg:5432", false},
	} {
		info, err := conninfo.Parse(c.text)
		require.NoError(t, err)
		hosts, err := info.Hosts()
		require.NoError(t, err)
		require.Len(t, hosts, 1)
		require.Equal(t, c.string, hosts[0].String(), c.text)
		require.Equal(t, c.socket, hosts[0].IsSocket(), c.text)
	}
}

func TestServer(t *testing.T) {
	for text, want := range map[string]string{
		"host=db1 port=6000": "db1:6000", "hostaddr=10.0.0.1": "10.0.0.1:5432", "host=/run": "/run/.s.PGSQL.5432",
		"": "", "port=1": "", "host=a,b": "", "host=a port=x": "", "host=a port=1,2": "",
	} {
		info, err := conninfo.Parse(text)
		require.NoError(t, err)
		server, ok := info.Server()
		require.Equal(t, want != "", ok, text)
		if ok {
			require.Equal(t, want, server.String())
		} else {
			require.Zero(t, server)
		}
	}
}

func TestWithHosts(t *testing.T) {
	info := new(conninfo.Info).With("user", "u").With("hostaddr", "10.0.0.9").With("port", "7")
	a := conninfo.HostPort{Host: "a", Port: 1}
	b := conninfo.HostPort{Host: "b", Addr: netip.MustParseAddr("10.0.0.2"), Port: 2}
	require.Equal(t, "user=u port=1 host=a", info.WithHosts(a).Text())
	require.Equal(t, "user=u port=1,2 host=a,b hostaddr=,10.0.0.2", info.WithHosts(a, b).Text())
	require.Equal(t, "user=u", info.WithHosts().Text())
	got, err := info.WithHosts(a, b).Hosts()
	require.NoError(t, err)
	require.Equal(t, []conninfo.HostPort{a, b}, got)
	require.Equal(t, "user=u hostaddr=10.0.0.9 port=7", info.Text())
}

func TestLoadBalanceHosts(t *testing.T) {
	for text, want := range map[string]bool{"": false, "load_balance_hosts=disable": false, "load_balance_hosts=random": true} {
		got, err := parse(text).LoadBalanceHosts()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := parse("load_balance_hosts=x").LoadBalanceHosts()
	require.ErrorAs(t, err, new(*conninfo.OptionError))
}
