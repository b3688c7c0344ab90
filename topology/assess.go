package topology

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Assess says what is known of a cluster and what is wrong with it. It is a function of its arguments: the times are those in the
// observations. The order of nodes, observations and rows does not matter, but for the order in which the cluster's own
// nodes are to be synchronous.
//
// A problem that follows from another is not reported beside it; the package documentation lists these rules. Everything is said
// as of the moment of the observations, which are not made at one instant: a standby that changes its upstream just now may look
// detached or unconfirmed, so an alarm should wait for the second report that says the same.
func Assess(c Cluster, s Status, l Limits) Report {
	a := newAssessment(c, s, l)
	a.findSystem()
	a.findPrimary()
	for _, p := range a.nodes {
		a.checkSilence(p)
	}
	for _, p := range a.answering {
		a.checkServer(p)
	}
	for _, p := range a.answering {
		a.checkCompat(p)
		a.checkTimeline(p)
		a.checkSlots(p)
	}
	a.checkLinks()
	a.checkSync()
	for _, p := range a.answering {
		a.checkSenders(p)
		a.checkLag(p)
		a.checkArchive(p)
		a.checkSettings(p)
	}
	slices.SortFunc(a.problems, compareProblems)
	return Report{Tree: a.tree, Primary: a.sole(), Likely: a.likely, Problems: a.problems}
}

// assessment collects problems. Checks that explain others run before these.
type assessment struct {
	c      Cluster
	limits Limits

	tree      Tree
	places    map[NodeID]*Place
	parents   map[NodeID]*Place
	nodes     []*Place // those with data, by name
	answering []*Place // those of them that answered and belong to the cluster

	system    wal.SystemID // of the cluster, as most of them have it
	primaries []*Place     // of those who answer
	primary   *Place       // whom the others are compared with: the only one, or the likely one of several; nil for none
	desired   NodeID       // who should be the primary
	likely    NodeID

	renamed  map[NodeID]string            // nodes that stream under this other name
	wanting  map[NodeID]map[string]string // settings by the description
	problems []Problem
}

func newAssessment(c Cluster, s Status, l Limits) *assessment {
	a := &assessment{c: c, limits: l, tree: Derive(c, s), places: map[NodeID]*Place{}, parents: map[NodeID]*Place{}, renamed: map[NodeID]string{}, wanting: map[NodeID]map[string]string{}}
	for _, p := range a.tree.Places() {
		a.places[p.Node.ID] = p
		for _, child := range p.Children {
			a.parents[child.Node.ID] = p
		}
		if !p.Node.Witness {
			a.nodes = append(a.nodes, p)
		}
	}
	slices.SortFunc(a.nodes, func(a, b *Place) int { return cmp.Compare(a.Node.ID, b.Node.ID) })
	if desired, ok := c.Primary(); ok {
		a.desired = desired.ID
	}
	return a
}

// add reports a problem with the severity of its kind.
func (a *assessment) add(code Code, node, other NodeID, remedy, format string, args ...any) {
	a.addAs(defaultSeverity(code), code, node, other, remedy, format, args...)
}

func (a *assessment) addAs(severity Severity, code Code, node, other NodeID, remedy, format string, args ...any) {
	a.problems = append(a.problems, Problem{Code: code, Severity: severity, Node: node, Other: other, Msg: fmt.Sprintf(format, args...), Remedy: remedy})
}

// has says whether a node has one of these problems already.
func (a *assessment) has(id NodeID, codes ...Code) bool {
	return slices.ContainsFunc(a.problems, func(p Problem) bool { return p.Node == id && slices.Contains(codes, p.Code) })
}

// sole is the node that is known to be the only one that accepts writes.
func (a *assessment) sole() NodeID {
	if len(a.primaries) == 1 {
		return a.primaries[0].Node.ID
	}
	return ""
}

// findSystem finds out which cluster the nodes belong to, and who does not.
func (a *assessment) findSystem() {
	votes := map[wal.SystemID]int{}
	for _, p := range a.nodes {
		if o := p.Observation; o.Err == nil && o.SystemID != 0 {
			votes[o.SystemID] += 2
			if p.Node.ID == a.desired {
				votes[o.SystemID]++
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(votes)) {
		if votes[id] > votes[a.system] {
			a.system = id
		}
	}
	for _, p := range a.nodes {
		o := p.Observation
		switch {
		case o.Err != nil:
		case o.SystemID != 0 && o.SystemID != a.system:
			a.add(OtherSystem, p.Node.ID, "", remedyOtherSystem, "its data belongs to system %s, that of the others to system %s", o.SystemID, a.system)
		default:
			a.answering = append(a.answering, p)
		}
	}
}

// findPrimary finds out who accepts writes.
func (a *assessment) findPrimary() {
	for _, p := range a.answering {
		if !p.Observation.InRecovery {
			a.primaries = append(a.primaries, p)
		}
	}
	switch len(a.primaries) {
	case 0:
		a.checkNoPrimary()
	case 1:
		a.primary = a.primaries[0]
	default:
		a.checkSeveral()
	}
	if p := a.primary; p != nil && p.Node.ID != a.desired && a.desired != "" && len(a.primaries) == 1 {
		a.add(WrongPrimary, p.Node.ID, a.desired, fmt.Sprintf(
			"if this came of a failover, make %s the node without upstream in the description; to go back, let %s follow %s and switch over",
			p.Node.ID, a.desired, p.Node.ID), "it accepts writes (%s); the description says that %s is the primary", evidence(p), a.desired)
	}
}

// checkNoPrimary says that nobody accepts writes, or that nobody knows.
func (a *assessment) checkNoPrimary() {
	silent := slices.DeleteFunc(slices.Clone(a.nodes), func(p *Place) bool { return p.Observation.Err == nil })
	furthest := slices.MaxFunc(append([]*Place{{}}, a.answering...), compareProgress)
	switch {
	case len(a.nodes) == 0:
	case len(silent) == 0 && furthest.Node.ID == "":
		a.add(NoPrimary, "", "", "check the addresses", "no node of the cluster answers")
	case len(silent) == 0:
		a.add(NoPrimary, "", furthest.Node.ID, "make sure that no other server of this cluster is about, then promote "+
			string(furthest.Node.ID)+": "+a.promote(furthest.Node),
			"all %s answer and none accepts writes; %s has come furthest (%s)", count(len(a.answering), "node"), furthest.Node.ID, evidence(furthest))
	default:
		a.likely = a.likelySilent(silent)
		answers := "nobody answers"
		if len(a.answering) > 0 {
			answers = fmt.Sprintf("none of those that answer (%s) accepts writes", names(a.answering))
		}
		a.add(PrimaryUnknown, "", a.likely, fmt.Sprintf("find out whether %s accept writes, on the machines themselves; promote nobody before it is certain "+
			"that none of them does", names(silent)), "%s; %s did not answer and may", answers, names(silent))
	}
}

// likelySilent is the silent node from which others receive, or else the one that should be the primary.
func (a *assessment) likelySilent(silent []*Place) NodeID {
	for _, p := range silent {
		if slices.ContainsFunc(p.Hearsay, func(h Hearsay) bool {
			return h.Receiver != nil && !slices.ContainsFunc(p.Hearsay, func(h Hearsay) bool { return h.Sender != nil })
		}) {
			return p.Node.ID
		}
	}
	if slices.ContainsFunc(silent, func(p *Place) bool { return p.Node.ID == a.desired }) {
		return a.desired
	}
	return ""
}

// checkSeveral says that there are several primaries, and which of them the evidence speaks for.
func (a *assessment) checkSeveral() {
	a.primary = slices.MaxFunc(a.primaries, func(x, y *Place) int {
		return cmp.Or(cmp.Compare(len(x.Children), len(y.Children)), cmp.Compare(x.Observation.Timeline, y.Observation.Timeline),
			cmp.Compare(x.Observation.Position, y.Observation.Position), order(x.Node.ID == a.desired, y.Node.ID == a.desired),
			cmp.Compare(y.Node.ID, x.Node.ID))
	})
	a.likely = a.primary.Node.ID
	var each []string
	for _, p := range a.primaries {
		each = append(each, fmt.Sprintf("%s (%s)", p.Node.ID, evidence(p)))
	}
	a.add(SeveralPrimaries, "", a.likely, fmt.Sprintf("keep clients away from all of them now, then stop all but one, without deleting anything. "+
		"%s looks like the right one, by its standbys, timeline and position in this order; what the others wrote has to be looked for before they are "+
		"rewound or cloned", a.likely), "%d nodes accept writes: %s", len(a.primaries), strings.Join(each, ", "))
}

// evidence is what speaks for a node: where it is, and who follows it.
func evidence(p *Place) string {
	words := fmt.Sprintf("timeline %d, position %s", p.Observation.Timeline, p.Observation.Position)
	if len(p.Children) > 0 {
		children := slices.Clone(p.Children)
		slices.SortFunc(children, func(a, b *Place) int { return cmp.Compare(a.Node.ID, b.Node.ID) })
		return words + ", followed by " + names(children)
	}
	return words + ", followed by nobody"
}

// compareProgress orders nodes by how far they have come. Nodes that are never to be promoted come before the others.
func compareProgress(x, y *Place) int {
	return cmp.Or(order(x.Node.ID != "", y.Node.ID != ""), order(x.Node.promotable(), y.Node.promotable()),
		cmp.Compare(x.Observation.Timeline, y.Observation.Timeline), cmp.Compare(x.Observation.Position, y.Observation.Position),
		cmp.Compare(x.Node.Priority, y.Node.Priority), cmp.Compare(y.Node.ID, x.Node.ID))
}

func (n Node) promotable() bool { return n.Delay == 0 && !n.ArchiveOnly && n.Priority >= 0 }

// checkSilence reports who did not answer, what others say of it, and who is cut off by that.
func (a *assessment) checkSilence(p *Place) {
	o := p.Observation
	if o.Err == nil {
		return
	}
	msg, severity := "it did not answer: "+line(o.Err.Error()), Critical
	code, remedy := Silent, fmt.Sprintf("on its machine, see whether the server runs (%s) and read its log; from here, whether the network and %s let through",
		a.service(p.Node, "status"), p.Node.hostPort())
	if isNotMonitor(o.Err) {
		msg, severity, code = "it answers, but its role may not see replication", Warning, NotMonitor
		remedy = a.sql(a.anyPrimary(), "GRANT pg_monitor TO "+cmp.Or(a.c.Monitor.Name, "ROLE"))
	}
	if len(p.Hearsay) == 0 && code == Silent {
		msg += "; no other node says anything of it"
	}
	for _, h := range p.Hearsay {
		msg += "; " + h.String()
		severity = Warning
	}
	var cut []string
	for _, other := range a.answering {
		if a.cutOff(other) && a.wanted(other.Node) == p.Node.ID {
			cut = append(cut, string(other.Node.ID))
		}
	}
	if len(cut) > 0 {
		msg += "; cut off by that: " + strings.Join(cut, ", ")
		severity = Critical
	}
	a.addAs(severity, code, p.Node.ID, "", remedy, "%s", msg)
}

// cutOff says whether a standby that should stream does not.
func (a *assessment) cutOff(p *Place) bool {
	return p.Observation.InRecovery && p.Observation.Receiver == nil && !p.Node.ArchiveOnly
}

// anyPrimary is where a statement has to run that only a primary takes.
func (a *assessment) anyPrimary() Node {
	if a.primary != nil {
		return a.primary.Node
	}
	n, _ := a.c.Node(a.desired)
	return n
}

// wanted is the node that n should follow as things are: after a change of roles, whoever follows the primary follows the new one.
// Empty for the primary itself, and when nobody knows.
func (a *assessment) wanted(n Node) NodeID {
	leader := a.desired
	if a.primary != nil {
		leader = a.primary.Node.ID
	}
	switch {
	case n.ID == leader:
		return ""
	case n.Upstream == "" || n.Upstream == Leader || n.Upstream == a.desired:
		return leader
	default:
		return n.Upstream
	}
}

// elsewhere says whether a node belongs to another primary than the one that things are compared with; that there are several
// says it all.
func (a *assessment) elsewhere(p *Place) bool {
	for range a.places {
		if !p.Observation.InRecovery {
			break
		}
		up, ok := a.parents[p.Node.ID]
		if !ok {
			break
		}
		p = up
	}
	return p != a.primary && slices.Contains(a.primaries, p)
}

// checkServer reports what is wrong with a server whoever it follows.
func (a *assessment) checkServer(p *Place) {
	o, id := p.Observation, p.Node.ID
	if running := o.ServerTime.Sub(o.StartedAt); known(o.ServerTime, o.StartedAt) && a.limits.Restarted >= 0 &&
		!exceeds(seconds(running), a.limits.Restarted, 60) {
		a.add(Restarted, id, "", "if nobody restarted it, its log says why it stopped", "it was started %s ago, at %s", round(running), clock(o.StartedAt))
	}
	if skew := skew(o); exceeds(seconds(skew.Abs()), a.limits.ClockSkew, 5) {
		a.add(ClockSkew, id, "", "synchronise the clocks: on its machine and here, see whether chrony or ntpd runs (timedatectl)",
			"its clock is %s off the observer's: it says %s", round(skew), clock(o.ServerTime))
	}
	if o.InRecovery {
		return
	}
	if o.ReadOnly {
		a.add(ReadOnlyPrimary, id, "", a.sql(p.Node, "ALTER SYSTEM RESET default_transaction_read_only", reload)+
			"; if it stays on, a configuration file sets it", "default_transaction_read_only is on: clients cannot write")
	}
	age := o.ServerTime.Sub(o.Control.CheckpointAt)
	written := behind(o.Position, o.Control.Redo)
	if known(o.ServerTime, o.Control.CheckpointAt) && exceeds(seconds(age), a.limits.CheckpointAge, 7200) && written > wal.DefaultSegmentSize {
		a.add(OldCheckpoint, id, "", a.sql(p.Node, "CHECKPOINT")+"; if that takes long, look at the load of its disks and at checkpoint_timeout",
			"its last checkpoint is %s old and %s of WAL have been written since: a crash takes as long to recover", round(age), Bytes(written))
	}
}

// skew is how far the server's clock is off, beyond what the time that the answer took explains.
func skew(o Observation) time.Duration {
	asked := o.Asked
	if asked.IsZero() {
		asked = o.At
	}
	switch {
	case !known(o.ServerTime, o.At):
		return 0
	case o.ServerTime.After(o.At):
		return o.ServerTime.Sub(o.At)
	case o.ServerTime.Before(asked):
		return o.ServerTime.Sub(asked)
	}
	return 0
}

// checkCompat compares a standby with the primary.
func (a *assessment) checkCompat(p *Place) {
	if a.primary == nil || p == a.primary || !p.Observation.InRecovery {
		return
	}
	a.problems = append(a.problems, CheckCompat(a.primary.Observation, p.Observation)...)
}

// The rest are small helpers.

func known(times ...time.Time) bool { return !slices.ContainsFunc(times, time.Time.IsZero) }

func seconds(d time.Duration) int { return int(d / time.Second) }

func round(d time.Duration) time.Duration { return d.Round(time.Second) }

// line makes one line of a text that others wrote.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func names(places []*Place) string {
	var all []string
	for _, p := range places {
		all = append(all, string(p.Node.ID))
	}
	return strings.Join(all, ", ")
}

// major is that of a server_version_num; zero if it is not known.
func major(version int) pgconf.Major {
	switch {
	case version <= 0:
		return 0
	case version >= 100000:
		return pgconf.Major(version / 10000)
	}
	m, err := pgconf.ParseMajor(fmt.Sprintf("%d.%d", version/10000, version/100%100))
	if err != nil {
		return 0
	}
	return m
}

// version writes a server_version_num as people do: 15.8, 9.6.24.
func version(num int) string {
	if num >= 100000 {
		return fmt.Sprintf("%d.%d", num/10000, num%10000)
	}
	return fmt.Sprintf("%d.%d.%d", num/10000, num/100%100, num%100)
}
