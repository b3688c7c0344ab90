//go:build !linux

package localpg

import "syscall"

// dieWithParent does nothing where there is no such thing: a killed test leaves its server behind.
func dieWithParent(*syscall.SysProcAttr) {}
