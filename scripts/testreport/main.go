// Command testreport turns the event stream of "go test -json" on standard input into what a person wants to read: go test's own
// line for each package, everything that a failed test printed, and why a test was skipped.
//
// Its last line reads "N passed, N failed, N skipped"; it counts tests and subtests. A package that fails without a failed test (it
// does not compile, panics, or runs out of time) counts as one failure.
//
// Flags: -strict makes skipped tests an error; -summary FILE also writes the last lines, from the list of failed tests on, to a file.
//
// Exit codes: 0 all well; 1 something failed, was skipped under -strict, or no test ran; 2 the input is no event stream, or the
// summary cannot be written.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("testreport", flag.ContinueOnError)
	flags.SetOutput(stderr)
	strict := flags.Bool("strict", false, "fail when a test was skipped")
	summary := flags.String("summary", "", "also write the summary to `file`")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	r := newReport(stdout)
	if err := r.read(stdin); err != nil {
		fmt.Fprintln(stderr, "testreport:", err)
		return 2
	}
	last, code := r.finish(*strict)
	fmt.Fprint(stdout, last)
	if *summary != "" {
		if err := os.WriteFile(*summary, []byte(last), 0o644); err != nil {
			fmt.Fprintln(stderr, "testreport: write summary:", err)
			return 2
		}
	}
	return code
}

// event is one line of "go test -json", as "go doc test2json" and "go help buildjson" describe it.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output and build-fail
	Test        string
	Output      string
	FailedBuild string
}

// name identifies a test, or with an empty test a package.
type name struct{ pkg, test string }

func (n name) String() string { return strings.TrimSpace(n.pkg + " " + n.test) }

type report struct {
	out io.Writer

	output   map[name]*strings.Builder // printed so far, until the verdict comes
	build    map[string]*strings.Builder
	unhappy  map[string]bool // packages in which a test has failed
	passed   int
	failed   []string
	skipped  []string
	packages struct{ ok, failed int }
}

func newReport(out io.Writer) *report {
	return &report{
		out:     out,
		output:  map[name]*strings.Builder{},
		build:   map[string]*strings.Builder{},
		unhappy: map[string]bool{},
	}
}

// read consumes events until the stream ends. Lines that are no JSON object are passed on: the go command prints some errors plainly.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if line != "" {
			var ev event
			switch {
			case !strings.HasPrefix(line, "{"):
				fmt.Fprint(r.out, line)
			case json.Unmarshal([]byte(line), &ev) != nil:
				return fmt.Errorf("line %d is no test event: %s", n, line)
			default:
				r.event(ev)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
	}
}

func (r *report) event(ev event) {
	id := name{ev.Package, ev.Test}
	switch ev.Action {
	case "output":
		collect(r.output, id, ev.Output)
	case "build-output":
		collect(r.build, ev.ImportPath, ev.Output)
	case "pass", "fail", "skip":
		if ev.Test != "" {
			r.test(id, ev.Action)
		} else {
			r.pkg(id, ev)
		}
		delete(r.output, id)
	}
}

func (r *report) test(id name, verdict string) {
	switch verdict {
	case "pass":
		r.passed++
		return
	case "fail":
		r.failed = append(r.failed, id.String())
		r.unhappy[id.pkg] = true
	case "skip":
		r.skipped = append(r.skipped, id.String())
	}
	fmt.Fprint(r.out, text(r.output, id))
}

// pkg prints what a package leaves at its end. Of one that passed that is go test's closing line; a failed one may have died in
// the middle of tests, whose output then holds the reason.
func (r *report) pkg(id name, ev event) {
	if ev.Action != "fail" {
		if ev.Action == "pass" {
			r.packages.ok++
		}
		fmt.Fprint(r.out, closingLine(text(r.output, id)))
		return
	}
	r.packages.failed++
	if !r.unhappy[id.pkg] {
		r.failed = append(r.failed, id.String())
	}
	if ev.FailedBuild != "" {
		fmt.Fprint(r.out, text(r.build, ev.FailedBuild))
	}
	for unfinished, said := range r.output {
		if unfinished.pkg == id.pkg && unfinished.test != "" {
			fmt.Fprint(r.out, said)
			delete(r.output, unfinished)
		}
	}
	fmt.Fprint(r.out, text(r.output, id))
}

// finish returns the summary and the exit code.
func (r *report) finish(strict bool) (summary string, code int) {
	var out strings.Builder
	for _, test := range r.failed {
		fmt.Fprintf(&out, "failed: %s\n", test)
		code = 1
	}
	for _, test := range r.skipped {
		fmt.Fprintf(&out, "skipped: %s\n", test)
	}
	if strict && len(r.skipped) > 0 {
		fmt.Fprintln(&out, "nothing may be skipped here")
		code = 1
	}
	if r.passed == 0 {
		fmt.Fprintln(&out, "no test has passed")
		code = 1
	}
	fmt.Fprintf(&out, "packages: %d ok, %d failed\n", r.packages.ok, r.packages.failed)
	fmt.Fprintf(&out, "%d passed, %d failed, %d skipped\n", r.passed, len(r.failed), len(r.skipped))
	return out.String(), code
}

func collect[K comparable](to map[K]*strings.Builder, key K, s string) {
	if to[key] == nil {
		to[key] = &strings.Builder{}
	}
	to[key].WriteString(s)
}

func text[K comparable](from map[K]*strings.Builder, key K) string {
	if from[key] == nil {
		return ""
	}
	return from[key].String()
}

// closingLine picks "ok ..." or "? ... [no test files]" out of what a passing package printed.
func closingLine(output string) string {
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
			return line
		}
	}
	return ""
}
