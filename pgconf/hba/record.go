package hba

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// ConnType is the first column of a record: the kind of connection it is about.
type ConnType string

// The kinds of connection.
const (
	Local        ConnType = "local"        // Unix socket
	Host         ConnType = "host"         // TCP, encrypted or not
	HostSSL      ConnType = "hostssl"      // TCP with SSL
	HostNoSSL    ConnType = "hostnossl"    // TCP without SSL
	HostGSSEnc   ConnType = "hostgssenc"   // TCP with GSSAPI encryption, 12+
	HostNoGSSEnc ConnType = "hostnogssenc" // TCP without GSSAPI encryption, 12+
)

// Method is how a client has to prove who it is.
type Method string

// The methods. Some are there only if the server was built with them.
const (
	Trust       Method = "trust"
	Reject      Method = "reject"
	ScramSHA256 Method = "scram-sha-256" // 10+
	MD5         Method = "md5"           // 10+: also SCRAM, for a role whose password is stored so
	Password    Method = "password"
	KRB5        Method = "krb5"  // to 9.3; not for Local
	GSS         Method = "gss"   // not for Local
	SSPI        Method = "sspi"  // Windows
	Ident       Method = "ident" // 9.1+: the same as peer for Local
	Peer        Method = "peer"  // 9.1+; only for Local
	PAM         Method = "pam"
	BSD         Method = "bsd" // 9.6+; OpenBSD
	LDAP        Method = "ldap"
	RADIUS      Method = "radius"
	Cert        Method = "cert"  // only for HostSSL
	OAuth       Method = "oauth" // 18+
)

// Option is a name=value after the method. Its String and every other printed form hide the value of a secret.
type Option struct{ Name, Value string }

// Record is one line of pg_hba.conf that lets connections in or keeps them out.
type Record struct {
	Type      ConnType
	Databases []Token // at least one; the column matches if one of them does
	Users     []Token // at least one
	Address   Token   // All, SameHost, SameNet, CIDR, Name of a host, or an address that Mask goes with; empty for Local
	Mask      string  // in the old form of address and mask, else empty
	Method    Method
	Options   []Option // in order; the last one of a name counts
	Line      int      // number of its first line in the file, from 1, as in pg_hba_file_rules; ignored by Append
}

// Text returns the record as a line of the file, without line end, secrets included. Columns are aligned as in the
// file that initdb writes. The text is worth something only if [Record.Validate] finds nothing wrong.
func (r Record) Text() string {
	return r.render(func(o Option) string { return o.Name + "=" + o.Value })
}

// String returns Text with ******** for secret options.
func (r Record) String() string { return r.render(Option.String) }

// GoString returns String, for %#v.
func (r Record) GoString() string { return r.String() }

// Format writes String, whatever the verb and flags are.
func (r Record) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, r.String()) }

// LogValue returns String, for log/slog.
func (r Record) LogValue() slog.Value { return slog.StringValue(r.String()) }

func (r Record) render(option func(Option) string) string {
	columns := []string{
		fmt.Sprintf("%-7s", string(r.Type)), fmt.Sprintf("%-15s", list(r.Databases)), fmt.Sprintf("%-15s", list(r.Users)),
	}
	address := string(r.Address)
	if r.Mask != "" {
		address += " " + string(Name(r.Mask))
	}
	columns = append(columns, fmt.Sprintf("%-23s", address), string(r.Method))
	for _, o := range r.Options {
		columns = append(columns, string(Name(option(o))))
	}
	return strings.Join(columns, " ")
}

func list(tokens []Token) string {
	s := make([]string, len(tokens))
	for i, t := range tokens {
		s[i] = string(t)
	}
	return strings.Join(s, ",")
}

func (r Record) clone() Record {
	r.Databases, r.Users, r.Options = slices.Clone(r.Databases), slices.Clone(r.Users), slices.Clone(r.Options)
	return r
}

const redacted = "********"

// String returns name=value, with ******** for the value of a secret.
func (o Option) String() string {
	if o.isSecret() {
		return o.Name + "=" + redacted
	}
	return o.Name + "=" + o.Value
}

// secretOptions hold passwords. One that another begins with comes behind it.
var secretOptions = []string{"ldapbindpasswd", "radiussecrets", "radiussecret"}

func (o Option) isSecret() bool {
	return slices.Contains(secretOptions, o.Name)
}

// GoString returns String, for %#v.
func (o Option) GoString() string { return o.String() }

// Format writes String, whatever the verb and flags are.
func (o Option) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, o.String()) }

// LogValue returns String, for log/slog.
func (o Option) LogValue() slog.Value { return slog.StringValue(o.String()) }

// MarshalText returns String, for encoders such as encoding/json.
func (o Option) MarshalText() ([]byte, error) { return []byte(o.String()), nil }
