package hba

import (
	"net/url"
	"strconv"
	"strings"
)

// ldapFiltersSince is the major from which an ldapurl may have a filter and the scheme ldaps.
const ldapFiltersSince = 11

const (
	ldapURLForm  = "it must be like ldap://host:port/basedn?attribute?scope?filter"
	ldapURLScope = "the scope in it must be base, one or sub"
)

// ldapScopes are the scopes by name. subordinates has no name in the server.
var ldapScopes = map[string]int{
	"": scopeBase, "base": scopeBase, "baseobject": scopeBase, "one": scopeOne, "onelevel": scopeOne, "sub": scopeSub, "subtree": scopeSub,
	"subord": scopeSubordinates, "subordinate": scopeSubordinates, "children": scopeSubordinates,
}

// ldapURL takes an ldapurl apart, as ldap_url_parse of OpenLDAP does, into the options that it stands for.
func (o *optionSet) ldapURL(value string) string {
	value, ok := ldapURLInside(value)
	scheme, rest, found := strings.Cut(value, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case !ok || !found || scheme != "ldap" && scheme != "ldaps":
		return "it must begin with ldap:// (or ldaps://, 11+)"
	case scheme == "ldaps" && o.major < ldapFiltersSince:
		return "ldaps:// needs PostgreSQL 11 or later"
	}
	authority, rest, hasDN := strings.Cut(rest, "/")
	host, port, ok := ldapHost(authority, scheme)
	if !ok {
		return ldapURLForm
	}
	o.values["ldapscheme"], o.values["ldapport"], o.scope = scheme, port, scopeBase
	o.put("ldapserver", host)
	if !hasDN {
		return ""
	}
	parts := strings.Split(rest, "?") // basedn, attributes, scope, filter, extensions
	if len(parts) > 5 || len(parts) == 5 && strings.Trim(parts[4], ",") == "" {
		return ldapURLForm
	}
	parts = append(parts, "", "", "", "")
	if o.scope, ok = ldapScopes[strings.ToLower(unescape(parts[2]))]; !ok {
		return ldapURLScope
	}
	if parts[3] != "" && o.major < ldapFiltersSince {
		return "a filter in it needs PostgreSQL 11 or later"
	}
	o.values["ldapbasedn"] = unescape(parts[0])
	attribute, _, _ := strings.Cut(strings.TrimLeft(unescape(parts[1]), ","), ",")
	o.put("ldapsearchattribute", attribute)
	o.put("ldapsearchfilter", unescape(parts[3]))
	return ""
}

// ldapURLInside takes off <> and URL:, which may stand around and before a URL.
func ldapURLInside(s string) (string, bool) {
	if rest, ok := strings.CutPrefix(s, "<"); ok {
		if s, ok = strings.CutSuffix(rest, ">"); !ok {
			return "", false
		}
	}
	if len(s) > 4 && strings.EqualFold(s[:4], "URL:") {
		s = s[4:]
	}
	return s, true
}

// put sets an option unless the value is empty.
func (o *optionSet) put(name, value string) {
	if value != "" {
		o.values[name] = value
	}
}

// unescape decodes %xx. Of a text with a wrong one nothing is left.
func unescape(s string) string {
	s, _ = url.PathUnescape(s)
	return s
}

// ldapHost splits host:port. A ? and what follows it belongs to no part of the URL if there is no / before it.
func ldapHost(s, scheme string) (host, port string, ok bool) {
	s, _, _ = strings.Cut(s, "?")
	if rest, bracket := strings.CutPrefix(s, "["); bracket {
		if host, port, ok = strings.Cut(rest, "]"); !ok || port != "" && port[0] != ':' {
			return "", "", false
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	} else {
		host = s
	}
	host = unescape(host)
	if port != "" {
		n, err := strconv.Atoi(unescape(port[1:]))
		if err != nil || n != 0 {
			return host, strconv.Itoa(n), err == nil
		}
	}
	if scheme == "ldaps" {
		return host, "636", true
	}
	return host, "389", true
}
