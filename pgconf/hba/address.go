package hba

import (
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

type addrKind uint8

const (
	addrKeyword addrKind = iota + 1 // all, samehost, samenet
	addrNetwork                     // address with length
	addrBare                        // address that needs a mask column
	addrHost                        // host name
)

// address is what the address column means.
type address struct {
	kind addrKind
	text string // keyword, or host name in lower case
	ip   netip.Addr
	mask string // the bytes of the mask, as many as the address has
}

// parseAddress reads the address column, or says what is wrong with it. After an error the kind is 0.
func parseAddress(t Token) (a address, problem string) {
	text, quoted := t.decode()
	switch Token(text) {
	case All, SameHost, SameNet:
		if !quoted {
			return address{kind: addrKeyword, text: text}, ""
		}
	}
	host, length, hasLength := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil && isShorthand(host):
		return address{}, "write an IPv4 address as four decimal numbers without leading zeros (10/8 would mean 0.0.0.10/8)"
	case err != nil && hasLength:
		return address{}, "not an IP address, and a host name cannot have a length; for IPv6 write no brackets"
	case err != nil:
		return address{kind: addrHost, text: lowerASCII(text)}, ""
	case !hasLength:
		return address{kind: addrBare, ip: ip}, ""
	}
	n, ok := parseLength(length, ip.BitLen())
	if !ok {
		return address{}, "the number after / must be 0 to " + strconv.Itoa(ip.BitLen())
	}
	return address{kind: addrNetwork, ip: ip, mask: lengthMask(n, ip.BitLen())}, ""
}

// withMask returns the network that a bare address and a mask of the same family make.
func (a address) withMask(mask string) (address, string) {
	m, err := netip.ParseAddr(mask)
	if err != nil || m.Zone() != "" || m.BitLen() != a.ip.BitLen() {
		return address{}, "after an address without /length the next column must be a mask of the same family, as 255.255.255.0"
	}
	return address{kind: addrNetwork, ip: a.ip, mask: string(m.AsSlice())}, ""
}

// equal reports whether two addresses mean the same. Bits outside the mask do not count, and host names compare without
// regard to case.
func (a address) equal(b address) bool {
	if a.kind != b.kind || a.text != b.text || a.mask != b.mask || a.ip.Zone() != b.ip.Zone() {
		return false
	}
	if a.kind != addrNetwork {
		return true
	}
	x, y := a.ip.AsSlice(), b.ip.AsSlice()
	for i := range len(a.mask) {
		if (x[i]^y[i])&a.mask[i] != 0 {
			return false
		}
	}
	return true
}

// parseLength reads a prefix length: decimal digits only, leading zeros allowed.
func parseLength(s string, most int) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= most
}

func lengthMask(n, width int) string {
	m := make([]byte, width/8)
	for i := range m {
		ones := min(max(n-8*i, 0), 8)
		m[i] = bits.Reverse8(byte(1<<ones - 1))
	}
	return string(m)
}

// isShorthand reports whether the C function inet_aton would read s as an IPv4 address although it does not have the
// usual form: fewer than four numbers, octal or hexadecimal ones.
func isShorthand(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return false
	}
	for i, part := range parts {
		width := 8
		if i == len(parts)-1 {
			width = 8 * (5 - len(parts))
		}
		if part == "" || strings.Contains(part, "_") || strings.HasPrefix(strings.ToLower(part), "0b") ||
			strings.HasPrefix(strings.ToLower(part), "0o") {
			return false
		}
		if _, err := strconv.ParseUint(part, 0, width); err != nil {
			return false
		}
	}
	return true
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}
