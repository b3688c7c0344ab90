package oracle

import (
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/understudy-ha/understudy/internal/localpg"
)

// EachNetwork is Each for servers that listen on 127.0.0.1 and ::1 too. Each is started for its test, and ended with it.
func EachNetwork(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	localpg.EachServer(t, func(t *testing.T, in localpg.Install) {
		s, err := start(in, freePort(t), "-c", "listen_addresses=127.0.0.1,::1")
		if err != nil {
			t.Fatalf("start PostgreSQL %d of %s: %v", in.Major, in.Dir, err)
		}
		t.Cleanup(s.stop)
		test(t, s)
	})
}

// freePort returns a port that nobody listens on, below those that the system gives to outgoing connections.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000) //nolint:gosec // any will do
		if canListen(t, "127.0.0.1", port) && canListen(t, "::1", port) {
			return port
		}
	}
	t.Fatal("no free port on both 127.0.0.1 and ::1")
	return 0
}

func canListen(t *testing.T, host string, port int) bool {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}

// Log returns what the server has logged so far.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Socket, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
