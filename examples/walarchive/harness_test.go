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
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
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
