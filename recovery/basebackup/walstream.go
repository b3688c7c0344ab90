package basebackup

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// walSink keeps streamed WAL.
type walSink interface {
	begin(name string) error // of a segment
	write(p []byte) error    // its next bytes
	end() error              // of a segment: what was not written is filled up with zeros
	file(name string, content []byte) error
	close() error // after everything was written
	abort()       // closes what is open and of no use
}

// walStream receives WAL while the files are copied.
type walStream struct {
	*server
	slot    string
	segSize uint32
	sink    walSink
	check   *segmentChecker
	track   *tracker

	open bool // a segment is being written
	buf  []byte

	mu     sync.Mutex
	tli    wal.Timeline
	pos    wal.LSN // received up to here
	end    wal.LSN // wanted up to here; zero while not known
	endTLI wal.Timeline
}

// reserve makes the temporary slot, unless there is to be another one. It makes the server keep its WAL from now on until the
// connection ends.
func (s *walStream) reserve() error {
	if s.slot != "" {
		return nil
	}
	s.slot = "understudy_clone_" + strings.ToLower(rand.Text()[:12])
	if _, err := s.query("CREATE_REPLICATION_SLOT " + s.slot + " TEMPORARY PHYSICAL RESERVE_WAL"); err != nil {
		return fmt.Errorf("create a temporary replication slot: %w", err)
	}
	return nil
}

// stopAt says up to where WAL is needed, so that run ends when it has that.
func (s *walStream) stopAt(end wal.LSN, tli wal.Timeline) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end, s.endTLI = end, tli
	if s.reached() {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // run may wait for more
	}
}

func (s *walStream) reached() bool { return s.end != 0 && s.pos >= s.end && s.tli >= s.endTLI }

func (s *walStream) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reached()
}

// run streams from the beginning of the segment that holds start until stopAt is reached, over changes of the timeline if need be.
func (s *walStream) run(ctx context.Context, start wal.LSN, tli wal.Timeline) (err error) {
	defer s.obey(ctx)()
	defer func() {
		if err != nil {
			s.sink.abort()
		}
	}()
	for {
		if err := s.history(tli); err != nil {
			return err
		}
		next, at, err := s.timelineFrom(ctx, wal.SegmentOf(tli, start, s.segSize).Start(s.segSize), tli)
		if err != nil {
			return err
		}
		if err := s.endSegment(); err != nil {
			return err
		}
		if next == 0 {
			return s.sink.close()
		}
		start, tli = at, next
	}
}

// history fetches the history file of a timeline.
func (s *walStream) history(tli wal.Timeline) error {
	if tli == 1 {
		return nil
	}
	rows, err := s.query(fmt.Sprintf("TIMELINE_HISTORY %d", tli))
	if err != nil {
		return fmt.Errorf("timeline history: %w", err)
	}
	if len(rows) != 1 || len(rows[0]) != 2 || rows[0][0] != tli.HistoryName() {
		return fmt.Errorf("timeline history: the server did not send %s", tli.HistoryName())
	}
	if _, err := wal.ParseHistory(tli, []byte(rows[0][1])); err != nil {
		return err
	}
	return s.sink.file(rows[0][0], []byte(rows[0][1]))
}

// timelineFrom streams one timeline. If that ends before enough was received, it returns which comes next, and where.
func (s *walStream) timelineFrom(ctx context.Context, start wal.LSN, tli wal.Timeline) (wal.Timeline, wal.LSN, error) {
	s.mu.Lock()
	s.pos, s.tli = start, tli
	s.mu.Unlock()
	err := s.command(fmt.Sprintf("START_REPLICATION SLOT %q PHYSICAL %v TIMELINE %d", s.slot, start, tli))
	if err != nil {
		return 0, 0, err
	}
	if err := s.want(msgCopyBoth); err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == codeUndefinedFile {
			err = &explained{ErrWALRemoved, err}
		}
		return 0, 0, fmt.Errorf("start streaming at %v: %w", start, err)
	}
	stop := s.keepAlive(ctx)
	defer stop()
	for !s.done() {
		kind, err := s.next()
		switch {
		case err != nil && s.done(): // stopAt has ended the waiting
			continue
		case err != nil:
			return 0, 0, fmt.Errorf("stream WAL at %v: %w", s.position(), err)
		case kind == msgCopyDone:
			stop()
			return s.nextTimeline()
		case kind != msgCopyData:
			return 0, 0, unexpected(kind)
		}
		if err := s.message(); err != nil && !s.done() {
			return 0, 0, fmt.Errorf("stream WAL at %v: %w", s.position(), err)
		}
	}
	return 0, 0, s.send(msgCopyDone, nil)
}

// nextTimeline answers the server's end of a timeline.
func (s *walStream) nextTimeline() (wal.Timeline, wal.LSN, error) {
	if err := s.send(msgCopyDone, nil); err != nil {
		return 0, 0, err
	}
	kind, err := s.next()
	switch {
	case err != nil:
		return 0, 0, err
	case kind == msgComplete: // a server that shuts down says so and goes
		return 0, 0, fmt.Errorf("the server ended the stream at %v: %w", s.position(), ErrConnectionLost)
	case kind != msgRowHead:
		return 0, 0, unexpected(kind)
	}
	if err := s.want(msgRow); err != nil {
		return 0, 0, err
	}
	row, err := s.row()
	if err != nil {
		return 0, 0, err
	}
	if len(row) < 2 {
		return 0, 0, errors.New("the server did not say which timeline comes next")
	}
	at, tli, err := position([][]string{{row[1], row[0]}})
	if err != nil {
		return 0, 0, err
	}
	if tli <= s.tli || at > s.pos {
		return 0, 0, fmt.Errorf("the server ends timeline %d at %v and goes on with %d at %v", s.tli, s.pos, tli, at)
	}
	return tli, at, s.ready()
}

func (s *walStream) position() wal.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pos
}

// message takes the content of a COPY message.
func (s *walStream) message() error {
	var head [25]byte
	if _, err := io.ReadFull(s, head[:1]); err != nil {
		return err
	}
	switch head[0] {
	case 'w':
		if _, err := io.ReadFull(s, head[1:]); err != nil {
			return err
		}
		return s.data(wal.LSN(binary.BigEndian.Uint64(head[1:])))
	case 'k':
		if _, err := io.ReadFull(s, head[1:18]); err != nil {
			return err
		}
		if head[17] != 0 {
			return s.status()
		}
		return nil
	}
	return fmt.Errorf("the server sent a part of type %q, which nobody knows", head[:1])
}

// data takes WAL.
func (s *walStream) data(at wal.LSN) error {
	if at != s.pos {
		return fmt.Errorf("the server sent WAL from %v, not from %v", at, s.pos)
	}
	if s.buf == nil {
		s.buf = make([]byte, readBufferSize)
	}
	for s.left > 0 {
		n, err := s.Read(s.buf)
		if err != nil {
			return err
		}
		if err := s.store(s.buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// store writes WAL that follows what is there.
func (s *walStream) store(p []byte) error {
	for len(p) > 0 {
		seg := wal.SegmentOf(s.tli, s.pos, s.segSize)
		if !s.open {
			if err := s.sink.begin(seg.Name(s.segSize)); err != nil {
				return err
			}
			s.check.begin(seg)
			s.open = true
		}
		rest := int(seg.Start(s.segSize) + wal.LSN(s.segSize) - s.pos) //nolint:gosec // at most the segment size
		n := min(rest, len(p))
		if err := s.sink.write(p[:n]); err != nil {
			return err
		}
		s.check.write(p[:n])
		s.track.wal.Add(int64(n))
		s.mu.Lock()
		s.pos += wal.LSN(n) //nolint:gosec // positive
		s.mu.Unlock()
		if p = p[n:]; n == rest {
			if err := s.endSegment(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *walStream) endSegment() error {
	if !s.open {
		return nil
	}
	s.open = false
	s.check.end()
	return s.sink.end()
}

// statusEvery is how often the server hears from us; wal_sender_timeout is a minute by default.
const statusEvery = 5 * time.Second

// keepAlive sends a status from time to time until it is stopped.
func (s *walStream) keepAlive(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		every := time.NewTicker(statusEvery)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				if s.status() != nil {
					return // the reader will notice
				}
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// status says what was received, and nothing about what is durable: a walsender that was never told a flush position counts as
// no synchronous standby, whatever synchronous_standby_names is, "*" included (SyncRepGetCandidateStandbys in syncrep.c). For that the
// slot keeps all WAL from the beginning of the backup.
func (s *walStream) status() error {
	b := make([]byte, 0, 34)
	b = append(b, 'r')
	b = binary.BigEndian.AppendUint64(b, uint64(s.position()))
	b = binary.BigEndian.AppendUint64(b, 0)                                        // flushed
	b = binary.BigEndian.AppendUint64(b, 0)                                        // replayed
	b = binary.BigEndian.AppendUint64(b, uint64(time.Since(epoch).Microseconds())) //nolint:gosec // after 2000
	b = append(b, 0)
	return s.send(msgCopyData, b)
}

// epoch is zero of the server's clock.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
