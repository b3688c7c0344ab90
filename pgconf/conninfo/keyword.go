package conninfo

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Keyword is one that the libpq of some major knows. A libpq refuses a string with a keyword that it does not know, and so a
// standby's walreceiver, which uses the libpq of its server, never connects with one in primary_conninfo.
type Keyword struct {
	Name   string
	Since  pgconf.Major // first major; [pgconf.Oldest] for those that are older too
	Until  pgconf.Major // first major that no longer knows it; zero if all do
	Secret bool         // its value is not shown

	standard string            // the value that is as good as none, in the majors of today
	values   []choice          // if only these are possible
	valid    func(string) bool // or what says whether a value is possible; nil for any
}

// choice is a value and the first major that knows it.
type choice struct {
	text  string
	since pgconf.Major
}

// In reports whether the libpq of a major knows the keyword.
func (k Keyword) In(major pgconf.Major) bool {
	return k.Since <= major && (k.Until == 0 || major < k.Until)
}

// Keywords returns the keywords of the libpq of a major, sorted by name. A build may lack krbsrvname and gsslib before 12.
func Keywords(major pgconf.Major) []Keyword {
	var in []Keyword
	for _, k := range keywords {
		if k.In(major) {
			in = append(in, k)
		}
	}
	return in
}

// LookupKeyword returns what is known about a keyword, and whether the libpq of any major knows it.
func LookupKeyword(name string) (Keyword, bool) {
	if at, ok := slices.BinarySearchFunc(keywords, name, func(k Keyword, n string) int { return strings.Compare(k.Name, n) }); ok {
		return keywords[at], true
	}
	return Keyword{}, false
}

func known(name string, major pgconf.Major) bool {
	k, ok := LookupKeyword(name)
	return ok && k.In(major)
}

// accepts reports whether the libpq of a major can use a value of the keyword.
func (k Keyword) accepts(value string, major pgconf.Major) bool {
	if k.valid != nil {
		return k.valid(value)
	}
	return k.values == nil || slices.ContainsFunc(k.values, func(c choice) bool { return c.text == value && c.since <= major })
}

// keywords is PQconninfoOptions of fe-connect.c, sorted, with what conninfo_storeval and connectOptions2 (from 17 on
// pqConnectOptions2) check. The majors from 10 on were compared with their libpq; TestOracleKeywords does it again.
var keywords = []Keyword{
	{Name: "application_name", Since: pgconf.V9_0},
	{Name: "authtype", Since: pgconf.V9_0, Until: 14},
	{Name: "channel_binding", Since: 13, standard: "prefer", values: among("disable", "prefer", "require")},
	{Name: "client_encoding", Since: pgconf.V9_1},
	{Name: "connect_timeout", Since: pgconf.V9_0, standard: "0", valid: isInteger},
	{Name: "dbname", Since: pgconf.V9_0},
	{Name: "fallback_application_name", Since: pgconf.V9_0},
	{Name: "gssdelegation", Since: 16, standard: "0"},
	{Name: "gssencmode", Since: 12, values: among("disable", "prefer", "require")},
	{Name: "gsslib", Since: pgconf.V9_0},
	{Name: "host", Since: pgconf.V9_0},
	{Name: "hostaddr", Since: pgconf.V9_0},
	{Name: "keepalives", Since: pgconf.V9_0, standard: "1", valid: isInteger},
	{Name: "keepalives_count", Since: pgconf.V9_0, standard: "0", valid: isInteger},
	{Name: "keepalives_idle", Since: pgconf.V9_0, standard: "0", valid: isInteger},
	{Name: "keepalives_interval", Since: pgconf.V9_0, standard: "0", valid: isInteger},
	{Name: "krbsrvname", Since: pgconf.V9_0, standard: "postgres"},
	{Name: "load_balance_hosts", Since: 16, standard: "disable", values: among("disable", "random")},
	{Name: "max_protocol_version", Since: 18, standard: "3.0", values: among("3.0", "3.2", "latest")},
	{Name: "min_protocol_version", Since: 18, standard: "3.0", values: among("3.0", "3.2", "latest")},
	{Name: "oauth_client_id", Since: 18},
	{Name: "oauth_client_secret", Since: 18, Secret: true},
	{Name: "oauth_issuer", Since: 18},
	{Name: "oauth_scope", Since: 18},
	{Name: "options", Since: pgconf.V9_0},
	{Name: "passfile", Since: 10},
	{Name: "password", Since: pgconf.V9_0, Secret: true},
	{Name: "port", Since: pgconf.V9_0},
	{Name: "replication", Since: pgconf.V9_0},
	{Name: "require_auth", Since: 16},
	{Name: "requirepeer", Since: pgconf.V9_1},
	{Name: "scram_client_key", Since: 18, Secret: true, valid: isSCRAMKey},
	{Name: "scram_server_key", Since: 18, Secret: true, valid: isSCRAMKey},
	{Name: "service", Since: pgconf.V9_0},
	{Name: "ssl_max_protocol_version", Since: 13, valid: isTLSVersion},
	{Name: "ssl_min_protocol_version", Since: 13, standard: "TLSv1.2", valid: isTLSVersion},
	{Name: "sslcert", Since: pgconf.V9_0},
	{Name: "sslcertmode", Since: 16, standard: "allow", values: among("disable", "allow", "require")},
	{Name: "sslcompression", Since: pgconf.V9_2, standard: "0"},
	{Name: "sslcrl", Since: pgconf.V9_0},
	{Name: "sslcrldir", Since: 14},
	{Name: "sslkey", Since: pgconf.V9_0},
	{Name: "sslkeylogfile", Since: 18},
	{Name: "sslmode", Since: pgconf.V9_0, standard: "prefer", values: among("disable", "allow", "prefer", "require", "verify-ca", "verify-full")},
	{Name: "sslnegotiation", Since: 17, standard: "postgres", values: among("postgres", "direct")},
	{Name: "sslpassword", Since: 13, Secret: true},
	{Name: "sslrootcert", Since: pgconf.V9_0},
	{Name: "sslsni", Since: 14, standard: "1"},
	{Name: "target_session_attrs", Since: 10, standard: "any", values: []choice{
		{string(TargetAny), 10}, {string(TargetReadWrite), 10}, {string(TargetReadOnly), 14}, {string(TargetPrimary), 14},
		{string(TargetStandby), 14}, {string(TargetPreferStandby), 14},
	}},
	{Name: "tcp_user_timeout", Since: 12, standard: "0", valid: isInteger},
	{Name: "tty", Since: pgconf.V9_0, Until: 14},
	{Name: "user", Since: pgconf.V9_0},
}

func among(texts ...string) []choice {
	choices := make([]choice, len(texts))
	for i, t := range texts {
		choices[i] = choice{text: t}
	}
	return choices
}

// isInteger is what parse_int_param of libpq takes, in 12 and later: a decimal int, with blanks around. Before, garbage behind it was
// ignored.
func isInteger(value string) bool {
	_, ok := parseInt(value)
	return ok
}

// tlsVersions are in ascending order. libpq compares them without regard to case; an empty value sets no limit.
var tlsVersions = []string{"", "tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"}

func tlsVersion(value string) int { return slices.Index(tlsVersions, strings.ToLower(value)) }

func isTLSVersion(value string) bool { return tlsVersion(value) >= 0 }

// isSCRAMKey: 32 bytes, the length of a SHA-256 digest, in base64.
func isSCRAMKey(value string) bool {
	key, err := base64.StdEncoding.DecodeString(value)
	return err == nil && len(key) == 32
}
