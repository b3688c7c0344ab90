package pgnode_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// sh runs a script as the servers' user.
func sh(t *testing.T, in *livepg.Install, script string, args ...string) string {
	t.Helper()
	r, err := in.Host.Run(t.Context(), host.Cmd{Path: "sh", Args: append([]string{"-c", script, "sh"}, args...)})
	require.NoError(t, err, script)
	return string(r.Stdout)
}

// TestStartError_kinds breaks a server in many ways and lets it say so.
func TestStartError_kinds(t *testing.T) {
	t.Parallel()
	livepg.EachServer(t, func(t *testing.T, in *livepg.Install) {

		s := in.Primary(t, "a")
		dir := s.DataDir()
		conf, hba, version := dir+"/postgresql.conf", dir+"/pg_hba.conf", dir+"/PG_VERSION"
		good := map[string]string{}
		for _, name := range []string{conf, hba, version} {
			good[name] = string(read(t, in, name))
		}
		lines := strings.Count(good[conf], "\n")
		append1 := func(line string) func() { return func() { write(t, in, conf, good[conf]+line+"\n", 0o600) } }
		recovery := func(settings string) func() {
			return func() {
				if in.Major < 12 {
					write(t, in, dir+"/recovery.conf", settings, 0o600)
					return
				}
				write(t, in, dir+"/recovery.signal", "", 0o600)
				write(t, in, conf, good[conf]+settings, 0o600)
			}
		}
		for _, tt := range []struct {
			name string
			do   func()
			want pgnode.StartKind
			file string
			line int
		}{
			{"unknown_parameter", append1("work_men = '1MB'"), pgnode.FaultyConfig, conf, lines + 1},
			{"bad_value", append1("shared_buffers = 'a lot'"), pgnode.FaultyConfig, "", 0},
			{"syntax", append1("= ="), pgnode.FaultyConfig, conf, lines + 1},
			{"secret", append1("primary_conninfo = 'password=hunter2"), pgnode.FaultyConfig, conf, lines + 1},
			{"contradiction", append1("wal_level = minimal"), pgnode.FaultyConfig, "", 0},
			{"access_rules", func() { write(t, in, hba, "local all all trust\nhost all all nowhere/33 trust\n", 0o600) }, pgnode.FaultyConfig, hba, 2},
			{"library", append1("shared_preload_libraries = 'no_such_library'"), pgnode.FaultyConfig, "", 0},
			{"permissions", func() { sh(t, in, `chmod 0777 "$1"`, dir) }, pgnode.DataDirAccess, "", 0},
			{"other_major", func() { write(t, in, version, "8\n", 0o600) }, pgnode.OtherMajor, "", 0},
			{"wal_gone", func() { sh(t, in, `mkdir "$1.wal" && mv "$1"/pg_wal/0* "$1.wal"`, dir) }, pgnode.MissingWAL, "", 0},
			{"no_timeline", recovery("restore_command = 'false'\nrecovery_target_timeline = '7'\n"), pgnode.MissingTimeline, "", 0},
			{"recovery_conf", func() {
				if in.Major >= 12 {
					write(t, in, dir+"/recovery.conf", "standby_mode = on\n", 0o600)
				}
			}, map[bool]pgnode.StartKind{true: pgnode.OldRecoveryConf}[in.Major >= 12], "", 0},
			{"retired", func() { require.NoError(t, s.Retire(t.Context(), time.Now(), "b took over")) }, pgnode.Retired, "", 0},
			{"lock_file", func() {
				write(t, in, dir+"/postmaster.pid", fmt.Sprintf("%d\n%s\n1\n5432\n", bystander(t, in), dir), 0o600)
			}, pgnode.LockFileLeft, "", 0},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if tt.want == pgnode.StartUnknown {
					return // only from 12 on
				}
				tt.do()
				var start *pgnode.StartError
				err := s.Start(t.Context())
				require.ErrorAs(t, err, &start)
				require.Equal(t, tt.want, start.Kind, "%v", err)
				require.Equal(t, tt.file, start.File, "%v", start.Reason)
				require.Equal(t, tt.line, start.Line, "%v", start.Reason)
				require.NotContains(t, err.Error(), "hunter2")
				sh(t, in, `cd "$1" && rm -f recovery.conf recovery.signal postmaster.pid && chmod 0700 . &&
					if [ -d "$1.wal" ]; then mv "$1.wal"/* pg_wal; rmdir "$1.wal"; fi`, dir)
				for name, text := range good {
					write(t, in, name, text, 0o600)
				}
			})
		}
		t.Run("port_in_use", func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(s.Port))
			require.NoError(t, err)
			defer l.Close()
			var start *pgnode.StartError
			require.ErrorAs(t, s.Start(t.Context()), &start)
			require.Equal(t, pgnode.PortInUse, start.Kind)
		})
		require.NoError(t, s.Start(t.Context()), "nothing of that lasts")
	})
}
