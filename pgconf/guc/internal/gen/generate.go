package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// row is a line of a table, by the names of the columns. \N, the null of the tables, is the empty string.
type row map[string]string

// columns are those of catalogue.tsv that follow name and majors, in the words of pg_settings.
var columns = []string{"vartype", "unit", "context", "boot_val", "min_val", "max_val", "enumvals", "flags", "category"}

// generate returns the text of catalogue.tsv: for each parameter one line for each run of majors that agree about it.
func generate(files fs.FS) ([]byte, error) {
	majors := map[pgconf.Major]map[string]row{}
	for m := pgconf.Oldest; m <= pgconf.Newest; m++ {
		table, err := read(files, m.String())
		if err != nil {
			return nil, err
		}
		majors[m] = map[string]row{}
		for _, r := range table {
			r["flags"] = "" // what the server says there is not in all majors
			r["enumvals"] = strings.ReplaceAll(strings.Trim(r["enumvals"], "{}"), `"`, "")
			majors[m][r["name"]] = r
		}
	}
	err := errors.Join(
		each(files, "added", majors, add),
		each(files, "corrections", majors, correct),
		each(files, "words", majors, addWord),
	)
	return render(majors), err
}

// read returns the rows of a table.
func read(files fs.FS, name string) ([]row, error) {
	b, err := fs.ReadFile(files, "data/"+name+".tsv")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	head := strings.Split(lines[0], "\t")
	var rows []row
	for i, line := range lines[1:] {
		fields := strings.Split(line, "\t")
		if len(fields) != len(head) {
			return nil, fmt.Errorf("%s.tsv:%d: %d fields, want %d", name, i+2, len(fields), len(head))
		}
		r := row{}
		for i, f := range fields {
			if f != `\N` {
				r[head[i]] = f
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// each applies the rows of a hand-made table to the majors they name.
func each(files fs.FS, name string, majors map[pgconf.Major]map[string]row, apply func(table map[string]row, r row) error) error {
	rows, err := read(files, name)
	if err != nil {
		return err
	}
	for _, r := range rows {
		first, last, err := span(r["majors"])
		if err != nil {
			return fmt.Errorf("%s.tsv: %w", name, err)
		}
		for m := first; m <= last; m++ {
			if err := apply(majors[m], r); err != nil {
				return fmt.Errorf("%s.tsv, major %s: %w", name, m, err)
			}
		}
	}
	return nil
}

// span reads "9.5-17", or "9.5-" for 9.5 and all later ones.
func span(s string) (first, last pgconf.Major, err error) {
	from, to, _ := strings.Cut(s, "-")
	if first, err = pgconf.ParseMajor(from); err != nil || to == "" {
		return first, pgconf.Newest, err
	}
	last, err = pgconf.ParseMajor(to)
	return first, last, err
}

func add(table map[string]row, r row) error {
	if table[r["name"]] != nil {
		return fmt.Errorf("the server lists %s itself", r["name"])
	}
	table[r["name"]] = maps.Clone(r)
	return nil
}

func correct(table map[string]row, r row) error {
	p := table[r["parameter"]]
	switch {
	case p == nil:
		return fmt.Errorf("there is no %s", r["parameter"])
	case r["column"] == "flags":
		p["flags"] = join(p["flags"], r["value"])
	default:
		p[r["column"]] = r["value"]
	}
	return nil
}

// addWord adds a word to an enum, or says what it is shown as: word for a listed one, word>shown for an alias, followed by !
// if the server does not list it and by ? if it varies.
func addWord(table map[string]row, r row) error {
	p := table[r["parameter"]]
	if p == nil || p["vartype"] != "enum" {
		return fmt.Errorf("there is no enum %s", r["parameter"])
	}
	words := strings.Split(p["enumvals"], ",")
	i := slices.Index(words, r["word"])
	entry := r["word"]
	if r["shown"] != r["word"] {
		entry += ">" + r["shown"]
	}
	switch {
	case r["kind"] == "varies":
		entry += "?"
	case i < 0:
		entry += "!"
	}
	if i < 0 {
		words = append(words, entry)
	} else {
		words[i] = entry
	}
	p["enumvals"] = strings.Join(words, ",")
	return nil
}

func join(list, word string) string {
	if list == "" {
		return word
	}
	return list + "," + word
}

func render(majors map[pgconf.Major]map[string]row) []byte {
	names := map[string]bool{}
	for _, table := range majors {
		for name := range table {
			names[name] = true
		}
	}
	var b bytes.Buffer
	b.WriteString("name\tmajors\t" + strings.Join(columns, "\t") + "\n")
	byFolded := func(x, y string) int { return strings.Compare(strings.ToLower(x), strings.ToLower(y)) }
	for _, name := range slices.SortedFunc(maps.Keys(names), byFolded) {
		first, facts := pgconf.Oldest, ""
		for m := pgconf.Oldest; m <= pgconf.Newest+1; m++ {
			now := ""
			if r := majors[m][name]; r != nil {
				now = line(r)
			}
			if now == facts {
				continue
			}
			if facts != "" {
				fmt.Fprintf(&b, "%s\t%s-%s\t%s\n", name, first, m-1, facts)
			}
			first, facts = m, now
		}
	}
	return b.Bytes()
}

func line(r row) string {
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = r[c]
	}
	return strings.Join(fields, "\t")
}
