package gocd

import (
	"bytes"
	"fmt"
	"strings"
)

// shellSpecial are variables that bash sets, watches or protects: what an assignment to them does is bash's affair.
var shellSpecial = map[string]bool{
	"_": true, "DIRSTACK": true, "ENV": true, "EUID": true, "EXECIGNORE": true, "FIGNORE": true, "FUNCNAME": true,
	"FUNCNEST": true, "GLOBIGNORE": true, "GLOBSORT": true, "GROUPS": true, "HISTCMD": true, "HOSTNAME": true,
	"IFS": true, "LANG": true, "LANGUAGE": true, "LINENO": true, "OLDPWD": true, "OPTARG": true, "OPTERR": true,
	"OPTIND": true, "PATH": true, "PIPESTATUS": true, "POSIXLY_CORRECT": true, "PPID": true, "PS4": true,
	"PWD": true, "RANDOM": true, "SECONDS": true, "SHELLOPTS": true, "SRANDOM": true, "TMOUT": true, "UID": true,
}

func isSpecial(name string) bool {
	return shellSpecial[name] || strings.HasPrefix(name, "BASH") || strings.HasPrefix(name, "LC_") ||
		strings.HasPrefix(name, "EPOCH") || strings.HasPrefix(name, "COMP_")
}

// doubt says why a shell file cannot be evaluated without running it.
type doubt struct {
	offset int
	why    string
}

// value returns what systemProperties holds after the file was sourced in an empty environment. It is sure only of
// files of plain assignments.
func (f *shellFile) value() (string, *doubt) {
	vars := map[string]string{systemProperties: ""}
	if f.unreadable >= 0 {
		return "", &doubt{f.unreadable, "a control character"}
	}
	for _, cmd := range f.commands {
		switch cmd.kind {
		case commandOpaque:
			return "", &doubt{cmd.start, "code other than an assignment of plain text"}
		case commandLost:
			continue
		}
		// The words of export are all expanded before it assigns; plain assignments happen one by one.
		values := make([]string, len(cmd.assigns))
		for i, a := range cmd.assigns {
			value, unknown := expand(a.value, vars)
			switch {
			case isSpecial(a.name):
				return "", &doubt{cmd.start, a.name + ", which means something to bash itself"}
			case unknown != "":
				return "", &doubt{cmd.start, "$" + unknown + ", which this file does not set before"}
			}
			values[i] = value
			if !cmd.export {
				assign(vars, a, value)
			}
		}
		for i, a := range cmd.assigns {
			if cmd.export {
				assign(vars, a, values[i])
			}
		}
	}
	return vars[systemProperties], nil
}

func assign(vars map[string]string, a assignment, value string) {
	if a.plus {
		value = vars[a.name] + value
	}
	vars[a.name] = value
}

// expand fills the holes of a word. It returns the name of a variable that vars does not have, if there is one.
func expand(w shellWord, vars map[string]string) (value, unknown string) {
	var b strings.Builder
	at := 0
	for _, h := range w.holes {
		v, ok := vars[h.name]
		if !ok {
			return "", h.name
		}
		b.Write(w.bytes[at:h.at])
		b.WriteString(v)
		at = h.at + 1
	}
	b.Write(w.bytes[at:])
	return b.String(), ""
}

// splitValue splits the value of systemProperties into words, as the start script's eval does. The words' spans
// are ranges of value. It stops at what is not plain text: rest is the offset of that, or -1.
func splitValue(value []byte) (words []shellWord, rest int) {
	pos := 0
	for {
		pos = skipBlanks(value, pos)
		if pos == len(value) || value[pos] == '#' && !bytes.ContainsRune(value[pos:], '\n') {
			return words, -1
		}
		if endsWord(value[pos]) || value[pos] == '#' {
			return words, pos
		}
		w := readWord(value, pos)
		if w.status != wordPlain {
			return words, pos
		}
		words = append(words, w)
		pos = w.end
	}
}

// jvmArgs returns the arguments that the start script makes of the file, if that is plain to see.
func (f *shellFile) jvmArgs() ([]jvmArg, *doubt) {
	value, why := f.value()
	if why != nil {
		return nil, why
	}
	words, rest := splitValue([]byte(value))
	if rest >= 0 {
		return nil, &doubt{f.lastAssignment(), fmt.Sprintf("the value of %s, from %q on", systemProperties, firstField(value[rest:]))}
	}
	args := make([]jvmArg, len(words))
	for i, w := range words {
		if w.globs || len(w.holes) > 0 {
			return nil, &doubt{f.lastAssignment(), fmt.Sprintf("the word %q in %s", value[w.start:w.end], systemProperties)}
		}
		args[i] = jvmArg{text: w.text(), line: f.lineOf(w.text())}
	}
	return args, nil
}

func firstField(s string) string {
	if fields := strings.Fields(s); len(fields) > 0 {
		return fields[0]
	}
	return s
}

// lastAssignment returns the offset of the last assignment of systemProperties, or 0.
func (f *shellFile) lastAssignment() (offset int) {
	for _, cmd := range f.commands {
		for _, a := range cmd.assigns {
			if a.name == systemProperties {
				offset = cmd.start
			}
		}
	}
	return offset
}

// lineOf returns the line of the last definition that arg can come from, or 0.
func (f *shellFile) lineOf(arg string) (line int) {
	if !isOurs(arg) {
		return 0
	}
	for _, d := range f.definitions().defined {
		if d.arg == arg {
			line = lineAt(f.src, d.start)
		}
	}
	return line
}
