package conninfo

import (
	"errors"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// ErrKeyword is matched by an [*OptionError] for a keyword that libpq does not know; other such errors are about values.
var ErrKeyword = errors.New("no such keyword")

// OptionError says what is wrong with one keyword of a connection string. It holds no value.
type OptionError struct {
	Keyword string
	Msg     string // what is wrong and how to put it right, lower case
	unknown bool
}

// Error returns "keyword: message".
func (e *OptionError) Error() string { return e.Keyword + ": " + e.Msg }

// Is reports whether target is [ErrKeyword] and this is an error of that kind.
func (e *OptionError) Is(target error) bool { return target == ErrKeyword && e.unknown }

// OptionErrors lists what is wrong, in the order of the connection string. It is never empty when returned as an error.
type OptionErrors []*OptionError

// Error returns all of them, separated by semicolons.
func (es OptionErrors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the single errors, for [errors.As].
func (es OptionErrors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

func (es *OptionErrors) add(e *OptionError) {
	if e != nil {
		*es = append(*es, e)
	}
}

func (es OptionErrors) err() error {
	if len(es) == 0 {
		return nil
	}
	return es
}

// Validate reports what keeps the libpq of a major from using i, before it connects to anything: keywords and values it does not
// know, lists of different lengths, and options that contradict each other (connectOptions2 in fe-connect.c). The error is an
// [OptionErrors]. What depends on the build is not looked at: gssencmode=require where GSSAPI was left out.
func (i Info) Validate(major pgconf.Major) error {
	var errs OptionErrors
	for _, p := range i.pairs {
		if err := p.judge(major); err != nil {
			errs.add(err)
		} else {
			errs.add(i.contradiction(p.key, major))
		}
	}
	return errs.err()
}

// For returns i as the libpq of a major can take it: without the keywords that it does not know, and without those whose value
// it does not know. The error, an [OptionErrors], lists them: read it before use, since what is left may be less strict, or lead
// to another server. Everything else that [Info.Validate] looks at stays as it is.
func (i Info) For(major pgconf.Major) (Info, error) {
	var errs OptionErrors
	var out Info
	for _, p := range i.pairs {
		if err := p.judge(major); err != nil {
			errs.add(err)
		} else {
			out.pairs = append(out.pairs, p)
		}
	}
	return out, errs.err()
}

// judge looks at one keyword and its value alone.
func (p pair) judge(major pgconf.Major) *OptionError {
	k, ok := LookupKeyword(p.key)
	switch {
	case !ok:
		return &OptionError{p.key, "libpq has no such keyword" + didYouMean(p.key), true}
	case !k.In(major):
		return &OptionError{p.key, "the libpq of PostgreSQL " + major.String() + " has no such keyword" + k.lifetime(), true}
	case k.accepts(p.value, major):
		return nil
	}
	msg := "not a value that it can have"
	if k.values != nil {
		msg += "; PostgreSQL " + major.String() + " knows " + k.list(major)
	}
	return &OptionError{Keyword: p.key, Msg: msg}
}

// lifetime says which majors know a keyword.
func (k Keyword) lifetime() string {
	if k.Until > 0 {
		return "; it was removed in " + k.Until.String()
	}
	return "; it is new in " + k.Since.String()
}

// list names the values that a major knows.
func (k Keyword) list(major pgconf.Major) string {
	var known []string
	for _, c := range k.values {
		if c.since <= major {
			known = append(known, c.text)
		}
	}
	return strings.Join(known, ", ")
}

// didYouMean names the keyword that people mean who write another one.
func didYouMean(key string) string {
	meant := map[string]string{
		"database": "dbname", "db": "dbname", "passwd": "password", "pass": "password", "username": "user", "hostname": "host",
		"timeout": "connect_timeout", "ssl": "sslmode", "appname": "application_name", "encoding": "client_encoding",
		"target_session_attr": "target_session_attrs", "load_balance": "load_balance_hosts",
	}[key]
	if meant == "" {
		return ""
	}
	return "; perhaps " + meant + " is meant"
}

// contradiction looks at what a keyword says in view of the others.
func (i Info) contradiction(key string, major pgconf.Major) *OptionError {
	value, _ := i.Get(key)
	switch key {
	case "host", "hostaddr", "port":
		return i.badServers(key, major)
	case "require_auth":
		return badMethods(value, major)
	case "sslnegotiation":
		if mode := mode(i.Get); value == "direct" && slices.Contains([]string{"disable", "allow", "prefer"}, mode) {
			return &OptionError{Keyword: key, Msg: "direct needs sslmode require, verify-ca or verify-full"}
		}
	case "sslrootcert":
		if mode, ok := i.Get("sslmode"); ok && major >= 16 && value == "system" && mode != "verify-full" {
			return &OptionError{Keyword: key, Msg: "system needs sslmode verify-full, or none"}
		}
	case "ssl_max_protocol_version":
		if smallest, ok := i.Get("ssl_min_protocol_version"); value != "" && tlsVersion(value) < tlsVersion(orElse(smallest, ok, "TLSv1.2")) {
			return &OptionError{Keyword: key, Msg: "lower than ssl_min_protocol_version, which is TLSv1.2 if it is not given"}
		}
	case "max_protocol_version":
		if smallest, _ := i.Get("min_protocol_version"); value == "3.0" && smallest != "" && smallest != "3.0" {
			return &OptionError{Keyword: key, Msg: "lower than min_protocol_version"}
		}
	}
	return nil
}

// mode is the sslmode that counts.
func mode(get func(key string) (string, bool)) string {
	mode, ok := get("sslmode")
	if root, _ := get("sslrootcert"); !ok && root == "system" {
		return "verify-full"
	}
	return orElse(mode, ok, "prefer")
}

func orElse(value string, ok bool, other string) string {
	if ok {
		return value
	}
	return other
}

// badServers returns what is wrong with the lists of servers, for the one keyword that is to blame.
func (i Info) badServers(key string, major pgconf.Major) *OptionError {
	if value, _ := i.Get(key); major < 10 && strings.Contains(value, ",") {
		return &OptionError{Keyword: key, Msg: "a list, which libpq knows from 10 on; PostgreSQL " + major.String() + " takes it for one name"}
	}
	if _, err := i.servers(); err != nil && err.Keyword == key {
		return err
	}
	return nil
}

// authMethods are the words of require_auth and the majors that brought them.
var authMethods = map[string]pgconf.Major{
	"none": 16, "password": 16, "md5": 16, "gss": 16, "sspi": 16, "scram-sha-256": 16, "oauth": 18,
}

// badMethods judges the list of require_auth: methods, or methods with "!" before each, none twice.
func badMethods(value string, major pgconf.Major) *OptionError {
	if value == "" {
		return nil
	}
	var seen []string
	for _, m := range strings.Split(value, ",") {
		name, not := strings.CutPrefix(m, "!")
		since, ok := authMethods[name]
		switch {
		case !ok || major < since:
			return &OptionError{Keyword: "require_auth", Msg: "not a list of methods that PostgreSQL " + major.String() + " knows"}
		case not != strings.HasPrefix(value, "!"):
			return &OptionError{Keyword: "require_auth", Msg: `methods with and without "!" do not go together`}
		case slices.Contains(seen, name):
			return &OptionError{Keyword: "require_auth", Msg: "a method stands there twice"}
		}
		seen = append(seen, name)
	}
	return nil
}
