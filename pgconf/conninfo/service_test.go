package conninfo_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// serviceFiles are service files of every rule. Each is asked for the services of serviceNames.
var serviceFiles = []string{
	"", "[a]", "[a]\n", "[a]\nport=1\n", "[a]\r\nport=1\r\n", "[a]\nport=1",
	"# comment\n\n[a]\n#port=2\n  # x\n\t\nport=1\n", "  [a]\n  port=1\n", "[a]\n\vport=1\n",
	"[a]\nport=1\n[b]\nport=2\n[a]\nport=3\n", "[a]\n[b]\nport=2\n[a]\nport=3\n", "[a]\nport=1\nport=2\n",
	"port=9\n[a]\nport=1\n", "nonsense\n[a]\nport=1\n", "[a]rest\nport=1\n", "[ a ]\nport=1\n", "[A]\nport=1\n", "[ab]\nport=1\n",
	"[a\nport=1\n", "[a]b]\nport=1\n", "[]\nport=1\n", "[a]\nport=1\n[b\nport=2\n", "\xef\xbb\xbf[a]\nport=1\n",
	"[a]\nport = 1\n", "[a]\nport =1\n", "[a]\nport= 1\n", "[a]\nport\n", "[a]\n=1\n", "[a]\nPort=1\n", "[a]\nport=\n",
	"[a]\napplication_name='x y'\n", "[a]\napplication_name=a=b#c\n", "[a]\napplication_name=\n", "[a]\noptions=-c a=b\nport=1\n",
	"[a]\nservice=b\n[b]\nport=1\n", "[a]\nservicefile=b\n", "[a]\nrequiressl=1\n", "[a]\nssl=true\n", "[a]\nnope=1\n", "[a]\nhost=1\nnope\n",
	"[b]\nnonsense\nservice=x\n[a]\nport=1\n", "[a]\nport=1\n[b]\nnonsense\n",
	"#" + strings.Repeat("x", 1021) + "\n[a]\nport=1\n", "#" + strings.Repeat("x", 1020) + "\n[a]\nport=1\n",
	"[a]\napplication_name=" + strings.Repeat("x", 1004) + "\n[b]\nport=2\n", "[a]\napplication_name=" + strings.Repeat("x", 1005) + "\n[b]\nport=2\n",
	"[a]\nport=1\napplication_name=" + strings.Repeat("x", 1005), "[a]\nport=1\napplication_name=" + strings.Repeat("x", 1006),
	"[b]\nport=1\n" + strings.Repeat(" ", 2000) + "\n[a]\nport=1\n",
}

var serviceNames = []string{"a", "b", "A", " a ", "a]b", "", "ab"}

// TestOracleService: what Lookup finds, libpq uses, and what Lookup refuses, libpq does. The strings name no host, so that the attempt
// to connect ends at a port without a server, or what the file says.
func TestOracleService(t *testing.T) {
	var texts []string
	for _, name := range serviceNames {
		texts = append(texts, new(conninfo.Info).With("service", name).With("hostaddr", "127.0.0.1").With("user", "u").With("dbname", "d").Text())
	}
	files := serviceFiles
	r := rand.New(rand.NewPCG(3, 4))
	for range 150 {
		files = append(files, randomServiceFile(r))
	}
	eachLibpq(t, func(t *testing.T, l libpq) {
		found := 0
		for n, answers := range l.askWith(t, "PGSERVICEFILE", files, texts) {
			content := files[n]
			if l.major < 14 && (strings.Contains(content, "xxxxx") || strings.Contains(content, "     ")) {
				continue // lines are shorter there
			}
			f, _ := conninfo.ParseServiceFile("f", []byte(content))
			require.Equal(t, content, string(f.Bytes()))
			for i, a := range answers {
				info, err := f.Lookup(serviceNames[i])
				if err == nil && info.Validate(l.major) != nil && errors.Is(info.Validate(l.major), conninfo.ErrKeyword) {
					err = conninfo.ErrKeyword
				}
				complaint := strings.Contains(a.message, "service")
				require.Equal(t, complaint, err != nil, "%q for %q: libpq says %s, we %v", content, serviceNames[i], a.message, err)
				require.Equal(t, strings.HasPrefix(a.message, "definition of service"), errors.Is(err, conninfo.ErrService), "%q", content)
				if err != nil {
					continue
				}
				found++
				for _, key := range info.Keys() {
					want, _ := info.Get(key)
					require.Equal(t, want, a.options[key], "%q for %q: %s", content, serviceNames[i], key)
				}
				if _, ok := info.Get("port"); !ok {
					require.Equal(t, "5432", a.options["port"])
				}
			}
		}
		require.Greater(t, found, 60)
	})
}

func randomServiceFile(r *rand.Rand) string {
	pieces := []string{"[a]", "[b]", "[a]b]", "[ a ]", "port=1", "port=2", "options=x y", "application_name==", "#port=3", " [b]", "\tport=4", "", " ", "x", "nope=1"}
	var b strings.Builder
	for range r.IntN(8) {
		b.WriteString(pieces[min(r.IntN(len(pieces)+6), len(pieces)-1)])
		b.WriteString([]string{"\n", "\r\n"}[r.IntN(4)/3])
	}
	return b.String()
}

func TestParseServiceFile(t *testing.T) {
	f, err := conninfo.ParseServiceFile("pg_service.conf", []byte(strings.Join([]string{
		"port=s3cr3t", "[a]", "password=s3cr3t", "s3cr3t", " s3cr3t =x", "S3=s3cr3t", "service=s3cr3t", "ldap://s3cr3t", "ssl=s3cr3t", "servicefile=x",
		"[b", "password=s3cr3t\x00", "[c] # more", "#" + strings.Repeat("s3cr3t", 200), "[a]", "requiressl=1",
	}, "\n")))
	require.Equal(t, []string{"a", "c"}, f.Services())
	var errs pgconf.SyntaxErrors
	require.ErrorAs(t, err, &errs)
	var places [][2]int
	for _, e := range errs {
		places = append(places, [2]int{e.Line, e.Col})
	}
	require.Equal(t, [][2]int{{1, 1}, {4, 1}, {5, 2}, {6, 1}, {7, 1}, {8, 1}, {9, 1}, {10, 1}, {11, 1}, {12, 1}, {14, 1}, {16, 1}}, places)
	require.NotContains(t, err.Error(), "s3cr3t")
	require.Contains(t, err.Error(), `pg_service.conf:4:1: no "=" in this line; write keyword=value, without quotes`)
	_, err = f.Lookup("a")
	var syntax *pgconf.SyntaxError
	require.ErrorAs(t, err, &syntax)
	require.Equal(t, 4, syntax.Line)
	_, err = f.Lookup("nope")
	require.ErrorAs(t, err, &syntax, "the long line comes first")
	require.Equal(t, 14, syntax.Line)

	f, err = conninfo.ParseServiceFile("f", nil)
	require.NoError(t, err)
	require.Empty(t, f.Services())
	require.Empty(t, f.Bytes())
	_, err = f.Lookup("a")
	require.ErrorIs(t, err, conninfo.ErrService)
}

func service(t *testing.T, content string) *conninfo.ServiceFile {
	t.Helper()
	f, err := conninfo.ParseServiceFile("f", []byte(content))
	require.NoError(t, err)
	return f
}

func TestExpand(t *testing.T) {
	own := service(t, "[a]\nhost=h\nport=1\nuser=u\npassword=p\n")
	system := service(t, "[a]\nhost=g\n[b]\nhost=i\n[c]\nport=2\n")
	for text, want := range map[string]string{
		"host=x":                   "host=x",
		"service=a":                "host=h port=1 user=u password=p",
		"port=5 service=a user=''": "port=5 user='' host=h password=p",
		"service=b":                "host=i",
	} {
		info, err := conninfo.Parse(text)
		require.NoError(t, err)
		got, err := info.Expand(own, system)
		require.NoError(t, err)
		require.Equal(t, want, got.Text())
		require.Equal(t, text, info.Text())
	}
	info := new(conninfo.Info).With("service", "d")
	_, err := info.Expand(own, system)
	require.ErrorIs(t, err, conninfo.ErrService)
	_, err = info.Expand()
	require.ErrorIs(t, err, conninfo.ErrService)
	bad, _ := conninfo.ParseServiceFile("bad", []byte("[d]\nx\n"))
	_, err = info.Expand(own, bad, service(t, "[d]\nport=1"))
	require.ErrorAs(t, err, new(*pgconf.SyntaxError))
}

func TestServiceEnsure(t *testing.T) {
	want := new(conninfo.Info).With("host", "h").With("port", "1")
	for _, c := range []struct{ before, after string }{
		{"", "[a]\nhost=h\nport=1\n"},
		{"# mine", "# mine\n\n[a]\nhost=h\nport=1\n"},
		{"[b]\r\nport=2\r\n", "[b]\r\nport=2\r\n\r\n[a]\r\nhost=h\r\nport=1\r\n"},
		{"[a]", "[a]\nhost=h\nport=1\n"},
		{"[a]\n[b]\nport=2\n", "[a]\nhost=h\nport=1\n[b]\nport=2\n"},
		{"[a]\n# x\nuser=u\n\n# about b\n[b]\n", "[a]\n# x\nuser=u\nhost=h\nport=1\n\n# about b\n[b]\n"},
		{"[a]\nport=9\n  host=x  \nuser=u\n", "[a]\nport=1\n  host=h\nuser=u\n"},
		{"[a]\n\tport=1 \nport=7\nhost=h", "[a]\n\tport=1 \nport=7\nhost=h"},
		{"[b]\nport=1\n[a]\nport=8\n[a]\nport=9\n", "[b]\nport=1\n[a]\nport=1\nhost=h\n[a]\nport=9\n"},
	} {
		f := service(t, c.before)
		require.NoError(t, f.Ensure("a", want))
		require.Equal(t, c.after, string(f.Bytes()))
		require.NoError(t, f.Ensure("a", want))
		require.Equal(t, c.after, string(f.Bytes()), "again")
		got, err := f.Lookup("a")
		require.NoError(t, err)
		require.True(t, got.Same(got.With("host", "h").With("port", "1")))
	}
}

func TestServiceEnsureRefuses(t *testing.T) {
	const content = "[a]\nport=1\n[bad]\nx\n"
	f, err := conninfo.ParseServiceFile("f", []byte(content))
	require.Error(t, err)
	for _, name := range []string{"", "a]", "a\n", "a\r", "a\x00", strings.Repeat("a", 1019)} {
		require.ErrorIs(t, f.Ensure(name, conninfo.Info{}), conninfo.ErrService, "%q", name)
	}
	for key, value := range map[string]string{
		"service": "b", "servicefile": "x", "password": "s3cr3t\n", "user": "a ", "options": "x\t", "dbname": "a\r", "host": "a\x00",
		"application_name": strings.Repeat("x", 1004), "ldapx": "y", "ssl": "x",
	} {
		err := f.Ensure("a", new(conninfo.Info).With(key, value))
		require.ErrorIs(t, err, conninfo.ErrService, key)
		require.NotContains(t, err.Error(), "s3cr3t")
	}
	require.ErrorAs(t, f.Ensure("bad", new(conninfo.Info).With("port", "1")), new(*pgconf.SyntaxError))
	require.Equal(t, content, string(f.Bytes()))
	require.NoError(t, f.Ensure("new", new(conninfo.Info).With("application_name", strings.Repeat("x", 1003)).With("options", " x")))
	got, err := f.Lookup("new")
	require.NoError(t, err)
	require.Equal(t, "options=' x'", got.Without("application_name").Text())
}

func TestServiceUnset(t *testing.T) {
	f := service(t, "[a]\nport=1\nhost=h\n port=2\n[b]\nport=3\n[a]\nport=4\n")
	removed, err := f.Unset("a", "port")
	require.NoError(t, err)
	require.True(t, removed)
	require.Equal(t, "[a]\nhost=h\n[b]\nport=3\n[a]\nport=4\n", string(f.Bytes()))
	removed, err = f.Unset("a", "port")
	require.NoError(t, err)
	require.False(t, removed)
	_, err = f.Unset("c", "port")
	require.ErrorIs(t, err, conninfo.ErrService)
}
