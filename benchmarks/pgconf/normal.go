package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// normalConf is the form in which readings of a postgresql.conf are compared: the values that win, by name.
func normalConf(settings map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		all = append(all, name+"="+settings[name])
	}
	return strings.Join(all, "; ")
}

// rule is the form in which readings of a pg_hba.conf are compared.
type rule struct {
	kind             string
	databases, users []string
	address, mask    string
	method           string
	options          []string
}

func (r rule) String() string {
	fields := []string{r.kind, strings.Join(r.databases, ","), strings.Join(r.users, ",")}
	if r.kind != "local" {
		fields = append(fields, r.where())
	}
	return strings.Join(append(append(fields, r.method), r.options...), "|")
}

// where writes an address with a mask of whatever form in one way.
func (r rule) where() string {
	if r.mask == "" {
		return r.address
	}
	if mask, err := netip.ParseAddr(r.mask); err == nil {
		ones := 0
		for _, b := range mask.AsSlice() {
			for ; b != 0; b <<= 1 {
				ones++
			}
		}
		return fmt.Sprintf("%s/%d", r.address, ones)
	}
	return r.address + "/" + r.mask
}

func normalHBA(rules []rule) string {
	var all []string
	for _, r := range rules {
		all = append(all, r.String())
	}
	return strings.Join(all, "; ")
}
