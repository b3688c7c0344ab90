package hba

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
)

// Severity says how bad a [Finding] is.
type Severity uint8

// The severities.
const (
	Info    Severity = iota // to know
	Warning                 // probably not what was meant, or weak
	Error                   // open to others, not in force, or sure to fail
)

// String returns "info", "warning" or "error".
func (s Severity) String() string {
	return [...]string{"info", "warning", "error", "?"}[min(s, Error+1)]
}

// MarshalText returns String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Code says what a [Finding] is about. The text of a code does not change.
type Code string

// The codes of findings, with their severities.
const (
	CodeTrust          Code = "trust-from-network"  // error: whoever reaches the server is whom they say
	CodeTrustHere      Code = "trust-local"         // info: the same for every account on the server's machine
	CodeCertOfAnybody  Code = "cert-of-anybody"     // warning: trust with a certificate whose name is not looked at
	CodeCertName       Code = "cert-name"           // warning: a distinguished name can hardly be a role's
	CodeMD5            Code = "md5"                 // warning: weak, and removed some day; scram-sha-256 is there from 10 on
	CodeClearPassword  Code = "password-in-clear"   // warning: the password crosses the network readable
	CodeIdentNetwork   Code = "ident-from-network"  // warning: the client's machine says who the user is
	CodeWorldOpen      Code = "world-open"          // warning: a weak method for every address
	CodeUnreachable    Code = "unreachable"         // warning, or error for a reject: earlier rules take all connections
	CodeRedundant      Code = "redundant"           // info: the same, and they do the same
	CodePlaceholder    Code = "placeholder"         // error: <…>, $NAME and the like were not filled in
	CodeNeedsDNS       Code = "needs-dns"           // info: logins depend on name lookups
	CodeOddAddress     Code = "odd-address"         // warning: 10/8 means 0.0.0.10/8
	CodeMappedAddress  Code = "mapped-address"      // warning: ::ffff:… matches no client
	CodeHostBits       Code = "host-bits"           // warning: the address has bits that the mask makes meaningless
	CodeNoIPv6         Code = "no-ipv6"             // info: IPv4 clients only, while localhost may mean ::1
	CodeNotReplication Code = "all-not-replication" // warning: all does not include physical replication
	CodeNotKeyword     Code = "not-a-keyword"       // warning: a keyword of another column
	CodeKeywordCase    Code = "keyword-case"        // warning: keywords are in lower case
	CodeQuotedKeyword  Code = "quoted-keyword"      // warning: in quotes it is a plain name
	CodeQuotedMember   Code = "quoted-member"       // warning: "+role" is a plain name (9.2+)
	CodeRegexpTooOld   Code = "regexp-before-16"    // warning: /… is a plain name
	CodeRegexpOpen     Code = "regexp-not-anchored" // info: matches in the middle of a name too
	CodeWildcard       Code = "wildcard"            // warning: * and % are plain characters
	CodePeerRefused    Code = "peer-refused"        // error: a node could not replicate from here
	CodePeerUnknown    Code = "peer-unknown"        // warning: it cannot be said whether it could
	CodeReadable       Code = "readable-secret"     // warning: everybody on the machine can read the file
	CodeSSLOff         Code = "ssl-off"             // warning, or error before 10: hostssl while ssl is off
	CodeBackslash      Code = "backslash"           // warning: joins two lines from 14 on, and not before
)

// Finding is something in a rule set that somebody should look at. It holds no secret.
type Finding struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"` // 0 if it is not about one line
	Message  string   `json:"message"`        // what is wrong
	Remedy   string   `json:"remedy"`         // what to do
}

// String returns "file:line: severity: message (code); remedy".
func (f Finding) String() string {
	place := f.File
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	if place != "" {
		place += ": "
	}
	return fmt.Sprintf("%s%s: %s (%s); %s", place, f.Severity, f.Message, f.Code, f.Remedy)
}

// LintConfig is what Lint may know beside the rules. The zero value knows nothing, and less is found.
type LintConfig struct {
	Server Server

	// ReplicationUser is the role as which standbys connect, and Peers are the addresses from which they do, or will when
	// the roles of the nodes change: each must find a rule.
	ReplicationUser string
	Peers           []netip.Addr

	// FS has the files of the rules under the names that Load was given. It serves to look at what no rule shows: who may
	// read them, and backslashes at line ends.
	FS fs.FS
}

// Lint judges rules: what lets in whom it should not, what has no effect, and what probably means something else than its
// author thought. Findings are in the order of the lines.
//
// A rule is unreachable only if that is certain: whatever the memberships of roles, the networks of the server and the names
// of clients are, as far as the Server does not tell them. Rules with very long lists are not taken apart for that.
func Lint(rules *Rules, c LintConfig) []Finding {
	l := &linter{LintConfig: c, Matcher: NewMatcher(rules, c.Server)}
	for i := range l.rules {
		l.rule, l.test = &l.rules[i], &l.tests[i]
		for _, check := range checks {
			check(l)
		}
	}
	l.unreachable()
	l.replication()
	l.peers()
	l.noIPv6()
	l.files()
	slices.SortStableFunc(l.found, l.byPlace())
	return l.found
}

// linter collects findings about the current rule.
type linter struct {
	LintConfig
	*Matcher
	rule  *Rule
	test  *ruleTest
	found []Finding
}

func (l *linter) add(code Code, s Severity, remedy, format string, args ...any) {
	l.addAt(l.rule.File, l.rule.Line, code, s, remedy, format, args...)
}

func (l *linter) addAt(file string, line int, code Code, s Severity, remedy, format string, args ...any) {
	l.found = append(l.found, Finding{code, s, file, line, fmt.Sprintf(format, args...), remedy})
}

// byPlace orders findings: those about no line last, files as the server reads them.
func (l *linter) byPlace() func(a, b Finding) int {
	order := map[string]int{"": len(l.rules)}
	for i := len(l.rules) - 1; i >= 0; i-- {
		order[l.rules[i].File] = i
	}
	return func(a, b Finding) int {
		if a.File != b.File {
			return order[a.File] - order[b.File]
		}
		return a.Line - b.Line
	}
}

// checks look at one rule each time.
var checks = []func(*linter){
	(*linter).method, (*linter).certificate, (*linter).databases, (*linter).users, (*linter).address, (*linter).placeholders, (*linter).ssl,
}

const scramRemedy = "use scram-sha-256: set password_encryption = 'scram-sha-256', set the passwords again, then change the method; " +
	"md5 takes both kinds meanwhile"

func (l *linter) method() {
	r := l.rule
	here := l.isHere()
	world := r.Type != Local && l.isWorld()
	switch r.Method {
	case Trust:
		switch clientcert := r.option("clientcert"); {
		case clientcert == "verify-full":
		case clientcert == "verify-ca", clientcert == "1":
			l.add(CodeCertOfAnybody, Warning, "write clientcert=verify-full, or the method cert",
				"every certificate of the authority opens every role of the rule")
		case here:
			l.add(CodeTrustHere, Info, "use peer on a Unix socket, scram-sha-256 on loopback addresses",
				"every account on this machine can be any role of the rule")
		default:
			l.add(CodeTrust, Error, "use scram-sha-256, or cert on hostssl", "trust lets in whoever comes from %s, as any role of the rule", r.network())
		}
		return
	case MD5:
		if l.major >= scramSince {
			l.add(CodeMD5, Warning, scramRemedy, "md5 is weak, and deprecated")
		}
	case Ident:
		if !here {
			l.add(CodeIdentNetwork, Warning, "use scram-sha-256, or cert on hostssl", "ident believes what the client's machine says about its users")
		}
	case Password, LDAP, PAM, BSD, RADIUS:
		if !here && l.test.transports&plainOnly != 0 {
			l.add(CodeClearPassword, Warning, "write hostssl, or use scram-sha-256", "with %s the password crosses the network readable unless it is encrypted", r.Method)
		}
	}
	if world && r.Method.strength() <= MD5.strength() {
		l.add(CodeWorldOpen, Warning, "name the networks that the clients are in, and use scram-sha-256", "everybody may try passwords against %s", r.Method)
	}
}

// scramSince is the major from which scram-sha-256 exists.
const scramSince = 10

// option returns the last value of an option.
func (r Record) option(name string) string {
	value := ""
	for _, o := range r.Options {
		if o.Name == name {
			value = o.Value
		}
	}
	return value
}

var loopback = []ipRange{prefixRange(netip.MustParsePrefix("127.0.0.0/8")), prefixRange(netip.MustParsePrefix("::1/128"))}

// isHere reports whether the rule takes connections from the server's machine only.
func (l *linter) isHere() bool {
	switch a := &l.test.address; {
	case l.rule.Type == Local || a.kind == sameHost:
		return true
	case a.kind == hostName:
		return a.host == "localhost"
	case a.kind == inRange:
		return loopback[0].covers(&a.in) || loopback[1].covers(&a.in)
	}
	return false
}

// isWorld reports whether the rule takes connections from every address of a family, or nearly so.
func (l *linter) isWorld() bool {
	switch a := &l.test.address; a.kind {
	case anyAddress:
		return true
	case inRange:
		return a.in.mask.ones()-128+l.rule.addr.ip.BitLen() < 8
	}
	return false
}

func (l *linter) certificate() {
	r := l.rule
	if r.Method == Cert && r.option("clientname") == "DN" && r.option("map") == "" {
		l.add(CodeCertName, Warning, "add map=… and lines for it to pg_ident.conf", "clientname=DN wants a role named like the whole distinguished name of the certificate")
	}
}

func (l *linter) ssl() {
	if l.rule.Type != HostSSL || !l.Server.NoSSL {
		return
	}
	if l.major < lenientSSLSince {
		l.add(CodeSSLOff, Error, "set ssl = on, or write host", "hostssl while ssl is off: PostgreSQL %s refuses the whole file", l.major)
		return
	}
	l.add(CodeSSLOff, Warning, "set ssl = on, or write host", "hostssl matches nothing while ssl is off")
}
