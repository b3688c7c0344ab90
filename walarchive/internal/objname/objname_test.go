package objname

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	for _, good := range []string{
		"a", "000000010000000000000001", "000000010000000000000002.00000028.backup", "understudy-consumer.WHO_2.000000010000000000000001",
		"a..b", "ü", strings.Repeat("x", Max),
	} {
		require.NoError(t, Check(good), good)
	}
	for _, bad := range []string{"", ".", "..", ".nfs0001", ".a.tmp-X", "a/b", "/", `a\b`, "a\x00b", "a\nb", "a\x7f", strings.Repeat("x", Max+1)} {
		require.ErrorIs(t, Check(bad), fs.ErrInvalid, bad)
	}
}
