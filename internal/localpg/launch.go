package localpg

import (
	"os/exec"
	"runtime"
)

// Launch starts a server that ends with this process, even if the tests are killed. The channel is closed when the server has ended;
// its state is in cmd then. cmd must have SysProcAttr.
func Launch(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	dieWithParent(cmd.SysProcAttr)
	ended := make(chan struct{})
	started := make(chan error)
	go func() { // on a thread of its own, which ends with this process and not before
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state is in cmd
			close(ended)
		}
	}()
	return ended, <-started
}
