package gocd

import (
	"fmt"
	"slices"
	"strings"
)

// Report tells what a server would start as, according to one file.
type Report struct {
	File       string    `json:"file"` // as the caller named it
	Format     Format    `json:"format"`
	Mode       Mode      `json:"mode"`
	ServerMode Property  `json:"go.server.mode"`
	PrimaryURL Property  `json:"bc.primary.url"` // unset: the server's own default, which is itself
	ReadBy     ReadBy    `json:"read_by"`
	Managed    bool      `json:"managed"`  // the file has a managed block
	Findings   []Finding `json:"findings"` // by line; empty if nothing is wrong
}

// ReadBy tells how a report came about.
type ReadBy string

// The ways of evaluating a file.
const (
	ReadByNobody  ReadBy = ""                // the file could not be evaluated
	ReadAsLiteral ReadBy = "plain reading"   // a shell file of plain assignments, not run
	ReadByBash    ReadBy = "bash"            // a shell file, sourced
	ReadByGrammar ReadBy = "wrapper grammar" // a wrapper file
)

// Kind names a finding for programs.
type Kind string

// The kinds of findings.
const (
	KindBareWords        Kind = "bare-words"        // an unquoted assignment: its value is lost
	KindUnbalancedQuote  Kind = "unbalanced-quote"  // a quote is opened and not closed
	KindBrokenBlock      Kind = "broken-block"      // a managed block without its begin or end
	KindBlockOverridden  Kind = "block-overridden"  // a managed block that does not make the server a standby
	KindNeedsShell       Kind = "needs-shell"       // code that only a shell can tell the effect of
	KindShellMessage     Kind = "shell-message"     // bash complained about this line
	KindShellEnds        Kind = "shell-ends"        // sourcing the file ends the shell, and so the start script
	KindCarriageReturn   Kind = "carriage-return"   // CRLF in a shell file becomes part of the values
	KindNotAMode         Kind = "not-a-mode"        // go.server.mode is neither production nor standby
	KindNoPrimaryURL     Kind = "no-primary-url"    // a standby that does not know its primary
	KindWebPath          Kind = "url-with-go"       // bc.primary.url ends in /go, which the server adds itself
	KindDefinedTwice     Kind = "defined-twice"     // two values for one property: the later argument counts
	KindOtherDefinition  Kind = "other-definition"  // mentions a property in a way that is not edited
	KindIndexCollision   Kind = "index-collision"   // the same wrapper number twice: the earlier argument is lost
	KindQuotedArgument   Kind = "quoted-argument"   // the JVM gets the quotes too
	KindSeveralArguments Kind = "several-arguments" // one wrapper line is one JVM argument, blanks included
	KindNotAnArgument    Kind = "not-an-argument"   // the wrapper skips what does not start with "-"
	KindUnknownVariable  Kind = "unknown-variable"  // %NAME% that the file does not set
	KindSequenceGaps     Kind = "sequence-gaps"     // numbers after a gap are ignored
	KindInclude          Kind = "include"           // another file is read here, and was not looked at
	KindUnreadable       Kind = "unreadable"        // bytes that bash or the wrapper stumbles over
	KindReadersDisagree  Kind = "readers-disagree"  // plain reading and bash differ: bash counts
)

// Finding is something in a file that a person should know.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // from 1; 0 if the finding is about the whole file
	Kind    Kind   `json:"kind"`
	Problem string `json:"problem"` // what is so, and what follows from it
	Advice  string `json:"advice"`  // what to do
}

// String returns "FILE:LINE: problem".
func (f Finding) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Problem
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Problem)
}

// jvmArg is one argument on the command line of the JVM, and the line that put it there (0: not known).
type jvmArg struct {
	text string
	line int
}

// setArgs fills in what the JVM makes of its arguments: of two definitions of a property the later one counts.
func (r *Report) setArgs(args []jvmArg) {
	for _, arg := range args {
		r.setArg(&r.ServerMode, propServerMode, arg)
		r.setArg(&r.PrimaryURL, propPrimaryURL, arg)
	}
	r.Mode = r.ServerMode.mode()
	r.judgeValues()
	r.judgeBlock()
}

func (r *Report) setArg(p *Property, name string, arg jvmArg) {
	value, ok := propertyValue(arg.text, name)
	if !ok {
		return
	}
	if p.Set && p.Value != value {
		r.find(arg.line, KindDefinedTwice,
			fmt.Sprintf("%s is defined twice, as %q and then as %q: the later one counts", name, p.Value, value),
			"keep one definition")
	}
	*p = Property{Value: value, Set: true, Line: arg.line}
}

// judgeBlock reports a managed block that something else in the file defeats.
func (r *Report) judgeBlock() {
	if r.Managed && r.Mode == ModePrimary {
		r.find(0, KindBlockOverridden, "the managed block is there to make the server a standby, but it starts ACTIVE: "+
			"something after the block, or with one of its numbers, undoes it",
			"set the mode again, to standby or to primary")
	}
}

// judgeValues reports values that do not mean what their author may think.
func (r *Report) judgeValues() {
	mode, primary := r.ServerMode, r.PrimaryURL
	if mode.Set && r.Mode != ModeStandby && !strings.EqualFold(mode.Value, "production") {
		r.find(mode.Line, KindNotAMode,
			fmt.Sprintf("go.server.mode is %q, which is no mode: the server starts ACTIVE, as a development server", mode.Value),
			"for a primary remove the property, for a standby write standby")
	}
	if r.Mode == ModeStandby && primary.Value == "" {
		problem := "the server is a standby and bc.primary.url is not set: it would follow localhost, that is itself"
		if primary.Set {
			problem = "the server is a standby and bc.primary.url is empty: it does not start"
		}
		r.find(max(primary.Line, mode.Line), KindNoPrimaryURL, problem, "set bc.primary.url to the primary's base URL")
	}
	if strings.HasSuffix(strings.TrimRight(primary.Value, "/"), "/go") {
		r.find(primary.Line, KindWebPath, "bc.primary.url ends in /go, which the server adds itself",
			"write the URL without /go")
	}
}

// propertyValue returns the value that the JVM argument arg gives to the system property name. An argument
// without "=" gives the empty string.
func propertyValue(arg, name string) (value string, ok bool) {
	rest, ok := strings.CutPrefix(arg, "-D"+name)
	if !ok || rest != "" && rest[0] != '=' {
		return "", false
	}
	return strings.TrimPrefix(rest, "="), true
}

// isOurs reports whether the JVM argument arg defines one of the two properties.
func isOurs(arg string) bool {
	_, mode := propertyValue(arg, propServerMode)
	_, url := propertyValue(arg, propPrimaryURL)
	return mode || url
}

// mentionsOurs reports whether text names one of the two properties anywhere.
func mentionsOurs(text string) bool {
	return strings.Contains(text, propServerMode) || strings.Contains(text, propPrimaryURL)
}

func (r *Report) find(line int, kind Kind, problem, advice string) {
	r.Findings = append(r.Findings, Finding{File: r.File, Line: line, Kind: kind, Problem: problem, Advice: advice})
}

// sortFindings puts the findings in the order of lines and keeps the order within one.
func (r *Report) sortFindings() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return a.Line - b.Line })
}
