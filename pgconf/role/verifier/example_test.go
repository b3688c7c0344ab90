package verifier_test

import (
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/role/verifier"
)

func ExampleSCRAM() {
	stored, err := verifier.SCRAM(`s3cret it's Schlüssel`)
	if err != nil {
		panic(err)
	}
	head, _, _ := strings.Cut(stored, ":") // the rest is random
	fmt.Println("ALTER ROLE replicator PASSWORD '" + head + ":...'")

	_, err = verifier.SCRAM("")
	fmt.Println(err)
	// Output:
	// ALTER ROLE replicator PASSWORD 'SCRAM-SHA-256$4096:...'
	// unusable password: it is empty
}

func ExampleMD5() {
	stored, err := verifier.MD5("secret", "rep")
	fmt.Println(stored, err)
	// Output: md5345dd60f5188c1a9c656482f63d77e69 <nil>
}

func ExampleMatches() {
	const stored = "md5345dd60f5188c1a9c656482f63d77e69" // select rolpassword from pg_authid where rolname = 'rep'
	fmt.Println(verifier.Matches(stored, "rep", "secret"))
	fmt.Println(verifier.Matches(stored, "rep", "Secret"))
	// Output:
	// true
	// false
}
