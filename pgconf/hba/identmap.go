package hba

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// IdentMaps are the mappings of a pg_ident.conf and of all files that it names, as a server of one major has them in memory. Make
// them with [LoadIdent]; the zero value has none. They do not change, and are safe for concurrent use.
type IdentMaps struct {
	major   pgconf.Major
	rules   []IdentRule
	entries []entry
}

// IdentRule is a mapping as the server loaded it.
type IdentRule struct {
	Mapping
	File   string // the file whose line it is, as LoadIdent was given it or as an include directive names it
	Number int    // place among the mappings, from 1, as map_number in pg_ident_file_mappings (16+)

	system, role term
}

// LoadIdent reads the pg_ident.conf called name and the files that it names, as [Load] reads a pg_hba.conf. A server that finds an
// error keeps what it had, which at start is nothing.
func LoadIdent(fsys fs.FS, name string, major pgconf.Major) (*IdentMaps, error) {
	maps := &IdentMaps{major: major}
	l := loader{fsys: fsys, major: major}
	l.emit = func(file string, line *logicalLine, c *columns, err *lineError) {
		var r IdentRule
		if err == nil {
			r, err = parseMapping(c, len(line.text), major, true)
		}
		if err != nil {
			maps.entries = append(maps.entries, entry{file, line.number, -1, err.msg})
			l.errs.Add(err.syntaxError(file, line))
			return
		}
		r.File, r.Line, r.Number = file, line.number, len(maps.rules)+1
		maps.rules = append(maps.rules, r)
		maps.entries = append(maps.entries, entry{file: file, line: line.number, rule: len(maps.rules) - 1})
	}
	if err := l.load(name); err != nil {
		return nil, err
	}
	return maps, l.errs.Err()
}

// All returns the mappings in the order in which the server tries them. The caller owns the slice.
func (m *IdentMaps) All() []IdentRule { return slices.Clone(m.rules) }

// View returns the rows that pg_ident_file_mappings (15+; before it, as 15 would show them) has for the file, but for the texts of
// errors, which are those of this package.
func (m *IdentMaps) View() []Row {
	rows := make([]Row, len(m.entries))
	for i, e := range m.entries {
		row := beginRow(m.major, "map_number", e.rule, e.file, e.line)
		if e.rule >= 0 {
			r := &m.rules[e.rule]
			row = append(row, Column{"map_name", r.Map.Text()}, Column{"sys_name", r.SystemUser.Text()}, Column{"pg_username", r.Role.Text()},
				Column{"error", nil})
		} else {
			row = append(row, Column{"map_name", nil}, Column{"sys_name", nil}, Column{"pg_username", nil}, Column{"error", e.err})
		}
		rows[i] = row
	}
	return rows
}

// Login is a question to [IdentMaps.Match]: may somebody whom the system knows as SystemUser log in as Role?
type Login struct {
	Map        string // the option map of the rule in pg_hba.conf; empty means none, and then both names must be the same
	SystemUser string
	Role       string

	// FoldCase says that upper and lower case are the same in names: the method is gss or sspi, and krb_caseins_users is on.
	FoldCase bool

	// Member decides on +role (16+), as [Server.Member] does. Nil means not known.
	Member func(user, role string) (bool, error)
}

// LoginResult is the answer of [IdentMaps.Match].
type LoginResult struct {
	Outcome Outcome    // Matched: yes; NoneMatch: no
	Mapping *IdentRule // the one that decides, or with CannotSay the first that cannot be decided; nil if there is none
	Why     string     // for CannotSay, and for a mapping that ends the search without an answer
}

// Match tries the mappings in order until one matches, as check_usermap in hba.c does.
func (m *IdentMaps) Match(l Login) LoginResult {
	if l.Map == "" {
		return LoginResult{Outcome: outcomeOf(sameName(l.SystemUser, l.Role, l.FoldCase))}
	}
	for i := range m.rules {
		r := &m.rules[i]
		if r.Map.Text() != l.Map {
			continue
		}
		if result := r.match(&l, m.major); result.Outcome != NoneMatch || result.Why != "" {
			result.Mapping = r
			return result
		}
	}
	return LoginResult{Outcome: NoneMatch}
}

func outcomeOf(matched bool) Outcome {
	if matched {
		return Matched
	}
	return NoneMatch
}

func sameName(a, b string, fold bool) bool {
	if fold {
		return ascii.Lower(a) == ascii.Lower(b)
	}
	return a == b
}

// match follows check_ident_usermap in hba.c. A reason with NoneMatch ends the search.
func (r *IdentRule) match(l *Login, major pgconf.Major) LoginResult {
	role := r.Role.word()
	if r.system.re == nil {
		if !sameName(r.system.text, l.SystemUser, l.FoldCase) {
			return LoginResult{Outcome: NoneMatch}
		}
		return r.matchRole(&role, l, major)
	}
	matched, why := r.system.re.Match(l.SystemUser)
	switch {
	case why != "":
		return LoginResult{CannotSay, nil, "of the regular expression for the system user: " + why}
	case !matched:
		return LoginResult{Outcome: NoneMatch}
	case r.role.re != nil || isMemberRole(&role, major) || !strings.Contains(role.text, `\1`):
		return r.matchRole(&role, l, major)
	}
	group, found, sure := r.system.re.group(l.SystemUser)
	switch {
	case !sure:
		return LoginResult{CannotSay, nil, "the group of the regular expression can hold different parts of the name"}
	case !found:
		return LoginResult{NoneMatch, nil, `\1 stands for a group that the regular expression does not have or that holds nothing`}
	}
	return LoginResult{Outcome: outcomeOf(sameName(strings.Replace(role.text, `\1`, group, 1), l.Role, l.FoldCase))}
}

// isMemberRole reports whether a word stands for the members of a role (16+).
func isMemberRole(w *word, major pgconf.Major) bool {
	return major >= regexSince && !w.quoted && w.text != "" && w.text[0] == '+'
}

// matchRole compares the role as it is written.
func (r *IdentRule) matchRole(w *word, l *Login, major pgconf.Major) LoginResult {
	switch {
	case isMemberRole(w, major):
		return matchMember(l, w.text[1:])
	case major >= regexSince && !w.quoted && Token(w.text) == All:
		return LoginResult{Outcome: Matched}
	case r.role.re != nil:
		matched, why := r.role.re.Match(l.Role)
		if why != "" {
			return LoginResult{CannotSay, nil, "of the regular expression for the role: " + why}
		}
		return LoginResult{Outcome: outcomeOf(matched)}
	}
	return LoginResult{Outcome: outcomeOf(sameName(w.text, l.Role, l.FoldCase))}
}

func matchMember(l *Login, group string) LoginResult {
	if l.Member == nil {
		return LoginResult{CannotSay, nil, "who is a member of the role is not known"}
	}
	is, err := l.Member(l.Role, group)
	if err != nil {
		return LoginResult{CannotSay, nil, "who is a member of the role is not known: " + err.Error()}
	}
	return LoginResult{Outcome: outcomeOf(is)}
}
