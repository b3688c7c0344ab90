package role_test

import (
	"os"
	"testing"

	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

func TestMain(m *testing.M) { os.Exit(oracle.Run(m)) }
