package sftp_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/sshtest"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/sftp"
	"github.com/understudy-ha/understudy/walarchive/store/storetest"
)

// config is for a directory on the test's server.
func config(server *sshtest.Server, dir string) sftp.Config {
	return sftp.Config{
		Host: sshtest.Host, Port: server.Port, User: server.User, Path: dir,
		KnownHosts: []string{server.KnownHosts}, KeyFiles: []string{server.KeyFile}, Agent: "none",
	}
}

// memory is a new directory where a sync costs nothing, if there is such a place.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sftp-test")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func open(t *testing.T, cfg sftp.Config) *sftp.Store {
	t.Helper()
	s, err := sftp.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	server := sshtest.Start(t)
	storetest.RunPlace(t, func(t *testing.T) storetest.Place {
		cfg := config(server, memory(t))
		return storetest.Place{Open: func(t *testing.T) walarchive.Store { return open(t, cfg) }}
	})
}

func TestArchive(t *testing.T) {
	server := sshtest.Start(t)
	storetest.Archive(t, func(t *testing.T) walarchive.Store { return open(t, config(server, memory(t))) })
}
