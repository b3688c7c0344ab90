package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/understudy-ha/understudy/internal/walsender"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// patience is how long a server may take to connect, or to answer a short command.
const patience = 20 * time.Second

// SQLSTATEs that decide something.
const (
	codeUndefinedFile   = "58P01" // the segment is gone
	codeUndefinedObject = "42704" // no such slot
	codeDuplicateObject = "42710" // the slot is there
	codeNotReady        = "55000" // the slot is lost or of the wrong kind
	codeSyntax          = "42601" // the command is unknown to this major
)

// server is a replication connection and what the server said of itself.
type server struct {
	pg       *pgconn.PgConn
	major    pgconf.Major
	system   wal.SystemID
	timeline wal.Timeline
	position wal.LSN // flushed by a primary, received by a standby
	segSize  uint32
	history  wal.History
	raw      []byte // the history file; nil for timeline 1
}

// dial opens a replication connection.
func dial(ctx context.Context, source conninfo.Info, name string) (*pgconn.PgConn, error) {
	cfg, err := walsender.Config(source, "replication", map[string]string{"replication": "true", "application_name": name})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return pgconn.ConnectConfig(ctx, cfg)
}

// connect opens a replication connection and asks who the server is.
func connect(ctx context.Context, source conninfo.Info, name string) (*server, error) {
	pg, err := dial(ctx, source, name)
	if err != nil {
		return nil, err
	}
	s := &server{pg: pg}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.identify(ctx); err != nil {
		s.hangUp(ctx)
		return nil, err
	}
	return s, nil
}

// oldestMajor is the first with SHOW on a replication connection.
const oldestMajor = 10

func (s *server) identify(ctx context.Context) (err error) {
	if s.major, err = pgconf.ParseMajor(s.pg.ParameterStatus("server_version")); err != nil {
		return err
	}
	if s.major < oldestMajor {
		return fmt.Errorf("the server is PostgreSQL %v; WAL is received from %d on", s.major, oldestMajor)
	}
	id, err := pglogrepl.IdentifySystem(ctx, s.pg)
	if err != nil {
		return fmt.Errorf("identify the server: %w", err)
	}
	if s.system, err = wal.ParseSystemID(id.SystemID); err != nil {
		return fmt.Errorf("identify the server: %w", err)
	}
	s.timeline, s.position = wal.Timeline(id.Timeline), wal.LSN(id.XLogPos) //nolint:gosec // not negative
	if s.segSize, err = s.segmentSize(ctx); err != nil {
		return err
	}
	return s.readHistory(ctx)
}

// segmentSize asks for wal_segment_size, which comes with a unit.
func (s *server) segmentSize(ctx context.Context) (uint32, error) {
	text, err := s.show(ctx, "wal_segment_size")
	if err != nil {
		return 0, err
	}
	digits, unit := strings.TrimRight(text, "kMGB"), uint64(1)
	switch text[len(digits):] {
	case "kB":
		unit = 1 << 10
	case "MB":
		unit = 1 << 20
	case "GB":
		unit = 1 << 30
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if size := n * unit; err == nil && size <= 1<<30 && wal.ValidSegmentSize(uint32(size)) {
		return uint32(size), nil
	}
	return 0, fmt.Errorf("wal_segment_size of the server is %q", text)
}

func (s *server) show(ctx context.Context, name string) (string, error) {
	row, err := s.row(ctx, "SHOW "+name)
	if err != nil {
		return "", fmt.Errorf("show %s: %w", name, err)
	}
	return row[0], nil
}

// row returns the one row of a command. NULL is empty.
func (s *server) row(ctx context.Context, command string) ([]string, error) {
	results, err := s.pg.Exec(ctx, command).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) == 0 {
		return nil, errors.New("the server gave no answer")
	}
	row := make([]string, len(results[0].Rows[0]))
	for i, v := range results[0].Rows[0] {
		row[i] = string(v)
	}
	return row, nil
}

// readHistory asks for the history of the server's timeline.
func (s *server) readHistory(ctx context.Context) error {
	s.history = wal.History{Timeline: s.timeline}
	if s.timeline == 1 {
		return nil
	}
	h, err := pglogrepl.TimelineHistory(ctx, s.pg, int32(s.timeline)) //nolint:gosec // it came as one
	if err != nil {
		return fmt.Errorf("timeline history: %w", err)
	}
	if h.FileName != s.timeline.HistoryName() {
		return fmt.Errorf("timeline history: the server sent %s for %s", h.FileName, s.timeline.HistoryName())
	}
	s.raw = append([]byte{}, h.Content...)
	s.history, err = wal.ParseHistory(s.timeline, s.raw)
	return err
}

// isPrimary reports whether the server is certainly not in recovery.
func (s *server) isPrimary(ctx context.Context) (bool, error) {
	text, err := s.show(ctx, "transaction_read_only") // on in recovery, for every session
	return text == "off", err
}

// hangUp ends a connection that is not streaming.
func (s *server) hangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // also when ctx has ended, so that the slot is free
	defer cancel()
	_ = s.pg.Close(ctx)
}

// stream is a connection on which WAL comes.
type stream struct {
	conn     net.Conn
	frontend *pgproto3.Frontend
	writing  sync.Mutex
}

// start begins to stream from a place. After that the server can do nothing else.
func (s *server) start(ctx context.Context, slot string, at place) (*stream, error) {
	hijacked, err := s.pg.Hijack()
	if err != nil {
		return nil, err
	}
	st := &stream{conn: hijacked.Conn, frontend: hijacked.Frontend}
	stop := st.obey(ctx)
	defer stop()
	command := "START_REPLICATION "
	if slot != "" {
		command += "SLOT " + slot + " "
	}
	command += fmt.Sprintf("PHYSICAL %v TIMELINE %d", at.lsn, at.tli)
	_ = st.conn.SetDeadline(time.Now().Add(patience))
	st.frontend.SendQuery(&pgproto3.Query{String: command})
	if err := st.frontend.Flush(); err != nil {
		return nil, errors.Join(lost(err), st.conn.Close())
	}
	for {
		msg, err := st.frontend.Receive()
		if err != nil {
			return nil, errors.Join(lost(err), st.conn.Close())
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyBothResponse:
			return st, st.conn.SetDeadline(time.Time{})
		case *pgproto3.ErrorResponse:
			err := pgconn.ErrorResponseToPgError(msg)
			st.hangUp()
			return nil, err
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus, *pgproto3.RowDescription, *pgproto3.DataRow, *pgproto3.CommandComplete:
			// the last three say that the timeline ended exactly there, before CopyBoth could begin
		case *pgproto3.ReadyForQuery:
			st.hangUp()
			return nil, errTimelineEnded
		default:
			return nil, errors.Join(fmt.Errorf("the server answered START_REPLICATION with %T", msg), st.conn.Close())
		}
	}
}

// errTimelineEnded says that the server has no more WAL of the timeline.
var errTimelineEnded = errors.New("the timeline ended")

// obey makes the connection fail when ctx ends, until stop is called.
func (st *stream) obey(ctx context.Context) (stop func()) {
	release := context.AfterFunc(ctx, func() { _ = st.conn.SetDeadline(time.Unix(1, 0)) })
	return func() { release() }
}

// send writes a message; it may be called from several goroutines.
func (st *stream) send(message []byte) error {
	st.writing.Lock()
	defer st.writing.Unlock()
	_, err := st.conn.Write(message)
	return lost(err)
}

// hangUp ends the connection in an orderly way, so that the server sees at once that the slot is free.
func (st *stream) hangUp() {
	_ = st.conn.SetDeadline(time.Now().Add(time.Second))
	if st.send([]byte{'X', 0, 0, 0, 4}) == nil {
		_, _ = io.Copy(io.Discard, st.conn)
	}
	_ = st.conn.Close()
}

// lost tells a broken connection from other errors.
func lost(err error) error {
	var netErr net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &netErr) || errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%w (%w)", ErrConnectionLost, err)
	}
	return err
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
