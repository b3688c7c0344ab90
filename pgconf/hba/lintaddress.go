package hba

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

func (b bits128) ones() int { return bits.OnesCount64(b.hi) + bits.OnesCount64(b.lo) }

func (l *linter) address() {
	r, a := l.rule, &l.rule.addr
	switch {
	case r.Type == Local:
	case a.kind == addrHost:
		l.host()
	case a.kind != addrNetwork:
	case a.odd:
		l.add(CodeOddAddress, Warning, "write an IPv4 address as four decimal numbers, without leading zeros", "address %s means %s", r.network(), a.plain())
	case a.ip.Is4In6() && a.mask.ones() >= 96:
		l.add(CodeMappedAddress, Warning, "write the IPv4 address", "address %s matches no client: those of IPv4 are not compared with IPv6 addresses", r.network())
	case bitsOf(a.ip) != a.net:
		l.add(CodeHostBits, Warning, "write the network that is meant, or a longer length", "address %s means %s", r.network(), a.plain())
	}
}

// plain returns the network as it is usually written.
func (a *address) plain() string {
	length := a.mask.ones() - 128 + a.ip.BitLen()
	if lengthMask(length, a.ip.BitLen()) == a.mask {
		return netip.PrefixFrom(a.ip.WithZone(""), length).Masked().String()
	}
	return fmt.Sprintf("%s with an unusual mask", a.ip)
}

func (l *linter) host() {
	r := l.rule
	switch text := r.Address.Text(); {
	case r.Address.Quoted() && isOneOf(text, All, SameHost, SameNet), isOneOf(ascii.Lower(text), All, SameHost, SameNet):
		l.keyword("address", r.Address, []Token{All, SameHost, SameNet})
	case isPlaceholder(text):
	case strings.ContainsAny(text, "*%"):
		l.add(CodeWildcard, Warning, "begin the name with a dot to mean every host below it", "address %s is a host name: there are no wildcards", r.Address)
	default:
		l.add(CodeNeedsDNS, Info, "write addresses if logins must not depend on name servers",
			"address %s is a host name: each login looks the client's name up, and its address again", r.Address)
	}
}

// noIPv6 looks whether there is a rule for IPv6 clients if there is one for those of IPv4.
func (l *linter) noIPv6() {
	for _, where := range []struct {
		what   string
		v4, v6 ipRange
	}{{"every IPv4 address", everyIP[0], everyIP[1]}, {"127.0.0.1", loopback[0], loopback[1]}} {
		at := -1
		for i := range l.tests {
			t := &l.tests[i]
			switch {
			case t.transports == socketOnly:
			case t.address.kind != inRange || t.address.in.overlaps(&where.v6):
				at = len(l.tests)
			case where.v4.covers(&t.address.in) && t.address.in.v4 && (where.what != "every IPv4 address" || t.address.in == where.v4):
				at = first(at, i)
			}
		}
		if at >= 0 && at < len(l.tests) {
			l.rule = &l.rules[at]
			l.add(CodeNoIPv6, Info, "add a rule for IPv6, or make sure that clients do not use it", "%s has a rule and IPv6 has none; names such as localhost may lead to IPv6", where.what)
			return
		}
	}
}
