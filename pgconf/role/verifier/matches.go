package verifier

import (
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// maxIterations bounds the time that Matches takes, to some seconds.
const maxIterations = 10_000_000

// Matches reports whether stored, what pg_authid.rolpassword holds for the role, is a verifier of the password, with its own salt and
// number of iterations. What is no verifier, or one of more than ten million iterations, matches no password.
func Matches(stored, role, password string) bool {
	want, err := MD5(password, role)
	if iterations, salt, ok := parts(stored); ok {
		want, err = scram(password, salt, iterations)
	}
	return err == nil && subtle.ConstantTimeCompare([]byte(stored), []byte(want)) == 1
}

// parts returns what a SCRAM verifier was made with.
func parts(stored string) (iterations int, salt []byte, ok bool) {
	rest, ok1 := strings.CutPrefix(stored, scramName+"$")
	head, _, ok2 := strings.Cut(rest, "$")
	count, encoded, ok3 := strings.Cut(head, ":")
	iterations, err1 := strconv.Atoi(count)
	salt, err2 := base64.StdEncoding.DecodeString(encoded)
	return iterations, salt, ok1 && ok2 && ok3 && err1 == nil && err2 == nil && iterations > 0 && iterations <= maxIterations
}
