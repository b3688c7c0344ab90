package gocd

import (
	"bytes"
	"fmt"
)

// inspectShell reads a shell file without running it.
func inspectShell(file string, src []byte) Report {
	r := Report{File: file, Format: FormatShell, Findings: []Finding{}}
	f := parseShell(src)
	r.inspectBlocks(src)
	r.inspectShell(f)
	args, why := f.jvmArgs()
	if why != nil {
		r.find(lineAt(src, why.offset), KindNeedsShell,
			"plain reading cannot tell what the server makes of this: "+why.why,
			"have the file sourced, which runs its code")
	} else {
		r.ReadBy = ReadAsLiteral
		r.setArgs(args)
	}
	r.sortFindings()
	return r
}

func (r *Report) inspectBlocks(src []byte) {
	blocks, broken := findBlocks(r.File, src)
	r.Managed = len(blocks) > 0
	if broken != nil {
		r.find(broken.Line, KindBrokenBlock, broken.Why, "edit the file by hand")
	}
}

// inspectShell reports what does not mean what its author may think, whoever evaluates the file.
func (r *Report) inspectShell(f *shellFile) {
	if f.unreadable >= 0 {
		r.find(lineAt(f.src, f.unreadable), KindUnreadable, "a control character, which bash drops or misreads", "remove it")
	}
	if f.unclosed >= 0 {
		r.find(lineAt(f.src, f.unclosed), KindUnbalancedQuote,
			"a quote that is opened here is never closed: bash ignores the file from here on", "close the quote")
	}
	if i := bytes.Index(f.src, []byte("\r\n")); i >= 0 {
		r.find(lineAt(f.src, i), KindCarriageReturn,
			"the file has Windows line ends, and bash makes the carriage returns part of the values",
			"convert the file to Unix line ends")
	}
	for _, cmd := range f.commands {
		r.inspectCommand(f, cmd)
	}
	if quote := f.openValue(); quote != 0 {
		r.find(lineAt(f.src, f.lastAssignment()), KindUnbalancedQuote,
			fmt.Sprintf("the value of %s has a %c that is never closed: the start script's eval fails and drops all of it",
				systemProperties, quote),
			"close the quote, or escape it")
	}
	for _, offset := range f.definitions().others {
		r.find(lineAt(f.src, offset), KindOtherDefinition,
			"names go.server.mode or bc.primary.url in a way that is not edited here",
			"before setting the primary, remove that by hand")
	}
}

func (r *Report) inspectCommand(f *shellFile, cmd shellCommand) {
	line := lineAt(f.src, cmd.start)
	switch {
	case cmd.kind == commandLost && assignsProperties(cmd):
		r.find(line, KindBareWords,
			fmt.Sprintf("%s is assigned for a command called %q only, which does not exist: the variable keeps its "+
				"old value and these words never reach the server", systemProperties, cmd.words[0].text()),
			"put the whole right side in double quotes")
	case cmd.kind == commandAssigns && len(cmd.words) > 0:
		r.find(line, KindBareWords,
			fmt.Sprintf("%q is not part of the assignment: export refuses it and it never reaches the server", cmd.words[0].text()),
			"put the whole right side in double quotes")
	}
}

func assignsProperties(cmd shellCommand) bool {
	for _, a := range cmd.assigns {
		if a.name == systemProperties {
			return true
		}
	}
	return false
}

// openValue returns the quote that the value of systemProperties opens and does not close, or 0. It does not look
// at a value that only a shell can tell.
func (f *shellFile) openValue() byte {
	value, why := f.value()
	_, rest := splitValue([]byte(value))
	if why != nil || rest < 0 {
		return 0
	}
	if w := readWord([]byte(value), rest); w.status == wordOpen {
		return value[w.start]
	}
	return 0
}
