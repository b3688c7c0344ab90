package main

import (
	"testing"

	"github.com/understudy-ha/understudy/internal/localpg"
)

// We read every line as the server does, and a reader that is here reads and times what it is shown.
func TestReaders(t *testing.T) {
	localpg.Server(t, localpg.MaxMajor)
	judge, err := startServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer judge.stop()
	us := ours{judge.major}
	verdicts, err := judgeAll(t.Context(), judge, []reader{us, common{}, augeas{}}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if !v.right(us) {
			t.Errorf("%q: the server reads %q, we %q", v.line, v.server, v.readers[us.Name()])
		}
	}
	for _, r := range []reader{common{}, augeas{}} {
		if conf, _ := score(readConf, r, verdicts); r.Missing() == "" && conf < 5 {
			t.Errorf("%s reads %d lines right; are they compared as they should be?", r.Name(), conf)
		}
	}
}

func TestRule_String(t *testing.T) {
	for want, r := range map[string]rule{
		"local|a,b|u|peer|map=x":   {"local", []string{"a", "b"}, []string{"u"}, "", "", "peer", []string{"map=x"}},
		"host|a|u|10.0.0.0/8|md5":  {"host", []string{"a"}, []string{"u"}, "10.0.0.0", "255.0.0.0", "md5", nil},
		"host|a|u|10.0.0.0/9|md5":  {"host", []string{"a"}, []string{"u"}, "10.0.0.0", "9", "md5", nil},
		"host|a|u|::/64|trust":     {"host", []string{"a"}, []string{"u"}, "::", "ffff:ffff:ffff:ffff::", "trust", nil},
		"host|a|u|.example|reject": {"host", []string{"a"}, []string{"u"}, ".example", "", "reject", nil},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
