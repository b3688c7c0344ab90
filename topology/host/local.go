//go:build unix

package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
)

// LocalConfig says how commands run on this machine. The zero value is useful.
type LocalConfig struct {
	// Name is what messages call this machine. Empty means "localhost".
	Name string

	// User is the operating-system user that commands run as and files are read and written as. Only root can ask for
	// another user; it does because PostgreSQL refuses to run as root. Commands then start in / unless Cmd.Dir says
	// otherwise, with that user's HOME. Empty means the user of this process.
	User string

	// KillAfter is the time that a command has between SIGTERM and SIGKILL when its context ends. Zero means 5 s.
	KillAfter time.Duration
}

// Local is the machine this process runs on. Every command gets its own process group, so that Ctrl-C at a terminal
// reaches this process only, which can then end the command in order.
type Local struct {
	name      string
	killAfter time.Duration
	account   func() (*account, error) // nil: the user of this process
	files     shellFiles               // used when there is an account
}

var _ Host = (*Local)(nil)

// NewLocal returns this machine.
func NewLocal(cfg LocalConfig) *Local {
	l := &Local{name: cmp.Or(cfg.Name, "localhost"), killAfter: cmp.Or(cfg.KillAfter, 5*time.Second)}
	if cfg.User != "" {
		l.account = sync.OnceValues(func() (*account, error) { return lookUp(cfg.User) })
		l.files = shellFiles{l}
	}
	return l
}

// Name implements [Host].
func (l *Local) Name() string { return l.name }

// outputGrace bounds the wait for the output of a process that a finished command left behind with its output open.
const outputGrace = 2 * time.Second

// Run implements [Host].
func (l *Local) Run(ctx context.Context, c Cmd) (Result, error) {
	none := Result{ExitCode: -1}
	if err := c.check(); err != nil {
		return none, startError(l.name, c, err)
	}
	if ctx.Err() != nil {
		return none, startError(l.name, c, context.Cause(ctx))
	}
	var stdout, stderr bytes.Buffer
	cmd, err := l.command(c)
	if err != nil {
		return none, startError(l.name, c, err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, &stdout, &stderr
	cmd.WaitDelay = outputGrace
	if err := cmd.Start(); err != nil {
		return none, startError(l.name, c, err)
	}
	waited := make(chan error, 1)
	go func() { waited <- cmd.Wait() }()
	select {
	case err = <-waited:
	case <-ctx.Done():
		// Even an exit code of 0 proves nothing from here on: many programs end with 0 when they get SIGTERM.
		err := unknownError(l.name, c, context.Cause(ctx))
		if !l.end(cmd.Process.Pid, waited) {
			return none, err // the output is still being written to
		}
		return Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitCode: -1}, err
	}

	res := Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitCode: -1}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		res.ExitCode = exitCode(exit.ProcessState)
		return res, exitError(l.name, c, res.ExitCode, res.Stderr)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		// It exited with 0, but it did not get all of its input, or its output was not taken.
		return res, unknownError(l.name, c, err)
	}
	res.ExitCode = 0
	return res, nil
}

// end ends the process group and reports whether the command was waited for. It is not if a process hangs in the kernel,
// on a dead disk for instance: then the caller gets its answer all the same, and a goroutine goes on waiting.
func (l *Local) end(pid int, waited <-chan error) bool {
	_ = syscall.Kill(-pid, syscall.SIGTERM) // it may have ended by itself
	grace := time.NewTimer(l.killAfter)
	defer grace.Stop()
	select {
	case <-waited:
		// Children may outlive the command. Their group keeps its number from being given away while there are any.
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		return true
	case <-grace.C:
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	stuck := time.NewTimer(outputGrace + time.Second)
	defer stuck.Stop()
	select {
	case <-waited:
		return true
	case <-stuck.C:
		return false
	}
}

func (l *Local) command(c Cmd) (*exec.Cmd, error) {
	cmd := exec.Command(c.Path, c.Args...) //nolint:noctx // CommandContext would kill the process only, end ends its group
	cmd.Dir = c.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = os.Environ()
	if l.account != nil {
		a, err := l.account()
		if err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = a.credential
		cmd.Env = append(cmd.Env, "HOME="+a.home, "USER="+a.name, "LOGNAME="+a.name)
		cmd.Dir = cmp.Or(cmd.Dir, "/")
	}
	cmd.Env = append(cmd.Env, c.Env...)
	return cmd, nil
}

func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// ReadFile implements [Host].
func (l *Local) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if l.account != nil {
		return l.files.ReadFile(ctx, path)
	}
	if ctx.Err() != nil {
		return nil, pathError("read", path, context.Cause(ctx))
	}
	return os.ReadFile(path)
}

// WriteFile implements [Host].
func (l *Local) WriteFile(ctx context.Context, path string, data []byte, perm fs.FileMode) error {
	if l.account != nil {
		return l.files.WriteFile(ctx, path, data, perm)
	}
	if ctx.Err() != nil {
		return pathError("write", path, context.Cause(ctx))
	}
	return atomicfile.Write(path, data, perm)
}

// CheckWrite implements [Host].
func (l *Local) CheckWrite(ctx context.Context, path string) error {
	if l.account != nil {
		return l.files.CheckWrite(ctx, path)
	}
	if ctx.Err() != nil {
		return pathError("write", path, context.Cause(ctx))
	}
	const writeAndSearch = 2 | 1
	if err := syscall.Access(filepath.Dir(filepath.Clean(path)), writeAndSearch); err != nil {
		return pathError("write", path, fmt.Errorf("its directory: %w", err))
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if why := unwritable(info); why != 0 {
		return pathError("write", path, why)
	}
	return nil
}

// unwritable says why a file cannot be replaced by one with the same owner, or 0.
func unwritable(info fs.FileInfo) syscall.Errno {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return syscall.ELOOP
	case info.IsDir():
		return syscall.EISDIR
	case !info.Mode().IsRegular():
		return syscall.EINVAL
	case ok && os.Geteuid() != 0 && int(owner.Uid) != os.Geteuid():
		return syscall.EPERM
	}
	return 0
}

// ReadDir implements [Host].
func (l *Local) ReadDir(ctx context.Context, path string) ([]string, error) {
	if l.account != nil {
		return l.files.ReadDir(ctx, path)
	}
	if ctx.Err() != nil {
		return nil, pathError("list", path, context.Cause(ctx))
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(path, e.Name())); err != nil || !info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Rename implements [Host].
func (l *Local) Rename(ctx context.Context, oldPath, newPath string) error {
	if l.account != nil {
		return l.files.Rename(ctx, oldPath, newPath)
	}
	if ctx.Err() != nil {
		return pathError("rename", oldPath, context.Cause(ctx))
	}
	return atomicfile.Rename(oldPath, newPath)
}

// MkdirAll implements [Host].
func (l *Local) MkdirAll(ctx context.Context, path string, perm fs.FileMode) error {
	if l.account != nil {
		return l.files.MkdirAll(ctx, path, perm)
	}
	if ctx.Err() != nil {
		return pathError("mkdir", path, context.Cause(ctx))
	}
	return os.MkdirAll(path, perm)
}

// Remove implements [Host].
func (l *Local) Remove(ctx context.Context, path string) error {
	if l.account != nil {
		return l.files.Remove(ctx, path)
	}
	if ctx.Err() != nil {
		return pathError("remove", path, context.Cause(ctx))
	}
	return atomicfile.Remove(path)
}

// Exists implements [Host].
func (l *Local) Exists(ctx context.Context, path string) (bool, error) {
	if l.account != nil {
		return l.files.Exists(ctx, path)
	}
	if ctx.Err() != nil {
		return false, pathError("stat", path, context.Cause(ctx))
	}
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	return err == nil, err
}

// account is a user that commands run as.
type account struct {
	name, home string
	credential *syscall.Credential
}

func lookUp(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("uid of %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("gid of %s: %w", name, err)
	}
	cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", name, err)
	}
	for _, g := range groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("groups of %s: %w", name, err)
		}
		cred.Groups = append(cred.Groups, uint32(n))
	}
	return &account{name: name, home: u.HomeDir, credential: cred}, nil
}
