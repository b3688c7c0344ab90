package pgprobe

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// each reads the rows of an answer: the columns go where to points, then row is called.
func each(rows pgx.Rows, row func() error, to ...any) error {
	_, err := pgx.ForEachRow(rows, to, row)
	return err
}

// nothing is the row function where reading the columns is all.
func nothing() error { return nil }

func (a *answers) readReceiver(rows pgx.Rows) error {
	var r topology.Receiver
	var info string
	return each(rows, func() error {
		found := r
		if found.Host == "" {
			found.Host, found.Port = upstream(info)
		}
		a.Receiver = &found
		return nil
	}, &r.Status, &info, &r.Timeline, &r.Slot, moment{&r.HeardAt}, &r.Host, &r.Port,
		position{&r.Written}, position{&r.Flushed}, position{&r.LatestEnd})
}

// upstream returns host and port of the connection string in pg_stat_wal_receiver, in which the server has masked the
// password. Unreadable text, or a list of hosts, gives none: it is a detail of the picture, not worth losing the observation.
func upstream(text string) (host string, port int) {
	info, err := conninfo.Parse(text)
	if err != nil {
		return "", 0
	}
	server, ok := info.Server()
	if !ok {
		return "", 0
	}
	if server.Host == "" {
		server.Host = server.Addr.String()
	}
	return server.Host, int(server.Port)
}

func (a *answers) readSelf(rows pgx.Rows) error {
	return each(rows, nothing, &a.monitor, &a.Version, &a.SystemID, &a.InRecovery, &a.ReadOnly, &a.Timeline,
		position{&a.Position}, position{&a.Flushed}, position{&a.Replayed}, moment{&a.ReplayedAt}, &a.Replaying, seconds{&a.ReplayDelay},
		moment{&a.StartedAt}, moment{&a.LoadedAt}, moment{&a.ServerTime}, &a.SyncNames)
}

func (a *answers) readSenders(rows pgx.Rows) error {
	var s topology.Sender
	return each(rows, func() error { a.Senders = append(a.Senders, s); return nil },
		&s.Name, &s.Address, &s.State, &s.SyncState, &s.Priority, &s.Slot,
		position{&s.Sent}, position{&s.Written}, position{&s.Flushed}, position{&s.Replayed},
		seconds{&s.WriteLag}, seconds{&s.FlushLag}, seconds{&s.ReplayLag}, moment{&s.Since}, moment{&s.RepliedAt})
}

func (a *answers) readSlots(rows pgx.Rows) error {
	var s topology.Slot
	return each(rows, func() error {
		s.Keeps = -1
		if s.Restart != 0 && a.Position != 0 {
			s.Keeps = max(0, int64(a.Position)-int64(s.Restart))
		}
		a.Slots = append(a.Slots, s)
		return nil
	}, &s.Name, &s.Logical, &s.Temporary, &s.Active, position{&s.Restart}, &s.Status, &s.Safe, &s.Invalid, moment{&s.InactiveSince})
}

func (a *answers) readArchiver(rows pgx.Rows) error {
	a.Archiver = new(topology.Archiver)
	return each(rows, nothing, &a.Archiver.Mode, &a.Archiver.Archived, &a.Archiver.Failed,
		&a.Archiver.LastArchived, moment{&a.Archiver.ArchivedAt}, &a.Archiver.LastFailed, moment{&a.Archiver.FailedAt})
}

func (a *answers) readBlocked(rows pgx.Rows) error {
	return each(rows, nothing, &a.Blocked.Commits, seconds{&a.Blocked.Longest})
}

func (a *answers) readControl(rows pgx.Rows) error {
	c := &a.Control
	return each(rows, nothing, &c.Version, &c.Catalog, position{&c.Checkpoint}, position{&c.Redo}, &c.CheckpointTimeline,
		moment{&c.CheckpointAt}, position{&c.MinRecovery}, &c.MinRecoveryTL,
		&c.SegmentSize, &c.BlockSize, &c.WALBlockSize, &c.Checksums)
}

func (a *answers) readParameters(rows pgx.Rows) error {
	a.Parameters = map[string]topology.Parameter{}
	var name string
	var p topology.Parameter
	return each(rows, func() error {
		if name == "primary_conninfo" {
			p.Value = redacted(p.Value)
		}
		a.Parameters[name] = p
		return nil
	}, &name, &p.Value, &p.Source, &p.File, &p.Line, &p.Pending)
}

// redacted returns a connection string without its secrets, or without everything if it cannot be read.
func redacted(text string) string {
	info, err := conninfo.Parse(text)
	if err != nil {
		return "(unreadable)"
	}
	return info.Redacted().Text()
}

func (a *answers) readCollation(rows pgx.Rows) error { return each(rows, nothing, &a.Collation) }

func (a *answers) readRights(rows pgx.Rows) error {
	return each(rows, nothing, &a.recovering, &a.seesRefused, &a.readsFiles)
}

// position reads a pg_lsn as text; NULL is zero.
type position struct{ to *wal.LSN }

func (p position) Scan(value any) error {
	if value == nil {
		*p.to = 0
		return nil
	}
	return p.to.Scan(value)
}

// moment reads a timestamptz; NULL is zero.
type moment struct{ to *time.Time }

func (m moment) Scan(value any) error {
	at, ok := value.(time.Time)
	if value != nil && !ok {
		return fmt.Errorf("%v is no time", value)
	}
	if *m.to = at; ok {
		*m.to = at.UTC()
	}
	return nil
}

// seconds reads a float8.
type seconds struct{ to *time.Duration }

func (s seconds) Scan(value any) error {
	number, ok := value.(float64)
	if !ok {
		return fmt.Errorf("%v is no number of seconds", value)
	}
	*s.to = time.Duration(number * float64(time.Second))
	return nil
}
