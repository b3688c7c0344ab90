package pgconf_test

import (
	"bytes"
	"testing"

	"github.com/understudy-ha/understudy/pgconf"
)

func addVectors(f *testing.F, add func(line string)) {
	for _, v := range vectors {
		add(v.line)
		add("# c\r\n" + v.line + "   # c\r\n#a = 1\n")
	}
	add("\uFEFFa = 1")
	add("a = 'x\x00y'\n")
}

// FuzzParsePrint: parse then print is identity, for any bytes.
func FuzzParsePrint(f *testing.F) {
	addVectors(f, func(line string) { f.Add([]byte(line)) })
	f.Fuzz(func(t *testing.T, b []byte) {
		file, _ := pgconf.Parse("f", b)
		if got := file.Bytes(); !bytes.Equal(got, b) {
			t.Fatalf("got %q, want %q", got, b)
		}
	})
}

// FuzzSetLocality: an edit changes or appends one line only; the same edit twice changes nothing; what Set was given, Get
// returns, also after the file has been read again; what Unset took away, Set with the same value brings back.
func FuzzSetLocality(f *testing.F) {
	addVectors(f, func(line string) {
		f.Add([]byte(line), "a", "it's \\ new\n")
		f.Add([]byte(line), "A", "1")
		f.Add([]byte(line), "b.c", "")
	})
	f.Fuzz(func(t *testing.T, b []byte, name, value string) {
		file, _ := pgconf.Parse("f", b)
		had := len(file.Settings())
		if err := file.Set(name, value); err != nil {
			if !bytes.Equal(file.Bytes(), b) {
				t.Fatalf("Set refused with %v, but changed the file", err)
			}
			return
		}
		edited := file.Bytes()
		changed := changedLines(b, edited)
		if changed > 1 {
			t.Fatalf("%d lines changed:\n%q\n%q", changed, b, edited)
		}
		checkWinner(t, file, name, value)
		if err := file.Set(name, value); err != nil || !bytes.Equal(file.Bytes(), edited) {
			t.Fatalf("second Set: %v\n%q\n%q", err, edited, file.Bytes())
		}
		again, _ := pgconf.Parse("f", edited)
		checkWinner(t, again, name, value)
		if n := len(again.Settings()); n < had || n > had+1 {
			t.Fatalf("%d settings, had %d", n, had)
		}
		checkUnset(t, again, name, value)
	})
}

func checkWinner(t *testing.T, file *pgconf.File, name, value string) {
	t.Helper()
	if got, ok := file.Get(name); !ok || got.Value != value {
		t.Fatalf("Get %q: got %q (%v), want %q, in %q", name, got.Value, ok, value, file.Bytes())
	}
}

func checkUnset(t *testing.T, file *pgconf.File, name, value string) {
	t.Helper()
	was := file.Bytes()
	n := 0
	for _, s := range file.Settings() {
		if got, _ := file.Get(name); s.Name == got.Name {
			n++
		}
	}
	if err := file.Unset(name); err != nil {
		t.Fatal(err)
	}
	if _, ok := file.Get(name); ok {
		t.Fatalf("still set: %q", file.Bytes())
	}
	if changed := changedLines(was, file.Bytes()); changed != n {
		t.Fatalf("Unset changed %d lines of %d", changed, n)
	}
	if err := file.Set(name, value); err != nil {
		t.Fatal(err)
	}
	checkWinner(t, file, name, value)
}

// changedLines counts the lines that differ. A line end that an append had to add does not count.
func changedLines(before, after []byte) int {
	x, y := bytes.SplitAfter(before, []byte("\n")), bytes.SplitAfter(after, []byte("\n"))
	changed := 0
	for i := range max(len(x), len(y)) {
		switch {
		case i >= len(x):
			if len(y[i]) > 0 {
				changed++
			}
		case i >= len(y):
			changed++
		case i == len(x)-1 && len(y) > len(x) && bytes.Equal(bytes.TrimRight(y[i], "\r\n"), bytes.TrimRight(x[i], "\r\n")):
		case !bytes.Equal(x[i], y[i]):
			changed++
		}
	}
	return changed
}
