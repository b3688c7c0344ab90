package sftp

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/internal/sshlogin"
)

// Config says where the archive is and how to log in there. Only Host and Path are needed. It holds no secret itself,
// only where to find one.
type Config struct {
	// Host is the server's name or address, as it stands in known_hosts.
	Host string
	// Port is the server's TCP port. Zero means 22.
	Port int
	// User is the login name there. Empty means the name of the user who runs this process.
	User string
	// Path is the archive's directory on the server: absolute, or relative to where the login ends up. It must exist
	// (see [Ensure]).
	Path string

	// KnownHosts are files in OpenSSH's format with the host keys to trust. Empty means those of ~/.ssh/known_hosts and
	// /etc/ssh/ssh_known_hosts that exist.
	KnownHosts []string
	// HostKey is the one host key to trust, instead of KnownHosts: its fingerprint ("SHA256:...", as ssh-keygen -l prints
	// it) or the key itself ("ssh-ed25519 AAAA...").
	HostKey string

	// KeyFiles are private keys to log in with, in any format that ssh-keygen writes. Nobody but their owner may have
	// access to them. Empty means those of ~/.ssh/id_ed25519, id_ecdsa and id_rsa that exist; of these, one that needs a
	// passphrase is left out if there is none.
	KeyFiles []string
	// PassphraseFile is a file whose first line is the passphrase of the KeyFiles. Nobody but its owner may have access.
	PassphraseFile string
	// PassphraseEnv names the environment variable with the passphrase, instead of PassphraseFile.
	PassphraseEnv string
	// Agent is the socket of an ssh-agent, whose keys are tried after the KeyFiles. Empty means $SSH_AUTH_SOCK, if it is
	// set; "none" means no agent.
	Agent string

	// Unsynced accepts a server that cannot make files durable at once: one that does not offer fsync@openssh.com, or not
	// for directories. Create then returns nil for what a crash of the server may still undo. Without it, Create fails.
	Unsynced bool
	// Mode is the mode of new files. Zero means 0600.
	Mode fs.FileMode
	// Timeout bounds connecting and logging in together, and afterwards how long the server may leave a request
	// without any answer. It is not a limit on a whole transfer that makes progress. Zero means 30 s.
	Timeout time.Duration
}

// filled returns the config with its defaults, or says what is wrong with it.
func (c Config) filled() (Config, error) {
	login, err := c.login().Filled()
	if err != nil {
		return c, err
	}
	c.Port, c.User, c.Timeout = login.Port, login.User, login.Timeout
	c.Mode = cmp.Or(c.Mode, 0o600)
	switch {
	case c.Path == "" || strings.ContainsRune(c.Path, 0):
		return c, errors.New("Path: missing")
	case c.Mode&^fs.ModePerm != 0 || c.Mode&0o600 != 0o600:
		return c, fmt.Errorf("Mode: %v: the owner must read and write, and only permission bits can be given", c.Mode)
	}
	return c, nil
}

// login is what of the config says how to connect and log in.
func (c Config) login() sshlogin.Config {
	return sshlogin.Config{
		Host: c.Host, Port: c.Port, User: c.User, KnownHosts: c.KnownHosts, HostKey: c.HostKey,
		KeyFiles: c.KeyFiles, PassphraseFile: c.PassphraseFile, PassphraseEnv: c.PassphraseEnv, Agent: c.Agent, Timeout: c.Timeout,
	}
}

// HostKeyError says that the server showed a host key that is not to be trusted. Nothing was sent to it but the attempt to
// connect: no key of ours, no file. It has the Address, the KeyType and Fingerprint of the key that was shown, whether that
// is Revoked, and in Want where the keys stand that are known for this server.
type HostKeyError = sshlogin.HostKeyError

// String is the place as a URL.
func (c Config) String() string {
	u := url.URL{Scheme: "sftp", Host: c.Host, Path: c.Path}
	if c.Port != 0 && c.Port != 22 {
		u.Host = c.login().Address()
	}
	if c.User != "" {
		u.User = url.User(c.User)
	}
	if !strings.HasPrefix(c.Path, "/") {
		u.Path = "/~/" + c.Path
	}
	return u.String()
}
