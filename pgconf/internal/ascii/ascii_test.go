package ascii_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

func TestLower(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "work_mem": "work_mem", "Work_MEM": "work_mem", "@AZ[`az{": "@az[`az{", "ÄÉ\xffX": "ÄÉ\xffx", "\u212A": "\u212A", "aZ": "az",
	} {
		require.Equal(t, want, ascii.Lower(in))
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { ascii.Lower("max_connections") }))
}
