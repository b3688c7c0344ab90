package pgprobe_test

import (
	"os"
	"testing"

	"github.com/understudy-ha/understudy/topology/internal/livepg"
)

func TestMain(m *testing.M) { os.Exit(livepg.Run(m)) }
