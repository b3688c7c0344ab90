package wal_test

import (
	"bytes"
	"fmt"
	"io"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

func ExampleSegmentOf() {
	lsn, err := wal.ParseLSN("1/23456789")
	if err != nil {
		panic(err)
	}
	fmt.Println(wal.SegmentOf(1, lsn, wal.DefaultSegmentSize).Name(wal.DefaultSegmentSize))
	fmt.Println(wal.SegmentOf(1, lsn, 1<<30).Name(1 << 30))
	// Output:
	// 000000010000000100000023
	// 000000010000000100000000
}

func ExampleParseHistory() {
	h, err := wal.ParseHistory(3, []byte("1\t0/40000A0\tno recovery target specified\n\n2\t0/40020F0\tafter LSN 0/40020C0\n"))
	if err != nil {
		panic(err)
	}
	end, _ := h.SwitchPoint(2)
	fmt.Println("a server on timeline 2 may follow if its WAL ends at or before", end)
	fmt.Println(h.Contains(4))
	// Output:
	// a server on timeline 2 may follow if its WAL ends at or before 0/40020F0
	// false
}

func ExamplePageHeader_Check() {
	header := wal.PageHeader{Magic: 0xD110, Timeline: 1, PageAddr: 0x2000000, SystemID: 42, SegmentSize: 16 << 20}
	fmt.Println(header.Check(wal.Segment{Timeline: 1, Number: 3}, 42, 16<<20))
	// Output:
	// 000000010000000000000003: header names start position 0/2000000, want 0/3000000 (a recycled or misnamed file)
}

func ExampleParseBackupLabel() {
	l, err := wal.ParseBackupLabel([]byte("START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n" +
		"CHECKPOINT LOCATION: 0/2000080\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n" +
		"START TIME: 2026-11-21 18:40:09 UTC\nLABEL: nightly\nSTART TIMELINE: 1\n"))
	if err != nil {
		panic(err)
	}
	fmt.Printf("backup %q needs WAL from %v on, file %v\n", l.Label, l.Start, l.StartFile)

	_, err = wal.ParseBackupLabel([]byte("START WAL LOCATION: 0/2000028\n"))
	fmt.Println(err)
	// Output:
	// backup "nightly" needs WAL from 0/2000028 on, file 000000010000000000000002
	// backup_label, line 1: want a position and its segment after START WAL LOCATION: "0/2000028"
}

func ExampleChain() {
	c := wal.NewChain(wal.ChainConfig{Segment: wal.Segment{Timeline: 1, Number: 3}, SystemID: 42, SegmentSize: 1 << 20})
	segment := make([]byte, 1<<20) // as it should not be: the first page is empty
	_, err := io.Copy(c, bytes.NewReader(segment))
	if err == nil {
		err = c.End()
	}
	fmt.Println(err)
	// Output:
	// not a WAL segment: the first page is empty
}

func ExampleNumbering() {
	fe, err := wal.ParseSegment("0000000100000000000000FE", wal.DefaultSegmentSize)
	if err != nil {
		panic(err)
	}
	fmt.Println("9.2:", wal.NumberingBefore93.Next(fe, wal.DefaultSegmentSize).Name(wal.DefaultSegmentSize))
	fmt.Println("9.3:", fe.Next().Name(wal.DefaultSegmentSize))
	// Output:
	// 9.2: 000000010000000100000000
	// 9.3: 0000000100000000000000FF
}

func ExampleSystemID_Scan() {
	var id wal.SystemID
	if err := id.Scan(int64(-2)); err != nil { // a bigint from SQL
		panic(err)
	}
	fmt.Println(id)
	// Output:
	// 18446744073709551614
}

func ExampleParseHistoryBefore93() {
	h, err := wal.ParseHistoryBefore93(2, []byte("1\t000000010000000000000005\tno recovery target specified\n"))
	if err != nil {
		panic(err)
	}
	fmt.Println("timeline 1 was left in", h.Entries[0].Last)
	// Output:
	// timeline 1 was left in 000000010000000000000005
}
