package conninfo_test

import (
	"strings"
	"testing"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// FuzzRoundTrip: what Text writes, Parse reads as the same; Text of that is the same text; With and Get agree.
func FuzzRoundTrip(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.text, "it's \\ new\n")
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		info, err := conninfo.Parse(s)
		if err != nil {
			return
		}
		if !strings.Contains(value, "\x00") {
			info = info.With("application_name", value)
			if got, ok := info.Get("application_name"); !ok || got != value {
				t.Fatalf("got %q, want %q", got, value)
			}
		}
		again, err := conninfo.Parse(info.Text())
		if err != nil {
			t.Fatalf("%q: %v", info.Text(), err)
		}
		if !again.Equal(info) || again.Text() != info.Text() {
			t.Fatalf("%q became %q", info.Text(), again.Text())
		}
	})
}

// FuzzPassfile: what Text writes, ParsePassfile reads as the same, among other lines.
func FuzzPassfile(f *testing.F) {
	f.Add("h", "1", "d", "u", "p")
	f.Add("::1", "*", `a\`, "#", `p:\:`)
	f.Fuzz(func(t *testing.T, host, port, db, user, password string) {
		want := entry(host, port, db, user, password)
		text, err := want.Text()
		if err != nil {
			return
		}
		got, err := conninfo.ParsePassfile("f", []byte("#\n"+text+"\nh:1:d:u:p\n"))
		if entries := got.Entries(); err != nil || len(entries) != 2 || entries[0] != want {
			t.Fatalf("%q: %v, %d entries", text, err, len(entries))
		}
	})
}
