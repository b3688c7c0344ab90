package guc

import (
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// SyncNames is what synchronous_standby_names says: which standbys a commit waits for. Its zero value is the empty setting,
// with which commits wait for none.
type SyncNames struct {
	// Quorum: any Num of the names will do (ANY, 10+). Otherwise it is the first Num of them that are connected.
	Quorum bool
	// Num is how many standbys a commit waits for. It may be more than there are names: then commits wait for ever, unless
	// one of the names is "*".
	Num int
	// Names are the entries in order. "*" stands for every standby; a server does not tell it from a quoted one. Names compare
	// with application_name without regard to case, see [SyncNames.Lists].
	Names []string
}

// Lists reports whether an entry matches a standby's application_name.
func (s SyncNames) Lists(applicationName string) bool {
	for _, name := range s.Names {
		if name == "*" || ascii.Lower(name) == ascii.Lower(applicationName) {
			return true
		}
	}
	return false
}

// String returns the setting in the shortest form that all majors from 9.6 on read as the same; names are quoted where that is
// needed. Quorum needs 10. If Num is 1 and Quorum is false, 9.1 to 9.5 read it as well.
func (s SyncNames) String() string {
	if len(s.Names) == 0 {
		return ""
	}
	names := make([]string, len(s.Names))
	for i, name := range s.Names {
		names[i] = quoteSyncName(name)
	}
	list := strings.Join(names, ", ")
	switch {
	case s.Quorum:
		return "ANY " + strconv.Itoa(s.Num) + " (" + list + ")"
	case s.Num != 1:
		return strconv.Itoa(s.Num) + " (" + list + ")"
	}
	return list
}

// quoteSyncName quotes all names but "*" and those in lower case that no major reads as something else.
func quoteSyncName(name string) string {
	word := spanOf(name, letters) > 0 && spanOf(name, letters+decimalDigits) == len(name)
	if name == "*" || word && ascii.Lower(name) == name && name != "any" && name != "first" {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// ParseSyncNames reads a value of synchronous_standby_names as a major does: a list of names, from 9.6 on also N (names), and
// from 10 on FIRST N (names) and ANY N (names). The error is a [*ValueError], or for 9.0, which has no such parameter, an
// [*UnknownError].
// The grammar is that of the server's syncrep_gram.y; before 9.6, SplitIdentifierString.
func ParseSyncNames(m pgconf.Major, value string) (SyncNames, error) {
	p, ok := Lookup(m, "synchronous_standby_names")
	if !ok {
		return SyncNames{}, unknown(m, "synchronous_standby_names")
	}
	s, err := parseSyncNames(m, value)
	if err != nil {
		return SyncNames{}, p.refuse(err)
	}
	return s, nil
}

const (
	errSyncSyntax ruleError = `takes a list of names, or N (names); quote what is not a plain name, as in "a-b"`
	errSyncFirst  ruleError = `takes a list of names, N (names), FIRST N (names) or ANY N (names); quote what is not a plain name, as in "a-b"`
	errSyncCount  ruleError = "the number of standbys must be greater than zero"
	errSyncList   ruleError = "takes a list of names with commas between them"
)

func parseSyncNames(m pgconf.Major, value string) (SyncNames, error) {
	if value == "" {
		return SyncNames{}, nil
	}
	if m < pgconf.V9_6 {
		names, ok := SplitNames(m, value)
		if !ok {
			return SyncNames{}, errSyncList
		}
		if len(names) == 0 {
			return SyncNames{}, nil
		}
		return SyncNames{Num: 1, Names: names}, nil
	}
	x := syncScanner{rest: value, keywords: m >= 10}
	s, ok := x.setting()
	switch {
	case !ok && m < 10:
		return SyncNames{}, errSyncSyntax
	case !ok:
		return SyncNames{}, errSyncFirst
	case s.Num <= 0 && m >= 10:
		return SyncNames{}, errSyncCount
	}
	return s, nil
}

// syncScanner is the lexer and the parser of the grammar from 9.6 on.
type syncScanner struct {
	rest     string
	keywords bool // FIRST and ANY

	kind syncToken
	text string // of a name or number
}

type syncToken byte

const (
	syncEnd     syncToken = 0
	syncName    syncToken = 'n'
	syncNumber  syncToken = '1'
	syncKeyword syncToken = 'k'
	syncBad     syncToken = '?'
	// "(", ")" and "," are themselves.
)

// setting reads the whole value.
func (x *syncScanner) setting() (s SyncNames, ok bool) {
	x.next()
	keyword := x.kind == syncKeyword
	if keyword {
		s.Quorum = ascii.Lower(x.text) == "any"
		x.next()
	}
	first, wasNumber := x.text, x.kind == syncNumber
	if keyword && !wasNumber || !x.item() {
		return s, false
	}
	if wasNumber && x.kind == '(' {
		s.Num = cAtoi(first)
		x.next()
		if s.Names, ok = x.list(nil); !ok || x.kind != ')' {
			return s, false
		}
		x.next()
		return s, x.kind == syncEnd
	}
	s.Num = 1
	s.Names, ok = x.tail([]string{first})
	return s, ok && !keyword && x.kind == syncEnd
}

// list reads names with commas between them, and tail what follows the first one.
func (x *syncScanner) list(names []string) ([]string, bool) {
	name := x.text
	if !x.item() {
		return nil, false
	}
	return x.tail(append(names, name))
}

func (x *syncScanner) tail(names []string) ([]string, bool) {
	for x.kind == ',' {
		x.next()
		name := x.text
		if !x.item() {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// item skips a name, for which a number can stand.
func (x *syncScanner) item() bool {
	ok := x.kind == syncName || x.kind == syncNumber
	if ok {
		x.next()
	}
	return ok
}

// next reads a token.
func (x *syncScanner) next() {
	x.rest = strings.TrimLeft(x.rest, cSpace)
	x.kind, x.text = syncEnd, ""
	if x.rest == "" {
		return
	}
	switch c := x.rest[0]; {
	case c == '"':
		name, rest, ok := cutQuoted(x.rest)
		if x.kind, x.text, x.rest = syncName, name, rest; !ok {
			x.kind = syncBad
		}
	case c == '(' || c == ')' || c == ',':
		x.kind, x.rest = syncToken(c), x.rest[1:]
	case c == '*':
		x.take(syncName, 1)
	case spanOf(x.rest, decimalDigits) > 0:
		x.take(syncNumber, spanOf(x.rest, decimalDigits))
	case identifierLen(x.rest) > 0:
		x.take(syncName, identifierLen(x.rest))
		if word := ascii.Lower(x.text); x.keywords && (word == "any" || word == "first") {
			x.kind = syncKeyword
		}
	default:
		x.kind = syncBad
	}
}

func (x *syncScanner) take(kind syncToken, n int) {
	x.kind, x.text, x.rest = kind, x.rest[:n], x.rest[n:]
}

// cAtoi is atoi, which the server uses: what exceeds 32 bits is cut.
func cAtoi(digits string) int {
	n, _ := strconv.ParseInt(digits, 10, 64) // too large: the largest, as strtol
	return int(int32(n))
}
