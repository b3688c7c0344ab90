package conninfo_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

func entry(host, port, db, user, password string) conninfo.PassEntry {
	return conninfo.PassEntry{Host: host, Port: port, Database: db, User: user, Password: password}
}

func TestPassEntryText(t *testing.T) {
	for name, c := range map[string]struct {
		entry conninfo.PassEntry
		want  string
	}{
		"plain":         {entry("db1", "5432", "app", "alice", "secret"), "db1:5432:app:alice:secret"},
		"any":           {entry("*", "*", "*", "*", "*"), "*:*:*:*:*"},
		"escapes":       {entry("::1", "5432", `a:b`, `c\d`, `p:\:`), `\:\:1:5432:a\:b:c\\d:p\:\\\:`},
		"star_inside":   {entry("*.x", "5432", "a*", "**", "x*"), "*.x:5432:a*:**:x*"},
		"not_a_comment": {entry("#h", "1", "#", "#", "#"), `\#h:1:#:#:#`},
		"blanks":        {entry(" h ", "1", "a b", "\t", " p "), " h :1:a b:\t: p "},
		"bytes":         {entry("é", "1", "d", "u", "\xff\x01"), "é:1:d:u:\xff\x01"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.entry.Text()
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			back, err := conninfo.ParsePassfile("f", []byte("# comment\n\n"+got+"\r\n"))
			require.NoError(t, err)
			require.Equal(t, []conninfo.PassEntry{c.entry}, back.Entries())
		})
	}
	for name, e := range map[string]conninfo.PassEntry{
		"host": entry("", "1", "d", "u", "p"), "port": entry("h", "", "d", "u", "p"), "database": entry("h", "1", "a\nb", "u", "p"),
		"user": entry("h", "1", "d", "u\r", "p"), "password": entry("h", "1", "d", "u", "s3cr3t\x00"),
	} {
		_, err := e.Text()
		require.ErrorIs(t, err, conninfo.ErrPassEntry)
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "s3cr3t")
	}
}

func TestParsePassfile(t *testing.T) {
	f, err := conninfo.ParsePassfile(".pgpass", []byte(strings.Join([]string{
		"#h:1:d:u:p", "", "h:1:d:u:p", "too:few:s3cr3t", `h\:1:d:u:s3cr3t`, "h:1:d:u:pa:s3cr3t", `\*:1:d:u:s3cr3t`, ":1:d:u:s3cr3t",
		"h:1:d:u:", "h:1:d:u:s3cr3t\x00", `h\x:1:d:u:p\`, "   ", "h:2:d:u:p2\r",
	}, "\n")))
	require.Equal(t, []conninfo.PassEntry{
		entry("h", "1", "d", "u", "p"), entry("hx", "1", "d", "u", `p\`), entry("h", "2", "d", "u", "p2"),
	}, f.Entries())
	var errs pgconf.SyntaxErrors
	require.ErrorAs(t, err, &errs)
	var places [][2]int
	for _, e := range errs {
		places = append(places, [2]int{e.Line, e.Col})
	}
	require.Equal(t, [][2]int{{4, 15}, {5, 16}, {6, 11}, {7, 1}, {8, 1}, {9, 9}, {10, 15}, {12, 4}}, places)
	require.NotContains(t, err.Error(), "s3cr3t")
	require.Contains(t, err.Error(), `.pgpass:6:11: a colon in the password needs a backslash, as \:`)

	f, err = conninfo.ParsePassfile("f", nil)
	require.NoError(t, err)
	require.Empty(t, f.Entries())
	require.Empty(t, f.Bytes())
}
