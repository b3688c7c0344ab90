package gocd

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// firstNumber is where new numbers of ours begin. People are told to begin at 100, and the container image's start
// script does; whoever takes a number of ours later would silently end the standby.
const firstNumber = 1000

// editWrapper returns src with the target in it.
func editWrapper(file string, src []byte, t Target, windows bool) ([]byte, error) {
	blocks, broken := findBlocks(file, src)
	if broken != nil {
		return nil, broken
	}
	if line := unreadableWrapper(src); line > 0 {
		return nil, &EditError{file, line, "a zero byte: the file is in UTF-16 or is not text; save it as UTF-8"}
	}
	f := parseWrapper(src)
	if gaps, ok := f.properties()["wrapper.ignore_sequence_gaps"]; ok && strings.EqualFold(gaps.value, "false") {
		return nil, &EditError{file, gaps.number,
			"numbers after a gap are ignored because of this line; remove it, GoCD's own wrapper.conf sets it to TRUE"}
	}
	cuts, other := f.wrapperCuts(blocks)
	if t.Mode() == ModePrimary && other > 0 {
		return nil, &EditError{file, other,
			"this line names go.server.mode or bc.primary.url in a way that is not edited; remove that by hand"}
	}
	mode, url := f.numbers(blocks)
	lines := []string{
		fmt.Sprintf("%s%d=-D%s=standby", additional, mode, propServerMode),
		fmt.Sprintf("%s%d=-D%s=%s", additional, url, propPrimaryURL, t.primaryURL),
	}
	return placeBlock(src, blocks, cuts, lines, dominantEOL(src), t, func(after []byte) (Report, bool) {
		return inspectWrapper(file, after, windows), true
	})
}

// wrapperCuts returns what removes the definitions outside of the blocks, and the first line that mentions one in
// another way, or 0.
func (f *wrapperFile) wrapperCuts(blocks []block) (cuts []splice, other int) {
	gone, kept := map[string]bool{}, map[string]bool{} // lower-case keys
	for _, line := range f.lines {
		if line.key == "" || inBlock(blocks, line.start) {
			continue
		}
		_, numbered := line.index()
		switch {
		case numbered && onlyOurs(line.wrapperValue()):
			cuts = append(cuts, splice{line.span, ""})
			gone[strings.ToLower(line.key)] = true
		case mentionsOurs(line.wrapperValue()) && other == 0:
			other = line.number
			fallthrough
		default:
			kept[strings.ToLower(line.key)] = true
		}
	}
	for _, line := range f.lines {
		if inBlock(blocks, line.start) {
			continue
		}
		key := strings.ToLower(line.key)
		number, isStrip := strings.CutSuffix(key, ".stripquotes")
		if !isStrip {
			number, isStrip = strings.CutSuffix(key, ".quotable")
		}
		if isStrip && gone[number] && !kept[number] {
			cuts = append(cuts, splice{line.span, ""})
		}
	}
	return cuts, other
}

// onlyOurs reports whether a value holds definitions of the two properties and nothing else.
func onlyOurs(value string) bool {
	words := strings.Fields(strings.NewReplacer(`"`, "", `'`, "").Replace(value))
	for _, word := range words {
		if !isOurs(word) {
			return false
		}
	}
	return len(words) > 0
}

// numbers returns the two numbers for the block: its own if nothing else uses them, or else two above all others,
// so that its arguments come last.
func (f *wrapperFile) numbers(blocks []block) (mode, url uint64) {
	used := map[uint64]bool{}
	var own []uint64
	highest := uint64(firstNumber - 1)
	for _, line := range f.lines {
		digits, rest, ok := cutIndex(line.key)
		if !ok {
			continue
		}
		n, _ := wrapperLine{key: additional + digits}.index()
		if inBlock(blocks, line.start) && rest == "" {
			own = append(own, n)
			continue
		}
		used[n] = true
		if n < math.MaxUint32 {
			highest = max(highest, n)
		}
	}
	if len(own) == 2 && own[0] != own[1] && !used[own[0]] && !used[own[1]] && min(own[0], own[1]) >= 100 {
		return own[0], own[1]
	}
	return highest + 1, highest + 2
}

// dominantEOL returns the line end that most lines of src have.
func dominantEOL(src []byte) string {
	if 2*bytes.Count(src, []byte("\r\n")) > bytes.Count(src, []byte("\n")) {
		return "\r\n"
	}
	return "\n"
}
