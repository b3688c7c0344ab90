package lookahead

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Config is what [New] needs.
type Config struct {
	// Spool is the folder of the helper, which is made if it is missing; see the package comment.
	Spool string
	// Bond is whose helper this is.
	Bond Bond
	// Archive does the work.
	Archive Archive
	// Workers is how many files are pushed ahead at once, and as many fetched. Each costs the memory and the connections of one Push or
	// Fetch. Zero means 2.
	Workers int
	// PushAhead is how many files may be in the archive before the server asked for them. Zero means 32, negative none.
	PushAhead int
	// FetchAhead is how many segments may lie in the spool. Zero means 16, negative none.
	FetchAhead int
	// FetchBytes is how many bytes of segments may lie in the spool, besides the one that was asked for. Zero means 512 MiB.
	FetchBytes int64
	// Idle is after how long without a request the helper ends. Zero means never.
	Idle time.Duration
	// Logger gets what happens while nobody waits. Nil means nothing.
	Logger *slog.Logger
}

// Server is the helper process's work.
type Server struct{ cfg Config }

// New returns the helper that cfg describes. It does no input or output.
func New(cfg Config) (*Server, error) {
	switch err := cfg.Bond.validate(); {
	case cfg.Spool == "":
		return nil, errors.New("Spool: missing")
	case err != nil:
		return nil, err
	case cfg.Archive == nil:
		return nil, errors.New("Archive: missing")
	case cfg.Workers < 0:
		return nil, errors.New("Workers: negative")
	case cfg.FetchBytes < 0:
		return nil, errors.New("FetchBytes: negative")
	case cfg.Idle < 0:
		return nil, errors.New("Idle: negative")
	}
	if cfg.Workers == 0 {
		cfg.Workers = 2
	}
	if cfg.PushAhead == 0 {
		cfg.PushAhead = 32
	}
	if cfg.FetchAhead == 0 {
		cfg.FetchAhead = 16
	}
	if cfg.FetchBytes == 0 {
		cfg.FetchBytes = 512 << 20
	}
	cfg.FetchAhead = int(min(int64(max(cfg.FetchAhead, 0)), cfg.FetchBytes/int64(cfg.Bond.SegmentSize)))
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg}, nil
}

// Run serves until ctx ends or nobody has asked for [Config].Idle, and returns nil then. [ErrRunning] means that another helper has the
// spool, a [*ForeignSpoolError] that it is another cluster's; other errors say why the spool cannot be used.
func (s *Server) Run(ctx context.Context) error {
	spool, err := openSpool(s.cfg.Spool, s.cfg.Bond)
	if err != nil {
		return err
	}
	defer spool.close()
	listener, err := listen(ctx, filepath.Join(spool.path, socketName))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopListening := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stopListening()
	crew := newCrew(ctx)
	desk := &desk{
		bond:   s.cfg.Bond,
		push:   newPusher(s.cfg.Archive, s.cfg.Workers, s.cfg.PushAhead, crew, s.cfg.Logger),
		fetch:  newFetcher(s.cfg.Archive, spool.files(), s.cfg.Bond.SegmentSize, s.cfg.Workers, s.cfg.FetchAhead, crew, s.cfg.Logger),
		watch:  newWatch(s.cfg.Idle, cancel),
		beat:   time.Second,
		reader: 5 * time.Second,
	}
	s.cfg.Logger.InfoContext(ctx, "helper serves", "spool", s.cfg.Spool)
	err = serve(listener, crew, desk)
	stopped := ctx.Err() != nil
	cancel()
	crew.group.Wait()
	if !stopped {
		return err
	}
	s.cfg.Logger.InfoContext(ctx, "helper ends", "spool", s.cfg.Spool)
	return spool.empty()
}

// listen listens at path, whose lock the caller holds: a socket that is there is a dead helper's.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("spool: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("spool: %w", err)
	}
	return listener, nil
}

// serve accepts until the listener is closed.
func serve(listener net.Listener, crew *crew, desk *desk) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		crew.start(func(ctx context.Context) {
			defer conn.Close()
			desk.converse(ctx, conn)
		})
	}
}

// desk answers requests.
type desk struct {
	bond   Bond
	push   *pusher
	fetch  *fetcher
	watch  *watch
	beat   time.Duration // between two signs of life
	reader time.Duration // how long a client may take to say what it wants, and to read
}

// converse has one conversation. Whatever goes wrong with the client is the client's business: it does the work itself.
func (d *desk) converse(ctx context.Context, conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(d.reader))
	if _, err := conn.Write([]byte(greeting + "\n")); err != nil {
		return
	}
	req, err := readRequest(bufio.NewReaderSize(conn, maxLine))
	if err == nil {
		err = d.admit(req)
	}
	if err != nil {
		_ = writeMessage(conn, response{Outcome: refused, Name: req.Name, Message: err.Error()})
		return
	}
	defer d.watch.leave()
	_ = writeMessage(conn, d.attend(ctx, conn, req))
}

func readRequest(r *bufio.Reader) (request, error) {
	if err := readGreeting(r); err != nil {
		return request{}, err
	}
	line, err := readLine(r)
	if err != nil {
		return request{}, err
	}
	var req request
	err = readMessage(line, &req)
	return req, err
}

// admit lets a request of our own cluster in; the caller must then call watch.leave.
func (d *desk) admit(req request) error {
	if difference := d.bond.differs(req.Bond); difference != "" {
		return fmt.Errorf("the helper is another one's: %s differ", difference)
	}
	if req.Verb != verbPush && req.Verb != verbFetch {
		return fmt.Errorf("no such request: %.40q", req.Verb)
	}
	if !d.watch.enter() {
		return errors.New("the helper is ending")
	}
	return nil
}

// attend does what is asked and gives signs of life meanwhile. When the client is gone, the wait ends, and the work goes on.
func (d *desk) attend(ctx context.Context, conn net.Conn, req request) response {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan response, 1)
	go func() { answer <- d.answer(ctx, req) }()
	beat := time.NewTicker(d.beat)
	defer beat.Stop()
	for {
		select {
		case r := <-answer:
			_ = conn.SetDeadline(time.Now().Add(d.reader))
			return r
		case <-beat.C:
			_ = conn.SetDeadline(time.Now().Add(d.reader))
			if _, err := conn.Write([]byte(patience + "\n")); err != nil {
				cancel()
			}
		}
	}
}

func (d *desk) answer(ctx context.Context, req request) response {
	r := response{Name: req.Name}
	name, err := wal.ParseFileName(req.Name)
	switch {
	case err != nil:
		r.Outcome = refused
	case req.Verb == verbPush && (!filepath.IsAbs(req.Path) || filepath.Base(req.Path) != req.Name):
		r.Outcome, err = refused, fmt.Errorf("no path of %s: %.200q", req.Name, req.Path)
	case req.Verb == verbPush:
		err = d.push.push(ctx, req.Path, req.File)
		r.Outcome = pushOutcome(err)
	default:
		err = d.fetch.fetch(ctx, name)
		r.Outcome = fetchOutcome(err)
	}
	if err != nil {
		r.Message = fmt.Sprintf("%.2000s", err) // much less than a line may have
	}
	return r
}

func pushOutcome(err error) outcome {
	switch {
	case err == nil:
		return archived
	case errors.Is(err, errOtherFile):
		return refused
	case errors.As(err, new(*walarchive.ConflictError)):
		return conflict
	case errors.As(err, new(*walarchive.ForeignArchiveError)):
		return foreign
	}
	return failed
}

func fetchOutcome(err error) outcome {
	switch {
	case err == nil:
		return delivered
	case isAbsent(err):
		return absent
	}
	return unknown
}

// isAbsent reports whether err is the proof that the archive does not hold a file.
func isAbsent(err error) bool { return errors.As(err, new(*walarchive.AbsentError)) }
