// Package sshlogin connects to an SSH server and logs in, as ssh(1) would: the host key is always checked against known_hosts files or one
// given key, and the login is by key, from files or an agent. No secret is in a [Config], only where to find one.
package sshlogin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Config says where to and how to log in. Only Host is needed.
type Config struct {
	Host string // as it stands in known_hosts
	Port int    // zero means 22
	User string // empty means the name of the user who runs this process

	KnownHosts []string // files; empty means ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts, as far as they exist
	HostKey    string   // the one key to trust, instead: "SHA256:..." or "ssh-ed25519 AAAA..."

	KeyFiles       []string // private keys; empty means those of ~/.ssh/id_ed25519, id_ecdsa and id_rsa that exist and can be used
	PassphraseFile string   // its first line is the passphrase of the KeyFiles
	PassphraseEnv  string   // the environment variable with the passphrase
	Agent          string   // socket of an agent, whose keys come last; empty means $SSH_AUTH_SOCK, "none" no agent

	Timeout time.Duration // for connecting and logging in, see Bound; zero means 30 s
}

// Filled returns the config with its defaults, or says what is wrong with it. It does no IO but to find the user's name.
func (c Config) Filled() (Config, error) {
	c.Port = cmp.Or(c.Port, 22)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	if c.User == "" {
		u, err := user.Current()
		if err != nil {
			return c, fmt.Errorf("User: not given, and it is unknown who runs this process: %w", err)
		}
		c.User = u.Username
	}
	switch {
	case c.Host == "":
		return c, errors.New("Host: missing")
	case strings.HasPrefix(c.Host, "-") || strings.ContainsAny(c.Host, "/@ \x00"):
		return c, fmt.Errorf("Host: %q is no host name", c.Host)
	case c.Port < 1 || c.Port > 65535:
		return c, fmt.Errorf("Port: %d is no TCP port", c.Port)
	case c.PassphraseFile != "" && c.PassphraseEnv != "":
		return c, errors.New("PassphraseEnv: give it or PassphraseFile, not both")
	case c.HostKey != "" && len(c.KnownHosts) > 0:
		return c, errors.New("HostKey: give it or KnownHosts, not both")
	case c.Timeout < 0:
		return c, errors.New("Timeout: is negative")
	}
	return c, nil
}

// Address is the host and port to dial, and to look up in known_hosts.
func (c Config) Address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// Bound returns a context for Dial and what else belongs to connecting. It ends after the timeout, with a cause that matches
// [os.ErrDeadlineExceeded].
func (c Config) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no connection after %v: %w", c.Timeout, os.ErrDeadlineExceeded))
}

// Client is a connection to a server that let us in. Closing Net ends it at once, even if the server no longer answers.
type Client struct {
	*ssh.Client
	Net net.Conn
}

// Dial connects and logs in. The config is one that Filled returned. If ctx ended, the error is its cause.
func Dial(ctx context.Context, c Config) (*Client, error) {
	keys, err := c.hostKeys()
	if err != nil {
		return nil, err
	}
	auth, closeAgent, err := c.auth(ctx)
	if err != nil {
		return nil, err
	}
	defer closeAgent() // its keys are asked to sign until the login is done
	var errs []error
	for _, algorithms := range keys.algorithms {
		client, err := handshake(ctx, c.Address(), &ssh.ClientConfig{
			User: c.User, Auth: auth, HostKeyCallback: keys.check, HostKeyAlgorithms: algorithms,
		})
		if err == nil {
			return client, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		errs = append(errs, err)
		wrongKey, noSuchType := new(HostKeyError), new(ssh.AlgorithmNegotiationError)
		if !errors.As(err, &wrongKey) && !errors.As(err, &noSuchType) {
			break // only about the host key may the next type of key bring better news
		}
	}
	return nil, errors.Join(errs...)
}

func handshake(ctx context.Context, address string, config *ssh.ClientConfig) (*Client, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	tcp, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = tcp.Close() })()
	transport, channels, requests, err := ssh.NewClientConn(tcp, address, config)
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return &Client{ssh.NewClient(transport, channels, requests), tcp}, nil
}

// auth is how to log in: first with the key files, then with the agent's keys, which needs the agent until closeAgent.
func (c Config) auth(ctx context.Context) (_ []ssh.AuthMethod, closeAgent func(), err error) {
	signers, err := c.signers()
	if err != nil {
		return nil, nil, err
	}
	closeAgent = func() {}
	if socket := c.agentSocket(); socket != "" {
		more, closeConn, err := agentKeys(ctx, socket)
		if err != nil && (c.Agent != "" || len(signers) == 0) {
			return nil, nil, fmt.Errorf("ssh-agent at %s: %w", socket, err)
		}
		if err == nil {
			signers, closeAgent = append(signers, more...), closeConn
		}
	}
	if len(signers) == 0 {
		closeAgent()
		return nil, nil, errors.New("no key to log in with: give KeyFiles, or load one into an ssh-agent (ssh-add)")
	}
	return []ssh.AuthMethod{ssh.PublicKeys(signers...)}, closeAgent, nil
}

func (c Config) agentSocket() string {
	switch c.Agent {
	case "":
		return os.Getenv("SSH_AUTH_SOCK")
	case "none":
		return ""
	}
	return c.Agent
}

func agentKeys(ctx context.Context, socket string) (_ []ssh.Signer, closeConn func(), err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() }) // the end of ctx is what the agent may keep us waiting for
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return signers, func() { _ = conn.Close() }, nil
}
