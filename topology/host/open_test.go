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
		"ssh://postgres@db1": "postgres@db1", "ssh://postgres@db1:2222": "postgres@db1:2222", "ssh://postgres@db1/": "postgres@db1",
		"ssh://postgres@[fd00::1]:22": "postgres@fd00::1", "ssh://db1": "operator@db1",
	} {
		h, err := host.Open(machine, host.OpenConfig{SSH: host.SSHConfig{User: "operator", Host: "other", Port: 1}})
		require.NoError(t, err, machine)
		require.Equal(t, name, h.Name(), machine)
	}
	for _, machine := range []string{
		"db1", "LOCAL", "docker://", "docker://a/b", "docker://@db1", "docker://-v", "docker://postgres:secret@db1", "ftp://db1", "://",
		"ssh://", "ssh://postgres:secret@db1", "ssh://postgres@db1/data", "ssh://postgres@db1:0", "ssh://postgres@db1:x:secret", "ssh://@db1",
		"ssh://postgres@db1:70000", "ssh://postgres@-v", "ssh://postgres@db1?x=1", "ssh://postgres@db1#x", "ssh://a b@db1/%zzsecret", "postgres@db1",
	} {
		_, err := host.Open(machine, host.OpenConfig{})
		require.Error(t, err, machine)
		require.NotContains(t, err.Error(), "secret")
	}
}

func ExampleOpen() {
	h, err := host.Open("ssh://postgres@db1.example.com:2222", host.OpenConfig{})
	fmt.Println(h.Name(), err)
	_, err = host.Open("db1", host.OpenConfig{})
	fmt.Println(err)
	_, err = host.Open("ssh://postgres:secret@db1", host.OpenConfig{})
	fmt.Println(err)
	// Output:
	// postgres@db1.example.com:2222 <nil>
	// machine "db1" is none of local, ssh://[user@]host[:port], docker://[user@]container
	// machine ssh://…@db1: no password belongs here; log in with a key (SSH.KeyFiles, SSH.Agent)
}
