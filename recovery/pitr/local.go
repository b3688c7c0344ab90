//go:build unix

package pitr

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Local is the [Runner] of this machine. PostgreSQL does not run as root.
type Local struct {
	// BinDir is the folder of postgres. Required.
	BinDir string

	// Command makes the command that is started. Nil means [exec.Command].
	Command func(program string, args ...string) *exec.Cmd
}

// Start implements [Runner]. The server is in a session of its own, which no signal of a terminal reaches.
func (l Local) Start(args []string, log string) (Process, error) {
	if l.BinDir == "" {
		return nil, errors.New("BinDir is empty: name the folder of postgres")
	}
	command := l.Command
	if command == nil {
		command = exec.Command
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := command(filepath.Join(l.BinDir, "postgres"), args...)
	cmd.Stdout, cmd.Stderr = f, f
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in the log
		close(p.exited)
	}()
	return p, nil
}

type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

func (p *process) Exited() <-chan struct{} { return p.exited }

func (p *process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.exited
	return nil
}
