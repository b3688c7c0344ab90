// Package debiantest gives tests the clusters of Debian's postgresql-common on this machine, worked on as their owner over SSH.
package debiantest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/sshtest"
	"github.com/understudy-ha/understudy/topology/host"
)

// Owner is the user to whom the clusters belong.
const Owner = "postgres"

// Machine is this machine, as it looks to somebody who logs in as Owner.
type Machine struct {
	*sshtest.Server
	Version string // of the server, as Debian writes it: "15"
	Dir     string // a directory of Owner's, private
	prefix  string // of the names of the clusters
	next    int
}

// guardScript waits for the end of its input. Then it ends and removes the clusters of version $1 whose names begin with $2, and $3.
const guardScript = `cat >/dev/null
for conf in /etc/postgresql/"$1"/"$2"*; do
	[ -d "$conf" ] || continue
	read -r pid </var/lib/postgresql/"$1/${conf##*/}"/postmaster.pid && kill -QUIT "$pid"
	pg_dropcluster --stop "$1" "${conf##*/}"
done >/dev/null 2>&1
rm -rf -- /etc/postgresql/"$1"/"$2"* /var/lib/postgresql/"$1"/"$2"* /var/log/postgresql/postgresql-"$1"-"$2"* "$3"`

// machines counts those of this process.
var machines atomic.Int64

// Start starts an sshd for Owner. When the test ends, or the process, however that happens, all of the machine's clusters are stopped
// and removed. Without the packages, the test is skipped, or fails if CI is set.
func Start(t testing.TB) *Machine {
	t.Helper()
	if _, err := exec.LookPath("pg_createcluster"); err != nil {
		localpg.Missing(t, "no pg_createcluster: install the package postgresql-common")
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		localpg.Missing(t, "no server in /usr/lib/postgresql: install the package postgresql")
	}
	if os.Getuid() != 0 {
		localpg.Missing(t, "only root can let "+Owner+" in over SSH")
	}
	owner, err := user.Lookup(Owner)
	require.NoError(t, err)
	uid, err := strconv.Atoi(owner.Uid)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "debiantest-")
	require.NoError(t, err)
	require.NoError(t, os.Chown(dir, uid, -1))
	m := &Machine{
		Version: strings.Split(found[len(found)-1], "/")[4], Dir: dir, prefix: fmt.Sprintf("ustest%d_%d_", os.Getpid(), machines.Add(1)),
	}
	guard := exec.Command("sh", "-c", guardScript, "sh", m.Version, m.prefix, m.Dir) //nolint:noctx // it outlives every context
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	leash, err := guard.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, guard.Start())
	t.Cleanup(func() {
		require.NoError(t, leash.Close())
		require.NoError(t, guard.Wait())
	})
	m.Server = sshtest.Run(t, sshtest.Config{User: Owner, Commands: true})
	t.Cleanup(func() {
		if t.Failed() {
			m.logs(t)
		}
	})
	return m
}

// logs shows the last lines of the clusters' logs.
func (m *Machine) logs(t testing.TB) {
	files, _ := filepath.Glob(fmt.Sprintf("/var/log/postgresql/postgresql-%s-%s*", m.Version, m.prefix))
	for _, file := range files {
		log, _ := os.ReadFile(file)
		t.Logf("%s:\n%s", file, log[max(0, len(log)-3000):])
	}
}

// Name is the machine's, for [host.Open].
func (m *Machine) Name() string {
	return "ssh://" + Owner + "@" + net.JoinHostPort(sshtest.Host, strconv.Itoa(m.Port))
}

// Login is how to log in there.
func (m *Machine) Login() host.SSHConfig {
	return host.SSHConfig{KnownHosts: []string{m.KnownHosts}, KeyFiles: []string{m.KeyFile}, Agent: "none"}
}

// Cluster returns the name of a cluster that does not exist, as in "15/main", and a free port.
func (m *Machine) Cluster(t testing.TB) (cluster string, port int) {
	t.Helper()
	m.next++
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return fmt.Sprintf("%s/%s%d", m.Version, m.prefix, m.next), l.Addr().(*net.TCPAddr).Port
}

// Configuration makes the configuration of a cluster, as pg_createcluster does, without data.
func (m *Machine) Configuration(t testing.TB, cluster string, port int) {
	t.Helper()
	version, name, _ := strings.Cut(cluster, "/")
	out, err := exec.CommandContext(t.Context(), "pg_createcluster", "--start-conf=manual", "-u", Owner, "-p", strconv.Itoa(port), version, name).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.RemoveAll(filepath.Join("/var/lib/postgresql", cluster)))
}

// Files are the paths of what configures a cluster, but for its data directory's own bookkeeping.
func (m *Machine) Files(t testing.TB, cluster string) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/etc/postgresql/%s/*", "/etc/postgresql/%s/conf.d/*", "/var/lib/postgresql/%s/*.conf", "/var/lib/postgresql/%s/*.signal"} {
		found, err := filepath.Glob(fmt.Sprintf(pattern, cluster))
		require.NoError(t, err)
		for _, f := range found {
			if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
				all = append(all, f)
			}
		}
	}
	return all
}
