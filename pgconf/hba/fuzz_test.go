package hba_test

import (
	"bytes"
	"testing"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// FuzzRoundTrip: parse then print is identity; every record that was read, written and read again is the same; a record
// that is appended is found at the end, and nothing else has changed.
func FuzzRoundTrip(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.text), uint8(10))
		f.Add([]byte(v.text+"\r\n#\\"), uint8(18))
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
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
