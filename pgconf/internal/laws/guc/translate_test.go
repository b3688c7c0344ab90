package laws_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/laws"
)

// FuzzTranslate holds a translation of any bytes to its laws: the second time nothing changes; lines that are no settings stay and
// keep their order; as many lines set something as before, but for those commented out; and what the new major refuses is an Error.
func FuzzTranslate(f *testing.F) {
	f.Add([]byte("# x\r\nwal_keep_segments 5#y\nWAL_KEEP_SEGMENTS=6\n\nbad line\nx='\n"), uint8(12), uint8(18))
	f.Fuzz(func(t *testing.T, text []byte, from, to uint8) {
		if len(text) > laws.Longest {
			return
		}
		const majors = uint8(pgconf.Newest - pgconf.Oldest + 1)
		tr := guc.Translation{From: pgconf.Oldest + pgconf.Major(from%majors), To: pgconf.Oldest + pgconf.Major(to%majors)}
		file, _ := pgconf.Parse("p", text) // lines that are not valid are kept
		before := file.Settings()
		done, err := tr.Apply(file)
		if err != nil {
			t.Fatal(err)
		}
		after := file.Bytes()
		checkLines(t, text, after, before)
		checkRefused(t, tr.To, before, file.Settings(), done.Remarks)
		if _, err := tr.Apply(file); err != nil || !bytes.Equal(after, file.Bytes()) {
			t.Fatalf("%s to %s: %q became %q and then %q (%v)", tr.From, tr.To, text, after, file.Bytes(), err)
		}
	})
}

// checkLines wants all lines that are no settings to be what they were. One line may be added at the end.
func checkLines(t *testing.T, before, after []byte, settings []pgconf.Setting) {
	t.Helper()
	is := map[int]bool{}
	for _, s := range settings {
		is[s.Line] = true
	}
	old, now := strings.SplitAfter(string(before), "\n"), strings.SplitAfter(string(after), "\n")
	for i, l := range old {
		last := i == len(old)-1 // it may get an end, or be followed by a line
		if !is[i+1] && l != now[i] && (!last || !strings.HasPrefix(now[i], l)) {
			t.Fatalf("line %d of %q became %q", i+1, before, now[i])
		}
	}
	if n := len(now) - len(old); n > 2 || n == 2 && old[len(old)-1] == "" {
		t.Fatalf("%q became %q", before, after)
	}
}

// checkRefused wants an Error for each line that wins and that the major refuses.
func checkRefused(t *testing.T, m pgconf.Major, before, after []pgconf.Setting, remarks []guc.Remark) {
	t.Helper()
	told := map[int]bool{}
	for _, r := range remarks {
		told[r.Line] = told[r.Line] || r.Severity > guc.Info
	}
	winner := map[string]int{}
	for _, s := range before {
		winner[s.Name] = s.Line
	}
	for _, s := range after {
		if winner[s.Name] == s.Line && !s.IsInclude() && guc.Validate(m, s.Name, s.Value) != nil && !told[s.Line] {
			t.Fatalf("nothing says that PostgreSQL %s refuses %v", m, s)
		}
	}
}
