package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// SyncNames returns the nodes that id may wait for while it is the primary, in the cluster's order: those with Sync that are
// directly below it then. For a standby that is the shape after its promotion, in which the children of the old primary are its
// own. The old primary counts only if the policy is strict: without it a commit would otherwise be acknowledged that no other
// node has.
func (c Cluster) SyncNames(id NodeID) []NodeID {
	var names []NodeID
	for _, n := range c.syncCandidates(id) {
		names = append(names, n.ID)
	}
	return names
}

func (c Cluster) syncCandidates(id NodeID) []Node {
	shape := c.Promoted(id)
	var candidates []Node
	for _, n := range c.Nodes {
		up, follows := shape.Upstream(n.ID)
		old := c.Sync.Strict && n.Upstream == "" && !n.Witness && n.ID != id // it comes back below the new primary
		if n.Sync && (old || follows && up.ID == id) {
			candidates = append(candidates, n)
		}
	}
	return candidates
}

// SyncNamesFor returns synchronous_standby_names of node id while it is the primary and all of its standbys are there: the nodes
// that count by the rule of its site. None give the empty string: commits wait for nobody. 9.6 knows no ANY.
func (c Cluster) SyncNamesFor(id NodeID, major pgconf.Major) (string, error) {
	rule, names := c.syncRule(id)
	return syncText(rule.Method, rule.number(), names, major)
}

// SyncNamesAmong is [Cluster.SyncNamesFor] at a moment at which only some standbys stream. A strict policy asks for its full number
// whoever is there. Otherwise the number is that of the candidates that stream, at most what the rule says; with none of them it
// is the empty string, since the server knows no number below one. All candidates stay listed, so that another one can take over
// from one that leaves.
func (c Cluster) SyncNamesAmong(id NodeID, major pgconf.Major, streaming []NodeID) (string, error) {
	rule, names := c.syncRule(id)
	number := rule.number()
	if !c.Sync.Strict {
		number = min(number, countIn(names, streaming))
	}
	return syncText(rule.Method, number, names, major)
}

// countIn is how many of names are among others.
func countIn(names, others []NodeID) int {
	count := 0
	for _, name := range names {
		if slices.Contains(others, name) {
			count++
		}
	}
	return count
}

// syncRule is the rule for a primary, and the candidates that count by it.
func (c Cluster) syncRule(id NodeID) (SyncRule, []NodeID) {
	n, _ := c.Node(id)
	rule, own := c.Sync.Sites[n.Site]
	if !own {
		rule = c.Sync.SyncRule
	}
	var names []NodeID
	for _, candidate := range c.syncCandidates(id) {
		if len(rule.At) == 0 || slices.Contains(rule.At, candidate.Site) {
			names = append(names, candidate.ID)
		}
	}
	return rule, names
}

// number is how many to wait for.
func (r SyncRule) number() int { return cmp.Or(r.Number, 1) }

// syncText renders the setting (manual: "synchronous_standby_names"). Names are quoted, which every major accepts, so that no
// node's name is taken for a word of the grammar.
func syncText(method SyncMethod, number int, names []NodeID, major pgconf.Major) (string, error) {
	if len(names) == 0 || number == 0 {
		return "", nil
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(string(name))
	}
	list := strconv.Itoa(number) + " (" + strings.Join(quoted, ", ") + ")"
	switch {
	case major >= 10 && method == Any:
		return "ANY " + list, nil
	case method == Any:
		return "", fmt.Errorf("PostgreSQL %s knows no ANY in synchronous_standby_names: use first", major)
	case major >= 10:
		return "FIRST " + list, nil
	default:
		return list, nil
	}
}
