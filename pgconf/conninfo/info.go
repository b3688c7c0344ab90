package conninfo

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// Info is a list of keywords and values in the order they were given. The zero value is empty and ready to use. An Info
// never changes: [Info.With] and [Info.Without] return copies. It is safe for concurrent use.
type Info struct {
	pairs []pair // every keyword once
}

type pair struct{ key, value string }

// Get returns the value of a keyword, as libpq would use it, and whether the keyword is there. The value may be a secret.
func (i Info) Get(key string) (string, bool) {
	if at := i.find(key); at >= 0 {
		return i.pairs[at].value, true
	}
	return "", false
}

// Keys returns the keywords in order.
func (i Info) Keys() []string {
	keys := make([]string, len(i.pairs))
	for n, p := range i.pairs {
		keys[n] = p.key
	}
	return keys
}

// With returns a copy in which key has value: in the old one's place if there is one, else at the end. As libpq does, it takes
// requiressl for sslmode (require if the value begins with 1, else prefer), and ssl=true for sslmode=require.
//
// Keywords are words of a program, not input: With panics if key is not made of lower-case ASCII letters, digits and _,
// as every keyword of libpq is. Any value without a NUL byte can be read back by libpq.
func (i Info) With(key, value string) Info {
	if !isKeyword(key) {
		panic(fmt.Sprintf("conninfo: %q is not a keyword: lower-case letters, digits and _ only", key))
	}
	key, value = canonical(key, value)
	pairs := slices.Clone(i.pairs)
	if at := i.find(key); at >= 0 {
		pairs[at].value = value
		return Info{pairs}
	}
	return Info{append(pairs, pair{key, value})}
}

// Without returns a copy that lacks key.
func (i Info) Without(key string) Info {
	return Info{slices.DeleteFunc(slices.Clone(i.pairs), func(p pair) bool { return p.key == key })}
}

// Equal reports whether both have the same keywords and values, in whatever order. [Info.Same] looks at what they mean.
func (i Info) Equal(o Info) bool {
	if len(i.pairs) != len(o.pairs) {
		return false
	}
	get := o.getter()
	for _, p := range i.pairs {
		if v, ok := get(p.key); !ok || v != p.value {
			return false
		}
	}
	return true
}

// getter returns Get, or the like for many calls on many pairs.
func (i Info) getter() func(key string) (string, bool) {
	if len(i.pairs) < indexFrom {
		return i.Get
	}
	values := make(map[string]string, len(i.pairs))
	for _, p := range i.pairs {
		values[p.key] = p.value
	}
	return func(key string) (string, bool) {
		value, ok := values[key]
		return value, ok
	}
}

// Redacted returns a copy with ******** for the value of each secret, to be shown in another form: i.Redacted().URI().
func (i Info) Redacted() Info {
	pairs := slices.Clone(i.pairs)
	for n, p := range pairs {
		pairs[n].value = p.shown()
	}
	return Info{pairs}
}

// Text returns the whole string as libpq reads it, secrets included: key=value, one blank between, a value in single
// quotes only where it must be. It is meant for files and for libpq; [Info.String] is meant for people. [Info.URI] and
// [Info.JDBC] are the other forms.
func (i Info) Text() string { return i.render(func(p pair) string { return p.value }) }

// String returns what Text does, with ******** for the value of each secret.
func (i Info) String() string { return i.render(pair.shown) }

// GoString returns String, for %#v.
func (i Info) GoString() string { return i.String() }

// Format writes String, whatever the verb and flags are.
func (i Info) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, i.String()) }

// LogValue returns String, for log/slog.
func (i Info) LogValue() slog.Value { return slog.StringValue(i.String()) }

// MarshalText returns String, for encoders such as encoding/json. There is no way back: the secrets are not in it.
func (i Info) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

func (i Info) find(key string) int {
	return slices.IndexFunc(i.pairs, func(p pair) bool { return p.key == key })
}

func (i Info) render(value func(pair) string) string {
	var b strings.Builder
	for n, p := range i.pairs {
		if n > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.key)
		b.WriteByte('=')
		b.WriteString(quote(value(p)))
	}
	return b.String()
}

// redacted stands for a secret. PostgreSQL shows the same in pg_stat_wal_receiver.
const redacted = "********"

func (p pair) shown() string {
	if p.value != "" && (isSecret(p.key) || p.misread()) {
		return redacted
	}
	return p.value
}

// misread reports whether the value may be the rest of a password: libpq ends that of a URI at the first @, and takes user:password
// for host:port if there is a / before the @.
func (p pair) misread() bool {
	switch p.key {
	case "port":
		return strings.Trim(p.value, "0123456789, \t\n\v\f\r+-") != ""
	case "host":
		return slices.ContainsFunc(strings.Split(p.value, ","), func(host string) bool {
			return strings.Contains(host, "@") && host[0] != '@' && host[0] != '/' // those are sockets
		})
	case "dbname":
		return strings.Contains(p.value, "@")
	}
	return false
}

// isSecret names the keywords that libpq itself hides (dispchar "*" in fe-connect.c), the SCRAM keys, and whatever else sounds
// like a secret, since Parse takes unknown keywords.
func isSecret(key string) bool {
	if k, ok := LookupKeyword(key); ok {
		return k.Secret
	}
	return strings.Contains(key, "pass") || strings.Contains(key, "secret") || strings.HasSuffix(key, "_key")
}

func isKeyword(key string) bool {
	for i := range len(key) {
		c := key[i]
		if c != '_' && (c < 'a' || 'z' < c) && (i == 0 || c < '0' || '9' < c) {
			return false
		}
	}
	return key != ""
}

// quote writes a value so that libpq reads it back. Bytes from 0x80 are quoted too, since in some locales isspace()
// is true for some of them.
func quote(value string) string {
	plain := func(c byte) bool { return !isSpace(c) && c != '\'' && c != '\\' && c < 0x80 }
	i := 0
	for i < len(value) && plain(value[i]) {
		i++
	}
	if value != "" && i == len(value) {
		return value
	}
	return `'` + escaper.Replace(value) + `'`
}

var escaper = strings.NewReplacer(`'`, `\'`, `\`, `\\`)

// isSpace is isspace() in the C locale.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
