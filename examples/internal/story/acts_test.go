package story

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The gap of the failover is not always the longest one.
func TestGapAround(t *testing.T) {
	start := time.Now()
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	slow, failover := gap{at(0), at(10)}, gap{at(12), at(15)}
	got, ok := gapAround([]gap{slow, failover}, at(14))
	require.True(t, ok)
	require.Equal(t, failover, got)
	for _, moment := range []int{11, 16} {
		_, ok = gapAround([]gap{slow, failover}, at(moment))
		require.False(t, ok)
	}
}
