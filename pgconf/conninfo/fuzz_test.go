package conninfo_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// FuzzRoundTrip: what Text, URI and JDBC write is read back as what it was, and written the same again. A secret stays out of
// what is shown, wherever in the string it stands, and a string that is refused does not show in the error.
func FuzzRoundTrip(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.text, "it's \\ new\n", uint8(len(v.text)/2))
	}
	for _, v := range uriVectors {
		f.Add(v.text, "a%b", uint8(len(v.text)))
	}
	for _, v := range jdbcVectors {
		f.Add(v.url, "h", uint8(len(v.url)-1))
	}
	f.Fuzz(func(t *testing.T, s, value string, at uint8) {
		marked := s[:min(int(at), len(s))] + marker + s[min(int(at), len(s)):]
		for _, err := range parseAll(marked) {
			if err != nil && strings.Contains(err.Error(), marker) {
				t.Fatalf("%q: %v", marked, err)
			}
		}
		info, err := conninfo.Parse(s)
		if err != nil {
			if info, _ = conninfo.ParseJDBC(s); len(info.Keys()) == 0 {
				return
			}
		}
		if !strings.Contains(value, "\x00") {
			info = info.With("application_name", value)
			if got, ok := info.Get("application_name"); !ok || got != value {
				t.Fatalf("got %q, want %q", got, value)
			}
		}
		checkForms(t, info)
		secret := info.With("password", marker+value)
		if shown := secret.String() + secret.Redacted().URI(); strings.Contains(shown, marker) && !strings.Contains(info.Text(), marker) {
			t.Fatalf("%q shows %q", s, shown)
		}
	})
}

// parseAll reads a string in every way and returns the errors.
func parseAll(s string) []error {
	_, err1 := conninfo.Parse(s)
	_, err2 := conninfo.ParseFor(15, s)
	_, err3 := conninfo.ParseJDBC(s)
	return []error{err1, err2, err3}
}

func checkForms(t *testing.T, info conninfo.Info) {
	t.Helper()
	again, err := conninfo.Parse(info.Text())
	if err != nil || !again.Equal(info) || again.Text() != info.Text() {
		t.Fatalf("%q became %q: %v", info.Text(), again.Text(), err)
	}
	again, err = conninfo.Parse(info.URI())
	if err != nil || !again.Same(info) || again.URI() != rewritten(t, again) {
		t.Fatalf("%q became %q: %v", info.Text(), info.URI(), err)
	}
	url, _ := info.JDBC()
	if url == "" {
		return
	}
	again, err = conninfo.ParseJDBC(url)
	if err != nil {
		t.Fatalf("%q became %q: %v", info.Text(), url, err)
	}
	second, err := again.JDBC()
	if err != nil {
		t.Fatalf("%q became %q: %v", url, second, err)
	}
	if third, err := conninfo.ParseJDBC(second); err != nil || !third.Equal(again) {
		t.Fatalf("%q became %q: %v", url, second, err)
	}
}

// rewritten is the URI of what the URI says.
func rewritten(t *testing.T, info conninfo.Info) string {
	t.Helper()
	again, err := conninfo.Parse(info.URI())
	if err != nil || !again.Equal(info) {
		t.Fatalf("%q became %q: %v", info.URI(), again.Text(), err)
	}
	return again.URI()
}

// FuzzPassfile: a file keeps its bytes; an entry that is put into it is what Lookup finds; putting it there twice changes nothing
// more; lines that have nothing to do with it stay.
func FuzzPassfile(f *testing.F) {
	for _, content := range short(passfiles) {
		f.Add(content, "h", "1", "d", "u", "p")
	}
	f.Add("#\r\n", "::1", "*", `a\`, "#", `p:\:`)
	f.Fuzz(func(t *testing.T, content, host, port, db, user, password string) {
		file, _ := conninfo.ParsePassfile("f", []byte(content))
		if string(file.Bytes()) != content {
			t.Fatalf("%q became %q", content, file.Bytes())
		}
		want := entry(host, port, db, user, password)
		if file.Ensure(want) != nil {
			if string(file.Bytes()) != content {
				t.Fatalf("%q became %q", content, file.Bytes())
			}
			return
		}
		once := string(file.Bytes())
		if err := file.Ensure(want); err != nil || string(file.Bytes()) != once {
			t.Fatalf("%q became %q: %v", once, file.Bytes(), err)
		}
		if host != conninfo.Any && port != conninfo.Any && db != conninfo.Any && user != conninfo.Any {
			if got, ok := file.Lookup(host, port, db, user); !ok || got != password {
				t.Fatalf("%q: %q, want %q", once, got, password)
			}
		}
		file.Remove(want)
		for line := range strings.Lines(once) {
			if strings.HasPrefix(line, "#") && !strings.Contains(string(file.Bytes()), line) {
				t.Fatalf("%q lost %q", once, line)
			}
		}
	})
}

// FuzzServiceFile: a file keeps its bytes; what Ensure says, Lookup finds; saying it twice changes nothing more; other services keep
// what they say.
func FuzzServiceFile(f *testing.F) {
	for _, content := range short(serviceFiles) {
		f.Add(content, "a", "b", "x y")
	}
	f.Fuzz(func(t *testing.T, content, service, other, value string) {
		file, err := conninfo.ParseServiceFile("f", []byte(content))
		if string(file.Bytes()) != content {
			t.Fatalf("%q became %q", content, file.Bytes())
		}
		if err != nil && strings.Contains(content, "\x00") {
			return
		}
		before, errBefore := file.Lookup(other)
		want := new(conninfo.Info).With("user", "u").With("application_name", value)
		if file.Ensure(service, want) != nil {
			if string(file.Bytes()) != content {
				t.Fatalf("%q became %q", content, file.Bytes())
			}
			return
		}
		once := string(file.Bytes())
		got, err := file.Lookup(service)
		if err != nil || !got.Equal(got.With("user", "u").With("application_name", value)) {
			t.Fatalf("%q: %q, %v", once, got.Text(), err)
		}
		if err := file.Ensure(service, want); err != nil || string(file.Bytes()) != once {
			t.Fatalf("%q became %q: %v", once, file.Bytes(), err)
		}
		if strings.Contains(other, "]") || strings.HasPrefix(service, other+"]") || other == service {
			return // the same section
		}
		after, err := file.Lookup(other)
		if (err == nil) != (errBefore == nil) || !after.Equal(before) {
			t.Fatalf("%q: %q was %q, %v", once, after.Text(), before.Text(), err)
		}
	})
}

// short leaves out what would keep the fuzzer busy with making it smaller.
func short(texts []string) []string {
	return slices.DeleteFunc(slices.Clone(texts), func(s string) bool { return len(s) > 100 })
}
