package hba

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// optionRule says who takes an option, as parse_hba_auth_opt in hba.c does.
type optionRule struct {
	methods      []Method // none: all
	ssl          bool     // only for hostssl
	since, until pgconf.Major
	check        func(o *optionSet, value string) (problem string) // nil: any value will do
}

var (
	ldapOnly   = []Method{LDAP}
	radiusOnly = []Method{RADIUS}
	oauthOnly  = []Method{OAuth}
	realmOnly  = []Method{GSS, SSPI, KRB5}
)

// optionRules are the options by name. A method that a major does not know does no harm here, since its line is refused before.
var optionRules = map[string]optionRule{
	"map":              {methods: []Method{Ident, Peer, GSS, SSPI, Cert, KRB5, OAuth}},
	"clientcert":       {ssl: true, check: (*optionSet).clientCert},
	"clientname":       {ssl: true, since: 14, check: oneOf("CN", "DN")},
	"pamservice":       {methods: []Method{PAM}},
	"pam_use_hostname": {methods: []Method{PAM}, since: pgconf.V9_6},

	"ldapserver": {methods: ldapOnly}, "ldapport": {methods: ldapOnly, check: portNumber}, "ldaptls": {methods: ldapOnly},
	"ldapprefix": {methods: ldapOnly}, "ldapsuffix": {methods: ldapOnly}, "ldapbasedn": {methods: ldapOnly},
	"ldapbinddn": {methods: ldapOnly}, "ldapbindpasswd": {methods: ldapOnly}, "ldapsearchattribute": {methods: ldapOnly},
	"ldapurl":          {methods: ldapOnly, since: pgconf.V9_3, check: (*optionSet).ldapURL},
	"ldapscheme":       {methods: ldapOnly, since: 11},
	"ldapsearchfilter": {methods: ldapOnly, since: 11},

	"include_realm": {methods: realmOnly}, "krb_realm": {methods: realmOnly},
	"krb_server_hostname": {methods: []Method{KRB5}},
	"compat_realm":        {methods: []Method{SSPI}, since: pgconf.V9_6}, "upn_username": {methods: []Method{SSPI}, since: pgconf.V9_6},

	"radiusserver": {methods: radiusOnly, until: pgconf.V9_6}, "radiussecret": {methods: radiusOnly, until: pgconf.V9_6},
	"radiusport":       {methods: radiusOnly, until: pgconf.V9_6, check: portNumber},
	"radiusidentifier": {methods: radiusOnly, until: pgconf.V9_6},
	"radiusservers":    {methods: radiusOnly, since: 10, check: isList}, "radiussecrets": {methods: radiusOnly, since: 10, check: isList},
	"radiusports":       {methods: radiusOnly, since: 10, check: portNumbers},
	"radiusidentifiers": {methods: radiusOnly, since: 10, check: isList},

	"issuer": {methods: oauthOnly}, "scope": {methods: oauthOnly}, "validator": {methods: oauthOnly},
	"delegate_ident_mapping": {methods: oauthOnly},
}

// optionSet is what the options of a record amount to.
type optionSet struct {
	kind   ConnType
	method Method
	major  pgconf.Major
	values map[string]string // the last one of each name, what an ldapurl stands for in its place
	scope  int               // of a search in LDAP, by its number
	verify string            // client certificate: empty, verify-ca or verify-full
}

// The scopes of a search in LDAP.
const (
	scopeBase = iota
	scopeOne
	scopeSub
	scopeSubordinates
)

// needsOptions reports whether a record of the method is not valid without options.
func needsOptions(m Method) bool { return m == LDAP || m == RADIUS || m == OAuth }

// options returns what the options of a record amount to, and the first problem with the index of the option, which is -1 if
// one is missing or some do not go together.
func (r *Record) options(major pgconf.Major) (o optionSet, bad int, problem string) {
	o = optionSet{kind: r.Type, method: r.Method, major: major}
	if len(r.Options) > 0 {
		o.values = make(map[string]string, len(r.Options))
	}
	for i, option := range r.Options {
		if problem := o.add(option); problem != "" {
			return o, i, problem
		}
	}
	if r.Method == Cert {
		o.verify = "verify-full"
	}
	problem = o.whole()
	return o, -1, problem
}

// add takes one option. The text of a bad value is not shown, since it may be a secret.
func (o *optionSet) add(option Option) string {
	name, value := option.Name, option.Value
	rule, known := optionRules[name]
	switch {
	case !known:
		return "there is no such option; " + optionsOf(o.method, o.kind, o.major)
	case o.major < rule.since:
		return fmt.Sprintf("option %s needs PostgreSQL %s or later", name, rule.since)
	case rule.until != 0 && o.major > rule.until:
		return fmt.Sprintf("option %s is not known after PostgreSQL %s", name, rule.until)
	case len(rule.methods) > 0 && !slices.Contains(rule.methods, o.method):
		return fmt.Sprintf("method %s does not take option %s", o.method, name)
	case rule.ssl && o.kind != HostSSL:
		return fmt.Sprintf("option %s can be used with connection type hostssl only", name)
	}
	o.scope = scopeSub // each option sets the default again, behind a ldapurl too
	if rule.check != nil {
		if problem := rule.check(o, value); problem != "" {
			return "option " + name + ": " + problem
		}
	}
	o.values[name] = value
	return ""
}

// optionsOf names the options that a method takes.
func optionsOf(method Method, kind ConnType, major pgconf.Major) string {
	var names []string
	for name, rule := range optionRules {
		if major >= rule.since && (rule.until == 0 || major <= rule.until) && (!rule.ssl || kind == HostSSL) &&
			(len(rule.methods) == 0 || slices.Contains(rule.methods, method)) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf("method %s takes none", method)
	}
	slices.Sort(names)
	return fmt.Sprintf("method %s takes %s", method, strings.Join(names, ", "))
}

func (o *optionSet) has(name string) bool { _, ok := o.values[name]; return ok }

// whole looks at what options are missing and which do not go together, as the end of parse_hba_line does.
func (o *optionSet) whole() string {
	switch o.method {
	case LDAP:
		return o.wholeLDAP()
	case RADIUS:
		return o.wholeRADIUS()
	case OAuth:
		switch {
		case !o.has("issuer") || !o.has("scope"):
			return "method oauth needs the options issuer and scope"
		case o.values["delegate_ident_mapping"] == "1" && o.has("map"):
			return "map does not go together with delegate_ident_mapping=1"
		}
	}
	return ""
}

// ldapServerUntil is the last major that cannot find a server in LDAP by itself.
const ldapServerUntil = 11

func (o *optionSet) wholeLDAP() string {
	bind := o.has("ldapprefix") || o.has("ldapsuffix")
	search := o.has("ldapbasedn") || o.has("ldapbinddn") || o.has("ldapbindpasswd") || o.has("ldapsearchattribute") || o.has("ldapsearchfilter")
	switch {
	case o.major <= ldapServerUntil && !o.has("ldapserver"):
		return "method ldap needs the option ldapserver"
	case bind && search:
		return "ldapprefix and ldapsuffix do not go together with options for a search: " +
			"ldapbasedn, ldapbinddn, ldapbindpasswd, ldapsearchattribute, ldapsearchfilter, ldapurl"
	case !bind && !o.has("ldapbasedn"):
		return "method ldap needs the option ldapbasedn, ldapprefix or ldapsuffix"
	case o.has("ldapsearchattribute") && o.has("ldapsearchfilter"):
		return "ldapsearchattribute does not go together with ldapsearchfilter"
	}
	return ""
}

// radiusListsSince is the major from which several RADIUS servers can be named.
const radiusListsSince = 10

func (o *optionSet) wholeRADIUS() string {
	if o.major < radiusListsSince {
		if !o.has("radiusserver") || !o.has("radiussecret") {
			return "method radius needs the options radiusserver and radiussecret"
		}
		return ""
	}
	servers, secrets := o.count("radiusservers"), o.count("radiussecrets")
	if servers == 0 || secrets == 0 {
		return "method radius needs the options radiusservers and radiussecrets"
	}
	for _, name := range []string{"radiussecrets", "radiusports", "radiusidentifiers"} {
		if n := o.count(name); n > 1 && n != servers {
			return fmt.Sprintf("there must be one value in %s, or as many as in radiusservers", name)
		}
	}
	return ""
}

// count returns how many values a list has.
func (o *optionSet) count(name string) int {
	values, _ := splitList(o.values[name])
	return len(values)
}

// clientCert follows what the values mean by major.
func (o *optionSet) clientCert(value string) string {
	verify := ""
	switch {
	case value == "verify-full" && o.major >= 12:
		verify = value
	case value == "verify-ca" && o.major >= 12, value == "1" && o.major < 14:
		verify = "verify-ca"
	case o.major < 12, (value == "0" || value == "no-verify") && o.major < 14:
	case o.major < 14:
		return "it must be verify-ca, verify-full or no-verify"
	default:
		return "it must be verify-ca or verify-full"
	}
	if o.method == Cert && (verify == "" || verify != "verify-full" && o.major >= 14) {
		return "method cert always verifies the whole certificate; leave the option out"
	}
	o.verify = verify
	return ""
}

func oneOf(values ...string) func(*optionSet, string) string {
	return func(_ *optionSet, value string) string {
		if !slices.Contains(values, value) {
			return "it must be " + strings.Join(values, " or ")
		}
		return ""
	}
}

func portNumber(_ *optionSet, value string) string {
	if atoi(value) == 0 {
		return "it must be the number of a port"
	}
	return ""
}

func isList(_ *optionSet, value string) string {
	if _, ok := splitList(value); !ok {
		return "it must be a list with commas between; put the whole option in double quotes"
	}
	return ""
}

func portNumbers(o *optionSet, value string) string {
	ports, _ := splitList(value)
	for _, port := range ports {
		if atoi(port) == 0 {
			return "it must be a list of port numbers"
		}
	}
	return isList(o, value)
}

// atoi reads a number as the function of that name in C does: what follows the digits does not count.
func atoi(s string) int32 {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	end := 0
	for end < len(s) && (isDigit(s[end]) || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, _ := strconv.ParseInt(s[:end], 10, 64) // too big a number becomes the biggest
	return int32(n)
}

// splitList reads a list as SplitGUCList in the server does: commas between, blanks around, double quotes if need be.
func splitList(s string) (values []string, ok bool) {
	const blanks = " \t\n\r\f\v"
	s = strings.TrimLeft(s, blanks)
	if s == "" {
		return nil, true
	}
	for {
		var value string
		if strings.HasPrefix(s, `"`) {
			if value, s, ok = cutQuoted(s[1:]); !ok {
				return nil, false
			}
		} else {
			end := strings.IndexAny(s, ","+blanks)
			if end < 0 {
				end = len(s)
			}
			if end == 0 {
				return nil, false
			}
			value, s = s[:end], s[end:]
		}
		values = append(values, value)
		s = strings.TrimLeft(s, blanks)
		if s == "" {
			return values, true
		}
		if s[0] != ',' {
			return nil, false
		}
		s = strings.TrimLeft(s[1:], blanks)
	}
}

// cutQuoted returns what stands before the closing quote, two quotes being one, and what comes after it.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `"`)
		if !found {
			return "", "", false
		}
		b.WriteString(before)
		if !strings.HasPrefix(after, `"`) {
			return b.String(), after, true
		}
		b.WriteByte('"')
		s = after[1:]
	}
}
