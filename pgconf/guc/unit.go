package guc

import (
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Unit is the base unit of a parameter: what a bare number counts. The words are those of pg_settings.unit.
type Unit string

// The units of memory and of time. The server's block, WAL block and WAL segment have their usual sizes here; for a build
// with other ones the values of parameters that count them differ.
const (
	NoUnit       Unit = ""
	Bytes        Unit = "B"
	Kilobytes    Unit = "kB"
	Blocks       Unit = "8kB" // blocks of data or of WAL
	Megabytes    Unit = "MB"
	Segments     Unit = "16MB" // WAL segments: max_wal_size and min_wal_size of 9.5 and 9.6
	Milliseconds Unit = "ms"
	Seconds      Unit = "s"
	Minutes      Unit = "min"
)

// Memory reports whether values are sizes, which take the units B (11+), kB, MB, GB and TB (9.4+).
func (u Unit) Memory() bool { return strings.HasSuffix(string(u), "B") }

// Time reports whether values are durations, which take the units us (12+), ms, s, min, h and d.
func (u Unit) Time() bool { return u != NoUnit && !u.Memory() }

// scale says how many base units one of a unit is: mul/div. One of them is 1.
type scale struct {
	name     string
	mul, div int64
}

// scales lists for each base unit those that a value may have, largest first.
var scales = map[Unit][]scale{
	Bytes:        {{"TB", 1 << 40, 1}, {"GB", 1 << 30, 1}, {"MB", 1 << 20, 1}, {"kB", 1 << 10, 1}, {"B", 1, 1}},
	Kilobytes:    {{"TB", 1 << 30, 1}, {"GB", 1 << 20, 1}, {"MB", 1 << 10, 1}, {"kB", 1, 1}, {"B", 1, 1 << 10}},
	Blocks:       {{"TB", 1 << 27, 1}, {"GB", 1 << 17, 1}, {"MB", 1 << 7, 1}, {"kB", 1, 8}, {"B", 1, 8 << 10}},
	Megabytes:    {{"TB", 1 << 20, 1}, {"GB", 1 << 10, 1}, {"MB", 1, 1}, {"kB", 1, 1 << 10}, {"B", 1, 1 << 20}},
	Segments:     {{"TB", 1 << 16, 1}, {"GB", 1 << 6, 1}, {"MB", 1, 16}, {"kB", 1, 16 << 10}},
	Milliseconds: {{"d", 86400000, 1}, {"h", 3600000, 1}, {"min", 60000, 1}, {"s", 1000, 1}, {"ms", 1, 1}, {"us", 1, 1000}},
	Seconds:      {{"d", 86400, 1}, {"h", 3600, 1}, {"min", 60, 1}, {"s", 1, 1}, {"ms", 1, 1000}, {"us", 1, 1000000}},
	Minutes:      {{"d", 1440, 1}, {"h", 60, 1}, {"min", 1, 1}, {"s", 1, 60}, {"ms", 1, 60000}, {"us", 1, 60000000}},
}

// scalesOf returns the units that a value may have in a major, largest first.
func (u Unit) scalesOf(m pgconf.Major) []scale {
	all := scales[u]
	if m < pgconf.V9_4 && u.Memory() {
		all = all[1:] // TB
	}
	if last := len(all) - 1; last >= 0 && (m < 11 && all[last].name == "B" || m < 12 && all[last].name == "us") {
		all = all[:last]
	}
	return all
}

// Units returns the units that a value of a parameter with this base unit may have in a major, largest first: "TB", "GB",
// "MB", "kB", "B". It is empty for NoUnit.
func (u Unit) Units(m pgconf.Major) []string {
	var names []string
	for _, s := range u.scalesOf(m) {
		names = append(names, s.name)
	}
	return names
}
