package stream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Archive is where received WAL goes. [*walarchive.Archive] is one. Its methods are called by one goroutine at a time.
type Archive interface {
	// Push archives the file at path under its own name, a segment or a timeline history, and returns nil only when no crash can
	// undo that. The same name with the same content is success, with other content an error.
	Push(ctx context.Context, path string) error

	// PushReceived stores the beginning of a segment that is still being received, of upto bytes, in the place of shorter ones. A longer one
	// stays. r is an io.ReaderAt, too.
	PushReceived(ctx context.Context, segment string, upto uint32, r io.Reader) error

	// Names returns the names of the archived files. It fails if it cannot tell: an archive that is out of reach is not empty. One that
	// nothing was ever pushed to may match [walarchive.ErrNoMarker].
	Names(ctx context.Context) ([]string, error)
}

var _ Archive = (*walarchive.Archive)(nil)

// Config says what a [Receiver] receives, from where, and what it does with it.
type Config struct {
	// Source is how to reach the server: a primary or a standby. The user needs the attribute REPLICATION and a line of pg_hba.conf for
	// the database "replication". With several hosts they are tried in order, target_session_attrs counts.
	Source conninfo.Info

	// Dir is the staging directory: an existing local directory for this receiver alone. It holds what the archive does not hold yet;
	// the segment that is being received is NAME.partial there, as with pg_receivewal.
	Dir string

	// Archive gets complete segments, timeline histories and snapshots. Without one, everything stays in Dir.
	Archive Archive

	// Slot is the physical replication slot that makes the server keep WAL for us. Empty: none, so a long interruption may end in
	// a [*GapError].
	Slot string
	// CreateSlot makes the slot, reserving WAL, on a server that does not have it. The receiver never drops a slot.
	CreateSlot bool

	// SystemID is the cluster's. Zero takes any server's when Dir is empty, and Dir's otherwise.
	SystemID wal.SystemID

	// ApplicationName is the name for synchronous_standby_names. Empty means "understudy-receive".
	ApplicationName string

	// Synchronous makes everything durable and reports it at once, so that commits can wait for it. Without it that happens every
	// FlushEvery.
	Synchronous bool
	// FlushEvery is how often WAL is made durable and reported without Synchronous. Zero means 1 s.
	FlushEvery time.Duration
	// SnapshotEvery is how often the beginning of the segment that is being received is archived, if there is more of it than last
	// time. Zero means 5 s, negative means never.
	SnapshotEvery time.Duration
	// StatusEvery is how often the server hears from us at least; wal_sender_timeout must be longer. Zero means 10 s.
	StatusEvery time.Duration
	// ServerTimeout is after how long without a word from the server, which is asked in between, the connection is given up. Zero
	// means 60 s.
	ServerTimeout time.Duration
	// RetryEvery is the longest pause between two attempts to connect, or to archive. The first is a tenth of it. Zero means 10 s.
	RetryEvery time.Duration

	// StopAt ends Run when WAL up to this position is received, durable and archived. Zero: never.
	StopAt wal.LSN

	// AcceptGap goes on where the server can when it no longer has the WAL that comes next, instead of ending Run with a [*GapError]. A base
	// backup from before the gap cannot be recovered beyond it: make a new one.
	AcceptGap bool

	// Logger gets changes of state. Nil: none.
	Logger *slog.Logger
	// OnProblem is called with each failure that is tried again, of the connection or the archive, from several goroutines.
	// It must not block.
	OnProblem func(error)
}

// The defaults of [Config].
const (
	defaultName          = "understudy-receive"
	defaultFlushEvery    = time.Second
	defaultSnapshotEvery = 5 * time.Second
	defaultStatusEvery   = 10 * time.Second
	defaultServerTimeout = 60 * time.Second
	defaultRetryEvery    = 10 * time.Second
)

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("Dir: missing")
	}
	if c.Slot != "" && !validSlot(c.Slot) {
		return c, errors.New("Slot: " + slotRule)
	}
	if c.CreateSlot && c.Slot == "" {
		return c, errors.New("CreateSlot: needs Slot")
	}
	for _, d := range []struct {
		name    string
		value   *time.Duration
		initial time.Duration
	}{
		{"FlushEvery", &c.FlushEvery, defaultFlushEvery},
		{"StatusEvery", &c.StatusEvery, defaultStatusEvery},
		{"ServerTimeout", &c.ServerTimeout, defaultServerTimeout},
		{"RetryEvery", &c.RetryEvery, defaultRetryEvery},
	} {
		if *d.value < 0 {
			return c, errors.New(d.name + ": negative")
		}
		if *d.value == 0 {
			*d.value = d.initial
		}
	}
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = defaultSnapshotEvery
	}
	if c.ApplicationName == "" {
		c.ApplicationName = defaultName
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

const slotRule = "want 1 to 63 lower-case letters, digits and underscores"

func validSlot(name string) bool {
	return name != "" && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
