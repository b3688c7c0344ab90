package conninfo_test

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// passfiles are password files of every rule.
var passfiles = []string{
	"", "h:1:d:u:p", "h:1:d:u:p\n", "h:1:d:u:p\r\n", "\n\nh:1:d:u:p\n", "# h:1:d:u:x\nh:1:d:u:p\n", "#h:1:d:u:x\n#:1:d:u:y\n",
	"*:*:*:*:p\n", "h:1:d:u:p\n*:*:*:*:q\n", "*:*:*:*:q\nh:1:d:u:p\n", "h:*:d:u:p\n", "*:1:*:u:p\n",
	`h\:x:1:d:u:p`, `\h:1:d:u:p`, `\*:1:d:u:p`, `a\\b:1:d:u:p`, `h:1:d:u:p\:\\\q`, `h:1:d:u:p\`, `h:1:d:u:p:q`, `h:1:d:u:`, `h:1:d:u`, `h:1:d\`,
	"**:1:d:u:p", "*h:1:d:u:p", " h:1:d:u:p", "h :1:d:u:p", "h:1:d:u: p ", "H:1:d:u:p", "h:01:d:u:p", ":1:d:u:p", "h:1:d:u:p:\nh:1:d:u:q",
	"localhost:5432:d:u:p", "localhost:1:d:u:p", "/tmp:1:d:u:p", "/nx:1:d:u:p", "h:1:replication:u:p", "127.0.0.1:1:d:u:p",
	"h:1:d:" + strings.Repeat("u", 3000) + ":p", "h:1:d:u:" + strings.Repeat("p", 3000), "#" + strings.Repeat("x", 5000) + "\nh:1:d:u:p",
	"h:1:d:u:\xff\xfe\x01", "h:1:d:u:a\rb",
}

// passTargets are host, hostaddr (so that no name is looked up), port, database and user.
var passTargets = [][5]string{
	{"h", "127.0.0.1", "1", "d", "u"}, {"h:x", "127.0.0.1", "1", "d", "u"}, {"*", "127.0.0.1", "1", "d", "u"}, {`a\b`, "127.0.0.1", "1", "d", "u"},
	{"", "127.0.0.1", "1", "d", "u"}, {"localhost", "127.0.0.1", "1", "d", "u"}, {"/nx", "", "1", "d", "u"}, {"h", "127.0.0.1", "", "d", "u"},
	{"h", "127.0.0.1", "1", "replication", "u"}, {"h", "127.0.0.1", "2", "d", "u"}, {"h", "127.0.0.1", "1", "e", "u"}, {"h", "127.0.0.1", "1", "d", "v"},
	{"#h", "127.0.0.1", "1", "d", "u"}, {"h", "127.0.0.1", "1", "d", strings.Repeat("u", 3000)}, {" h", "127.0.0.1", "1", "d", "u"}, {"*h", "127.0.0.1", "1", "d", "u"},
}

// TestOracleLookup: Lookup finds the password that libpq would send.
func TestOracleLookup(t *testing.T) {
	var texts []string
	for _, p := range passTargets {
		texts = append(texts, new(conninfo.Info).With("host", p[0]).With("hostaddr", p[1]).With("port", p[2]).With("dbname", p[3]).With("user", p[4]).Text())
	}
	files := passfiles
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		files = append(files, randomPassfile(r))
	}
	eachLibpq(t, func(t *testing.T, l libpq) {
		found := 0
		for n, answers := range l.askWith(t, "PGPASSFILE", files, texts) {
			content := files[n]
			if l.major < 13 && len(content) > 300 {
				continue // lines are shorter there
			}
			f, _ := conninfo.ParsePassfile("f", []byte(content))
			require.Equal(t, content, string(f.Bytes()))
			for i, a := range answers {
				p := passTargets[i]
				host := p[0]
				if host == "" {
					host = p[1]
				}
				password, ok := f.Lookup(host, p[2], p[3], p[4])
				require.Equal(t, a.options["PQpass"], password, "%q for %q", content, texts[i])
				if ok {
					found++
				}
			}
		}
		require.Greater(t, found, 60)
	})
}

func randomPassfile(r *rand.Rand) string {
	pieces := []string{"h", "1", "d", "u", "*", ":", ":", ":", ":", ":", `\`, "#", "p", " "}
	var b strings.Builder
	for range r.IntN(3) {
		if r.IntN(2) == 0 {
			for range r.IntN(12) {
				b.WriteString(pieces[r.IntN(len(pieces))])
			}
		} else {
			for _, field := range []string{"h", "1", "d", "u"} {
				b.WriteString([]string{field, field, "*", "x"}[r.IntN(4)] + ":")
			}
			b.WriteString([]string{"p", "q", `p\:`, "p:", ""}[r.IntN(5)])
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestLookup(t *testing.T) {
	f, err := conninfo.ParsePassfile("f", []byte("localhost:5432:d:u:default\n*:*:replication:*:standby\n*:*:*:*:any"))
	require.NoError(t, err)
	for _, c := range []struct{ host, port, database, user, password string }{
		{"", "", "d", "u", "default"},
		{"h", "", "d", "u", "any"},
		{"h", "7", "replication", "r", "standby"},
		{"h", "7", "", "u", ""},
		{"h", "7", "d", "", ""},
	} {
		password, ok := f.Lookup(c.host, c.port, c.database, c.user)
		require.Equal(t, c.password, password)
		require.Equal(t, c.password != "", ok)
	}
}

func TestPassfileEnsure(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string
		entry         conninfo.PassEntry
	}{
		"empty":          {"", "h:1:d:u:p\n", entry("h", "1", "d", "u", "p")},
		"append":         {"# x\nh:2:d:u:q", "# x\nh:2:d:u:q\nh:1:d:u:p\n", entry("h", "1", "d", "u", "p")},
		"crlf":           {"h:2:d:u:q\r\n", "h:2:d:u:q\r\nh:1:d:u:p\r\n", entry("h", "1", "d", "u", "p")},
		"replace":        {"a:1:d:u:x\r\nh:1:d:u:old\r\nb:1:d:u:x\r\n", "a:1:d:u:x\r\nh:1:d:u:p\r\nb:1:d:u:x\r\n", entry("h", "1", "d", "u", "p")},
		"replace_last":   {"h:1:d:u:old", "h:1:d:u:p", entry("h", "1", "d", "u", "p")},
		"same_otherwise": {`\h:1:\d:u:\p`, `\h:1:\d:u:\p`, entry("h", "1", "d", "u", "p")},
		"before_general": {"# any\nx:1:d:u:x\n*:*:*:u:any\n", "# any\nx:1:d:u:x\nh:1:d:u:p\n*:*:*:u:any\n", entry("h", "1", "d", "u", "p")},
		"after_special":  {"h:1:d:u:x\n", "h:1:d:u:x\n*:*:*:u:p\n", entry("*", "*", "*", "u", "p")},
		"between":        {"h:1:d:u:x\n*:*:*:*:y\n", "h:1:d:u:x\n*:*:*:u:p\n*:*:*:*:y\n", entry("*", "*", "*", "u", "p")},
		"stale":          {"*:*:*:*:y\nh:1:d:u:old\n#\n\\h:1:d:u:older\n", "h:1:d:u:p\n*:*:*:*:y\n#\n", entry("h", "1", "d", "u", "p")},
		"stale_after":    {"h:1:d:u:old\n#\nh:1:d:u:older\n", "h:1:d:u:p\n#\n", entry("h", "1", "d", "u", "p")},
		"general":        {"*:*:*:u:x\n", "*:*:*:u:p\n", entry("*", "*", "*", "u", "p")},
		"literal_star":   {"\\*:1:d:u:x\n", "\\*:1:d:u:x\n*:1:d:u:p\n", entry("*", "1", "d", "u", "p")},
		"bad_lines":      {"h:1:d:u\n:1:d:u:x\nh\x00:1:d:u:x\n", "h:1:d:u\n:1:d:u:x\nh\x00:1:d:u:x\nh:1:d:u:p\n", entry("h", "1", "d", "u", "p")},
		"cut_password":   {"h:1:d:u:old:x\n", "h:1:d:u:p\n", entry("h", "1", "d", "u", "p")},
		"bare_colons":    {"::1:1:d:u:x\n", "\\:\\:1:1:d:u:p\n::1:1:d:u:x\n", entry("::1", "1", "d", "u", "p")},
		"escapes":        {"\\:\\:1:1:d:u:x\n", "\\:\\:1:1:d:u:p\\:\n", entry("::1", "1", "d", "u", "p:")},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := conninfo.ParsePassfile("f", []byte(c.before))
			require.NoError(t, f.Ensure(c.entry))
			require.Equal(t, c.after, string(f.Bytes()))
			require.NoError(t, f.Ensure(c.entry))
			require.Equal(t, c.after, string(f.Bytes()), "again")
			host, port, database, user := c.entry.Host, c.entry.Port, c.entry.Database, c.entry.User
			for _, field := range []*string{&host, &port, &database} {
				if *field == conninfo.Any {
					*field = "other"
				}
			}
			password, ok := f.Lookup(host, port, database, user)
			require.True(t, ok)
			require.Equal(t, c.entry.Password, password)
		})
	}
	f, _ := conninfo.ParsePassfile("f", []byte("h:1:d:u:x"))
	require.ErrorIs(t, f.Ensure(entry("h", "1", "", "u", "p")), conninfo.ErrPassEntry)
	require.Equal(t, "h:1:d:u:x", string(f.Bytes()))
}

func TestPassfileRemove(t *testing.T) {
	f, err := conninfo.ParsePassfile("f", []byte("# x\nh:1:d:u:a\n*:1:d:u:b\n\\h:1:d:u:c"))
	require.NoError(t, err)
	require.True(t, f.Remove(entry("h", "1", "d", "u", "")))
	require.Equal(t, "# x\n*:1:d:u:b\n", string(f.Bytes()))
	require.False(t, f.Remove(entry("h", "1", "d", "u", "")))
	require.True(t, f.Remove(entry("*", "1", "d", "u", "")))
	require.Equal(t, "# x\n", string(f.Bytes()))
}

// TestOraclePassfileMode: libpq ignores the files that CheckPassfileMode complains about.
func TestOraclePassfileMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pass")
	require.NoError(t, os.WriteFile(path, []byte("*:*:*:*:p"), 0o600))
	text := []string{"hostaddr=127.0.0.1 port=1 user=u dbname=d passfile=" + path}
	eachLibpq(t, func(t *testing.T, l libpq) {
		for _, mode := range []fs.FileMode{0o600, 0o700, 0o400, 0o640, 0o604, 0o610, 0o660, 0o602, 0o601} {
			require.NoError(t, os.Chmod(path, mode))
			stat, err := os.Stat(path)
			require.NoError(t, err)
			used := l.ask(t, "connect", text)[0].options["PQpass"] == "p"
			err = conninfo.CheckPassfileMode(stat.Mode())
			require.Equal(t, used, err == nil, "%o: %v", mode, err)
			if err != nil {
				require.ErrorIs(t, err, conninfo.ErrPassfileMode)
			}
		}
	})
	require.ErrorIs(t, conninfo.CheckPassfileMode(fs.ModeDir|0o700), conninfo.ErrPassfileMode)
	require.ErrorIs(t, conninfo.CheckPassfileMode(fs.ModeNamedPipe|0o600), conninfo.ErrPassfileMode)
}
