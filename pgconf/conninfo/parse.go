package conninfo

import (
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Parse reads a connection string: key=value pairs, or a URI that begins with postgresql:// or postgres://. It accepts every
// keyword made of lower-case letters, digits and _, because pgx and others have some of their own; everything else is judged
// as by the libpq of [pgconf.Newest]. A keyword that is given more than once keeps its first place and its last value, which
// is the one libpq uses; see [Info.With] for the two that are read as sslmode.
//
// The error is a [*pgconf.SyntaxError] with the column, and holds no part of s.
func Parse(s string) (Info, error) { return parse(&reader{s: s, major: pgconf.Newest}) }

// ParseFor is Parse with the keywords and rules of the libpq of one major: it accepts exactly what PQconninfoParse does
// there. Whether libpq can use the values is another question, for [Info.Validate].
func ParseFor(major pgconf.Major, s string) (Info, error) {
	return parse(&reader{s: s, major: major, strict: true})
}

// reader reads one string.
type reader struct {
	s      string
	major  pgconf.Major // whose rules count
	strict bool         // refuse keywords that the major does not know
	info   builder
}

func parse(r *reader) (Info, error) {
	err := r.read()
	if err != nil {
		return Info{}, err
	}
	return Info{r.info.pairs}, nil
}

func (r *reader) read() error {
	if i := strings.IndexByte(r.s, 0); i >= 0 {
		return syntaxError(i, "NUL byte; remove it")
	}
	for _, scheme := range []string{"postgresql://", "postgres://"} {
		if strings.HasPrefix(r.s, scheme) && r.major >= pgconf.V9_2 {
			return r.uri(len(scheme))
		}
	}
	if strings.HasPrefix(r.s, jdbcScheme) {
		return syntaxError(0, "this is a URL of pgjdbc, which libpq does not read; ParseJDBC does")
	}
	return r.pairs()
}

// pairs reads the key=value form, as conninfo_parse does.
func (r *reader) pairs() error {
	for i := skipSpace(r.s, 0); i < len(r.s); i = skipSpace(r.s, i) {
		p, end, err := parsePair(r.s, i)
		if err != nil {
			return err
		}
		if err := r.store(p.key, p.value, i); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// store adds a pair whose keyword stands at i.
func (r *reader) store(key, value string, i int) error {
	if !isKeyword(key) {
		return syntaxError(i, "not a keyword; keywords are made of lower-case letters, digits and _")
	}
	if r.strict && !known(key, r.major) && key != "requiressl" {
		return syntaxError(i, "the libpq of PostgreSQL "+r.major.String()+" has no such keyword")
	}
	r.info.set(key, value)
	return nil
}

// builder collects pairs. The index makes it linear; few strings are long enough to need it.
type builder struct {
	pairs []pair
	index map[string]int
}

const indexFrom = 64

// find returns the place of a keyword, -1 if it is not there.
func (b *builder) find(key string) int {
	if len(b.pairs) < indexFrom {
		return Info{b.pairs}.find(key)
	}
	if at, ok := b.index[key]; ok {
		return at
	}
	return -1
}

func (b *builder) set(key, value string) {
	key, value = canonical(key, value)
	if at := b.find(key); at >= 0 {
		b.pairs[at].value = value
		return
	}
	b.pairs = append(b.pairs, pair{key, value})
	if len(b.pairs) == indexFrom {
		b.index = make(map[string]int, 2*indexFrom)
		for i, p := range b.pairs {
			b.index[p.key] = i
		}
	} else if len(b.pairs) > indexFrom {
		b.index[key] = len(b.pairs) - 1
	}
}

// canonical gives the two old ways to ask for TLS their present name. libpq reads requiressl so in both forms of a string, and
// ssl=true, which is pgjdbc's, in URIs.
func canonical(key, value string) (k, v string) {
	switch {
	case key == "requiressl" && strings.HasPrefix(value, "1"), key == "ssl" && value == "true":
		return "sslmode", "require"
	case key == "requiressl":
		return "sslmode", "prefer"
	}
	return key, value
}

// parsePair reads the pair that begins at i, and returns its end.
func parsePair(s string, i int) (pair, int, error) {
	end := i
	for end < len(s) && s[end] != '=' && !isSpace(s[end]) {
		end++
	}
	key := s[i:end]
	eq := skipSpace(s, end)
	if eq == len(s) || s[eq] != '=' {
		return pair{}, 0, syntaxError(i, `no "=" after this word; a value with a blank needs single quotes`)
	}
	value, end, err := parseValue(s, skipSpace(s, eq+1))
	return pair{key, value}, end, err
}

// parseValue reads the value at i. After a quoted value the next pair may begin at once.
func parseValue(s string, i int) (string, int, error) {
	start, quoted := i, i < len(s) && s[i] == '\''
	if quoted {
		i++
	}
	plain := i
	for i < len(s) && s[i] != '\\' && (quoted && s[i] != '\'' || !quoted && !isSpace(s[i])) {
		i++
	}
	b := []byte(nil)
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\'':
			return text(s[plain:i], b), i + 1, nil
		case !quoted && isSpace(c):
			return text(s[plain:i], b), i, nil
		case c == '\\':
			if b == nil {
				b = append(make([]byte, 0, i-plain+16), s[plain:i]...)
			}
			if i++; i < len(s) { // a backslash at the end stands for nothing
				b = append(b, s[i])
			}
		default:
			b = append(b, c)
		}
	}
	if quoted {
		return "", 0, syntaxError(start, `the quote is not closed; write a quote inside a value as \'`)
	}
	return text(s[plain:], b), len(s), nil
}

// text returns what was collected, or the plain text where nothing had to be.
func text(plain string, collected []byte) string {
	if collected == nil {
		return plain
	}
	return string(collected)
}

func skipSpace(s string, i int) int {
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	return i
}

func syntaxError(at int, msg string) error {
	return &pgconf.SyntaxError{File: "connection string", Col: at + 1, Msg: msg}
}
