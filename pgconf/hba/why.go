package hba

import (
	"fmt"
	"iter"
	"strings"
)

// Step is a rule that was held against a connection.
type Step struct {
	Index int  // in the rules of the Matcher
	Rule  Rule // owned by the Matcher
	Why   string
}

// Rule returns the rule at Index. It is false if there is none.
func (r Result) Rule() (Rule, bool) {
	if r.Index < 0 {
		return Rule{}, false
	}
	return r.m.rules[r.Index], true
}

// Why says in a sentence what the outcome is and why.
func (r Result) Why() string {
	switch {
	case r.m == nil:
		return "nothing was asked"
	case r.none != "":
		return r.none
	case r.Outcome == NoneMatch:
		return "no rule matches, so the server refuses the connection"
	}
	rule := r.m.rules[r.Index]
	if r.Outcome == CannotSay {
		return fmt.Sprintf("it cannot be said whether %s matches: %s", rule.place(), r.why(r.Index))
	}
	return fmt.Sprintf("%s is the first that matches; its method is %s", rule.place(), rule.Method)
}

// Steps yields the rules that were tried, in order, with the reason why each did not match. The last one is the rule at
// Index, if there is one. The reasons are put together here, so that Match need not.
func (r Result) Steps() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		if r.m == nil || r.none != "" {
			return
		}
		last := r.Index
		if last < 0 {
			last = len(r.m.rules) - 1
		}
		for i := range last + 1 {
			if !yield(Step{Index: i, Rule: r.m.rules[i], Why: r.why(i)}) {
				return
			}
		}
	}
}

// why says why a rule does not match, or cannot be decided, or that it matches.
func (r Result) why(i int) string {
	t, rule, q := &r.m.tests[i], r.m.rules[i], r.q
	if !t.transports.has(q.Transport) {
		return fmt.Sprintf("type %s does not take connections over %s", rule.Type, q.Transport)
	}
	databases, users, address := r.m.tryDatabases(t.databases, &q), r.m.tryUsers(t.users, &q), yes
	switch {
	case t.address.kind == inRange:
		address = truthOf(t.address.in.has(q.ip))
	case databases != no && users != no: // as Match does, which has all answers by now
		address = r.m.tryAddress(&t.address, &q)
	}
	var reasons [yes + 1][]string
	add := func(answer truth, reason func() string) {
		if answer != yes {
			reasons[answer] = append(reasons[answer], reason())
		}
	}
	add(address, func() string { return r.whyAddress(t.address, rule, address) })
	add(databases, func() string { return r.whyDatabase(rule, databases) })
	add(users, func() string { return r.whyUser(rule, users) })
	for _, list := range reasons { // what is certain goes before what is in doubt
		if len(list) > 0 {
			return strings.Join(list, "; ")
		}
	}
	return "it matches"
}

func (r Result) whyAddress(t addressTest, rule Rule, answer truth) string {
	client := r.q.Client
	switch t.kind {
	case sameHost, sameNet:
		if answer == doubt {
			return fmt.Sprintf("address %s depends on the server's interfaces, which are not known", rule.Address)
		}
		return fmt.Sprintf("address %s does not hold %s", rule.Address, client)
	case hostName:
		return r.q.host.why(t.host, r)
	}
	if r.q.ip.v4 != t.in.v4 {
		return fmt.Sprintf("address %s is of the other family than %s", rule.network(), client)
	}
	return fmt.Sprintf("address %s does not hold %s", rule.network(), client)
}

func (h hostAnswer) why(pattern string, r Result) string {
	client := r.q.Client
	switch {
	case r.m.server.Resolver == nil:
		return fmt.Sprintf("host name %s needs a name lookup", pattern)
	case !h.asked || h.named == doubt:
		return fmt.Sprintf("host name %s: the name of %s is not known", pattern, client)
	case h.named == no:
		return fmt.Sprintf("host name %s: %s has no name", pattern, client)
	case !hostMatches(pattern, h.name):
		return fmt.Sprintf("host name %s: the name of %s is %s", pattern, client, h.name)
	case h.leads == doubt:
		return fmt.Sprintf("host name %s: the addresses of %s are not known", pattern, h.name)
	}
	return fmt.Sprintf("host name %s: %s is no address of %s", pattern, client, h.name)
}

func (r Result) whyDatabase(rule Rule, answer truth) string {
	switch {
	case r.q.physical:
		return "database " + list(rule.Databases) + " does not hold the keyword replication"
	case answer == doubt:
		return fmt.Sprintf("whether database %s matches %s is not known", Name(r.q.Database), list(rule.Databases))
	}
	return fmt.Sprintf("database %s does not match %s", list(rule.Databases), Name(r.q.Database))
}

func (r Result) whyUser(rule Rule, answer truth) string {
	if answer == doubt {
		return fmt.Sprintf("whether user %s matches %s is not known", Name(r.q.User), list(rule.Users))
	}
	return fmt.Sprintf("user %s does not match %s", list(rule.Users), Name(r.q.User))
}

// place names a rule for people.
func (r Rule) place() string {
	if r.File == "" {
		return fmt.Sprintf("line %d", r.Line)
	}
	return fmt.Sprintf("%s:%d", r.File, r.Line)
}

// network returns the address column or columns.
func (r Record) network() string { return strings.TrimSpace(string(r.Address) + " " + r.Mask) }
