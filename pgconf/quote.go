package pgconf

import (
	"fmt"
	"strings"
)

// Quote returns value in single quotes, so that the server reads exactly value again. Quotes and backslashes are
// doubled, newline and carriage return are written as \n and \r, all other bytes stand as they are. This form is
// always safe. A value with a NUL byte cannot be written: the error matches [ErrValue].
func Quote(value string) (string, error) {
	if err := checkValue(value); err != nil {
		return "", err
	}
	return quoted(value), nil
}

func checkValue(value string) error {
	if strings.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("%w: it holds a NUL byte, which no configuration file can carry; remove it", ErrValue)
	}
	return nil
}

func quoted(value string) string { return `'` + quoter.Replace(value) + `'` }

var quoter = strings.NewReplacer(`'`, `''`, `\`, `\\`, "\n", `\n`, "\r", `\r`)

// unquote decodes a STRING token, outer quotes included. A decoded NUL ends the value, as it does in the server.
func unquote(tok string) string {
	s := tok[1 : len(tok)-1]
	if strings.IndexByte(s, '\'') < 0 && strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '\'':
			i++ // the second one of the pair
		case '\\':
			var n int
			c, n = unescape(s[i+1:])
			if c == 0 {
				return string(b)
			}
			i += n
		}
		b = append(b, c)
	}
	return string(b)
}

// unescape decodes what follows a backslash, and says how many bytes that took. s is not empty.
func unescape(s string) (c byte, n int) {
	for n < 3 && n < len(s) && '0' <= s[n] && s[n] <= '7' {
		c = c<<3 | (s[n] - '0') // modulo 256, like the server
		n++
	}
	if n > 0 {
		return c, n
	}
	if i := strings.IndexByte("bfnrt", s[0]); i >= 0 {
		return "\b\f\n\r\t"[i], 1
	}
	return s[0], 1
}

// isBare reports whether value may stand without quotes: an identifier of ASCII letters, or a decimal integer with or
// without a unit. The grammar has more bare forms; these are the ones that need no second look.
func isBare(value string) bool {
	if value == "" {
		return false
	}
	if unitLetters.is(value[0]) || value[0] == '_' {
		return span(value, 0, idBytes) == len(value) && strings.IndexFunc(value, notASCII) < 0
	}
	i := 0
	if value[0] == '+' || value[0] == '-' {
		i = 1
	}
	end := span(value, i, digits)
	return end > i && span(value, end, unitLetters) == len(value)
}

func notASCII(r rune) bool { return r >= 0x80 }
