package command

import (
	"fmt"

	"github.com/understudy-ha/understudy/pgconf"
)

// Kind is one of the settings of a server that hold a command.
type Kind int

// The kinds. The zero Kind is none of them.
const (
	Archive     Kind = iota + 1 // archive_command: stores the file %p of pg_wal under the name %f
	Restore                     // restore_command: fetches the file named %f to %p; nothing older than %r is needed any more
	Cleanup                     // archive_cleanup_command: may remove what is older than %r; runs on a standby, at each restart point
	RecoveryEnd                 // recovery_end_command: runs once at the end of recovery; %r as for Cleanup
)

var kinds = [...]struct{ name, letters string }{
	{"", ""}, {"archive_command", "fp"}, {"restore_command", "fpr"}, {"archive_cleanup_command", "r"}, {"recovery_end_command", "r"},
}

func (k Kind) valid() bool { return k >= Archive && k <= RecoveryEnd }

// String returns the name of the setting.
func (k Kind) String() string {
	if !k.valid() {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kinds[k].name
}

// letters returns the placeholders that the server knows in a command of this kind, without their percent signs.
func (k Kind) letters() string {
	if !k.valid() {
		return ""
	}
	return kinds[k].letters
}

// Shell is what reads the command once the server has put the values in.
type Shell int

// The shells. The server hands the command to the C library's system().
const (
	POSIX   Shell = iota // /bin/sh -c
	Windows              // cmd.exe /c
)

// Server is what the meaning of a command depends on. The zero value is the newest major on a Unix system.
type Server struct {
	// Major is the server's major version. Zero means [pgconf.Newest].
	Major pgconf.Major

	// Shell is the shell of the machine it runs on.
	Shell Shell
}

func (s Server) major() pgconf.Major {
	if s.Major == 0 {
		return pgconf.Newest
	}
	return s.Major
}

// check refuses what the package does not know.
func (s Server) check(kind Kind) error {
	switch {
	case !kind.valid():
		return fmt.Errorf("command: %v is no kind of command", kind)
	case s.major() < pgconf.Oldest || s.major() > pgconf.Newest:
		return fmt.Errorf("%v: %w: %v", kind, pgconf.ErrMajor, s.Major)
	case s.Shell != POSIX && s.Shell != Windows:
		return fmt.Errorf("%v: Shell %d is not known", kind, s.Shell)
	}
	return nil
}

// refusesUnknown reports whether an unknown placeholder is an error. Before 16 it stays as it is (BuildRestoreCommand in
// src/common/archive.c and its like); since 16 all four kinds go through replace_percent_placeholders.
func (s Server) refusesUnknown() bool { return s.major() >= 16 }

// maxLength returns the number of bytes after which the server cuts the command off when the values are in, or 0 if it does
// not: it used a buffer of MAXPGPATH bytes for restore_command up to 12, and for the others up to 15.
func (s Server) maxLength(kind Kind) int {
	last := pgconf.Major(15)
	if kind == Restore {
		last = 12
	}
	if s.major() > last {
		return 0
	}
	return 1023
}

// wrapsCommand reports whether the server itself puts the quotes around the command that cmd.exe takes off again
// (src/port/system.c, since 9.4).
func (s Server) wrapsCommand() bool { return s.major() >= pgconf.V9_4 }
