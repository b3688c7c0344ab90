package sshlogin

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyError says that the server showed a host key that is not to be trusted. Nothing was sent to it but the attempt to
// connect: no key of ours, no file.
type HostKeyError struct {
	Address     string
	KeyType     string   // such as ssh-ed25519
	Fingerprint string   // of the key that the server showed, as ssh-keygen -l prints it
	Want        []string // where the keys stand that are known for this server, or the configured one; empty: none is known
	Revoked     bool     // the key is marked @revoked
	files       []string
}

func (e *HostKeyError) Error() string {
	shown := fmt.Sprintf("host key of %s: it showed %s %s, which is", e.Address, e.KeyType, e.Fingerprint)
	const compare = "compare with ssh-keygen -l -f /etc/ssh/ssh_host_*_key.pub, run on the server itself"
	switch {
	case e.Revoked:
		return shown + " marked as revoked"
	case len(e.Want) > 0:
		return fmt.Sprintf("%s not the known one (%s): the server was set up anew, or somebody stands in between. To find out, %s; "+
			"if it is right, replace the known one", shown, strings.Join(e.Want, ", "), compare)
	}
	return fmt.Sprintf("%s not known: %s; if it is the same, put the key into a known hosts file (looked in: %s), or give its fingerprint",
		shown, compare, strings.Join(e.files, ", "))
}

// hostKeys says whom to trust.
type hostKeys struct {
	check ssh.HostKeyCallback
	// algorithms are lists of host key algorithms, each for one attempt. The server shows one key, of a type that the
	// client asks for, so the client has to ask for the type that it knows.
	algorithms [][]string
}

// everyAlgorithm is for a trusted key whose type is unknown.
var everyAlgorithm = [][]string{
	{ssh.KeyAlgoED25519},
	{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521},
	{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

func (c Config) hostKeys() (hostKeys, error) {
	if c.HostKey != "" {
		return c.oneHostKey()
	}
	files := c.KnownHosts
	if len(files) == 0 {
		if files = inHome([]string{"known_hosts"}, "/etc/ssh/ssh_known_hosts"); len(files) == 0 {
			return hostKeys{}, errors.New("KnownHosts: neither ~/.ssh/known_hosts nor /etc/ssh/ssh_known_hosts is there, so no host key " +
				"is known: give KnownHosts or HostKey")
		}
	}
	known, err := knownhosts.New(files...)
	if err != nil {
		return hostKeys{}, fmt.Errorf("KnownHosts: %w", err)
	}
	check := func(address string, remote net.Addr, key ssh.PublicKey) error {
		return c.explainHostKey(known(address, remote, key), key, files)
	}
	return hostKeys{check: check, algorithms: [][]string{knownAlgorithms(known, c.Address())}}, nil
}

func (c Config) oneHostKey() (hostKeys, error) {
	if strings.HasPrefix(c.HostKey, "SHA256:") {
		check := func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if ssh.FingerprintSHA256(key) != c.HostKey {
				return c.hostKeyError(key, c.HostKey)
			}
			return nil
		}
		return hostKeys{check: check, algorithms: everyAlgorithm}, nil
	}
	want, _, _, _, err := ssh.ParseAuthorizedKey([]byte(c.HostKey))
	if err != nil {
		return hostKeys{}, errors.New(`HostKey: neither a fingerprint ("SHA256:...") nor a public key ("ssh-ed25519 AAAA...")`)
	}
	check := func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if !bytes.Equal(key.Marshal(), want.Marshal()) {
			return c.hostKeyError(key, want.Type()+" "+ssh.FingerprintSHA256(want))
		}
		return nil
	}
	return hostKeys{check: check, algorithms: [][]string{algorithmsOf(want.Type())}}, nil
}

func (c Config) hostKeyError(key ssh.PublicKey, want ...string) *HostKeyError {
	return &HostKeyError{Address: c.Address(), KeyType: key.Type(), Fingerprint: ssh.FingerprintSHA256(key), Want: want}
}

func (c Config) explainHostKey(err error, key ssh.PublicKey, files []string) error {
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		e := c.hostKeyError(key)
		e.Revoked = true
		return e
	case errors.As(err, &unknown):
		e := c.hostKeyError(key)
		e.files = files
		for _, k := range unknown.Want {
			e.Want = append(e.Want, fmt.Sprintf("%s:%d: %s %s", k.Filename, k.Line, k.Key.Type(), ssh.FingerprintSHA256(k.Key)))
		}
		return e
	}
	return err
}

// knownAlgorithms are those of the keys that are known for an address, or all if none is known.
func knownAlgorithms(known ssh.HostKeyCallback, address string) []string {
	var none *knownhosts.KeyError
	if !errors.As(known(address, &net.TCPAddr{IP: net.IPv4zero}, noKey{}), &none) || len(none.Want) == 0 {
		return slices.Concat(everyAlgorithm...)
	}
	var algorithms []string
	for _, k := range none.Want {
		algorithms = append(algorithms, algorithmsOf(k.Key.Type())...)
	}
	return algorithms
}

func algorithmsOf(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// noKey is a key that no server has, to ask which ones are known.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
