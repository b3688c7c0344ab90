package basebackup

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// What can be in the way of a backup. Errors of [Run] match these with errors.Is, and what the server itself said with errors.As
// and [*pgconn.PgError]. A full disk matches [syscall.ENOSPC] or [syscall.EDQUOT].
var (
	// ErrNotEmpty says that Target or the location of a tablespace has something in it. Nothing was changed.
	ErrNotEmpty = errors.New("is not empty")

	// ErrBusy says that another Run is making a copy for the same Target.
	ErrBusy = errors.New("another base backup is being made there")

	// ErrConnections says that the server has no connection to give: max_wal_senders, the limit of the role or max_connections.
	ErrConnections = errors.New("the server has no connection free: a backup needs one, and another one for WAL that is streamed " +
		"along (raise max_wal_senders or the role's CONNECTION LIMIT, or set WAL to Fetch)")

	// ErrNoAccess says that no line of pg_hba.conf lets the role in for replication.
	ErrNoAccess = errors.New("pg_hba.conf of the server has no line for database replication, this role and address")

	// ErrNotReplication says that the role has not the attribute REPLICATION.
	ErrNotReplication = errors.New("the role needs the attribute REPLICATION")

	// ErrSlot says that the replication slot is missing, in use, of the wrong kind or lost, or that no temporary one can be made.
	ErrSlot = errors.New("no replication slot to stream from (raise max_replication_slots, name another Slot, or set WAL to Fetch)")

	// ErrWALRemoved says that the server has removed WAL that the copy needs.
	ErrWALRemoved = errors.New("the server has already removed WAL that the copy needs (set WAL to Stream, or raise wal_keep_size " +
		"or max_slot_wal_keep_size)")

	// ErrPromoted says that the source, a standby, was promoted meanwhile, which makes the copy worthless.
	ErrPromoted = errors.New("the standby was promoted while it was being copied: begin again")

	// ErrConnectionLost says that the server or the network went away. A copy cannot be resumed: begin again.
	ErrConnectionLost = errors.New("the connection was lost; a base backup cannot be resumed: begin again")
)

// ChecksumError says that the server found damaged pages (data checksums that do not match) in what it sent. What is damaged is the
// source.
type ChecksumError struct {
	Pages []string // what the server said about them; it names five of each file at most
}

func (e *ChecksumError) Error() string {
	if len(e.Pages) == 0 {
		return "the source has damaged pages; its log names them"
	}
	return "the source has damaged pages: " + strings.Join(e.Pages, "; ")
}

// ManifestError says how what arrived differs from the server's backup manifest, or what is wrong with that itself.
type ManifestError struct {
	File string // relative to the data directory; empty if the manifest itself is meant
	Msg  string
}

func (e *ManifestError) Error() string {
	if e.File == "" {
		return "backup manifest: " + e.Msg
	}
	return fmt.Sprintf("backup manifest: %q: %s", e.File, e.Msg)
}

// ArchiveError says that what the server sent is not what a PostgreSQL server sends: cut short, damaged, or made to write outside the
// target.
type ArchiveError struct {
	Archive string // base.tar, or OID.tar of a tablespace
	Member  string // empty if it is not about one
	Msg     string
}

func (e *ArchiveError) Error() string {
	if e.Member == "" {
		return e.Archive + " from the server: " + e.Msg
	}
	return fmt.Sprintf("%s from the server: member %q: %s", e.Archive, e.Member, e.Msg)
}

// WALError says what is missing or wrong in the WAL of a copy.
type WALError struct {
	Segment string // name of the file
	Msg     string
}

func (e *WALError) Error() string { return fmt.Sprintf("WAL segment %s: %s", e.Segment, e.Msg) }

// SQLSTATE codes (src/backend/utils/errcodes.txt).
const (
	codeTooManyConnections = "53300"
	codeInvalidAuth        = "28000"
	codeNoPrivilege        = "42501"
	codeUndefinedFile      = "58P01" // of START_REPLICATION: the segment is gone
	codeUndefinedObject    = "42704"
	codeObjectInUse        = "55006"
	codeLimitExceeded      = "53400"
	codeNotInState         = "55000"
	codeDataCorrupted      = "XX001"
	codeAdminShutdown      = "57P01"
	codeCrashShutdown      = "57P02"
)

// walRemoved are the texts for a segment that is gone (CheckXLogRemoved in xlog.c, perform_base_backup in basebackup.c); their codes
// say nothing.
var walRemoved = regexp.MustCompile(`requested WAL segment [0-9A-F]{24} has already been removed|could not find (any )?WAL file`)

// meaning returns which of our errors an error of the server is, or nil. Only few codes are of one meaning, so the texts count too;
// a server that speaks another language is still quoted.
func meaning(e *pgconn.PgError) error {
	switch e.Code {
	case codeTooManyConnections:
		return ErrConnections
	case codeInvalidAuth:
		if strings.Contains(e.Message, "pg_hba.conf") {
			return ErrNoAccess
		}
	case codeNoPrivilege:
		return ErrNotReplication
	case codeUndefinedObject, codeObjectInUse, codeLimitExceeded:
		return ErrSlot
	case codeNotInState:
		switch {
		case strings.Contains(e.Message, "promoted"):
			return ErrPromoted
		case strings.Contains(e.Message, "slot"):
			return ErrSlot
		}
	case codeAdminShutdown, codeCrashShutdown:
		return ErrConnectionLost
	}
	if walRemoved.MatchString(e.Message) {
		return ErrWALRemoved
	}
	return nil
}

// explained is an error of the server beside what it means.
type explained struct {
	meaning error
	cause   error
}

func (e *explained) Error() string   { return fmt.Sprintf("%v (server: %v)", e.meaning, e.cause) }
func (e *explained) Unwrap() []error { return []error{e.meaning, e.cause} }

// explain adds what an error of the server or the disk means.
func explain(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if m := meaning(pg); m != nil {
			return &explained{m, err}
		}
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the disk is full; what was copied is removed: %w", err)
	}
	return err
}
