package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology/host"
)

// Node is one server.
type Node struct {
	cfg    Config
	driver driver
}

// DataDir returns the data directory.
func (n *Node) DataDir() string { return n.cfg.DataDir }

// ConfigFile returns the main configuration file.
func (n *Node) ConfigFile() string { return n.cfg.ConfigFile }

// LogFile returns the file that receives the server's output; empty for the journal.
func (n *Node) LogFile() string { return n.cfg.LogFile }

// run runs one of PostgreSQL's binaries. C locale: its messages go into errors.
func (n *Node) run(ctx context.Context, binary string, args ...string) (host.Result, error) {
	return n.cfg.Host.Run(ctx, host.Cmd{Path: path.Join(n.cfg.BinDir, binary), Args: args, Env: []string{"LC_ALL=C"}})
}

// Major asks the binaries for their major version.
func (n *Node) Major(ctx context.Context) (int, error) {
	r, err := n.run(ctx, "postgres", "--version")
	if err != nil {
		return 0, fmt.Errorf("ask postgres for its version: %w", err)
	}
	return ParseVersion(string(r.Stdout))
}

// ParseVersion returns the major version from what `postgres --version` prints, for example
// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)" or "postgres (PostgreSQL) 19devel". For majors before 10, which had
// two numbers, it returns the first alone.
func ParseVersion(text string) (int, error) {
	fields := strings.Fields(text)
	if len(fields) < 3 || fields[1] != "(PostgreSQL)" {
		return 0, fmt.Errorf("%q is not what postgres --version prints", strings.TrimSpace(text))
	}
	digits := fields[2]
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	major, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("%q does not begin with a version number", fields[2])
	}
	return major, nil
}

// InitConfig says how [Node.Init] creates a data directory.
type InitConfig struct {
	Superuser string // name of the first role; required
	Password  string // its password, one line; sent through a file that only the server's user can read and that is removed again
	NoSums    bool   // leave out data checksums, which pg_rewind otherwise can rely on
	Port      int    // of a new Debian cluster; zero means the next one that is free there
}

func (cfg InitConfig) check() error {
	switch {
	case cfg.Superuser == "":
		return errors.New("Superuser is empty")
	case strings.ContainsAny(cfg.Superuser, `"$'\`+"\n\x00"):
		return fmt.Errorf("Superuser %q: initdb takes no quotes, backslash, $ or line break in it", cfg.Superuser)
	case cfg.Password == "":
		return errors.New("Password is empty: nobody could log in")
	case strings.ContainsAny(cfg.Password, "\n\r\x00"):
		return errors.New("Password holds a line break or a NUL byte, where initdb would cut it off")
	}
	return nil
}

// Init creates the data directory with initdb: UTF-8, C locale, data checksums, and SCRAM for every connection. It refuses a
// directory that holds anything; an empty one is used. If it fails, initdb removes what it made; after a crash half of
// it may be left. Of a Debian cluster it creates the configuration as well, by pg_createcluster; one that exists is an error.
func (n *Node) Init(ctx context.Context, cfg InitConfig) error {
	if err := cfg.check(); err != nil {
		return err
	}
	args := []string{"-U", cfg.Superuser, "-E", "UTF8", "--locale=C", "--auth=scram-sha-256"}
	sums, err := n.checksums(ctx, cfg.NoSums)
	if err != nil {
		return err
	}
	secret := n.cfg.DataDir + ".pw"
	if err := n.writeSecret(ctx, secret, cfg.Password); err != nil {
		return fmt.Errorf("hand the password to initdb: %w", err)
	}
	err = withoutStatement(n.initdb(ctx, cfg, append(append(args, "--pwfile="+secret), sums...)))
	// The password must not stay, even if the caller's time is over.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if rmErr := n.cfg.Host.Remove(after, secret); rmErr != nil {
		err = errors.Join(err, fmt.Errorf("remove the password file: %w", rmErr))
	}
	if err != nil {
		return fmt.Errorf("initdb %s: %w", n.cfg.DataDir, err)
	}
	return nil
}

func (n *Node) initdb(ctx context.Context, cfg InitConfig, args []string) error {
	if n.cfg.Manager == Debian {
		return n.createCluster(ctx, cfg, args)
	}
	_, err := n.run(ctx, "initdb", append([]string{"-D", n.cfg.DataDir}, args...)...)
	return err
}

// withoutStatement removes from an error of initdb the statement that failed, because that may be the one with the password.
func withoutStatement(err error) error {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	var kept []string
	statement := false
	for line := range strings.SplitSeq(exit.Stderr, "\n") {
		// A statement goes on in lines that begin with a tab.
		statement = strings.Contains(line, "STATEMENT: ") || statement && strings.HasPrefix(line, "\t")
		if !statement {
			kept = append(kept, line)
		}
	}
	told := *exit
	told.Stderr = strings.Join(kept, "\n")
	return &told
}

// checksums returns the option of initdb: from 18 on, checksums are its default.
func (n *Node) checksums(ctx context.Context, none bool) ([]string, error) {
	if !none {
		return []string{"--data-checksums"}, nil
	}
	major, err := n.Major(ctx)
	if err != nil || major < 18 {
		return nil, err
	}
	return []string{"--no-data-checksums"}, nil
}

// writeSecret writes a file that only its owner can read; one that is already there might be open to others.
func (n *Node) writeSecret(ctx context.Context, name, secret string) error {
	if err := n.cfg.Host.Remove(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return n.cfg.Host.WriteFile(ctx, name, []byte(secret+"\n"), 0o600)
}

// Control reads the control file of the data directory. On a running server the checksum can fail for a moment; then the
// file is read again a few times.
func (n *Node) Control(ctx context.Context) (datadir.Control, error) {
	name := path.Join(n.cfg.DataDir, datadir.ControlFile)
	var control datadir.Control
	var damaged *datadir.ControlError
	for range 5 {
		data, err := n.cfg.Host.ReadFile(ctx, name)
		if err != nil {
			return control, fmt.Errorf("read control file: %w", err)
		}
		control, err = datadir.ParseControl(name, data)
		if !errors.As(err, &damaged) {
			return control, err
		}
	}
	return control, damaged
}

// Exists reports whether the data directory is there, by its PG_VERSION file. It says nothing about whether it is complete.
func (n *Node) Exists(ctx context.Context) (bool, error) {
	return n.cfg.Host.Exists(ctx, path.Join(n.cfg.DataDir, "PG_VERSION"))
}
