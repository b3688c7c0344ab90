package conninfo

import (
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Parse reads a keyword/value string. A keyword that is given more than once keeps its first place and its last value,
// which is the one libpq uses. The error is a [*pgconf.SyntaxError] with the column, and holds no part of s.
func Parse(s string) (Info, error) {
	if strings.HasPrefix(s, "postgresql://") || strings.HasPrefix(s, "postgres://") {
		return Info{}, syntaxError(0, "this is a URI; write it as key=value pairs")
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		return Info{}, syntaxError(i, "NUL byte; remove it")
	}
	var pairs []pair
	index := map[string]int{}
	for i := skipSpace(s, 0); i < len(s); i = skipSpace(s, i) {
		p, end, err := parsePair(s, i)
		if err != nil {
			return Info{}, err
		}
		if at, ok := index[p.key]; ok {
			pairs[at].value = p.value
		} else {
			index[p.key] = len(pairs)
			pairs = append(pairs, p)
		}
		i = end
	}
	return Info{pairs}, nil
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
	if !isKeyword(key) {
		return pair{}, 0, syntaxError(i, "not a keyword; keywords are made of lower-case letters, digits and _")
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
	var b []byte
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\'':
			return string(b), i + 1, nil
		case !quoted && isSpace(c):
			return string(b), i, nil
		case c == '\\':
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
	return string(b), len(s), nil
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
