package hba

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
)

// maxAllParts bounds the memory that a file with long lists on many lines costs.
const maxAllParts = 1 << 20

// unreachable looks for rules of which earlier ones leave nothing.
func (l *linter) unreachable() {
	r := newReach(l.Matcher)
	room := maxAllParts
	for i := range l.rules {
		parts, ok := l.parts(&l.tests[i])
		if !ok || len(parts) == 0 || len(parts) > room {
			continue
		}
		room -= len(parts)
		takers := r.takers(parts)
		if takers == nil {
			r.add(i, parts)
			continue
		}
		l.rule = &l.rules[i]
		l.addUnreachable(takers)
	}
}

// takers returns the rules that together leave nothing of the parts, or nil.
func (r *reach) takers(parts []part) []int {
	var all []int
	for k := range parts {
		i := r.taker(&parts[k])
		if i < 0 {
			return nil
		}
		all = append(all, i)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// maxNamed bounds how many rules a finding names.
const maxNamed = 3

func (l *linter) addUnreachable(takers []int) {
	same := true
	var places []string
	for _, i := range takers {
		same = same && sameOutcome(l.rules[i].Record, l.rule.Record)
		if len(places) < maxNamed {
			places = append(places, l.rules[i].place())
		}
	}
	by := strings.Join(places, ", ")
	if more := len(takers) - len(places); more > 0 {
		by += fmt.Sprintf(" and %d more", more)
	}
	switch {
	case same:
		l.add(CodeRedundant, Info, "remove it", "it is never reached: all its connections go to %s, which do the same with them", by)
	case l.rule.Method == Reject:
		l.add(CodeUnreachable, Error, "move it before them", "it rejects nobody: all its connections go to %s", by)
	default:
		l.add(CodeUnreachable, Warning, "move it before them, or remove it", "it is never reached: all its connections go to %s", by)
	}
}

// replication looks for rules that were probably meant for standbys, and do not take them.
func (l *linter) replication() {
	takes := l.replicators()
	for i := range l.tests {
		t := &l.tests[i]
		if !hasKind(t.databases, termAll) || hasKind(t.databases, termReplication) {
			continue
		}
		for k := range t.users {
			u := &t.users[k]
			if u.kind != termName || u.text != l.ReplicationUser && !strings.Contains(strings.ToLower(u.text), "repl") || takes.has(u) {
				continue
			}
			takes.names[u.text] = true // once is enough
			l.rule = &l.rules[i]
			l.add(CodeNotReplication, Warning, "add a rule with the database replication",
				"database all does not include physical replication, and no rule with the keyword replication takes user %s", l.rule.Users[k])
		}
	}
}

// userSet are the users that some rules may take. Of patterns it knows the first ones only.
type userSet struct {
	*Matcher
	every    bool
	names    map[string]bool
	patterns patterns
}

func (s *userSet) has(u *term) bool {
	return s.every || s.names[u.text] || anyPair(s.patterns.tests, []term{*u}, s.usersOverlap)
}

// replicators returns the users of all rules for physical replication.
func (l *linter) replicators() *userSet {
	s := &userSet{Matcher: l.Matcher, names: map[string]bool{}, patterns: patterns{seen: map[nameKey]bool{}}}
	for i := range l.tests {
		if !hasKind(l.tests[i].databases, termReplication) {
			continue
		}
		for k := range l.tests[i].users {
			u := &l.tests[i].users[k]
			s.every = s.every || u.kind == termAll
			if u.kind == termName {
				s.names[u.text] = true
			}
			s.patterns.add(u)
		}
	}
	return s
}

// peers looks whether the other nodes find a rule for replication.
func (l *linter) peers() {
	if l.ReplicationUser == "" {
		return
	}
	for _, peer := range l.Peers {
		result, ok := l.replicates(peer)
		if ok {
			continue
		}
		client := peer.Unmap().WithZone("")
		file, line := "", 0
		if rule, found := result.Rule(); found {
			file, line = rule.File, rule.Line
		}
		code, severity, what := CodePeerRefused, Error, "cannot"
		if result.Outcome == CannotSay {
			code, severity, what = CodePeerUnknown, Warning, "may not be able to"
		}
		remedy := fmt.Sprintf("add: host replication %s %s scram-sha-256", Name(l.ReplicationUser), netip.PrefixFrom(client, client.BitLen()))
		l.addAt(file, line, code, severity, remedy, "%s %s replicate from here as %s: %s", peer, what, Name(l.ReplicationUser), result.Why())
	}
}

// replicates reports whether a node finds a rule, over TLS or without. If not, the result says why.
func (l *linter) replicates(peer netip.Addr) (worst Result, ok bool) {
	for _, transport := range []Transport{OverTLS, OverTCP} {
		if transport == OverTLS && l.Server.NoSSL {
			continue
		}
		r := l.Match(Conn{Transport: transport, Client: peer, User: l.ReplicationUser, Replication: PhysicalReplication})
		if rule, found := r.Rule(); found && r.Outcome == Matched && rule.Method != Reject {
			return r, true
		}
		if worst.m == nil || r.Outcome == CannotSay {
			worst = r
		}
	}
	return worst, false
}

// files looks at the files themselves.
func (l *linter) files() {
	if l.FS == nil {
		return
	}
	seen := map[string]bool{}
	for i := range l.rules {
		if file := l.rules[i].File; !seen[file] {
			seen[file] = true
			l.file(file)
		}
	}
}

// othersRead is the permission to read for everybody.
const othersRead fs.FileMode = 0o004

func (l *linter) file(name string) {
	if info, err := fs.Stat(l.FS, inFS(name)); err == nil && info.Mode()&othersRead != 0 {
		for i := range l.rules {
			if l.rule = &l.rules[i]; l.rule.File == name && slices.ContainsFunc(l.rule.Options, Option.isSecret) {
				l.add(CodeReadable, Warning, "chmod o-r", "the file holds a secret, and everybody on this machine can read it")
				break
			}
		}
	}
	if b, err := fs.ReadFile(l.FS, inFS(name)); err == nil {
		l.backslashes(name, string(b))
	}
}

// backslashes looks for line ends that majors read differently, and comments that hide the next line.
func (l *linter) backslashes(name, text string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		if !strings.HasSuffix(line, `\`) {
			continue
		}
		isComment := strings.HasPrefix(strings.TrimLeft(line, " \t"), "#")
		switch {
		case l.major < continuationSince:
			l.addAt(name, i+1, CodeBackslash, Warning, "remove it", "the backslash at the end is a character of the line; from PostgreSQL 14 on it joins the next line")
		case isComment && i+1 < len(lines) && strings.Trim(lines[i+1], " \t\r") != "" && !strings.HasPrefix(strings.TrimLeft(lines[i+1], " \t"), "#"):
			l.addAt(name, i+1, CodeBackslash, Warning, "remove it", "the backslash at the end of the comment makes the next line a part of it")
		}
	}
}
