//go:build unix

package host_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/host"
)

func TestOpen(t *testing.T) {
	for machine, name := range map[string]string{
		"": "localhost", "local": "localhost", "docker://db1": "db1", "docker://postgres@db1": "db1",
	} {
		h, err := host.Open(machine, host.OpenConfig{})
		require.NoError(t, err, machine)
		require.Equal(t, name, h.Name(), machine)
	}
	for _, machine := range []string{
		"db1", "LOCAL", "docker://", "docker://a/b", "docker://@db1", "docker://-v", "docker://postgres:secret@db1", "ftp://db1", "://",
	} {
		_, err := host.Open(machine, host.OpenConfig{})
		require.Error(t, err, machine)
		require.NotContains(t, err.Error(), "secret")
	}
}

func ExampleOpen() {
	h, err := host.Open("docker://postgres@db1", host.OpenConfig{})
	fmt.Println(h.Name(), err)
	_, err = host.Open("db1", host.OpenConfig{})
	fmt.Println(err)
	// Output:
	// db1 <nil>
	// machine "db1" is neither local nor docker://[user@]container
}
