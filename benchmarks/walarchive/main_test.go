package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/understudy-ha/understudy/internal/localpg"
)

// Every part runs, with few and small things, and is reported. A folder of the test itself would be closed to the user of the server.
func TestMeasure(t *testing.T) {
	if len(localpg.Servers()) == 0 {
		localpg.Missing(t, "no PostgreSQL on this machine; scripts/servers fetches its server programs")
	}
	c := config{dir: os.TempDir(), parts: partNames(), segments: 2, switched: 1, rounds: 1, passes: 1, workers: 2, pause: time.Millisecond, many: 300, brief: true}
	var out strings.Builder
	if err := measure(t.Context(), c, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"push, not encoded", "dd", "push ahead, ", "fetch, ", "look over an archive of 300", "remove 296 of 300", "start: ", "CPU time", "peak memory", "receive", "targets met",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the report", want)
		}
	}
	t.Log(out.String())
}
