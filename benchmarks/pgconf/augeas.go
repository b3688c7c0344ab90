package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// augeas is augtool with the lenses Postgresql and Pg_Hba.
type augeas struct{}

func (augeas) Name() string { return "augeas" }

func (augeas) Missing() string {
	if _, err := exec.LookPath("augtool"); err != nil {
		return "no augtool, which is in Debian's package augeas-tools"
	}
	return ""
}

// tool runs commands of augtool on a file.
func (augeas) tool(ctx context.Context, path string, commands ...string) (string, error) {
	lens := "Postgresql"
	if strings.Contains(filepath.Base(path), "hba") {
		lens = "Pg_Hba"
	}
	cmd := exec.CommandContext(ctx, "augtool", "--noautoload", "--root", filepath.Dir(path), "--transform", lens+" incl /"+filepath.Base(path))
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	out, err := cmd.Output()
	return string(out), err
}

// node is a line of what augtool prints: a path below the file, and a value.
type node struct{ path, value string }

var printed = regexp.MustCompile(`(?m)^/files/[^/\n]*/((?:[^ \\\n]|\\.)*) = "((?:[^"\\]|\\.)*)"$`)

func (a augeas) nodes(ctx context.Context, path string) ([]node, error) {
	file := "/" + filepath.Base(path)
	out, err := a.tool(ctx, path, "match /augeas/files"+file+"/error", "print /files"+file)
	if err != nil {
		return nil, err
	}
	if strings.Contains(out, "/error = ") || strings.Contains(out, "/error (none)") {
		return nil, errors.New("augeas does not parse it")
	}
	unescape := strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\t`, "\t", `\r`, "\r", `\n`, "\n")
	var all []node
	for _, m := range printed.FindAllStringSubmatch(out, -1) {
		all = append(all, node{m[1], unescape.Replace(m[2])})
	}
	return all, nil
}

func (a augeas) Conf(ctx context.Context, path string) (string, error) {
	nodes, err := a.nodes(ctx, path)
	values := map[string]string{}
	for _, n := range nodes {
		if !strings.Contains(n.path, "#comment") {
			name, _, _ := strings.Cut(n.path, "[")
			values[name] = n.value
		}
	}
	return normalConf(values), err
}

func (a augeas) HBA(ctx context.Context, path string) (string, error) {
	nodes, err := a.nodes(ctx, path)
	var all []rule
	for _, n := range nodes {
		number, field, _ := strings.Cut(n.path, "/")
		field, _, _ = strings.Cut(field, "[")
		if field == "type" {
			all = append(all, rule{kind: n.value})
		}
		if len(all) == 0 || strings.Contains(number, "#comment") {
			continue
		}
		r := &all[len(all)-1]
		switch {
		case strings.HasPrefix(n.path, number+"/method/option") && strings.HasSuffix(n.path, "/value"):
			r.options[len(r.options)-1] += "=" + n.value
		case strings.HasPrefix(n.path, number+"/method/option"):
			r.options = append(r.options, n.value)
		case field == "database":
			r.databases = append(r.databases, n.value)
		case field == "user":
			r.users = append(r.users, n.value)
		case field == "address":
			address := strings.Fields(n.value)
			r.address = address[0]
			if len(address) > 1 {
				r.mask = address[1]
			}
		case field == "method":
			r.method = n.value
		}
	}
	return normalHBA(all), err
}

// Time measures whole runs of augtool, and subtracts those on an empty file.
func (a augeas) Time(ctx context.Context, op operation, path string, about time.Duration) (time.Duration, error) {
	file := "/" + filepath.Base(path)
	empty := filepath.Join(filepath.Dir(path), "empty", filepath.Base(path))
	if err := os.MkdirAll(filepath.Dir(empty), 0o700); err != nil {
		return 0, err
	}
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		return 0, err
	}
	n := 0
	run := func(path string) (time.Duration, error) {
		commands := []string{"match /augeas/files" + file + "/error"}
		if op == editConf {
			n++
			commands = append(commands, fmt.Sprintf("set /files%s/work_mem %dMB", file, 32*(1+n%2)), "save")
		}
		began := time.Now()
		_, err := a.tool(ctx, path, commands...)
		return time.Since(began), err
	}
	whole, err1 := median(func() (time.Duration, error) { return run(path) }, about)
	start, err2 := median(func() (time.Duration, error) { return run(empty) }, about)
	return whole - start, errors.Join(err1, err2)
}

// median returns the middle of the times that fit into the time, of three at least.
func median(run func() (time.Duration, error), about time.Duration) (time.Duration, error) {
	var all []time.Duration
	for began := time.Now(); len(all) < 3 || time.Since(began) < about; {
		took, err := run()
		if err != nil {
			return 0, err
		}
		all = append(all, took)
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}
