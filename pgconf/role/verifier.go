package role

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Iterations is the work factor of [NewVerifier], PostgreSQL's own default (scram_iterations).
const Iterations = 4096

const saltBytes = 16 // SCRAM_DEFAULT_SALT_LEN in src/include/common/scram-common.h

// ErrPassword is matched by the error for a password that [NewVerifier] cannot turn into a verifier. The error's text never
// holds the password or a part of it.
var ErrPassword = errors.New("unusable password")

// NewVerifier returns a SCRAM-SHA-256 verifier of the password with a fresh salt, in the form of pg_authid.rolpassword
// (manual: "pg_authid"):
//
//	SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>
//
// PostgreSQL 10 and later store a PASSWORD of that form as it is, whatever password_encryption says (get_password_type in
// src/backend/libpq/crypt.c). The result is made of A-Z, a-z, 0-9 and -+/=$: alone, so it can stand between quotes in SQL.
//
// The password must be one or more printable ASCII characters, blanks included. Others are normalised first by SASLprep (RFC
// 4013), which this function does not do; a verifier made without it would refuse the right password. The error matches
// [ErrPassword].
func NewVerifier(password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // it never fails: crypto/rand ends the program instead
	return verifier(password, salt, Iterations)
}

// verifier computes the keys of RFC 5802, section 3, and writes them as RFC 5803 says.
func verifier(password string, salt []byte, iterations int) (string, error) {
	if password == "" || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", fmt.Errorf("%w: use one or more printable ASCII characters", ErrPassword)
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPassword, err)
	}
	stored := sha256.Sum256(keyed(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return "SCRAM-SHA-256$" + strconv.Itoa(iterations) + ":" + b64(salt) + "$" + b64(stored[:]) + ":" + b64(keyed(salted, "Server Key")), nil
}

func keyed(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}
