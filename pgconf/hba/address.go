package hba

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

type addrKind uint8

const (
	addrKeyword addrKind = iota + 1 // all, samehost, samenet
	addrNetwork                     // address with length or mask
	addrBare                        // address that needs a mask column
	addrHost                        // host name
)

// address is what the address column, and the mask column if there is one, means.
type address struct {
	kind      addrKind
	text      string     // keyword, or host name in lower case
	ip        netip.Addr // as it was written, bits outside the mask included
	net, mask bits128    // net holds no bit that mask does not
	odd       bool       // not spelled as people and other programs read it: 10/8, which means 0.0.0.10/8
}

// bits128 are the bits of an address, those of an IPv4 address as the last 32 after ones.
type bits128 struct{ hi, lo uint64 }

// ones are the bits before those of an IPv4 address.
const onesHi, onesLo = 1<<64 - 1, (1<<32 - 1) << 32

func bitsOf(ip netip.Addr) bits128 {
	if ip.Is4() {
		b := ip.As4()
		return bits128{onesHi, onesLo | uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := ip.As16()
	return bits128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (b bits128) and(o bits128) bits128 { return bits128{b.hi & o.hi, b.lo & o.lo} }

// isAddressKeyword reports whether a word of the address column is a keyword for the major.
func isAddressKeyword(text string, major pgconf.Major) bool {
	switch Token(text) {
	case All:
		return major >= pgconf.V9_1
	case SameHost, SameNet:
		return true
	}
	return false
}

// parseAddress reads the address column, or says what is wrong with it. After an error the kind is 0.
func parseAddress(text string, quoted bool, major pgconf.Major) (a address, problem string) {
	if !quoted && isAddressKeyword(text, major) {
		return address{kind: addrKeyword, text: text}, ""
	}
	host, length, hasLength := strings.Cut(text, "/")
	ip, odd, isIP := parseIP(host)
	switch {
	case !isIP && hasLength:
		return address{}, "not an IP address, and a host name cannot have a length; for IPv6 write no brackets"
	case !isIP && major < pgconf.V9_1:
		return address{}, "not an IP address, and host names need PostgreSQL 9.1 or later"
	case !isIP:
		return address{kind: addrHost, text: ascii.Lower(text)}, ""
	case !hasLength:
		return address{kind: addrBare, ip: ip, odd: odd}, ""
	}
	n, plain, ok := parseLength(length, ip.BitLen())
	if !ok {
		return address{}, "the number after / must be 0 to " + strconv.Itoa(ip.BitLen())
	}
	return network(ip, lengthMask(n, ip.BitLen()), odd || !plain), ""
}

// network returns the address for a network.
func network(ip netip.Addr, mask bits128, odd bool) address {
	return address{kind: addrNetwork, ip: ip, net: bitsOf(ip).and(mask), mask: mask, odd: odd}
}

// withMask returns the network that a bare address and a mask of the same family make.
func (a address) withMask(mask string) (address, string) {
	m, odd, ok := parseIP(mask)
	if !ok || m.BitLen() != a.ip.BitLen() {
		return address{}, "after an address without /length the next column must be a mask of the same family, as 255.255.255.0"
	}
	return network(a.ip, bitsOf(m), a.odd || odd || m.Zone() != ""), ""
}

// equal reports whether two addresses mean the same. Bits outside the mask do not count, and host names compare without
// regard to case.
func (a *address) equal(b *address) bool {
	if a.kind != b.kind || a.text != b.text || a.ip.Is4() != b.ip.Is4() || a.ip.Zone() != b.ip.Zone() {
		return false
	}
	return a.net == b.net && a.mask == b.mask
}

// parseIP reads a numeric address as getaddrinfo of the C library does that the server uses on Linux: inet_aton for IPv4,
// which takes fewer than four numbers too, octal and hexadecimal ones; those are odd. The zone of an IPv6 address is a number,
// or, for a link-local one, the name of a network device, and every name passes for that.
func parseIP(s string) (ip netip.Addr, odd, ok bool) {
	if s == "" || !isDigit(s[0]) && strings.IndexByte(s, ':') < 0 {
		return ip, false, false // the usual host name
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		ip, ok = parseShorthand(s)
		return ip, true, ok
	}
	if zone := ip.Zone(); zone != "" && !ip.IsLinkLocalUnicast() && !ip.IsLinkLocalMulticast() {
		_, err = strconv.ParseUint(zone, 10, 32)
	}
	return ip, false, err == nil
}

// parseShorthand reads what inet_aton takes: one to four numbers with dots between, the last of which fills all the bytes that
// are left.
func parseShorthand(s string) (netip.Addr, bool) {
	const most = 4
	var whole uint64
	for n := 1; n <= most; n++ {
		part, rest, more := strings.Cut(s, ".")
		width := 8
		if !more {
			width = 8 * (most + 1 - n)
		}
		v, ok := parseCNumber(part)
		if !ok || v >= 1<<width {
			return netip.Addr{}, false
		}
		whole = whole<<width | v
		if !more {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], uint32(whole))
			return netip.AddrFrom4(b), true
		}
		s = rest
	}
	return netip.Addr{}, false
}

// parseCNumber reads an unsigned number as strtoul with base 0 does: 0x before a hexadecimal one, 0 before an octal one.
func parseCNumber(s string) (uint64, bool) {
	base := 10
	switch {
	case len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X"):
		s, base = s[2:], 16
	case len(s) > 1 && s[0] == '0':
		base = 8
	}
	v, err := strconv.ParseUint(s, base, 32)
	return v, err == nil
}

// parseLength reads a prefix length as strtol does: blanks and a sign may stand before it, which is not plain.
func parseLength(s string, most int) (n int, plain, ok bool) {
	plain = s != "" && strings.Trim(s, "0123456789") == ""
	if !plain {
		s = strings.TrimLeft(s, " \t\n\v\f\r")
	}
	n, err := strconv.Atoi(s)
	return n, plain, err == nil && n >= 0 && n <= most
}

// lengthMask returns the mask that a prefix length stands for.
func lengthMask(n, width int) bits128 {
	n += 128 - width
	if n <= 64 {
		return bits128{^uint64(0) << (64 - n), 0}
	}
	return bits128{onesHi, ^uint64(0) << (128 - n)}
}
