package command

import "strings"

// Word is one argument of a command, or the name of its program: pieces that are joined without anything in between. A Word
// without pieces is an empty argument.
type Word []Piece

// Piece is [Text], [Placeholder] or [Unknown].
type Piece interface {
	piece()
	source() string
}

// Text is what it is, byte for byte, without any quoting.
type Text string

// Placeholder stands for a value that the server puts in. It is the letter after the percent sign.
type Placeholder byte

// The placeholders.
const (
	File   Placeholder = 'f' // the name of the WAL file: 24 hex digits, or with .history, .backup or .partial behind it
	Path   Placeholder = 'p' // where it lies or goes, relative to the data directory, in which the command runs
	Oldest Placeholder = 'r' // the name of the oldest file that a restart of recovery would still need
)

// Unknown is what only the shell can tell, as it stands in the command: a variable, a substitution, a pattern, a home directory.
// Build refuses it.
type Unknown string

func (Text) piece()        {}
func (Placeholder) piece() {}
func (Unknown) piece()     {}

func (t Text) source() string        { return string(t) }
func (p Placeholder) source() string { return p.String() }
func (u Unknown) source() string     { return string(u) }

// String returns the placeholder as it is written: "%f".
func (p Placeholder) String() string { return "%" + string(rune(p)) }

// Words makes a Word of each text.
func Words(texts ...string) []Word {
	words := make([]Word, len(texts))
	for i, t := range texts {
		words[i] = Word{Text(t)}
	}
	return words
}

// String returns the word for a message: texts and unknown pieces as they are, placeholders with their percent sign.
func (w Word) String() string {
	var b strings.Builder
	for _, p := range w {
		b.WriteString(p.source())
	}
	return b.String()
}

// has reports whether the placeholder is one of the pieces.
func (w Word) has(want Placeholder) bool {
	for _, p := range w {
		if p == Piece(want) {
			return true
		}
	}
	return false
}

// literal returns the text of a word that has nothing else.
func (w Word) literal() (string, bool) {
	var b strings.Builder
	for _, p := range w {
		t, ok := p.(Text)
		if !ok {
			return "", false
		}
		b.WriteString(string(t))
	}
	return b.String(), true
}
