package hba

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrRecord is matched by the error for a record that cannot be written.
var ErrRecord = errors.New("not a pg_hba record")

// Validate is ValidateFor by the rules of [Newest].
func (r Record) Validate() error { return r.ValidateFor(Newest) }

// ValidateFor returns nil if a server of the major, 10 or later, reads from the text of the record what the record says.
// Otherwise the error matches [ErrRecord] and names the column.
//
// Beyond what the server refuses, it refuses a quoted token that begins with /, from 16 on: that is a regular expression
// to the server although [Name] made it a name. Write Token("/…") for a regular expression.
func (r Record) ValidateFor(major int) error {
	for _, problem := range []func(int) string{
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

func (r Record) checkType(major int) string {
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

// oauthSince is the major from which the method oauth exists.
const oauthSince = 18

var methods = []Method{
	Trust, Reject, ScramSHA256, MD5, Password, GSS, SSPI, Ident, Peer, PAM, BSD, LDAP, RADIUS, Cert, OAuth,
}

func (r Record) checkMethod(major int) string {
	switch {
	case !slices.Contains(methods, r.Method):
		return "unknown method; the usual one is scram-sha-256, in lower case"
	case r.Method == OAuth && major < oauthSince:
		return fmt.Sprintf("method %s needs PostgreSQL %d or later", r.Method, oauthSince)
	case r.Method == GSS && r.Type == Local:
		return "method gss cannot be used with connection type local"
	case r.Method == Peer && r.Type != Local:
		return "method peer can be used with connection type local only"
	case r.Method == Cert && r.Type != HostSSL:
		return "method cert can be used with connection type hostssl only"
	}
	return ""
}

func (r Record) checkDatabases(major int) string { return checkTokens("database", r.Databases, major) }
func (r Record) checkUsers(major int) string     { return checkTokens("user", r.Users, major) }

func checkTokens(what string, tokens []Token, major int) string {
	if len(tokens) == 0 {
		return "no " + what + "; write All for every one"
	}
	for _, t := range tokens {
		if !t.isOne() {
			return fmt.Sprintf("%s %q is not one token; make it with Name", what, string(t))
		}
		text, quoted := t.decode()
		regex := strings.HasPrefix(text, "/")
		switch {
		case regex && quoted && major >= regexSince:
			return fmt.Sprintf("%s %q begins with /, which makes it a regular expression; no name like that can be written", what, text)
		case regex && !quoted && major < regexSince:
			return fmt.Sprintf("%s %q: regular expressions need PostgreSQL %d or later", what, text, regexSince)
		}
	}
	return ""
}

func (r Record) checkAddress(int) string {
	if r.Type == Local {
		if r.Address != "" || r.Mask != "" {
			return "address: connection type local takes none"
		}
		return ""
	}
	if r.Address == "" {
		return "no address; write All for every one"
	}
	if !r.Address.isOne() || isFileRef(r.Address.decode()) {
		return fmt.Sprintf("address %q is not one address; make it with CIDR or Name", string(r.Address))
	}
	_, problem := r.address()
	if problem != "" {
		return fmt.Sprintf("address %q: %s", r.Address.Text(), problem)
	}
	return ""
}

// address returns what address and mask mean together, or what is wrong with them.
func (r Record) address() (address, string) {
	if r.Type == Local {
		return address{}, ""
	}
	a, problem := parseAddress(r.Address)
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

func (r Record) checkOptions(int) string {
	for _, o := range r.Options {
		if o.Name == "" || strings.Contains(o.Name, "=") || strings.HasPrefix(o.Name, "@") {
			return fmt.Sprintf("option name %q: it must not be empty, hold = or begin with @", o.Name)
		}
		if strings.ContainsAny(o.Name+o.Value, "\x00\n") {
			return fmt.Sprintf("option %q holds a line break or a NUL byte", o.Name)
		}
	}
	return ""
}

// checkText looks at the rendered line for what is too long.
func (r Record) checkText(major int) string {
	text := r.Text()
	if err := checkLength(text, len(text)+len("\r\n"), major); err != nil {
		return err.msg
	}
	return ""
}
