package waltest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestSegment(t *testing.T) {
	const size = 1 << 20
	b := waltest.Segment(7, size, "00000002000000000000000A", 200_000, 1)
	c := wal.NewChain(wal.ChainConfig{Segment: wal.Segment{Timeline: 2, Number: 10}, SystemID: 7, SegmentSize: size})
	_, err := c.Write(b)
	require.NoError(t, err)
	require.NoError(t, c.End())
	require.Equal(t, int64(25*8192), c.DataEnd())
	require.NotEqual(t, b, waltest.Segment(7, size, "00000002000000000000000A", 200_000, 2))
}
