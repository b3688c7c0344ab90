package walarchive_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
)

// exampleArchive is an archive of the segments 1 to 4 in a directory.
func exampleArchive(ctx context.Context) (a *walarchive.Archive, store *dir.Store, done func()) {
	root, err := os.MkdirTemp("", "archive")
	check(err)
	archive := filepath.Join(root, "archive")
	check(os.Mkdir(archive, 0o700))
	store, err = dir.Open(archive)
	check(err)
	a, err = walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: store}}, Identity: ours})
	check(err)
	for n := range 4 {
		path := filepath.Join(root, segmentName(n+1))
		check(os.WriteFile(path, waltest.Segment(ours.SystemID, ours.SegmentSize, segmentName(n+1), 100, 1), 0o600))
		check(a.Push(ctx, path))
	}
	return a, store, func() { store.Close(); os.RemoveAll(root) }
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// Two standbys share an archive. The one whose archive_cleanup_command runs does not need segment 2 any more, the other does.
func ExampleArchive_Cleanup() {
	ctx := context.Background()
	a, _, done := exampleArchive(ctx)
	defer done()
	check(a.Register(ctx, "standby1", "000000010000000000000004")) // each passes its own %r
	check(a.Register(ctx, "standby2", "000000010000000000000002"))
	r, err := a.Cleanup(ctx, walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: "000000010000000000000004"}})
	check(err)
	for _, d := range r.Plan.Decisions {
		if catalogFile(d.Name) {
			fmt.Println(d)
		}
	}
	// Output:
	// remove 000000010000000000000001: nobody needs it
	// keep 000000010000000000000002: consumer needs it (standby2)
	// keep 000000010000000000000003: consumer needs it (standby2)
	// keep 000000010000000000000004: consumer needs it (standby2)
}

// catalogFile reports whether the object is an archived file, rather than its record.
func catalogFile(name string) bool {
	o, err := walarchive.ParseObject(name)
	return err == nil && o.Kind == walarchive.ObjectFile
}

func ExampleArchive_Catalog() {
	ctx := context.Background()
	a, store, done := exampleArchive(ctx)
	defer done()
	check(store.Remove(ctx, []string{"000000010000000000000003"})) // somebody made room
	c, err := a.Catalog(ctx)
	check(err)
	fmt.Print(c.List())
	fmt.Print(c.Gaps(catalog.GapConfig{InFlight: -1}))
	// Output:
	// timeline 1: 3 segments, 000000010000000000000001 to 000000010000000000000004
	// timeline 1: 000000010000000000000003 missing: lost
}

func ExampleArchive_Verify() {
	ctx := context.Background()
	a, _, done := exampleArchive(ctx)
	defer done()
	report, err := a.Verify(ctx, walarchive.VerifyConfig{})
	check(err)
	fmt.Println(report.Count[walarchive.VerdictOK], "ok, bad:", report.Bad())
	// Output: 4 ok, bad: false
}

func ExampleCheck() {
	ctx := context.Background()
	_, archive, done := exampleArchive(ctx)
	defer done()
	_, elsewhere, doneElsewhere := exampleArchive(ctx)
	defer doneElsewhere()
	findings, err := walarchive.Check(ctx, walarchive.CheckConfig{Write: archive, Read: elsewhere, Identity: ours, Segments: -1})
	check(err)
	for _, f := range findings {
		fmt.Println(f.Problem)
	}
	// Output: not shared
}
