package hba

import "strings"

// reach knows which of the rules added so far takes a part first. It looks them up by their values instead of going through
// them, so that the time a long file takes is in proportion to its length.
type reach struct {
	*Matcher
	sets      map[setKey]*addressSet
	databases patterns
	users     patterns
}

// setKey is what the parts in one set have in common.
type setKey struct {
	transport      Transport
	database, user nameKey
}

type nameKey struct {
	kind termKind
	text string
}

func (t *term) key() nameKey { return nameKey{t.kind, t.text} }

// addressSet has the first rule for each address.
type addressSet struct {
	socket int // -1 if none
	ranges map[ipRange]int
	masks  []familyMask            // of the ranges, each once
	others map[addressTest]int     // host names, and interfaces of an unknown server
	byMask map[familyMask]struct{} // the same as masks
}

type familyMask struct {
	v4   bool
	mask bits128
}

// patterns are the values seen so far that match names in ways one has to try: regular expressions and roles. Those behind
// the first maxPatterns are passed over, and masks behind the first maxMasks in a set; both keep a file that was made to take
// long from doing so, and cost no more than findings.
type patterns struct {
	tests []term
	seen  map[nameKey]bool
	fits  map[string][]nameKey // what was found for a name, while len(tests) was upTo
	upTo  int
}

const (
	maxPatterns = 64
	maxMasks    = 64
)

func newReach(m *Matcher) *reach {
	return &reach{
		Matcher: m, sets: map[setKey]*addressSet{}, databases: patterns{seen: map[nameKey]bool{}}, users: patterns{seen: map[nameKey]bool{}},
	}
}

// add adds the parts of a rule, which comes after those added before.
func (r *reach) add(i int, parts []part) {
	for k := range parts {
		p := &parts[k]
		r.databases.add(&p.database)
		r.users.add(&p.user)
		key := setKey{p.transport, p.database.key(), p.user.key()}
		if r.sets[key] == nil {
			r.sets[key] = &addressSet{socket: -1}
		}
		r.sets[key].add(i, p)
	}
}

func (s *addressSet) add(i int, p *part) {
	switch {
	case p.transport == OverSocket:
		s.socket = first(s.socket, i)
	case p.address.kind != inRange:
		if s.others == nil {
			s.others = map[addressTest]int{}
		}
		if _, ok := s.others[p.address]; !ok {
			s.others[p.address] = i
		}
	default:
		s.addRange(i, p.address.in)
	}
}

func (s *addressSet) addRange(i int, in ipRange) {
	if s.ranges == nil {
		s.ranges, s.byMask = map[ipRange]int{}, map[familyMask]struct{}{}
	}
	if _, ok := s.ranges[in]; ok {
		return
	}
	s.ranges[in] = i
	mask := familyMask{in.v4, in.mask}
	if _, ok := s.byMask[mask]; !ok && len(s.masks) < maxMasks {
		s.byMask[mask] = struct{}{}
		s.masks = append(s.masks, mask)
	}
}

func (g *patterns) add(t *term) {
	if (t.kind == termRegex || t.kind == termMember) && len(g.tests) < maxPatterns && !g.seen[t.key()] {
		g.seen[t.key()] = true
		g.tests = append(g.tests, *t)
	}
}

// fitting returns the patterns that take a name, as ask has it.
func (g *patterns) fitting(name string, ask func(*term) truth) []nameKey {
	if g.fits == nil || g.upTo != len(g.tests) {
		g.fits, g.upTo = map[string][]nameKey{}, len(g.tests)
	}
	keys, ok := g.fits[name]
	if !ok {
		for i := range g.tests {
			if ask(&g.tests[i]) == yes {
				keys = append(keys, g.tests[i].key())
			}
		}
		g.fits[name] = keys
	}
	return keys
}

// taker returns the first rule that takes all of a part, or -1.
func (r *reach) taker(p *part) int {
	found := -1
	users := r.usersFor(&p.user)
	for _, d := range r.databasesFor(p) {
		for _, u := range users {
			if set := r.sets[setKey{p.transport, d, u}]; set != nil {
				if i := set.taker(p); i >= 0 {
					found = first(found, i)
				}
			}
		}
	}
	return found
}

// databasesFor returns the values that take the database of a part, as coversDatabase has it.
func (r *reach) databasesFor(p *part) []nameKey {
	d := &p.database
	if d.kind == termReplication {
		return []nameKey{d.key()}
	}
	keys := []nameKey{d.key(), {kind: termAll}, {kind: termRegex}}
	if d.kind == termName {
		keys = append(keys, r.databases.fitting(d.text, func(t *term) truth { return t.tryName(d.text) })...)
		if p.user == *d {
			keys = append(keys, nameKey{kind: termSameUser})
		}
	}
	if d.kind != termSameRole && r.coversSameRole(p) == yes {
		keys = append(keys, nameKey{kind: termSameRole})
	}
	return keys
}

// usersFor returns the values that take a user, as coversUser has it.
func (r *reach) usersFor(u *term) []nameKey {
	keys := []nameKey{u.key(), {kind: termAll}, {kind: termRegex}}
	switch u.kind {
	case termName:
		keys = append(keys, r.users.fitting(u.text, func(t *term) truth { return r.coversUser(t, u) })...)
	case termMember:
		for i := range r.users.tests {
			if t := &r.users.tests[i]; t.kind == termMember && t.text != u.text && r.coversUser(t, u) == yes {
				keys = append(keys, t.key())
			}
		}
	}
	return keys
}

func (s *addressSet) taker(p *part) int {
	if p.transport == OverSocket {
		return s.socket
	}
	switch a := p.address; a.kind {
	case inRange:
		return s.takerOfRange(a.in)
	case hostName:
		found := s.takerOfAll()
		for at := 0; at >= 0; at = nextDot(a.host, at) {
			found = s.firstOther(found, addressTest{kind: hostName, host: a.host[at:]})
		}
		return found
	default: // sameHost or sameNet
		return s.firstOther(s.firstOther(s.takerOfAll(), a), addressTest{kind: sameNet})
	}
}

func (s *addressSet) takerOfRange(in ipRange) int {
	found := -1
	for _, m := range s.masks {
		if m.v4 != in.v4 || m.mask.and(in.mask) != m.mask {
			continue
		}
		if i, ok := s.ranges[ipRange{m.v4, in.ip.and(m.mask), m.mask}]; ok {
			found = first(found, i)
		}
	}
	return found
}

// takerOfAll returns the rule that takes every address, or -1. Two rules for one family each are not looked for.
func (s *addressSet) takerOfAll() int {
	if v4 := s.takerOfRange(everyIP[0]); v4 == s.takerOfRange(everyIP[1]) {
		return v4
	}
	return -1
}

func (s *addressSet) firstOther(found int, a addressTest) int {
	if i, ok := s.others[a]; ok {
		return first(found, i)
	}
	return found
}

// nextDot returns where the next shorter suffix with a leading dot begins, or -1.
func nextDot(host string, at int) int {
	if at == len(host) {
		return -1
	}
	i := strings.IndexByte(host[at+1:], '.')
	if i < 0 {
		return -1
	}
	return at + 1 + i
}
