package basebackup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Options say what to make. Only Target is needed.
type Options struct {
	// Target is the folder to make. It may exist if it is empty and no mount point; its parent must exist. The copy is made beside
	// it, in Target + ".incoming"; see the package documentation.
	Target string

	// Aside is the new name of a Target that is not empty. It is renamed when the copy is complete, so that a failure before that
	// leaves it as it was, and must then hold no running server. Nothing may have that name, and it must be in the same file system.
	// Empty means that a Target with something in it is refused.
	Aside string

	// Format is what is in the folder. Zero is [Plain].
	Format Format

	// Tablespaces says where to put the tablespaces, by their location on the server; both are absolute. A tablespace that is not
	// named gets the same location as on the server. Each location must be an empty folder or not exist in a folder that does. With
	// [Tar] it must be empty: the locations are lines of the file tablespace_map inside base.tar.
	Tablespaces map[string]string

	// WAL says how the copy gets the WAL without which it is of no use. Zero is [Stream].
	WAL WALMethod

	// Slot names a physical replication slot to stream from; it must exist. Empty means a temporary one, which lasts as long as its
	// connection. What is in the slot stays there: nothing is confirmed to it. For [Stream] only.
	Slot string

	// Checkpoint is the kind of checkpoint with which a backup of a primary begins. Zero is [Fast].
	Checkpoint Checkpoint

	// Label is the text in the file backup_label. Empty means "understudy base backup".
	Label string

	// MaxRate limits what the server sends, WAL that is streamed along not counted, in bytes per second: 32 KiB to 1 GiB. The server
	// knows whole KiB. Zero means no limit.
	MaxRate int64

	// Manifest is the algorithm of the checksums that the server sends of every file (13+) and with which what arrived is verified.
	// Zero is [CRC32C]. Servers before 13 have no manifest, and the field no effect.
	Manifest Checksum

	// IgnorePageChecksums lets the server send damaged pages. Else (11+) a cluster with data checksums is checked page by page by
	// the server, and damage ends in a [*ChecksumError].
	IgnorePageChecksums bool

	// Prepare is called with the folder of a complete, verified copy that cannot be started yet, to write what makes it a standby or
	// a target of recovery; recovery.Apply is made for it. PG_VERSION is in place, global/pg_control is not. What Prepare wrote
	// is fsynced. For [Plain] only.
	Prepare func(ctx context.Context, dir string) error

	// Progress is called a few times a second while Run runs, and at every change of the phase; never concurrently, and not after
	// Run has returned. It must not block.
	Progress func(Progress)
}

// Format is what a backup looks like on disk.
type Format int

// The formats.
const (
	Plain Format = iota // a data directory
	Tar                 // base.tar, OID.tar for each tablespace, pg_wal.tar for streamed WAL, and backup_manifest
)

// WALMethod is how a backup gets the WAL that was written while it was made.
type WALMethod int

// The ways to get WAL.
const (
	Stream WALMethod = iota // over a second connection, while the files are copied
	Fetch                   // at the end, over the same connection; the server must keep the WAL until then (wal_keep_size)
	NoWAL                   // not at all: the copy can be recovered only with the archive, and Run waits until the server has archived it
)

// Checkpoint is how a primary makes the checkpoint with which a backup begins. A standby uses its last restartpoint.
type Checkpoint int

// The kinds of checkpoint.
const (
	Fast   Checkpoint = iota // at once, with all the writing that takes
	Spread                   // over checkpoint_timeout × checkpoint_completion_target, minutes as a rule
)

// Checksum is an algorithm for the checksums of files in a backup manifest.
type Checksum int

// The algorithms.
const (
	CRC32C Checksum = iota
	SHA224
	SHA256
	SHA384
	SHA512
	SizesOnly // no checksums, but still the list of files with their sizes
)

// checksumNames are the server's words (src/common/checksum_helper.c).
var checksumNames = [...]string{"CRC32C", "SHA224", "SHA256", "SHA384", "SHA512", "NONE"}

// String returns the server's word: CRC32C, SHA224 and so on, and NONE for SizesOnly.
func (c Checksum) String() string {
	if c < 0 || int(c) >= len(checksumNames) {
		return fmt.Sprintf("Checksum(%d)", int(c))
	}
	return checksumNames[c]
}

// Result says what a backup is.
type Result struct {
	Dir           string // the folder, as Options.Target
	Aside         string // the new name of what was there before, if anything was
	Major         pgconf.Major
	SystemID      wal.SystemID
	SegmentSize   uint32       // of WAL, in bytes
	Start, End    wal.LSN      // replay begins at Start; the copy is consistent at End
	StartTimeline wal.Timeline // of Start
	EndTimeline   wal.Timeline // of End; another one if the source is a standby that followed a promotion meanwhile
	Tablespaces   []Tablespace // those besides pg_default and pg_global
	Bytes         int64        // received, WAL that was streamed along included
	Manifest      bool         // whether there is a backup manifest, which was verified then
	Warnings      []string     // what the server said while it made the backup
}

// Tablespace is a tablespace of the source.
type Tablespace struct {
	OID      uint32
	Source   string // its location on the server; of one inside the data directory (15+) relative to that: pg_tblspc/OID
	Location string // where the copy is, or will be when the tar files are unpacked
}

const defaultLabel = "understudy base backup"

// The range of MAX_RATE (MAX_RATE_LOWER and MAX_RATE_UPPER in src/include/backup/basebackup.h), in KiB.
const minRate, maxRate = 32, 1 << 20

// check refuses what can be seen to be wrong without a server.
func (o Options) check() error {
	switch {
	case o.Target == "":
		return errors.New("Target is empty")
	case o.Format != Plain && o.Format != Tar:
		return fmt.Errorf("Format %d does not exist", o.Format)
	case o.WAL < Stream || o.WAL > NoWAL:
		return fmt.Errorf("WAL %d does not exist", o.WAL)
	case o.Checkpoint != Fast && o.Checkpoint != Spread:
		return fmt.Errorf("Checkpoint %d does not exist", o.Checkpoint)
	case o.Manifest < CRC32C || o.Manifest > SizesOnly:
		return fmt.Errorf("Manifest %d does not exist", o.Manifest)
	case o.Slot != "" && o.WAL != Stream:
		return errors.New("Slot is for streaming: set WAL to Stream or leave Slot empty")
	case o.Slot != "" && !validSlot(o.Slot):
		return fmt.Errorf("Slot %q is no name of a slot: 1 to 63 of a-z, 0-9 and _", o.Slot)
	case strings.ContainsAny(o.Label, "\n\r\x00") || len(o.Label) > maxLabel:
		return fmt.Errorf("Label must be one line of at most %d bytes", maxLabel)
	case o.MaxRate != 0 && (o.MaxRate < minRate<<10 || o.MaxRate > maxRate<<10):
		return fmt.Errorf("MaxRate %d is not between %d (32 KiB) and %d (1 GiB) bytes per second", o.MaxRate, minRate<<10, maxRate<<10)
	case o.Format == Tar && len(o.Tablespaces) > 0:
		return errors.New("Tablespaces is for the plain format: with tar files, edit tablespace_map when unpacking them")
	case o.Format == Tar && o.Prepare != nil:
		return errors.New("Prepare is for the plain format")
	}
	return o.checkTablespaces()
}

// maxLabel is MAXPGPATH of the server (do_pg_backup_start in xlog.c).
const maxLabel = 1024

func (o Options) checkTablespaces() error {
	seen := map[string]string{}
	for from, to := range o.Tablespaces {
		if !filepath.IsAbs(from) || !filepath.IsAbs(to) {
			return fmt.Errorf("Tablespaces: %s to %s: both must be absolute", from, to)
		}
		if strings.ContainsAny(to, "\n\r\x00") {
			return fmt.Errorf("Tablespaces: %q is more than one line", to)
		}
		if other, taken := seen[filepath.Clean(to)]; taken {
			return fmt.Errorf("Tablespaces: %s and %s would both be in %s", min(from, other), max(from, other), to)
		}
		seen[filepath.Clean(to)] = from
	}
	return nil
}

// validSlot is ReplicationSlotValidateName (slot.c).
func validSlot(name string) bool {
	return len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
