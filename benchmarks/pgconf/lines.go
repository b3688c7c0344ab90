package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// What PostgreSQL 18 takes, and people write, and readers get wrong; and what it does not take.
var (
	confLines = []string{
		"work_mem 4MB",
		"Work_Mem=4MB # comment",
		"work_mem = '4MB'\t# it's a comment",
		"work_mem = 4MB\r\n",
		"work_mem = 4MB\nwork_mem = 8MB",
		`log_line_prefix = 'it''s'`,
		`log_line_prefix = 'it\'s'`,
		`log_line_prefix = 'a\tb\101'`,
		`log_line_prefix = '%m # %p'`,
		`log_line_prefix = ''`,
		"my$app.x = 1",
		"seq_page_cost = .5",
		"work_mem",
		"work_mem = 4MB 8MB",
		"work_mem = '4MB",
		"= 4MB",
	}
	hbaLines = []string{
		"host all all 10.0.0.0 255.0.0.0 md5",
		"host a,b u,v samenet scram-sha-256",
		"host a, b u 10.0.0.0/8 md5",
		`host "my db" "my user" 10.0.0.0/8 md5`,
		`host all +group,"a,b" 10.0.0.0/8 md5`,
		"host all all ::1/128 trust",
		"host all all .example.com md5",
		"local all all peer map=x # comment",
		`local all all peer map="my map"`,
		"hostnossl all all all reject",
		"host all /^a.*$ all md5",
		"host all all all \\\n  md5",
		"host all all 10.0.0.1 md5",
		"host all all 10.0.0.0/33 md5",
		"HOST all all all md5",
		"local all all",
	}
)

// failed is what stands for a line that is refused.
const failed = "an error"

// verdict is what the server and each reader make of a line.
type verdict struct {
	hba     bool
	line    string
	server  string
	readers map[string]string // by name
}

func (v verdict) right(r reader) bool { return v.readers[r.Name()] == v.server }

// judgeAll shows every line to everybody.
func judgeAll(ctx context.Context, judge *server, readers []reader, dir string) ([]verdict, error) {
	var all []verdict
	for i, line := range append(append([]string{}, confLines...), hbaLines...) {
		v := verdict{hba: i >= len(confLines), line: line, readers: map[string]string{}}
		text := []byte(strings.TrimSuffix(line, "\n") + "\n")
		ask, name := judge.conf, "postgresql.conf"
		if v.hba {
			ask, name = judge.hba, "pg_hba.conf"
		}
		var err error
		if v.server, err = ask(ctx, text); err != nil {
			return nil, fmt.Errorf("ask the server about %q: %w", line, err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, err
		}
		for _, r := range readers {
			read := r.Conf
			if v.hba {
				read = r.HBA
			}
			got, err := read(ctx, path)
			if err != nil {
				got = failed
			}
			v.readers[r.Name()] = got
		}
		all = append(all, v)
	}
	return all, errors.Join(ctx.Err())
}

// score counts the lines that a reader reads as the server does, of how many.
func score(op operation, r reader, verdicts []verdict) (right, all int) {
	for _, v := range verdicts {
		if v.hba == (op == readHBA) {
			all++
			if v.right(r) {
				right++
			}
		}
	}
	return right, all
}

func printVerdicts(out io.Writer, judge *server, readers []reader, verdicts []verdict) {
	fmt.Fprintf(out, "\nread as PostgreSQL %s does?\n", judge.major)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "line\tthe server reads")
	for _, r := range readers {
		fmt.Fprint(w, "\t", r.Name())
	}
	fmt.Fprintln(w)
	for _, v := range verdicts {
		fmt.Fprint(w, show(v.line), "\t", show(v.server))
		for _, r := range readers {
			if v.right(r) {
				fmt.Fprint(w, "\tyes")
			} else {
				fmt.Fprint(w, "\tno: ", show(v.readers[r.Name()]))
			}
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
}

var controls = strings.NewReplacer("\t", `\t`, "\r", `\r`, "\n", `\n`)

func show(s string) string { return controls.Replace(s) }

// manyRules returns a pg_hba.conf.
func manyRules() []byte {
	var b bytes.Buffer
	for i := range rules {
		fmt.Fprintf(&b, "host    app%-3d         user%-6d      10.%d.%d.0/24           scram-sha-256\n", i%100, i, i>>8, i&255)
	}
	return b.Bytes()
}

func lines(text []byte) int { return bytes.Count(text, []byte("\n")) }
