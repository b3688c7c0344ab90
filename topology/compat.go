package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// CheckCompat says what keeps a server from following a primary, or makes it a bad standby: another major, lower limits, other block
// sizes, an older minor, other collations. Facts that are not known on one side are left out, so it also serves for a server
// that has no data directory yet. Each problem names the standby, and the primary as the Other.
//
// The limits are those that the server compares at its start as a standby (CheckRequiredParameterValues in
// src/backend/access/transam/xlogrecovery.c); max_wal_senders is one of them from 12 on.
func CheckCompat(primary, standby Observation) []Problem {
	k := compat{primary: primary, standby: standby}
	if primary.SystemID != 0 && standby.SystemID != 0 && primary.SystemID != standby.SystemID {
		k.add(OtherSystem, fmt.Sprintf("its data belongs to system %s, that of %s to system %s: it is no copy", standby.SystemID, primary.Node,
			primary.SystemID), remedyOtherSystem)
		return k.problems // nothing else about another cluster is worth knowing
	}
	k.versions()
	k.sizes()
	k.limits()
	k.collation()
	slices.SortFunc(k.problems, compareProblems)
	return k.problems
}

const remedyOtherSystem = "check that its address is that of the right server. If it is, set its data directory aside by rename and clone it anew"

type compat struct {
	primary, standby Observation
	problems         []Problem
}

func (k *compat) add(code Code, msg, remedy string) {
	k.problems = append(k.problems, Problem{Code: code, Severity: defaultSeverity(code), Node: k.standby.Node, Other: k.primary.Node,
		Msg: msg, Remedy: remedy})
}

func (k *compat) versions() {
	p, s := k.primary.Version, k.standby.Version
	switch {
	case p == 0 || s == 0:
	case major(p) != major(s):
		k.add(MajorDiffers, fmt.Sprintf("it runs PostgreSQL %s, %s runs %s: streaming needs the same major", version(s), k.primary.Node, version(p)),
			fmt.Sprintf("install PostgreSQL %s on its machine and clone it anew; pg_upgrade does not make a standby", major(p)))
	case s < p:
		k.add(MinorOlder, fmt.Sprintf("it runs PostgreSQL %s, %s runs the newer %s", version(s), k.primary.Node, version(p)),
			fmt.Sprintf("update the packages on its machine to %s and restart it; standbys are updated before their primary", version(p)))
	}
}

func (k *compat) sizes() {
	p, s := k.primary.Control, k.standby.Control
	var wrong []string
	for _, size := range []struct {
		what string
		p, s int
	}{{"block size", p.BlockSize, s.BlockSize}, {"WAL block size", p.WALBlockSize, s.WALBlockSize}, {"WAL segment size", p.SegmentSize, s.SegmentSize}} {
		if size.p != 0 && size.s != 0 && size.p != size.s {
			wrong = append(wrong, fmt.Sprintf("%s is %d, not %d", size.what, size.s, size.p))
		}
	}
	if len(wrong) > 0 {
		k.add(BlockSizeDiffers, fmt.Sprintf("its %s as on %s", strings.Join(wrong, ", its "), k.primary.Node),
			"it cannot be a copy: use programs built with the same sizes and clone it anew")
	}
	if p.BlockSize != 0 && s.BlockSize != 0 && p.Checksums != s.Checksums {
		k.add(ChecksumsDiffer, fmt.Sprintf("data checksums are %s, and %s on %s", onOff(s.Checksums), onOff(p.Checksums), k.primary.Node),
			"a clone has them as its primary has. If pg_checksums was run on one of them, stop the other and run it there as well (12+), or clone it anew")
	}
}

// limits are those below which a standby cannot replay what its primary writes.
func (k *compat) limits() {
	names := []string{"max_connections", "max_worker_processes", "max_prepared_transactions", "max_locks_per_transaction"}
	if major(k.primary.Version) >= 12 {
		names = append(names, "max_wal_senders")
	}
	var lower []string
	for _, name := range names {
		p, okP := k.primary.number(name)
		s, okS := k.standby.number(name)
		if okP && okS && s < p {
			lower = append(lower, fmt.Sprintf("%s = %d, on %s it is %d", name, s, k.primary.Node, p))
		}
	}
	if len(lower) == 0 {
		return
	}
	effect := `replay pauses, and at its next start it ends with "recovery aborted because of insufficient parameter settings"`
	if m := major(k.primary.Version); m != 0 && m < 14 {
		effect = `at its next start it ends with "hot standby is not possible because ... is a lower setting"`
	}
	k.add(LowerLimit, strings.Join(lower, "; ")+": "+effect,
		"set at least the primary's value in its postgresql.conf and restart it. To raise: standbys first; to lower: the primary first")
}

func (k *compat) collation() {
	p, s := k.primary.Collation, k.standby.Collation
	if p != "" && s != "" && p != s {
		k.add(CollationDiffers, fmt.Sprintf("its C library has collations of version %s, that of %s has %s: text sorts in another way", s, k.primary.Node, p),
			"run the same release of the operating system on both. After a promotion there, REINDEX the indexes over text before using them")
	}
}

// number returns a parameter that is a whole number without a unit.
func (o Observation) number(name string) (int, bool) {
	n, err := strconv.Atoi(o.Parameters[name].Value)
	return n, err == nil
}

// off says whether a parameter is known to be off.
func (o Observation) off(name string) bool { return o.Parameters[name].Value == "off" }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
