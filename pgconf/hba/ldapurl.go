package hba

import (
	"net/url"
	"strconv"
	"strings"
)

// ldapFiltersSince is the major from which an ldapurl may have a filter and the scheme ldaps.
const ldapFiltersSince = 11

// ldapURL takes an ldapurl apart, as ldap_url_parse of OpenLDAP does, into the options that it stands for.
func (o *optionSet) ldapURL(value string) string {
	scheme, rest, ok := strings.Cut(value, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case !ok || scheme != "ldap" && scheme != "ldaps":
		return "it must begin with ldap:// (or ldaps://, 11+)"
	case scheme == "ldaps" && o.major < ldapFiltersSince:
		return "ldaps:// needs PostgreSQL 11 or later"
	}
	const wrong = "it must be like ldap://host:port/basedn?attribute?scope?filter"
	rest, query, _ := strings.Cut(rest, "?")
	host, dn, hasDN := strings.Cut(rest, "/")
	if !hasDN && strings.Contains(value, "?") {
		return wrong
	}
	parts := append(strings.Split(query, "?"), "", "", "")
	host, port, ok := ldapHost(host, scheme)
	if !ok {
		return wrong
	}
	if o.scope, ok = map[string]int{"": scopeBase, "base": scopeBase, "one": scopeOne, "sub": scopeSub}[parts[1]]; !ok {
		return "the scope in it must be base, one or sub"
	}
	if parts[2] != "" && o.major < ldapFiltersSince {
		return "a filter in it needs PostgreSQL 11 or later"
	}
	o.put("ldapserver", host)
	o.values["ldapport"] = port
	o.put("ldapbasedn", dn)
	attribute, _, _ := strings.Cut(parts[0], ",")
	o.put("ldapsearchattribute", attribute)
	o.put("ldapsearchfilter", parts[2])
	return ""
}

// put sets an option to a part of a URL, unless it is empty.
func (o *optionSet) put(name, part string) {
	if text, err := url.PathUnescape(part); err == nil {
		part = text
	}
	if part != "" {
		o.values[name] = part
	}
}

// ldapHost splits host:port.
func ldapHost(s, scheme string) (host, port string, ok bool) {
	host, port, hasPort := s, "", false
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port, hasPort = s[:i], s[i+1:], true
	}
	switch {
	case hasPort:
		n, err := strconv.Atoi(port)
		return host, port, err == nil && n >= 0 && n <= 0xffff
	case scheme == "ldaps":
		return host, "636", true
	}
	return host, "389", true
}
