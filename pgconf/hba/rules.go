package hba

import (
	"io/fs"
	"slices"

	"github.com/understudy-ha/understudy/pgconf"
)

// Rules are the records of a pg_hba.conf and of all files that it names, as a server of one major has them in memory after it
// loaded the file. Make them with [Load]. They do not change, and are safe for concurrent use.
type Rules struct {
	major   pgconf.Major
	rules   []Rule
	entries []entry
}

// entry is a line that the view shows: a rule or an error.
type entry struct {
	file string
	line int    // its first physical line
	rule int    // index of the rule, or -1
	err  string // empty for a rule
}

// Rule is a record as the server loaded it: each @file among its databases, users and options has been replaced by the tokens
// in that file, and [Ident] for [Local] by [Peer], which the server takes it for (9.1+).
type Rule struct {
	Record
	File   string // the file whose line it is, as Load was given it or as an include directive names it
	Number int    // place among the rules, from 1, as rule_number in pg_hba_file_rules (16+)

	databases, users []term
	addr             address
}

// Load reads the pg_hba.conf called name and the files that it names in include directives (16+) and with @, as a server of the
// major does (src/backend/libpq/hba.c, tokenize_auth_file and parse_hba_line).
//
// Names are paths in fsys, with or without a slash before them. A relative name in a file is relative to the folder of that file,
// an absolute one to the root of fsys, so that os.DirFS("/") serves for all.
//
// If lines are not valid, or name a file that cannot be read, the error is a [pgconf.SyntaxErrors]; the Rules are there all the
// same with those of the valid lines. A server refuses such a set as a whole, and one without any rule too (9.2+): at start it
// ends, at a reload it keeps what it had. If the file itself cannot be read, the Rules are nil and the error is that of fsys.
func Load(fsys fs.FS, name string, major pgconf.Major) (*Rules, error) {
	rs := &Rules{major: major}
	p := lineParser{major: major, load: true}
	l := loader{fsys: fsys, major: major}
	l.emit = func(file string, line *logicalLine, c *columns, err *lineError) {
		if p.columns = c; err == nil {
			err = p.parse(len(line.text))
		}
		if err != nil {
			rs.entries = append(rs.entries, entry{file, line.number, -1, err.msg})
			l.errs.Add(err.syntaxError(file, line))
			return
		}
		rs.add(&p.rule, file, line.number)
	}
	if err := l.load(name); err != nil {
		return nil, err
	}
	if len(rs.entries) == 0 && major >= pgconf.V9_2 {
		l.errs.Add(&pgconf.SyntaxError{File: name, Line: 1, Col: 1, Msg: "there is no rule in it, which a server refuses to load"})
	}
	return rs, l.errs.Err()
}

func (rs *Rules) add(r *Rule, file string, line int) {
	rs.rules = append(rs.rules, *r)
	added := &rs.rules[len(rs.rules)-1]
	added.File, added.Line, added.Number = file, line, len(rs.rules)
	if added.Type == Local && added.Method == Ident && rs.major >= pgconf.V9_1 {
		added.Method = Peer
	}
	rs.entries = append(rs.entries, entry{file: file, line: line, rule: len(rs.rules) - 1})
}

// Major returns the major whose rules were applied.
func (rs *Rules) Major() pgconf.Major { return rs.major }

// All returns the rules in the order in which the server tries them. The caller owns the slice, not what the rules refer to.
func (rs *Rules) All() []Rule { return slices.Clone(rs.rules) }
