package pgconf

import (
	"bytes"
	"cmp"
	"path"
	"slices"
)

// Change is a file that differs from what was loaded.
type Change struct {
	File          string // absolute path
	New           bool   // the file is not there yet
	Before, After []byte // content
	tree          *File
}

// Diff is [File.Diff], of Before and After. It shows secrets.
func (c Change) Diff() string { return c.tree.Diff() }

// DiffHiding is [File.DiffHiding], for people.
func (c Change) DiffHiding(hide func(name string) bool) string { return c.tree.DiffHiding(hide) }

// Changed returns the files that edits have changed, in an order that is good for writing: files that gain settings come
// before those that lose them, and what is overruled goes before what overrules it. So a server that starts while only some of
// them are written uses the old value or the new one of a parameter, as far as one order can do that for all parameters.
//
// Whoever writes them should do it atomically and look first whether Before is still what is there.
func (c *Config) Changed() []Change {
	rank := c.ranks()
	var all []Change
	for i, name := range c.writeOrder() {
		s := c.files[name]
		after := s.tree.Bytes()
		if bytes.Equal(after, s.before) && !s.isNew {
			continue
		}
		tree := s.tree.copied()
		all = append(all, Change{name, s.isNew, bytes.Clone(s.before), after, &tree})
		if _, ok := rank[name]; !ok {
			rank[name] = i - len(c.files) // below all others, in this order
		}
	}
	slices.SortStableFunc(all, func(a, b Change) int { return cmp.Compare(rank[a.File], rank[b.File]) })
	return all
}

// writeOrder returns the paths of all files with a tree: first those the server reads, in its order.
func (c *Config) writeOrder() []string {
	w := c.walk(tolerant)
	var others []string
	for name, s := range c.files {
		if s.tree != nil && !w.read[name] {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(w.order, others...)
}

// ranks returns, for each file that lost a setting, the position of the last one among all settings that were loaded.
func (c *Config) ranks() map[string]int {
	now := map[Setting]bool{}
	for _, s := range c.Entries() {
		s.Line, s.Col = 0, 0
		now[s] = true
	}
	rank := map[string]int{}
	for i, e := range c.loaded {
		s := e.Setting
		s.Line, s.Col = 0, 0
		if !now[s] {
			rank[path.Clean(s.File)] = i
		}
	}
	return rank
}
