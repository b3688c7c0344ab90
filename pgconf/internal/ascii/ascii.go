// Package ascii folds names as PostgreSQL does wherever it must not depend on a locale: only ASCII letters have a case.
package ascii

// Lower returns s with A to Z in lower case and every other byte as it is. It allocates only if there is something to change.
func Lower(s string) string {
	for i := range len(s) {
		if LowerByte(s[i]) != s[i] {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = LowerByte(b[i])
			}
			return string(b)
		}
	}
	return s
}

// LowerByte is Lower for one byte.
func LowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
