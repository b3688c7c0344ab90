//go:build unix

package host_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/topology/host"
)

func Example() {
	ctx := context.Background()
	var h host.Host = host.NewLocal(host.LocalConfig{})
	res, err := h.Run(ctx, host.Cmd{Path: "sort", Stdin: strings.NewReader("standby\nprimary\n")})
	fmt.Printf("%s%v\n", res.Stdout, err)

	_, err = h.Run(ctx, host.Cmd{
		Path: "sh",
		Args: []string{"-c", `echo "password ${#PGPASSWORD} characters long refused" >&2; exit 2`},
		Env:  []string{"PGPASSWORD=secret"},
	})
	var exit *host.ExitError
	if errors.As(err, &exit) {
		fmt.Println(exit.Code, exit.Stderr)
	}
	// Output:
	// primary
	// standby
	// <nil>
	// 2 password 6 characters long refused
}
