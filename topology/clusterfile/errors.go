package clusterfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one fault of a cluster file.
type Error struct {
	File string

	// Line and Column are where it stands, from 1; columns count characters. YAML that cannot be read at all has the column of the
	// first character of the line at which that was noticed.
	Line, Column int

	// Path is what it is about, as in nodes[1].upstream, counted from 0. Empty for the file as a whole.
	Path string

	// Msg says what is wrong, and what to do. It never holds a value in which a secret may stand.
	Msg string
}

// Error returns "file:line:column: path: message".
func (e *Error) Error() string {
	where := fmt.Sprintf("%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Path == "" {
		return where + e.Msg
	}
	return where + e.Path + ": " + e.Msg
}

// joined returns the faults in the order of the file as one error.
func joined(faults []*Error) error {
	slices.SortStableFunc(faults, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}

// didYouMean returns the known word that is nearest to an unknown one, if any is near.
func didYouMean(word string, known []string) (string, bool) {
	const longest = 64 // of the words that somebody may have meant
	if len(word) > longest {
		return "", false
	}
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, least := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best, best != ""
}

// distance counts the bytes to add, drop or change, or pairs of neighbours to swap, that make b of a.
func distance(a, b string) int {
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(above[j]+change, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
