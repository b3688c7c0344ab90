package laws_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/laws"
	"github.com/understudy-ha/understudy/pgconf/internal/unified/unifiedtest"
)

// FuzzParsePrint: parse then print is identity, for any bytes; nothing was changed, and every setting is where it says.
func FuzzParsePrint(f *testing.F) {
	f.Add([]byte("a = 'x\x00y'\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > laws.Longest {
			return
		}
		file, _ := pgconf.Parse("f", b)
		if got := file.Bytes(); !bytes.Equal(got, b) {
			t.Fatalf("got %q, want %q", got, b)
		}
		if diff := file.Diff(); diff != "" {
			t.Fatalf("diff %q", diff)
		}
		all := file.Settings()
		if len(all) == 0 {
			return
		}
		lines := strings.SplitAfter(string(b), "\n")
		for _, s := range all {
			if !strings.HasPrefix(lines[s.Line-1][s.Col-1:], s.Spelling) {
				t.Fatalf("%q is not at %d:%d of %q", s.Spelling, s.Line, s.Col, b)
			}
		}
		last := all[len(all)-1]
		if got, ok := file.Get(strings.ToUpper(last.Name)); got != last && (ok || isASCII(last.Name)) {
			t.Fatalf("got %v, want %v", got, last)
		}
	})
}

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 }

// verb is one of the edits, and the most lines that it may take away and add. were are the lines that set the name before.
type verb struct {
	name         string
	edit         func(f *pgconf.File, name, value string) error
	removed, add func(were int) int
	sets         bool
}

var verbs = []verb{
	{"Set", (*pgconf.File).Set, atMost(1), atMost(1), true},
	{"SetKeeping", (*pgconf.File).SetKeeping, atMost(1), atMost(2), true},
	{"InsertAfter", func(f *pgconf.File, name, value string) error { return f.InsertAfter("a", name, value) }, atMost(1), atMost(1), true},
	{"SetAll", func(f *pgconf.File, name, value string) error {
		return f.SetAll(map[string]string{name: value})
	}, atMost(1), atMost(1), true},
	{"Comment", (*pgconf.File).Comment, all, all, false},
	{"Unset", func(f *pgconf.File, name, _ string) error { return f.Unset(name) }, all, all, false},
	{"Rename", (*pgconf.File).Rename, all, all, false},
	{"SetBlock", func(f *pgconf.File, name, value string) error {
		_, err := f.SetBlock("m", []pgconf.Setting{{Name: name, Value: value}})
		return err
	}, nil, nil, false},
}

func atMost(n int) func(int) int { return func(int) int { return n } }

func all(were int) int { return were }

// FuzzEdit: an edit that is refused changes nothing. Another one changes or adds the lines it is about only; the same edit
// twice changes nothing the second time; the file reads back as the edited one reads, with the same errors; the diff makes of the
// old text the new one; what Set was given, Get returns; what Unset took away, Set with the same value brings back; a
// block can be removed again.
func FuzzEdit(f *testing.F) {
	f.Add([]byte("# BEGIN managed block m\n# END managed block m\na=1"), uint8(7), "a", "1")
	f.Add([]byte("# END managed block m\n"), uint8(7), "a", "1")
	f.Fuzz(func(t *testing.T, b []byte, which uint8, name, value string) {
		if len(b)+len(name)+len(value) > laws.Longest {
			return
		}
		v := verbs[int(which)%len(verbs)]
		file, parseErr := pgconf.Parse("f", b)
		were := count(file, name)
		err := v.edit(file, name, value)
		edited := file.Bytes()
		if err != nil {
			if !bytes.Equal(edited, b) {
				t.Fatalf("%s refused with %v, but changed the file", v.name, err)
			}
			return
		}
		checkLocal(t, v, were, b, edited, file.Diff())
		again, againErr := pgconf.Parse("f", edited)
		if !slices.Equal(file.Settings(), again.Settings()) || countErrors(parseErr) != countErrors(againErr) {
			t.Fatalf("%s: %q reads back as\n%v, not\n%v", v.name, edited, again.Settings(), file.Settings())
		}
		for _, f := range []*pgconf.File{file, again} {
			if err := v.edit(f, name, value); err != nil || !bytes.Equal(f.Bytes(), edited) {
				t.Fatalf("second %s: %v\n%q\n%q", v.name, err, edited, f.Bytes())
			}
		}
		switch {
		case v.sets:
			checkWinner(t, again, name, value)
			checkUnset(t, again, name, value)
		case v.name == "Comment" || v.name == "Unset":
			if count(again, name) > 0 {
				t.Fatalf("still set: %q", edited)
			}
		case v.name == "Rename" && !strings.EqualFold(name, value):
			if count(again, name) > 0 || count(again, value) < were {
				t.Fatalf("not renamed: %q", edited)
			}
		case v.name == "SetBlock":
			checkBlock(t, b, again, name, value)
		}
	})
}

// checkLocal looks at the diff of an edit.
func checkLocal(t *testing.T, v verb, were int, b, edited []byte, diff string) {
	t.Helper()
	if got := unifiedtest.Apply(t, string(b), diff); got != string(edited) {
		t.Fatalf("%s: the diff makes %q of %q, not %q:\n%s", v.name, got, b, edited, diff)
	}
	if v.removed == nil {
		return
	}
	removed, added := max(strings.Count(diff, "\n-")-1, 0), max(strings.Count(diff, "\n+")-1, 0)
	if len(b) > 0 && b[len(b)-1] != '\n' && bytes.HasSuffix(edited, []byte("\n")) { // the open line got an end
		removed, added = removed-1, added-1
	}
	if removed > v.removed(were) || added > v.add(were) {
		t.Fatalf("%s of %q:\n%s", v.name, b, diff)
	}
}

func countErrors(err error) int {
	var all pgconf.SyntaxErrors
	errors.As(err, &all)
	return len(all)
}

// count returns how many lines set the name.
func count(file *pgconf.File, name string) int {
	n := 0
	won, _ := file.Get(name)
	for _, s := range file.Settings() {
		if s.Name == won.Name {
			n++
		}
	}
	return n
}

func checkWinner(t *testing.T, file *pgconf.File, name, value string) {
	t.Helper()
	if got, ok := file.Get(name); !ok || got.Value != value {
		t.Fatalf("Get %q: got %q (%v), want %q, in %q", name, got.Value, ok, value, file.Bytes())
	}
}

func checkUnset(t *testing.T, file *pgconf.File, name, value string) {
	t.Helper()
	if err := file.Unset(name); err != nil {
		t.Fatal(err)
	}
	if _, ok := file.Get(name); ok {
		t.Fatalf("still set: %q", file.Bytes())
	}
	if err := file.Set(name, value); err != nil {
		t.Fatal(err)
	}
	checkWinner(t, file, name, value)
}

func checkBlock(t *testing.T, was []byte, file *pgconf.File, name, value string) {
	t.Helper()
	got, ok, err := file.Block("m")
	if err != nil || !ok || len(got) != 1 || got[0].Spelling != name || got[0].Value != value {
		t.Fatalf("block %v, %v, %v in %q", got, ok, err, file.Bytes())
	}
	if err := file.RemoveBlock("m"); err != nil {
		t.Fatal(err)
	}
	if had, _ := pgconf.Parse("f", was); !hasBlock(had) && !bytes.Equal(file.Bytes(), was) {
		t.Fatalf("removed again: %q, was %q", file.Bytes(), was)
	}
}

func hasBlock(file *pgconf.File) bool {
	_, ok, _ := file.Block("m")
	return ok
}
