package conninfo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// values are what connection strings of the oracle test try for each keyword.
var values = map[string][]string{
	"sslmode":                  {"", "disable", "allow", "prefer", "require", "verify-ca", "verify-full", "x", "Require", "require "},
	"sslnegotiation":           {"", "postgres", "direct", "direct' sslmode='require", "direct' sslmode='verify-full", "direct' sslmode='disable", "x"},
	"sslcertmode":              {"", "disable", "allow", "require", "x"},
	"channel_binding":          {"", "disable", "prefer", "require", "x"},
	"gssencmode":               {"", "disable", "prefer", "x"},
	"load_balance_hosts":       {"", "disable", "random", "x"},
	"target_session_attrs":     {"", "any", "read-write", "read-only", "primary", "standby", "prefer-standby", "x", "Any"},
	"ssl_min_protocol_version": {"", "TLSv1", "tlsv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "x", "SSLv3"},
	"ssl_max_protocol_version": {
		"", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "x", "TLSv1' ssl_min_protocol_version='TLSv1", "TLSv1' ssl_min_protocol_version='",
		"tlsv1.2' ssl_min_protocol_version='TLSv1.3",
	},
	"min_protocol_version": {"", "3.0", "3.1", "3.2", "latest", "x"},
	"max_protocol_version": {"", "3.0", "3.1", "3.2", "latest", "x", "3.0' min_protocol_version='3.2", "3.2' min_protocol_version='latest", "3.0' min_protocol_version='3.0"},
	"require_auth": {
		"", "none", "password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "creds", "!none", "!password,!md5", "password,!md5", "!md5,password",
		"password,password", "!md5,!md5", "x", "password,", ",", "none,password", "!oauth,!none", "!", " password",
	},
	"scram_client_key": {"", "x", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
	"sslrootcert":      {"", "/x", "system", "system' sslmode='require", "system' sslmode='verify-full", "system' sslmode='verify-ca"},
	"keepalives":       {"0", "1", "2", "-1", " 1", "x"},
	"tcp_user_timeout": {"0", "1", "", "x", "1x", "99999999999"},
	"port":             {"", "1", "0", "65536", "x", " 1 ", "+1", "-1", "1,1", "1,", "010", "0x1", "99999999999999999999", "x.0"},
	"hostaddr":         {"127.0.0.1,127.0.0.1", "127.0.0.1,127.0.0.1' host='a,b", "127.0.0.1,127.0.0.1' port='1,1", "127.0.0.1,127.0.0.1' port='1,1,1", "x", "127.0.0.1' host='a,b"},
	"host":             {"", "a", "a,b", "@a"},
	"sslcompression":   {"", "x"},
	"sslsni":           {"", "x"},
	"replication":      {"x"},
	"requirepeer":      {"x"},
	"client_encoding":  {"x"},
	"krbsrvname":       {""},
	"dbname":           {""},
	"user":             {""},
	"options":          {"x"},
	"sslcrldir":        {"x"},
	"sslpassword":      {"x"},
	"gssdelegation":    {"x"},
	"oauth_scope":      {"x"},
}

// TestOracleValidate: what Validate has nothing against, libpq of that major tries to connect with, and nothing else.
func TestOracleValidate(t *testing.T) {
	var texts []string
	for key, list := range values {
		for _, value := range list {
			texts = append(texts, "user=u dbname=d hostaddr=127.0.0.1 port=1 "+key+"='"+value+"'")
		}
	}
	eachLibpq(t, func(t *testing.T, l libpq) {
		tried := 0
		for i, a := range l.ask(t, "connect", texts) {
			info, err := conninfo.Parse(texts[i])
			require.NoError(t, err)
			err = info.Validate(l.major)
			if isLax := l.major < 12 && (info.Equal(info.With("port", "1x")) || info.Equal(info.With("tcp_user_timeout", "1x"))); isLax {
				continue
			}
			if connectionFailed.MatchString(a.message) {
				tried++
				require.NoError(t, err, "%s: libpq says %s", texts[i], a.message)
			} else {
				require.Error(t, err, "%s: libpq says %s", texts[i], a.message)
			}
		}
		require.Greater(t, tried, 30)
	})
}
