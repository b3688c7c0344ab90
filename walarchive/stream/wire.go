package stream

import (
	"encoding/binary"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// epoch is zero of the server's clock.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// statusMessage is a standby status update, as a whole CopyData message (manual: "Streaming Replication Protocol"). pglogrepl's sends
// the write position for a flush position of zero, which would be a lie. The apply position is invalid, as with
// pg_receivewal: nothing is replayed here, so a commit that waits for remote_apply waits for ever.
func statusMessage(written, flushed wal.LSN, now time.Time, wantReply bool) []byte {
	b := make([]byte, 0, 39)
	b = append(b, 'd')
	b = binary.BigEndian.AppendUint32(b, 4+34)
	b = append(b, 'r')
	b = binary.BigEndian.AppendUint64(b, uint64(written))
	b = binary.BigEndian.AppendUint64(b, uint64(flushed))
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(now.Sub(epoch).Microseconds())) //nolint:gosec // after 2000
	if wantReply {
		return append(b, 1)
	}
	return append(b, 0)
}

// copyDone is the message that ends our side of a stream.
var copyDone = []byte{'c', 0, 0, 0, 4}
