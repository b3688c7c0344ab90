package recovery_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

// dial is how a standby reaches the server.
func dial(s *pgserver.Server) conninfo.Info {
	return info("host", s.World.Dir, "port", strconv.Itoa(s.Port), "user", pgserver.User)
}

func apply(t *testing.T, s *pgserver.Server, cfg recovery.Config) {
	t.Helper()
	require.NoError(t, recovery.Apply(t.Context(), recovery.Disk{}, where(s), cfg))
}

// where says where the files of a server lie, and how the world starts it.
func where(s *pgserver.Server) recovery.Server {
	return recovery.Server{DataDir: s.Data, Major: pgconf.Major(s.World.Major), Args: s.Args()}
}

func control(t *testing.T, s *pgserver.Server) datadir.Control {
	t.Helper()
	c, err := datadir.ReadControl(s.Data)
	require.NoError(t, err)
	return c
}
