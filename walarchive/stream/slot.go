package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/internal/walsender"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Server is what a server says of itself.
type Server struct {
	SystemID    wal.SystemID
	SegmentSize uint32 // bytes
	Timeline    wal.Timeline
	Position    wal.LSN // flushed by a primary, received by a standby
}

// Identify asks a server who it is. What New of walarchive wants to know of the cluster is in the answer.
func Identify(ctx context.Context, source conninfo.Info) (Server, error) {
	s, err := connect(ctx, source, defaultName)
	if err != nil {
		return Server{}, err
	}
	s.hangUp(ctx)
	return Server{SystemID: s.system, SegmentSize: s.segSize, Timeline: s.timeline, Position: s.position}, nil
}

// CreateSlot creates a physical replication slot and makes the server keep WAL for it from now on, until it is dropped. A slot that is
// there already is left as it is, which is no error; other failures are a [*SlotError].
func CreateSlot(ctx context.Context, source conninfo.Info, slot string) error {
	return withServer(ctx, source, slot, func(s *server) error {
		_, err := s.createSlot(ctx, slot)
		return err
	})
}

// DropSlot drops a replication slot that nobody uses: the server is free to remove the WAL that it kept for it. A missing slot is
// no error; other failures are a [*SlotError].
func DropSlot(ctx context.Context, source conninfo.Info, slot string) error {
	return withServer(ctx, source, slot, func(s *server) error {
		_, err := s.pg.Exec(ctx, "DROP_REPLICATION_SLOT "+slot).ReadAll()
		if err == nil || code(err) == codeUndefinedObject {
			return nil
		}
		return &SlotError{Slot: slot, Err: err}
	})
}

func withServer(ctx context.Context, source conninfo.Info, slot string, do func(*server) error) error {
	if !validSlot(slot) {
		return fmt.Errorf("slot %q: %s", slot, slotRule)
	}
	s, err := connect(ctx, source, defaultName)
	if err != nil {
		return err
	}
	defer s.hangUp(ctx)
	return do(s)
}

// withReadSlot is the first major with READ_REPLICATION_SLOT.
const withReadSlot = 15

// createSlot reports whether it made the slot.
func (s *server) createSlot(ctx context.Context, slot string) (bool, error) {
	if s.major >= withReadSlot { // so that its log stays clean
		row, err := s.row(ctx, "READ_REPLICATION_SLOT "+slot)
		if err == nil && row[0] != "" {
			return false, nil
		}
	}
	_, err := s.pg.Exec(ctx, "CREATE_REPLICATION_SLOT "+slot+" PHYSICAL RESERVE_WAL").ReadAll()
	switch {
	case err == nil:
		return true, nil
	case code(err) == codeDuplicateObject:
		return false, nil
	}
	return false, &SlotError{Slot: slot, Err: err}
}

// slotStart asks from where on the server keeps WAL for a slot. Zero: nowhere.
func (s *server) slotStart(ctx context.Context, source conninfo.Info, slot string) (place, error) {
	if s.major < withReadSlot {
		lsn, err := slotStartSQL(ctx, source, slot)
		return place{s.timelineOf(lsn), lsn}, err
	}
	row, err := s.row(ctx, "READ_REPLICATION_SLOT "+slot)
	switch {
	case err != nil:
		return place{}, &SlotError{Slot: slot, Err: err}
	case len(row) < 3 || row[0] == "":
		return place{}, &SlotError{Slot: slot, Err: errors.New("does not exist")}
	case row[1] == "":
		return place{}, nil
	}
	lsn, err := wal.ParseLSN(row[1])
	return place{s.timelineOf(lsn), lsn}, err
}

// timelineOf is the timeline of the server's history that a position belongs to.
func (s *server) timelineOf(lsn wal.LSN) wal.Timeline {
	for _, e := range s.history.Entries {
		if lsn < e.End {
			return e.Timeline
		}
	}
	return s.timeline
}

// slotStartSQL asks over an ordinary connection, as a replication connection of these majors cannot tell.
func slotStartSQL(ctx context.Context, source conninfo.Info, slot string) (wal.LSN, error) {
	database := ""
	if name, _ := source.Get("dbname"); name == "" || name == "replication" {
		database = "postgres"
	}
	cfg, err := walsender.Config(source, database, map[string]string{"application_name": defaultName})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return 0, fmt.Errorf("ask where slot %s begins, which before PostgreSQL 15 takes an ordinary connection: %w", slot, err)
	}
	s := &server{pg: pg}
	defer s.hangUp(ctx)
	results, err := pg.Exec(ctx, "select restart_lsn from pg_catalog.pg_replication_slots where slot_name = '"+slot+"'").ReadAll()
	switch {
	case err != nil:
		return 0, fmt.Errorf("ask where slot %s begins: %w", slot, err)
	case len(results) != 1 || len(results[0].Rows) != 1:
		return 0, &SlotError{Slot: slot, Err: errors.New("does not exist")}
	case results[0].Rows[0][0] == nil:
		return 0, nil
	}
	return wal.ParseLSN(string(results[0].Rows[0][0]))
}
