package laws_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/pgconf/internal/laws"
)

// FuzzEnsureRule: for any file and record that a server takes, EnsureRule makes the same call do nothing; it adds the record's
// line or moves a line, and every other line stays as it is; RemoveRule leaves no record that means the same.
func FuzzEnsureRule(f *testing.F) {
	f.Add([]byte("host all all all reject\n# \\\nhost all all all md5\n"), []byte("host app web 10.0.0.0/8 scram-sha-256"), uint8(18), true)
	f.Fuzz(func(t *testing.T, text, line []byte, n uint8, beforeReject bool) {
		if len(text)+len(line) > laws.Longest {
			return
		}
		major := pgconf.V9_0 + pgconf.Major(n)%(pgconf.Newest-pgconf.V9_0+1)
		one, err := hba.ParseFor("record", line, major)
		if err != nil || len(one.Records()) != 1 {
			return
		}
		r := one.Records()[0]
		file, err := hba.ParseFor("f", text, major)
		if err != nil {
			return
		}
		had := len(file.Records())
		cfg := hba.EnsureConfig{BeforeReject: beforeReject}
		change, err := file.EnsureRule(r, cfg)
		if err != nil {
			if beforeReject && errors.Is(err, hba.ErrReject) || !bytes.Equal(file.Bytes(), text) {
				t.Fatalf("%v: %q became %q", err, text, file.Bytes())
			}
			return
		}
		if now := len(file.Records()); now != had && now != had+1 || change.Changed == bytes.Equal(file.Bytes(), text) {
			t.Fatalf("%d records became %d: %q became %q", had, now, text, file.Bytes())
		}
		after := countLines(file.Bytes())
		for l, n := range countLines(text) {
			if after[l] < n {
				t.Fatalf("line %q is gone: %q became %q", l, text, file.Bytes())
			}
		}
		checkStays(t, file, r, cfg)
	})
}

// countLines returns how often each line occurs, line ends left out.
func countLines(text []byte) map[string]int {
	count := map[string]int{}
	for l := range bytes.Lines(text) {
		count[string(bytes.TrimRight(l, "\r\n"))]++
	}
	return count
}

func checkStays(t *testing.T, file *hba.File, r hba.Record, cfg hba.EnsureConfig) {
	t.Helper()
	after := file.Bytes()
	again, err := file.EnsureRule(r, cfg)
	if err != nil || again.Changed || !bytes.Equal(file.Bytes(), after) {
		t.Fatalf("the second time (%v): %q became %q", err, after, file.Bytes())
	}
	if _, err := file.RemoveRule(r, cfg); err != nil {
		t.Fatal(err)
	}
	for _, have := range file.Records() {
		if have.Equal(r) {
			t.Fatalf("%q is left in %q", r, file.Bytes())
		}
	}
}
