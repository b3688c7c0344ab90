package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf/guc"
)

// checkSync compares whom the primary waits for with whom it should wait for, and with who is there.
func (a *assessment) checkSync() {
	if a.primary == nil || len(a.primaries) > 1 {
		return // first there has to be one
	}
	o := a.primary.Observation
	inEffect, err := guc.ParseSyncNames(major(o.Version), o.SyncNames)
	if err != nil {
		return // no server has such a value in effect
	}
	s := syncCheck{assessment: a, o: o, id: a.primary.Node.ID, inEffect: inEffect}
	for _, row := range o.Senders {
		if row.State == "streaming" {
			s.streaming = append(s.streaming, row.Name)
		}
	}
	s.stall()
	s.names()
	s.policy()
}

type syncCheck struct {
	*assessment
	o         Observation
	id        NodeID
	inEffect  guc.SyncNames
	streaming []string // application names
}

// stall reports commits that wait, and those that would.
func (s *syncCheck) stall() {
	listed, there := s.inEffect, 0
	for _, name := range s.streaming {
		if listed.Lists(name) {
			there++
		}
	}
	lift := "bring the missing standby back. To go on without, at the price of durability: " + s.alter("")
	if there >= listed.Num {
		lift = "they stream and do not confirm: look at their disks, at replay there and at the network. " +
			"To go on without, at the price of durability: " + s.alter("")
	}
	short := there < listed.Num && len(listed.Names) > 0
	state := fmt.Sprintf("synchronous_standby_names = %s asks for %d, and %d of them stream", shown(listed), listed.Num, there)
	waiting := ""
	if b := s.o.Blocked; b.Commits > 0 && exceeds(seconds(b.Longest), s.limits.Blocked, 10) {
		waiting = fmt.Sprintf("%s for a synchronous standby, the longest for %s", waits(b.Commits), round(b.Longest))
	}
	switch impossible := listed.Num > len(listed.Names) && !slices.Contains(listed.Names, "*"); {
	case impossible:
		s.add(SyncImpossible, s.id, "", s.alterTo(), "synchronous_standby_names = %s asks for %d of %s: no commit ever returns%s",
			shown(listed), listed.Num, count(len(listed.Names), "name"), prefixed("; ", waiting))
	case waiting != "":
		s.add(CommitsBlocked, s.id, "", lift, "%s; %s", waiting, state)
	case short:
		s.add(SyncUnmet, s.id, "", lift, "%s: commits wait", state)
	}
}

func waits(commits int) string {
	if commits == 1 {
		return "1 commit waits"
	}
	return fmt.Sprintf("%d commits wait", commits)
}

// names reports entries of the list that are not what they seem.
func (s *syncCheck) names() {
	var nobody []string
	for _, name := range s.inEffect.Names {
		switch {
		case name == "*":
			s.add(SyncAnyone, s.id, "", s.alterTo(), "synchronous_standby_names = %s counts every program that streams, pg_receivewal and strangers included", shown(s.inEffect))
		case !s.isNode(name) && !slices.ContainsFunc(s.streaming, func(other string) bool { return strings.EqualFold(name, other) }):
			nobody = append(nobody, fmt.Sprintf("%q", name))
		}
	}
	if len(nobody) > 0 {
		s.add(SyncNobody, s.id, "", s.alterTo(), "synchronous_standby_names = %s lists %s, which is no node and streams nowhere", shown(s.inEffect), strings.Join(nobody, ", "))
	}
}

func (s *syncCheck) isNode(name string) bool {
	return slices.ContainsFunc(s.nodes, func(p *Place) bool { return strings.EqualFold(string(p.Node.ID), name) })
}

// policy compares the names in effect with those that the description asks for.
func (s *syncCheck) policy() {
	full, err := s.wantedNames(nil, true)
	if err != nil {
		return // the description is refused elsewhere
	}
	if mode := s.o.Parameters["synchronous_commit"].Value; (mode == "off" || mode == "local") && len(full.Names)+len(s.inEffect.Names) > 0 {
		s.add(CommitNotWaiting, s.id, "", s.sql(s.primary.Node, "ALTER SYSTEM SET synchronous_commit = 'on'", reload)+
			"; roles, databases and sessions may set it as well", "synchronous_commit is %s: commits do not wait for the standbys that they should wait for", mode)
	}
	var there []NodeID
	for _, p := range s.answering {
		if slices.Contains(s.streaming, string(p.Node.ID)) {
			there = append(there, p.Node.ID)
		}
	}
	now, err := s.wantedNames(there, false)
	switch {
	case err != nil:
	case s.inEffect.Num < now.Num:
		s.add(SyncWeaker, s.id, "", s.alterTo(), "commits wait for %d of the standbys, and the policy asks for %d of %s, of which %s",
			s.inEffect.Num, now.Num, strings.Join(full.Names, ", "), streamNow(now.Names, s.streaming))
	case s.has(s.id, SyncImpossible, SyncAnyone, SyncNobody), sameSync(s.inEffect, now), sameSync(s.inEffect, full):
	case len(full.Names) == 0 || s.inEffect.Num > full.Num || !sameSync(withNumber(s.inEffect, full.Num), full):
		s.add(SyncNamesDiffer, s.id, "", s.alterTo(), "synchronous_standby_names is %s, and by the policy %s", shown(s.inEffect), shown(full))
	}
}

// wantedNames is the policy for the primary: the full one, or that among the standbys that stream.
func (s *syncCheck) wantedNames(there []NodeID, all bool) (guc.SyncNames, error) {
	m := major(s.o.Version)
	text, err := s.c.SyncNamesFor(s.id, m)
	if !all {
		text, err = s.c.SyncNamesAmong(s.id, m, there)
	}
	if err != nil {
		return guc.SyncNames{}, err
	}
	return guc.ParseSyncNames(m, text)
}

// alterTo is the call that sets the names by the policy, as far as standbys are there.
func (s *syncCheck) alterTo() string {
	var there []NodeID
	for _, name := range s.streaming {
		there = append(there, NodeID(name))
	}
	names, err := s.wantedNames(there, false)
	if err != nil {
		return "correct the description: " + err.Error()
	}
	listed := 0
	for _, name := range s.streaming {
		if names.Lists(name) {
			listed++
		}
	}
	if listed < names.Num {
		return s.alter(names.String()) + "; commits then wait until enough of them stream"
	}
	return s.alter(names.String())
}

func (s *syncCheck) alter(value string) string {
	return s.sql(s.primary.Node, "ALTER SYSTEM SET synchronous_standby_names = "+literal(value), reload)
}

// sameSync says whether two settings choose the same standbys. The order counts where the first ones of the list are chosen, and
// not all of them.
func sameSync(x, y guc.SyncNames) bool {
	if x.Num != y.Num || len(x.Names) != len(y.Names) {
		return false
	}
	everyone := x.Num == len(x.Names)
	if x.Quorum != y.Quorum && !everyone {
		return false
	}
	a, b := folded(x.Names), folded(y.Names)
	if x.Quorum || everyone {
		slices.Sort(a)
		slices.Sort(b)
	}
	return slices.Equal(a, b)
}

func folded(names []string) []string {
	all := slices.Clone(names)
	for i := range all {
		all[i] = strings.ToLower(all[i])
	}
	return all
}

func withNumber(s guc.SyncNames, n int) guc.SyncNames {
	s.Num = n
	return s
}

// shown writes the setting as it stands in a file, for people.
func shown(s guc.SyncNames) string { return literal(s.String()) }

func streamNow(names, streaming []string) string {
	var there []string
	for _, name := range names {
		if slices.Contains(streaming, name) {
			there = append(there, name)
		}
	}
	if len(there) == 1 {
		return there[0] + " streams"
	}
	return strings.Join(there, ", ") + " stream"
}

// duration returns a parameter that is one, in the unit of its major.
func (o Observation) duration(name string) (time.Duration, bool) {
	text := o.Parameters[name].Value
	if text == "" {
		return 0, false
	}
	value, err := guc.Parse(major(o.Version), name, text)
	if err != nil {
		return 0, false
	}
	ms, ok := value.Number()
	return time.Duration(ms * float64(time.Millisecond)), ok
}
