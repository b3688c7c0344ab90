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
