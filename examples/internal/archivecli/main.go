package archivecli

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Main is the whole program: [Run] with the process's arguments, streams and signals, then exit.
func Main() {
	// What the runtime itself finds fatal should end by SIGABRT, which stops a recovery, and not with exit
	// code 2, which ends it.
	debug.SetTraceback("crash")
	signal.Ignore(syscall.SIGPIPE) // a lost log pipe is no reason to die half-way
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	go func() {
		s := (<-signals).(syscall.Signal)
		cancel(signalError{s})
	}()
	a := newApp(os.Stdout, os.Stderr)
	if self, err := os.Executable(); err == nil {
		a.self = self
	}
	os.Exit(a.run(ctx, os.Args[1:]))
}

// signalError is the cause of a context that a signal ended.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return "stopped by signal: " + e.signal.String() }
