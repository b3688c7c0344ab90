package datadir_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

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

func ExampleInspect() {
	dir, err := os.MkdirTemp("", "inspect")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, datadir.VersionFile), []byte("17\n"), 0o600); err != nil {
		panic(err)
	}

	d := datadir.Inspect(dir)
	fmt.Println("major", d.Major)
	fmt.Println("its control file is missing:", errors.Is(d.ControlErr, fs.ErrNotExist))
	fmt.Println("restored from a backup and not started yet:", d.Label != nil)
	// Output:
	// major 17
	// its control file is missing: true
	// restored from a backup and not started yet: false
}

func ExampleParsePostmaster() {
	p, err := datadir.ParsePostmaster("postmaster.pid", []byte("4711\n/var/lib/postgresql/17/main\n1795286150\n5432\n/run/postgresql\n*\n 10375124   7045626\nready   \n"))
	if err != nil {
		panic(err)
	}
	fmt.Printf("process %d, port %d, %s since %s\n", p.PID, p.Port, p.Status, p.StartTime.UTC().Format(time.RFC3339))
	// Output:
	// process 4711, port 5432, ready since 2026-11-21T18:35:50Z
}

func ExampleParseTablespaceMap() {
	spaces, err := datadir.ParseTablespaceMap("tablespace_map", 17, []byte("16384 /srv/fast disks\n16385 /srv/slow\n"))
	if err != nil {
		panic(err)
	}
	for _, ts := range spaces {
		fmt.Printf("pg_tblspc/%d -> %s\n", ts.OID, ts.Path)
	}
	// Output:
	// pg_tblspc/16384 -> /srv/fast disks
	// pg_tblspc/16385 -> /srv/slow
}

func ExampleCheckServer() {
	s := datadir.CheckServer("/nonexistent")
	fmt.Println(s.Life)
	// Output:
	// unknown
}

func ExampleEndOfWAL() {
	d := datadir.Inspect("/nonexistent")
	_, err := datadir.EndOfWAL(d.Path, d.Major, d.Control, d.History)
	fmt.Println(err)
	// Output:
	// find the end of the WAL: only known for PostgreSQL 10 to 18
}
