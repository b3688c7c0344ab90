package conninfo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"", "", true},
		{"host=db1 user=a", "postgresql://a@db1", true},
		{"host=db1 user=a", "postgresql://a@DB1.:5432/a?sslmode=prefer&target_session_attrs=any&keepalives=1", true},
		{"host=a,b port=5433", "postgresql://a:5433,b:5433", true},
		{"host=a,b port=5432", "postgresql://a,b", true},
		{"host=a,b", "host=b,a", false},
		{"host=a,b load_balance_hosts=random", "host=b,a load_balance_hosts=random", true},
		{"host=a,b port=1,2 load_balance_hosts=random", "host=b,a port=1,2 load_balance_hosts=random", false},
		{"host=a,b", "host=a", false},
		{"host=a", "host=b", false},
		{"host=a port=1", "host=a port=2", false},
		{"host=a", "", false},
		{"host=::1", "host=0:0:0:0:0:0:0:1", true},
		{"host=127.0.0.1", "host=::ffff:127.0.0.1", true},
		{"host=/tmp", "host=/tmp/", true},
		{"host=/tmp", "host=/TMP", false},
		{"host=a hostaddr=10.0.0.1", "host=b hostaddr=10.0.0.1", true},
		{"host=a hostaddr=10.0.0.1", "host=a", true},
		{"hostaddr=10.0.0.1", "host=10.0.0.1", true},
		{"host=a hostaddr=10.0.0.1", "host=a hostaddr=10.0.0.2", false},
		{"host=a port=x", "port=x host=a", true},
		{"host=a port=x", "host=a port=y", false},
		{"host=a port=x", "host=a", false},
		{"user=a dbname=a", "user=a", true},
		{"user=a dbname=a", "user=a dbname=b", false},
		{"user=a dbname=''", "user=a", true},
		{"user=a", "user=b", false},
		{"user=a", "", false},
		{"password=a", "password=b", false},
		{"sslmode=require", "requiressl=1", true},
		{"sslmode=require", "", false},
		{"sslrootcert=system", "sslrootcert=system sslmode=verify-full", true},
		{"sslrootcert=system", "sslrootcert=system sslmode=prefer", false},
		{"connect_timeout=0", "connect_timeout=-1", true},
		{"connect_timeout=05", "connect_timeout=5", true},
		{"connect_timeout=5", "", false},
		{"connect_timeout=x", "", false},
		{"keepalives=2", "", true},
		{"keepalives=0", "", false},
		{"application_name=a fallback_application_name=b", "application_name=a", true},
		{"fallback_application_name=b", "fallback_application_name=c", false},
		{"fallback_application_name=b", "", false},
		{"gssencmode=prefer", "", false}, // depends on the build
		{"nope=1", "", false},
		{"nope=", "", true},
	} {
		a, err := conninfo.Parse(c.a)
		require.NoError(t, err)
		b, err := conninfo.Parse(c.b)
		require.NoError(t, err)
		require.Equal(t, c.same, a.Same(b), "%s / %s", c.a, c.b)
		require.Equal(t, c.same, b.Same(a), "%s / %s", c.b, c.a)
		require.True(t, a.Same(a), c.a)
	}
}
