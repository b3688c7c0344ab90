// Package build brings machines to what a description of a PostgreSQL cluster says: it observes ([Builder.Observe]), does the steps of a
// plan ([Builder.Apply]), and clones standbys ([Builder.Clone]).
//
// Each step looks whether it is done, does it, and looks whether that worked. Nothing is deleted, and data that is not proven to be
// redundant is left alone. Two who work on one cluster do not interleave: each locks every machine first. The programs of PostgreSQL must
// be on each machine, and sh, the GNU core utilities and flock of util-linux. Servers from 10 on.
package build
