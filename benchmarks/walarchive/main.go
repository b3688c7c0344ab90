// Command walarchive times this module's WAL archive beside the programs that people use, in one run: the same segments of a real
// server, on the same disk, in turn. See benchmarks/README.md.
//
//	go run ./benchmarks/walarchive -parts push,fetch -rounds 2
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// config is what is measured.
type config struct {
	dir      string
	parts    []string
	segments int           // that are full of WAL
	switched int           // that hold 200 KiB of WAL
	rounds   int           // times that each segment is taken where calls make the pairs
	passes   int           // times that all segments are taken where passes make the pairs
	workers  int           // of ours and of pgBackRest where they work ahead
	pause    time.Duration // between two calls, where there is any
	many     int           // segments of the archive that is listed and cleaned
	brief    bool          // only to see that it works: fewer encodings, and our command built as "go build" does it
}

// part is a part of the benchmark.
type part struct {
	name    string
	measure func(ctx context.Context) error
}

func (b *bench) parts() []part {
	return []part{
		{"push", b.push},
		{"ahead", b.ahead},
		{"fetch", b.fetch},
		{"care", b.care},
		{"start", b.start},
		{"cpu", b.cpu},
		{"memory", b.memory},
		{"receive", b.receive},
	}
}

func partNames() []string {
	var names []string
	for _, p := range new(bench).parts() {
		names = append(names, p.name)
	}
	return names
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("walarchive", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var c config
	var chosen string
	all := strings.Join(partNames(), ",")
	flags.StringVar(&c.dir, "dir", os.TempDir(), "where to put the server, its WAL and the archives, which need 150 MiB for each segment")
	flags.StringVar(&chosen, "parts", all, "what to measure")
	flags.IntVar(&c.segments, "segments", 64, "segments full of WAL")
	flags.IntVar(&c.switched, "switched", 16, "segments with 200 KiB of WAL")
	flags.IntVar(&c.rounds, "rounds", 1, "times that each segment is taken where calls make the pairs")
	flags.IntVar(&c.passes, "passes", 3, "times that all segments are taken where passes make the pairs")
	flags.IntVar(&c.workers, "workers", 2, "how much is done at once by what works ahead")
	flags.DurationVar(&c.pause, "pause", 50*time.Millisecond, "time between two calls, where there is any, such as a server's replay of a segment")
	flags.IntVar(&c.many, "many", 100_000, "segments of the archive that is listed and cleaned")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	c.parts = strings.Split(chosen, ",")
	for _, name := range c.parts {
		if !slices.Contains(partNames(), name) {
			fmt.Fprintf(stderr, "benchmark: -parts: %q is none of %s\n", name, all)
			return 2
		}
	}
	if c.segments < 2 || c.switched < 1 || c.rounds < 1 || c.passes < 1 || c.workers < 1 || c.many < 2 {
		fmt.Fprintln(stderr, "benchmark: -segments and -many must be at least 2, -switched, -rounds, -passes and -workers at least 1")
		return 2
	}
	if err := measure(ctx, c, stdout); err != nil {
		fmt.Fprintln(stderr, "benchmark:", err)
		return 1
	}
	return 0
}

// bench is one run of the benchmark.
type bench struct {
	config
	*world
	report *report
	absent map[string]bool // programs that are not there, or do not work here
}

func measure(ctx context.Context, c config, out io.Writer) error {
	w, err := newWorld(ctx, c)
	if err != nil {
		return err
	}
	defer w.close()
	b := &bench{config: c, world: w, report: &report{out: out}}
	b.findPeers(ctx)
	fmt.Fprintf(out, "PostgreSQL %d, %d segments, %d processors, files in %s\n", w.Major, c.segments, runtime.NumCPU(), c.dir)
	for _, p := range b.parts() {
		if !slices.Contains(c.parts, p.name) {
			continue
		}
		if err := p.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return b.report.end()
}
