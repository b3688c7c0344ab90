package main

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// paramCommand explains a parameter.
type paramCommand struct {
	Name  string       `arg:"" help:"The parameter."`
	Value string       `arg:"" optional:"" help:"A value to judge."`
	Major pgconf.Major `default:"${newest}" help:"Major version of the server, such as 9.6 or 17."`
}

// Run prints what the major knows of the parameter, what other majors know differently, and what it makes of the value.
func (c *paramCommand) Run(out *streams) error {
	p, ok := guc.Lookup(c.Major, c.Name)
	if !ok {
		err := guc.Validate(c.Major, c.Name, "")
		if err == nil {
			err = errors.New(c.Name + " belongs to an extension, which alone knows it")
		}
		fmt.Fprintln(out.Out, err)
		return errNo
	}
	w := tabwriter.NewWriter(out.Out, 0, 8, 2, ' ', 0)
	for _, f := range paramFacts(p) {
		fmt.Fprintf(w, "%s\t%s\n", f.name, f.text)
	}
	var refused error
	if c.Value != "" {
		v, err := p.Parse(c.Value)
		if refused = err; err == nil {
			fmt.Fprintf(w, "value\t%s, which is %s\n", v, v.Setting())
		} else {
			fmt.Fprintf(w, "value\trefused: %v\n", err)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if refused != nil {
		return errNo
	}
	return nil
}

type paramFact struct{ name, text string }

func paramFacts(p guc.Param) []paramFact {
	facts := []paramFact{{"parameter", p.Name + ", PostgreSQL " + p.Major.String()}, {"type", p.Type.String()}}
	add := func(name, text string) { facts = append(facts, paramFact{name, text}) }
	switch p.Type {
	case guc.Enum:
		add("words", paramWords(p))
	case guc.Int, guc.Real:
		add("range", number(p.Min)+" to "+number(p.Max))
	}
	if p.Unit != guc.NoUnit {
		add("unit", string(p.Unit)+"; "+strings.Join(p.Unit.Units(p.Major), ", "))
	}
	add("default", paramDefault(p))
	add("change", p.Context.Action().String())
	add("context", p.Context.String())
	add("category", p.Category)
	if p.Varies {
		add("varies", "other builds, platforms or minor releases differ")
	}
	h, _ := guc.HistoryOf(p.Name)
	if h.First > pgconf.Oldest {
		add("since", h.First.String())
	}
	for _, c := range h.Changes {
		add("in "+c.Major.String(), fmt.Sprintf("%s: %s -> %s", factName(c.Fact), orNothing(c.Old), orNothing(c.New)))
	}
	if h.Fate != nil {
		add("gone in", h.Fate.Major.String()+": "+h.Fate.Reason)
	}
	if h.Fate != nil && h.Fate.To != "" {
		add("use", h.Fate.To)
	}
	return facts
}

// factName says in the words of the output what pg_settings calls fact.
func factName(fact string) string {
	names := map[string]string{"vartype": "type", "boot_val": "default", "min_val": "least", "max_val": "most", "enumvals": "words"}
	return cmp.Or(names[fact], fact)
}

// paramWords lists the words of an enum, the aliases with what they mean.
func paramWords(p guc.Param) string {
	var words []string
	for _, v := range p.Values {
		word := orNothing(v.Name)
		if v.Shown != v.Name {
			word += " (" + v.Shown + ")"
		}
		if v.Varies {
			word += " (if built in)"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// paramDefault returns the default as SHOW prints it, if a file can set the parameter.
func paramDefault(p guc.Param) string {
	if v, err := p.Parse(p.Default); err == nil {
		return orNothing(v.String())
	}
	return orNothing(p.Default)
}

func number(n float64) string { return strconv.FormatFloat(n, 'g', 10, 64) }

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
