package powerloss

import (
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// inode is a file or a folder without its name.
type inode struct {
	dir    bool
	data   []byte
	synced []byte // what a crash cannot take away
	unsafe bool   // data and synced differ
}

// change is a change of names that may not have got to the disk yet.
type change struct {
	remove, add string // paths; empty for none
	node        *inode
	waits       []string // folders whose fsync is to come before it is certain
}

// disk is the state of a folder: what programs see, and what is certainly there after a crash.
type disk struct {
	names   map[string]*inode // as programs see them
	safe    map[string]*inode // as they are on the disk
	pending []change          // between the two, in order
}

func readDisk(root string) (*disk, error) {
	d := &disk{names: map[string]*inode{}}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		node := &inode{dir: entry.IsDir()}
		if !node.dir {
			if node.data, err = os.ReadFile(path); err != nil {
				return err
			}
			node.synced = slices.Clone(node.data)
		}
		d.names[name] = node
		return nil
	})
	d.safe = maps.Clone(d.names)
	return d, err
}

func (d *disk) clone() *disk {
	c := &disk{names: map[string]*inode{}, safe: map[string]*inode{}, pending: slices.Clone(d.pending)}
	copies := map[*inode]*inode{}
	copied := func(n *inode) *inode {
		if n == nil {
			return nil
		}
		if copies[n] == nil {
			copies[n] = &inode{dir: n.dir, data: slices.Clone(n.data), synced: slices.Clone(n.synced), unsafe: n.unsafe}
		}
		return copies[n]
	}
	for name, n := range d.names {
		c.names[name] = copied(n)
	}
	for name, n := range d.safe {
		c.safe[name] = copied(n)
	}
	for i := range c.pending {
		c.pending[i].node = copied(c.pending[i].node)
	}
	return c
}

// apply makes a change.
func (d *disk) apply(o op) error {
	node := d.names[o.path]
	if node == nil && o.kind != opCreate && o.kind != opMkdir {
		return fmt.Errorf("%v: no such name", o)
	}
	switch o.kind {
	case opCreate, opMkdir:
		if node != nil {
			return nil
		}
		d.change(change{add: o.path, node: &inode{dir: o.kind == opMkdir}})
	case opWrite:
		if need := int(o.at) + len(o.data); need > len(node.data) {
			node.data = append(node.data, make([]byte, need-len(node.data))...)
		}
		copy(node.data[o.at:], o.data)
		node.unsafe = true
	case opTruncate:
		node.data = append(node.data, make([]byte, max(0, int(o.at)-len(node.data)))...)[:o.at]
		node.unsafe = true
	case opLink:
		d.change(change{add: o.to, node: node})
	case opRename:
		if node.dir {
			return fmt.Errorf("%v: the model does not rename folders", o)
		}
		d.change(change{remove: o.path, add: o.to, node: node})
	case opUnlink:
		d.change(change{remove: o.path})
	case opSync:
		d.sync(o.path, node)
	}
	return nil
}

func (d *disk) change(c change) {
	for _, name := range []string{c.remove, c.add} {
		if folder := filepath.Dir(name); name != "" && !slices.Contains(c.waits, folder) {
			c.waits = append(c.waits, folder)
		}
	}
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

func (c change) apply(names map[string]*inode) {
	if c.remove != "" {
		delete(names, c.remove)
	}
	if c.add != "" {
		names[c.add] = c.node
	}
}

// sync makes a file's content safe, or the names in a folder.
func (d *disk) sync(path string, node *inode) {
	if !node.dir {
		node.synced, node.unsafe = slices.Clone(node.data), false
		return
	}
	var pending []change
	for _, c := range d.pending {
		c.waits = slices.DeleteFunc(slices.Clone(c.waits), func(folder string) bool { return folder == path })
		if len(c.waits) > 0 {
			pending = append(pending, c)
			continue
		}
		c.apply(d.safe)
	}
	d.pending = pending
}

// State is what a folder may be after a crash. It is valid until the next one is asked for.
type State struct {
	After string // the last thing that the program did
	Done  bool   // it was the last of all, so the program has said that it succeeded
	names map[string]*inode
	lost  loss
}

// loss is what became of content that was not synced.
type loss string

const (
	lossAll   loss = "lost"
	lossHalf  loss = "lost in part"
	lossZeros loss = "zeros"
	lossNone  loss = "kept"
)

func (s State) String() string {
	names := slices.Sorted(maps.Keys(s.names))
	return fmt.Sprintf("after %s, names on the disk %s, unsynced content %s", s.After, strings.Join(names, " "), s.lost)
}

// States yields what a crash may leave after each thing that the program did. The same state may come more than once.
func (t *Trace) States() iter.Seq[State] {
	return func(yield func(State) bool) {
		d := t.begin.clone()
		if !d.states("nothing", len(t.ops) == 0, yield) {
			return
		}
		for i, o := range t.ops {
			if err := d.apply(o); err != nil {
				panic("powerloss: " + err.Error()) // the trace does not fit the folder: this package is wrong
			}
			if !d.states(o.String(), i == len(t.ops)-1, yield) {
				return
			}
		}
	}
}

// states yields what a crash may leave now.
func (d *disk) states(after string, done bool, yield func(State) bool) bool {
	for _, chosen := range subsets(len(d.pending)) {
		names := maps.Clone(d.safe)
		for i, c := range d.pending {
			if chosen[i] && (c.remove == "" || c.node == nil || names[c.remove] == c.node) {
				c.apply(names)
			}
		}
		losses := []loss{lossNone}
		for _, n := range names {
			if n.unsafe {
				losses = []loss{lossAll, lossHalf, lossZeros, lossNone}
			}
		}
		for _, l := range losses {
			if !yield(State{After: after, Done: done, names: names, lost: l}) {
				return false
			}
		}
	}
	return true
}

// subsets gives every choice among n changes, or if they are many: none, all, each alone and each left out.
func subsets(n int) [][]bool {
	var all [][]bool
	if n <= 5 {
		for bits := range 1 << n {
			one := make([]bool, n)
			for i := range one {
				one[i] = bits>>i&1 == 1
			}
			all = append(all, one)
		}
		return all
	}
	for _, background := range []bool{false, true} {
		same := slices.Repeat([]bool{background}, n)
		all = append(all, same)
		for i := range n {
			one := slices.Clone(same)
			one[i] = !background
			all = append(all, one)
		}
	}
	return all
}

// Build makes the state in a folder, which must exist and be empty. Files and folders have the modes that umask leaves.
func (s State) Build(folder string) error {
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		node := s.names[name]
		path := filepath.Join(folder, name)
		switch {
		case name == ".":
		case s.names[filepath.Dir(name)] == nil: // its folder did not get to the disk
		case node.dir:
			if err := os.Mkdir(path, 0o700); err != nil {
				return err
			}
		default:
			if err := os.WriteFile(path, node.after(s.lost), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// after is what a file holds after a crash.
func (n *inode) after(l loss) []byte {
	if !n.unsafe {
		return n.synced
	}
	switch l {
	case lossAll:
		return n.synced
	case lossHalf:
		return n.data[:len(n.data)/2]
	case lossZeros:
		return make([]byte, len(n.data))
	}
	return n.data
}
