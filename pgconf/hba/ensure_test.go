package hba_test

import (
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
		"weakens":          {record: "host app web 10.0.0.0/8 md5", text: "+R\nhost all all all scram-sha-256", line: 1, notes: "weakened:f1"},
		"other_options":    {record: "host app web 10.0.0.0/8 pam pamservice=a", text: "+R\nhost all all all pam", line: 1, notes: "overridden:f1"},
		"exception":        {record: r, text: "host app web 10.9.0.0/16 md5\n+R\nhost all all 10.0.0.0/8 md5", line: 2, notes: "earlier-rule:f1 overridden:f2"},
		"exception_reject": {record: r, text: "host app web 10.9.0.0/16 reject\nhost app web 10.8.0.0/16 trust\n+R", line: 3, notes: "earlier-reject:f1 earlier-trust:f2"},
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
		"reject_not_known": {record: r, text: "host all +out all reject\n+R", line: 2, notes: "earlier-reject:f1"},
		"reject_known":     {record: r, text: "host all +grp all reject\n+R", line: 2, edit: func(c *hba.EnsureConfig) { c.Server = server() }},
		"reject_by_role":   {record: "host app bob all md5", text: "host all +grp all reject", reject: true, edit: func(c *hba.EnsureConfig) { c.Server = server() }},
		"role_not_known":   {record: r, text: "+R\nhost all +out all pam", line: 1, notes: "overridden:f1"},
		"sameuser":         {record: "local sameuser web peer", text: "+R\nlocal web web md5", line: 1, notes: "overridden:f1 unreachable:f1"},
		"sameuser_same":    {record: "local web web peer", text: "local sameuser all ident", line: 1},
		"regexp":           {record: r, text: "+R\nhost /^a all all md5", line: 1, notes: "overridden:f1"},
		"regexp_other":     {record: r, text: "host /^b all all md5\n+R", line: 2},
		"host_name":        {record: r, text: "+R\nhost all all .example.com md5", line: 1, notes: "overridden:f1"},
		"host_names":       {record: "host all all db1.example.com md5", text: "host all all db2.example.com reject\nhost all all .example.com md5", line: 2, notes: "all-not-replication"},
		"continued":        {record: r, text: "+R\nhost all all \\\n all md5", line: 1, notes: "overridden:f1"},
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
