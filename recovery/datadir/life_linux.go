package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// prober looks at the processes of a machine.
type prober struct {
	proc   string // where the proc file system is
	euid   int
	shared func(dir string) string // the name of the file system, if other machines may have it too
	pause  time.Duration           // between two looks
}

func checkServer(dataDir string) Server {
	return prober{proc: "/proc", euid: os.Geteuid(), shared: sharedFileSystem, pause: 20 * time.Millisecond}.check(dataDir)
}

// looks is how often a process that hides its working directory is looked at before that counts. One that just ends hides it for a
// moment.
const looks = 50

// initialPIDNamespace is the name of the one that sees all processes of the machine (PROC_PID_INIT_INO in
// include/linux/proc_ns.h).
const initialPIDNamespace = "pid:[4026531836]"

// process is one that may be of the server.
type process struct {
	pid    int
	name   string
	uid    int // the effective one
	zombie bool
	dir    fs.FileInfo // its working directory; nil if it cannot be seen
	where  string      // the name of dir
}

func (p prober) check(dataDir string) Server {
	var s Server
	for range looks {
		var again bool
		if s, again = p.look(dataDir); !again {
			break
		}
		time.Sleep(p.pause)
	}
	return s
}

// look looks once. Again says that a second look may see more.
func (p prober) look(dataDir string) (s Server, again bool) {
	s.Life = Unknown
	here, err := os.Stat(dataDir)
	if err != nil {
		s.Evidence = append(s.Evidence, err.Error())
		return s, false
	}
	s.Postmaster, s.Evidence = readPostmaster(dataDir, nil)
	fileThere := len(s.Evidence) > 0
	named := 0
	if s.Postmaster != nil {
		named = s.Postmaster.PID
	}
	processes, err := p.processes(named)
	if err != nil {
		s.Evidence = append(s.Evidence, err.Error())
		return s, false
	}
	owner := ownerOf(here)
	hidden := 0
	for _, one := range processes {
		switch {
		case one.zombie:
		case one.dir != nil && os.SameFile(one.dir, here):
			s.PIDs = append(s.PIDs, one.pid)
			s.Evidence = append(s.Evidence, fmt.Sprintf("process %d (%s) works in the data directory", one.pid, one.name))
		case one.dir == nil && one.uid == owner:
			hidden++
			s.Evidence = append(s.Evidence, fmt.Sprintf("where process %d (%s) of the data directory's owner works cannot be seen", one.pid, one.name))
		}
	}
	if len(s.PIDs) > 0 {
		s.Life = Running
		return s, false
	}
	if hidden > 0 {
		return s, true
	}
	if !fileThere {
		s.Life = Stopped
		s.Evidence = append(s.Evidence, "there is no "+PostmasterFile, "no process that can be seen works in the data directory")
		return s, false
	}
	if s.Postmaster != nil {
		s.Evidence = append(s.Evidence, p.whatHasNumber(named, processes))
	}
	blind := p.blindSpots(dataDir, owner, s.Postmaster)
	s.Evidence = append(s.Evidence, blind...)
	if len(blind) == 0 {
		s.Life = Stopped
		s.Evidence = append(s.Evidence, "no process of this machine works in the data directory: "+PostmasterFile+" is a left-over")
	}
	return s, false
}

// programs are the names of a server's program, as far as the kernel keeps them: as PostgreSQL installs it, as Nix wraps it (also in
// Supabase's images), and as EDB's does. The command line that ps shows says nothing: the server writes over it.
var programs = []string{"postgres", "postmaster", ".postgres-wrapp", "edb-postgres"}

// processes lists the postgres processes, and the one with the number named, whatever it is.
func (p prober) processes(named int) ([]process, error) {
	entries, err := os.ReadDir(p.proc)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		one, ok := p.process(pid)
		if ok && (pid == named || slices.Contains(programs, one.name)) {
			all = append(all, one)
		}
	}
	return all, nil
}

// process reads about one. It is false if there is none any more. The working directory is looked at before the state, so that
// one that could not be seen, of a process that lives, is really hidden.
func (p prober) process(pid int) (process, bool) {
	dir := filepath.Join(p.proc, strconv.Itoa(pid))
	one := process{pid: pid}
	one.dir, _ = os.Stat(filepath.Join(dir, "cwd"))
	one.where, _ = os.Readlink(filepath.Join(dir, "cwd"))
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return one, false
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		words := strings.Fields(value)
		switch {
		case key == "Name":
			one.name = strings.TrimSpace(value)
		case key == "State" && len(words) > 0:
			one.zombie = words[0] == "Z" || words[0] == "X"
		case key == "Uid" && len(words) > 1:
			one.uid, err = strconv.Atoi(words[1])
		}
	}
	return one, err == nil
}

// whatHasNumber says who has the number that postmaster.pid names, which is none of the server's processes.
func (p prober) whatHasNumber(named int, processes []process) string {
	i := slices.IndexFunc(processes, func(one process) bool { return one.pid == named })
	switch {
	case i < 0:
		return fmt.Sprintf("there is no process %d here", named)
	case processes[i].zombie:
		return fmt.Sprintf("process %d is dead, only its parent has not noticed", named)
	case processes[i].dir == nil:
		return fmt.Sprintf("process %d is %s of another user", named, processes[i].name)
	default:
		return fmt.Sprintf("process %d is %s and works in %s", named, processes[i].name, processes[i].where)
	}
}

// blindSpots says where a server could run that is not seen from here.
func (p prober) blindSpots(dataDir string, owner int, file *Postmaster) []string {
	var spots []string
	if ns, err := os.Readlink(filepath.Join(p.proc, "self", "ns", "pid")); err != nil || ns != initialPIDNamespace {
		spots = append(spots, "this process is in a container, or may be, and sees no processes outside of it")
	}
	if p.euid != 0 && p.euid != owner {
		spots = append(spots, fmt.Sprintf("user %d may not see the processes of user %d, who owns the data directory", p.euid, owner))
	}
	if name := p.shared(dataDir); name != "" {
		spots = append(spots, "the data directory is on "+name+", which another machine may have too")
	}
	if file != nil && p.attached(*file) {
		spots = append(spots, fmt.Sprintf("processes use the shared memory segment %d that %s names", file.ShmemID, PostmasterFile))
	}
	return spots
}

// attached reports whether the server's shared memory segment is in use.
func (p prober) attached(file Postmaster) bool {
	data, err := os.ReadFile(filepath.Join(p.proc, "sysvipc", "shm"))
	if err != nil || file.ShmemKey == 0 {
		return false
	}
	for line := range strings.Lines(string(data)) {
		// key shmid perms size cpid lpid nattch, see man 5 proc
		words := strings.Fields(line)
		if len(words) < 7 || words[6] == "0" {
			continue
		}
		key, keyErr := strconv.ParseInt(words[0], 10, 64)
		id, idErr := strconv.ParseUint(words[1], 10, 64)
		// The kernel shows the key with a sign, the server without.
		if keyErr == nil && idErr == nil && uint32(key) == uint32(file.ShmemKey) && id == file.ShmemID { //nolint:gosec // as said
			return true
		}
	}
	return false
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// sharedFileSystems are those that several machines can have mounted at once, by their number in man 2 statfs.
var sharedFileSystems = map[uint32]string{
	0x6969: "NFS", 0x517B: "SMB", 0xFF534D42: "CIFS", 0xFE534D42: "SMB2", 0x00C36400: "Ceph", 0x01161970: "GFS2",
	0x7461636F: "OCFS2", 0x5346414F: "AFS", 0x6B414653: "AFS", 0x01021997: "9P", 0x65735546: "FUSE", 0x0BD00BD0: "Lustre",
	0x47504653: "GPFS", 0x19830326: "BeeGFS",
}

func sharedFileSystem(dir string) string {
	var fs syscall.Statfs_t
	err := syscall.Statfs(dir, &fs)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Statfs(dir, &fs)
	}
	if err != nil {
		return "a file system that does not say what it is"
	}
	return sharedFileSystems[uint32(fs.Type)] //nolint:gosec // 32 bits on every architecture
}
