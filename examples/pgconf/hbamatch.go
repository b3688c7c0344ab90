package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// serverFlags say what a server knows beside its files.
type serverFlags struct {
	ServerAddress []netip.Prefix `placeholder:"ADDR/LEN" help:"An address of the server with the length of its network, for samehost and samenet."`
	SSL           bool           `name:"ssl" default:"true" negatable:"" help:"Whether the server has ssl on."`
}

func (f serverFlags) server() hba.Server {
	return hba.Server{Interfaces: f.ServerAddress, NoSSL: !f.SSL}
}

type hbaMatch struct {
	hbaSource
	serverFlags
	User        string   `required:"" help:"The role that connects."`
	Database    string   `help:"The database it connects to. Default is the one named like the user."`
	Host        address  `placeholder:"ADDR" help:"The address that the client connects from. Without it, it comes over a Unix socket."`
	TLS         bool     `name:"tls" xor:"encryption" help:"The connection has TLS."`
	GSS         bool     `name:"gss" xor:"encryption" help:"The connection has GSSAPI encryption."`
	Replication string   `enum:"none,physical,logical" default:"none" help:"What the connection is for: none, physical or logical replication."`
	Member      []string `sep:"none" placeholder:"ROLE" help:"A role that the user is a member of, directly or not; it is one of no other. Give an empty one if there is none. Without this, it is not known."`
	Superuser   *bool    `negatable:"" help:"Whether the user is a superuser, which matters before 9.2."`
	Resolve     bool     `help:"Look host names up, as this machine knows them."`
	JSON        bool     `name:"json" help:"Print an object: outcome (matched, no rule, cannot say), file, line, rule, method, why, tried."`
}

// address is an argument that must be an IP address.
type address struct{ netip.Addr }

// UnmarshalText is called for each argument.
func (a *address) UnmarshalText(text []byte) (err error) {
	if a.Addr, err = netip.ParseAddr(string(text)); err != nil {
		return fmt.Errorf("%q is not an IP address; write one such as 10.0.0.7 or fd00::7", text)
	}
	return nil
}

// matchAnswer is what hba match --json prints.
type matchAnswer struct {
	Outcome string      `json:"outcome"`
	File    string      `json:"file,omitempty"`
	Line    int         `json:"line,omitempty"`
	Rule    string      `json:"rule,omitempty"`
	Method  hba.Method  `json:"method,omitempty"`
	Why     string      `json:"why"`
	Tried   []triedRule `json:"tried"`
}

// triedRule is a rule that does not match.
type triedRule struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Why  string `json:"why"`
}

// Run says which rule decides. The answer is no if the server refuses the connection, or if that cannot be ruled out.
func (c *hbaMatch) Run(ctx context.Context, out *streams) error {
	if (c.TLS || c.GSS) && !c.Host.IsValid() {
		return fmt.Errorf("%w: --tls and --gss need --host", errUsage)
	}
	rules, err := c.load()
	if err != nil {
		return err // a server would not load it either
	}
	result := hba.NewMatcher(rules, c.server(ctx)).Match(c.conn())
	rule, _ := result.Rule()
	if err := c.print(out, result, rule); err != nil {
		return err
	}
	if result.Outcome != hba.Matched || rule.Method == hba.Reject {
		return errNo
	}
	return nil
}

func (c *hbaMatch) server(ctx context.Context) hba.Server {
	s := c.serverFlags.server()
	if c.Member != nil {
		s.Member = func(user, role string) (bool, error) { return user == role || slices.Contains(c.Member, role), nil }
	}
	if c.Superuser != nil {
		s.Superuser = func(string) (bool, error) { return *c.Superuser, nil }
	}
	if c.Resolve {
		s.Resolver = newLookup(ctx)
	}
	return s
}

func (c *hbaMatch) conn() hba.Conn {
	conn := hba.Conn{Client: c.Host.Addr, Database: c.Database, User: c.User}
	switch {
	case c.TLS:
		conn.Transport = hba.OverTLS
	case c.GSS:
		conn.Transport = hba.OverGSS
	case c.Host.IsValid():
		conn.Transport = hba.OverTCP
	}
	switch c.Replication {
	case "physical":
		conn.Replication = hba.PhysicalReplication
	case "logical":
		conn.Replication = hba.LogicalReplication
	}
	return conn
}

func (c *hbaMatch) print(out *streams, result hba.Result, rule hba.Rule) error {
	answer := matchAnswer{Outcome: result.Outcome.String(), Why: result.Why(), Tried: []triedRule{}}
	if result.Index >= 0 {
		answer.File, answer.Line, answer.Rule, answer.Method = rule.File, rule.Line, rule.String(), rule.Method
	}
	for step := range result.Steps() {
		if step.Index != result.Index {
			answer.Tried = append(answer.Tried, triedRule{step.Rule.File, step.Rule.Line, step.Why})
		}
	}
	if c.JSON {
		return printJSON(out, answer)
	}
	fmt.Fprintf(out.Out, "%s: %s\n", answer.Outcome, answer.Why)
	if answer.Rule != "" {
		fmt.Fprintf(out.Out, "  %s\n", answer.Rule)
	}
	for _, t := range answer.Tried {
		fmt.Fprintf(out.Out, "not %s:%d: %s\n", t.File, t.Line, t.Why)
	}
	return nil
}

// lookup asks the resolver of this machine. It runs a question with a deadline.
type lookup func(ask func(ctx context.Context) error) error

const lookupTimeout = 10 * time.Second

func newLookup(ctx context.Context) lookup {
	return func(ask func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		err := ask(ctx)
		if isNotFound(err) {
			return nil
		}
		return err
	}
}

// Reverse returns the first name.
func (l lookup) Reverse(client netip.Addr) (name string, err error) {
	err = l(func(ctx context.Context) error {
		names, err := net.DefaultResolver.LookupAddr(ctx, client.String())
		if len(names) > 0 {
			name = strings.TrimSuffix(names[0], ".")
		}
		return err
	})
	return name, err
}

// Forward returns the addresses.
func (l lookup) Forward(name string) (addresses []netip.Addr, err error) {
	err = l(func(ctx context.Context) error {
		addresses, err = net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		return err
	})
	return addresses, err
}

func isNotFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

type hbaAdd struct {
	hbaSource
	serverFlags
	writeFlag
	Rule         []string `arg:"" help:"The record as it would stand in the file, in one argument or several."`
	BeforeReject bool     `help:"Let it go before a rule that rejects some of its connections."`
	Secrets      bool     `help:"Show the secrets that options hold in the diff, which is then a patch."`
}

// Run puts a record where it takes effect.
func (c *hbaAdd) Run(out *streams) error {
	one, err := hba.ParseFor("rule", []byte(strings.Join(c.Rule, " ")), c.Major)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if len(one.Records()) != 1 {
		return fmt.Errorf("%w: not one record", errUsage)
	}
	before, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	name, err := filepath.Abs(c.File)
	if err != nil {
		return err
	}
	f, err := hba.ParseFor(filepath.ToSlash(name), before, c.Major)
	if err != nil {
		return err
	}
	change, err := f.EnsureRule(one.Records()[0], hba.EnsureConfig{Server: c.server(), FS: os.DirFS("/"), BeforeReject: c.BeforeReject})
	if errors.Is(err, hba.ErrReject) {
		fmt.Fprintf(out.Err, "pgconf: %v; look at that rule, and say --before-reject if the new one may stand before it\n", err)
		return errNo
	}
	if err != nil {
		return err
	}
	for _, note := range change.Notes {
		fmt.Fprintf(out.Err, "%s: %s\n", note.Code, note.Text)
	}
	diff := f.DiffHiding()
	if c.Secrets {
		diff = f.Diff()
	}
	return c.finish(out, c.File, before, f.Bytes(), diff)
}

type hbaLint struct {
	Files []string     `arg:"" name:"file" type:"path" help:"Each a pg_hba.conf; the files it names are looked at with it."`
	Major pgconf.Major `default:"${newest}" help:"Major version of the server that reads it, such as 9.6 or 17."`
	serverFlags
	User string    `help:"The role as which standbys connect."`
	Peer []address `placeholder:"ADDR" help:"An address from which a standby connects, or would after a failover. Needs --user."`
	JSON bool      `name:"json" help:"Print an array of objects: code, severity, file, line, message, remedy."`
}

// Run prints what it finds. The answer is no if anything is a warning or worse.
func (c *hbaLint) Run(out *streams) error {
	if len(c.Peer) > 0 && c.User == "" {
		return fmt.Errorf("%w: --peer needs --user", errUsage)
	}
	var peers []netip.Addr
	for _, p := range c.Peer {
		peers = append(peers, p.Addr)
	}
	findings := []hba.Finding{}
	var failed error
	for _, file := range c.Files {
		source := hbaSource{file, c.Major}
		rules, err := source.load()
		failed = errors.Join(failed, err)
		if rules != nil {
			findings = append(findings, hba.Lint(rules, hba.LintConfig{Server: c.server(), ReplicationUser: c.User, Peers: peers, FS: os.DirFS("/")})...)
		}
	}
	if err := c.print(out, findings); err != nil {
		return err
	}
	if failed == nil && len(findings) > 0 && slices.MaxFunc(findings, bySeverity).Severity >= hba.Warning {
		return errNo
	}
	return failed
}

func bySeverity(a, b hba.Finding) int { return cmp.Compare(a.Severity, b.Severity) }

func (c *hbaLint) print(out *streams, findings []hba.Finding) error {
	if c.JSON {
		return printJSON(out, findings)
	}
	for _, f := range findings {
		fmt.Fprintln(out.Out, f)
	}
	return nil
}
