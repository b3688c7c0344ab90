package hba

import (
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// word is one token as it was found in a line.
type word struct {
	text       string // decoded
	raw        string // as it is spelled there
	quoted     bool   // from its first character on
	anyQuote   bool   // a quote stands somewhere in it
	found      bool   // false at the end of the line
	comma      bool   // ended by a comma, so the next word belongs to the same column
	open       bool   // its quote was not closed, which the server does not mind
	held       int    // bytes of text when its last byte, or the comma after it, was looked at; for length limits
	start, end int    // where it stands; for a word out of an @file, where the reference to that stands
}

// delimiters are the bytes that mean something outside quotes.
var delimiters = [256]bool{' ': true, '\t': true, '\r': true, ',': true, '#': true, '"': true}

// nextWord returns the first word of s at or after i and the place to go on from, as next_token in hba.c does: blanks
// and commas before it are passed over; it ends at a blank, comma or # outside quotes, or at the end of the line.
func nextWord(s string, i int) (word, int) {
	for i < len(s) && (isBlank(s[i]) || s[i] == ',') {
		i++
	}
	w := word{start: i}
	for i < len(s) && !delimiters[s[i]] {
		i++
	}
	if i < len(s) && s[i] == '"' {
		w.decode(s)
		i = w.end
	} else {
		w.text, w.raw, w.end, w.found = s[w.start:i], s[w.start:i], i, i > w.start
		w.held = max(0, len(w.text)-1)
	}
	switch {
	case i == len(s):
	case s[i] == '#':
		i = len(s)
	case s[i] == ',':
		w.comma, w.held = true, len(w.text)
		i++
	}
	return w, i
}

// decode reads a word in which a quote stands.
func (w *word) decode(s string) {
	i := w.start
	w.quoted, w.anyQuote = s[i] == '"', true
	if w.quoted { // the usual case: quotes around the whole word
		n := strings.IndexByte(s[i+1:], '"')
		end := i + 1 + n + 1
		if n >= 0 && (end == len(s) || s[end] != '"' && delimiters[s[end]]) {
			w.text, w.raw, w.end, w.found, w.held = s[i+1:end-1], s[i:end], end, true, n
			return
		}
	}
	var (
		b        strings.Builder
		inQuote  bool
		wasQuote bool // the byte before closed the quotes, so a quote now stands for itself
	)
	for ; i < len(s) && (inQuote || s[i] == '"' || !delimiters[s[i]]); i++ {
		c := s[i]
		w.found, w.held = true, b.Len()
		if c != '"' || wasQuote {
			b.WriteByte(c)
		}
		wasQuote = inQuote && c == '"' && !wasQuote
		if c == '"' {
			inQuote = !inQuote
		}
	}
	w.text, w.raw, w.end, w.open = b.String(), s[w.start:i], i, inQuote
}

// isFileRef reports whether a word stands for all tokens in a file.
func (w *word) isFileRef() bool { return isFileRef(w.text, w.quoted) }

func isFileRef(text string, quoted bool) bool { return !quoted && len(text) > 1 && text[0] == '@' }

// columns are the words of a line, column by column. It is used again for each line.
type columns struct {
	words []word
	ends  []int // where in words each column ends
	next  int   // the column that take returns
}

func (c *columns) reset() { c.words, c.ends, c.next = c.words[:0], c.ends[:0], 0 }

// maxWords bounds what a line may hold, with what its @files do: each word takes many times its length of memory.
const maxWords = 1 << 20

func (c *columns) add(w word) *lineError {
	if len(c.words) == maxWords {
		return errorAt(w.start, "more than "+strconv.Itoa(maxWords)+" values in one line; split it into several")
	}
	c.words = append(c.words, w)
	return nil
}

// close ends a column, unless no word has been added since the last one.
func (c *columns) close() {
	if n := len(c.ends); len(c.words) > 0 && (n == 0 || c.ends[n-1] < len(c.words)) {
		c.ends = append(c.ends, len(c.words))
	}
}

// column returns the words of a column.
func (c *columns) column(i int) []word {
	if i == 0 {
		return c.words[:c.ends[0]]
	}
	return c.words[c.ends[i-1]:c.ends[i]]
}

// take returns the words of the next column, nil after the last one.
func (c *columns) take() []word {
	if c.next == len(c.ends) {
		return nil
	}
	c.next++
	return c.column(c.next - 1)
}

// split reads a logical line, up to the first error. If expand is not nil, it adds to c what stands in the place of an @file.
func (c *columns) split(s string, major pgconf.Major, expand func(c *columns, w word) *lineError) *lineError {
	c.reset()
	for i := 0; i < len(s); {
		var w word
		w, i = nextWord(s, i)
		if err := checkToken(&w, major); err != nil {
			return err
		}
		switch {
		case !w.found:
		case expand != nil && w.isFileRef():
			if err := expand(c, w); err != nil {
				return err
			}
		default:
			if err := c.add(w); err != nil {
				return err
			}
		}
		if !w.comma {
			c.close()
		}
	}
	c.close() // the line ended after a comma
	return nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
