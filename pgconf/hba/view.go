package hba

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"strconv"

	"github.com/understudy-ha/understudy/pgconf"
)

// Row is a line as the view pg_hba_file_rules or pg_ident_file_mappings shows it: the columns of the major, in order.
type Row []Column

// Column is one value of a [Row]: a string, an int, a []string for an array, or nil for NULL.
type Column struct {
	Name  string
	Value any
}

// Get returns the value of a column, or nil if it is NULL or there is none of that name.
func (r Row) Get(name string) any {
	for _, c := range r {
		if c.Name == name {
			return c.Value
		}
	}
	return nil
}

// MarshalJSON writes an object with the columns in order.
func (r Row) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, c := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(c.Name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := e.Encode(c.Value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// View returns the rows that pg_hba_file_rules (10+; before it, as 10 would show them) has for the file: one for each rule and
// each line that is not valid, with their columns and values, but for the texts of errors, which are those of this package.
// Secrets among the options are hidden; see [Rules.ViewSecrets].
//
// What depends on the server and not on the file is not in it: that ssl is off, that it was built without a method, that a RADIUS
// server is not to be found.
func (rs *Rules) View() []Row { return rs.view(func(o Option) string { return o.String() }) }

// ViewSecrets is View with the secrets, which the server shows.
func (rs *Rules) ViewSecrets() []Row {
	return rs.view(func(o Option) string { return o.Name + "=" + o.Value })
}

// viewFilesSince is the major from which the views show the file.
const viewFilesSince = 16

// beginRow returns the columns that say where an entry stands. The number of its rule is negative for an error.
func beginRow(major pgconf.Major, number string, rule int, file string, line int) Row {
	var row Row
	if major >= viewFilesSince {
		row = append(row, Column{number, nil}, Column{"file_name", file})
		if rule >= 0 {
			row[0].Value = rule + 1
		}
	}
	return append(row, Column{"line_number", line})
}

func (rs *Rules) view(show func(Option) string) []Row {
	rows := make([]Row, len(rs.entries))
	for i, e := range rs.entries {
		row := beginRow(rs.major, "rule_number", e.rule, e.file, e.line)
		if e.rule >= 0 {
			row = append(row, rs.rules[e.rule].columns(rs.major, show)...)
			row = append(row, Column{"error", nil})
		} else {
			row = append(row, Column{"type", nil}, Column{"database", nil}, Column{"user_name", nil}, Column{"address", nil},
				Column{"netmask", nil}, Column{"auth_method", nil}, Column{"options", nil}, Column{"error", e.err})
		}
		rows[i] = row
	}
	return rows
}

// columns returns what follows from the rule, as fill_hba_line in src/backend/utils/adt/hbafuncs.c does.
func (r *Rule) columns(major pgconf.Major, show func(Option) string) []Column {
	address, mask := r.addr.view(r.Address)
	var options any
	if list := r.viewOptions(major, show); len(list) > 0 {
		options = list
	}
	return []Column{
		{"type", string(r.Type)}, {"database", texts(r.Databases)}, {"user_name", texts(r.Users)}, {"address", address},
		{"netmask", mask}, {"auth_method", string(r.Method)}, {"options", options},
	}
}

func texts(tokens []Token) []string {
	all := make([]string, len(tokens))
	for i, t := range tokens {
		all[i] = t.Text()
	}
	return all
}

// view returns address and mask as the server prints them, nil for NULL.
func (a *address) view(written Token) (address, mask any) {
	switch a.kind {
	case addrKeyword:
		return a.text, nil
	case addrHost:
		return written.Text(), nil
	case addrNetwork:
		return printIP(a.ip), printIP(a.mask.ip(a.ip.Is4()))
	}
	return nil, nil
}

// ip is the inverse of bitsOf.
func (b bits128) ip(is4 bool) netip.Addr {
	var bytes [16]byte
	binary.BigEndian.PutUint64(bytes[:8], b.hi)
	binary.BigEndian.PutUint64(bytes[8:], b.lo)
	if is4 {
		return netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return netip.AddrFrom16(bytes)
}

// printIP prints an address as inet_ntop in C does, which has the last 32 bits of an IPv6 address in decimal if there are only
// zeros before and it is not a small number. A zone is left out.
func printIP(ip netip.Addr) string {
	ip = ip.WithZone("")
	b := ip.As16()
	if ip.Is6() && bytes.Equal(b[:12], make([]byte, 12)) && (b[12] != 0 || b[13] != 0) {
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return ip.String()
}

// realmIncludedSince is the major from which include_realm is on by default.
const realmIncludedSince = pgconf.V9_5

// viewOptions returns the options in the order and spelling of gethba_options in hbafuncs.c, which leaves some out.
func (r *Rule) viewOptions(major pgconf.Major, show func(Option) string) []string {
	o, _, _ := r.options(major)
	var list []string
	add := func(name, value string) { list = append(list, show(Option{name, value})) }
	given := func(names ...string) {
		for _, name := range names {
			if value, ok := o.values[name]; ok {
				add(name, value)
			}
		}
	}
	if r.Method == GSS || r.Method == SSPI {
		if value, ok := o.values["include_realm"]; value == "1" || !ok && major >= realmIncludedSince {
			add("include_realm", "true")
		}
		given("krb_realm")
	}
	given("map")
	switch {
	case o.verify == "":
	case major < 12:
		add("clientcert", "true")
	default:
		add("clientcert", o.verify)
	}
	given("pamservice")
	switch r.Method {
	case LDAP:
		given("ldapserver")
		if port := atoi(o.values["ldapport"]); port != 0 {
			add("ldapport", strconv.Itoa(int(port)))
		}
		if major >= ldapFiltersSince {
			given("ldapscheme")
		}
		if o.values["ldaptls"] == "1" {
			add("ldaptls", "true")
		}
		given("ldapprefix", "ldapsuffix", "ldapbasedn", "ldapbinddn", "ldapbindpasswd", "ldapsearchattribute", "ldapsearchfilter")
		if o.scope != scopeBase {
			add("ldapscope", strconv.Itoa(o.scope))
		}
	case RADIUS:
		given("radiusservers", "radiussecrets", "radiusidentifiers", "radiusports")
	case OAuth:
		given("issuer", "scope", "validator")
		if o.values["delegate_ident_mapping"] == "1" {
			add("delegate_ident_mapping", "true")
		}
	}
	return list
}
