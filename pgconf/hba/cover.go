package hba

import (
	"net/netip"
	"strings"
)

// part is a part of the connections that a rule takes: one transport, one value of each column. What one rule leaves of
// another is worked out part by part.
type part struct {
	transport Transport
	address   addressTest // never anyAddress, but over a socket
	database  term
	user      term
}

// maxParts bounds how far a rule with long lists is taken apart.
const maxParts = 4096

// parts takes a rule apart. It is false if that would be too many.
func (m *Matcher) parts(t *ruleTest) ([]part, bool) {
	addresses := m.addressParts(t)
	if len(addresses)*len(t.databases)*len(t.users) > maxParts/int(OverGSS) {
		return nil, false
	}
	var all []part
	for transport := OverSocket; transport <= OverGSS; transport++ {
		if !t.transports.has(transport) {
			continue
		}
		for _, a := range addresses {
			for _, d := range t.databases {
				for _, u := range t.users {
					all = append(all, newPart(transport, a, d, u))
				}
			}
		}
	}
	return all, true
}

func newPart(transport Transport, a addressTest, d, u term) part {
	if d.kind == termSameUser && u.kind == termName {
		d = u
	}
	return part{transport, a, d, u}
}

// everyIP are all addresses of both families.
var everyIP = []ipRange{prefixRange(netip.PrefixFrom(netip.IPv4Unspecified(), 0)), prefixRange(netip.PrefixFrom(netip.IPv6Unspecified(), 0))}

// addressParts returns the address column as ranges where they are known.
func (m *Matcher) addressParts(t *ruleTest) []addressTest {
	ranges := m.ranges(&t.address)
	if t.transports == socketOnly || ranges == nil {
		return []addressTest{t.address}
	}
	parts := make([]addressTest, len(ranges))
	for i, r := range ranges {
		parts[i] = addressTest{kind: inRange, in: r}
	}
	return parts
}

// ranges returns the addresses of a column, or nil if they are not known: host names, and interfaces of an unknown server.
func (m *Matcher) ranges(a *addressTest) []ipRange {
	switch a.kind {
	case anyAddress:
		return everyIP
	case inRange:
		return []ipRange{a.in}
	case sameHost:
		return m.hosts
	case sameNet:
		return m.nets
	}
	return nil
}

// covers reports whether a rule takes every connection of a part. Doubt means that it does or does not depending on what is not
// known.
func (m *Matcher) covers(t *ruleTest, p *part) truth {
	if !t.transports.has(p.transport) {
		return no
	}
	answer := yes
	if p.transport != OverSocket {
		answer = m.coversAddress(&t.address, &p.address)
	}
	if answer == no {
		return no
	}
	return min(answer, best(t.databases, func(n *term) truth { return m.coversDatabase(n, p) }),
		best(t.users, func(n *term) truth { return m.coversUser(n, &p.user) }))
}

// best returns the best answer for a value of a list.
func best(list []term, ask func(*term) truth) truth {
	answer := no
	for i := range list {
		answer = max(answer, ask(&list[i]))
		if answer == yes {
			break
		}
	}
	return answer
}

func (m *Matcher) coversAddress(a, p *addressTest) truth {
	switch {
	case a.kind == anyAddress:
		return yes
	case p.kind == hostName:
		return truthOf(a.kind == hostName && (a.host == p.host || strings.HasPrefix(a.host, ".") && strings.HasSuffix(p.host, a.host)))
	case p.kind == sameHost || p.kind == sameNet: // their ranges are not known
		return truthOf(a.kind == p.kind || a.kind == sameNet)
	}
	ranges := m.ranges(a)
	if ranges == nil {
		return doubt
	}
	for i := range ranges {
		if ranges[i].covers(&p.in) {
			return yes
		}
	}
	return no
}

func (m *Matcher) coversDatabase(n *term, p *part) truth {
	d := &p.database
	switch {
	case n.kind == termReplication || d.kind == termReplication:
		return truthOf(n.kind == d.kind)
	case n.kind == termSameRole:
		return m.coversSameRole(p)
	case n.kind == termSameUser && d.kind == termName:
		return truthOf(p.user == *d) // as newPart has it
	}
	return coversName(n, d)
}

// coversSameRole reports whether the keyword samerole covers the database of a part: every user of the part must be a
// member of it.
func (m *Matcher) coversSameRole(p *part) truth {
	switch d := p.database; {
	case d.kind == termSameRole || d.kind == termSameUser:
		return yes
	case d.kind == termName && p.user.kind == termName:
		return m.member(p.user.text, d.text)
	case d.kind == termName && p.user.kind == termMember:
		return m.granted(p.user.text, d.text)
	}
	return no
}

func (m *Matcher) coversUser(n, p *term) truth {
	switch {
	case n.kind == termMember && p.kind == termName:
		return m.member(p.text, n.text)
	case n.kind == termMember && p.kind == termMember && n.text != p.text:
		return m.granted(p.text, n.text)
	}
	return coversName(n, p)
}

// coversName reports whether a value matches every name that the other matches, as far as that is the same for databases and
// users.
func coversName(n, p *term) truth {
	switch {
	case n.kind == termAll, n.kind == termRegex && n.text == "":
		return yes
	case n.kind == p.kind && n.text == p.text:
		return yes
	case n.kind == termRegex && p.kind == termName:
		return n.tryName(p.text)
	case n.kind == termRegex:
		return doubt
	}
	return no
}

// overlaps reports whether a connection may exist that both rules take. It errs on the side of yes.
func (m *Matcher) overlaps(a, b *ruleTest) bool {
	return a.transports&b.transports != 0 &&
		(a.transports&b.transports == socketOnly || m.addressesOverlap(&a.address, &b.address)) &&
		anyPair(a.users, b.users, m.usersOverlap) &&
		anyPair(a.databases, b.databases, databasesOverlap)
}

func anyPair(a, b []term, overlap func(x, y *term) bool) bool {
	for i := range a {
		for j := range b {
			if overlap(&a[i], &b[j]) {
				return true
			}
		}
	}
	return false
}

func (m *Matcher) addressesOverlap(a, b *addressTest) bool {
	if a.kind == hostName && b.kind == hostName {
		return a.host == b.host || strings.HasPrefix(a.host, ".") && strings.HasSuffix(b.host, a.host) ||
			strings.HasPrefix(b.host, ".") && strings.HasSuffix(a.host, b.host)
	}
	x, y := m.ranges(a), m.ranges(b)
	if x == nil || y == nil {
		return true
	}
	for i := range x {
		for j := range y {
			if x[i].overlaps(&y[j]) {
				return true
			}
		}
	}
	return false
}

func databasesOverlap(a, b *term) bool {
	if a.kind == termReplication || b.kind == termReplication {
		return a.kind == b.kind
	}
	return namesOverlap(a, b)
}

func (m *Matcher) usersOverlap(a, b *term) bool {
	switch {
	case a.kind == termMember && b.kind == termName:
		return m.member(b.text, a.text) != no
	case a.kind == termName && b.kind == termMember:
		return m.member(a.text, b.text) != no
	}
	return namesOverlap(a, b)
}

func namesOverlap(a, b *term) bool {
	switch {
	case a.kind == termName && b.kind == termName:
		return a.text == b.text
	case a.kind == termName && b.kind == termRegex:
		return b.tryName(a.text) != no
	case a.kind == termRegex && b.kind == termName:
		return a.tryName(b.text) != no
	}
	return true
}
