package verifier

import (
	"crypto/md5" //nolint:gosec // what PostgreSQL calls md5 is nothing else
	"encoding/hex"
)

// MD5 returns the md5 verifier of a role's password in the form of pg_authid.rolpassword: "md5" and 32 hex digits, the hash of the
// password followed by the role's name. Only servers before 10 need it: who reads it can log in with it, and 18 warns of it. A role
// that is renamed loses it. The error matches [ErrPassword].
func MD5(password, role string) (string, error) {
	if err := check(password); err != nil {
		return "", err
	}
	sum := md5.Sum([]byte(password + role)) //nolint:gosec // see above
	return "md5" + hex.EncodeToString(sum[:]), nil
}
