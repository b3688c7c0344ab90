package laws_test

import (
	"strings"
	"testing"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/internal/laws"
)

// marker stands for a password.
const marker = "s3cr3t"

// FuzzConninfo: what Text, URI and JDBC write is read back as what it was, and written the same again. A secret stays out of
// what is shown, wherever in the string it stands, and a string that is refused does not show in the error.
func FuzzConninfo(f *testing.F) {
	f.Add(`host=a password='it\'s'`, "it's \\ new\n", uint8(7))
	f.Add("postgresql://u:p@h:1,[::1]/d?sslmode=require", "a%b", uint8(14))
	f.Add("jdbc:postgresql://h/d?user=u", "h", uint8(20))
	f.Fuzz(func(t *testing.T, s, value string, at uint8) {
		if len(s)+len(value) > laws.Longest {
			return
		}
		marked := s[:min(int(at), len(s))] + marker + s[min(int(at), len(s)):]
		_, parseErr := conninfo.Parse(marked)
		_, jdbcErr := conninfo.ParseJDBC(marked)
		for _, err := range []error{parseErr, jdbcErr} {
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
	f.Add("#\r\n", "::1", "*", `a\`, "#", `p:\:`)
	f.Fuzz(func(t *testing.T, content, host, port, db, user, password string) {
		if len(content)+len(host)+len(port)+len(db)+len(user)+len(password) > laws.Longest {
			return
		}
		file, _ := conninfo.ParsePassfile("f", []byte(content))
		if string(file.Bytes()) != content {
			t.Fatalf("%q became %q", content, file.Bytes())
		}
		want := conninfo.PassEntry{Host: host, Port: port, Database: db, User: user, Password: password}
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
	f.Add("[a]\nhost=h\n# c\n[b]\n", "a", "b", "x y")
	f.Fuzz(func(t *testing.T, content, service, other, value string) {
		if len(content)+len(service)+len(other)+len(value) > laws.Longest {
			return
		}
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
