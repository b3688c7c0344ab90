package conninfo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

const marker = "s3cr3t"

// show prints a value in every way there is.
func show(t *testing.T, out *bytes.Buffer, v any) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %20v"} {
		fmt.Fprintf(out, verb+"\n", v, v)
	}
	fmt.Fprintln(out, v)
	fmt.Fprintln(out, fmt.Errorf("connect: %v: %w", v, errors.New("x")))
	slog.New(slog.NewJSONHandler(out, nil)).Info("x", "v", v, slog.Group("g", "v", v))
	slog.New(slog.NewTextHandler(out, nil)).Info("x", "v", v)
	require.NoError(t, json.NewEncoder(out).Encode(v))
}

func TestInfoRedaction(t *testing.T) {
	for _, key := range []string{
		"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret", "passwd", "my_secret",
	} {
		t.Run(key, func(t *testing.T) {
			info := new(conninfo.Info).With("host", "db1").With(key, marker+" '\\").With("passfile", "/pass/file").With("sslkey", "/ssl/key")
			require.Contains(t, info.Text(), marker)
			var out bytes.Buffer
			type config struct {
				Info conninfo.Info
				Ptr  *conninfo.Info
			}
			for _, v := range []any{info, &info, []conninfo.Info{info}, map[string]conninfo.Info{"a": info}, config{info, &info}} {
				show(t, &out, v)
			}
			text, err := info.MarshalText()
			require.NoError(t, err)
			out.Write(text)
			fmt.Fprintln(&out, info.String(), info.GoString(), info.LogValue())
			require.NotContains(t, out.String(), marker)
			require.NotContains(t, out.String(), fmt.Sprintf("%x", marker))
			require.Equal(t, "host=db1 "+key+"=******** passfile=/pass/file sslkey=/ssl/key", info.String())
		})
	}
	require.Equal(t, "password=''", new(conninfo.Info).With("password", "").String(), "an empty one is no secret, and worth seeing")
}

// A password in a URI that is not percent-encoded ends up elsewhere.
func TestMisreadRedaction(t *testing.T) {
	for _, s := range []string{
		"postgresql://u:p@" + marker + "@h/db", "postgresql://u:" + marker + "/x@h/db", "postgresql://u:1/" + marker + "@h/db",
		"postgresql://u:x@h1,h@" + marker + ":1/db", "postgresql://u:1" + marker + "/@h/db",
	} {
		info, err := conninfo.Parse(s)
		require.NoError(t, err, s)
		require.Contains(t, info.Text(), marker, s)
		require.NotContains(t, info.String(), marker, s)
		require.NotContains(t, info.Redacted().URI(), marker, s)
	}
	for _, s := range []string{"host=@abstract,/tmp/a@b port=1,,2 user=me@server", "port=' +5432 '"} {
		info, err := conninfo.Parse(s)
		require.NoError(t, err)
		require.Equal(t, info.Text(), info.String())
	}
}

func TestErrorRedaction(t *testing.T) {
	for _, s := range []string{
		"host=h password='" + marker, "host=h password=x " + marker, "host=h " + marker, marker, "password=''" + marker,
		"host=h " + marker + "-x=1", "password='a''" + marker + "'", "password=" + marker + "\x00",
		"postgres://u:" + marker + "@h/%zz", "postgres://u:" + marker + "%@h", "postgres://u:" + marker + " b@h", "postgres://[" + marker,
		"postgres://u:p@h?" + marker, "postgres://u:p@h?" + marker + "=a=b", "postgres://u:p@h?A" + marker + "=a", "postgres://[x]" + marker,
		"jdbc:postgresql://h/d?password=" + marker,
	} {
		_, err := conninfo.Parse(s)
		require.Error(t, err, s)
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			fmt.Fprintf(&out, verb, err)
		}
		require.NotContains(t, out.String(), marker)
	}
}

func TestPassEntryRedaction(t *testing.T) {
	e := entry("h", "1", "d", "u", marker)
	var out bytes.Buffer
	for _, v := range []any{e, &e, []conninfo.PassEntry{e}, struct{ E conninfo.PassEntry }{e}} {
		show(t, &out, v)
	}
	fmt.Fprintln(&out, e.String(), e.GoString(), e.LogValue())
	require.NotContains(t, out.String(), marker)
	require.NotContains(t, out.String(), fmt.Sprintf("%x", marker))
	require.Equal(t, "h:1:d:u:********", e.String())
}

// TestMarkerInEveryPlace puts the marker into every place of strings, files and values: no error shows it.
func TestMarkerInEveryPlace(t *testing.T) {
	var out bytes.Buffer
	for _, text := range []string{
		"host=h password='it\\'s' user=u", "host = h\tpassword=\\ x", "password=a b=c", "postgresql://u:p@[::1]:5,h/d?sslmode=%41&password=x&=&a=b=c",
		"postgresql://u:%zz@h", "postgres://u:p @h/%00", "jdbc:postgresql://h:5,[::1]/d?password=a&b&sslmode=x&currentSchema=p&connectTimeout=y&c=%zz",
	} {
		for i := range len(text) + 1 {
			for _, err := range parseAll(text[:i] + marker + text[i:]) {
				fmt.Fprintf(&out, "%v %+v %#v\n", err, err, err)
			}
		}
	}
	for _, content := range []string{"[a]\npassword=x\nport\n = 1\nldap://x\n[b\n", "h:1:d:u:p:q\nh:1\n:1:d:u:p"} {
		for i := range len(content) + 1 {
			marked := []byte(content[:i] + marker + content[i:])
			services, err := conninfo.ParseServiceFile("f", marked)
			_, err2 := services.Lookup("a")
			passwords, err3 := conninfo.ParsePassfile("f", marked)
			fmt.Fprintln(&out, err, err2, err3)
			show(t, &out, passwords)
		}
	}
	require.NotContains(t, out.String(), marker)
}

// TestValueErrors: no value shows in what is wrong with it.
func TestValueErrors(t *testing.T) {
	var out bytes.Buffer
	for _, k := range conninfo.Keywords(pgconf.Newest) {
		info := new(conninfo.Info).With("host", "a,b").With(k.Name, marker+" \n")
		_, err1 := info.For(pgconf.V9_0)
		_, err2 := info.JDBC()
		_, err3 := info.Hosts()
		_, err4 := info.TargetSessionAttrs()
		_, err5 := info.LoadBalanceHosts()
		err6 := new(conninfo.ServiceFile).Ensure("a", info)
		if k.Name == "service" {
			info = info.Without(k.Name) // a name, which is shown
		}
		_, err7 := info.Expand()
		fmt.Fprintln(&out, info.Validate(pgconf.Newest), err1, err2, err3, err4, err5, err6, err7)
		show(t, &out, info.Validate(pgconf.V9_0))
	}
	require.NotContains(t, out.String(), marker)
}

func TestFileRedaction(t *testing.T) {
	services, err := conninfo.ParseServiceFile("services", []byte("[a]\npassword="+marker+"\n"))
	require.NoError(t, err)
	passwords, err := conninfo.ParsePassfile("passwords", []byte("*:*:*:*:"+marker))
	require.NoError(t, err)
	var out bytes.Buffer
	for _, v := range []any{services, passwords, *services, *passwords, []any{services, passwords}, struct{ P *conninfo.Passfile }{passwords}} {
		show(t, &out, v)
	}
	require.NotContains(t, out.String(), marker)
	require.NotContains(t, out.String(), fmt.Sprintf("%x", marker))
	require.Equal(t, `services: ["a"]`, services.String())
	require.Equal(t, "passwords: 1 entries", fmt.Sprintf("%#v", passwords))
}

func TestRedacted(t *testing.T) {
	info := new(conninfo.Info).With("host", "h").With("user", "u").With("password", marker).With("sslpassword", marker).With("scram_client_key", "")
	url, _ := info.Redacted().JDBC()
	require.Equal(t, "postgresql://u:********@h/?sslpassword=********&scram_client_key=", info.Redacted().URI())
	require.NotContains(t, url+info.Redacted().Text(), marker)
	require.Equal(t, info.String(), info.Redacted().Text())
}

// parseAll reads a string in every way and returns the errors.
func parseAll(s string) []error {
	_, err1 := conninfo.Parse(s)
	_, err2 := conninfo.ParseFor(15, s)
	_, err3 := conninfo.ParseJDBC(s)
	return []error{err1, err2, err3}
}
