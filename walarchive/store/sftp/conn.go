package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"github.com/understudy-ha/understudy/internal/sshlogin"
)

// conn is one connection to the server. It ends for good at its first trouble.
type conn struct {
	*sftp.Client
	net     net.Conn
	timeout time.Duration
	ended   chan struct{}

	mu      sync.Mutex
	pending int       // operations under way
	heard   time.Time // when the server last answered, or the first of the operations began
	err     error     // why the connection ended
}

// lostError says that a connection ended before the server answered: what was asked may have been done, or not.
type lostError struct{ reason error }

func (e *lostError) Error() string { return fmt.Sprintf("connection lost: %v", e.reason) }
func (e *lostError) Unwrap() error { return e.reason }

func isLost(err error) bool {
	lost := new(lostError)
	return errors.As(err, &lost)
}

// isSilence reports whether a connection was given up because the server did not answer.
func isSilence(err error) bool { return isLost(err) && errors.Is(err, os.ErrDeadlineExceeded) }

// connect dials, logs in and starts SFTP, all within the timeout.
func connect(ctx context.Context, cfg Config) (_ *conn, err error) {
	ctx, cancel := cfg.login().Bound(ctx)
	defer cancel()
	client, err := sshlogin.Dial(ctx, cfg.login())
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = client.Net.Close() })()
	defer func() {
		if err != nil {
			_ = client.Net.Close()
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	session, err := client.NewSession()
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		return nil, fmt.Errorf("the server does not offer SFTP: %w", err)
	}
	c := &conn{net: client.Net, timeout: cfg.Timeout, ended: make(chan struct{})}
	c.Client, err = sftp.NewClientPipe(c.listening(out), in, sftp.UseConcurrentWrites(true))
	if err != nil {
		return nil, fmt.Errorf("start SFTP: %w", err)
	}
	go c.watch()
	go func() { c.end(c.Wait()) }()
	return c, nil
}

// listening notes when the server says something. What it reads are answers to operations, not the chatter of the transport, which
// goes on while the SFTP server hangs.
func (c *conn) listening(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.heard = time.Now()
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// watch ends the connection when an operation is under way and the server says nothing for too long.
func (c *conn) watch() {
	tick := time.NewTicker(c.timeout/8 + 1)
	defer tick.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-tick.C:
			c.mu.Lock()
			silent := c.pending > 0 && time.Since(c.heard) > c.timeout
			c.mu.Unlock()
			if silent {
				c.end(fmt.Errorf("the server has not answered for %v: %w", c.timeout, os.ErrDeadlineExceeded))
			}
		}
	}
}

// end closes the connection, once.
func (c *conn) end(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if reason == nil || errors.Is(reason, io.EOF) {
		reason = errors.New("the server closed it")
	}
	c.err = reason
	close(c.ended)
	_ = c.net.Close()
}

// ready says why an operation would not even begin.
func (c *conn) ready(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.lost()
}

// lost says why the connection ended, or nil.
func (c *conn) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return &lostError{reason: c.err}
	}
	return nil
}

// ask runs an operation that asks the server something, and returns what the server said, or a *lostError. When ctx ends, ask returns at
// once and the operation goes on in the background, until the server answers or has not answered for too long.
func ask[T any](ctx context.Context, c *conn, op func() (T, error)) (T, error) {
	var none T
	if err := c.ready(ctx); err != nil {
		return none, err
	}
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer)
	c.begin()
	go func() {
		defer c.finish()
		value, err := op()
		select {
		case done <- answer{value, c.meaning(err)}:
		case <-ctx.Done():
			if file, ok := any(value).(io.Closer); ok && err == nil {
				_ = file.Close()
			}
		}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// do is ask for an operation without a result.
func (c *conn) do(ctx context.Context, op func() error) error {
	_, err := ask(ctx, c, func() (struct{}, error) { return struct{}{}, op() })
	return err
}

func (c *conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending++; c.pending == 1 {
		c.heard = time.Now()
	}
}

func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending--
}

// meaning tells the server's answers from the end of the connection, after which the library returns errors of many kinds.
func (c *conn) meaning(err error) error {
	status, network := new(sftp.StatusError), new(net.OpError)
	switch {
	case errors.As(err, &network): // a firewall's EPERM is not the server's "permission denied"
	case err == nil, errors.As(err, &status), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission),
		errors.Is(err, fs.ErrClosed): // a file that its reader closed meanwhile
		return err
	}
	c.end(err)
	return c.lost()
}
