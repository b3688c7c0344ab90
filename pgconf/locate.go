package pgconf

import "github.com/understudy-ha/understudy/pgconf/internal/ascii"

// goal is a value that a name is to get, and where the file has that name.
type goal struct {
	value     string
	set       int  // the line that wins, or -1
	commented int  // otherwise the line to uncomment, or -1
	same      bool // that line has the value
	others    int  // lines with another value that are commented out
}

func newGoal(value string) *goal { return &goal{value: value, set: -1, commented: -1} }

func (g *goal) found() bool { return g.set >= 0 || g.commented >= 0 }

// locate finds one name.
func (f *File) locate(name, value string) *goal {
	g := newGoal(value)
	name = ascii.Lower(name)
	f.search(1, func(i int) *goal {
		if f.isNamed(i, name) {
			return g
		}
		return nil
	})
	g.decide()
	return g
}

// locateAll finds folded names.
func (f *File) locateAll(goals map[string]*goal) {
	f.search(len(goals), func(i int) *goal { return goals[ascii.Lower(f.nameOf(i))] })
	for _, g := range goals {
		g.decide()
	}
}

// search looks through the lines, from the last one up, until the lines that win are found for as many goals as are missing.
// goalOf returns the one for the name of a line, or nil.
func (f *File) search(missing int, goalOf func(i int) *goal) {
	for i := len(f.lines) - 1; i >= 0 && missing > 0; i-- {
		kind := f.lines[i].kind
		if kind == lineOther {
			continue
		}
		g := goalOf(i)
		switch {
		case g == nil || g.set >= 0:
		case kind == lineSetting:
			g.set = i
			missing--
		default:
			g.consider(i, uncommented(f.raw(i)))
		}
	}
}

// consider looks at a line that may be the setting commented out. It sees the last one first.
func (g *goal) consider(i int, a assignment) {
	switch {
	case a.nameEnd == 0:
	case a.value() == g.value:
		g.commented, g.same = i, true
	case !g.same:
		g.commented = i
		g.others++
	}
}

// decide drops a line to uncomment that is one of many.
func (g *goal) decide() {
	if !g.same && g.others > 1 {
		g.commented = -1
	}
}
