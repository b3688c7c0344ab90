package hba

import (
	"fmt"
	"net/netip"

	"github.com/understudy-ha/understudy/pgconf"
)

// truth is an answer that may be missing.
type truth uint8

const (
	no truth = iota
	doubt
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// Outcome says whether the rule of a connection was found.
type Outcome uint8

// The outcomes.
const (
	CannotSay Outcome = iota // a rule may be the first that matches, but that depends on what is not known here
	Matched                  // a rule decides; its method may be reject
	NoneMatch                // no rule matches, so the server refuses the connection
)

// String returns "cannot say", "matched" or "no rule".
func (o Outcome) String() string {
	return [...]string{"cannot say", "matched", "no rule", "?"}[min(o, NoneMatch+1)]
}

// Matcher finds the rules of connections as check_hba in hba.c does: the first rule whose type, address, database and user
// match decides, and if its method fails, no other is tried. Make one with [NewMatcher]. It is safe for concurrent use if
// the functions of its [Server] are.
type Matcher struct {
	server Server
	major  pgconf.Major
	rules  []Rule
	tests  []ruleTest
	hosts  []ipRange // of samehost
	nets   []ipRange // of samenet
	none   string    // why nothing can be said, whatever the connection
}

// NewMatcher prepares rules for the major they were read for. It takes time once, so that each Match takes little.
func NewMatcher(rules *Rules, s Server) *Matcher {
	m := &Matcher{server: s, major: rules.major, rules: rules.rules, tests: make([]ruleTest, len(rules.rules))}
	for i := range m.rules {
		r := &m.rules[i]
		m.tests[i] = newRuleTest(r)
		if s.NoSSL && r.Type == HostSSL && m.major < lenientSSLSince && m.none == "" {
			m.none = fmt.Sprintf("%s is hostssl while ssl is off: PostgreSQL %s refuses such a file as a whole", r.place(), m.major)
		}
	}
	for _, p := range s.Interfaces {
		host := prefixRange(netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
		net := prefixRange(p)
		if p.Bits() == 0 {
			net = host // the server takes an empty mask for none (run_ifaddr_callback in ifaddr.c)
		}
		m.hosts, m.nets = append(m.hosts, host), append(m.nets, net)
	}
	return m
}

// lenientSSLSince is the major from which hostssl lines may stand in the file while ssl is off.
const lenientSSLSince = pgconf.Major(10)

// plainGroupsSince is the major from which a superuser is a member of those roles only that were granted to it.
const plainGroupsSince = pgconf.V9_2

// Result is the answer of [Matcher.Match].
type Result struct {
	Outcome Outcome

	// Index is that of the rule that decides, or with CannotSay of the first rule that cannot be decided, in the rules of the
	// Matcher. It is -1 if there is none.
	Index int

	m    *Matcher
	q    question
	none string // why nothing can be said of the connection
}

// Match returns the rule of a connection. An undecided rule before the first that matches makes the answer [CannotSay].
func (m *Matcher) Match(c Conn) Result {
	r := Result{Index: -1, m: m, none: m.none}
	if r.none == "" {
		r.q, r.none = m.ask(c)
	}
	if r.none != "" {
		return r
	}
	r.Outcome = NoneMatch
	for i := range m.tests {
		switch m.try(&m.tests[i], &r.q) {
		case yes:
			r.Outcome, r.Index = Matched, i
			return r
		case doubt:
			r.Outcome, r.Index = CannotSay, i
			return r
		}
	}
	return r
}

// question is a connection prepared for the rules.
type question struct {
	Conn
	ip       clientIP
	physical bool // only the keyword replication matches
	host     hostAnswer
}

// maxName is how many bytes of a database or user name the server looks at (NAMEDATALEN less one).
const maxName = 63

// ask prepares a connection, or says why there is no such one.
func (m *Matcher) ask(c Conn) (q question, none string) {
	if c.Database == "" {
		c.Database = c.User // ProcessStartupPacket in postmaster.c, as the next
	}
	c.User, c.Database = c.User[:min(len(c.User), maxName)], c.Database[:min(len(c.Database), maxName)]
	// Before 10 every replication connection needs the keyword.
	physical := c.Replication == PhysicalReplication || c.Replication == LogicalReplication && m.major < 10
	q = question{Conn: c, physical: physical}
	switch {
	case c.User == "":
		return q, "the connection has no user"
	case c.Transport > OverGSS:
		return q, "the connection has no known transport"
	case c.Transport == OverGSS && m.major < gssEncSince:
		return q, fmt.Sprintf("PostgreSQL %s has no GSSAPI encryption", m.major)
	case c.Transport == OverTLS && m.server.NoSSL:
		return q, "ssl is off: a client that asks for TLS goes on without it, or not at all"
	case c.Transport != OverSocket && !c.Client.IsValid():
		return q, "the connection has no client address"
	case c.Transport != OverSocket:
		// A server's IPv6 sockets take no IPv4 clients, so this one came over IPv4.
		q.ip = splitIP(c.Client.Unmap())
	}
	return q, ""
}

// try holds a connection against a rule: what is quick first.
func (m *Matcher) try(t *ruleTest, q *question) truth {
	if !t.transports.has(q.Transport) {
		return no
	}
	if t.address.kind == inRange && !t.address.in.has(q.ip) {
		return no
	}
	databases := m.tryDatabases(t.databases, q)
	if databases == no {
		return no
	}
	users := m.tryUsers(t.users, q)
	if users == no {
		return no
	}
	return min(databases, users, m.tryAddress(&t.address, q))
}

func (m *Matcher) tryDatabases(tests []term, q *question) truth {
	best := no
	for i := range tests {
		best = max(best, m.tryDatabase(&tests[i], q))
		if best == yes {
			break
		}
	}
	return best
}

// tryDatabase is check_db in hba.c for one value.
func (m *Matcher) tryDatabase(t *term, q *question) truth {
	switch {
	case q.physical || t.kind == termReplication:
		return truthOf(q.physical && t.kind == termReplication)
	case t.kind == termAll:
		return yes
	case t.kind == termSameUser:
		return truthOf(q.Database == q.User)
	case t.kind == termSameRole:
		return m.member(q.User, q.Database)
	}
	return t.tryName(q.Database)
}

func (m *Matcher) tryUsers(tests []term, q *question) truth {
	best := no
	for i := range tests {
		best = max(best, m.tryUser(&tests[i], q))
		if best == yes {
			break
		}
	}
	return best
}

// tryUser is check_role in hba.c for one value.
func (m *Matcher) tryUser(t *term, q *question) truth {
	switch t.kind {
	case termAll:
		return yes
	case termMember:
		return m.member(q.User, t.text)
	}
	return t.tryName(q.User)
}

// tryName holds a name against a name or a regular expression.
func (t *term) tryName(name string) truth {
	if t.kind != termRegex {
		return truthOf(t.text == name)
	}
	matched, why := t.re.Match(name)
	if why != "" {
		return doubt
	}
	return truthOf(matched)
}

// member is is_member in hba.c. Before 9.2 a superuser counts as a member of every role that exists.
func (m *Matcher) member(user, role string) truth {
	switch answer := m.granted(user, role); {
	case role == "" || answer == yes || m.major >= plainGroupsSince:
		return answer
	case m.server.Superuser == nil:
		return doubt
	default:
		is, err := m.server.Superuser(user)
		if err != nil {
			return doubt
		}
		if !is {
			return answer
		}
	}
	return m.granted(role, role)
}

// granted reports what the function Member does.
func (m *Matcher) granted(user, role string) truth {
	switch {
	case role == "": // no role is called so
		return no
	case m.server.Member == nil && user == role:
		return yes
	case m.server.Member == nil:
		return doubt
	}
	is, err := m.server.Member(user, role)
	if err != nil {
		return doubt
	}
	return truthOf(is)
}

func (m *Matcher) tryAddress(t *addressTest, q *question) truth {
	switch t.kind {
	case sameHost:
		return inAny(m.hosts, q.ip)
	case sameNet:
		return inAny(m.nets, q.ip)
	case hostName:
		return q.host.try(t.host, q.Client, m.server.Resolver)
	}
	return yes // a range has been looked at
}

// inAny reports whether an address is in one of the ranges. None at all means that they are not known.
func inAny(ranges []ipRange, ip clientIP) truth {
	if len(ranges) == 0 {
		return doubt
	}
	for i := range ranges {
		if ranges[i].has(ip) {
			return yes
		}
	}
	return no
}
