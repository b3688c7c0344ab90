package basebackup

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

func parse(t *testing.T, text string) conninfo.Info {
	t.Helper()
	info, err := conninfo.Parse(text)
	require.NoError(t, err)
	return info
}

func TestConfig(t *testing.T) {
	c, err := config(parse(t, "host=db1 hostaddr=127.0.0.1 port=5433 user=rep dbname=app application_name=node1 keepalives=1 options='-c x=1' sslmode=disable"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"replication": "true", "application_name": "understudy-clone", "options": "-c x=1"}, c.RuntimeParams)
	require.Equal(t, "replication", c.Database, "as libpq looks for passwords")
	addrs, err := c.LookupFunc(t.Context(), "db1")
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1"}, addrs)
	c, err = config(parse(t, "hostaddr=127.0.0.1 user=rep sslmode=disable"))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", c.Host)
	_, err = config(parse(t, "host=db1,db2 user=rep"))
	require.ErrorContains(t, err, "several hosts")
}

func TestConfig_keeps_secrets(t *testing.T) {
	for _, text := range []string{
		"host=db1 user=rep password='s3cret mark3r' sslmode=nonsense", "host=db1 password=mark3r sslcert=/nowhere sslkey=/nowhere/mark3r sslmode=require",
		"postgresql://rep:mark3r@db1/x?sslmode=nonsense", "host=db1 password=mark3r sslpassword=mark3r sslrootcert=/nowhere sslmode=verify-full",
	} {
		_, err := config(parse(t, text))
		require.Error(t, err, text)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "mark3r=")
		require.NotContains(t, err.Error(), "s3cret")
		require.NotContains(t, err.Error(), ":mark3r")
	}
}

// Reading never goes beyond the message that is being read, whatever is there and whatever the sizes of the buffers.
func TestExactReader(t *testing.T) {
	first, second := message('R', "\x00\x00\x00\x00"), message('Z', "I")
	for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader} {
		in := bytes.NewReader([]byte(first + message('S', "") + second + "behind"))
		r := &exactReader{r: wrap(in)}
		var got []byte
		for len(got) < len(first)+5+len(second) {
			buf := make([]byte, 100)
			n, err := r.Read(buf)
			require.NoError(t, err)
			got = append(got, buf[:n]...)
			at := len(got)
			require.False(t, at > len(first) && at-n < len(first), "one read over the end of a message")
		}
		require.Equal(t, first+message('S', "")+second, string(got))
		rest, err := io.ReadAll(in)
		require.NoError(t, err)
		require.Equal(t, "behind", string(rest))
	}
}
