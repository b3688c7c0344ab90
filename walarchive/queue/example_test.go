package queue_test

import (
	"fmt"

	"github.com/understudy-ha/understudy/walarchive/queue"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func ExamplePolicy_Decide() {
	policy := queue.Policy{MaxBytes: 100 << 30}
	waiting := queue.State{Bytes: 101 << 30, Free: 5 << 30}
	for _, name := range []string{"00000002.history", "000000010000000000000007"} {
		file, err := wal.ParseFileName(name)
		if err != nil {
			panic(err)
		}
		d := policy.Decide(queue.Facts{File: file, Unreachable: true, Waiting: waiting})
		fmt.Println(name, d.Drop, d.Reason)
	}
	// Output:
	// 00000002.history false timeline histories are never dropped
	// 000000010000000000000007 true 108447924224 bytes wait for an archive that cannot be reached, the limit is 107374182400
}
