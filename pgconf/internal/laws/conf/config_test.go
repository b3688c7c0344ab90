package laws_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/laws"
)

// FuzzConfigSet: after Set, Get returns the value, and so it does after the changed files have been loaded again; a second Set changes
// nothing; after Unset there is none. An edit that is refused changes nothing.
func FuzzConfigSet(f *testing.F) {
	f.Add([]byte("a=1\ninclude 'i'\n#b = 2"), []byte("include_dir d\nA=2"), []byte("a = 3 # c\r\n"), []byte("c='1'\n"), "a", "it's")
	f.Add([]byte("include i\ninclude i"), []byte("a=1"), []byte(""), []byte("a=2"), "a", "3")
	f.Add([]byte("b b b\na=1"), []byte("include postgresql.conf"), []byte("\xef\xbb\xbfa=1"), []byte("include d/x.conf"), "B", "")
	f.Add([]byte("data_directory='/d'\ninclude_if_exists x"), []byte("a="), []byte("a='\x00'"), []byte("#"), "data_directory", "/x")
	f.Fuzz(func(t *testing.T, main, included, inFolder, auto []byte, name, value string) {
		texts := map[string][]byte{"postgresql.conf": main, "i": included, "d/x.conf": inFolder, "postgresql.auto.conf": auto}
		directives, size := 0, 0
		files := fstest.MapFS{}
		for path, text := range texts {
			directives += bytes.Count(bytes.ToLower(text), []byte("include"))
			size += len(text)
			files[path] = &fstest.MapFile{Data: text}
		}
		if directives > 3 || size+len(name)+len(value) > laws.Longest {
			return // loops are for TestLoadTooMuch
		}
		c, _ := pgconf.Load(files, "postgresql.conf", pgconf.Options{})
		if err := c.Set(name, value); err != nil {
			if len(c.Changed()) > 0 {
				t.Fatalf("Set refused with %v, but changed files", err)
			}
			if !errors.Is(err, pgconf.ErrOverruled) || c.AlterSystem(name, value) != nil {
				return
			}
		}
		checkConfig(t, c, name, value)
		changes := c.Changed()
		if err := c.Set(name, value); err != nil || len(c.Changed()) != len(changes) {
			t.Fatalf("second Set: %v", err)
		}
		for _, ch := range changes {
			files[ch.File[1:]] = &fstest.MapFile{Data: ch.After}
		}
		again, _ := pgconf.Load(files, "postgresql.conf", pgconf.Options{})
		if again.DataDir() != c.DataDir() {
			return // it was the data directory that was set, and another postgresql.auto.conf counts
		}
		checkConfig(t, again, name, value)
		dir := again.DataDir()
		if err := again.Unset(name); err != nil {
			if !errors.Is(err, pgconf.ErrOverruled) || len(again.Changed()) > 0 {
				t.Fatal(err)
			}
			return
		}
		if s, ok := again.Get(name); ok && again.DataDir() == dir { // as above
			t.Fatalf("still set at %v", s.Place())
		}
	})
}

func checkConfig(t *testing.T, c *pgconf.Config, name, value string) {
	t.Helper()
	if s, ok := c.Get(name); !ok || s.Value != value {
		t.Fatalf("Get %q: got %q (%v), want %q", name, s.Value, ok, value)
	}
}
