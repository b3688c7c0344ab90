package pgnode_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

func TestNew(t *testing.T) {
	local := host.NewLocal(host.LocalConfig{})
	tests := []struct {
		name string
		cfg  pgnode.Config
		want string // of the error, or the data directory and the log file
	}{
		{"defaults", pgnode.Config{Host: local, BinDir: "/bin", DataDir: "/srv/a"}, "/srv/a /srv/a.log"},
		{"own_log", pgnode.Config{Host: local, BinDir: "/bin", DataDir: "/srv/a", LogFile: "/log/a"}, "/srv/a /log/a"},
		{"not_clean", pgnode.Config{Host: local, BinDir: "/bin", DataDir: "/srv//b/../a/"}, "/srv/a /srv/a.log"},
		{"no_host", pgnode.Config{BinDir: "/bin", DataDir: "/srv/a"}, "Host is missing"},
		{"no_bindir", pgnode.Config{Host: local, DataDir: "/srv/a"}, `BinDir "" is not an absolute path`},
		{"relative_bindir", pgnode.Config{Host: local, BinDir: "bin", DataDir: "/srv/a"}, `BinDir "bin" is not`},
		{"no_datadir", pgnode.Config{Host: local, BinDir: "/bin"}, `DataDir "" is not`},
		{"relative_datadir", pgnode.Config{Host: local, BinDir: "/bin", DataDir: "a"}, `DataDir "a" is not`},
		{"root", pgnode.Config{Host: local, BinDir: "/bin", DataDir: "/srv/.."}, `DataDir "/srv/.." is not`},
		{"relative_log", pgnode.Config{Host: local, BinDir: "/bin", DataDir: "/srv/a", LogFile: "log"}, `LogFile "log" is not`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := pgnode.New(tt.cfg)
			if err != nil {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.Equal(t, tt.want, n.DataDir()+" "+n.LogFile())
		})
	}
}

func TestParseVersion(t *testing.T) {
	tests := []struct {
		name, text string
		want       int // 0 for an error
	}{
		{"debian", "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", 15},
		{"plain", "postgres (PostgreSQL) 10.23", 10},
		{"devel", "postgres (PostgreSQL) 19devel", 19},
		{"beta", "postgres (PostgreSQL) 18beta1", 18},
		{"two_numbers", "postgres (PostgreSQL) 9.6.24", 9},
		{"another_program", "postgres (GreenplumDB) 6.0", 0},
		{"no_number", "postgres (PostgreSQL) devel", 0},
		{"empty", "", 0},
		{"short", "postgres (PostgreSQL)", 0},
		{"huge", "postgres (PostgreSQL) 99999999999999999999", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pgnode.ParseVersion(tt.text)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want == 0, err != nil)
		})
	}
}

// TestInitOddPassword: the password gets through initdb as it is, and is nowhere to be seen: not in a process list, not in a
// log, not in a file that stays.
func TestInitOddPassword(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Blank(t, "a")
	const marker = "mArKeR-5e1f"
	password := `it's "` + marker + `" \n\\ $HOME %s #x ünïcödé 密码 ` + "\t!"
	stop := watchProcesses(t, marker)
	require.NoError(t, s.Init(t.Context(), pgnode.InitConfig{Superuser: `odd two`, Password: password}))
	require.False(t, exists(t, in, s.DataDir()+".pw"))
	settings, err := s.Settings(livepg.Shape(s))
	require.NoError(t, err)
	require.NoError(t, s.Set(t.Context(), settings))
	require.NoError(t, s.Start(t.Context()))
	require.Empty(t, stop())

	cfg, err := pgx.ParseConfig(s.Dial(`odd two`).With("password", password).Text())
	require.NoError(t, err)
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.NotContains(t, string(read(t, in, s.LogFile())), marker)
	r, err := in.Host.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", `! grep -rl -e "$1" -- "$2" "$2".*`, "sh", marker, s.DataDir()}})
	require.NoError(t, err, "the password is in %s", r.Stdout)
}

// TestPasswordsStayHidden: cloning and rewinding show no password in any process list or log.
func TestPasswordsStayHidden(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	stop := watchProcesses(t, livepg.Password)
	a, b := diverge(t, in, func(a *livepg.Server) { require.NoError(t, a.Stop(t.Context(), pgnode.StopFast)) })
	require.NoError(t, a.Rewind(t.Context(), rewindSource(t, b), a.Standby(t, livepg.Shape(b, a))))
	require.NoError(t, a.Start(t.Context()))
	a.WaitStreaming(t)
	require.Empty(t, stop())
	for _, s := range []*livepg.Server{a, b} {
		require.NotContains(t, string(read(t, in, s.LogFile())), livepg.Password)
		r, err := in.Host.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", `! grep -rl -e "$1" -- "$2"`, "sh", livepg.Password, s.DataDir()}})
		require.NoError(t, err, "the password is in %s", r.Stdout)
	}
}

// watchProcesses looks for a text in the process list until the returned function is called, which returns where it was seen.
func watchProcesses(t *testing.T, text string) (stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan string, 1)
	go func() {
		found := ""
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if all := procArgs(); strings.Contains(all, text) {
				found = all
			}
			<-tick.C
		}
		seen <- found
	}()
	return func() string {
		cancel()
		return <-seen
	}
}

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	tests := []struct {
		name string
		cfg  pgnode.InitConfig
		want string
	}{
		{"no_superuser", pgnode.InitConfig{Password: "x"}, "Superuser is empty"},
		{"quote_in_superuser", pgnode.InitConfig{Superuser: `a"b`, Password: "x"}, "initdb takes no quotes"},
		{"no_password", pgnode.InitConfig{Superuser: "postgres"}, "Password is empty"},
		{"two_lines", pgnode.InitConfig{Superuser: "postgres", Password: "a\nb"}, "line break"},
		{"carriage_return", pgnode.InitConfig{Superuser: "postgres", Password: "a\r"}, "line break"},
		{"nul", pgnode.InitConfig{Superuser: "postgres", Password: "a\x00"}, "NUL"},
		{"name_of_the_system", pgnode.InitConfig{Superuser: "pg_x", Password: "x"}, `role names cannot begin with "pg_"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := in.Blank(t, "a")
			require.ErrorContains(t, s.Init(t.Context(), tt.cfg), tt.want)
			require.False(t, exists(t, in, s.DataDir()))
			require.False(t, exists(t, in, s.DataDir()+".pw"))
		})
	}
	cfg := pgnode.InitConfig{Superuser: "postgres", Password: "x"}
	t.Run("directory_with_something_in_it", func(t *testing.T) {
		s := in.Blank(t, "a")
		require.NoError(t, in.Host.MkdirAll(t.Context(), s.DataDir(), 0o700))
		write(t, in, s.DataDir()+"/precious", "x", 0o600)
		before := files(t, in, s.DataDir())
		require.ErrorContains(t, s.Init(t.Context(), cfg), "exists but is not empty")
		require.Equal(t, before, files(t, in, s.DataDir()))
		require.False(t, exists(t, in, s.DataDir()+".pw"))
	})
	t.Run("password_in_another_encoding", func(t *testing.T) {
		s := in.Blank(t, "a")
		err := s.Init(t.Context(), pgnode.InitConfig{Superuser: "postgres", Password: "s3cret-\xff"})
		require.ErrorContains(t, err, "invalid byte sequence for encoding")
		require.NotContains(t, err.Error(), "s3cret")
		var exit *host.ExitError
		require.ErrorAs(t, err, &exit)
		require.NotContains(t, exit.Stderr, "s3cret")
	})
	t.Run("statement_with_the_password", func(t *testing.T) {
		s := in.Blank(t, "a")
		n := over(t, s, "initdb", func(context.Context, host.Cmd, func() (host.Result, error)) (host.Result, error) {
			return host.Result{}, &host.ExitError{Host: "h", Command: "initdb", Code: 1, Stderr: "FATAL:  no\n" +
				"STATEMENT:  ALTER USER \"postgres\" WITH PASSWORD E'x''s3cret';\n\ts3cret\nchild process exited with exit code 1"}
		})
		err := n.Init(t.Context(), pgnode.InitConfig{Superuser: "postgres", Password: "x's3cret"})
		require.EqualError(t, err, "initdb "+s.DataDir()+": initdb on h exited with 1: FATAL:  no\nchild process exited with exit code 1")
		var exit *host.ExitError
		require.ErrorAs(t, err, &exit)
		require.NotContains(t, exit.Stderr, "s3cret")
	})
	t.Run("directory_of_a_server", func(t *testing.T) {
		s := in.Primary(t, "a")
		before := files(t, in, s.DataDir())
		require.ErrorContains(t, s.Init(t.Context(), cfg), "exists but is not empty")
		require.Equal(t, before, files(t, in, s.DataDir()))
	})
	t.Run("context_ends", func(t *testing.T) {
		s := in.Blank(t, "a")
		ctx, cancel := context.WithCancel(t.Context())
		n := over(t, s, "initdb", func(_ context.Context, _ host.Cmd, next func() (host.Result, error)) (host.Result, error) {
			time.AfterFunc(50*time.Millisecond, cancel)
			return next()
		})
		require.ErrorIs(t, n.Init(ctx, cfg), context.Canceled)
		require.False(t, exists(t, in, s.DataDir()+".pw"), "the password stays behind")
		require.False(t, exists(t, in, s.DataDir()), "initdb tidies up")
	})
	t.Run("password_file_that_others_can_read", func(t *testing.T) {
		s := in.Blank(t, "a")
		write(t, in, s.DataDir()+".pw", "old", 0o644)
		n := over(t, s, "initdb", func(_ context.Context, _ host.Cmd, _ func() (host.Result, error)) (host.Result, error) {
			require.Contains(t, files(t, in, s.DataDir()+".pw"), " 600\n")
			return host.Result{}, errors.New("seen enough")
		})
		require.ErrorContains(t, n.Init(t.Context(), cfg), "seen enough")
	})
}

// fakeTools is a host with the programs of a major that do nothing. It notes their arguments.
type fakeTools struct {
	host.Host
	version string
	ran     *[]string
}

func (f fakeTools) Run(_ context.Context, c host.Cmd) (host.Result, error) {
	*f.ran = append(*f.ran, c.String())
	return host.Result{Stdout: []byte("postgres (PostgreSQL) " + f.version)}, nil
}

func (fakeTools) WriteFile(context.Context, string, []byte, fs.FileMode) error { return nil }
func (fakeTools) Remove(context.Context, string) error                         { return nil }

func TestChecksums(t *testing.T) {
	tests := []struct {
		name, version string
		none          bool
		want          string
	}{
		{"with", "18.1", false, " --data-checksums"},
		{"without_before_18", "17.4", true, ".pw"},
		{"without_from_18_on", "18.1", true, " --no-data-checksums"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var ran []string
			n := newNode(t, pgnode.Config{Host: fakeTools{version: tt.version, ran: &ran}, BinDir: "/bin", DataDir: "/srv/a"})
			require.NoError(t, n.Init(t.Context(), pgnode.InitConfig{Superuser: "postgres", Password: "x", NoSums: tt.none}))
			require.True(t, strings.HasSuffix(ran[len(ran)-1], tt.want), ran)
		})
	}
}
