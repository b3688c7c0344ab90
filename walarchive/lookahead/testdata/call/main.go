// Call is the smallest program that asks a helper: SPOOL ARCHIVE push PATH, or fetch NAME PATH. The benchmark measures its start, too.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/understudy-ha/understudy/walarchive/lookahead"
)

func main() {
	here, err := os.Getwd()
	if err != nil {
		fail(err)
	}
	c := lookahead.Client{
		Spool: os.Args[1],
		Bond:  lookahead.Bond{SystemID: 7574928734098123456, SegmentSize: 1 << 20, DataDir: here, Settings: os.Args[2]},
		Open:  func(context.Context) (lookahead.Archive, error) { return nil, errors.New("no helper answers") },
	}
	if os.Args[3] == "push" {
		err = c.Push(context.Background(), os.Args[4])
	} else {
		err = c.Fetch(context.Background(), os.Args[4], os.Args[5])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
