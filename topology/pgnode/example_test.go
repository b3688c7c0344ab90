package pgnode_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

func ExampleParseVersion() {
	fmt.Println(pgnode.ParseVersion("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"))
	// Output: 15 <nil>
}

func ExampleNew() {
	_, err := pgnode.New(pgnode.Config{Host: host.NewLocal(host.LocalConfig{}), BinDir: "bin", DataDir: "/srv/pg/a"})
	fmt.Println(err)
	// Output: BinDir "bin" is not an absolute path
}

// What a server said when it did not start is in the error.
func ExampleStartError() {
	var err error = &pgnode.StartError{
		DataDir: "/srv/pg/a",
		Log:     []string{`FATAL:  lock file "postmaster.pid" already exists`},
		Err:     errors.New("pg_ctl on localhost exited with 1"),
	}
	fmt.Println(err)
	// Output:
	// start server in /srv/pg/a: pg_ctl on localhost exited with 1; its log ends:
	// 	FATAL:  lock file "postmaster.pid" already exists
}

// The kind of an event is the same for all majors and log formats.
func ExampleParseLog() {
	for _, e := range pgnode.ParseLog("stderr", `2026-11-22 10:00:00 UTC [7] LOG:  entering standby mode
2026-11-22 10:00:00 UTC [7] LOG:  consistent recovery state reached at 0/2000100
2026-11-22 10:00:01 UTC [9] FATAL:  could not connect to the primary server: FATAL:  password authentication failed for user "replicator"
2026-11-22 10:00:06 UTC [11] LOG:  started streaming WAL from primary at 0/3000000 on timeline 4
`) {
		fmt.Printf("%s %q\n", e.Kind, e.Subject)
	}
	// Output:
	// standby mode ""
	// consistent "0/2000100"
	// authentication failed ""
	// streaming "4"
}

// Paths in the table of pg_lsclusters may have blanks.
func ExampleParseClusters() {
	clusters, err := pgnode.ParseClusters(`Ver Cluster Port Status        Owner    Data directory   Log file
15  main    5433 down,recovery postgres /srv/my data/15  /var/log/postgresql/15 main.log
`)
	fmt.Println(clusters[0], clusters[0].Online, clusters[0].Port, clusters[0].DataDir, err)
	// Output: 15/main false 5433 /srv/my data/15 <nil>
}

// What a server refused at a reload is an error.
func ExampleReloaded_Err() {
	r := pgnode.Reloaded{Outcome: pgnode.Refused, Refused: []string{`LOG:  unrecognized configuration parameter "work_men"`}}
	fmt.Println(r.Err())
	// Output: the server's configuration was refused: LOG:  unrecognized configuration parameter "work_men"
}

// A server is created, started, and fenced: after nil from Fence it certainly accepts no write any more.
func ExampleNode_Fence() {
	ctx := context.Background()
	n, err := pgnode.New(pgnode.Config{
		Host: host.NewLocal(host.LocalConfig{User: "postgres"}), BinDir: "/usr/lib/postgresql/17/bin", DataDir: "/srv/pg/a",
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := n.Init(ctx, pgnode.InitConfig{Superuser: "postgres", Password: "correct horse"}); err != nil {
		log.Fatal(err)
	}
	if err := n.Start(ctx); err != nil {
		log.Fatal(err)
	}
	if err := n.Fence(ctx); err != nil {
		log.Fatal("promote nobody: ", err)
	}
}
