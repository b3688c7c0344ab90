package gocd

import (
	"bytes"
	"fmt"
	"strings"
)

// definition is a place in a shell file that gives one of the two properties to the JVM, or was meant to.
type definition struct {
	span
	arg string   // -Dgo.server.mode=…, unquoted
	cut []splice // what removes it
}

// definitions are all places in a shell file that name one of the two properties outside of comments.
type definitions struct {
	defined []definition // words of an assignment of systemProperties, or words that export refuses
	lost    []definition // bare words; the cut makes the line a comment
	others  []int        // offsets of those that are not edited
}

// definitions finds them. Code is read as text: whether it ever runs is not asked.
func (f *shellFile) definitions() definitions {
	var d definitions
	for _, cmd := range f.commands {
		inHereDoc := f.hereDoc >= 0 && cmd.start > f.hereDoc
		switch {
		case cmd.kind == commandOpaque || inHereDoc:
			if cmd.mentions || inHereDoc && mentionsOurs(string(f.src[cmd.start:cmd.end])) {
				d.others = append(d.others, cmd.start)
			}
		case cmd.kind == commandLost:
			d.addLost(f, cmd)
		default:
			for _, a := range cmd.assigns {
				d.addAssignment(f.src, a)
			}
			for _, w := range cmd.words { // only export has them
				if arg := w.text(); isOurs(arg) {
					cut := splice{span{blanksBefore(f.src, w.start), w.end}, ""}
					d.lost = append(d.lost, definition{w.span, arg, []splice{cut}})
				}
			}
		}
	}
	return d
}

func blanksBefore(src []byte, pos int) int { return len(bytes.TrimRight(src[:pos], " \t")) }

// addLost takes in a command of bare words.
func (d *definitions) addLost(f *shellFile, cmd shellCommand) {
	if !mentionsOurs(string(f.src[cmd.start:cmd.end])) {
		return
	}
	if !cmd.alone {
		d.others = append(d.others, cmd.start)
		return
	}
	d.lost = append(d.lost, definition{cmd.span, "", []splice{{span{cmd.start, cmd.start}, ": # "}}})
}

// addAssignment takes in the value of one variable.
func (d *definitions) addAssignment(src []byte, a assignment) {
	value := a.value
	if !mentionsOurs(value.text()) {
		return
	}
	seen := 0
	words, rest := splitValue(value.bytes)
	if a.name != systemProperties {
		words = nil
	}
	end, removed := 0, 0 // of what is cut so far
	for i, w := range words {
		if !value.removable(src, w) {
			continue
		}
		limits := span{end, len(value.bytes)} // the blanks on both sides go if nothing stays before the word
		if removed < i {
			limits = span{max(end, words[i-1].end), w.end}
		}
		cut := value.withBlanks(src, w.span, limits)
		d.defined = append(d.defined, definition{value.from[w.start], w.text(), value.cut(cut)})
		end, removed, seen = cut.end, removed+1, seen+countOurs(w.text())
	}
	if seen < countOurs(value.text()) || rest >= 0 && mentionsOurs(string(value.bytes[rest:])) {
		d.others = append(d.others, value.start)
	}
}

func countOurs(text string) int {
	return strings.Count(text, propServerMode) + strings.Count(text, propPrimaryURL)
}

// removable reports whether arg, a word of the value w, defines a property, in one line of the source and without
// variables.
func (w shellWord) removable(src []byte, arg shellWord) bool {
	raw := src[w.from[arg.start].start:w.from[arg.end-1].end]
	return isOurs(arg.text()) && bytes.IndexByte(arg.bytes, 0) < 0 && len(arg.holes) == 0 && bytes.IndexByte(raw, '\n') < 0
}

// withBlanks widens a range of the word's bytes by the blanks around it within the limits. Blanks in another line of
// the source stay.
func (w shellWord) withBlanks(src []byte, r, limits span) span {
	blank := func(i, next int) bool {
		return (w.bytes[i] == ' ' || w.bytes[i] == '\t') &&
			lineAt(src, w.from[i].start) == lineAt(src, w.from[next].start)
	}
	for r.start > limits.start && blank(r.start-1, r.start) {
		r.start--
	}
	for r.end < limits.end && blank(r.end, r.end-1) {
		r.end++
	}
	return r
}

// cut removes the given range of the word's bytes from the source and leaves its quotes.
func (w shellWord) cut(r span) []splice {
	var cuts []splice
	for _, from := range w.from[r.start:r.end] {
		if n := len(cuts); n > 0 && cuts[n-1].end == from.start {
			cuts[n-1].end = from.end
		} else {
			cuts = append(cuts, splice{from, ""})
		}
	}
	return cuts
}

// shellLines is the content of a managed block: one assignment.
func shellLines(t Target) []string {
	url := t.primaryURL
	if strings.Contains(url, "[") {
		url = "'" + url + "'" // the start script's eval would take the brackets of an IPv6 address for a pattern
	}
	return []string{systemProperties + `="$` + systemProperties + " -D" + propServerMode + "=standby -D" + propPrimaryURL + "=" + url + `"`}
}

// editShell returns src with the target in it. Definitions that are not edited are an error for a primary only:
// a standby's block comes after them.
func editShell(file string, src []byte, t Target) ([]byte, error) {
	blocks, broken := findBlocks(file, src)
	if broken != nil {
		return nil, broken
	}
	f := parseShell(withoutBlocks(src, blocks))
	if err := f.editable(file); err != nil {
		return nil, err
	}
	defs := f.definitions()
	if t.Mode() == ModePrimary && len(defs.others) > 0 {
		return nil, &EditError{file, lineAt(src, defs.others[0]),
			"this line names go.server.mode or bc.primary.url in a way that is not edited; remove that by hand"}
	}
	var cuts []splice
	for _, d := range append(defs.defined, defs.lost...) {
		cuts = append(cuts, d.cut...)
	}
	return placeBlock(src, blocks, cuts, shellLines(t), "\n", t, func(after []byte) (Report, bool) {
		r := inspectShell(file, after)
		return r, r.ReadBy == ReadAsLiteral
	})
}

// editable tells whether lines may be added to the file at all.
func (f *shellFile) editable(file string) error {
	switch {
	case f.unreadable >= 0:
		return &EditError{file, lineAt(f.src, f.unreadable), "this line holds a control character; remove it"}
	case f.unclosed >= 0:
		return &EditError{file, lineAt(f.src, f.unclosed), "a quote that is opened here is never closed; close it"}
	case f.openValue() != 0:
		return &EditError{file, lineAt(f.src, f.lastAssignment()), fmt.Sprintf(
			"the value of %s has a %c that is never closed, so that the start script drops all of it; close it",
			systemProperties, f.openValue())}
	case f.continues:
		return &EditError{file, lineAt(f.src, len(f.src)-1), "the file ends in a backslash, which joins what follows; remove it"}
	}
	return nil
}

func inBlock(blocks []block, offset int) bool {
	for _, b := range blocks {
		if b.contains(offset) {
			return true
		}
	}
	return false
}

// placeBlock carries out the cuts, takes away all managed blocks and, for a standby, puts one with the given lines
// where the only one was, or else at the end. It asks judge what the result means; judge says false if it cannot
// tell.
func placeBlock(src []byte, blocks []block, cuts []splice, lines []string, eol string, t Target,
	judge func([]byte) (Report, bool),
) ([]byte, error) {
	if t.Mode() == ModeStandby && len(blocks) == 1 {
		after := applySplices(src, append([]splice{blocks[0].replacement(src, lines, eol)}, cuts...))
		atEnd := len(bytes.TrimSpace(src[blocks[0].end:])) == 0
		if r, sure := judge(after); sure && t.reachedBy(r) || !sure && atEnd {
			return after, nil
		}
	}
	for _, b := range blocks {
		cuts = append(cuts, b.removal(src))
	}
	after := applySplices(src, cuts)
	if t.Mode() == ModeStandby {
		after = appendBlock(after, lines, eol)
	}
	if r, sure := judge(after); sure && !t.reachedBy(r) {
		return nil, missed(r, t)
	}
	return after, nil
}

// missed is the error for an edit after which the file says r.
func missed(r Report, t Target) *EditError {
	e := &EditError{File: r.File, Why: fmt.Sprintf("after the edit the server would start as %s, not as %s", r.Mode, t.Mode())}
	if r.Mode == ModePrimary && t.Mode() == ModePrimary {
		e.Line, e.Why = r.ServerMode.Line, propServerMode+" is still set here, in a way that is not edited; remove that by hand"
	}
	for _, f := range r.Findings {
		if f.Kind == KindUnknownVariable {
			e.Line, e.Why = f.Line, f.Problem+"; "+f.Advice
		}
	}
	return e
}
