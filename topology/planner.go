package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/recovery"
)

// NewPlan says what leads from what is observed to the desired cluster. It is a pure function: the order of nodes and of facts does
// not matter, and what already is so needs no step.
//
// The order is: files, and reloads; the primary, if it is stopped or the cluster is new; standbys that are stopped or follow the wrong
// node, those near the primary first; restarts, one at a time, those far from the primary first and the primary last; parameters
// that are lowered, the primary first; clones; synchronous_standby_names, once the standbys that it needs are there; standbys that were
// synchronous until then and move away; slots that nobody needs any more. So never are all servers stopped, and commits never wait
// for fewer standbys than before or, if that is less, than is asked for; but where the policy is not strict and standbys are gone.
//
// What only a running server tells, as its slots and accounts, the next plan sees of a server that this one starts.
//
// Nothing is planned for a node that could not be looked at, or whose data is not proven to be redundant; nor at all while another
// node is the primary than the one that should be, or two are: that is for a failover or a switchover.
func NewPlan(desired Cluster, o Observed) Plan {
	p := &planner{c: desired, o: o, facts: map[NodeID]*fact{}}
	if err := desired.Validate(); err != nil {
		return Plan{Refused: []Refusal{{Why: "the description is not valid: " + err.Error()}}}
	}
	p.look()
	if why := p.noGround(); why != "" {
		return Plan{Refused: append([]Refusal{{Node: p.primary.n.ID, Why: why}}, p.plan.Refused...)}
	}
	p.compare()
	p.files()
	p.startPrimary()
	p.markLeaving()
	p.follow(func(f *fact) bool { return !f.leaving && p.upstreamRuns(f) && !(f.putOff && f.needs == NeedsRestart) })
	p.restarts()
	p.clones()
	p.follow(func(f *fact) bool { return !f.leaving })
	p.letLeave(p.sync())
	p.dropSlots()
	return p.plan
}

type planner struct {
	c       Cluster
	o       Observed
	plan    Plan
	facts   map[NodeID]*fact
	all     []*fact // those near the primary first, then in the cluster's order
	primary *fact
}

func (p *planner) step(f *fact, a Action, why string) {
	p.plan.Steps = append(p.plan.Steps, Step{Node: f.n.ID, Action: a, Why: why})
}

func (p *planner) refuse(f *fact, why string) {
	p.plan.Refused = append(p.plan.Refused, Refusal{Node: f.n.ID, Why: why})
}

// look collects the facts of every node that has a server, and refuses those in doubt.
func (p *planner) look() {
	for _, n := range p.c.servers() {
		f := &fact{n: n}
		var seen bool
		f.ins, seen = p.o.Inspection(n.ID)
		obs, asked := p.o.Status.Node(n.ID)
		if f.answers = asked && obs.Err == nil; f.answers {
			f.obs, f.runs = obs, true
		}
		p.facts[n.ID] = f
		p.all = append(p.all, f)
		if why := f.doubt(seen, obs, asked); why != "" {
			f.refused = true
			p.refuse(f, why)
			continue
		}
		var err error
		if f.cfg, err = p.c.Render(n.ID, f.ins.Major); err != nil {
			f.refused = true
			p.refuse(f, err.Error())
		}
	}
	slices.SortStableFunc(p.all, func(a, b *fact) int { return cmp.Compare(p.depth(a.n.ID), p.depth(b.n.ID)) })
	p.primary = p.all[0]
}

// depth is how many nodes are above one.
func (p *planner) depth(id NodeID) int {
	depth := 0
	for up, ok := p.c.Upstream(id); ok; up, ok = p.c.Upstream(up.ID) {
		depth++
	}
	return depth
}

// noGround says why nothing at all can be planned: there is not exactly the primary that should be.
func (p *planner) noGround() string {
	for _, o := range p.o.Status.Nodes {
		latest, _ := p.o.Status.Node(o.Node)
		if latest.Err == nil && !latest.InRecovery && o.Node != p.primary.n.ID {
			return fmt.Sprintf("%s accepts writes, and %s is to be the primary: that is for a failover or a switchover, or the description is out of date",
				o.Node, p.primary.n.ID)
		}
	}
	f := p.primary
	switch {
	case f.refused:
		return "nothing is planned for any node without the primary"
	case !f.ins.Exists:
		return p.notNew()
	case f.answers && f.obs.InRecovery:
		return "it is to be the primary and is in recovery: that is for a failover or a switchover"
	case f.ins.Start.Outcome != recovery.StartsPrimary:
		return "it is to be the primary, and would be none after its next start: " + f.ins.Start.String()
	case !f.answers:
		return p.notLast()
	}
	return ""
}

// notNew says why a data directory that is missing is no proof of a new cluster.
func (p *planner) notNew() string {
	for _, f := range p.all {
		switch {
		case f.refused:
			return fmt.Sprintf("it has no data, and what %s has is not known: that is no proof of a new cluster", f.n.ID)
		case f.ins.Exists:
			return fmt.Sprintf("it has no data, and %s has some: restore it or promote that", f.n.ID)
		}
	}
	return ""
}

// notLast says why a primary that is stopped must not be started: another one may have taken over.
func (p *planner) notLast() string {
	own := p.primary.ins.Control.Timeline()
	for _, f := range p.all[1:] {
		newest := max(f.obs.Timeline, f.ins.Control.Timeline())
		switch {
		case f.refused:
			return fmt.Sprintf("it is stopped, and what %s does is not known: it may have taken over", f.n.ID)
		case f.ins.Exists && newest > own:
			return fmt.Sprintf("it is stopped on timeline %d, and %s is on %d: that has taken over", own, f.n.ID, newest)
		case f.ins.Exists && !f.answers && f.ins.Start.Outcome == recovery.StartsPrimary && !standbyState(f.ins.Control.State):
			return fmt.Sprintf("it is stopped, and so is %s, which was a primary as well: which of them was the last is not known", f.n.ID)
		}
	}
	return ""
}

// compare finds the differences, and refuses what does not belong to the primary.
func (p *planner) compare() {
	for _, f := range p.all {
		if f.refused {
			continue
		}
		if why := f.unfit(p.primary); f != p.primary && why != "" {
			f.refused = true
			p.refuse(f, why)
			continue
		}
		if f.ins.Exists {
			if err := f.compare(f == p.primary); err != nil {
				p.refuse(f, "some of its configuration stays as it is: "+err.Error())
			}
		}
		if f == p.primary {
			continue
		}
		up, _ := p.c.Upstream(f.n.ID)
		if f.ins.Exists {
			f.compareRecovery(up)
		}
		above := p.facts[up.ID]
		if f.stranded = above.refused || above.stranded; f.stranded && p.wantsUpstream(f) {
			p.refuse(f, fmt.Sprintf("nothing is planned for its upstream %s, so how it follows stays as it is", up.ID))
		}
	}
}

// wantsUpstream reports whether something is to be done that needs the upstream.
func (p *planner) wantsUpstream(f *fact) bool {
	return !f.answers || len(f.follow) > 0 || len(f.restart) > 0 || len(f.later) > 0 || len(f.lowered) > 0
}

// files writes what takes effect by a reload or later.
func (p *planner) files() {
	for _, f := range p.all {
		if f.refused || !f.ins.Exists {
			continue
		}
		if len(f.set) > 0 {
			p.step(f, Set{f.set}, "postgresql.conf differs from the description")
		}
		if len(f.allow) > 0 {
			p.step(f, Allow{Add: f.allow}, "these rules are missing in pg_hba.conf, or stand behind others that keep them from having effect")
			f.reload = append(f.reload, "pg_hba.conf has new rules")
		}
		p.passfile(f)
		if f.answers && len(f.reload) > 0 {
			p.step(f, Reload{}, strings.Join(f.reload, "; "))
		}
	}
}

func (p *planner) passfile(f *fact) {
	if len(f.cfg.Passfile) > 0 && !f.ins.Passfile {
		p.step(f, WritePassfile{f.cfg.Passfile}, "the node needs the password with which it reaches the others")
	}
}

// startPrimary makes the primary answer, and sees to its accounts.
func (p *planner) startPrimary() {
	f := p.primary
	if f.answers {
		p.accounts(func(use AccountUse) bool { return slices.Contains(p.o.Lacking, use) }, "the primary lacks the account, or part of what it needs")
		return
	}
	if !f.ins.Exists {
		p.step(f, Initialise{}, "no node of the cluster has data")
		p.passfile(f)
	}
	p.step(f, Start{}, "the primary is stopped")
	f.runs = true
	p.accounts(func(AccountUse) bool { return true }, "the cluster works with this account; whether the primary has it was not to be asked")
	p.awaitBelow(f)
}

func (p *planner) accounts(wanted func(AccountUse) bool, why string) {
	replicator := Account{Name: p.c.Replication.User, Secret: p.c.Replication.Secret}
	if wanted(ForReplication) {
		p.step(p.primary, EnsureAccount{replicator, ForReplication}, why)
	}
	if p.c.Monitor.Name != "" && wanted(ForMonitoring) {
		p.step(p.primary, EnsureAccount{p.c.Monitor, ForMonitoring}, why)
	}
}

// await waits until a standby follows, if whom it follows runs by now.
func (p *planner) await(f *fact) {
	if len(f.follow) > 0 && !f.moved && !f.leaving {
		return // it may be unable to follow until its turn comes
	}
	if up, ok := p.upstreamByFiles(f); ok && (up == "" || p.facts[up] != nil && p.facts[up].runs) {
		f.awaited = true
		p.step(f, AwaitStreaming{up}, "the next step counts on it")
	}
}

// upstreamByFiles is whom a standby follows after its next start, which before it is moved may be another node than it should be; empty
// for the archive. It is false if that is no node of the cluster.
func (p *planner) upstreamByFiles(f *fact) (NodeID, bool) {
	cfg := f.ins.Start.Config
	if f.moved || len(f.follow) == 0 {
		cfg = *f.cfg.Recovery
	}
	server, ok := cfg.PrimaryConninfo.Server()
	if !ok {
		return "", f.n.ArchiveOnly
	}
	return p.c.at(server.Host, int(server.Port))
}

// upstreamRuns reports whether the upstream of a node runs, or is started before its turn comes.
func (p *planner) upstreamRuns(f *fact) bool {
	up, standby := p.c.Upstream(f.n.ID)
	above := p.facts[up.ID]
	return !standby || above.ins.Exists && (above.answers || p.upstreamRuns(above))
}

// awaitBelow waits for those that stream from a node that was started anew.
func (p *planner) awaitBelow(f *fact) {
	for _, child := range p.c.Children(f.n.ID) {
		g := p.facts[child.ID]
		if !g.refused && g.answers && !g.n.ArchiveOnly && len(g.follow) == 0 {
			p.createSlot(g)
			p.await(g)
		}
	}
}

// markLeaving finds the standbys for which commits wait now and that are to follow another node than the primary.
func (p *planner) markLeaving() {
	now, err := guc.ParseSyncNames(p.primary.ins.Major, p.syncNow())
	if err != nil {
		return
	}
	for _, f := range p.all[1:] {
		up, _ := p.c.Upstream(f.n.ID)
		f.leaving = now.Lists(string(f.n.ID)) && up.ID != p.primary.n.ID && p.streamsFromPrimary(f.n.ID)
	}
}

// streamsFromPrimary reports whether the primary says that a node streams from it.
func (p *planner) streamsFromPrimary(id NodeID) bool {
	return slices.ContainsFunc(p.primary.obs.Senders, func(s Sender) bool { return s.Name == string(id) && s.State == "streaming" })
}

// letLeave moves the standbys that are not needed below the primary any more, or says why they stay.
func (p *planner) letLeave(replaced bool) {
	if replaced {
		p.follow(func(f *fact) bool { return f.leaving })
		return
	}
	for _, f := range p.all {
		if f.leaving && !f.refused && !f.stranded {
			p.refuse(f, "commits wait for it, and too few others are there to take its place: it stays below the primary")
		}
	}
}

// follow brings standbys that have data below their upstream, upstreams first.
func (p *planner) follow(chosen func(*fact) bool) {
	for _, f := range p.all[1:] {
		if f.refused || f.stranded || !f.ins.Exists || f.moved || !chosen(f) {
			continue
		}
		f.moved = true
		created := p.createSlot(f)
		if len(f.follow) == 0 && f.answers {
			if created {
				p.await(f) // without the slot it could not stream
			}
			continue
		}
		if len(f.follow) > 0 {
			up, _ := p.c.Upstream(f.n.ID)
			if f.n.ArchiveOnly {
				up.ID = ""
			}
			p.step(f, Follow{*f.cfg.Recovery, up.ID}, strings.Join(f.follow, "; "))
		}
		switch {
		case !f.answers:
			p.step(f, Start{}, "the standby is stopped")
		case f.needs == NeedsRestart:
			p.step(f, Restart{}, strings.Join(append(slices.Clone(f.restart), "it has to follow as its files say now"), "; "))
		case f.needs == NeedsReload:
			p.step(f, Reload{}, "it has to follow as its files say now")
		}
		if !f.answers || f.needs == NeedsRestart {
			f.restart = nil
		}
		f.runs = true
		p.await(f)
	}
}

// createSlot makes the slot of a standby on its upstream, unless it is there.
func (p *planner) createSlot(f *fact) bool {
	up, _ := p.c.Upstream(f.n.ID)
	above := p.facts[up.ID]
	name := string(f.n.ID)
	there := slices.ContainsFunc(above.obs.Slots, func(s Slot) bool { return s.Name == name })
	if there || f.slotted || !slices.Contains(above.cfg.Slots, name) {
		return false
	}
	f.slotted = true
	p.step(above, CreateSlot{name}, fmt.Sprintf("%s keeps the WAL that %s needs", up.ID, name))
	return true
}

// restarts makes what waits for a restart work, far nodes first.
func (p *planner) restarts() {
	for _, f := range slices.Backward(p.all[1:]) {
		if !f.refused && !f.stranded && len(f.restart) > 0 && !f.putOff {
			p.restart(f, f.restart)
			f.restart = nil
		}
	}
	behind := slices.ContainsFunc(p.all[1:], func(f *fact) bool { return f.putOff })
	if !behind {
		p.raise()
	}
	p.lower()
	if behind {
		p.raise()
	}
	if f := p.primary; len(f.restart) > 0 {
		p.restart(f, f.restart)
	}
}

// raise gives the primary more of what its standbys have as much of by now. One of which that is not known would stop.
func (p *planner) raise() {
	f := p.primary
	if len(f.raised) == 0 && len(f.raise) == 0 {
		return
	}
	for _, g := range p.all[1:] {
		if g.refused || g.stranded && g.ins.Exists {
			p.refuse(f, fmt.Sprintf("%s, because %s is not known to have as much and would stop", listChanges(f), g.n.ID))
			return
		}
	}
	if len(f.raised) > 0 {
		p.step(f, Set{f.raised}, "a standby must not have less than its primary, so the primary gets more last")
	}
	if !f.answers {
		f.raise = []string{"it was started with less than it is to have"}
	}
	f.restart = append(f.restart, f.raise...)
}

// listChanges says what is not raised.
func listChanges(f *fact) string {
	var names []string
	for _, c := range f.raised {
		names = append(names, c.Name)
	}
	return cmp.Or(strings.Join(names, ", "), strings.Join(f.raise, "; ")) + " is not raised"
}

func (p *planner) restart(f *fact, why []string) {
	p.step(f, Restart{}, strings.Join(why, "; "))
	if f != p.primary {
		p.await(f)
	}
	p.awaitBelow(f)
}

// lower writes the parameters that a standby must not have lower than its primary, and makes them work: the primary first.
func (p *planner) lower() {
	below := slices.Clone(p.all[1:])
	slices.Reverse(below)
	for _, f := range append([]*fact{p.primary}, below...) {
		if f.refused || f.stranded || !f.ins.Exists {
			continue
		}
		if len(f.lowered) > 0 {
			p.step(f, Set{f.lowered}, "a standby must not have less than its primary, so the primary gets less first")
		}
		why := f.later
		if !f.answers && f.runs && len(f.lowered) > 0 {
			why = []string{"it was started with more than it is to have"}
		}
		if len(why) > 0 || f.putOff && len(f.restart) > 0 {
			p.restart(f, slices.Concat(why, f.restart))
			f.restart = nil
		}
	}
}

// clones makes the standbys that have no data.
func (p *planner) clones() {
	for _, f := range p.all[1:] {
		if f.refused || f.stranded || f.ins.Exists {
			continue
		}
		up, _ := p.c.Upstream(f.n.ID)
		f.moved, f.runs = true, true
		p.passfile(f)
		p.createSlot(f)
		p.step(f, Clone{up.ID}, "the standby has no data")
		p.await(f)
	}
}

// syncNow is what commits wait for now, or at the next start of the primary.
func (p *planner) syncNow() string {
	f := p.primary
	if f.answers {
		return f.obs.SyncNames
	}
	return f.ins.Settings[syncNames].Value
}

// sync makes commits wait for whom they should, as far as those are there. It reports whether the standbys that were synchronous until
// then may leave.
func (p *planner) sync() bool {
	f, major := p.primary, p.primary.ins.Major
	var there []NodeID
	for _, n := range p.c.syncCandidates(f.n.ID) {
		g := p.facts[n.ID]
		if p.streamsFromPrimary(n.ID) || g.awaited {
			there = append(there, n.ID)
		}
	}
	full, _ := p.c.SyncNamesFor(f.n.ID, major) // Render has had it
	now := p.syncNow()
	written := f.ins.Settings[syncNames].Value
	if !f.ins.Exists {
		now, written = "", ""
	}
	if sameText(major, syncNames, now, full) && sameText(major, syncNames, written, full) && (p.c.Sync.Strict || p.enough(full, there)) {
		return true
	}
	to, _ := p.c.SyncNamesAmong(f.n.ID, major, there)
	if p.weaker(to, now, full) || p.c.Sync.Strict && !p.enough(full, there) {
		p.refuse(f, fmt.Sprintf("%s stays %s, because only %s of those for %s stream", syncNames, quote(now), listOf(there), quote(full)))
		return false
	}
	if !sameText(major, syncNames, now, to) || !sameText(major, syncNames, written, to) {
		p.step(f, SetSync{now, to}, "commits wait for "+cmp.Or(listOf(there), "nobody")+", who stream then")
	}
	return true
}

func listOf(ids []NodeID) string {
	var words []string
	for _, id := range ids {
		words = append(words, string(id))
	}
	return cmp.Or(strings.Join(words, ", "), "none")
}

// enough reports whether as many standbys stream as a value asks for.
func (p *planner) enough(value string, there []NodeID) bool {
	s, err := guc.ParseSyncNames(p.primary.ins.Major, value)
	return err == nil && countListed(s, there) >= s.Num
}

func countListed(s guc.SyncNames, ids []NodeID) int {
	count := 0
	for _, id := range ids {
		if s.Lists(string(id)) {
			count++
		}
	}
	return count
}

// weaker reports whether commits would wait for fewer standbys than now, and than asked for, although now enough are there.
func (p *planner) weaker(to, now, full string) bool {
	major := p.primary.ins.Major
	next, err1 := guc.ParseSyncNames(major, to)
	before, err2 := guc.ParseSyncNames(major, now)
	goal, err3 := guc.ParseSyncNames(major, full)
	if err1 != nil || err2 != nil || err3 != nil {
		return false
	}
	var streaming []NodeID
	for _, s := range p.primary.obs.Senders {
		if s.State == "streaming" {
			streaming = append(streaming, NodeID(s.Name))
		}
	}
	kept := min(before.Num, countListed(before, streaming))
	return next.Num < min(kept, goal.Num)
}

// dropSlots removes the slots of nodes that stream from elsewhere now.
func (p *planner) dropSlots() {
	for _, f := range p.all {
		if f.refused || !f.answers {
			continue
		}
		for _, s := range f.obs.Slots {
			if p.leftOver(f, s) {
				p.step(f, DropSlot{s.Name}, fmt.Sprintf("%s needs it no longer, and it keeps WAL", s.Name))
			}
		}
	}
}

// leftOver reports whether a slot is a standby's that no longer streams through it, or will not when the plan is done.
func (p *planner) leftOver(f *fact, s Slot) bool {
	owner, ours := p.facts[NodeID(s.Name)]
	if !ours || s.Logical || s.Temporary || slices.Contains(f.cfg.Slots, s.Name) || owner.refused || owner.stranded {
		return false
	}
	if owner == p.primary {
		return !s.Active
	}
	moved := slices.ContainsFunc(p.plan.Steps, func(step Step) bool {
		_, follow := step.Action.(Follow)
		return follow && step.Node == owner.n.ID
	})
	return moved || !s.Active && len(owner.follow) == 0
}
