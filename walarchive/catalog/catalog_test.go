package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/catalog"
)

const backup3 = "000000010000000000000003.00000028.backup"

func TestAddText_refused(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"seg 1 3-4", "backup 1 3+28 4+100", "unread 2"} {
		w.line(strings.Fields(line))
	}
	good := w.texts[backup3]
	c, err := catalog.New(w.names, segSize)
	require.NoError(t, err)
	require.Equal(t, []string{backup3, "00000002.history"}, c.Texts())
	for _, tc := range []struct{ name, text string }{
		{backup3, "garbage"},
		{backup3, strings.Replace(good, "START WAL LOCATION: 0/3000028", "START WAL LOCATION: 0/3000060", 1)},
		{backup3, strings.Replace(good, "(file 000000010000000000000003)", "(file 000000020000000000000003)", 1)},
		{backup3, strings.Replace(good, "(file 000000010000000000000004)", "(file 000000020000000000000004)", 1)},
		{backup3, strings.Replace(good, "STOP WAL LOCATION: 0/4000100", "STOP WAL LOCATION: 0/3000028", 1)},
		{"00000002.history", "garbage"},
		{"00000003.history", "1\t0/3000060\tx\n"},
		{"000000010000000000000004.00000028.backup", good},
		{"000000010000000000000003", good},
		{"nonsense", good},
	} {
		require.Error(t, c.AddText(tc.name, []byte(tc.text)), tc)
	}
	require.Zero(t, c.Backups()[0].Stop, "nothing was taken from any of them")
	require.NoError(t, c.AddText(backup3, []byte(good)))
	require.True(t, c.Backups()[0].Complete)
}

func TestNew_refused(t *testing.T) {
	_, err := catalog.New(nil, 12345)
	require.Error(t, err)
}

func TestGap_Bad(t *testing.T) {
	for reason, bad := range map[catalog.Reason]bool{
		catalog.ReasonLost: true, catalog.ReasonDropped: true, catalog.ReasonHistoryMissing: true, catalog.ReasonHistoryUnreadable: true,
		catalog.ReasonUnreachable: true, catalog.ReasonInFlight: false, catalog.ReasonBeforeBackup: false,
	} {
		require.Equal(t, bad, catalog.Gaps{{Reason: reason}}.Bad(), reason)
	}
}

// An archive of two timelines: segments 1 to 4, a promotion in segment 5, and segments 5 to 8 of which one is not there.
func example() *catalog.Catalog {
	names := []string{"00000002.history", "000000010000000000000005.partial", "understudy-archive"}
	for n := range 4 {
		names = append(names, fmt.Sprintf("0000000100000000%08X", n+1))
	}
	for _, n := range []int{5, 6, 8} {
		names = append(names, fmt.Sprintf("0000000200000000%08X", n))
	}
	c, err := catalog.New(names, segSize)
	if err != nil {
		panic(err)
	}
	if err := c.AddText("00000002.history", []byte("1\t0/50000A0\tno recovery target specified\n")); err != nil {
		panic(err)
	}
	return c
}

func ExampleCatalog_List() {
	fmt.Print(example().List())
	// Output:
	// timeline 1: 4 segments, 000000010000000000000001 to 000000010000000000000004
	//   partial 000000010000000000000005.partial
	// timeline 2, from timeline 1 at 0/50000A0: 3 segments, 000000020000000000000005 to 000000020000000000000008
}

func ExampleCatalog_Gaps() {
	fmt.Print(example().Gaps(catalog.GapConfig{InFlight: -1}))
	// Output:
	// timeline 2: 000000020000000000000007 missing: lost
}

func ExampleCatalog_Need() {
	need, err := example().Need(catalog.Target{From: "000000010000000000000002", Timeline: 2})
	if err != nil {
		panic(err)
	}
	fmt.Print(need)
	// Output:
	// 00000002.history: there
	// 000000010000000000000002 to 000000010000000000000004, 3 files: there
	// 000000020000000000000005 to 000000020000000000000006, 2 files: there
	// 000000020000000000000007: missing
	// 000000020000000000000008: there
}

func ExampleCatalog_Plan() {
	plan, err := example().Plan(catalog.Policy{Oldest: "000000010000000000000003"})
	if err != nil {
		panic(err)
	}
	for _, d := range plan.Decisions[:3] {
		fmt.Println(d)
	}
	// Output:
	// remove 000000010000000000000001: nobody needs it
	// remove 000000010000000000000002: nobody needs it
	// keep 000000010000000000000003: not before the oldest file to keep
}

func ExamplePgCleanup_Plan() {
	names := []string{"000000010000000000000001.gz", "000000010000000000000002.gz", "000000020000000000000003.gz", "00000002.history"}
	remove, err := catalog.PgCleanup{Oldest: "000000020000000000000002", Extension: ".gz"}.Plan(names)
	fmt.Println(remove, err)
	// Output: [000000010000000000000001.gz] <nil>
}
