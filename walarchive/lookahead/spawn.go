package lookahead

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// Command is a program that [Spawn] starts.
type Command struct {
	Path string   // of the program; usually os.Executable
	Args []string // its arguments, without its name; they can be seen in the list of processes, so they hold no secret
	Dir  string   // its working directory: the data directory, whatever it was started in
	Log  string   // a file that its output is appended to; empty means that it is thrown away
}

// ErrServerIsInit is returned by [Spawn] where the PostgreSQL server is process 1; see the package comment.
var ErrServerIsInit = errors.New("the PostgreSQL server is process 1 here and would take the end of a helper that it does not know for a crash: " +
	"run the helper as a service of its own, or the server under an init")

// Spawn starts a program that stays when its parent ends: in a session of its own, with none of the parent's open files, with the parent's
// environment. It returns as soon as the program runs. Of several that start at once for one spool all but one end with [ErrRunning].
func Spawn(c Command) error {
	if name, err := os.ReadFile("/proc/1/comm"); err == nil && isServer(name) {
		return ErrServerIsInit
	}
	if err := closeOnExec(); err != nil {
		return err
	}
	cmd := exec.Command(c.Path, c.Args...) //nolint:noctx // it must outlive every context
	cmd.Dir = c.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if c.Log != "" {
		log, err := os.OpenFile(c.Log, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

func isServer(comm []byte) bool {
	name := string(bytes.TrimSpace(comm))
	return name == "postgres" || name == "postmaster"
}

// closeOnExec marks all open files, so that a child gets none but those that it is given. What a server leaves open in the commands
// that it runs would otherwise stay open as long as the helper lives.
func closeOnExec() error {
	dir, err := os.Open("/dev/fd")
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}
