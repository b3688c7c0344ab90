package hba

import (
	"net/netip"
)

// ruleTest is a record taken apart, so that a connection is held against it quickly.
type ruleTest struct {
	transports transports
	address    addressTest
	databases  []term
	users      []term
}

// transports is a set: bit t for each Transport t.
type transports uint8

const (
	socketOnly transports = 1 << OverSocket
	plainOnly  transports = 1 << OverTCP
	tlsOnly    transports = 1 << OverTLS
	gssOnly    transports = 1 << OverGSS
	anyTCP                = plainOnly | tlsOnly | gssOnly
)

func (s transports) has(t Transport) bool { return s>>t&1 != 0 }

// transports returns what a type of record takes (check_hba in hba.c).
func (t ConnType) transports() transports {
	switch t {
	case Local:
		return socketOnly
	case HostSSL:
		return tlsOnly
	case HostNoSSL:
		return plainOnly | gssOnly
	case HostGSSEnc:
		return gssOnly
	case HostNoGSSEnc:
		return plainOnly | tlsOnly
	}
	return anyTCP
}

// ipRange is a set of addresses of one family: those that agree with ip where mask has ones.
type ipRange struct {
	v4       bool
	ip, mask bits128 // ip has no bits outside mask
}

func (r *ipRange) has(a clientIP) bool {
	return r.v4 == a.v4 && (r.ip.hi^a.ip.hi)&r.mask.hi == 0 && (r.ip.lo^a.ip.lo)&r.mask.lo == 0
}

// covers reports whether every address in o is in r.
func (r *ipRange) covers(o *ipRange) bool {
	return r.mask.and(o.mask) == r.mask && r.has(clientIP{o.v4, o.ip})
}

// overlaps reports whether an address is in both.
func (r *ipRange) overlaps(o *ipRange) bool {
	both := r.mask.and(o.mask)
	return r.v4 == o.v4 && r.ip.and(both) == o.ip.and(both)
}

// clientIP is the address of a client, without its zone.
type clientIP struct {
	v4 bool
	ip bits128
}

// splitIP returns the bits of an address. It keeps ::ffff:a.b.c.d an IPv6 address.
func splitIP(a netip.Addr) clientIP { return clientIP{a.Is4(), bitsOf(a)} }

// prefixRange returns the range of a prefix.
func prefixRange(p netip.Prefix) ipRange {
	mask := lengthMask(p.Bits(), p.Addr().BitLen())
	return ipRange{p.Addr().Is4(), bitsOf(p.Addr()).and(mask), mask}
}

type addressKind uint8

const (
	anyAddress addressKind = iota
	inRange
	sameHost
	sameNet
	hostName
)

// addressTest is the address column.
type addressTest struct {
	kind addressKind
	in   ipRange
	host string // lower case; a leading dot makes it a suffix
}

func newAddressTest(a *address) addressTest {
	switch {
	case a.kind == addrNetwork:
		return addressTest{kind: inRange, in: ipRange{a.ip.Is4(), a.net, a.mask}}
	case a.kind == addrHost:
		return addressTest{kind: hostName, host: a.text}
	case Token(a.text) == SameHost:
		return addressTest{kind: sameHost}
	case Token(a.text) == SameNet:
		return addressTest{kind: sameNet}
	}
	return addressTest{} // all, or none for Local
}

// newRuleTest takes a rule apart.
func newRuleTest(r *Rule) ruleTest {
	return ruleTest{r.Type.transports(), newAddressTest(&r.addr), r.databases, r.users}
}
