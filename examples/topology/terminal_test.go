package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// terminal opens a pseudo-terminal of 100 columns and 30 lines. What is written to it is collected.
func terminal(t *testing.T) (tty *os.File, screen *guarded) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = master.Close() })
	control := func(f *os.File, request uintptr, argument unsafe.Pointer) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(argument))
		require.Zero(t, errno)
	}
	var number, unlocked uint32
	control(master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	control(master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tty.Close() })
	size := struct{ rows, columns, x, y uint16 }{30, 100, 0, 0}
	control(tty, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	screen = &guarded{}
	go func() { _, _ = io.Copy(screen, master) }() // until it is closed
	return tty, screen
}
