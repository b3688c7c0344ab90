package conninfo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

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
