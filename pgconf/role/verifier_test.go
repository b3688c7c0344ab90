package role_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/role"
)

func decode(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return b
}

func mac(key []byte, message string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

var form = regexp.MustCompile(`^SCRAM-SHA-256\$([0-9]+):([A-Za-z0-9+/]+=*)\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)$`)

// parts takes a verifier apart.
func parts(t testing.TB, verifier string) (iterations int, salt, stored, server []byte) {
	t.Helper()
	m := form.FindStringSubmatch(verifier)
	require.NotNil(t, m, "not of the form that the server recognises")
	iterations, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return iterations, decode(t, m[2]), decode(t, m[3]), decode(t, m[4])
}

// The exchange of RFC 7677, section 3: the client's proof there must fit our StoredKey, the server's signature our ServerKey.
func TestVerifier_RFC7677(t *testing.T) {
	const (
		salt      = "W22ZaJ0SNY7soEsUEjb6gQ=="
		proof     = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
		signature = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
		auth      = "n=user,r=rOprNGfwEbeRWgbNEkqO," +
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=" + salt + ",i=4096," +
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	)
	verifier, err := role.Verifier("pencil", decode(t, salt), 4096)
	require.NoError(t, err)
	iterations, gotSalt, stored, server := parts(t, verifier)
	require.Equal(t, 4096, iterations)
	require.Equal(t, decode(t, salt), gotSalt)
	require.Equal(t, decode(t, signature), mac(server, auth))
	clientKey := make([]byte, sha256.Size)
	subtle.XORBytes(clientKey, decode(t, proof), mac(stored, auth))
	hash := sha256.Sum256(clientKey)
	require.Equal(t, stored, hash[:])
}

// What servers stored for CREATE ROLE ... PASSWORD with these passwords and password_encryption = scram-sha-256.
func TestVerifier_serverMade(t *testing.T) {
	for _, tc := range []struct{ name, password, verifier string }{} {
		t.Run(tc.name, func(t *testing.T) {
			iterations, salt, _, _ := parts(t, tc.verifier)
			got, err := role.Verifier(tc.password, salt, iterations)
			require.NoError(t, err)
			require.Equal(t, tc.verifier, got)
		})
	}
}

func TestNewVerifier(t *testing.T) {
	a, err := role.NewVerifier("pencil")
	require.NoError(t, err)
	b, err := role.NewVerifier("pencil")
	require.NoError(t, err)
	require.NotEqual(t, a, b, "the salt must be fresh")
	iterations, salt, _, _ := parts(t, a)
	require.Equal(t, role.Iterations, iterations)
	require.Len(t, salt, 16)
}

func TestNewVerifier_refused(t *testing.T) {
	for name, password := range map[string]string{
		"empty": "", "NUL": "marker\x00", "tab": "mar\tker", "newline": "marker\n", "delete": "marker\x7f", "latin": "markér",
		"no_break_space": "marker\u00a0", "invalid_utf8": "marker\xff", "replacement_character": "marker\uFFFD", "emoji": "marker🔑",
	} {
		t.Run(name, func(t *testing.T) {
			verifier, err := role.NewVerifier(password)
			require.ErrorIs(t, err, role.ErrPassword)
			require.Empty(t, verifier)
			require.NotContains(t, err.Error(), "mar")
			require.NotContains(t, err.Error(), "key")
		})
	}
}

// FuzzVerifier: every password is refused or has a verifier that this password fits and another does not.
func FuzzVerifier(f *testing.F) {
	for _, password := range []string{"pencil", "", " ", `it's "me"\ %100`, "é", "\x00", strings.Repeat("~", 2000), "SCRAM-SHA-256$4096:a$b:c"} {
		f.Add(password, "salt")
	}
	f.Fuzz(func(t *testing.T, password, salt string) {
		const few = 2 // iterations
		verifier, err := role.Verifier(password, []byte(salt), few)
		printable := password != "" && strings.Trim(password, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~") == ""
		if (err == nil) != printable {
			t.Fatalf("%q: %v", password, err)
		}
		if err != nil {
			if !errors.Is(err, role.ErrPassword) || verifier != "" {
				t.Fatalf("%q, %v", verifier, err)
			}
			return
		}
		if again, _ := role.Verifier(password, []byte(salt), few); again != verifier {
			t.Fatal("the same input gives another verifier")
		}
		if other, _ := role.Verifier(password+"x", []byte(salt), few); other == verifier {
			t.Fatal("another password gives the same verifier")
		}
		if strings.ContainsAny(verifier, `'"\`) {
			t.Fatal("not safe between quotes")
		}
	})
}
