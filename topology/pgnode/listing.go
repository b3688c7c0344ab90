package pgnode

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// listScript prints what a machine knows about its postgres processes and about the data directory $1; parseListing reads it.
// It runs no other program for each process, except for the first of each server, because it is part of every failover.
//
// The processes are found by the name of their program, which everyone may read: PostgreSQL's own, that of Nix's wrapper (as far as
// the kernel keeps it; Supabase's images have it too), and EDB's. Then come the working directories, and only
// after them the states: a process whose working directory could not be read, and that still runs then, really hides it.
const listScript = `
dir=$1 number=
{ read -r number <"$dir/postmaster.pid"; } 2>/dev/null
echo "pidfile $number"
if [ ! -d /proc/self ]; then
	echo "me $(id -u)"
	echo noproc
	ps -A -o pid= -o ppid= -o uid= -o state= -o command= | sed 's/^/ps /' && echo end
	exit
fi
while read -r key a b rest; do
	[ "$key" != Uid: ] || echo "me $b"
done </proc/self/status
if at=$(stat -L -c '%d:%i %u' -- "$dir" 2>&1); then
	echo "dir $at"
elif [ -L "$dir" ]; then
	echo "nodir it is a symbolic link that leads nowhere"
else
	case $at in
	*": No such file or directory" | *": Not a directory") echo "absent" ;;
	*) echo "nodir $at" ;;
	esac
fi
pids=' ' list=
for d in /proc/[0-9]*; do
	comm=
	{ read -r comm <"$d/comm"; } 2>/dev/null
	case $comm in postgres | postmaster | .postgres-wrapp | edb-postgres) pids="$pids${d#/proc/} " list="$list $d/cwd" ;; esac
done
[ -z "$list" ] || here=$(readlink /proc/self/ns/mnt)
[ -z "$list" ] || stat -L -c 'cwd %n %d:%i' -- $list 2>/dev/null
for p in $pids; do
	state= ppid= uid= inner=
	{
		while read -r key a b rest; do
			case $key in
			State:) state=$a ;;
			PPid:) ppid=$a ;;
			Uid:) uid=$b ;;
			NSpid:) [ -z "$b" ] || { set -- $b $rest; shift $(($# - 1)); inner=$1; } ;;
			esac
		done <"/proc/$p/status"
	} 2>/dev/null
	[ -n "$uid" ] || continue
	echo "proc $p $ppid $uid $state"
	[ -z "$inner" ] || echo "nested $p $inner"
	case $pids in *" $ppid "*) continue ;; esac
	printf 'args %s ' "$p"
	{ tr '\000\n' '\001\002' <"/proc/$p/cmdline"; } 2>/dev/null
	echo
	[ "$(readlink "/proc/$p/ns/mnt" 2>/dev/null)" != "$here" ] || echo "near $p"
done
echo end
`

// listing is what listScript found out.
type listing struct {
	me    int // user id of the one who looked
	dir   string
	owner int    // user id
	gone  bool   // the directory certainly does not exist
	fault string // why nothing is known of the directory
	procs map[int]*process

	pidfile int  // the number in postmaster.pid, 0 if there is none
	noProc  bool // the machine has no /proc: no working directories
}

// process is one postgres process. A directory is known by its device and inode, as device:inode.
type process struct {
	pid, ppid, uid int
	zombie         bool
	cwd            string   // empty if it could not be read
	args           []string // nil for a child of another one
	near           bool     // it sees the same file systems as the one who looked
	inner          int      // its number in the container it runs in; 0 if it is in none, as seen from here
}

var errListing = errors.New("the list of processes is not complete")

// parseListing reads what listScript printed.
func parseListing(text string) (listing, error) {
	l := listing{procs: map[int]*process{}}
	cwds := map[int]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[len(lines)-1] != "end" {
		return l, errListing
	}
	for _, line := range lines[:len(lines)-1] {
		if !l.take(line, cwds) {
			return l, fmt.Errorf("%w: unexpected %q", errListing, line)
		}
	}
	for pid, p := range l.procs {
		if cwd, ok := cwds[pid]; ok {
			p.cwd = cwd
		}
	}
	return l, nil
}

// take reads one line. It reports whether it understood it.
func (l *listing) take(line string, cwds map[int]string) bool {
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word {
	case "me":
		l.me, err = strconv.Atoi(rest)
	case "dir":
		dir, owner, _ := strings.Cut(rest, " ")
		l.dir = dir
		l.owner, err = strconv.Atoi(owner)
	case "absent":
		l.gone = true
	case "nodir":
		l.fault = rest
	case "pidfile":
		l.pidfile, _ = strconv.Atoi(rest) // no file, no number
	case "noproc":
		l.noProc = true
	case "cwd":
		name, at, _ := strings.Cut(strings.TrimPrefix(rest, "/proc/"), "/cwd ")
		var pid int
		pid, err = strconv.Atoi(name)
		cwds[pid] = at
	case "proc", "ps":
		err = l.takeProcess(word == "ps", rest)
	case "args":
		pid, args, _ := strings.Cut(rest, " ")
		args = strings.ReplaceAll(strings.TrimSuffix(args, "\x01"), "\x02", "\n")
		return l.on(pid, func(p *process) { p.args = strings.Split(args, "\x01") })
	case "near":
		return l.on(rest, func(p *process) { p.near = true })
	case "nested":
		pid, inner, _ := strings.Cut(rest, " ")
		var n int
		n, err = strconv.Atoi(inner)
		return l.on(pid, func(p *process) { p.inner = n }) && err == nil
	default:
		return false
	}
	return err == nil
}

// on changes a process that was listed before.
func (l *listing) on(pid string, change func(*process)) bool {
	n, err := strconv.Atoi(pid)
	p := l.procs[n]
	if err != nil || p == nil {
		return false
	}
	change(p)
	return true
}

// takeProcess reads "pid ppid uid state", and after it the command line if it comes from ps.
func (l *listing) takeProcess(ps bool, text string) error {
	fields := strings.Fields(text)
	if len(fields) < 4 {
		return errListing
	}
	var n [3]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(fields[i]); err != nil {
			return err
		}
	}
	p := &process{pid: n[0], ppid: n[1], uid: n[2], zombie: fields[3][0] == 'Z' || fields[3][0] == 'X'}
	if ps {
		_, command, _ := strings.Cut(text, fields[3])
		command = strings.TrimSpace(command)
		if !isPostgres(command) {
			return nil
		}
		p.args, p.near = []string{command}, true
	}
	l.procs[p.pid] = p
	return nil
}

// isPostgres recognises a command line of ps.
func isPostgres(command string) bool {
	program, _, _ := strings.Cut(command, " ")
	base := path.Base(program)
	return base == "postgres" || base == "postgres:" || base == "postmaster"
}

// doubts are the reasons why a list of pids may not be complete, by the pid of the process that each is about, or 0.
type doubts map[int]string

// in returns the pids of the server whose data directory is dir, and why they may not be all.
//
// A server's processes keep the data directory as their working directory (ChangeToDataDir in
// src/backend/utils/init/miscinit.c). So this also finds backends that outlived their postmaster, and is not fooled by a stale
// postmaster.pid whose number another process has taken. Directories are compared by device and inode, so a symbolic link or
// a rename changes nothing. A server that was started for this very path, while its directory has been moved away or deleted,
// counts too; it is known by its argument -D.
//
// Only the owner of a data directory can run a server in it (checkDataDir, same file), so other users' processes do not
// matter if their working directory cannot be read. Nor do those in a container, unless one has there the number that stands in
// postmaster.pid.
func (l listing) in(dir string) (pids []int, why doubts) {
	if l.noProc {
		return l.inByPS(dir)
	}
	switch {
	case l.fault != "":
		return nil, doubts{0: l.fault}
	case !l.gone && l.me != 0 && l.me != l.owner:
		return nil, doubts{0: fmt.Sprintf("user %d cannot see the processes of its owner, user %d", l.me, l.owner)}
	}
	why = doubts{}
	dirs := map[string]bool{}
	if !l.gone {
		dirs[l.dir] = true
	}
	for _, p := range l.procs {
		if p.cwd != "" && p.near && p.names(dir) {
			dirs[p.cwd] = true
		}
	}
	for _, p := range l.procs {
		switch {
		case p.zombie:
		case dirs[p.cwd]:
			pids = append(pids, p.pid)
		case p.cwd == "" && l.mayBeOurs(p):
			why[p.pid] = fmt.Sprintf("the working directory of process %d, a postgres of user %d, cannot be read", p.pid, p.uid)
		}
	}
	slices.Sort(pids)
	return pids, why
}

// mayBeOurs reports whether a process whose working directory is hidden may belong to the server.
func (l listing) mayBeOurs(p *process) bool {
	switch {
	case p.inner != 0:
		return !l.gone && p.uid == l.owner && p.inner == l.pidfile
	case l.gone:
		return l.me == 0 || p.uid == l.me
	default:
		return p.uid == l.owner
	}
}

// names reports whether the process was started for a data directory of that name.
func (p *process) names(dir string) bool {
	for i, arg := range p.args {
		value, isD := strings.CutPrefix(arg, "-D")
		if isD && value == "" && i+1 < len(p.args) {
			value = p.args[i+1]
		}
		if isD && path.Clean(value) == dir {
			return true
		}
	}
	return false
}

// inByPS is for machines without /proc, where no working directories are to be had: the postmaster is known by its argument -D
// or its postmaster.pid, the rest by being its children. Whose the backends are that outlived a postmaster cannot be told.
func (l listing) inByPS(dir string) (pids []int, why doubts) {
	why = doubts{}
	ours := map[int]bool{}
	for _, p := range l.procs {
		title := strings.HasPrefix(p.args[0], "postgres:")
		if !title && (p.pid == l.pidfile || commandNames(p.args[0], dir)) {
			ours[p.pid] = true
		}
		if title && l.procs[p.ppid] == nil && !p.zombie {
			why[p.pid] = fmt.Sprintf("process %d has outlived its postmaster, and whose that was cannot be told on a machine without /proc", p.pid)
		}
	}
	for _, p := range l.procs {
		if !p.zombie && (ours[p.pid] || ours[p.ppid]) {
			pids = append(pids, p.pid)
		}
	}
	slices.Sort(pids)
	return pids, why
}

// commandNames is names for a command line in one piece.
func commandNames(command, dir string) bool {
	for _, option := range []string{" -D ", " -D"} {
		_, after, found := strings.Cut(command, option+dir)
		if found && (after == "" || strings.HasPrefix(after, " -")) {
			return true
		}
	}
	return false
}
