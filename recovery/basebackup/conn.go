package basebackup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/understudy-ha/understudy/internal/walsender"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// applicationName is that of both connections, whatever the source says. No node should have it; see also statusUpdate.
const applicationName = "understudy-clone"

// server is a replication connection, and what the server said about itself.
type server struct {
	*wire
	pg       *pgconn.PgConn // for cancel only
	major    pgconf.Major
	system   wal.SystemID
	timeline wal.Timeline
}

// connect opens a replication connection.
func connect(ctx context.Context, source conninfo.Info, warn func(string)) (*server, error) {
	cfg, err := config(source)
	if err != nil {
		return nil, err
	}
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	major, versionErr := pgconf.ParseMajor(pg.ParameterStatus("server_version"))
	hijacked, err := pg.Hijack()
	if err != nil {
		return nil, errors.Join(err, pg.Close(ctx))
	}
	s := &server{wire: newWire(hijacked.Conn, warn), pg: pg, major: major}
	if versionErr == nil && major < oldestMajor {
		versionErr = fmt.Errorf("the server is PostgreSQL %v; base backups are supported from %v on", major, oldestMajor)
	}
	if versionErr != nil {
		s.hangUp()
		return nil, versionErr
	}
	defer s.obey(ctx)()
	if err := s.identify(); err != nil {
		s.hangUp()
		return nil, err
	}
	return s, nil
}

// config is how pgconn connects to the source.
func config(source conninfo.Info) (*pgconn.Config, error) {
	hosts, err := source.Hosts()
	if err != nil {
		return nil, err
	}
	if len(hosts) > 1 {
		return nil, errors.New("the source names several hosts: a backup is of one server, so name that")
	}
	cfg, err := walsender.Config(source, "replication", map[string]string{"replication": "true", "application_name": applicationName})
	if err != nil {
		return nil, err
	}
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(&exactReader{r: r}, w)
	}
	return cfg, nil
}

// exactReader never reads beyond the end of a message, so that no byte stays behind in the buffer of pgx when the connection is
// taken over.
type exactReader struct {
	r    io.Reader
	head [5]byte
	have int // bytes of head
	body int // bytes of the message that are left
}

func (e *exactReader) Read(p []byte) (int, error) {
	if e.body > 0 {
		n, err := e.r.Read(p[:min(len(p), e.body)])
		e.body -= n
		return n, err
	}
	n, err := e.r.Read(p[:min(len(p), len(e.head)-e.have)])
	copy(e.head[e.have:], p[:n])
	if e.have += n; e.have == len(e.head) {
		e.have, e.body = 0, max(0, int(binary.BigEndian.Uint32(e.head[1:]))-4)
	}
	return n, err
}

// obey makes the connection fail when ctx ends. The function that it returns ends that.
func (s *server) obey(ctx context.Context) (release func()) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// identify asks who the server is.
func (s *server) identify() error {
	rows, err := s.query("IDENTIFY_SYSTEM")
	if err != nil {
		return fmt.Errorf("identify the server: %w", err)
	}
	if len(rows) != 1 || len(rows[0]) < 3 {
		return errors.New("identify the server: it gave no answer")
	}
	if s.system, err = wal.ParseSystemID(rows[0][0]); err != nil {
		return fmt.Errorf("identify the server: %w", err)
	}
	if s.timeline, err = parseTimeline(rows[0][1]); err != nil {
		return fmt.Errorf("identify the server: %w", err)
	}
	return nil
}

// show returns a parameter.
func (s *server) show(name string) (string, error) {
	rows, err := s.query("SHOW " + name)
	if err != nil {
		return "", fmt.Errorf("show %s: %w", name, err)
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return "", fmt.Errorf("show %s: the server gave no answer", name)
	}
	return rows[0][0], nil
}

// patience is how long a server may take to answer a goodbye or a cancel request.
const patience = 5 * time.Second

// hangUp ends the connection in an orderly way: the server reads the goodbye, and what it still says is read, because a socket that
// is closed with unread data resets the connection.
func (s *server) hangUp() {
	_ = s.conn.SetDeadline(time.Now().Add(patience))
	if s.send('X', nil) == nil {
		_, _ = io.Copy(io.Discard, s.conn)
	}
	_ = s.conn.Close()
}

// abandon ends the connection and what the server does for it. A walsender that waits for a checkpoint or for the archiver does not
// look at its socket, so it is sent a cancel request.
func (s *server) abandon(ctx context.Context) {
	// It has to be done when ctx has ended, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = s.pg.CancelRequest(ctx) // at worst the server notices later
	_ = s.conn.Close()
}

// lost tells a broken connection from other errors.
func lost(err error) error {
	var netErr net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &netErr) || errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%w (%w)", ErrConnectionLost, err)
	}
	return err
}
