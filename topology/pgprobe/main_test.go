package pgprobe_test

import (
	"os"
	"testing"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
)

// livepg has clusters of a major whose client programs are installed, pgserver servers of every major.
func TestMain(m *testing.M) { os.Exit(pgserver.Run(livepgRun{m})) }

type livepgRun struct{ m *testing.M }

func (r livepgRun) Run() int { return livepg.Run(r.m) }
