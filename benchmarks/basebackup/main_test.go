package main

import (
	"os"
	"strings"
	"testing"

	"github.com/understudy-ha/understudy/internal/localpg"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(child(text))
	}
	os.Exit(m.Run())
}

// Both programs copy a small server, and are reported. A folder of the test itself would be closed to the user of the server.
func TestCompare(t *testing.T) {
	localpg.Require(t)
	var out strings.Builder
	if err := compare(t.Context(), config{sizeMiB: 8, runs: 1, dir: os.TempDir(), manifest: "CRC32C"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"understudy", "pg_basebackup", "MiB"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the report:\n%s", want, out.String())
		}
	}
}

func TestHighWater(t *testing.T) {
	if got := highWater("Name:\tx\nVmHWM:\t   1234 kB\nVmRSS:\t 1 kB\n"); got != 1234<<10 {
		t.Error(got)
	}
	if got := highWater("Name:\tx\n"); got != 0 {
		t.Error(got)
	}
}
