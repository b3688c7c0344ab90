package role_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/pgconf/role"
)

// A role for two standbys and a base backup at a time.
func ExampleEnsureReplicationRole() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, "host=/var/run/postgresql user=postgres dbname=postgres")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close(ctx)
	result, err := role.EnsureReplicationRole(ctx, conn, role.Spec{Name: "replicator", Password: "it's secret", ConnLimit: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Created, result.Changed, result.Warnings)
}

// What cannot be done is said before the server is asked.
func ExampleEnsureReplicationRole_refused() {
	_, err := role.EnsureReplicationRole(context.Background(), nil, role.Spec{Password: "it's secret"})
	fmt.Println(err)
	// Output: replication role: Name is empty
}

func ExampleSpec() {
	spec := role.Spec{Name: "replicator", Password: "it's secret", ValidUntil: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	fmt.Printf("%+v", spec)
	// Output: role "replicator", connection limit -1, valid until 2030-01-01 00:00:00+00, password set
}
