package lookahead

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Client is an [Archive] that asks the helper first, and does the work itself if need be. It is safe for concurrent use.
type Client struct {
	// Spool is the folder of the helper, as an absolute path or one relative to the working directory.
	Spool string
	// Bond is who asks. A helper with another bond does not answer.
	Bond Bond
	// Open opens the archive. It is called when the client must do the work itself, once for each such call.
	Open func(ctx context.Context) (Archive, error)
	// Start starts a helper, and does not wait for it: [Spawn]. It is called when none listens. Nil means that nobody is started.
	Start func(ctx context.Context) error
	// Silence is how long the helper may give no sign of life before the client does the work itself. Zero means 10 seconds.
	Silence time.Duration
	// Logger gets why the client did the work itself, at level info, or at level warn if that stays so until somebody changes something: a
	// spool that is refused, a helper that cannot be started. Nil means nothing.
	Logger *slog.Logger
}

// Push archives the file at path, as [walarchive.Archive.Push] does and with its errors.
func (c Client) Push(ctx context.Context, path string) error {
	ok, err := c.pushed(ctx, path)
	if ok {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.explain(ctx, filepath.Base(path), err)
	archive, err := c.Open(ctx)
	if err != nil {
		return err
	}
	return archive.Push(ctx, path)
}

func (c Client) pushed(ctx context.Context, path string) (bool, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return false, err
	}
	file, err := fingerprintOf(absolute)
	if err != nil {
		return false, err
	}
	r, err := c.ask(ctx, request{Verb: verbPush, Name: filepath.Base(absolute), Path: absolute, File: file})
	if err != nil || r.Outcome != archived {
		return false, errors.Join(err, r.problem())
	}
	return true, nil
}

// Fetch copies the archived file called name to dst, as [walarchive.Archive.Fetch] does and with its errors.
func (c Client) Fetch(ctx context.Context, name, dst string) error {
	r, err := c.ask(ctx, request{Verb: verbFetch, Name: name})
	switch {
	case err != nil:
	case r.Outcome == absent:
		return &walarchive.AbsentError{Name: name}
	case r.Outcome == delivered:
		if err = c.take(name, dst); err == nil {
			return nil
		}
	default:
		err = r.problem()
	}
	if ctx.Err() != nil {
		return &walarchive.UnknownError{Name: name, Err: context.Cause(ctx)}
	}
	c.explain(ctx, name, err)
	archive, err := c.Open(ctx)
	if err != nil {
		return &walarchive.UnknownError{Name: name, Err: err}
	}
	return archive.Fetch(ctx, name, dst)
}

// explain says why the client works itself.
func (c Client) explain(ctx context.Context, name string, err error) {
	if c.Logger == nil {
		return
	}
	level := slog.LevelInfo
	if errors.As(err, new(*uselessError)) {
		level = slog.LevelWarn
	}
	c.Logger.Log(ctx, level, "done without the helper", "file", name, "error", err)
}

// uselessError says that there is no helper and will be none until somebody changes something.
type uselessError struct{ error }

func (e *uselessError) Unwrap() error { return e.error }

// problem is what the helper says it could not do.
func (r response) problem() error {
	if r.Outcome == "" {
		return nil
	}
	return fmt.Errorf("the helper says %s: %s", r.Outcome, r.Message)
}

// ask returns the helper's answer. An error means that there is none, or none that counts.
func (c Client) ask(ctx context.Context, req request) (response, error) {
	if err := checkSpool(c.Spool); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return response{}, errors.Join(err, c.start(ctx))
		}
		return response{}, &uselessError{err}
	}
	req.Bond = c.Bond
	dialer := net.Dialer{Timeout: c.silence()}
	conn, err := dialer.DialContext(ctx, "unix", filepath.Join(c.Spool, socketName))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return response{}, errors.Join(errors.New("no helper listens"), c.start(ctx))
	}
	if err != nil {
		return response{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	return c.converse(conn, req)
}

func (c Client) silence() time.Duration {
	if c.Silence > 0 {
		return c.Silence
	}
	return 10 * time.Second
}

// start starts a helper, but not in another cluster's spool, where it could only fail.
func (c Client) start(ctx context.Context) error {
	if c.Start == nil {
		return nil
	}
	owner, err := readBond(filepath.Join(c.Spool, bondName))
	if err == nil && owner.SystemID != c.Bond.SystemID {
		return &uselessError{&ForeignSpoolError{Spool: c.Spool, Owner: owner, Me: c.Bond}}
	}
	if err := c.Start(ctx); err != nil {
		return &uselessError{fmt.Errorf("start a helper: %w", err)}
	}
	return nil
}

func (c Client) converse(conn net.Conn, req request) (response, error) {
	var message bytes.Buffer
	message.WriteString(greeting + "\n")
	if err := writeMessage(&message, req); err != nil {
		return response{}, err
	}
	_ = conn.SetDeadline(time.Now().Add(c.silence()))
	if _, err := conn.Write(message.Bytes()); err != nil {
		return response{}, fmt.Errorf("ask the helper: %w", err)
	}
	r, err := readResponse(conn, c.silence())
	if err != nil {
		return response{}, fmt.Errorf("the helper did not answer: %w", err)
	}
	if r.Name != req.Name && r.Outcome != refused {
		return response{}, fmt.Errorf("the helper answered for %.40q", r.Name)
	}
	return r, nil
}

func readResponse(conn net.Conn, silence time.Duration) (response, error) {
	reader := bufio.NewReaderSize(conn, maxLine)
	if err := readGreeting(reader); err != nil {
		return response{}, err
	}
	for {
		_ = conn.SetDeadline(time.Now().Add(silence))
		line, err := readLine(reader)
		if err != nil {
			return response{}, err
		}
		if string(line) == patience {
			continue
		}
		var r response
		err = readMessage(line, &r)
		return r, err
	}
}

// take looks at the file in the spool once more and renames it to dst, which must not exist. Its content is durable; the new name need
// not be: a server that crashes now asks for the file again, and makes durable what it keeps (KeepFileRestoredFromArchive in
// xlogarchive.c).
func (c Client) take(name, dst string) error {
	path := filepath.Join(c.Spool, filesName, name)
	if err := c.inspect(name, path); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			err = errors.Join(err, os.Remove(path))
		}
		return fmt.Errorf("in the spool: %w", err)
	}
	err := atomicfile.Move(path, dst)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := atomicfile.Publish(dst, f, 0o600); err != nil {
		return err
	}
	_ = os.Remove(path) // if not now, the helper does
	return nil
}

// inspect checks what can be checked at once: that path is a regular file which is what its name says, by size and first page.
func (c Client) inspect(name, path string) error {
	file, err := wal.ParseFileName(name)
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if file.Kind != wal.KindSegment {
		return nil
	}
	if info.Size() != int64(c.Bond.SegmentSize) {
		return &walarchive.SizeError{Name: name, Want: int64(c.Bond.SegmentSize), Got: info.Size()}
	}
	return c.inspectSegment(file, f)
}

func (c Client) inspectSegment(name wal.FileName, r io.Reader) error {
	seg, err := name.Segment(c.Bond.SegmentSize)
	if err != nil {
		return err
	}
	head := make([]byte, wal.SegmentHeaderSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	header, err := wal.ParseSegmentHeader(head)
	if err != nil {
		return err
	}
	return header.Check(seg, c.Bond.SystemID, c.Bond.SegmentSize)
}
