// Command pgconf times this module's reading, editing and matching of PostgreSQL's configuration files beside other programs that
// read them, in one run, and asks a real server who reads a list of tricky lines right. See README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// reader is one of the programs compared.
type reader interface {
	// Name is short.
	Name() string

	// Missing says what this machine lacks to run it, or nothing.
	Missing() string

	// Conf and HBA return what it makes of a file, in the form of normal.go.
	Conf(ctx context.Context, path string) (string, error)
	HBA(ctx context.Context, path string) (string, error)

	// Time returns how long an operation takes on a file, reading it from the disk included, measured for about that long.
	Time(ctx context.Context, op operation, path string, about time.Duration) (time.Duration, error)
}

// operation is what is timed.
type operation string

const (
	readConf operation = "read postgresql.conf"
	editConf operation = "set work_mem there"
	readHBA  operation = "read pg_hba.conf"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("pgconf", flag.ContinueOnError)
	flags.SetOutput(stderr)
	about := flags.Duration("time", 2*time.Second, "how long to measure each number")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := compare(ctx, *about, stdout); err != nil {
		fmt.Fprintln(stderr, "benchmark:", err)
		return 1
	}
	return 0
}

func compare(ctx context.Context, about time.Duration, out io.Writer) error {
	judge, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer judge.stop()
	dir, err := os.MkdirTemp("", "benchmark")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var readers []reader
	for _, r := range []reader{ours{judge.major}, common{}, augeas{}} {
		if what := r.Missing(); what != "" {
			fmt.Fprintf(out, "%s is left out: %s\n", r.Name(), what)
			continue
		}
		readers = append(readers, r)
	}
	verdicts, err := judgeAll(ctx, judge, readers, dir)
	if err != nil {
		return err
	}
	if err := times(ctx, readers, verdicts, judge, dir, about, out); err != nil {
		return err
	}
	printVerdicts(out, judge, readers, verdicts)
	return nil
}

// rules is the number of rules in the pg_hba.conf that is timed.
const rules = 10_000

// times prints the table of times.
func times(ctx context.Context, readers []reader, verdicts []verdict, judge *server, dir string, about time.Duration, out io.Writer) error {
	conf, hba := filepath.Join(dir, "postgresql.conf"), filepath.Join(dir, "pg_hba.conf")
	if err := os.WriteFile(conf, judge.sample, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(hba, manyRules(), 0o600); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "operation\tby\ttime\tMB/s\ttimes ours\ttricky lines read as the server does")
	for _, op := range []struct {
		operation
		path, size string
	}{
		{readConf, conf, fmt.Sprintf("%d lines", lines(judge.sample))},
		{editConf, conf, "same file"},
		{readHBA, hba, fmt.Sprintf("%d rules", rules)},
	} {
		info, err := os.Stat(op.path)
		if err != nil {
			return err
		}
		var first time.Duration
		for _, r := range readers {
			took, err := r.Time(ctx, op.operation, op.path, about)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", r.Name(), op.operation, err)
			}
			if first == 0 {
				first = took
			}
			right, all := score(op.operation, r, verdicts)
			fmt.Fprintf(w, "%s, %s\t%s\t%s\t%.1f\t%.1f\t%d of %d\n", op.operation, op.size, r.Name(), round(took),
				float64(info.Size())/took.Seconds()/1e6, float64(took)/float64(first), right, all)
		}
	}
	each, err := timeMatch(hba, judge.major, about)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "match a connection, per rule passed\tunderstudy\t%s\t\t1.0\t\n", each)
	return w.Flush()
}

// round keeps three digits.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
