package gocd

import (
	"bytes"
	"strconv"
	"strings"
)

const additional = "wrapper.java.additional."

// wrapperFile is a wrapper properties file, line by line (configFileReader_Read in wrapper_file.c).
type wrapperFile struct {
	src      []byte
	lines    []wrapperLine
	encoding string // as the first line declares it; empty if it does not
}

// wrapperLine is one line: a property, a directive, or neither.
type wrapperLine struct {
	span      // the line end included
	number    int
	key       string // as written; empty if the line is no property
	value     string // comment and blanks removed
	directive string // what follows # or @, if the wrapper acts on it
}

// parseWrapper never fails: the wrapper ignores lines that it does not understand.
func parseWrapper(src []byte) *wrapperFile {
	f := &wrapperFile{src: src}
	offset := 0
	for i, raw := range bytes.SplitAfter(src, []byte("\n")) {
		line := wrapperLine{span: span{offset, offset + len(raw)}, number: i + 1}
		offset = line.end
		if i == 0 {
			raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
			if name, ok := declaredEncoding(raw); ok {
				f.encoding = name
				raw = nil
			}
		}
		line.read(raw)
		f.lines = append(f.lines, line)
	}
	return f
}

// declaredEncoding reads @encoding=NAME, and the older #encoding=NAME, which count in the first line only.
func declaredEncoding(line []byte) (string, bool) {
	text := string(line)
	for _, prefix := range []string{"@encoding=", "#encoding="} {
		if name, ok := strings.CutPrefix(text, prefix); ok {
			end := strings.IndexAny(name, " \r\n")
			if end < 0 {
				end = len(name)
			}
			return name[:end], true
		}
	}
	return "", false
}

// read takes the line apart. The wrapper ends a line at the first carriage return or newline, and a comment
// begins at a # that is not doubled and not in double quotes.
func (l *wrapperLine) read(raw []byte) {
	if i := bytes.IndexAny(raw, "\r\n"); i >= 0 {
		raw = raw[:i]
	}
	text := strings.TrimLeft(string(raw), " \t")
	if !strings.HasPrefix(text, "#") {
		text = withoutComment(text)
	}
	text = strings.TrimRight(text, " \t")
	if strings.HasPrefix(text, "#") || strings.HasPrefix(text, "@") {
		if isDirective(text[1:]) {
			l.directive = text[1:]
		}
		return
	}
	key, value, ok := strings.Cut(text, "=")
	key = strings.Trim(key, " \t")
	if ok && key != "" && !strings.Contains(key, " ") && !strings.HasPrefix(text, "include") {
		l.key, l.value = key, strings.Trim(value, " \t")
	}
}

func isDirective(text string) bool {
	for _, prefix := range []string{"include ", "include.optional ", "include.required ", "variables.expand="} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

func withoutComment(text string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '#' && !quoted && strings.HasPrefix(text[i:], "##"):
			i++
		case c == '#' && !quoted:
			return b.String()
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// index returns N of wrapper.java.additional.N. The wrapper compares names without regard to case and takes
// digits only; leading zeros make another name for the same N.
func (l wrapperLine) index() (n uint64, ok bool) {
	digits, rest, ok := cutIndex(l.key)
	if !ok || rest != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

// cutIndex splits wrapper.java.additional.NREST.
func cutIndex(key string) (digits, rest string, ok bool) {
	if len(key) <= len(additional) || !strings.EqualFold(key[:len(additional)], additional) {
		return "", "", false
	}
	key = key[len(additional):]
	n := len(key) - len(strings.TrimLeft(key, "0123456789"))
	return key[:n], key[n:], n > 0 && n <= 19
}
