package conninfo_test

import (
	"os"
	"testing"

	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

func TestMain(m *testing.M) {
	code := oracle.Run(m)
	if installed.remove != nil {
		installed.remove()
	}
	os.Exit(code)
}
