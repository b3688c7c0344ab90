package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/topology"
)

// terminal asks people.
type terminal interface {
	// ask returns a line, without its end. secret does not show what is typed.
	ask(question string) (string, error)
	secret(question string) (string, error)
}

// nobody is there to ask.
type nobody struct{}

var errNobody = errors.New("there is no terminal to ask at")

func (nobody) ask(string) (string, error)    { return "", errNobody }
func (nobody) secret(string) (string, error) { return "", errNobody }

// person is at a terminal.
type person struct {
	in    *os.File
	lines *bufio.Reader
	out   io.Writer
}

func openTerminal(in io.Reader, out io.Writer) terminal {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nobody{}
	}
	return person{in: f, lines: bufio.NewReaderSize(f, 1), out: out}
}

func (p person) ask(question string) (string, error) {
	fmt.Fprint(p.out, question)
	line, err := p.lines.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (p person) secret(question string) (string, error) {
	fmt.Fprint(p.out, question)
	line, err := term.ReadPassword(int(p.in.Fd()))
	fmt.Fprintln(p.out)
	return string(line), err
}

// ensureSecrets asks for the passwords that are not there yet, before anything is changed.
func (p *program) ensureSecrets(c topology.Cluster) error {
	for _, s := range []struct {
		of  string
		ref topology.SecretRef
	}{{c.Admin.Name, c.Admin.Secret}, {c.Replication.User, c.Replication.Secret}} {
		path, ok := strings.CutPrefix(string(s.ref), "file:")
		if !ok {
			continue // of the environment; who resolves it says what is wrong
		}
		if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
			continue // it is there, or whoever reads it says what is wrong
		}
		if err := p.askSecret(s.of, path); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) askSecret(role, path string) error {
	first, err := p.terminal.secret("Password of the role " + role + ": ")
	if err != nil {
		return usage("the password of the role %s is missing: write it into %s, for its owner alone (mode 0600): %w", role, path, err)
	}
	again, err := p.terminal.secret("Once more: ")
	switch {
	case err != nil:
		return err
	case first != again:
		return usage("the two passwords of the role %s differ", role)
	case first == "":
		return usage("the password of the role %s is empty", role)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, []byte(first+"\n"), 0o600)
}
