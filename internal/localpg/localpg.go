// Package localpg finds the PostgreSQL programs that are installed on this machine, for tests that run real servers without
// containers, and the user to run them as.
package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The majors that are looked for.
const (
	MinMajor = 10
	MaxMajor = 18
)

// Install is one set of PostgreSQL programs.
type Install struct {
	Major int
	Dir   string // holds postgres, initdb and the others
}

// Bin returns the path of a program.
func (i Install) Bin(name string) string { return filepath.Join(i.Dir, name) }

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// Installs returns what is found on PATH and where Debian puts it, one for each major, newest first. All programs are there.
func Installs() []Install { return find(installed()) }

// Servers returns Installs and, of the majors that are missing there, what scripts/servers has fetched: initdb, pg_ctl and postgres
// are there, the client's programs may be absent.
func Servers() []Install { return find(append(installed(), fetched()...), "initdb") }

// Server returns the one of Servers with that major. Without it, the test is skipped, or fails if CI is set.
func Server(t testing.TB, major int) Install {
	t.Helper()
	found := Servers()
	i := slices.IndexFunc(found, func(in Install) bool { return in.Major == major })
	if i < 0 {
		Missing(t, fmt.Sprintf("no PostgreSQL %d on PATH, in /usr/lib/postgresql or fetched; scripts/servers fetches its server programs", major))
	}
	return found[i]
}

// installed returns the folders where all programs are looked for.
func installed() []string {
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	return append(filepath.SplitList(os.Getenv("PATH")), debian...)
}

// fetched returns the folders with what scripts/servers has fetched; it says there which they are.
func fetched() []string {
	const below = "understudy/postgres"
	stores := []string{filepath.Join("/var/cache", below)}
	if cache, err := os.UserCacheDir(); err == nil && os.Geteuid() != 0 {
		stores = append([]string{filepath.Join(cache, below)}, stores...)
	}
	if named := os.Getenv("UNDERSTUDY_POSTGRES_DIR"); named != "" {
		stores = []string{named}
	}
	var dirs []string
	for _, store := range stores {
		found, _ := filepath.Glob(filepath.Join(store, "*", "bin")) // a strange folder name finds nothing
		dirs = append(dirs, found...)
	}
	return dirs
}

// find returns the first folder of each major that holds postgres and the other programs named, newest first.
func find(dirs []string, programs ...string) []Install {
	var found []Install
	for _, dir := range dirs {
		in, ok := install(dir, programs)
		known := slices.ContainsFunc(found, func(i Install) bool { return i.Major == in.Major })
		if ok && !known {
			found = append(found, in)
		}
	}
	slices.SortFunc(found, func(a, b Install) int { return b.Major - a.Major })
	return found
}

// install says what is in a folder, and whether it is of use.
func install(dir string, programs []string) (Install, bool) {
	postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")) // the other programs are beside the real one
	if err != nil {
		return Install{}, false
	}
	for _, name := range programs {
		if _, err := os.Stat(filepath.Join(filepath.Dir(postgres), name)); err != nil {
			return Install{}, false
		}
	}
	out, err := exec.Command(postgres, "--version").Output() //nolint:noctx // it ends at once
	m := versionText.FindSubmatch(out)
	if err != nil || m == nil {
		return Install{}, false
	}
	major, _ := strconv.Atoi(string(m[1])) // digits, as they matched
	return Install{Major: major, Dir: filepath.Dir(postgres)}, major >= MinMajor && major <= MaxMajor
}

// Require returns Installs. Without any, the test is skipped, or fails if CI is set.
func Require(t testing.TB) []Install {
	t.Helper()
	found := Installs()
	if len(found) == 0 {
		Missing(t, fmt.Sprintf("no PostgreSQL %d to %d on PATH or in /usr/lib/postgresql; install the package postgresql", MinMajor, MaxMajor))
	}
	return found
}

// Each runs a test for each installed major; see Require.
func Each(t *testing.T, test func(t *testing.T, in Install)) {
	t.Helper()
	for _, in := range Require(t) {
		t.Run(fmt.Sprintf("major=%d", in.Major), func(t *testing.T) { test(t, in) })
	}
}

// EachServer runs a test once for each major from 10 on, as the subtest "servers/major=N", with what Servers finds, some at a time, and
// returns when all have ended. One that is missing on this machine is skipped, or fails if CI is set; scripts/setup fetches them.
//
// UNDERSTUDY_TEST_MAJORS names the only majors wanted, such as "10 18", for a quick look; in CI it does not count.
func EachServer(t *testing.T, test func(t *testing.T, in Install)) {
	t.Helper()
	t.Run("servers", func(t *testing.T) { // which ends with the last of them
		for major := MaxMajor; major >= MinMajor; major-- {
			if !wanted(major) {
				continue
			}
			t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
				t.Parallel()
				test(t, Server(t, major))
			})
		}
	})
}

func wanted(major int) bool {
	list := strings.FieldsFunc(os.Getenv("UNDERSTUDY_TEST_MAJORS"), func(r rune) bool { return r == ' ' || r == ',' })
	return len(list) == 0 || os.Getenv("CI") != "" || slices.Contains(list, strconv.Itoa(major))
}

// Missing skips a test that lacks something, and says what. In CI, where nothing may be skipped, the test fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Account is an operating-system user.
type Account struct {
	Name       string
	Credential *syscall.Credential // nil for the user of this process
}

// Owner returns whom to run a server as whose files lie in dir, and gives dir to that user. PostgreSQL refuses root, so root gets
// postgres or nobody; everybody else stays who they are.
func Owner(dir string) (Account, error) {
	if os.Geteuid() != 0 {
		me, err := user.Current()
		if err != nil {
			return Account{}, err
		}
		return Account{Name: me.Username}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
			return Account{}, err
		}
		return Account{Name: name, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return Account{}, errors.New("running as root, and there is neither a user postgres nor nobody to run the server as")
}
