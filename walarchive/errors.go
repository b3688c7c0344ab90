package walarchive

import (
	"errors"
	"fmt"
	"io/fs"
)

// ErrNoMarker is matched by errors about a store without the marker object that the first push writes: an
// archive that nothing was ever pushed to, the wrong place, or the directory below an unmounted disk.
var ErrNoMarker = errors.New("the store holds no archive marker " + MarkerName)

// ForeignArchiveError says that an archive belongs to another cluster.
type ForeignArchiveError struct {
	Archive Identity // whose the archive is
	Cluster Identity // who came to use it
}

func (e *ForeignArchiveError) Error() string {
	if e.Archive.SystemID == e.Cluster.SystemID {
		return fmt.Sprintf("the archive belongs to this cluster, %v, when its segments had %d bytes; now they have %d: start a new archive",
			e.Archive.SystemID, e.Archive.SegmentSize, e.Cluster.SegmentSize)
	}
	return fmt.Sprintf("the archive belongs to the cluster with system identifier %v, not to this one, %v",
		e.Archive.SystemID, e.Cluster.SystemID)
}

// ConflictError says that the archive already holds a file of this name with other content. Neither is touched.
// One of the two is not what its name says: typically two servers were promoted to the same timeline, or a
// restored copy of the cluster archives into the original's archive.
type ConflictError struct {
	Name       string
	Target     string // of several targets, the one that holds the other
	Source     string // path of the file that was pushed
	SourceSize int64  // bytes
	StoredSize int64  // bytes, of the plain file
	SourceSum  string // SHA-256 in hex of the file up to its last page (8 KiB) that is not all zeros
	StoredSum  string
}

func (e *ConflictError) Error() string {
	where := ""
	if e.Target != "" {
		where = " in " + e.Target
	}
	return fmt.Sprintf("%s is already archived%s with other content: pushed %s (%d bytes, sha256 %s), archived %s (%d bytes, sha256 %s); "+
		"nothing more is archived from here until it is known which of two servers may use this archive, and the other gets its own",
		e.Name, where, e.Source, e.SourceSize, e.SourceSum, e.Name, e.StoredSize, e.StoredSum)
}

// ChangedError says that a file changed while it was pushed: it was not what the server had finished.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string { return e.Path + " changed while it was read" }

// SizeError says that a segment does not have the cluster's segment size.
type SizeError struct {
	Name      string
	Want, Got int64 // bytes; Got may be the number read before giving up
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s has %d bytes, want %d", e.Name, e.Got, e.Want)
}

// ContentError says that a history file does not hold what its name says.
type ContentError struct{ Name, Msg string }

func (e *ContentError) Error() string { return e.Name + ": " + e.Msg }

// AbsentError is the proof that an archive does not hold a file: the store said so, and it is this cluster's
// archive that said it. It matches [fs.ErrNotExist].
type AbsentError struct{ Name string }

func (e *AbsentError) Error() string { return e.Name + " is not in the archive" }

// Is reports whether target is [fs.ErrNotExist].
func (e *AbsentError) Is(target error) bool { return target == fs.ErrNotExist }

// UnknownError says that a fetch ended without an answer: the archive may or may not hold a good copy of the
// file. Err is the reason.
type UnknownError struct {
	Name string
	Err  error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("cannot fetch %s, which does not mean that the archive lacks it: %v", e.Name, e.Err)
}

// Unwrap returns the reason, unless it matches [fs.ErrNotExist], as a missing directory does: that match is
// kept for [AbsentError] alone.
func (e *UnknownError) Unwrap() error {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return nil
	}
	return e.Err
}
