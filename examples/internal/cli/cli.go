// Package cli is what the example programs have in common: how they begin, and how they read their command line.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Main is a whole program: run with the process's arguments and streams, and a context that ends with SIGINT, SIGTERM or SIGHUP. The
// process exits with what run returns.
func Main(run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// ErrHelped is returned by [Parse] when it has printed what --help asks for; then nothing is left to do.
var ErrHelped = errors.New("help was printed")

// Parse reads args, without the program's name, into the struct that grammar points to, whose tags are kong's.
func Parse(name string, grammar any, args []string, stdout, stderr io.Writer, options ...kong.Option) (*kong.Context, error) {
	helped := false
	options = append(options, kong.Name(name), kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true })) // only --help ends the parser
	parser, err := kong.New(grammar, options...)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(args)
	if helped {
		return nil, ErrHelped
	}
	return parsed, err
}
