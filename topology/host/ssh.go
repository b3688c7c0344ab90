//go:build unix

package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/understudy-ha/understudy/internal/sshlogin"
)

// SSHConfig says how to reach a machine over SSH. Host is required. It holds no secret itself, only where to find one.
type SSHConfig struct {
	// Host is the machine's name or address, as it stands in known_hosts.
	Host string
	// Port is the server's TCP port. Zero means 22.
	Port int
	// User is the login name there. Commands run and files are read and written as that user; for most of what is done to a server
	// that has to be the one it runs as. Empty means the name of the user who runs this process.
	User string

	// KnownHosts are files in OpenSSH's format with the host keys to trust. Empty means those of ~/.ssh/known_hosts and
	// /etc/ssh/ssh_known_hosts that exist. The host key is always checked.
	KnownHosts []string
	// HostKey is the one host key to trust, instead of KnownHosts: its fingerprint ("SHA256:...", as ssh-keygen -l prints
	// it) or the key itself ("ssh-ed25519 AAAA...").
	HostKey string

	// KeyFiles are private keys to log in with. Nobody but their owner may have access to them. Empty means those of
	// ~/.ssh/id_ed25519, id_ecdsa and id_rsa that exist; of these, one that needs a passphrase is left out if there is none.
	KeyFiles []string
	// PassphraseFile is a file whose first line is the passphrase of the KeyFiles. Nobody but its owner may have access.
	PassphraseFile string
	// PassphraseEnv names the environment variable with the passphrase, instead of PassphraseFile.
	PassphraseEnv string
	// Agent is the socket of an ssh-agent, whose keys are tried after the KeyFiles. Empty means $SSH_AUTH_SOCK, if it is
	// set; "none" means no agent.
	Agent string

	// Sessions is how many commands run there at a time; more wait. OpenSSH allows 10 by its default (MaxSessions). Zero means 8.
	Sessions int
	// KillAfter is the time that a command has between SIGTERM and SIGKILL when its context ends. Zero means 5 s.
	KillAfter time.Duration
	// Timeout bounds connecting and logging in together. Afterwards, a server that says nothing for that long although it is asked
	// is taken for dead, and what runs there for unknown. Zero means 30 s.
	Timeout time.Duration
}

func (c SSHConfig) login() sshlogin.Config {
	return sshlogin.Config{
		Host: c.Host, Port: c.Port, User: c.User, KnownHosts: c.KnownHosts, HostKey: c.HostKey,
		KeyFiles: c.KeyFiles, PassphraseFile: c.PassphraseFile, PassphraseEnv: c.PassphraseEnv, Agent: c.Agent, Timeout: c.Timeout,
	}
}

// HostKeyError says that the machine showed a host key that is not to be trusted. Nothing was sent to it but the attempt to
// connect. It has the Address, the KeyType and Fingerprint of the key that was shown, whether that is Revoked, and in Want where the
// keys stand that are known for this machine.
type HostKeyError = sshlogin.HostKeyError //nolint:revive // a host key is what SSH calls it

// SSH is a machine that is reached over SSH, with an sshd such as OpenSSH's that lets the user run commands. It needs sh (dash, bash or
// another POSIX shell, whatever the login shell is) and the GNU core utilities there, and no sftp.
//
// There is one connection, which the first call makes and all share. If it breaks, the commands that run over it are in doubt
// ([UnknownError]) and the next call makes another one. Every command waits for a last word before it starts, so a
// connection that is lost before then is a [StartError]: nothing has run. A command whose connection is lost goes on there.
//
// When a context ends, Run ends the command's process group through a second command, and returns an [UnknownError] whatever comes
// of that.
type SSH struct {
	shellFiles
	name      string
	login     sshlogin.Config
	killAfter time.Duration
	slots     chan struct{} // as many as commands may run at a time

	dialing chan struct{} // held by the call that connects

	mu     sync.Mutex
	conn   *connection // the last one, if any
	closed bool
}

var _ Host = (*SSH)(nil)

// NewSSH returns the machine that cfg names, or says which field of it is wrong. It connects to nothing. Close it when it is no longer
// needed.
func NewSSH(cfg SSHConfig) (*SSH, error) {
	login, err := cfg.login().Filled()
	if err != nil {
		return nil, err
	}
	if cfg.Sessions < 0 {
		return nil, errors.New("Sessions: is negative")
	}
	name := login.User + "@" + login.Host
	if login.Port != 22 {
		name = login.User + "@" + login.Address()
	}
	h := &SSH{
		name: name, login: login, killAfter: cmp.Or(cfg.KillAfter, 5*time.Second),
		slots: make(chan struct{}, cmp.Or(cfg.Sessions, 8)), dialing: make(chan struct{}, 1),
	}
	h.shellFiles = shellFiles{h}
	return h, nil
}

// Name implements [Host].
func (h *SSH) Name() string { return h.name }

// Close ends the connection. What still runs over it is in doubt, and every call from then on fails.
func (h *SSH) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.conn != nil {
		h.conn.close()
	}
	return nil
}

// Run implements [Host].
func (h *SSH) Run(ctx context.Context, c Cmd) (Result, error) {
	none := Result{ExitCode: -1}
	if err := c.check(); err != nil {
		return none, startError(h.name, c, err)
	}
	if ctx.Err() != nil {
		return none, startError(h.name, c, context.Cause(ctx))
	}
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return none, startError(h.name, c, context.Cause(ctx))
	}
	s, err := h.begin(ctx, c)
	if err != nil {
		<-h.slots
		return none, startError(h.name, c, err)
	}
	defer func() { go h.leave(s) }()
	over := s.wait(ctx)
	if over != nil && ctx.Err() != nil {
		h.kill(ctx, s)
		over = context.Cause(ctx)
	}
	out, said := s.stdout.marks(), s.stderr.marks()
	res := Result{Stdout: slices.Clip(out.output), Stderr: slices.Clip(said.output), ExitCode: -1}
	if over != nil {
		return res, unknownError(h.name, c, over)
	}
	s.close()
	if said.code != 0 {
		res.ExitCode = said.code
		return res, exitError(h.name, c, said.code, res.Stderr)
	}
	if err := s.inputError(); err != nil {
		return res, unknownError(h.name, c, fmt.Errorf("it did not get all of its input: %w", err))
	}
	res.ExitCode = 0
	return res, nil
}

// leave gives the place of a session to the next one when the server has, too, which is a moment after the command's end.
func (h *SSH) leave(s *session) {
	s.close()
	patience := time.NewTimer(outputGrace)
	defer patience.Stop()
	select {
	case <-s.ended:
	case <-patience.C:
	}
	<-h.slots
}

// begin has the command ready to start. A connection that turns out to be broken is replaced by a new one.
func (h *SSH) begin(ctx context.Context, c Cmd) (*session, error) {
	for {
		conn, fresh, err := h.connection(ctx)
		if err != nil {
			return nil, err
		}
		s, err := conn.begin(ctx, c)
		if fresh || !errors.Is(err, errLost) {
			return s, err
		}
	}
}

// connection returns the connection, and whether it was made for this call.
func (h *SSH) connection(ctx context.Context) (conn *connection, fresh bool, err error) {
	select {
	case h.dialing <- struct{}{}:
		defer func() { <-h.dialing }()
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
	h.mu.Lock()
	conn, closed := h.conn, h.closed
	h.mu.Unlock()
	if closed {
		return nil, false, net.ErrClosed
	}
	if conn != nil && !conn.broken(0) {
		return conn, false, nil
	}
	conn, err = connect(ctx, h.login)
	if err != nil {
		return nil, false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		conn.close()
		return nil, false, net.ErrClosed
	}
	h.conn = conn
	return conn, true, nil
}

// kill ends a command there as far as possible, over its own connection or, if that is of no use, a new one.
func (h *SSH) kill(ctx context.Context, s *session) {
	// The caller's context has ended, so this gets its own time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.killAfter+10*time.Second)
	defer cancel()
	c := killCmd(s.stderr.marks().pid, h.killAfter)
	killer, err := s.conn.begin(ctx, c)
	if err != nil { // it is lost, or has no room for one more session
		conn, err := connect(ctx, h.login)
		if err != nil {
			return
		}
		defer conn.close()
		if killer, err = conn.begin(ctx, c); err != nil {
			return
		}
	}
	defer killer.close()
	_ = killer.wait(ctx)
}

// errLost means that a connection ended.
var errLost = errors.New("the connection was lost")

// connection is one connection to the machine. It ends for good at its first trouble.
type connection struct {
	*sshlogin.Client
	timeout time.Duration
	ended   chan struct{}

	mu    sync.Mutex
	heard time.Time // when the server last said something
}

func connect(ctx context.Context, login sshlogin.Config) (*connection, error) {
	ctx, cancel := login.Bound(ctx)
	defer cancel()
	client, err := sshlogin.Dial(ctx, login)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", login.Address(), err)
	}
	c := &connection{Client: client, timeout: login.Timeout, ended: make(chan struct{}), heard: time.Now()}
	go func() {
		_ = c.Wait()
		c.close()
		close(c.ended)
	}()
	go c.keepAlive()
	return c, nil
}

func (c *connection) close() { _ = c.Net.Close() }

// broken reports whether the connection has ended, or does so within some time.
func (c *connection) broken(within time.Duration) bool {
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case <-c.ended:
		return true
	default:
	}
	select {
	case <-c.ended:
		return true
	case <-patience.C:
		return false
	}
}

func (c *connection) alive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = time.Now()
}

func (c *connection) silent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.heard) > c.timeout
}

// keepAlive asks the server for a sign of life now and then, and ends the connection when there is none for too long.
func (c *connection) keepAlive() {
	tick := time.NewTicker(c.timeout/4 + 1)
	defer tick.Stop()
	answers := make(chan error, 1)
	asked := false
	for {
		select {
		case <-c.ended:
			return
		case err := <-answers:
			asked = false
			if err == nil { // a refusal is a sign of life
				c.alive()
			}
		case <-tick.C:
			if c.silent() {
				c.close()
			}
			if asked {
				continue
			}
			asked = true
			go func() {
				_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
				answers <- err
			}()
		}
	}
}

// session is one command.
type session struct {
	conn           *connection
	channel        ssh.Channel
	stdout, stderr *stream
	news           chan struct{} // a mark may have come
	ended          chan struct{} // the machine has nothing more to say
	start          chan struct{} // closed when the command is to start
	fed            chan error    // one value, when its input ended
}

// bootstrap is what the login shell gets, whichever it is. The wrapper comes on standard input, and dd takes no byte too many.
var bootstrap = fmt.Sprintf(`exec sh -c 'eval "$(dd bs=1 count=%d 2>/dev/null)"'`, len(wrapper))

// begin opens a session and waits until the command could start. If it returns an error, or if the session is closed, nothing starts.
func (c *connection) begin(ctx context.Context, cmd Cmd) (*session, error) {
	channel, err := c.exec(ctx)
	if err != nil {
		return nil, err
	}
	news := make(chan struct{}, 1)
	tag := newTag()
	s := &session{
		conn: c, channel: channel, news: news, ended: make(chan struct{}), start: make(chan struct{}), fed: make(chan error, 1),
		stdout: &stream{tag: tag, news: news, heard: c.alive}, stderr: &stream{tag: tag, news: news, heard: c.alive},
	}
	go s.listen()
	go s.feed(append([]byte(wrapper), header(cmd, tag)...), cmd.Stdin)
	err = s.await(ctx, func() bool {
		said := s.stderr.marks()
		return said.pid != 0 && s.stdout.marks().pid != 0 || said.refused != ""
	})
	said := s.stderr.marks()
	switch {
	case said.refused != "":
		err = refusal(cmd, said.refused)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil && c.broken(time.Second):
		err = errLost
	case err != nil:
		said := slices.Concat(said.output, s.stdout.marks().output)
		err = fmt.Errorf("the machine ran no sh: %s", cmp.Or(tail(said), "it gave no reason"))
	default:
		return s, nil
	}
	s.close()
	return nil, err
}

// exec opens a channel and starts the shell on it.
func (c *connection) exec(ctx context.Context) (ssh.Channel, error) {
	type answer struct {
		channel ssh.Channel
		err     error
	}
	answers := make(chan answer)
	go func() {
		channel, err := c.openSoon(ctx)
		select {
		case answers <- answer{channel, err}:
		case <-ctx.Done():
			if err == nil {
				_ = channel.Close()
			}
		}
	}()
	select {
	case a := <-answers:
		return a.channel, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// fullFor is for how long a server may say that it opens no more sessions. It counts one until it has seen the end of all that ran
// there, which is after it has said that the session is over.
const fullFor = 3 * time.Second

// openSoon is open, once more if the server has no place yet.
func (c *connection) openSoon(ctx context.Context) (ssh.Channel, error) {
	begun := time.Now()
	for {
		channel, err := c.open()
		if !errors.As(err, new(*ssh.OpenChannelError)) || time.Since(begun) > fullFor {
			return channel, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *connection) open() (ssh.Channel, error) {
	channel, requests, err := c.OpenChannel("session", nil)
	if errors.As(err, new(*ssh.OpenChannelError)) {
		return nil, fmt.Errorf("the server opens no more sessions; is its MaxSessions less than Sessions? (%w)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open a session: %w: %w", errLost, err)
	}
	go ssh.DiscardRequests(requests) // how the shell ended; the wrapper says more
	accepted, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{bootstrap}))
	switch {
	case err != nil && c.broken(time.Second):
		err = fmt.Errorf("%w: %w", errLost, err)
	case err == nil && !accepted:
		err = errors.New("the server lets this user run no commands")
	case err == nil:
		return channel, nil
	}
	_ = channel.Close()
	return nil, fmt.Errorf("run sh: %w", err)
}

// listen reads both outputs to their ends. They share a flow control, so none of them may be left waiting.
func (s *session) listen() {
	defer close(s.ended)
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(s.stdout, s.channel) })
	both.Go(func() { _, _ = io.Copy(s.stderr, s.channel.Stderr()) })
	both.Wait()
}

// feed sends the command and, when it is to start, its input.
func (s *session) feed(head []byte, stdin io.Reader) {
	if _, err := s.channel.Write(head); err != nil {
		return
	}
	select {
	case <-s.start:
	case <-s.ended:
		return
	}
	input := &failingReader{Reader: stdin}
	if stdin == nil {
		input.Reader = bytes.NewReader(nil)
	}
	_, _ = io.Copy(s.channel, io.MultiReader(bytes.NewReader([]byte(goAhead)), input)) // it need not read its input
	_ = s.channel.CloseWrite()
	s.fed <- input.err
}

// failingReader remembers why reading failed.
type failingReader struct {
	io.Reader
	err error
}

func (r *failingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// inputError is why the input could not be read; nil also if its reader does not return in time.
func (s *session) inputError() error {
	patience := time.NewTimer(outputGrace)
	defer patience.Stop()
	select {
	case err := <-s.fed:
		return err
	case <-patience.C:
		return nil
	}
}

// await waits until something is so, or returns an error when it will not be.
func (s *session) await(ctx context.Context, so func() bool) error {
	for {
		select {
		case <-s.news:
			if so() {
				return nil
			}
		case <-s.ended:
			if so() {
				return nil
			}
			return errLost
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wait starts the command and waits until it has ended and all that it wrote is here. A process that it left behind with its output
// open is not waited for.
func (s *session) wait(ctx context.Context) error {
	close(s.start)
	err := s.await(ctx, func() bool { return s.stdout.marks().ended && s.stderr.marks().ended })
	if errors.Is(err, errLost) && !s.conn.broken(time.Second) {
		return errors.New("the server ended the session, or somebody killed the shell around the command")
	}
	return err
}

func (s *session) close() { _ = s.channel.Close() }

// stream is one output of a command.
type stream struct {
	tag   string
	news  chan<- struct{}
	heard func()

	mu  sync.Mutex
	out []byte
}

// Write implements [io.Writer].
func (w *stream) Write(p []byte) (int, error) {
	w.heard()
	w.mu.Lock()
	defer w.mu.Unlock()
	const longestMark = 100
	from := max(0, len(w.out)-longestMark)
	w.out = append(w.out, p...)
	if bytes.Contains(w.out[from:], []byte(w.tag)) {
		select {
		case w.news <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

func (w *stream) marks() marks {
	w.mu.Lock()
	defer w.mu.Unlock()
	return parseMarks(w.out, w.tag)
}
