package hba

import (
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// ErrRecord is matched by the error for a record that cannot be written.
var ErrRecord = errors.New("not a pg_hba record")

// Validate is ValidateFor by the rules of [pgconf.Newest].
func (r Record) Validate() error { return r.ValidateFor(pgconf.Newest) }

// ValidateFor returns nil if a server of the major reads from the text of the record what the record says.
// Otherwise the error matches [ErrRecord] and names the column.
//
// Beyond what the server refuses, it refuses a quoted token that begins with /, from 16 on: that is a regular expression
// to the server although [Name] made it a name. Write Token("/…") for a regular expression.
func (r Record) ValidateFor(major pgconf.Major) error {
	for _, problem := range []func(pgconf.Major) string{
		r.checkType, r.checkDatabases, r.checkUsers, r.checkAddress, r.checkMethod, r.checkOptions, r.checkText,
	} {
		if msg := problem(major); msg != "" {
			return fmt.Errorf("%w: %s", ErrRecord, msg)
		}
	}
	return nil
}

// gssEncSince is the major from which hostgssenc and hostnogssenc exist.
const gssEncSince = 12

func (r Record) checkType(major pgconf.Major) string {
	switch r.Type {
	case Local, Host, HostSSL, HostNoSSL:
		return ""
	case HostGSSEnc, HostNoGSSEnc:
		if major < gssEncSince {
			return fmt.Sprintf("connection type %s needs PostgreSQL %d or later", r.Type, gssEncSince)
		}
		return ""
	case "include", "include_if_exists", "include_dir":
		return "an include line has exactly two columns, from PostgreSQL 16 on"
	}
	return "unknown connection type; it is local, host, hostssl, hostnossl, hostgssenc or hostnogssenc, in lower case"
}

// methods says which majors know a method.
var methods = map[Method]struct{ since, until pgconf.Major }{
	Trust: {}, Reject: {}, MD5: {}, Password: {}, GSS: {}, SSPI: {}, Ident: {}, PAM: {}, LDAP: {}, RADIUS: {}, Cert: {},
	KRB5: {until: pgconf.V9_3}, Peer: {since: pgconf.V9_1}, BSD: {since: pgconf.V9_6}, ScramSHA256: {since: 10}, OAuth: {since: 18},
}

func (r Record) checkMethod(major pgconf.Major) string {
	known, ok := methods[r.Method]
	switch {
	case !ok:
		return "unknown method; the usual one is scram-sha-256, in lower case"
	case major < known.since:
		return fmt.Sprintf("method %s needs PostgreSQL %s or later", r.Method, known.since)
	case known.until != 0 && major > known.until:
		return fmt.Sprintf("PostgreSQL %s was the last one with method %s", known.until, r.Method)
	case (r.Method == GSS || r.Method == KRB5) && r.Type == Local:
		return fmt.Sprintf("method %s cannot be used with connection type local", r.Method)
	case r.Method == Peer && r.Type != Local:
		return "method peer can be used with connection type local only"
	case r.Method == Cert && r.Type != HostSSL:
		return "method cert can be used with connection type hostssl only"
	}
	return ""
}

func (r Record) checkDatabases(major pgconf.Major) string {
	return checkTokens("database", r.Databases, major)
}
func (r Record) checkUsers(major pgconf.Major) string { return checkTokens("user", r.Users, major) }

func checkTokens(what string, tokens []Token, major pgconf.Major) string {
	if len(tokens) == 0 {
		return "no " + what + "; write All for every one"
	}
	for _, t := range tokens {
		if !t.isOne() {
			return fmt.Sprintf("%s %q is not one token; make it with Name", what, string(t))
		}
		w := t.word()
		text, quoted := w.text, w.quoted
		regex := strings.HasPrefix(text, "/")
		switch {
		case major < pgconf.V9_2 && quoted && what == "user" && strings.HasPrefix(text, "+"):
			return fmt.Sprintf("%s %q begins with +, which makes it a group before PostgreSQL 9.2; no name like that can be written", what, text)
		case regex && quoted && major >= regexSince:
			return fmt.Sprintf("%s %q begins with /, which makes it a regular expression; no name like that can be written", what, text)
		case regex && !quoted && major < regexSince:
			return fmt.Sprintf("%s %q: regular expressions need PostgreSQL %d or later", what, text, regexSince)
		}
	}
	return ""
}

func (r Record) checkAddress(major pgconf.Major) string {
	if r.Type == Local {
		if r.Address != "" || r.Mask != "" {
			return "address: connection type local takes none"
		}
		return ""
	}
	if r.Address == "" {
		return "no address; write All for every one"
	}
	if w := r.Address.word(); !r.Address.isOne() || w.isFileRef() {
		return fmt.Sprintf("address %q is not one address; make it with CIDR or Name", string(r.Address))
	}
	a, problem := r.address(major)
	if problem == "" && a.odd {
		problem = "write an IPv4 address as four decimal numbers without leading zeros, and a length in digits (10/8 would mean 0.0.0.10/8)"
	}
	if problem != "" {
		return fmt.Sprintf("address %q: %s", r.Address.Text(), problem)
	}
	return ""
}

// address returns what address and mask mean together, or what is wrong with them.
func (r Record) address(major pgconf.Major) (address, string) {
	if r.Type == Local {
		return address{}, ""
	}
	w := r.Address.word()
	a, problem := parseAddress(w.text, !w.isBare(major), major)
	switch {
	case problem != "":
		return address{}, problem
	case a.kind == addrBare:
		return a.withMask(r.Mask)
	case r.Mask != "":
		return address{}, "a mask goes with an IP address without /length only"
	}
	return a, ""
}

func (r Record) checkOptions(major pgconf.Major) string {
	for _, o := range r.Options {
		if o.Name == "" || strings.Contains(o.Name, "=") || strings.HasPrefix(o.Name, "@") {
			return fmt.Sprintf("option name %q: it must not be empty, hold = or begin with @", o.Name)
		}
		if strings.ContainsAny(o.Name+o.Value, "\x00\n") {
			return fmt.Sprintf("option %q holds a line break or a NUL byte", o.Name)
		}
	}
	_, _, problem := r.options(major)
	return problem
}

// checkText looks at the rendered line for what is too long.
func (r Record) checkText(major pgconf.Major) string {
	l := logicalLine{text: r.Text()}
	l.size = len(l.text) + len("\r\n")
	if err := splitLine(&l, major, &columns{}, nil); err != nil {
		return err.msg
	}
	return ""
}
