package pgnode_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

func connect(t *testing.T, s *livepg.Server, role string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.Dial(role).Text())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

// TestReload: what became of a reload is known, by the log alone, by SQL, and by SQL of a role that may not look; in all formats of a log.
func TestReload(t *testing.T) {
	t.Parallel()
	livepg.EachServer(t, func(t *testing.T, in *livepg.Install) {

		s := in.Primary(t, "a")
		formats := map[string]string{"stderr": "", "collected": "logging_collector = on\nlog_line_prefix = '%m LOG %a '\n",
			"csvlog": "logging_collector = on\nlog_destination = 'csvlog'\n"}
		if in.Major >= 15 {
			formats["jsonlog"] = "logging_collector = on\nlog_destination = 'csvlog,jsonlog,stderr'\n"
		}
		conf, hba := s.DataDir()+"/postgresql.conf", s.DataDir()+"/pg_hba.conf"
		first, rules := string(read(t, in, conf)), string(read(t, in, hba))
		for format, settings := range formats {
			good := first + settings
			t.Run(format, func(t *testing.T) {
				write(t, in, conf, good, 0o600)
				require.NoError(t, s.Restart(t.Context()))
				super, nobody := connect(t, s, livepg.Superuser), connect(t, s, livepg.Nobody)
				for _, tt := range []struct {
					name, line string
					hba        string
					want       pgnode.ReloadOutcome
					refused    string // in one of the lines
					restart    string
				}{
					{name: "nothing", want: pgnode.Accepted},
					{name: "accepted", line: "work_mem = '%s'", want: pgnode.Accepted},
					{name: "needs_restart", line: "shared_buffers = '%s'", want: pgnode.Accepted, restart: "shared_buffers"},
					{name: "unknown", line: "work_men = '%s'", want: pgnode.Refused, refused: "work_men"},
					{name: "bad_value", line: "work_mem = '%s lots'", want: pgnode.Partly, refused: "work_mem"},
					{name: "syntax", line: "=%s=", want: pgnode.Refused, refused: "syntax error"},
					{name: "rules", hba: "host all all nonsense/77 trust\n", want: pgnode.Partly, refused: "nonsense"},
				} {
					for i, db := range []pgnode.DB{nil, super, nobody} {
						if i > 0 && format != "stderr" {
							continue // the log is not what counts then
						}
						t.Run(fmt.Sprintf("%s/%d", tt.name, i), func(t *testing.T) {
							if tt.line != "" {
								write(t, in, conf, good+fmt.Sprintf(tt.line, fmt.Sprint(11+i)+"MB")+"\n", 0o600)
							}
							write(t, in, hba, rules+tt.hba, 0o600)
							r, err := s.Reload(t.Context(), db)
							require.NoError(t, err)
							require.Equal(t, tt.want, r.Outcome, "%+v", r)
							require.Contains(t, strings.Join(r.Refused, "\n"), tt.refused)
							require.Equal(t, tt.refused == "", len(r.Refused) == 0, "%+v", r)
							require.Equal(t, tt.restart, strings.Join(r.NeedRestart, " "))
							require.Equal(t, tt.refused == "", r.Err() == nil)
							if tt.name == "accepted" {
								require.Contains(t, r.Changed, "work_mem")
							}
							write(t, in, conf, good, 0o600)
							write(t, in, hba, rules, 0o600)
						})
					}
				}
			})
		}
	})
}

// TestReload_unknown: where the log does not tell, and nobody else does, nothing is made up.
func TestReload_unknown(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	require.NoError(t, s.Set(t.Context(), map[string]string{"log_min_messages": "panic"}))
	require.NoError(t, s.Start(t.Context()))
	r, err := s.Reload(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, pgnode.ReloadUnknown, r.Outcome)
	require.NotEmpty(t, r.Why)
	require.NoError(t, r.Err())
	r, err = s.Reload(t.Context(), connect(t, s, livepg.Superuser))
	require.NoError(t, err)
	require.Equal(t, pgnode.Reloaded{Outcome: pgnode.Accepted, NeedRestart: []string{}}, r)
}
