package sshlogin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

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
