package role_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/role"
)

func ExampleNewVerifier() {
	verifier, err := role.NewVerifier(`s3cret it's`)
	if err != nil {
		panic(err)
	}
	head, _, _ := strings.Cut(verifier, ":") // the rest is random
	fmt.Println("ALTER ROLE replicator PASSWORD '" + head + ":...'")

	_, err = role.NewVerifier("Schlüssel")
	fmt.Println(errors.Is(err, role.ErrPassword), err)
	// Output:
	// ALTER ROLE replicator PASSWORD 'SCRAM-SHA-256$4096:...'
	// true unusable password: use one or more printable ASCII characters
}
