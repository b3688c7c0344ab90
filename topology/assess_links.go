package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// checkTimeline reports a standby whose data is not a part of the primary's history, or not yet where that leads.
func (a *assessment) checkTimeline(p *Place) {
	o, id := p.Observation, p.Node.ID
	if value := o.Parameters["recovery_target_timeline"].Value; o.InRecovery && value != "" && !strings.EqualFold(value, "latest") {
		a.add(TargetTimeline, id, "", "ALTER SYSTEM RESET recovery_target_timeline (12+; it is latest by default), or remove it from its file, and "+
			a.service(p.Node, "restart"), "recovery_target_timeline is %q: it will not follow a promotion", value)
	}
	if a.primary == nil || !o.InRecovery || a.elsewhere(p) {
		return
	}
	first := a.primary.Observation
	if o.Timeline == 0 || first.Timeline == 0 {
		return
	}
	primary := a.primary.Node.ID
	switch ahead := behind(o.Position, first.Position); {
	case o.Timeline > first.Timeline:
		a.add(TimelineAhead, id, primary, fmt.Sprintf("find out who was promoted to timeline %d, and whether that server is about and accepts writes. "+
			"If %s is right, %s", o.Timeline, primary, a.clone(p.Node, primary)),
			"it is on timeline %d, %s on the older timeline %d", o.Timeline, primary, first.Timeline)
	case o.Timeline < first.Timeline:
		a.checkFork(p)
	case ahead > 0 && p.Link == nil && o.Receiver == nil:
		a.add(Diverged, id, primary, keepFirst+a.clone(p.Node, primary)+"; pg_rewind needs two timelines", "it is on timeline %d like %s, but at %s, which is %s further than %s at %s, and streams from nobody",
			o.Timeline, primary, o.Position, Bytes(ahead), primary, first.Position)
	}
}

// checkFork compares a standby with the point at which the primary's history left the standby's timeline.
func (a *assessment) checkFork(p *Place) {
	o, first, primary := p.Observation, a.primary.Observation, a.primary.Node.ID
	if up, ok := a.parents[p.Node.ID]; ok && up.Observation.InRecovery && up.Observation.Timeline == o.Timeline {
		return // said of the one above
	}
	fork, inHistory := first.History.SwitchPoint(o.Timeline)
	historyKnown := first.History.Timeline == first.Timeline
	switch {
	case historyKnown && !inHistory:
		a.add(Diverged, p.Node.ID, primary, a.rewind(p), "it is on timeline %d, which is no ancestor of timeline %d of %s",
			o.Timeline, first.Timeline, primary)
	case historyKnown && o.Position > fork:
		a.add(Diverged, p.Node.ID, primary, a.rewind(p), "it is on timeline %d at %s, which is %s past %s, where timeline %d of %s left it",
			o.Timeline, o.Position, Bytes(int64(o.Position-fork)), fork, first.Timeline, primary)
	default:
		where := "; where that left it is not known, so it may have diverged as well"
		if historyKnown {
			where = fmt.Sprintf(", which left it at %s; it is at %s and can follow", fork, o.Position)
		}
		latest := "it follows by itself once it streams from " + string(primary) + " or below"
		if m := major(o.Version); m != 0 && m < 12 {
			latest += ", if recovery.conf has recovery_target_timeline = 'latest', which is not the default up to 11: add it and " +
				a.service(p.Node, "restart")
		}
		a.add(TimelineBehind, p.Node.ID, primary, latest, "it is on timeline %d, %s on timeline %d%s", o.Timeline, primary, first.Timeline, where)
	}
}

const keepFirst = "save what only it has, if that is wanted: it is lost for the others. Then "

// rewind is how a diverged node comes back.
func (a *assessment) rewind(p *Place) string {
	primary := a.primary.Node.ID
	how := a.clone(p.Node, primary)
	if o := p.Observation; o.Control.Checksums || o.Parameters["wal_log_hints"].Value == "on" {
		how = fmt.Sprintf("stop it and run pg_rewind against %s, or %s", primary, how)
	}
	return keepFirst + how
}

// checkLinks reports connections that are not there, or not where they should be.
func (a *assessment) checkLinks() {
	for _, p := range a.answering {
		if p.loop {
			a.checkLoop(p)
		}
	}
	for _, up := range a.answering {
		a.matchNames(up)
	}
	for _, p := range a.answering {
		a.checkLink(p)
	}
}

// checkLoop reports standbys that follow each other, once, at the first of them by name.
func (a *assessment) checkLoop(p *Place) {
	members := []*Place{p}
	for _, other := range a.answering {
		if a.isBelow(other, p) && slices.ContainsFunc(other.Observation.Senders, func(s Sender) bool { return NodeID(s.Name) == p.Node.ID }) {
			for at := other; at != nil && at != p; at = a.parents[at.Node.ID] {
				members = append(members, at)
			}
			break
		}
	}
	upstream := a.desired
	if a.primary != nil {
		upstream = a.primary.Node.ID
	}
	a.add(Loop, p.Node.ID, members[len(members)-1].Node.ID, a.reparent(p.Node, upstream, p.Observation.Version),
		"%s stream from each other, so that no WAL reaches them", names(members))
}

// isBelow says whether p stands somewhere below top.
func (a *assessment) isBelow(p, top *Place) bool {
	for range a.places {
		up, ok := a.parents[p.Node.ID]
		if !ok {
			return false
		}
		if up == top {
			return true
		}
		p = up
	}
	return false
}

// matchNames finds out which standbys stream from an upstream under another name than their own, and which rows are nobody's.
func (a *assessment) matchNames(up *Place) {
	var unlisted []*Place // they say that they stream from here
	for _, p := range a.answering {
		if o := p.Observation; p.Link == nil && !p.loop && o.InRecovery && o.Receiver != nil {
			if named, ok := a.c.at(o.Receiver.Host, o.Receiver.Port); ok && named == up.Node.ID {
				unlisted = append(unlisted, p)
			}
		}
	}
	strangers := slices.DeleteFunc(slices.Clone(up.Observation.Senders), func(s Sender) bool { return !a.isStranger(up, s) })
	slices.SortFunc(strangers, func(a, b Sender) int { return strings.Compare(a.String(), b.String()) })
	for i, p := range unlisted {
		at, ok := ownRow(p, strangers, waiting(unlisted))
		if !ok {
			continue
		}
		a.renamed[p.Node.ID] = strangers[at].Name
		a.add(WrongName, p.Node.ID, up.Node.ID, fmt.Sprintf("set application_name=%s in its primary_conninfo and %s", p.Node.ID,
			a.service(p.Node, takeUp(p.Observation.Version, 13))),
			"it streams from %s under the name %q instead of its own", up.Node.ID, strangers[at].Name)
		strangers = slices.Delete(strangers, at, at+1)
		unlisted[i] = nil
	}
	a.matchShared(up, slices.DeleteFunc(unlisted, func(p *Place) bool { return p == nil }))
	for i, s := range strangers {
		if i > 0 && strangers[i-1].String() == s.String() {
			continue // a connection more of the same
		}
		a.add(Stranger, up.Node.ID, "", fmt.Sprintf("find out what runs at that address; if it belongs here, add it to the description, if not, end it "+
			"and take its rule out of pg_hba.conf: SELECT pid FROM pg_stat_replication WHERE application_name = %s", literal(s.Name)),
			"%s streams from it and is no node of the cluster", s)
	}
}

// waiting counts the standbys whose rows have not been found.
func waiting(unlisted []*Place) int {
	n := 0
	for _, p := range unlisted {
		if p != nil {
			n++
		}
	}
	return n
}

// String returns who it is, for people.
func (s Sender) String() string {
	if s.Address == "" {
		return fmt.Sprintf("%q", s.Name)
	}
	return fmt.Sprintf("%q at %s", s.Name, s.Address)
}

// clients are names under which programs stream that are no servers: those of PostgreSQL and of this project.
var clients = []string{"pg_basebackup", "pg_receivewal", "pg_recvlogical", "understudy-clone", "understudy-receive"}

// isStranger says whether a row belongs to no node, and to no backup, archive or logical subscriber either.
func (a *assessment) isStranger(up *Place, s Sender) bool {
	_, ours := a.places[NodeID(s.Name)]
	logical := slices.ContainsFunc(up.Observation.Slots, func(slot Slot) bool { return slot.Logical && slot.Name == s.Slot })
	return !ours && !logical && s.State != "backup" && !slices.Contains(clients, s.Name)
}

// ownRow finds the row of a standby that streams under another name: by its slot, its address, or because as many rows of one name
// are left as standbys that wait for theirs.
func ownRow(p *Place, rows []Sender, waiting int) (int, bool) {
	here, at := 0, 0
	for i, s := range rows {
		if s.Slot != "" && s.Slot == string(p.Node.ID) {
			return i, true
		}
		if p.Node.connectsFrom(s.Address) {
			here, at = here+1, i
		}
	}
	if here == 1 && waiting == 1 {
		return at, true
	}
	oneName := !slices.ContainsFunc(rows, func(s Sender) bool { return s.Name != rows[0].Name })
	return 0, len(rows) == waiting && oneName && waiting > 0
}

// connectsFrom says whether an address is one of the node's.
func (n Node) connectsFrom(address string) bool {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, from := range n.From {
		if network, err := netip.ParsePrefix(from); err == nil && network.Contains(ip) {
			return true
		}
	}
	return conninfo.HostPort{Host: n.Host}.Same(conninfo.HostPort{Host: address})
}

// matchShared reports servers that stream from an upstream under the name of one node.
func (a *assessment) matchShared(up *Place, unlisted []*Place) {
	rows := map[string][]Sender{}
	for _, s := range up.Observation.Senders {
		if _, ours := a.places[NodeID(s.Name)]; ours && s.State == "streaming" {
			rows[s.Name] = append(rows[s.Name], s)
		}
	}
	for _, p := range a.nodes {
		id := p.Node.ID
		same := rows[string(id)]
		if len(same) < 2 {
			continue
		}
		remedy := "give each server its own application_name in primary_conninfo; commits that wait for the one may be acknowledged by the other"
		if len(unlisted) == 1 {
			a.renamed[unlisted[0].Node.ID] = string(id)
			a.add(SharedName, unlisted[0].Node.ID, id, remedy, "%s has %d connections under the name %s and none of %s, which says that it streams from there",
				up.Node.ID, len(same), id, unlisted[0].Node.ID)
			unlisted = nil
			continue
		}
		if two, ok := bothAlive(same); ok {
			a.add(SharedName, id, up.Node.ID, remedy, "%s has connections under this name from %s and %s, and both are alive", up.Node.ID, two[0], two[1])
		}
	}
}

// bothAlive finds two rows from different addresses that answered at nearly the same time. A row of a broken connection does not
// answer any more. Before 12 nothing tells.
func bothAlive(rows []Sender) (two [2]string, ok bool) {
	for _, x := range rows {
		for _, y := range rows {
			if x.Address < y.Address && known(x.RepliedAt, y.RepliedAt) && x.RepliedAt.Sub(y.RepliedAt).Abs() < 30*time.Second {
				return [2]string{x.Address, y.Address}, true
			}
		}
	}
	return two, false
}

// checkLink reports a standby that does not stream, or not from where it should.
func (a *assessment) checkLink(p *Place) {
	o := p.Observation
	switch {
	case !o.InRecovery || p.loop || a.inLoop(p):
	case o.Receiver == nil && !p.Node.ArchiveOnly:
		a.checkDetached(p)
	case o.Receiver == nil:
	case p.Node.ArchiveOnly:
		a.add(WrongUpstream, p.Node.ID, "", "clear its primary_conninfo and "+a.service(p.Node, "restart")+", or correct the description",
			"it streams from %s:%d, and should take its WAL from the archive alone", o.Receiver.Host, o.Receiver.Port)
	default:
		a.checkUpstream(p)
		a.checkReceiver(p)
	}
}

func (a *assessment) inLoop(p *Place) bool {
	for _, top := range a.answering {
		if top.loop && a.isBelow(p, top) {
			return true
		}
	}
	return false
}

// checkDetached reports a standby without a receiver, unless something else says why.
func (a *assessment) checkDetached(p *Place) {
	id, wanted := p.Node.ID, a.wanted(p.Node)
	up, there := a.places[wanted]
	switch {
	case a.has(id, Diverged, TimelineAhead, TimelineBehind), a.elsewhere(p):
		return
	case a.primary == nil && (id == a.desired || len(a.primaries) == 0 && wanted == a.desired && a.has("", NoPrimary)):
		return // nobody is the primary
	case there && (up.Observation.Err != nil || a.has(wanted, OtherSystem)):
		return // said of the upstream
	case there && a.full(up):
		return // said of the upstream as well
	case there && a.slotLost(up, id):
		return
	case there && a.c.Slots && !slices.ContainsFunc(up.Observation.Slots, func(s Slot) bool { return s.Name == string(id) }):
		a.add(MissingSlot, id, wanted, a.sql(up.Node, "SELECT pg_create_physical_replication_slot("+literal(string(id))+", true)"),
			"it does not stream, and %s has no slot %q for it", wanted, id)
		return
	}
	behindBy := ""
	if a.primary != nil {
		if lag := behind(a.primary.Observation.Position, p.Observation.Position); lag > 0 {
			behindBy = fmt.Sprintf("; it is at %s, %s behind %s", p.Observation.Position, Bytes(lag), a.primary.Node.ID)
		}
	}
	a.add(Detached, id, wanted, fmt.Sprintf("its log says why (could not connect, no pg_hba.conf entry, requested WAL segment has already been "+
		"removed); on its machine: %s, and from there whether %s can be reached", a.service(p.Node, "status"), a.addressOf(wanted)),
		"it has no WAL receiver: nothing streams to it%s", behindBy)
}

// literal quotes a text for SQL.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// addressOf is where a node listens.
func (a *assessment) addressOf(id NodeID) string {
	if n, ok := a.c.Node(id); ok {
		return n.hostPort()
	}
	return "its upstream"
}

// checkUpstream compares the upstream that a standby has with the one that it should have.
func (a *assessment) checkUpstream(p *Place) {
	r, id, wanted := p.Observation.Receiver, p.Node.ID, a.wanted(p.Node)
	parent, confirmed := a.parents[id]
	named, isNode := a.c.at(r.Host, r.Port)
	actual := named
	if confirmed {
		actual = parent.Node.ID
	}
	if a.elsewhere(p) {
		return
	}
	if up, there := a.places[wanted]; actual != "" && actual != wanted && wanted != "" && !(there && up.Observation.Err != nil) && actual != id {
		a.add(WrongUpstream, id, actual, a.reparent(p.Node, wanted, p.Observation.Version)+". If it is right as it is, correct the description",
			"it follows %s, and should follow %s", actual, wanted)
	}
	if confirmed || a.renamed[id] != "" || a.has(id, Diverged, TimelineAhead, TimelineBehind) {
		return
	}
	if isNode {
		if up := a.places[named]; up.Observation.Err != nil || a.has(named, OtherSystem) {
			return // said of the upstream
		}
		a.add(Unconfirmed, id, named, "if it stays so, look at both logs: the connection may be dead on one side, or go to another server at this address",
			"it says that it is %s from %s (%s:%d), which does not list it", r.Status, named, r.Host, r.Port)
		return
	}
	a.add(Unconfirmed, id, wanted, "if that is a proxy, nothing is wrong as soon as an upstream lists it under its name; if not, correct primary_conninfo",
		"it says that it is %s from %s:%d, the address of no node, and no node lists it", r.Status, r.Host, r.Port)
}

// checkReceiver reports a slot that is not its own, and silence.
func (a *assessment) checkReceiver(p *Place) {
	o, r, id := p.Observation, p.Observation.Receiver, p.Node.ID
	if a.c.Slots && r.Slot != string(id) {
		through := fmt.Sprintf("slot %q, which is not its own", r.Slot)
		if r.Slot == "" {
			through = "no slot, so that its upstream need not keep the WAL it needs"
		}
		a.add(WrongSlot, id, a.wanted(p.Node), fmt.Sprintf("create slot %s on its upstream, set primary_slot_name = '%s' here and %s",
			id, id, a.service(p.Node, takeUp(o.Version, 13))), "it streams through %s", through)
	}
	if heard := o.ServerTime.Sub(r.HeardAt); known(o.ServerTime, r.HeardAt) && exceeds(seconds(heard), a.limits.Silence, 60) {
		a.add(QuietLink, id, a.wanted(p.Node), "look whether its upstream hangs and at the network between them; wal_receiver_timeout ends such a connection",
			"its receiver has heard nothing from its upstream for %s, since %s", round(heard), clock(r.HeardAt))
	}
}

// full says whether an upstream has no WAL sender left.
func (a *assessment) full(up *Place) bool {
	limit, ok := up.Observation.number("max_wal_senders")
	return ok && limit > 0 && len(up.Observation.Senders) >= limit
}

// checkSenders reports an upstream that has no WAL sender left, or too few for the day it is the primary.
func (a *assessment) checkSenders(p *Place) {
	limit, ok := p.Observation.number("max_wal_senders")
	if !ok {
		return
	}
	remedy := "raise max_wal_senders (up to twice the number of nodes, and two), on standbys first, and restart each"
	if a.full(p) {
		out := slices.DeleteFunc(slices.Clone(a.answering), func(other *Place) bool { return !a.cutOff(other) || a.wanted(other.Node) != p.Node.ID })
		if len(out) > 0 {
			a.addAs(Critical, SendersExhausted, p.Node.ID, "", remedy, "all %d WAL senders are in use, and %s cannot connect", limit, names(out))
			return
		}
		a.addAs(Warning, SendersExhausted, p.Node.ID, "", remedy, "all %d WAL senders are in use: nobody else can connect, nor take a backup", limit)
		return
	}
	if others := len(a.nodes) - 1; limit < others {
		a.add(SendersFew, p.Node.ID, "", remedy, "max_wal_senders = %d would not do for the %d other nodes, were it the primary", limit, others)
	}
}

// checkLag reports a standby that is too far behind its upstream, or not as far as it should be.
func (a *assessment) checkLag(p *Place) {
	o, id := p.Observation, p.Node.ID
	if !o.InRecovery || a.has(id, LowerLimit) {
		return
	}
	if o.Replaying != "" && o.Replaying != "not paused" {
		a.add(ReplayPaused, id, "", a.sql(p.Node, "SELECT pg_wal_replay_resume()"), "replay is paused (%s) at %s; %s wait to be replayed",
			o.Replaying, o.Replayed, Bytes(max(0, behind(o.Position, o.Replayed))))
		return
	}
	up, ok := a.parents[id]
	if !ok {
		return // nothing streams, which has been said
	}
	lag := behind(o.Position, o.Replayed)
	if p.Link.ReplayBytes >= 0 {
		lag = max(lag, p.Link.ReplayBytes)
	} else if up.Observation.Timeline == o.Timeline {
		lag = max(lag, behind(up.Observation.Position, o.Replayed))
	}
	if p.Node.Delay > 0 {
		a.checkDelay(p, lag)
		return
	}
	look := "look at the load of its disks, at long queries there (max_standby_streaming_delay) and at the network to " + string(up.Node.ID)
	late := exceeds(seconds(max(o.ReplayDelay, p.Link.ReplayTime)), a.limits.LagSeconds, 60) && lag > a.slack(p)
	switch {
	case exceeds(lag, a.limits.LagBytes, 64<<20):
		a.add(LagBytes, id, up.Node.ID, look, "it has %s of WAL of %s still to replay%s", Bytes(lag), up.Node.ID, since(o))
	case late:
		a.add(LagTime, id, up.Node.ID, look, "it shows the data of %s ago and has %s still to replay", round(max(o.ReplayDelay, p.Link.ReplayTime)), Bytes(lag))
	}
}

func since(o Observation) string {
	if o.ReplayDelay == 0 {
		return ""
	}
	return fmt.Sprintf("; it shows the data of %s ago", round(o.ReplayDelay))
}

// slack is what a standby may lack without being late: an archive gets whole segments.
func (a *assessment) slack(p *Place) int64 {
	if p.Link.State != fromArchive {
		return 0
	}
	if size := p.Observation.Control.SegmentSize; size > 0 {
		return int64(size)
	}
	return 16 << 20
}

// checkDelay reports a delayed standby that does not keep its Delay. What its upstream measured, and not when the last transaction
// was committed, says whether it is late: after a night without a commit the first one makes the last one look old.
func (a *assessment) checkDelay(p *Place, lag int64) {
	o, delay := p.Observation, p.Node.Delay
	remedy := fmt.Sprintf("set recovery_min_apply_delay = '%dms' there (12+; up to 11 in recovery.conf) and %s", delay.Milliseconds(),
		a.service(p.Node, takeUp(o.Version, 12)))
	if set, ok := o.duration("recovery_min_apply_delay"); ok && set != delay {
		code, how := DelayNotKept, "less"
		if set > delay {
			code, how = DelayExceeded, "more"
		}
		a.add(code, p.Node.ID, "", remedy, "recovery_min_apply_delay is %s, %s than the %s it should have", set, how, delay)
		return
	}
	margin := a.limits.LagSeconds
	if margin < 0 {
		return
	}
	if margin == 0 {
		margin = 60
	}
	tolerance := time.Duration(margin) * time.Second
	shown := o.ServerTime.Sub(o.ReplayedAt)
	switch {
	case p.Link.ReplayTime > delay+tolerance && lag > a.slack(p):
		a.add(DelayExceeded, p.Node.ID, "", "look at the load of its disks and at long queries there (max_standby_streaming_delay)",
			"it replays %s after the commit, with a delay of %s, and has %s still to replay", round(p.Link.ReplayTime), delay, Bytes(lag))
	case known(o.ServerTime, o.ReplayedAt, o.StartedAt) && o.ServerTime.Sub(o.StartedAt) > delay && shown < delay-min(tolerance, delay/2):
		a.add(DelayNotKept, p.Node.ID, "", remedy, "it has replayed a transaction that was committed %s ago, and should wait %s", round(shown), delay)
	}
}
