package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Life says whether a server runs in a data directory.
type Life string

// The answers. Unknown is not Stopped: who wants to change the data must take it for Running.
const (
	Running Life = "running" // a process works there
	Stopped Life = "stopped" // no process of this machine does, and nothing speaks for one elsewhere
	Unknown Life = "unknown" // no process was seen, but one may be where this process cannot look
)

// Server is what [CheckServer] found out.
type Server struct {
	Life Life
	PIDs []int // of the processes that work in the data directory, as seen from here

	// Postmaster is what postmaster.pid says, nil if there is none or if it cannot be read. It is stale if Life is Stopped.
	Postmaster *Postmaster

	Evidence []string // what the answer rests on, each one a sentence without a full stop
}

// CheckServer says whether a server runs in a data directory of this machine. It looks at the processes, not only at
// postmaster.pid, which a crash leaves behind, whose number another process may have by then, and which careless start scripts
// remove: every process of a server has the data directory as its working directory (ChangeToDataDir in miscinit.c), also one that
// has outlived its postmaster. Which processes are of a server is told by the name of their program: postgres, postmaster,
// .postgres-wrapped (Nix) and edb-postgres, or any other if postmaster.pid names the process. Directories are compared by device and
// inode, so links and renames do not matter.
//
// How sure the answer is depends on where it was asked:
//
//   - Running is certain.
//   - Stopped with a stale postmaster.pid needs a look at all processes of the machine: from outside of containers, as root or as the
//     owner of the data directory, which is not on a file system that other machines share.
//   - Where one of this is not so, a postmaster.pid means Unknown, with the reasons in Evidence. So a file that a server in another
//     container or on another machine wrote is never taken for a left-over.
//   - Without a postmaster.pid, and without such a process, Stopped is the answer everywhere: a running server has that file, and
//     shuts itself down within a minute or so if somebody removes it (9.5+; ServerLoop in postmaster.c).
//
// On other systems than Linux the answer is Unknown. Package topology/pgnode asks the same question of machines that it
// reaches by commands only, for fencing, and has its own way to do so.
func CheckServer(dataDir string) Server { return checkServer(dataDir) }

// readPostmaster reads postmaster.pid and adds to the evidence what it is like. There is none if the evidence stays as it was and
// the result is nil.
func readPostmaster(dataDir string, evidence []string) (*Postmaster, []string) {
	name := filepath.Join(dataDir, PostmasterFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, evidence
	}
	var p Postmaster
	if err == nil {
		p, err = ParsePostmaster(name, data)
	}
	if err != nil {
		return nil, append(evidence, err.Error())
	}
	return &p, append(evidence, fmt.Sprintf("%s names process %d", PostmasterFile, p.PID))
}
