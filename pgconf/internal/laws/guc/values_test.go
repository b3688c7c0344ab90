package laws_test

import (
	"testing"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/laws"
)

// FuzzCanonical: the canonical form of a value is a value, and its own canonical form; Validate agrees with Parse.
func FuzzCanonical(f *testing.F) {
	params := map[pgconf.Major][]guc.Param{}
	for m := pgconf.Oldest; m <= pgconf.Newest; m++ {
		params[m] = guc.Params(m)
	}
	f.Add(uint8(15), uint16(300), "1.5GB")
	f.Add(uint8(8), uint16(9), " 0x1F kB ")
	f.Fuzz(func(t *testing.T, major uint8, which uint16, text string) {
		if len(text) > laws.Longest {
			return
		}
		m := pgconf.Oldest + pgconf.Major(major)%(pgconf.Newest-pgconf.Oldest+1)
		p := params[m][int(which)%len(params[m])]
		v, err := p.Parse(text)
		if (guc.Validate(m, p.Name, text) == nil) != (err == nil) {
			t.Fatalf("Validate and Parse disagree: %v", err)
		}
		if err != nil {
			return
		}
		again, err := p.Parse(v.Setting())
		if err != nil || again != v {
			t.Fatalf("%s of %s: %q is %v, whose %q is %v (%v)", p.Name, m, text, v, v.Setting(), again, err)
		}
		if shown, err := p.Parse(v.String()); m >= 12 && p.Type != guc.Real && (err != nil || shown != v) {
			t.Fatalf("%s of %s: %q is %v, read again as %v (%v)", p.Name, m, text, v, shown, err)
		}
	})
}

// FuzzSyncNames: what was read and is printed is read as the same again, by this major and, if it is a priority list of one,
// by all others.
func FuzzSyncNames(f *testing.F) {
	f.Add(uint8(15), `ANY 2 (a, "b-c", *)`)
	f.Fuzz(func(t *testing.T, major uint8, text string) {
		if len(text) > laws.Longest {
			return
		}
		m := pgconf.V9_1 + pgconf.Major(major)%(pgconf.Newest-pgconf.V9_1+1)
		s, err := guc.ParseSyncNames(m, text)
		if err != nil || s.Num < 0 { // 9.6 lets a number overflow
			return
		}
		for _, other := range []pgconf.Major{pgconf.V9_1, pgconf.V9_6, pgconf.Newest} {
			if s.Num != 1 || s.Quorum {
				other = m
			}
			again, err := guc.ParseSyncNames(other, s.String())
			if err != nil || again.String() != s.String() || len(again.Names) != len(s.Names) {
				t.Fatalf("%s: %q is %+v, whose %q is %+v in %s (%v)", m, text, s, s.String(), again, other, err)
			}
			for i, name := range s.Names {
				if again.Names[i] != name || !s.Lists(name) {
					t.Fatalf("%s: %q is %+v, printed and read again %+v", m, text, s, again)
				}
			}
		}
	})
}
