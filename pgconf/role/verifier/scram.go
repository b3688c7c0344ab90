package verifier

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
)

// Iterations is the work factor of [SCRAM], PostgreSQL's own default (scram_iterations).
const Iterations = 4096

const (
	saltBytes = 16 // SCRAM_DEFAULT_SALT_LEN in src/include/common/scram-common.h
	scramName = "SCRAM-SHA-256"
)

// SCRAM returns a SCRAM-SHA-256 verifier of the password with a fresh salt, in the form of pg_authid.rolpassword
// (manual: "pg_authid"):
//
//	SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>
//
// PostgreSQL 10 and later store a PASSWORD of that form as it is, whatever password_encryption says (get_password_type in
// src/backend/libpq/crypt.c). The result is made of A-Z, a-z, 0-9 and -+/=$: alone, so it can stand between quotes in SQL.
// The error matches [ErrPassword].
func SCRAM(password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // it never fails: crypto/rand ends the program instead
	return scram(password, salt, Iterations)
}

// scram computes the keys of RFC 5802, section 3, and writes them as RFC 5803 says.
func scram(password string, salt []byte, iterations int) (string, error) {
	if err := check(password); err != nil {
		return "", err
	}
	prepared, err := prepare(password)
	if err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(sha256.New, prepared, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPassword, err)
	}
	stored := sha256.Sum256(keyed(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return scramName + "$" + strconv.Itoa(iterations) + ":" + b64(salt) + "$" + b64(stored[:]) + ":" + b64(keyed(salted, "Server Key")), nil
}

func keyed(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}
