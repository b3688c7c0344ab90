package conninfo_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// TestPgconnAgrees: pgx accepts the same strings as we do for libpq 18, and connects to the same servers with the same values.
func TestPgconnAgrees(t *testing.T) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			t.Setenv(name, "") // counts as not set
		}
	}
	agreed, refused := 0, 0
	for _, text := range corpus(6000) {
		config, pgxErr := pgconn.ParseConfig(text)
		info, err := conninfo.Parse(text)
		if err == nil {
			err = info.Validate(pgconf.Newest)
		}
		if !compared(text, info, err) {
			continue
		}
		require.Equal(t, err == nil, pgxErr == nil, "%q: we say %v, pgx %v", text, err, pgxErr)
		if err != nil {
			refused++
			continue
		}
		agreed++
		hosts, err := info.Hosts()
		require.NoError(t, err)
		want := []string{fmt.Sprint(config.Host, " ", config.Port)}
		for _, f := range config.Fallbacks { // one with and one without TLS
			if server := fmt.Sprint(f.Host, " ", f.Port); server != want[len(want)-1] {
				want = append(want, server)
			}
		}
		var got []string
		for _, h := range hosts {
			if server := fmt.Sprint(orDefault(h.Host, pgxDefaultHost(t)), " ", h.Port); len(got) == 0 || server != got[len(got)-1] {
				got = append(got, server)
			}
		}
		require.Equal(t, got, want, "%q", text)
		for key, value := range map[string]string{"user": config.User, "password": config.Password, "dbname": config.Database} {
			if ours, _ := info.Get(key); ours != "" {
				require.Equal(t, ours, value, "%q: %s", text, key)
			}
		}
		name, _ := info.Get("application_name")
		require.Equal(t, name, config.RuntimeParams["application_name"], "%q", text)
	}
	require.Greater(t, agreed, 300)
	require.Greater(t, refused, 300)
}

func orDefault(s, standard string) string {
	if s == "" {
		return standard
	}
	return s
}

func pgxDefaultHost(t *testing.T) string {
	t.Helper()
	config, err := pgconn.ParseConfig("")
	require.NoError(t, err)
	return config.Host
}

// pgxKeywords are the keywords that pgx treats as libpq does. Those of TLS do not count: pgx reads the files at once, and judges
// no sslmode for a Unix socket. Nor does service, which it looks up. All others it would send to the server as parameters.
var pgxKeywords = strings.Fields(`application_name channel_binding client_encoding connect_timeout dbname host max_protocol_version
	min_protocol_version options password port require_auth sslcertmode target_session_attrs user`)

// compared reports whether both mean the same by a string, apart from the differences that doc.go lists.
func compared(text string, info conninfo.Info, err error) bool {
	if err != nil && (strings.Contains(err.Error(), "not a keyword") || strings.HasPrefix(text, "jdbc:")) {
		return false
	}
	return !slices.ContainsFunc(info.Keys(), func(key string) bool { return !slices.Contains(pgxKeywords, key) })
}
