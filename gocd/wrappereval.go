package gocd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// wrapperProps are the properties of a wrapper file after all of its lines: of two with the same name the later
// one counts. Keys are in lower case.
type wrapperProps map[string]wrapperProp

type wrapperProp struct {
	wrapperLine
	value   string // variables expanded as far as the file sets them
	unknown int    // offset in value of the first variable that it does not set, or -1
}

// properties evaluates the file. The wrapper loads it twice and keeps the environment that set.NAME lines made, so
// that a variable may be set below the line that uses it (initPropertyLoading in property.c).
func (f *wrapperFile) properties() wrapperProps {
	env := map[string]string{}
	props := wrapperProps{}
	for range 2 {
		clear(props)
		expanding := true
		for _, line := range f.lines {
			if v, ok := strings.CutPrefix(line.directive, "variables.expand="); ok {
				expanding = !strings.EqualFold(v, "false") && (expanding || strings.EqualFold(v, "true"))
			}
			if line.key == "" {
				continue
			}
			p := wrapperProp{wrapperLine: line, value: line.wrapperValue(), unknown: -1}
			if expanding {
				p.value, p.unknown = expandPercent(p.value, env)
			}
			props[strings.ToLower(line.key)] = p
			if name, ok := strings.CutPrefix(line.key, "set."); ok && p.unknown < 0 && !strings.HasPrefix(name, "default.") {
				env[name] = p.value
			}
		}
	}
	return props
}

// wrapperValue is the value without the control characters that the wrapper drops.
func (l wrapperLine) wrapperValue() string {
	kept := []byte(l.value) // bytes, because the file may have any encoding
	kept = slices.DeleteFunc(kept, func(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f })
	return string(kept)
}

// expandPercent replaces %NAME% by the variables in env. unknown is the offset in the result of the first
// variable that env does not have, or -1; that one stays as it is.
func expandPercent(value string, env map[string]string) (expanded string, unknown int) {
	unknown = -1
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(value, "%")
		name, after, closed := strings.Cut(rest, "%")
		if !ok || !closed {
			b.WriteString(value)
			return b.String(), unknown
		}
		b.WriteString(before)
		if v, set := env[name]; set {
			b.WriteString(v)
		} else {
			if unknown < 0 {
				unknown = b.Len()
			}
			b.WriteString("%" + name + "%")
		}
		value = after
	}
}

// isTrue reports whether the property name is TRUE in any case.
func (p wrapperProps) isTrue(name string) bool {
	return strings.EqualFold(p[strings.ToLower(name)].value, "true")
}

// arguments returns the wrapper.java.additional properties by their number, the order of the command line.
func (p wrapperProps) arguments() []wrapperProp {
	var list []wrapperProp
	for _, prop := range p {
		if _, ok := prop.index(); ok {
			list = append(list, prop)
		}
	}
	slices.SortFunc(list, func(a, b wrapperProp) int {
		an, _ := a.index()
		bn, _ := b.index()
		return cmp.Or(cmp.Compare(an, bn), cmp.Compare(a.number, b.number))
	})
	return list
}

// inspectWrapper evaluates a wrapper file by the wrapper's grammar. windows tells which rules for quotes hold.
func inspectWrapper(file string, src []byte, windows bool) Report {
	r := Report{File: file, Format: FormatWrapper, ReadBy: ReadByGrammar, Findings: []Finding{}}
	r.inspectBlocks(src)
	f := parseWrapper(src)
	if line := unreadableWrapper(src); line > 0 {
		r.ReadBy = ReadByNobody
		r.find(line, KindUnreadable, "a zero byte: the file is in UTF-16 or is not text, and the wrapper reads neither",
			"save it as UTF-8")
		return r
	}
	props := f.properties()
	r.inspectLines(f)
	r.setWrapperArgs(props, windows)
	r.checkGaps(props)
	r.sortFindings()
	return r
}

// unreadableWrapper returns the line of the first zero byte, or 0.
func unreadableWrapper(src []byte) int {
	for i, c := range src {
		if c == 0 {
			return lineAt(src, i)
		}
	}
	return 0
}

// setWrapperArgs finds the arguments that define the two properties. Where a variable could hide another mode
// after the last one that is known, the mode is not known.
func (r *Report) setWrapperArgs(props wrapperProps, windows bool) {
	var args []jvmArg
	hidden := 0 // the line of an argument that could be any definition, after all in args
	for _, p := range props.arguments() {
		switch {
		case p.unknown >= 0 && couldDefine(p.value[:p.unknown], propServerMode):
			r.findVariable(p)
			hidden = p.number
		default:
			if p.unknown >= 0 && couldDefine(p.value[:p.unknown], propPrimaryURL) {
				r.findVariable(p)
			}
			own := r.argumentsOf(p, props, windows)
			if slices.ContainsFunc(own, func(a jvmArg) bool { _, ok := propertyValue(a.text, propServerMode); return ok }) {
				hidden = 0
			}
			args = append(args, own...)
		}
	}
	r.setArgs(args)
	if hidden > 0 {
		r.Mode = ModeUnknown
	}
}

func (r *Report) findVariable(p wrapperProp) {
	r.find(p.number, KindUnknownVariable,
		"an environment variable that this file does not set: what the JVM gets depends on the service",
		"write the value itself, or set the variable with a set.NAME line")
}

// couldDefine reports whether an argument that begins with prefix may turn out to define the property name.
func couldDefine(prefix, name string) bool {
	prefix = strings.TrimLeft(prefix, `"`)
	whole := "-D" + name + "="
	return strings.HasPrefix(whole, prefix) || strings.HasPrefix(prefix, whole)
}

// argumentsOf returns what the JVM gets of one property, and reports what of it is not as it looks.
func (r *Report) argumentsOf(p wrapperProp, props wrapperProps, windows bool) []jvmArg {
	value, ours := p.value, mentionsOurs(p.value)
	n, _ := p.index()
	name := fmt.Sprintf("%s%d", additional, n)
	switch {
	case value == "":
		return nil
	case !strings.HasPrefix(strings.TrimPrefix(value, `"`), "-"):
		if ours {
			r.find(p.number, KindNotAnArgument, "the wrapper skips this argument, because it does not begin with -",
				"write the argument alone, without quotes")
		}
		return nil
	case strings.Count(value, `"`)%2 == 1 && ours:
		r.find(p.number, KindUnbalancedQuote, "a double quote is opened and not closed", "remove the quotes")
	}
	if props.isTrue(name+".quotable") || !windows && props.isTrue(name+".stripquotes") {
		return []jvmArg{{stripQuotes(value), p.number}}
	}
	if windows {
		return splitWindows(value, p.number)
	}
	if ours && strings.Contains(value, `"`) {
		r.find(p.number, KindQuotedArgument, "on Unix the JVM gets the quotes as part of the argument",
			"write the argument without quotes")
	}
	if ours && strings.ContainsAny(value, " \t") {
		r.find(p.number, KindSeveralArguments, "on Unix this is one JVM argument, blanks included",
			"write one line with a number of its own for each argument")
	}
	return []jvmArg{{value, p.number}}
}

// stripQuotes does what the wrapper does for .stripquotes=TRUE: quotes go, and a backslash keeps a quote or a
// backslash after it.
func stripQuotes(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `"`, "").Replace(s)
}

// splitWindows splits a part of a Windows command line at blanks outside of double quotes, and drops the quotes.
func splitWindows(s string, line int) []jvmArg {
	var args []jvmArg
	var b strings.Builder
	quoted, inArg := false, false
	for _, c := range []byte(s + " ") {
		switch {
		case c == '"':
			quoted, inArg = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if inArg {
				args = append(args, jvmArg{b.String(), line})
			}
			b.Reset()
			inArg = false
		default:
			b.WriteByte(c)
			inArg = true
		}
	}
	if quoted { // the closing quote is missing: the argument swallows the blank added above
		args = append(args, jvmArg{strings.TrimSuffix(b.String(), " "), line})
	}
	return args
}

// checkGaps doubts the definitions if numbers after a gap do not count.
func (r *Report) checkGaps(props wrapperProps) {
	gaps, ok := props["wrapper.ignore_sequence_gaps"]
	if !ok || !strings.EqualFold(gaps.value, "false") {
		return
	}
	r.find(gaps.number, KindSequenceGaps, "the wrapper ignores every numbered argument after the first gap in the numbers",
		"remove this line: GoCD's own wrapper.conf sets it to TRUE")
	if r.ServerMode.Set || r.PrimaryURL.Set {
		r.Mode = ModeUnknown
	}
}

// inspectLines reports what is wrong with the lines themselves.
func (r *Report) inspectLines(f *wrapperFile) {
	first := map[string]wrapperLine{}
	for _, line := range f.lines {
		if strings.HasPrefix(line.directive, "include") {
			r.find(line.number, KindInclude, "includes another file, which was not looked at: "+line.directive,
				"look there for "+propServerMode+" and for numbers that this file uses too")
		}
		if strings.EqualFold(line.key, "wrapper.java.additional_file") {
			r.find(line.number, KindInclude, "takes JVM arguments from another file, which was not looked at: "+line.value,
				"look there for "+propServerMode)
		}
		n, ok := line.index()
		if !ok {
			if line.key != "" && mentionsOurs(line.wrapperValue()) {
				r.find(line.number, KindOtherDefinition, "names go.server.mode or bc.primary.url in a way that is not edited here",
					"before setting the primary, remove that by hand")
			}
			continue
		}
		key := strings.ToLower(line.key)
		before, twice := first[key]
		if twice && before.value != line.value {
			r.find(line.number, KindIndexCollision,
				fmt.Sprintf("number %d is used in line %d already: that line's argument, %s, never reaches the JVM", n, before.number, before.value),
				"give one of the two another number")
		}
		first[key] = line
	}
}
