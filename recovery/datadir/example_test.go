package datadir_test

import (
	"fmt"
	"os"

	"github.com/understudy-ha/understudy/recovery/datadir"
)

func ExampleParseControl() {
	content, err := os.ReadFile("testdata/control/17_promoted_killed.bin")
	if err != nil {
		panic(err)
	}
	c, err := datadir.ParseControl("pg_control", content)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s, on timeline %d, last checkpoint %v on timeline %d\n", c.State, c.Timeline(), c.Checkpoint, c.CheckpointTimeline)

	content[33] ^= 1
	_, err = datadir.ParseControl("pg_control", content)
	fmt.Println(err)
	// Output:
	// in production, on timeline 2, last checkpoint 0/72B300 on timeline 1
	// pg_control: checksum is 62A1D73E but the file says 36DC2FB1: it is damaged, was being written, or is of a 32-bit server
}

func ExampleReadControl() {
	_, err := datadir.ReadControl("/nonexistent")
	fmt.Println(err)
	// Output:
	// read control file: open /nonexistent/global/pg_control: no such file or directory
}
