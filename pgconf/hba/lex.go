package hba

// word is one token as it was found in a line: text is decoded, start and end are where it stood.
type word struct {
	text       string
	quoted     bool // from its first character on
	found      bool // false at the end of the line
	comma      bool // ended by a comma, so the next word belongs to the same field
	open       bool // its quote was not closed, which the server does not mind
	held       int  // bytes of text when its last byte, or the comma after it, was looked at; for length limits
	start, end int
}

// field is a column: the words of a list.
type field []word

// nextWord returns the first word of s at or after i and the place to go on from, as next_token in hba.c does: blanks
// and commas before it are passed over; it ends at a blank, comma or # outside quotes, or at the end of the line.
func nextWord(s string, i int) (word, int) {
	for i < len(s) && (isBlank(s[i]) || s[i] == ',') {
		i++
	}
	var (
		w        = word{start: i, quoted: i < len(s) && s[i] == '"'}
		b        []byte
		inQuote  bool
		wasQuote bool // the byte before closed the quotes, so a quote now stands for itself
	)
	for ; i < len(s) && (inQuote || !isBlank(s[i]) && s[i] != ',' && s[i] != '#'); i++ {
		c := s[i]
		w.found, w.held = true, len(b)
		if c != '"' || wasQuote {
			b = append(b, c)
		}
		wasQuote = inQuote && c == '"' && !wasQuote
		if c == '"' {
			inQuote = !inQuote
		}
	}
	w.text, w.end, w.open = string(b), i, inQuote
	switch {
	case i == len(s):
	case s[i] == '#':
		i = len(s)
	case s[i] == ',':
		w.comma, w.held = true, len(b)
		i++
	}
	return w, i
}

// fields splits one logical line into its fields.
func fields(s string) []field {
	var all []field
	var f field
	for i := 0; i < len(s); {
		var w word
		w, i = nextWord(s, i)
		if w.found {
			f = append(f, w)
		}
		if !w.comma && len(f) > 0 {
			all = append(all, f)
			f = nil
		}
	}
	if len(f) > 0 {
		all = append(all, f) // the line ended after a comma
	}
	return all
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
