package recovery_test

import "syscall"

// dieWithParent makes a server shut down at once when the thread that started it ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
