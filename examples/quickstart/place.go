package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/understudy-ha/understudy/examples/internal/story"
)

// archiverVerb makes this program behave as examples/walarchive, so that the servers of a run need no second binary.
const archiverVerb = "walarchive"

// prefix begins the names of all directories, containers, networks and volumes of this command.
const prefix = "understudy-quickstart-"

// lockName is the file in a run's directory that its process keeps locked. The lock ends with the process, however that
// ends, and so tells a run that is going on from one that was killed.
const lockName = "running.lock"

// place is where a run happens: its directory, the lock on it, the guard that cleans up if this process is killed, and the
// containers with --docker.
type place struct {
	dir    string
	keep   bool
	owner  string // operating system user for the servers; empty means the present one
	lock   *os.File
	guard  *exec.Cmd
	leash  io.Closer // our end of the guard's standard input
	docker *containers
}

// newPlace creates the run's directory. What killed runs left in the same parent is cleaned up first.
func newPlace(ctx context.Context, cmd runCommand) (*place, error) {
	parent := cmd.Dir
	if parent == "" {
		parent = os.TempDir()
	}
	if err := sweep(ctx, parent, io.Discard); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, usageError{fmt.Errorf("create the run's directory: %w; choose another place with --dir", err)}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, usageError{err}
	}
	p := &place{dir: dir, keep: cmd.Keep}
	if err := p.prepare(cmd); err != nil {
		return nil, errors.Join(err, p.leave(ctx))
	}
	return p, nil
}

func (p *place) prepare(cmd runCommand) error {
	lock, err := lockFile(filepath.Join(p.dir, lockName), os.O_CREATE)
	if err != nil {
		return usageError{err}
	}
	p.lock = lock
	if err := p.startGuard(); err != nil {
		return fmt.Errorf("start the guard: %w", err)
	}
	if cmd.Docker {
		return nil // servers run in containers; the directory needs no other owner
	}
	if os.Geteuid() == 0 {
		if err := p.giveAway(); err != nil {
			return err
		}
	}
	return p.copyProgram()
}

// giveAway makes an unprivileged user the owner of the directory, because PostgreSQL refuses to run as root.
func (p *place) giveAway() error {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.Atoi(u.Uid)
		gid, errG := strconv.Atoi(u.Gid)
		if err := errors.Join(errU, errG); err != nil {
			return err
		}
		p.owner = name
		return os.Chown(p.dir, uid, gid)
	}
	return usageError{errors.New("PostgreSQL refuses to run as root, and neither user postgres nor nobody exists; run this as another user")}
}

// program is the copy of this program that the servers call for their archive.
func (p *place) program() string { return filepath.Join(p.dir, "quickstart") }

// copyProgram puts this program where the servers' user can run it, also if it was started by `go run` and vanishes.
func (p *place) copyProgram() (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(self)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(p.program(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// config says how the story shall be played here.
func (p *place) config(ctx context.Context, cmd runCommand) (story.Config, error) {
	var cfg story.Config
	var err error
	if cmd.Docker {
		if p.docker, err = newContainers(p.dir); err != nil {
			return cfg, err
		}
		cfg, err = p.docker.config(ctx, cmd)
	} else {
		cfg, err = p.localConfig(ctx, cmd)
	}
	cfg.Rows, cfg.NoRewind = cmd.Rows, cmd.Clone
	return cfg, err
}

// leave removes everything of the run, or with keep everything but the directory. The story has ended its servers by now.
func (p *place) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute) // the caller may have been interrupted
	defer cancel()
	var errs []error
	if p.docker != nil {
		errs = append(errs, p.docker.remove(ctx))
	}
	if p.keep {
		errs = append(errs, os.Remove(filepath.Join(p.dir, lockName))) // or the next run would take it for a killed one
	} else {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	if p.guard != nil {
		errs = append(errs, p.leash.Close(), p.guard.Wait())
	}
	if p.lock != nil {
		errs = append(errs, p.lock.Close())
	}
	return errors.Join(errs...)
}

// startGuard starts a process that waits for the end of this one and then cleans up after it. It has its own session, so
// that neither Ctrl-C nor a hang-up reaches it.
func (p *place) startGuard() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"guard", p.dir}
	if p.keep {
		args = append(args, "--keep")
	}
	p.guard = exec.Command(self, args...) //nolint:noctx // it must outlive every context of this process
	p.guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.leash, err = p.guard.StdinPipe(); err != nil {
		return err
	}
	if err := p.guard.Start(); err != nil {
		p.guard = nil
		return err
	}
	return nil
}

// guard waits until standard input ends, which happens when the run's process is gone, and cleans up.
func guard(ctx context.Context, cmd guardCommand, stdin io.Reader) error {
	if _, err := io.Copy(io.Discard, stdin); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // a signal must not keep the guard from its work
	if _, err := os.Stat(filepath.Join(cmd.Directory, lockName)); errors.Is(err, fs.ErrNotExist) {
		return nil // the run has cleaned up by itself
	}
	return endRun(ctx, cmd.Directory, cmd.Keep)
}

// cleanup is the command of that name.
func cleanup(ctx context.Context, cmd cleanupCommand, stdout io.Writer) error {
	parent := cmd.Dir
	if parent == "" {
		parent = os.TempDir()
	}
	return sweep(ctx, parent, stdout)
}

// sweep ends and removes the runs in parent whose process is gone.
func sweep(ctx context.Context, parent string, report io.Writer) error {
	dirs, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		lock, err := lockFile(filepath.Join(dir, lockName), 0)
		if err != nil {
			continue // it is going on, was kept, or belongs to somebody else
		}
		errs = append(errs, endRun(ctx, dir, false), lock.Close())
		fmt.Fprintln(report, "cleaned up after a killed run:", dir)
	}
	return errors.Join(errs...)
}

// endRun ends the processes and containers of a run whose own process is gone, and removes its directory.
func endRun(ctx context.Context, dir string, keep bool) error {
	errs := []error{endProcesses(dir)}
	if _, err := os.Stat(filepath.Join(dir, dockerMark)); err == nil {
		errs = append(errs, (&containers{run: filepath.Base(dir)}).remove(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return err // what still runs needs its directory
	}
	if keep {
		return os.Remove(filepath.Join(dir, lockName))
	}
	return os.RemoveAll(dir)
}

// endProcesses kills every process that works in dir or names it on its command line (servers and PostgreSQL's tools), until
// none has shown up for a while: a tool may just be starting a server.
func endProcesses(dir string) error {
	const quiet, limit = 500 * time.Millisecond, 20 * time.Second
	deadline := time.Now().Add(limit)
	for last := time.Now(); time.Since(last) < quiet; time.Sleep(20 * time.Millisecond) {
		pids, err := processesIn(dir)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			continue
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v in %s do not end", pids, dir)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone by now; the next look tells
		}
		last = time.Now()
	}
	return nil
}

// processesIn lists the processes of a run except this one and its guard.
func processesIn(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil || len(entries) == 0 {
		return processesByPS(dir)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		command, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if strings.HasPrefix(cwd+"/", dir+"/") || namesDir(strings.Split(string(command), "\x00"), dir) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// processesByPS is for systems without /proc: it sees only what is on the command lines.
func processesByPS(dir string) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,command=").Output() //nolint:noctx // it ends at once
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if pid, err := strconv.Atoi(fields[0]); err == nil && pid != os.Getpid() && namesDir(fields[1:], dir) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// namesDir reports whether a command line is that of a process working below dir. A guard names the directory itself, not
// something below it.
func namesDir(command []string, dir string) bool {
	for _, word := range command {
		if strings.Contains(word, dir+"/") {
			return true
		}
	}
	return false
}

// lockFile opens and locks a file, or fails at once if another process has locked it.
func lockFile(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	return f, nil
}
