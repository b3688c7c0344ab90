// Package catalog tells what a WAL archive holds, what is missing, what a recovery needs and what may be removed, from the
// names of its objects and the contents of its few history files.
//
//	c, err := catalog.New(names, segSize) // all names of the store
//	for _, name := range c.Texts() {      // *.history and *.backup
//		err = c.AddText(name, content)
//	}
//	c.List()       // by timeline
//	c.Gaps(...)    // what is missing, and why that is bad or not
//	c.Need(...)    // the files that a recovery asks for, and whether each is there
//	c.Plan(...)    // each file with keep or remove, and the reason
//
// [PgCleanup] is pg_archivecleanup, which looks at the position in a name only. [Catalog.Plan] looks at everybody: the base
// backups that are kept, the consumers that registered, and the tree of timelines.
//
// # Timelines
//
// A timeline's history file says at which position it left its parent (manual, "Timelines"; timeline.c). The segment of that
// position exists under the names of both; on the way to the new timeline its own is read, so the parent's need not be there.
// What the parent's server wrote after that is its abandoned end: it can be restored as far as it is there, but nothing is
// missing behind it.
//
// # Doubt
//
// Whatever may depend on a history file that is not there or was not read is kept, and said so. A gap near the newest end of a
// timeline is in flight, not lost, because later segments may overtake earlier ones. Of a base backup whose history file was
// not read all WAL stays. Base backups that were taken from a standby have no history file (the server writes it on a
// primary only): the archive does not know of them; register them as consumers.
//
// # What it does not
//
// The package reads no store and looks into no segment: a file whose name is there counts as there. It imports the standard
// library and package wal only. A hundred thousand names take some hundredths of a second.
package catalog
