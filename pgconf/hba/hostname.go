package hba

import (
	"net/netip"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// hostAnswer is what is known of the name of a client. It is looked up when the first rule with a host name needs it.
type hostAnswer struct {
	asked   bool
	named   truth // whether the address has a name
	name    string
	checked bool
	leads   truth // whether the name has the address
}

// try is check_hostname in hba.c: the address must have a name, the name must match, and lead back to the address.
func (h *hostAnswer) try(pattern string, client netip.Addr, resolver Resolver) truth {
	if resolver == nil {
		return doubt
	}
	if !h.asked {
		h.asked = true
		h.named, h.name = reverse(client, resolver)
	}
	if h.named != yes {
		return h.named
	}
	if !hostMatches(pattern, h.name) {
		return no
	}
	if !h.checked {
		h.checked = true
		h.leads = leadsBack(h.name, client, resolver)
	}
	return h.leads
}

func reverse(client netip.Addr, resolver Resolver) (truth, string) {
	name, err := resolver.Reverse(client)
	if err != nil {
		return doubt, ""
	}
	return truthOf(name != ""), name
}

func leadsBack(name string, client netip.Addr, resolver Resolver) truth {
	addresses, err := resolver.Forward(name)
	if err != nil {
		return doubt
	}
	for _, a := range addresses {
		if splitIP(a.Unmap()) == splitIP(client.Unmap()) {
			return yes
		}
	}
	return no
}

// hostMatches is hostname_match in hba.c. The pattern is in lower case; with a leading dot it is a suffix.
func hostMatches(pattern, name string) bool {
	if strings.HasPrefix(pattern, ".") {
		name = name[max(0, len(name)-len(pattern)):]
	}
	return pattern == ascii.Lower(name)
}
