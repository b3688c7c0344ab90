package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/internal/s3test"
	"github.com/understudy-ha/understudy/internal/sshtest"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	s3test.Environment(os.Setenv)
	defer func() { _ = os.RemoveAll(built.folder) }()
	return pgserver.Run(m)
}

var built struct {
	once    sync.Once
	folder  string
	program string
	err     error
}

// program builds the command once, where every user may run it.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "walarchive"); built.err != nil {
			return
		}
		built.program = filepath.Join(built.folder, "walarchive")
		cmd := exec.Command("go", "build", "-o", built.program, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, built.err = cmd.CombinedOutput(); built.err != nil {
			built.err = fmt.Errorf("%w: %s", built.err, out)
			return
		}
		built.err = os.Chmod(built.folder, 0o755) //nolint:gosec // servers run as another user
	})
	require.NoError(t, built.err)
	return built.program
}

// clusterMajors are the majors that whole clusters are tested on.
var clusterMajors = []int{11, 13, 15, 17, 18}

// each runs a test in a world of each of them.
func each(t *testing.T, test func(t *testing.T, w *pgserver.World)) {
	t.Helper()
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		if slices.Contains(clusterMajors, w.Major) {
			test(t, w)
		}
	})
}

// mkdir makes a folder in the world for the user of its servers.
func mkdir(t *testing.T, w *pgserver.World, name string) string {
	t.Helper()
	path := filepath.Join(w.Dir, name)
	require.NoError(t, os.MkdirAll(path, 0o700))
	own(t, w, path)
	return path
}

// own gives a file or a folder with all that is in it to the user of the servers.
func own(t *testing.T, w *pgserver.World, path string) {
	t.Helper()
	if w.Owner.Credential == nil {
		return
	}
	require.NoError(t, filepath.WalkDir(path, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(w.Owner.Credential.Uid), int(w.Owner.Credential.Gid))
	}))
}

// script writes a shell script that the servers can run.
func script(t *testing.T, w *pgserver.World, name, text string) string {
	t.Helper()
	path := filepath.Join(w.Dir, name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755)) //nolint:gosec // servers run as another user
	return path
}

// recoverWith says how a server shall recover, in the way of its major.
func recoverWith(t *testing.T, s *pgserver.Server, cfg recovery.Config) {
	t.Helper()
	require.NoError(t, recovery.TakeOver(t.Context(), recovery.Disk{}, recovery.Server{DataDir: s.Data, Major: pgconf.Major(s.World.Major)}, cfg))
	own(t, s.World, s.Data)
}

// s3URL is the archive in a bucket.
func s3URL(endpoint, bucket string) string {
	return fmt.Sprintf("s3://%s/archive?endpoint=%s&path_style=true&region=%s", bucket, endpoint, s3test.Region)
}

// sshPlace is an archive on an SSH server.
type sshPlace struct {
	*sshtest.Server
	folder, keys string
}

// newSSHPlace starts a server, and gives the user of the PostgreSQL servers a key for it.
func newSSHPlace(t *testing.T, w *pgserver.World) sshPlace {
	t.Helper()
	p := sshPlace{sshtest.Start(t), mkdir(t, w, "ssh"), mkdir(t, w, "keys")}
	for name, from := range map[string]string{"known_hosts": p.KnownHosts, "key": p.KeyFile} {
		b, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(p.keys, name), b, 0o600))
	}
	own(t, w, p.keys)
	return p
}

// url is the archive, if the server is behind that port.
func (p sshPlace) url(port int) string {
	return fmt.Sprintf("sftp://%s@%s:%d%s?known_hosts=%s/known_hosts&key=%s/key&agent=none", p.User, sshtest.Host, port, p.folder, p.keys, p.keys)
}

// lines counts those of a text that contain all of the words.
func lines(text string, words ...string) int {
	n := 0
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			n++
		}
	}
	return n
}
