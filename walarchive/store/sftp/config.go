package sftp

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
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
	c.Port = cmp.Or(c.Port, 22)
	c.Mode = cmp.Or(c.Mode, 0o600)
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
	case c.Path == "" || strings.ContainsRune(c.Path, 0):
		return c, errors.New("Path: missing")
	case c.PassphraseFile != "" && c.PassphraseEnv != "":
		return c, errors.New("PassphraseEnv: give it or PassphraseFile, not both")
	case c.HostKey != "" && len(c.KnownHosts) > 0:
		return c, errors.New("HostKey: give it or KnownHosts, not both")
	case c.Mode&^fs.ModePerm != 0 || c.Mode&0o600 != 0o600:
		return c, fmt.Errorf("Mode: %v: the owner must read and write, and only permission bits can be given", c.Mode)
	case c.Timeout < 0:
		return c, errors.New("Timeout: is negative")
	}
	return c, nil
}

// address is the host and port to dial, and to look up in known_hosts.
func (c Config) address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// String is the place as a URL.
func (c Config) String() string {
	u := url.URL{Scheme: "sftp", Host: c.Host, Path: c.Path}
	if c.Port != 0 && c.Port != 22 {
		u.Host = c.address()
	}
	if c.User != "" {
		u.User = url.User(c.User)
	}
	if !strings.HasPrefix(c.Path, "/") {
		u.Path = "/~/" + c.Path
	}
	return u.String()
}

// inHome are the names in ~/.ssh, and others, that exist.
func inHome(names []string, others ...string) []string {
	var files []string
	if home, err := os.UserHomeDir(); err == nil {
		for _, name := range names {
			files = append(files, filepath.Join(home, ".ssh", name))
		}
	}
	var there []string
	for _, f := range append(files, others...) {
		if _, err := os.Stat(f); err == nil {
			there = append(there, f)
		}
	}
	return there
}

// signers are the keys in the files, in their order.
func (c Config) signers() ([]ssh.Signer, error) {
	files, asked := c.KeyFiles, true
	if len(files) == 0 {
		files, asked = inHome([]string{"id_ed25519", "id_ecdsa", "id_rsa"}), false
	}
	passphrase, err := c.passphrase()
	if err != nil {
		return nil, err
	}
	var signers []ssh.Signer
	for _, file := range files {
		s, err := readKey(file, passphrase)
		if missing := new(ssh.PassphraseMissingError); errors.As(err, &missing) {
			if !asked {
				continue
			}
			err = errors.New("it needs a passphrase: give PassphraseFile or PassphraseEnv, or use an ssh-agent")
		}
		if err != nil {
			return nil, fmt.Errorf("private key %s: %w", file, err)
		}
		signers = append(signers, s)
	}
	return signers, nil
}

func readKey(file string, passphrase []byte) (ssh.Signer, error) {
	pem, err := readPrivate(file)
	if err != nil {
		return nil, err
	}
	s, err := ssh.ParsePrivateKey(pem)
	if missing := new(ssh.PassphraseMissingError); errors.As(err, &missing) && len(passphrase) > 0 {
		return ssh.ParsePrivateKeyWithPassphrase(pem, passphrase)
	}
	return s, err
}

// passphrase is what the references in the config lead to; nil without one.
func (c Config) passphrase() ([]byte, error) {
	switch {
	case c.PassphraseEnv != "":
		value, ok := os.LookupEnv(c.PassphraseEnv)
		if !ok {
			return nil, fmt.Errorf("PassphraseEnv: the environment variable %s is not set", c.PassphraseEnv)
		}
		return []byte(value), nil
	case c.PassphraseFile != "":
		b, err := readPrivate(c.PassphraseFile)
		if err != nil {
			return nil, fmt.Errorf("PassphraseFile: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		return []byte(strings.TrimSuffix(line, "\r")), nil
	}
	return nil, nil
}

// readPrivate reads a file that only its owner has access to; ssh(1) refuses others, too.
func readPrivate(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, so others have access to it: run chmod 600 %[1]s", file, info.Mode().Perm())
	}
	return io.ReadAll(io.LimitReader(f, 1<<20))
}
