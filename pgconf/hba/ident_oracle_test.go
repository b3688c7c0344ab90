package hba_test

import (
	"context"
	"os"
	"os/user"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// identViewSince is the major from which there is the view pg_ident_file_mappings.
const identViewSince = 15

func TestOracleIdentView(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newViewJudge(t, s)
		if j.major < identViewSince {
			t.Log("no view to ask; TestOracleIdentMatch has what can be asked")
			return
		}
		ask := func(t *testing.T, what string) {
			t.Helper()
			maps, _ := hba.LoadIdent(os.DirFS("/"), s.Path("pg_ident.conf"), j.major)
			j.compare(t, "pg_ident_file_mappings", maps.View(), what)
		}
		for _, text := range append(identTexts, string(sampleFile(t, s, "pg_ident.conf.sample"))) {
			s.Write(t, "pg_ident.conf", []byte(text))
			ask(t, text)
		}
		for name, set := range fileSets {
			t.Run(name, func(t *testing.T) {
				ident := map[string]string{}
				for file, text := range set {
					ident[strings.Replace(file, "pg_hba", "pg_ident", 1)] = strings.ReplaceAll(strings.ReplaceAll(text, "pg_hba", "pg_ident"), "DATA", s.Data)
				}
				j.put(t, ident)
				ask(t, ident["pg_ident.conf"])
			})
		}
	})
}

// TestOracleIdentMatch logs in over the socket as whoever runs the tests.
func TestOracleIdentMatch(t *testing.T) {
	me, err := user.Current()
	require.NoError(t, err)
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		s.Keep(t, "pg_ident.conf")
		s.Write(t, "pg_hba.conf", []byte("local all "+oracle.User+" trust\nlocal all all peer map=m\n"))
		fill := func(text string) string {
			text = strings.ReplaceAll(text, "SYS", me.Username)
			return strings.ReplaceAll(text, "SY", me.Username[:len(me.Username)-1])
		}
		j.roles(t, fill)
		for _, c := range identCases {
			if fill(c.role) == oracle.User {
				continue // is let in without a map
			}
			t.Run(c.name, func(t *testing.T) {
				s.Write(t, "pg_ident.conf", []byte(fill(c.text)))
				j.reload(t)
				want := c.before
				if s.Major >= 16 {
					want = c.since16
				}
				require.Equal(t, want, j.peer(t, fill(c.role)), "the server")
				if got := matchIdent(t, fill(c.text), me.Username, fill(c.role), pgconf.Major(s.Major)); !c.unknown {
					require.Equal(t, want, got.Outcome == hba.Matched)
				}
			})
		}
	})
}

// roles makes the roles of all cases, of which bob is a member of grp.
func (j *judge) roles(t *testing.T, fill func(string) string) {
	t.Helper()
	made := map[string]bool{}
	for _, c := range identCases {
		role := fill(c.role)
		if made[role] || role == oracle.User {
			continue
		}
		made[role] = true
		id := pgx.Identifier{role}.Sanitize()
		_, err := j.conn.Exec(t.Context(), "create role "+id+" login")
		require.NoError(t, err)
		t.Cleanup(func() {
			_, err := j.conn.Exec(context.WithoutCancel(t.Context()), "drop role "+id)
			require.NoError(t, err)
		})
	}
	_, err := j.conn.Exec(t.Context(), "grant grp to bob")
	require.NoError(t, err)
}

// peer reports whether a role is let in.
func (j *judge) peer(t *testing.T, role string) bool {
	t.Helper()
	cfg, err := pgx.ParseConfig(j.server.Conninfo())
	require.NoError(t, err)
	cfg.User = role
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		require.ErrorContains(t, err, "authentication failed")
		return false
	}
	require.NoError(t, c.Close(t.Context()))
	return true
}
