package hba_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// record reads one record, without the check that a file has any.
func record(t testing.TB, line string, major pgconf.Major) hba.Record {
	t.Helper()
	f, err := hba.ParseFor("record", []byte(line), major)
	require.NoError(t, err)
	require.Len(t, f.Records(), 1)
	return f.Records()[0]
}

// codes lists notes as "code:line".
func codes(notes []hba.Note) string {
	var all []string
	for _, n := range notes {
		s := string(n.Code)
		if n.Rule.Line > 0 {
			s += ":" + n.Rule.File[:min(1, len(n.Rule.File))] + string(rune('0'+n.Rule.Line))
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

// TestEnsureRule: files are named "f"; line is where the rule that decides stands afterwards. The file after the change is
// the one before with + lines added and - lines removed, as marked in text.
func TestEnsureRule(t *testing.T) {
	const r = "host app web 10.0.0.0/8 scram-sha-256"
	reject := func(c *hba.EnsureConfig) { c.BeforeReject = true }
	for name, c := range map[string]struct {
		record string
		text   string // lines marked + are added, those marked - removed
		line   int
		notes  string
		edit   func(*hba.EnsureConfig)
		reject bool
	}{
		"empty":                 {record: r, text: "+R", line: 1},
		"nothing_related":       {record: r, text: "local all all peer\n# x\nhost app web 192.168.0.0/16 md5\n+R", line: 4},
		"same":                  {record: r, text: "host app web 10.1.2.3/8 scram-sha-256", line: 1},
		"broader_same":          {record: r, text: "host all all all reject\nhost all all all scram-sha-256", line: 1, reject: true},
		"broader_does_the_same": {record: r, text: "local all all peer\nhost all +x,all all scram-sha-256", line: 2},
		"shadowed":              {record: r, text: "# a\n+R\nhost all all all md5", line: 2, notes: "overridden:f2"},
		"shadowed_equal": {record: r, text: "+host app web 10.0.0.0/8   scram-sha-256 # mine\nhost all all all md5\n-host app web 10.0.0.0/8   scram-sha-256 # mine",
			line: 1, notes: "overridden:f1 moved:f2"},
		"shadowed_equal_twice": {record: r, text: "+" + r + "\nhost all all all md5\n-" + r + "\n" + r, line: 1,
			notes: "overridden:f1 moved:f2 unreachable:f3"},
		"weakens":                {record: "host app web 10.0.0.0/8 md5", text: "+R\nhost all all all scram-sha-256", line: 1, notes: "weakened:f1"},
		"other_options":          {record: "host app web 10.0.0.0/8 pam pamservice=a", text: "+R\nhost all all all pam", line: 1, notes: "overridden:f1"},
		"exception":              {record: r, text: "host app web 10.9.0.0/16 md5\n+R\nhost all all 10.0.0.0/8 md5", line: 2, notes: "earlier-rule:f1 overridden:f2"},
		"exception_reject":       {record: r, text: "host app web 10.9.0.0/16 reject\nhost app web 10.8.0.0/16 trust\n+R", line: 3, notes: "earlier-reject:f1 earlier-trust:f2"},
		"exception_at_the_start": {record: r, text: "host app web 10.0.0.0/16 md5\n+R\nhost all all 10.0.0.0/8 md5", line: 2, notes: "earlier-rule:f1 overridden:f2"},
		"exception_of_user": {record: "host all all all scram-sha-256", text: "host all eve all reject\nhost all all all scram-sha-256", line: 2,
			notes: "earlier-reject:f1 all-not-replication"},
		"one_database_of_two": {record: "host app,shop web 10.0.0.0/8 scram-sha-256", text: "+R\nhost shop all all md5", line: 1, notes: "overridden:f1"},
		"one_user_of_two":     {record: "host app web,bat 10.0.0.0/8 scram-sha-256", text: "+R\nhost app bat all md5", line: 1, notes: "overridden:f1"},
		"over_tls_only":       {record: r, text: "+R\nhostssl all all all cert", line: 1, notes: "overridden:f1"},
		"one_family":          {record: "host app web all scram-sha-256", text: "+R\nhost all all ::/0 md5", line: 1, notes: "overridden:f1"},
		"both_families":       {record: "host app web all scram-sha-256", text: "host all all ::/0 scram-sha-256\nhost all all 0.0.0.0/0 scram-sha-256", line: 1},
		"by_transports":       {record: r, text: "hostssl all all all scram-sha-256\nhostnossl all all all scram-sha-256", line: 1},
		"part_done":           {record: r, text: "hostssl all all all scram-sha-256\n+R", line: 2},
		"later_unreachable": {record: "host app all all scram-sha-256", text: "+R\nhost app all all md5\nhost app web 10.0.0.0/8 md5\nhost app x all scram-sha-256", line: 1,
			notes: "overridden:f1 unreachable:f1"},
		"rejected":                  {record: r, text: "host all all all reject", reject: true},
		"rejected_allowed":          {record: r, text: "+R\nhost all all all reject", line: 1, edit: reject, notes: "weakened:f1"},
		"rejected_without_tls":      {record: r, text: "hostnossl all all all reject\n+R", line: 2, notes: "earlier-reject:f1"},
		"rejected_without_tls_done": {record: r, text: "hostnossl all all all reject\nhost all all all scram-sha-256", line: 2, notes: "earlier-reject:f1"},
		"reject_after_shadow":       {record: "host app,shop web 10.0.0.0/8 scram-sha-256", text: "host app all 10.0.0.0/8 md5\nhost shop web 10.9.0.0/16 reject", reject: true},
		"dead_reject_after_shadow":  {record: r, text: "+R\nhost all all all md5\nhost app web 10.9.0.0/16 reject", line: 1, notes: "overridden:f1"},
		"reject_itself":             {record: "host app web 10.0.0.0/8 reject", text: "+R\nhost all all all md5", line: 1, notes: "overridden:f1"},
		"all_not_replication":       {record: "host all all all scram-sha-256", text: "+R", line: 1, notes: "all-not-replication"},
		"all_and_replication":       {record: "host all,replication all all scram-sha-256", text: "+R", line: 1},
		"replication":               {record: "host replication rep 10.0.0.2/32 scram-sha-256", text: "host all all all md5\n+R", line: 2},
		"replication_shadowed": {record: "host replication rep 10.0.0.2/32 scram-sha-256", text: "host all all all md5\n+R\nhost replication all samenet md5", line: 2,
			notes: "overridden:f2", edit: func(c *hba.EnsureConfig) { c.Server = server() }},
		"samenet_not_known": {record: "host replication rep 10.0.0.2/32 scram-sha-256", text: "+R\nhost replication all samenet md5", line: 1, notes: "overridden:f1"},
		"samenet_not_here": {record: "host replication rep 10.9.0.2/32 scram-sha-256", text: "host replication all samenet md5\n+R", line: 2,
			edit: func(c *hba.EnsureConfig) { c.Server = server() }},
		"reject_not_known":      {record: r, text: "host all +out all reject\n+R", line: 2, notes: "earlier-reject:f1"},
		"reject_known":          {record: r, text: "host all +grp all reject\n+R", line: 2, edit: func(c *hba.EnsureConfig) { c.Server = server() }},
		"reject_by_role":        {record: "host app bob all md5", text: "host all +grp all reject", reject: true, edit: func(c *hba.EnsureConfig) { c.Server = server() }},
		"role_not_known":        {record: r, text: "+R\nhost all +out all pam", line: 1, notes: "overridden:f1"},
		"sameuser":              {record: "local sameuser web peer", text: "+R\nlocal web web md5", line: 1, notes: "overridden:f1 unreachable:f1"},
		"sameuser_same":         {record: "local web web peer", text: "local sameuser all ident", line: 1},
		"samehost_in_samenet":   {record: "host app web samehost scram-sha-256", text: "+R\nhost all all samenet md5", line: 1, notes: "overridden:f1"},
		"samenet_over_samehost": {record: "host app web samenet scram-sha-256", text: "host all all samehost md5\n+R", line: 2, notes: "earlier-rule:f1"},
		"samerole_of_members":   {record: "local grp +sub peer", text: "+R\nlocal samerole all md5", line: 1, notes: "overridden:f1", edit: func(c *hba.EnsureConfig) { c.Server = server() }},
		"regexp_or_regexp":      {record: "local app /^a peer", text: "+R\nlocal all /b md5", line: 1, notes: "overridden:f1"},
		"not_a_member":          {record: "host app +grp all scram-sha-256", text: "host all alice all md5\n+R", line: 2, edit: func(c *hba.EnsureConfig) { c.Server = server() }},
		"reject_before_reject":  {record: "host app,shop web 10.0.0.0/8 reject", text: "+R\nhost app all 10.0.0.0/8 md5\nhost shop web 10.9.0.0/16 reject", line: 1, notes: "overridden:f1 unreachable:f2"},
		"regexp":                {record: r, text: "+R\nhost /^a all all md5", line: 1, notes: "overridden:f1"},
		"regexp_other":          {record: r, text: "host /^b all all md5\n+R", line: 2},
		"host_name":             {record: r, text: "+R\nhost all all .example.com md5", line: 1, notes: "overridden:f1"},
		"host_names":            {record: "host all all db1.example.com md5", text: "host all all db2.example.com reject\nhost all all .example.com md5", line: 2, notes: "all-not-replication"},
		"continued":             {record: r, text: "+R\nhost all all \\\n all md5", line: 1, notes: "overridden:f1"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := record(t, c.record, 18)
			before, after := marked(c.text, rec.Text())
			f, err := hba.Parse("f", []byte(before))
			require.NoError(t, err)
			var cfg hba.EnsureConfig
			if c.edit != nil {
				c.edit(&cfg)
			}
			got, err := f.EnsureRule(rec, cfg)
			if c.reject {
				require.ErrorIs(t, err, hba.ErrReject)
				require.Equal(t, before, string(f.Bytes()))
				return
			}
			require.NoError(t, err)
			require.Equal(t, after, string(f.Bytes()))
			require.Equal(t, before != after, got.Changed)
			require.Equal(t, c.line, got.Line)
			require.Equal(t, "f", got.File)
			require.Equal(t, c.notes, codes(got.Notes))
			again, err := f.EnsureRule(rec, cfg)
			require.NoError(t, err)
			require.False(t, again.Changed)
			require.Equal(t, after, string(f.Bytes()))
			require.Equal(t, c.line, again.Line)
		})
	}
}

// marked returns the texts before and after a change.
func marked(text, r string) (before, after string) {
	for line := range strings.SplitSeq(text, "\n") {
		rest := line[min(1, len(line)):]
		switch {
		case line == "+R":
			after += r + "\n"
		case strings.HasPrefix(line, "+"):
			after += rest + "\n"
		case strings.HasPrefix(line, "-"):
			before += rest + "\n"
		default:
			before, after = before+line+"\n", after+line+"\n"
		}
	}
	return before, after
}

// TestEnsureIncludes: only the file itself is edited; what it includes counts for where.
func TestEnsureIncludes(t *testing.T) {
	const r = "host app web 10.0.0.0/8 scram-sha-256"
	for name, c := range map[string]struct {
		text   string // of etc/pg_hba.conf, marked as in TestEnsureRule
		a, b   string // of etc/a and etc/b
		file   string
		line   int
		notes  string
		reject bool
	}{
		"before_the_include":  {text: "local all all peer\n+R\ninclude a", a: "local x x peer\nhost all all all md5", file: "etc/pg_hba.conf", line: 2, notes: "overridden:e2"},
		"included_does_it":    {text: "local all all peer\ninclude a", a: "host all all all scram-sha-256", file: "etc/a", line: 1},
		"behind_an_include":   {text: "include a\n+R\nhost all all all md5", a: "local all all peer", file: "etc/pg_hba.conf", line: 2, notes: "overridden:e2"},
		"first_of_two":        {text: "# x\n+R\ninclude a\ninclude b", a: "local all all peer", b: "host all all all md5", file: "etc/pg_hba.conf", line: 2, notes: "overridden:e1"},
		"after_a_rule":        {text: "include a\nlocal x x peer\n# include\n+R\ninclude b", a: "local all all peer", b: "host all all all md5", file: "etc/pg_hba.conf", line: 4, notes: "overridden:e1"},
		"exception_too_late":  {text: "include a", a: "host app web 10.9.0.0/16 reject\nhost all all all md5", reject: true},
		"copied":              {text: "+R\ninclude a", a: "host all all all md5\nhost app web 10.0.0.0/8 scram-sha-256", file: "etc/pg_hba.conf", line: 1, notes: "overridden:e1 copied:e2"},
		"at_the_end":          {text: "include a\n+R", a: "local all all peer", file: "etc/pg_hba.conf", line: 2},
		"nested":              {text: "+R\ninclude_dir d\ninclude a", a: "include b", b: "host all all all md5", file: "etc/pg_hba.conf", line: 1, notes: "overridden:e1"},
		"users_in_a_file":     {text: "+R\nhost app @a all md5", a: "x\nweb", file: "etc/pg_hba.conf", line: 1, notes: "overridden:e1"},
		"users_in_other_file": {text: "host app @a all md5\n+R", a: "x\ny", file: "etc/pg_hba.conf", line: 2},
	} {
		t.Run(name, func(t *testing.T) {
			rec := record(t, r, 18)
			before, after := marked(c.text, rec.Text())
			fsys := files("etc/a", c.a, "etc/b", c.b, "etc/d/x.txt", "")
			f, err := hba.Parse("etc/pg_hba.conf", []byte(before))
			require.NoError(t, err)
			got, err := f.EnsureRule(rec, hba.EnsureConfig{FS: fsys})
			if c.reject {
				require.ErrorIs(t, err, hba.ErrReject)
				return
			}
			require.NoError(t, err)
			require.Equal(t, after, string(f.Bytes()))
			require.Equal(t, c.file, got.File)
			require.Equal(t, c.line, got.Line)
			require.Equal(t, c.notes, codes(got.Notes))
			again, err := f.EnsureRule(rec, hba.EnsureConfig{FS: fsys})
			require.NoError(t, err)
			require.False(t, again.Changed)
		})
	}
}

// TestEnsureMoves: the line of an equal record goes as it is.
func TestEnsureMoves(t *testing.T) {
	const r = "host app web 10.0.0.0/8 scram-sha-256"
	for name, c := range map[string]struct {
		before, after string
		line          int
		major         pgconf.Major
	}{
		"crlf":                     {"host all all all md5\r\n" + r + " # x\r\n# y\r\n", r + " # x\r\nhost all all all md5\r\n# y\r\n", 1, 18},
		"open_line":                {"host all all all md5\n" + r, r + "\nhost all all all md5\n", 1, 18},
		"open_line_crlf":           {"host all all all md5\r\n" + r, r + "\r\nhost all all all md5\r\n", 1, 18},
		"continued":                {"# a\nhost all all all md5\nhost app web \\\n 10.0.0.0/8 scram-sha-256\nlocal x x peer", "# a\nhost app web \\\n 10.0.0.0/8 scram-sha-256\nhost all all all md5\nlocal x x peer", 2, 18},
		"open_backslash":           {"host all all all md5\n" + r + " \\\n", r + " \\\n\nhost all all all md5\n", 1, 18},
		"open_backslash_open_line": {"host all all all md5\n" + r + " \\", r + " \\\n\nhost all all all md5\n", 1, 18},
		"after_a_backslash":        {"# x \\\nhost all all all md5\n" + r + "\n", "# x \\\n\n" + r + "\nhost all all all md5\n", 3, 13},
		"insert_after_a_backslash": {"# x \\\nhost all all all md5\n", "# x \\\n\nhost    app             web             10.0.0.0/8              scram-sha-256\nhost all all all md5\n", 3, 13},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := hba.ParseFor("f", []byte(c.before), c.major)
			require.NoError(t, err)
			got, err := f.EnsureRule(record(t, r, 18), hba.EnsureConfig{})
			require.NoError(t, err)
			require.Equal(t, c.after, string(f.Bytes()))
			require.Equal(t, c.line, got.Line)
			require.Equal(t, c.line, f.Records()[0].Line)
			require.Contains(t, f.Diff(), "+")
		})
	}
}

func TestEnsureErrors(t *testing.T) {
	good := record(t, "host app web 10.0.0.0/8 scram-sha-256", 18)
	long := good
	for i := range 5000 {
		long.Users = append(long.Users, hba.Name(fmt.Sprint("u", i)))
	}
	fromFile := good
	fromFile.Users = tokens("@x")
	for name, c := range map[string]struct {
		text string
		r    hba.Record
		fsys fs.FS
		bad  bool // the file, not the record
	}{
		"invalid_record":     {"", hba.Record{}, nil, false},
		"names_from_a_file":  {"", fromFile, nil, false},
		"too_long":           {"", long, nil, false},
		"file_not_given":     {"include x\nlocal all all peer", good, nil, true},
		"names_not_given":    {"local @x all peer", good, nil, true},
		"file_missing":       {"local all all peer\ninclude x", good, files("y", ""), true},
		"invalid_line":       {"local all all peer\nlocal", good, nil, true},
		"nothing_but_errors": {"local", good, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := hba.Parse("f", []byte(c.text))
			_, err := f.EnsureRule(c.r, hba.EnsureConfig{FS: c.fsys})
			_, err2 := f.RemoveRule(c.r, hba.EnsureConfig{FS: c.fsys})
			require.Error(t, err)
			if name != "too_long" { // that does not matter for removal
				require.Error(t, err2)
			}
			if !c.bad {
				require.ErrorIs(t, err, hba.ErrRecord)
			} else {
				var errs pgconf.SyntaxErrors
				require.ErrorAs(t, err, &errs)
			}
			require.Equal(t, c.text, string(f.Bytes()))
			require.Empty(t, f.Diff())
		})
	}
}

func TestRemoveRule(t *testing.T) {
	const r = "host app web 10.0.0.0/8 scram-sha-256"
	for name, c := range map[string]struct {
		text  string // lines marked - go
		a     string
		notes string
	}{
		"one":       {text: "local all all peer\n-" + r + "\nlocal all all peer"},
		"not_there": {text: "local all all peer\nhost all all all md5"},
		"all_equal": {text: "-" + r + " # 1\nlocal all all peer\n-host app,app web 10.1.2.3 255.0.0.0 scram-sha-256"},
		"continued": {text: "# a\n-host app web \\\n-   10.0.0.0/8 scram-sha-256\n# b"},
		"next":      {text: "host app all 10.0.0.0/16 md5\n-" + r + "\nhost x all all md5\nhost app all 10.0.0.0/8 reject", notes: "next-rule:f4"},
		"elsewhere": {text: "-" + r + "\ninclude a", a: "local x x peer\n" + r, notes: "remaining:a2"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := marked(c.text, "")
			f, err := hba.Parse("f", []byte(before))
			require.NoError(t, err)
			got, err := f.RemoveRule(record(t, r, 18), hba.EnsureConfig{FS: files("a", c.a)})
			require.NoError(t, err)
			require.Equal(t, after, string(f.Bytes()))
			require.Equal(t, before != after, got.Changed)
			require.Equal(t, c.notes, codes(got.Notes))
			require.Zero(t, got.Line)
			again, err := f.RemoveRule(record(t, r, 18), hba.EnsureConfig{FS: files("a", c.a)})
			if len(f.Records()) > 0 || c.a != "" {
				require.NoError(t, err)
				require.False(t, again.Changed)
			}
		})
	}
}
