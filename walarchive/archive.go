package walarchive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"filippo.io/age"

	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Identity is what tells one cluster's WAL from another's. Both facts stand in its pg_control.
type Identity struct {
	SystemID    wal.SystemID
	SegmentSize uint32 // bytes
}

// Need says what a push owes a target.
type Need int

// The needs. Whatever the need, a file with other content in the target fails the push.
const (
	Must       Need = iota // without this target there is no success
	Quorum                 // Config.Quorum of all such targets must have the file
	BestEffort             // success does not depend on it; nothing is made up for later
)

// Target is one of the places where an archive keeps its files.
type Target struct {
	// Name stands for the target in messages and events. Default: where the Store says that it is.
	Name string
	// Store holds the objects.
	Store Store
	// Encoding is for what is pushed: segments and partial segments as it says; timeline and backup histories plain, or encrypted if
	// it has recipients. Whatever lies in the store already is read by its own format, so it can be changed at any time.
	Encoding codec.Encoding
	// Need is Must unless set.
	Need Need
}

// Config is what [New] needs. One store is enough:
//
//	walarchive.Config{Targets: []walarchive.Target{{Store: store}}, Identity: id}
type Config struct {
	// Targets hold the archive. Push writes to all of them side by side; Fetch asks them in this order.
	Targets []Target
	// Quorum is how many of the targets with that need a push must reach. 0 means more than half of them.
	Quorum int
	// Identity is the cluster's. Every segment that goes in or comes out must carry it.
	Identity Identity
	// Keys are the age identities that decrypt what is fetched or compared. A push needs none.
	Keys []age.Identity
	// CheckRecords has Push and Verify look into segments: at the lengths, the order and the checksums of the WAL records (from 9.5 on),
	// for a server whose disk or memory is not trusted. It costs some milliseconds for 16 MiB.
	CheckRecords bool
	// Timeout is the longest that one call of a method may take. 0 means 10 minutes; negative means as long as the caller's context.
	Timeout time.Duration
	// Patience is how long a push that is already successful goes on with the targets it can do without. 0 means 5 seconds; negative
	// means not at all.
	Patience time.Duration
	// Logger gets warnings: a damaged copy in the store, a target that failed and was not needed. nil discards them.
	Logger *slog.Logger
	// Hooks are told what happened, for metrics.
	Hooks Hooks
}

// Event is something that happened to an archived file, in one target.
type Event struct {
	Name     string        // of the file
	Object   string        // of the object: Name, or a copy beside it
	Target   string        // of the target
	Size     int64         // bytes of the file
	Stored   int64         // bytes of the object, as far as this call wrote them
	Duration time.Duration // what it took in this target
	Err      error         // what went wrong
}

// Hooks are functions to be called after the fact, perhaps several at once. They must not block. Any may be nil.
type Hooks struct {
	Pushed   func(Event) // the target has the file: written now if Stored > 0, or found there
	Fetched  func(Event) // the file was delivered
	Conflict func(Event) // the target has the name with other content: Err is a *ConflictError
	Damaged  func(Event) // the target's copy is damaged: Err says how
	Repaired func(Event) // a good copy was written beside a damaged one
	Failed   func(Event) // the target failed in another way: Err says how
}

// Archive is one cluster's WAL archive. Its methods are safe for concurrent use.
type Archive struct {
	targets  []*target
	quorum   int
	id       Identity
	timeout  time.Duration
	patience time.Duration

	checkRecords bool
}

const (
	defaultTimeout  = 10 * time.Minute
	defaultPatience = 5 * time.Second
)

// New returns the archive that cfg describes. It does no input or output.
func New(cfg Config) (*Archive, error) {
	switch {
	case cfg.Identity.SystemID == 0:
		return nil, errors.New("Identity.SystemID: missing")
	case !wal.ValidSegmentSize(cfg.Identity.SegmentSize):
		return nil, errors.New("Identity.SegmentSize: want a power of two from 1 MiB to 1 GiB")
	}
	a := &Archive{id: cfg.Identity, quorum: cfg.Quorum, timeout: orDefault(cfg.Timeout, defaultTimeout),
		patience: orDefault(cfg.Patience, defaultPatience), checkRecords: cfg.CheckRecords}
	var err error
	if a.targets, err = newTargets(cfg); err != nil {
		return nil, err
	}
	inQuorum := countNeed(a.targets, Quorum)
	switch {
	case a.quorum == 0 && inQuorum > 0:
		a.quorum = inQuorum/2 + 1
	case a.quorum < 0 || a.quorum > inQuorum:
		return nil, fmt.Errorf("Quorum: %d, and there are %d targets that count", a.quorum, inQuorum)
	}
	if a.quorum == 0 && countNeed(a.targets, Must) == 0 {
		return nil, errors.New("Targets: at least one must be needed, or nothing would ever be archived for certain")
	}
	return a, nil
}

func orDefault(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return d
}

func newTargets(cfg Config) ([]*target, error) {
	if len(cfg.Targets) == 0 {
		return nil, errors.New("Targets: missing")
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var targets []*target
	for i, t := range cfg.Targets {
		if t.Store == nil {
			return nil, fmt.Errorf("Targets[%d].Store: missing", i)
		}
		if t.Need < Must || t.Need > BestEffort {
			return nil, fmt.Errorf("Targets[%d].Need: there is no such need", i)
		}
		if err := t.Encoding.Check(); err != nil {
			return nil, fmt.Errorf("Targets[%d].Encoding: %w", i, err)
		}
		if t.Name == "" {
			t.Name = t.Store.String()
		}
		targets = append(targets, &target{Target: t, id: cfg.Identity, keys: cfg.Keys, log: log, hooks: cfg.Hooks, several: len(cfg.Targets) > 1,
			checkRecords: cfg.CheckRecords})
	}
	return targets, nil
}

func countNeed(targets []*target, n Need) int {
	count := 0
	for _, t := range targets {
		if t.Need == n {
			count++
		}
	}
	return count
}

// Open returns the archive that cfg describes, whose cluster is the one that the marker names: for listing and verifying where there
// is no data directory. cfg.Identity must be zero. The first target that has a marker counts; without any the error matches
// [ErrNoMarker].
func Open(ctx context.Context, cfg Config) (*Archive, error) {
	if cfg.Identity != (Identity{}) {
		return nil, errors.New("Identity: the archive's own is taken")
	}
	targets, err := newTargets(cfg)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, t := range targets {
		id, err := t.owner(ctx)
		if err == nil {
			cfg.Identity = id
			return New(cfg)
		}
		errs = append(errs, t.wrap(err))
	}
	return nil, errors.Join(errs...)
}

// Identity is whose archive it is.
func (a *Archive) Identity() Identity { return a.id }

// Stores returns the targets' stores, in their order.
func (a *Archive) Stores() []Store {
	stores := make([]Store, 0, len(a.targets))
	for _, t := range a.targets {
		stores = append(stores, t.Store)
	}
	return slices.Clip(stores)
}

// limited returns a context that ends with the call's time.
func (a *Archive) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if a.timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("no result after %v: %w", a.timeout, context.DeadlineExceeded))
}
