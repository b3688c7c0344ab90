package gocd

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// The first and last line of a managed block. Both formats take a line that starts with "# " for a comment.
const (
	blockBegin = "# BEGIN understudy gocd mode (managed block, do not edit)"
	blockEnd   = "# END understudy gocd mode"

	blockBeginPrefix = "# BEGIN understudy gocd mode"
)

// EditError says that a file cannot be edited safely as it is. Nothing was written.
type EditError struct {
	File string
	Line int    // from 1; 0 if the trouble is not in one line
	Why  string // what is in the way, and what to do by hand
}

func (e *EditError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Why
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Why)
}

// span is a range of bytes.
type span struct{ start, end int }

func (s span) contains(offset int) bool { return s.start <= offset && offset < s.end }

// block is a managed block: whole lines, the last one's line end included if there is one.
type block struct {
	span
	line int
}

// findBlocks returns the managed blocks of src in order.
func findBlocks(file string, src []byte) ([]block, *EditError) {
	var blocks []block
	open, openLine := -1, 0
	offset := 0
	for i, line := range bytes.SplitAfter(src, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		begins, ends := strings.HasPrefix(text, blockBeginPrefix), text == blockEnd
		switch {
		case begins && open >= 0, ends && open < 0:
			return nil, &EditError{file, i + 1, "a managed block begins or ends here without the other line; remove what is left of it"}
		case begins:
			open, openLine = offset, i+1
		case ends:
			blocks = append(blocks, block{span{open, offset + len(line)}, openLine})
			open = -1
		}
		offset += len(line)
	}
	if open >= 0 {
		return nil, &EditError{file, openLine, "a managed block begins here and does not end; remove what is left of it"}
	}
	return blocks, nil
}

// withoutBlocks returns src with blanks in place of the blocks' text, so that offsets and line numbers stay.
func withoutBlocks(src []byte, blocks []block) []byte {
	out := bytes.Clone(src)
	for _, b := range blocks {
		for i := b.start; i < b.end; i++ {
			if out[i] != '\n' {
				out[i] = ' '
			}
		}
	}
	return out
}

// removal is the splice that takes the block away. A block that ends the file without a line end was appended
// to a file without one, so the line end before it goes too.
func (b block) removal(src []byte) splice {
	lines := src[b.start:b.end]
	if b.end < len(src) || bytes.HasSuffix(lines, []byte("\n")) {
		return splice{b.span, ""}
	}
	eol := "\n"
	if first, _, _ := bytes.Cut(lines, []byte("\n")); bytes.HasSuffix(first, []byte("\r")) {
		eol = "\r\n"
	}
	start := b.start
	if bytes.HasSuffix(src[:start], []byte(eol)) {
		start -= len(eol)
	}
	return splice{span{start, b.end}, ""}
}

// appendBlock appends a managed block that holds lines to body and keeps a missing line end at the end missing.
func appendBlock(body []byte, lines []string, eol string) []byte {
	text := strings.Join(slices.Concat([]string{blockBegin}, lines, []string{blockEnd}), eol)
	if len(body) > 0 && body[len(body)-1] != '\n' {
		return slices.Concat(body, []byte(eol+text))
	}
	return slices.Concat(body, []byte(text+eol))
}

// replacement is the splice that puts lines into the block. A missing line end at its end stays missing.
func (b block) replacement(src []byte, lines []string, eol string) splice {
	text := strings.Join(slices.Concat([]string{blockBegin}, lines, []string{blockEnd}), eol)
	if bytes.HasSuffix(src[:b.end], []byte("\n")) {
		text += eol
	}
	return splice{b.span, text}
}

// splice replaces a range of bytes.
type splice struct {
	span
	with string
}

// applySplices returns src with all splices done, in any order. Where two overlap, the first one counts.
func applySplices(src []byte, splices []splice) []byte {
	slices.SortStableFunc(splices, func(a, b splice) int { return a.start - b.start })
	out := make([]byte, 0, len(src))
	at := 0
	for _, s := range splices {
		if s.start < at && s.end <= at {
			continue
		}
		s.start = max(s.start, at)
		out = append(out, src[at:s.start]...)
		out = append(out, s.with...)
		at = s.end
	}
	return append(out, src[at:]...)
}
