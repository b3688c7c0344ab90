package hba_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// keyhole is the first line of every file that a gatekeeper gives to its server, so that it can be talked to.
const keyhole = "local postgres postgres trust\n"

// gatekeeper asks a server which line of its pg_hba.conf a connection matches. All other lines ask for a password, which is
// always wrong: then the server's log names the line.
type gatekeeper struct {
	*judge
	roles  []string
	logged int // bytes of the log that have been read
}

func newGatekeeper(t *testing.T, s *oracle.Server) *gatekeeper {
	t.Helper()
	g := &gatekeeper{judge: newJudge(t, s), roles: []string{"alice", "bob", "carol", "sub", "grp", "super", "all", "+grp", "postgres"}}
	for _, sql := range []string{
		"create role alice login", "create role bob login", "create role carol login noinherit", "create role sub login",
		"create role grp login", "create role super login superuser", `create role "all" login`, `create role "+grp" login`,
		"grant grp to bob", "grant sub to carol", "grant grp to sub",
	} {
		_, err := g.conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	selfSigned(t, s)
	conf, err := os.ReadFile(s.Path("postgresql.conf"))
	require.NoError(t, err)
	s.Write(t, "postgresql.conf", append(conf, "\nssl = on\n"...))
	return g
}

// selfSigned gives the server a certificate.
func selfSigned(t *testing.T, s *oracle.Server) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	s.Write(t, "server.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	s.Write(t, "server.key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	require.NoError(t, os.Chmod(s.Path("server.key"), 0o600))
	info, err := os.Stat(s.Data)
	require.NoError(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	require.NoError(t, os.Chown(s.Path("server.key"), int(owner.Uid), int(owner.Gid)))
}

// knows returns what a server knows.
func (g *gatekeeper) knows(t *testing.T) hba.Server {
	t.Helper()
	s := hba.Server{Resolver: systemResolver{t.Context()}}
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		require.NoError(t, err)
		s.Interfaces = append(s.Interfaces, p)
	}
	s.Member = func(user, role string) (bool, error) {
		if !slices.Contains(g.roles, user) || !slices.Contains(g.roles, role) {
			return false, nil
		}
		return members.Member(user, role)
	}
	return s
}

// systemResolver asks the system. Of several names the first counts.
type systemResolver struct{ ctx context.Context }

func (r systemResolver) Reverse(a netip.Addr) (string, error) {
	all, err := net.DefaultResolver.LookupAddr(r.ctx, a.String())
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(all[0], "."), nil
}

func (r systemResolver) Forward(name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(r.ctx, "ip", name)
}

// config returns how to connect.
func (g *gatekeeper) config(t *testing.T, c hba.Conn) *pgconn.Config {
	t.Helper()
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d user=x dbname=x sslmode=disable password=wrong", g.server.Socket, g.server.Port))
	require.NoError(t, err)
	cfg.User, cfg.Database = c.User, c.Database
	switch c.Replication {
	case hba.PhysicalReplication:
		cfg.RuntimeParams["replication"] = "true"
	case hba.LogicalReplication:
		cfg.RuntimeParams["replication"] = "database"
	}
	if c.Transport == hba.OverSocket {
		return cfg
	}
	cfg.Host = "127.0.0.1"
	if c.Client.Is6() {
		cfg.Host = "::1"
	}
	dialer := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Client, 0))}
	cfg.DialFunc = dialer.DialContext
	if c.Transport == hba.OverTLS {
		cfg.TLSConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the certificate is made up
	}
	return cfg
}

var matchedLine = regexp.MustCompile(`Connection matched .*line (\d+):`)

// line returns the line that a connection matches, or 0 if the server says that there is none.
func (g *gatekeeper) line(t *testing.T, c hba.Conn) int {
	t.Helper()
	conn, err := pgconn.ConnectConfig(t.Context(), g.config(t, c))
	if err == nil {
		require.NoError(t, conn.Close(t.Context()))
		return 1
	}
	var refusal *pgconn.PgError
	require.True(t, errors.As(err, &refusal), "%+v: %v", c, err)
	if strings.HasPrefix(refusal.Message, "no pg_hba.conf entry") {
		return 0
	}
	log := g.server.Log(t)
	m := matchedLine.FindStringSubmatch(log[g.logged:])
	g.logged = len(log)
	require.NotNil(t, m, "%+v: %v", c, err)
	line, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return line
}

// install makes the server use a file, and returns what we make of it.
func (g *gatekeeper) install(t *testing.T, text string) *hba.Matcher {
	t.Helper()
	g.server.Write(t, "pg_hba.conf", []byte(text))
	g.reload(t)
	g.logged = len(g.server.Log(t))
	return hba.NewMatcher(load(t, text, pgconf.Major(g.server.Major)), g.knows(t))
}

func (g *gatekeeper) compare(t *testing.T, text string, m *hba.Matcher, c hba.Conn) int {
	t.Helper()
	want := g.line(t, c)
	got := m.Match(c)
	if want == 0 {
		require.Equal(t, hba.NoneMatch, got.Outcome, "%+v: %s\n%s", c, got.Why(), text)
		return 0
	}
	require.Equal(t, hba.Matched, got.Outcome, "%+v: %s, the server has line %d\n%s", c, got.Why(), want, text)
	rule, _ := got.Rule()
	require.Equal(t, want, rule.Line, "%+v\n%s", c, text)
	return want
}

// TestOracleMatch: servers of all majors judge.
func TestOracleMatch(t *testing.T) {
	oracle.EachNetwork(t, func(t *testing.T, s *oracle.Server) {
		g := newGatekeeper(t, s)
		t.Run("vectors", g.matchesVectors)
		t.Run("random", g.matchesRandom)
		t.Run("host_name", g.matchesHostName)
		t.Run("long_names", g.matchesLongNames)
		t.Run("ensure", g.ensuresRule)
	})
}

// matchesVectors holds each vector of the table that one machine can act out against real servers.
func (g *gatekeeper) matchesVectors(t *testing.T) {
	byRule := map[string][]hba.Conn{}
	var rules []string
	for _, v := range matchVectors {
		c := conn(t, v.conn)
		rule := strings.Replace(v.rule, " trust", " password", 1)
		if _, err := hba.Load(files("f", rule), "f", pgconf.Major(g.server.Major)); err != nil || !canActOut(c) {
			continue
		}
		if byRule[rule] == nil {
			rules = append(rules, rule)
		}
		byRule[rule] = append(byRule[rule], c)
	}
	require.Greater(t, len(rules), 40)
	for _, rule := range rules {
		text := keyhole + rule + "\n"
		m := g.install(t, text)
		for _, c := range byRule[rule] {
			g.compare(t, text, m, c)
		}
	}
}

// canActOut reports whether a test can connect like that.
func canActOut(c hba.Conn) bool {
	loopback := c.Client.Is4() && c.Client.IsLoopback() || c.Client == netip.IPv6Loopback()
	return c.Transport == hba.OverSocket || c.Transport != hba.OverGSS && loopback
}

var (
	somewhere = []string{"local", "host", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"}
	databases = []string{"all", "all", "all", "all", "db1", "db1", "replication", `"db1"`, "DB1", "sameuser", "samerole", "samegroup", "replication", `"replication"`, "+grp",
		`"all"`, "alice", "grp", "/^d", "/b1$", "/(?i)DB", "/", `a"ll"`}
	users = []string{"all", "all", "all", "all", "all", "all", "alice", "bob", "carol", "super", "ghost", "+grp", "+sub", `"+grp"`, `+"grp"`, "+ghost", `"all"`, "sameuser",
		"/^al", "/o", "/[bc]"}
	addresses = []string{"all", "all", "0.0.0.0/0", "0.0.0.0/0", "::/0", "::/0", "127.0.0.1/32", "127.0.0.0/8", "127.0.0.1 255.0.0.255", "::1/128", "samehost", "samenet",
		"::ffff:0:0/96", "127/8", "127.1/16", "127.0.0.2/31", "127.9.0.0/16", "fe80::/10", "10.0.0.0/8"}
	conns = []string{"", "tcp", "tcp from=127.0.0.2", "tcp from=127.9.9.1", "tcp from=::1", "tls", "tls from=::1", "tls from=127.9.9.1"}
)

func pick(r *mathrand.Rand, list []string) string { return list[r.IntN(len(list))] }

// some joins one to three values.
func someOf(r *mathrand.Rand, list []string) string {
	values := []string{pick(r, list)}
	for r.IntN(4) == 0 {
		values = append(values, pick(r, list))
	}
	return strings.Join(values, ",")
}

func randomRule(r *mathrand.Rand) string {
	kind := pick(r, somewhere)
	rule := kind + " " + someOf(r, databases) + " " + someOf(r, users)
	if kind != "local" {
		rule += " " + pick(r, addresses)
	}
	return rule + " password"
}

func randomConn(t testing.TB, r *mathrand.Rand) hba.Conn {
	c := conn(t, pick(r, conns))
	c.Database = pick(r, []string{"db1", "DB1", "db12", "alice", "grp", "all", "replication", "+grp", "/b1$", ""})
	c.User = pick(r, []string{"alice", "bob", "carol", "super", "grp", "all", "+grp", "ghost"})
	c.Replication = hba.Walsender(max(0, r.IntN(6)-3))
	return c
}

// matchesRandom lets the server judge files that nobody would write. The seed is fixed.
func (g *gatekeeper) matchesRandom(t *testing.T) {
	r := mathrand.New(mathrand.NewPCG(7, 8)) //nolint:gosec // to be repeatable
	seen := map[int]int{}
	for range 12 {
		text := keyhole
		for range 12 {
			rule := randomRule(r)
			if _, err := hba.Load(files("f", rule), "f", pgconf.Major(g.server.Major)); err == nil {
				text += rule + "\n"
			}
		}
		m := g.install(t, text)
		for range 30 {
			seen[g.compare(t, text, m, randomConn(t, r))]++
		}
	}
	require.Greater(t, len(seen), 8, "too few different lines to prove anything: %v", seen)
}

// matchesHostName asks for what every machine can resolve.
func (g *gatekeeper) matchesHostName(t *testing.T) {
	name, err := g.knows(t).Resolver.Reverse(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		localpg.Missing(t, "127.0.0.1 has no name here: "+err.Error())
	}
	text := keyhole + "host all all x" + name + " password\nhost all all ." + name + " password\n" +
		"host all all " + strings.ToUpper(name) + " password\n"
	require.Equal(t, 4, g.compare(t, text, g.install(t, text), conn(t, "tcp")))
}

// matchesLongNames: the server looks at the first 63 bytes of a name.
func (g *gatekeeper) matchesLongNames(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 62), strings.Repeat("x", 63), strings.Repeat("x", 64), strings.Repeat("é", 40)} {
		text := keyhole + "local all " + name + " password\nlocal all " + name[:min(63, len(name))] + " password\nlocal " + name +
			" alice password\nlocal " + name[:min(63, len(name))] + " all password\n"
		m := g.install(t, text)
		g.compare(t, text, m, hba.Conn{User: name, Database: "x"})
		g.compare(t, text, m, hba.Conn{User: "alice", Database: name})
	}
}

// ensuresRule is what EnsureRule is for: a standby that met another rule meets its own, and nobody else does.
func (g *gatekeeper) ensuresRule(t *testing.T) {
	major := pgconf.Major(g.server.Major)
	text := keyhole + "# standbys\nhost replication bob 127.0.0.1/32 password\n"
	if major >= 16 {
		g.server.Write(t, "more.conf", []byte("host replication all all password\n"))
		text += "include more.conf\n"
	} else {
		text += "host replication all all password\n"
	}
	f, err := hba.ParseFor("pg_hba.conf", []byte(text), major)
	require.NoError(t, err)
	r := record(t, "host replication alice,bob 127.0.0.0/24 scram-sha-256", major)
	change, err := f.EnsureRule(r, hba.EnsureConfig{FS: os.DirFS(g.server.Data)})
	require.NoError(t, err)
	require.Equal(t, 4, change.Line, "%s", f.Bytes())
	g.server.Write(t, "pg_hba.conf", f.Bytes())
	var bad int
	require.NoError(t, g.conn.QueryRow(t.Context(), "select count(*) from pg_hba_file_rules where error is not null").Scan(&bad))
	require.Zero(t, bad)
	g.reload(t)
	g.logged = len(g.server.Log(t))
	for c, want := range map[string]int{
		"tcp physical": 4, "tls physical from=127.0.0.9": 4, "tcp physical user=bob from=127.0.0.2": 4,
		"tcp physical user=bob": 3, // the exception before it, which a note names
		"tcp user=alice":        0,
	} {
		require.Equal(t, want, g.line(t, conn(t, c)), c)
	}
	require.Contains(t, codes(change.Notes), "earlier-rule:p3")
	require.NotContains(t, []int{0, 4}, g.line(t, conn(t, "tcp physical user=carol")))
}
