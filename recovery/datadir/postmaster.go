package datadir

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// PostmasterFile is the lock file of a running server, relative to the data directory. A server that was killed leaves it behind;
// [CheckServer] tells which it is.
const PostmasterFile = "postmaster.pid"

// Status is how far a running server is, in its own word (pidfile.h). After a crash it is what it was before.
type Status string

// The statuses.
const (
	StatusStarting Status = "starting"
	StatusReady    Status = "ready"    // accepts connections, a hot standby too
	StatusStandby  Status = "standby"  // in recovery, and accepts none
	StatusStopping Status = "stopping" // on its way down
)

// Postmaster is the content of postmaster.pid. The server writes it line by line as it comes up, so all but the first ones may be
// missing, which leaves the zero value.
type Postmaster struct {
	PID        int  // as the server sees it: in a container, a number there
	Standalone bool // single-user mode (postgres --single), not a postmaster

	DataDir    string    // as the server sees it
	StartTime  time.Time // when the server was started, whole seconds; 9.1+
	Port       int       // 9.1+
	SocketDir  string    // the first one; empty if it has none; 9.1+
	ListenAddr string    // the first address that works, "*" for all; empty if it listens on none; 9.1+

	// The System V shared memory segment by which PostgreSQL notices that processes of an earlier postmaster are left.
	// Both zero on Windows, and until the server has it.
	ShmemKey uint64
	ShmemID  uint64

	Status Status // 10+
}

// ParsePostmaster reads the content of a postmaster.pid of 9.0 to 18 (CreateLockFile and AddToDataDirLockFile in
// src/backend/utils/init/miscinit.c); name is used in errors, which are a [*FileError].
func ParsePostmaster(name string, data []byte) (Postmaster, error) {
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	r := pidReader{name: name, lines: lines}
	if strings.TrimSpace(string(data)) == "" {
		r.refuse(0, "it is empty: another server is just starting there, or a start was interrupted")
	}
	var p Postmaster
	pid := r.number(1, 32)
	p.PID, p.Standalone = int(max(pid, -pid)), pid < 0
	if p.PID == 0 {
		r.refuse(1, "want the number of a process")
	}
	p.DataDir = r.line(2)
	if strings.Contains(strings.TrimSpace(r.line(3)), " ") { // 9.0
		p.ShmemKey, p.ShmemID = r.shmem(3)
		return r.result(p)
	}
	if seconds := r.number(3, 64); seconds != 0 {
		p.StartTime = time.Unix(seconds, 0)
	}
	p.Port = int(r.number(4, 32))
	if p.Port < 0 || p.Port > 65535 {
		r.refuse(4, "want a port")
	}
	p.SocketDir, p.ListenAddr = r.line(5), r.line(6)
	p.ShmemKey, p.ShmemID = r.shmem(7)
	p.Status = Status(strings.TrimRight(r.line(8), " "))
	if len(lines) > 8 {
		r.refuse(9, "the file has 8 lines at most")
	}
	return r.result(p)
}

// pidReader reads lines, counted from 1. Those that are not there are empty.
type pidReader struct {
	name  string
	lines []string
	err   error // the first one
}

func (r *pidReader) refuse(line int, msg string) {
	if r.err == nil {
		r.err = &FileError{File: r.name, Line: line, Msg: msg}
	}
}

func (r *pidReader) result(p Postmaster) (Postmaster, error) {
	if r.err != nil {
		return Postmaster{}, r.err
	}
	return p, nil
}

func (r *pidReader) line(n int) string {
	if n > len(r.lines) {
		return ""
	}
	return strings.TrimSuffix(r.lines[n-1], "\r") // Windows
}

func (r *pidReader) number(n, bits int) int64 {
	text := strings.TrimSpace(r.line(n))
	if text == "" {
		return 0
	}
	v, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		r.refuse(n, fmt.Sprintf("want a number, not %.20q", text))
	}
	return v
}

// shmem reads two numbers, right-aligned.
func (r *pidReader) shmem(n int) (key, id uint64) {
	words := strings.Fields(r.line(n))
	if len(words) == 0 {
		return 0, 0
	}
	if len(words) == 2 {
		var keyErr, idErr error
		key, keyErr = strconv.ParseUint(words[0], 10, 64)
		id, idErr = strconv.ParseUint(words[1], 10, 64)
		if keyErr == nil && idErr == nil {
			return key, id
		}
	}
	r.refuse(n, "want the key and the number of a shared memory segment")
	return 0, 0
}
