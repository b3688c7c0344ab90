package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jackc/pgx/v5"
)

// world is what is measured with.
type world struct {
	*server
	base     string   // holds everything, and is removed at the end
	dataDir  string   // the server's data directory as its archiver sees it: pg_control, and WAL that is ready
	full     []string // names of segments full of WAL
	switched []string // names of segments that hold little
	systemID uint64
	command  string   // our program
	hello    string   // a program that does nothing
	disk     *os.File // any folder there
	log      *os.File // what was measured writes to; a file, since nobody waits for a helper that keeps it
}

func newWorld(ctx context.Context, c config) (_ *world, err error) {
	base, err := os.MkdirTemp(c.dir, "benchmark")
	if err != nil {
		return nil, err
	}
	w := &world{base: base}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := os.Chmod(base, 0o755); err != nil { //nolint:gosec // another user has to get in
		return nil, err
	}
	if w.disk, err = os.Open(base); err != nil {
		return nil, err
	}
	if w.log, err = os.OpenFile(w.path("log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	if err := w.build(ctx, c.brief); err != nil {
		return nil, err
	}
	if w.server, err = startServer(ctx, w.path("server")); err != nil {
		return nil, err
	}
	if w.full, w.switched, err = w.load(ctx, c.segments, c.switched); err != nil {
		return nil, fmt.Errorf("make WAL: %w", err)
	}
	if err := w.identify(ctx); err != nil {
		return nil, err
	}
	if err := w.collect(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *world) path(names ...string) string {
	return filepath.Join(append([]string{w.base}, names...)...)
}

// build compiles the programs of ours, static, as they are released.
func (w *world) build(ctx context.Context, brief bool) error {
	const module = "github.com/understudy-ha/understudy/"
	w.command, w.hello = w.path("walarchive"), w.path("hello")
	source := w.path("hello.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { println(\"hello, world\") }\n"), 0o600); err != nil {
		return err
	}
	flags := []string{"-trimpath", "-ldflags", "-s -w"}
	if brief {
		flags = nil
	}
	for program, of := range map[string]string{w.command: module + "examples/walarchive", w.hello: source} {
		cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", program}, flags...), of)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", of, err, out)
		}
	}
	return nil
}

func (w *world) identify(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, w.conninfo())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, "select system_identifier from pg_control_system()").Scan(&w.systemID)
}

// collect copies what the archiver would see.
func (w *world) collect() error {
	w.dataDir = w.path("data")
	for _, dir := range []string{"global", "pg_wal/archive_status"} {
		if err := os.MkdirAll(filepath.Join(w.dataDir, dir), 0o700); err != nil {
			return err
		}
	}
	names := []string{"PG_VERSION", "global/pg_control"}
	for _, segment := range w.segments() {
		names = append(names, "pg_wal/"+segment)
	}
	for _, name := range names {
		if err := copyFile(filepath.Join(w.dataDir, name), filepath.Join(w.data(), name)); err != nil {
			return err
		}
	}
	return w.ready()
}

// segments are the names of all segments, sorted.
func (w *world) segments() []string { return append(slices.Clone(w.full), w.switched...) }

// ready makes the full segments look as if none had been archived.
func (w *world) ready() error {
	status := filepath.Join(w.dataDir, "pg_wal/archive_status")
	if err := os.RemoveAll(status); err != nil {
		return err
	}
	if err := os.Mkdir(status, 0o700); err != nil {
		return err
	}
	for _, name := range w.full {
		if err := os.WriteFile(filepath.Join(status, name+".ready"), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		return errors.Join(err, target.Close())
	}
	return target.Close()
}

// fresh empties a folder, or makes it.
func fresh(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

// settle waits until the disk has nothing left to do for what came before.
func (w *world) settle() error { return unix.Syncfs(int(w.disk.Fd())) }

// helpers are the processes that what was measured has left in the background: those that name a file of ours, but for the server.
func (w *world) helpers() []int {
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well-formed
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !strings.Contains(string(line), w.base+"/") || strings.Contains(string(line), w.path("server", "data")) {
			continue
		}
		var pid int
		if _, err := fmt.Sscan(filepath.Base(dir), &pid); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// reap ends the helpers. What they were asked for has been answered.
func (w *world) reap() {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		deadline := time.Now().Add(5 * time.Second)
		for pids := w.helpers(); len(pids) > 0 && time.Now().Before(deadline); pids = w.helpers() {
			for _, pid := range pids {
				_ = syscall.Kill(pid, sig) // or it has ended
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// close ends and removes everything.
func (w *world) close() {
	if w.server != nil {
		w.stop()
	}
	w.reap()
	for _, f := range []*os.File{w.disk, w.log} {
		if f != nil {
			_ = f.Close() // nothing of it is wanted any more
		}
	}
	_ = os.RemoveAll(w.base)
}
