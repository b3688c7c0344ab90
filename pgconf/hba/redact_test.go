package hba_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

func TestRedaction(t *testing.T) {
	const marker = "s3cr3t m@rker"
	for _, c := range []struct {
		method             hba.Method
		first, secret, end string
		major              pgconf.Major
	}{
		{hba.LDAP, "ldapserver", "ldapbindpasswd", "ldapbasedn", 18},
		{hba.RADIUS, "radiusservers", "radiussecrets", "radiusidentifiers", 18},
		{hba.RADIUS, "radiusserver", "radiussecret", "radiusidentifier", pgconf.V9_6},
	} {
		r := hba.Record{
			Type: hba.Host, Databases: all, Users: all, Address: hba.All, Method: c.method,
			Options: []hba.Option{{Name: c.first, Value: "ldap1"}, {Name: c.secret, Value: `"` + marker + `"`}, {Name: c.end, Value: "x"}},
		}
		require.NoError(t, r.ValidateFor(c.major))
		require.Contains(t, r.Text(), marker)
		var out bytes.Buffer
		for _, v := range []any{r, &r, r.Options, r.Options[1], &r.Options[1], []hba.Record{r}, struct{ R hba.Record }{r}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
			slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
			slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
			require.NoError(t, json.NewEncoder(&out).Encode(v))
		}
		r.Address = ""
		fmt.Fprintln(&out, r.Validate(), r.GoString(), r.Options[1].GoString())
		require.NotContains(t, out.String(), "s3cr3t")
		require.NotContains(t, out.String(), fmt.Sprintf("%x", "s3cr3t"))
		require.Contains(t, out.String(), "ldap1")
		require.Contains(t, out.String(), "********")
	}
}
