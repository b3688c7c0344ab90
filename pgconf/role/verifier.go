// Package role prepares what PostgreSQL stores about a role's password, on the client, so that the password itself never
// reaches a statement, a server log or a process list.
//
//	verifier, err := role.NewVerifier(password)
//	conn.Exec(ctx, "CREATE ROLE replicator LOGIN REPLICATION PASSWORD '"+verifier+"'")
//
// A verifier is no password, but who has it can try passwords against it at leisure: treat it as a secret too.
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

// ErrPassword is matched by the error for a password that cannot be turned into a verifier here.
var ErrPassword = errors.New("unusable password")

// NewVerifier returns a SCRAM-SHA-256 verifier of the password with a fresh salt, in the form of pg_authid.rolpassword
// (manual: "pg_authid"). PostgreSQL 10 and later store a PASSWORD of that form as it is. The result holds no character that
// a quoted SQL string would need to escape.
//
// Only printable ASCII is taken, because other characters are normalised first (SASLprep, RFC 4013), which this function
// does not do. The error matches [ErrPassword] and does not hold the password.
func NewVerifier(password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // it never fails: crypto/rand ends the program instead
	return verifier(password, salt, Iterations)
}

// verifier computes the verifier of RFC 5803: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
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
