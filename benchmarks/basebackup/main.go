// Command basebackup times this module's base backups beside pg_basebackup, in one run: the same server, the same disk, in turn.
//
//	go run . -size 2048 -runs 3
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/basebackup"
)

func main() {
	if order := os.Getenv(childEnv); order != "" {
		os.Exit(child(order))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// config is what is measured.
type config struct {
	sizeMiB  int
	runs     int
	dir      string
	manifest string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("basebackup", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var c config
	flags.IntVar(&c.sizeMiB, "size", 2048, "MiB of tables")
	flags.IntVar(&c.runs, "runs", 3, "copies by each program")
	flags.StringVar(&c.dir, "dir", os.TempDir(), "where to put the server and its copies, which need three times the size")
	flags.StringVar(&c.manifest, "manifest", "CRC32C", "checksums of the manifest: CRC32C or SHA256")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := compare(ctx, c, stdout); err != nil {
		fmt.Fprintln(stderr, "benchmark:", err)
		return 1
	}
	return 0
}

// copier makes copies.
type copier struct {
	name    string
	command func(ctx context.Context, target string) *exec.Cmd
	times   []time.Duration
	memory  int64 // bytes, the most of all runs
}

func compare(ctx context.Context, c config, out io.Writer) error {
	s, err := startServer(ctx, c)
	if err != nil {
		return err
	}
	defer s.stop()
	size, err := dirSize(s.path("data"))
	if err != nil {
		return err
	}
	copiers := []*copier{{name: "understudy", command: s.ours}, {name: "pg_basebackup", command: s.theirs}}
	for range c.runs {
		for _, by := range copiers {
			if err := by.measure(ctx, s.path("copy")); err != nil {
				return fmt.Errorf("%s: %w", by.name, err)
			}
		}
		slices.Reverse(copiers) // whoever is first waits for what the disk still does
	}
	slices.SortFunc(copiers, func(a, b *copier) int { return strings.Compare(b.name, a.name) }) // ours first
	return report(out, s, c, size, copiers)
}

func report(out io.Writer, s *server, c config, size int64, copiers []*copier) error {
	fmt.Fprintf(out, "PostgreSQL %d, %d MiB, checksums of pages, manifest with %s, WAL streamed, fsync; %d copies each, in turn\n", s.major, size>>20, c.manifest, c.runs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "by\tmedian\tfastest\tMB/s\tthroughput\tpeak memory")
	theirs := median(copiers[len(copiers)-1].times)
	for _, by := range copiers {
		m := median(by.times)
		fmt.Fprintf(w, "%s\t%v\t%v\t%.0f\t%.2f\t%.0f MiB\n", by.name, m.Round(time.Millisecond), slices.Min(by.times).Round(time.Millisecond),
			float64(size)/m.Seconds()/1e6, float64(theirs)/float64(m), float64(by.memory)/(1<<20))
	}
	return w.Flush()
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// measure makes a copy and removes it.
func (c *copier) measure(ctx context.Context, target string) error {
	if out, err := exec.CommandContext(ctx, "sync").CombinedOutput(); err != nil {
		return fmt.Errorf("sync: %w\n%s", err, out)
	}
	cmd := c.command(ctx, target)
	log, err := os.Create(target + ".log")
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-time.After(20 * time.Millisecond):
			c.memory = max(c.memory, peak(cmd.Process.Pid))
		}
	}
	c.times = append(c.times, time.Since(begin))
	if err != nil {
		text, _ := os.ReadFile(target + ".log")
		return fmt.Errorf("%w\n%s", err, text)
	}
	return os.RemoveAll(target)
}

// peak is the most memory that a running process had resident, in bytes.
func peak(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it has ended
	}
	return highWater(string(text))
}

// childEnv holds, in a process that is measured, what it is to copy.
const childEnv = "UNDERSTUDY_BENCHMARK_BASEBACKUP"

// order is what a child does.
type order struct{ Source, Target, Manifest string }

func child(text string) int {
	err := func() error {
		var o order
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			return err
		}
		source, err := conninfo.Parse(o.Source)
		if err != nil {
			return err
		}
		options := basebackup.Options{Target: o.Target}
		switch o.Manifest {
		case basebackup.CRC32C.String():
		case basebackup.SHA256.String():
			options.Manifest = basebackup.SHA256
		default:
			return errors.New("no such checksum: " + o.Manifest)
		}
		_, err = basebackup.Run(context.Background(), source, options)
		return err
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// dirSize adds up the files of a data directory, its WAL not counted.
func dirSize(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() && d.Name() == "pg_wal" {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
