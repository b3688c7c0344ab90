package laws_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/pgconf/internal/laws"
)

// some is a record that every major takes.
var some = hba.Record{Type: hba.Local, Databases: []hba.Token{"some"}, Users: []hba.Token{hba.All}, Method: hba.Trust}

// FuzzHBA: parse then print is identity; every record that was read, written and read again is the same; a record
// that is appended is found at the end, and nothing else has changed.
func FuzzHBA(f *testing.F) {
	f.Add([]byte("host a,b \"c d\" 10.0.0.1/8 md5 x=1 # c\r\n#\\"), uint8(15))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		if len(b) > laws.Longest {
			return
		}
		major := pgconf.Oldest + pgconf.Major(n)%(pgconf.Newest-pgconf.Oldest+1)
		file, _ := hba.ParseFor("f", b, major)
		if got := file.Bytes(); !bytes.Equal(got, b) {
			t.Fatalf("got %q, want %q", got, b)
		}
		records := file.Records()
		for _, r := range records {
			checkRecord(t, r, major)
		}
		for _, r := range append(records, some) {
			if r.ValidateFor(major) == nil {
				checkAppend(t, file, r, major)
			}
		}
	})
}

func checkRecord(t *testing.T, r hba.Record, major pgconf.Major) {
	t.Helper()
	again, err := hba.ParseFor("f", []byte(r.Text()), major)
	if err != nil && len(r.Text()) < 250 {
		t.Fatalf("%q: %v", r.Text(), err)
	}
	if err != nil {
		return // the canonical spelling may be too long for an old major
	}
	if n := len(again.Records()); n != 1 {
		t.Fatalf("%q gives %d records", r.Text(), n)
	}
	got := again.Records()[0]
	if got.Text() != r.Text() || !got.Equal(r) || !r.Equal(got) {
		t.Fatalf("%q became %q", r.Text(), got.Text())
	}
}

func checkAppend(t *testing.T, file *hba.File, r hba.Record, major pgconf.Major) {
	t.Helper()
	before, had := file.Bytes(), file.Records()
	if err := file.Append(r); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(file.Bytes(), before) {
		t.Fatalf("%q became %q", before, file.Bytes())
	}
	for _, m := range []pgconf.Major{major, 13, 18} { // whatever server reads it
		again, _ := hba.ParseFor("f", file.Bytes(), m)
		records := again.Records()
		if m != major && (len(records) == 0 || r.ValidateFor(m) != nil) {
			continue
		}
		last := records[len(records)-1]
		if !last.Equal(r) || m == major && len(records) != len(had)+1 {
			t.Fatalf("major %d: %q has last record %q, want %q", m, file.Bytes(), last.Text(), r.Text())
		}
		if want := file.Records(); m == major && last.Line != want[len(want)-1].Line {
			t.Fatalf("line %d, want %d", want[len(want)-1].Line, last.Line)
		}
	}
}

// edited is what pg_hba.conf and pg_ident.conf have in common.
type edited interface {
	Bytes() []byte
	Diff() string
	Remove(line int) error
}

// FuzzHBAEdit: a line that is inserted stands before the line it was asked for, and every other byte is as it was; taking it out again
// restores the file; the same holds for pg_ident.conf. Whatever is read, Load has the same rules as Parse, and neither panics.
func FuzzHBAEdit(f *testing.F) {
	f.Add([]byte("local all all trust\n"), uint8(15), uint8(1))
	f.Add([]byte("m /^(.*)$ \\1 # c\n"), uint8(15), uint8(1))
	mapping := hba.Mapping{Map: "m", SystemUser: "x", Role: hba.Name("a b")}
	f.Fuzz(func(t *testing.T, b []byte, n, line uint8) {
		if len(b) > laws.Longest {
			return
		}
		major := pgconf.Oldest + pgconf.Major(n)%(pgconf.Newest-pgconf.Oldest+1)
		file, err := hba.ParseFor("f", b, major)
		checkLoad(t, b, file, err, major)
		had := file.Records()
		if slices.ContainsFunc(had, some.Equal) {
			return // which of them was inserted cannot be told
		}
		if file.InsertBefore(int(line), some) == nil {
			records := file.Records()
			if len(records) != len(had)+1 {
				t.Fatalf("%q became %q", b, file.Bytes())
			}
			i := 0
			for i < len(had) && had[i].Line == records[i].Line && records[i].Equal(had[i]) {
				i++
			}
			if !records[i].Equal(some) {
				t.Fatalf("%q became %q", b, file.Bytes())
			}
			checkInserted(t, b, file, some.Text(), records[i].Line)
		}
		ident, _ := hba.ParseIdent("f", b, major)
		if !bytes.Equal(ident.Bytes(), b) {
			t.Fatalf("got %q, want %q", ident.Bytes(), b)
		}
		before := ident.Mappings()
		if slices.ContainsFunc(before, mapping.Equal) {
			return
		}
		if ident.InsertBefore(int(line), mapping) == nil {
			mappings := ident.Mappings()
			i := 0
			for i < len(before) && before[i] == mappings[i] {
				i++
			}
			if len(mappings) != len(before)+1 || !mappings[i].Equal(mapping) {
				t.Fatalf("%q became %q", b, ident.Bytes())
			}
			checkInserted(t, b, ident, mapping.Text(), mappings[i].Line)
		}
	})
}

// checkInserted checks that text is in the file and nothing else has changed, and takes its line out again.
func checkInserted(t *testing.T, before []byte, file edited, text string, line int) {
	t.Helper()
	after := file.Bytes()
	prefix := 0
	for prefix < len(before) && before[prefix] == after[prefix] {
		prefix++
	}
	if !bytes.HasSuffix(after, before[prefix:]) || !bytes.Contains(after, []byte(text)) || file.Diff() == "" {
		t.Fatalf("%q became %q", before, after)
	}
	if err := file.Remove(line); err != nil {
		t.Fatal(err)
	}
	if bytes.IndexByte(before, '\\') >= 0 || len(before) > 0 && !bytes.HasSuffix(before, []byte("\n")) {
		return // an empty line came before, or the last line has an end now
	}
	if now := file.Bytes(); !bytes.Equal(now, before) || file.Diff() != "" {
		t.Fatalf("%q became %q and then %q", before, after, now)
	}
}

// checkLoad compares the readings of a file that names no others.
func checkLoad(t *testing.T, b []byte, file *hba.File, parseErr error, major pgconf.Major) {
	t.Helper()
	rules, err := hba.Load(fstest.MapFS{"f": {Data: b}}, "f", major)
	rules.View()
	if bytes.ContainsAny(b, "@") || bytes.Contains(b, []byte("include")) {
		return
	}
	records, loaded := file.Records(), rules.All()
	if len(records) != len(loaded) || parseErr != nil && err == nil || parseErr == nil && err != nil && len(loaded) > 0 {
		t.Fatalf("%q: %d records, %d rules; %v, %v", b, len(records), len(loaded), parseErr, err)
	}
	for i := range records {
		if records[i].Line != loaded[i].Line || records[i].Type == loaded[i].Type && records[i].Method == loaded[i].Method && !records[i].Equal(loaded[i].Record) {
			t.Fatalf("%q: record %v, rule %v", b, records[i], loaded[i].Record)
		}
	}
}
