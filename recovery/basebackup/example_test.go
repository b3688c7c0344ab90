package basebackup_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/basebackup"
)

// It needs a server, so it is only compiled.
func ExampleRun() {
	source, err := conninfo.Parse("host=db1 user=replicator passfile=/etc/understudy/passfile sslmode=verify-full")
	if err != nil {
		log.Fatal(err)
	}
	result, err := basebackup.Run(context.Background(), source, basebackup.Options{
		Target:      "/var/lib/postgresql/17/main",
		Aside:       "/var/lib/postgresql/17/main.old",
		Tablespaces: map[string]string{"/srv/fast": "/srv/fast2"},
		MaxRate:     50 << 20,
		Progress:    func(p basebackup.Progress) { fmt.Println(p) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Dir, "is consistent at", result.End)
}

func ExampleProgress_String() {
	fmt.Println(basebackup.Progress{Phase: basebackup.Waiting, Elapsed: 42 * time.Second, Limit: 270 * time.Second})
	fmt.Println(basebackup.Progress{Phase: basebackup.Copying, Done: 120 << 20, Total: 480 << 20, ETA: 6 * time.Second})
	// Output:
	// waiting for checkpoint of the server, for 42s; a spread one takes up to 4m30s
	// copying: 120 of 480 MiB, 6s left
}

func ExampleChecksum_String() {
	fmt.Println(basebackup.CRC32C, basebackup.SHA256, basebackup.SizesOnly)
	// Output: CRC32C SHA256 NONE
}
