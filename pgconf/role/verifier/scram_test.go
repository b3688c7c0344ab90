package verifier_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/pgconf/role/verifier"
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
func parts(t testing.TB, stored string) (iterations int, salt, storedKey, serverKey []byte) {
	t.Helper()
	m := form.FindStringSubmatch(stored)
	require.NotNil(t, m, "not of the form that the server recognises")
	iterations, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return iterations, decode(t, m[2]), decode(t, m[3]), decode(t, m[4])
}

// The exchange of RFC 7677, section 3: the client's proof there must fit our StoredKey, the server's signature our ServerKey.
func TestSCRAM_RFC7677(t *testing.T) {
	const (
		salt      = "W22ZaJ0SNY7soEsUEjb6gQ=="
		proof     = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
		signature = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
		auth      = "n=user,r=rOprNGfwEbeRWgbNEkqO," +
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=" + salt + ",i=4096," +
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	)
	made, err := verifier.Scram("pencil", decode(t, salt), 4096)
	require.NoError(t, err)
	iterations, gotSalt, stored, server := parts(t, made)
	require.Equal(t, 4096, iterations)
	require.Equal(t, decode(t, salt), gotSalt)
	require.Equal(t, decode(t, signature), mac(server, auth))
	clientKey := make([]byte, sha256.Size)
	subtle.XORBytes(clientKey, decode(t, proof), mac(stored, auth))
	hash := sha256.Sum256(clientKey)
	require.Equal(t, stored, hash[:])
}

func TestSCRAM_freshSalt(t *testing.T) {
	a, err := verifier.SCRAM("pencil")
	require.NoError(t, err)
	b, err := verifier.SCRAM("pencil")
	require.NoError(t, err)
	require.NotEqual(t, a, b)
	iterations, salt, _, _ := parts(t, a)
	require.Equal(t, verifier.Iterations, iterations)
	require.Len(t, salt, 16)
}

func TestRefused(t *testing.T) {
	for name, password := range map[string]string{
		"empty":     "",
		"NUL":       "marker\x00",
		"too_long":  strings.Repeat("marker", 171),
		"all_marks": "marker" + strings.Repeat("\u0301", 40),
	} {
		t.Run(name, func(t *testing.T) {
			made, err := verifier.SCRAM(password)
			require.ErrorIs(t, err, verifier.ErrPassword)
			require.Empty(t, made)
			require.NotContains(t, err.Error(), "marker")
			require.False(t, verifier.Matches("SCRAM-SHA-256$1:AA==$AA==:AA==", "r", password))
			if name == "all_marks" {
				return // md5 takes the bytes
			}
			made, err = verifier.MD5(password, "r")
			require.ErrorIs(t, err, verifier.ErrPassword)
			require.Empty(t, made)
		})
	}
	_, err := verifier.SCRAM(strings.Repeat("x", 1024))
	require.NoError(t, err)
}

// What servers stored for these passwords; TestOracleSameVerifier asks for more.
func TestMatches(t *testing.T) {
	const scram = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	const md5 = "md5345dd60f5188c1a9c656482f63d77e69"
	for _, c := range []struct {
		name, stored, role, password string
		want                         bool
	}{
		{"scram", scram, "any", "pencil", true},
		{"scram_other_password", scram, "any", "pencil ", false},
		{"scram_other_iterations", strings.Replace(scram, "4096", "4095", 1), "any", "pencil", false},
		{"scram_other_key", strings.Replace(scram, ":wf", ":Wf", 1), "any", "pencil", false},
		{"scram_too_many_iterations", strings.Replace(scram, "4096", "2000000000", 1), "any", "pencil", false},
		{"scram_no_iterations", strings.Replace(scram, "4096", "0", 1), "any", "pencil", false},
		{"scram_negative", strings.Replace(scram, "4096", "-1", 1), "any", "pencil", false},
		{"scram_rest_missing", "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==", "any", "pencil", false},
		{"md5", md5, "rep", "secret", true},
		{"md5_other_role", md5, "Rep", "secret", false},
		{"md5_other_password", md5, "rep", "Secret", false},
		{"none", "", "rep", "secret", false},
		{"clear_text", "secret", "rep", "secret", false},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, verifier.Matches(c.stored, c.role, c.password)) })
	}
}

// A verifier of no iterations would be made with one.
func TestMatches_noIterations(t *testing.T) {
	for _, iterations := range []int{0, -1} {
		made, _ := verifier.Scram("pencil", []byte("salt"), iterations)
		require.False(t, verifier.Matches(made, "r", "pencil"))
	}
}

// Every password is refused, or has a verifier that this password fits and another does not.
func TestVerifierFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const few = 2 // iterations
		password, salt := anyText.Draw(t, "password"), anyText.Draw(t, "salt")
		made, err := verifier.Scram(password, []byte(salt), few)
		if err != nil {
			require.ErrorIs(t, err, verifier.ErrPassword)
			require.Empty(t, made)
			return
		}
		require.True(t, verifier.Matches(made, "", password))
		require.False(t, verifier.Matches(made, "", password+"x"))
		require.False(t, strings.ContainsAny(made, `'"\`), "not safe between quotes")
	})
}

// A text that is no verifier matches nothing, and none is a panic.
func TestMatchesVerifiersOnly(t *testing.T) {
	stored := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"", "md5", "SCRAM-SHA-256$", "SCRAM-SHA-256$1:", "SCRAM-SHA-256$1:QQ==$", "SCRAM-SHA-256$1:QQ==$QQ==:"}).
			Draw(t, "beginning") + rapid.StringMatching(`[A-Za-z0-9+/=:$]{0,50}`).Draw(t, "rest")
	})
	rapid.Check(t, func(t *rapid.T) {
		stored := stored.Draw(t, "stored")
		if _, rest, ok := strings.Cut(stored, "$"); ok && len(rest) > 4 && strings.IndexByte(rest[:4], ':') < 0 {
			return // many iterations take their time
		}
		if verifier.Matches(stored, anyText.Draw(t, "role"), anyText.Draw(t, "password")) {
			require.True(t, form.MatchString(stored) || len(stored) == len("md5")+32, stored)
		}
	})
}

// anyText makes texts that are mostly UTF-8.
var anyText = rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
