package hba

import (
	"errors"
	"fmt"
	"slices"
)

// ErrReject is matched by the error of [File.EnsureRule] if the record would have to stand before a rule that rejects some of
// its connections, and the caller has not allowed that.
var ErrReject = errors.New("a rule that rejects stands in the way")

// NoteCode says what a [Note] is about.
type NoteCode string

// The notes about a change, or about why none was needed.
const (
	// An earlier rule goes on to decide for a part of the connections. It is left where it is as the exception that it is: it
	// takes only a part of what each value of the columns describes, or it depends on what is not known whether it takes any.
	NoteEarlier       NoteCode = "earlier-rule"
	NoteEarlierReject NoteCode = "earlier-reject" // the same, and it rejects them
	NoteEarlierTrust  NoteCode = "earlier-trust"  // the same, and it lets them in without a question

	NoteOverridden  NoteCode = "overridden"  // a later rule no longer decides for some connections
	NoteWeakened    NoteCode = "weakened"    // the same, and it asked for more than the record does
	NoteUnreachable NoteCode = "unreachable" // a later rule no longer decides for any connection

	// A rule that means the same stood behind others that kept connections from it.
	NoteMoved  NoteCode = "moved"  // it was in the same file and has been taken out there
	NoteCopied NoteCode = "copied" // it is in an included file and stays

	NoteAllNotReplication NoteCode = "all-not-replication" // the database all does not include physical replication

	NoteNext      NoteCode = "next-rule" // after a removal, this rule is the next for some of the connections
	NoteRemaining NoteCode = "remaining" // an included file has a rule that means the same as the removed one
)

// Note is something to know about a change.
type Note struct {
	Code NoteCode
	Rule Rule   // that it is about, as it was before the change; zero for NoteAllNotReplication
	Text string // a sentence for people
}

// plan says what has to be done for a record to take effect.
type plan struct {
	at    int    // index of the rule to stand before, the number of rules for the end, or -1 for no change
	by    int    // without a change: the first rule that does what the record says
	equal []int  // with a change: later rules that mean the same
	notes []Note // but those about equal
}

// planner makes a plan.
type planner struct {
	*Matcher
	record     Record
	test       ruleTest
	overReject bool
	place      func(i int) int // the first rule after the place in the main file that is nearest before rule i
	parts      []partState
	partly     []int // rules that decide for a part of an open part
}

// partState is a part of the record.
type partState struct {
	part
	taker   int  // the first rule that takes it, -1 while it is open
	settled bool // and does with it what the record says
	sure    int  // the first rule that certainly takes all of it, the number of rules if there is none
}

func (m *Matcher) plan(r *Rule, overReject bool, place func(int) int) (plan, error) {
	p := planner{Matcher: m, record: r.Record, test: newRuleTest(r), overReject: overReject, place: place}
	parts, ok := m.parts(&p.test)
	if !ok {
		return plan{}, fmt.Errorf("%w: its lists are too long to work out what takes effect; make several records of it", ErrRecord)
	}
	for _, part := range parts {
		p.parts = append(p.parts, partState{part: part, taker: -1, sure: len(m.rules)})
	}
	for i := range m.rules {
		if m.overlaps(&m.tests[i], &p.test) {
			p.meet(i)
		}
	}
	return p.decide()
}

// meet lets a rule take what it can of the parts.
func (p *planner) meet(i int) {
	same := sameOutcome(p.rules[i].Record, p.record)
	partly := false
	for k := range p.parts {
		part := &p.parts[k]
		covers := p.covers(&p.tests[i], &part.part)
		if covers == yes {
			part.sure = min(part.sure, i)
		}
		switch {
		case part.taker >= 0:
		case same:
			if covers == yes {
				part.taker, part.settled = i, true
			}
		case covers == yes, covers == doubt && (p.overReject || !p.rejects(i)):
			part.taker = i
		default:
			partly = partly || p.overlaps(&p.tests[i], part.test())
		}
	}
	if partly {
		p.partly = append(p.partly, i)
	}
}

func (p *planner) rejects(i int) bool { return p.rules[i].Method == Reject }

// test returns the part as if it were a rule.
func (p *part) test() *ruleTest {
	return &ruleTest{1 << p.transport, p.address, []term{p.database}, []term{p.user}}
}

// decide finds the place.
func (p *planner) decide() (plan, error) {
	result := plan{at: -1, by: -1}
	open := false
	rejected := -1
	for _, part := range p.parts {
		switch {
		case part.taker < 0:
			open = true
		case part.settled:
			result.by = p.better(result.by, part.taker)
		case p.rejects(part.taker) && !p.overReject:
			rejected = first(rejected, part.taker)
		default:
			result.at = first(result.at, part.taker)
		}
	}
	switch {
	case result.at >= 0:
		result.at = p.place(result.at)
		if i := p.firstReject(result.at); i >= 0 && !p.overReject {
			return plan{}, fmt.Errorf("%w: %s", ErrReject, p.rules[i].place())
		}
	case open:
		result.at = len(p.rules)
	case result.by < 0:
		return plan{}, fmt.Errorf("%w: %s", ErrReject, p.rules[rejected].place())
	}
	p.note(&result)
	return result, nil
}

// better chooses the rule to name of two that do what the record says: an equal one, or else the first.
func (p *planner) better(a, b int) int {
	if a >= 0 && p.rules[a].Equal(p.record) != p.rules[b].Equal(p.record) {
		if p.rules[a].Equal(p.record) {
			return a
		}
		return b
	}
	return first(a, b)
}

// first returns the smaller index; -1 is none.
func first(a, b int) int {
	if a < 0 {
		return b
	}
	return min(a, b)
}

// firstReject returns the first rule from at on that rejects some of the record's connections, or -1.
func (p *planner) firstReject(at int) int {
	if p.record.Method == Reject {
		return -1
	}
	for i := at; i < len(p.rules); i++ {
		if p.rejects(i) && p.isLive(i) {
			return i
		}
	}
	return -1
}

// isLive reports whether a rule may decide for some of the record's connections.
func (p *planner) isLive(i int) bool {
	return slices.ContainsFunc(p.parts, func(part partState) bool {
		return i <= part.sure && p.overlaps(&p.tests[i], part.test())
	})
}

func (p *planner) note(result *plan) {
	end := result.at
	if end < 0 {
		end = len(p.rules)
	}
	earlier := slices.Clone(p.partly)
	for _, part := range p.parts {
		if part.taker >= 0 && !part.settled {
			earlier = append(earlier, part.taker)
		}
	}
	slices.Sort(earlier)
	for _, i := range slices.Compact(earlier) {
		if i < end {
			result.notes = append(result.notes, p.noteEarlier(i))
		}
	}
	for i := end; i < len(p.rules); i++ {
		switch {
		case p.rules[i].Equal(p.record):
			result.equal = append(result.equal, i)
		case p.isLive(i):
			result.notes = append(result.notes, p.noteLater(i)...)
		}
	}
	if hasKind(p.test.databases, termAll) && !hasKind(p.test.databases, termReplication) {
		result.notes = append(result.notes, Note{Code: NoteAllNotReplication,
			Text: "the database all does not include physical replication; that needs the keyword replication"})
	}
}

func hasKind(tests []term, kind termKind) bool {
	return slices.ContainsFunc(tests, func(t term) bool { return t.kind == kind })
}

func (p *planner) noteEarlier(i int) Note {
	rule := p.rules[i]
	code := NoteEarlier
	switch rule.Method {
	case Reject:
		code = NoteEarlierReject
	case Trust:
		code = NoteEarlierTrust
	}
	return Note{code, rule, fmt.Sprintf("%s comes first and decides for a part of these connections, by %s", rule.place(), rule.Method)}
}

func (p *planner) noteLater(i int) []Note {
	rule := p.rules[i]
	var notes []Note
	add := func(code NoteCode, format string, args ...any) {
		notes = append(notes, Note{code, rule, rule.place() + " " + fmt.Sprintf(format, args...)})
	}
	switch same := sameOutcome(rule.Record, p.record); {
	case !same && p.record.Method.strength() < rule.Method.strength():
		add(NoteWeakened, "no longer decides for some connections: instead of %s they now need %s", rule.Method, p.record.Method)
	case !same:
		add(NoteOverridden, "no longer decides for some connections, which came by %s", rule.Method)
	}
	if p.takesAll(i) {
		add(NoteUnreachable, "is never reached any more; it can be removed")
	}
	return notes
}

// takesAll reports whether the record alone takes everything that a rule does.
func (p *planner) takesAll(i int) bool {
	parts, ok := p.Matcher.parts(&p.tests[i])
	return ok && !slices.ContainsFunc(parts, func(part part) bool { return p.covers(&p.test, &part) != yes })
}

// sameOutcome reports whether two records do the same with the connections that they take.
func sameOutcome(a, b Record) bool {
	return a.effectiveMethod() == b.effectiveMethod() && sameOptions(a.Options, b.Options)
}

// effectiveMethod returns Peer for Ident over a socket, as the server takes it (9.1+).
func (r Record) effectiveMethod() Method {
	if r.Type == Local && r.Method == Ident {
		return Peer
	}
	return r.Method
}

// strength ranks methods by how hard it is to get in wrongly.
func (m Method) strength() int {
	switch m {
	case Trust:
		return 0
	case Ident:
		return 1
	case Password, LDAP, PAM, BSD, RADIUS: // the password travels readable
		return 2
	case MD5:
		return 3
	case Reject:
		return 5
	}
	return 4
}
