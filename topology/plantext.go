package topology

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// String is the plan for people, before it runs: numbered steps, each with its node, what changes and why; and for which nodes nothing
// is planned.
func (p Plan) String() string {
	var b strings.Builder
	if len(p.Steps) == 0 && len(p.Refused) == 0 {
		b.WriteString("nothing to do: the cluster is as described\n")
	}
	width := 0
	for _, s := range p.Steps {
		width = max(width, len(s.Node))
	}
	for i, s := range p.Steps {
		lines := s.lines()
		fmt.Fprintf(&b, "%3d. %-*s  %s\n", i+1, width, s.Node, lines[0])
		for _, line := range append(lines[1:], "because: "+s.Why) {
			fmt.Fprintf(&b, "     %-*s    %s\n", width, "", line)
		}
	}
	for _, r := range p.Refused {
		fmt.Fprintf(&b, "not planned: %s: %s\n", cmp.Or(string(r.Node), "the cluster"), r.Why)
	}
	return b.String()
}

// lines are what a step does: a sentence, and its details.
func (s Step) lines() []string {
	switch a := s.Action.(type) {
	case Set:
		lines := []string{"set parameters"}
		for _, c := range a.Changes {
			lines = append(lines, c.String())
		}
		return lines
	case Allow:
		lines := []string{"edit pg_hba.conf"}
		for _, r := range a.Add {
			lines = append(lines, "+ "+r.String())
		}
		for _, r := range a.Remove {
			lines = append(lines, "- "+r.String())
		}
		return lines
	case WritePassfile:
		return []string{fmt.Sprintf("write the password file (%d lines)", len(a.Lines))}
	case EnsureAccount:
		return []string{fmt.Sprintf("make the account %s for %s", a.Account.Name, a.Use)}
	case Follow:
		return []string{"write how it follows: " + cmp.Or(string(a.Upstream), "the archive alone")}
	case CreateSlot:
		return []string{"create the slot " + a.Name}
	case DropSlot:
		return []string{"drop the slot " + a.Name}
	case Clone:
		return []string{"clone it from " + string(a.From) + " and start it"}
	case AwaitStreaming:
		if a.Upstream == "" {
			return []string{"wait until it answers"}
		}
		return []string{"wait until it streams from " + string(a.Upstream)}
	case SetSync:
		return []string{fmt.Sprintf("set %s: %s -> %s, by reload", syncNames, quote(a.From), quote(a.To))}
	}
	return []string{map[string]string{
		"reload": "reload", "restart": "restart", "start": "start", "initialise": "make the first data directory of the cluster",
	}[s.verb()]}
}

// verb is the name of the action in JSON.
func (s Step) verb() string {
	switch s.Action.(type) {
	case Set:
		return "set"
	case Allow:
		return "allow"
	case WritePassfile:
		return "write-passfile"
	case EnsureAccount:
		return "ensure-account"
	case Follow:
		return "follow"
	case CreateSlot:
		return "create-slot"
	case DropSlot:
		return "drop-slot"
	case Reload:
		return "reload"
	case Restart:
		return "restart"
	case Start:
		return "start"
	case Clone:
		return "clone"
	case Initialise:
		return "initialise"
	case AwaitStreaming:
		return "await-streaming"
	case SetSync:
		return "set-sync"
	}
	return ""
}

// String is the change as "name: from -> to (file:line, needs restart)". Values of parameters that may hold a secret are hidden.
func (c SettingChange) String() string {
	from, to := c.values()
	var notes []string
	if c.File != "" {
		notes = append(notes, fmt.Sprintf("%s:%d", c.File, c.Line))
	}
	if c.Overrule {
		notes = append(notes, "taken out there, since it wins over postgresql.conf")
	}
	notes = append(notes, "needs "+string(c.Needs))
	return fmt.Sprintf("%s: %s -> %s (%s)", c.Name, quote(from), quote(to), strings.Join(notes, ", "))
}

func (c SettingChange) values() (from, to string) {
	return display(c.Name, c.From), display(c.Name, c.Value)
}

// display is a value as people may see it.
func display(name, value string) string {
	if value != "" && pgconf.MayHoldSecret(name) {
		return "********"
	}
	return value
}

// stepJSON is a step for tools. Fields that the action does not have are left out.
type stepJSON struct {
	Node     NodeID       `json:"node"`
	Action   string       `json:"action"`
	Why      string       `json:"why"`
	Changes  []changeJSON `json:"changes,omitempty"`
	Add      []hba.Record `json:"add,omitempty"`
	Remove   []hba.Record `json:"remove,omitempty"`
	Account  string       `json:"account,omitempty"`
	Use      AccountUse   `json:"use,omitempty"`
	Upstream NodeID       `json:"upstream,omitempty"`
	Slot     string       `json:"slot,omitempty"`
	From     *string      `json:"from,omitempty"` // of set-sync
	To       *string      `json:"to,omitempty"`
}

type changeJSON struct {
	Name     string `json:"name"`
	From     string `json:"from"`
	To       string `json:"to"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Overrule bool   `json:"overrule,omitempty"`
	Needs    Need   `json:"needs"`
	Why      string `json:"why"`
}

// MarshalJSON writes the step for tools: node, action (set, allow, write-passfile, ensure-account, follow, create-slot, drop-slot,
// reload, restart, start, clone, initialise, await-streaming, set-sync), why, and what the action has to say. Values of parameters
// that may hold a secret are hidden, so a plan is not read back from it: it is made anew from what is observed.
func (s Step) MarshalJSON() ([]byte, error) {
	out := stepJSON{Node: s.Node, Action: s.verb(), Why: s.Why}
	switch a := s.Action.(type) {
	case Set:
		for _, c := range a.Changes {
			from, to := c.values()
			out.Changes = append(out.Changes, changeJSON{c.Name, from, to, c.File, c.Line, c.Overrule, c.Needs, c.Why})
		}
	case Allow:
		out.Add, out.Remove = a.Add, a.Remove
	case EnsureAccount:
		out.Account, out.Use = a.Account.Name, a.Use
	case Follow:
		out.Upstream = a.Upstream
	case CreateSlot:
		out.Slot = a.Name
	case DropSlot:
		out.Slot = a.Name
	case Clone:
		out.Upstream = a.From
	case AwaitStreaming:
		out.Upstream = a.Upstream
	case SetSync:
		out.From, out.To = &a.From, &a.To
	}
	return json.Marshal(out)
}

// MarshalJSON writes {"steps": […], "refused": [{"node", "why"}]}; both are there, be they empty.
func (p Plan) MarshalJSON() ([]byte, error) {
	type refusal struct {
		Node NodeID `json:"node,omitempty"`
		Why  string `json:"why"`
	}
	out := struct {
		Steps   []Step    `json:"steps"`
		Refused []refusal `json:"refused"`
	}{p.Steps, []refusal{}}
	if out.Steps == nil {
		out.Steps = []Step{}
	}
	for _, r := range p.Refused {
		out.Refused = append(out.Refused, refusal(r))
	}
	return json.Marshal(out)
}
