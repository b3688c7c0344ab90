package pgnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/promote"
)

// Configure edits the configuration files to say what settings say, leaving everything else in them as it is, and replaces the access
// rules by the given records. It is for new servers; the rules of one that somebody uses are edited by [Node.EditHBA]. A server
// that runs takes the changes up at the next reload or restart, whichever each parameter needs. See [Node.Set] for settings that
// would have no effect.
func (n *Node) Configure(ctx context.Context, settings map[string]string, access []hba.Record) error {
	return n.configure(ctx, n.cfg.DataDir, settings, access)
}

func (n *Node) configure(ctx context.Context, at string, settings map[string]string, access []hba.Record) error {
	rules := hba.New("pg_hba.conf")
	for _, r := range access {
		if err := rules.Append(r); err != nil {
			return err
		}
	}
	conf, err := n.set(ctx, at, settings)
	if err != nil {
		return err
	}
	name, err := n.hbaFile(conf)
	if err != nil {
		return err
	}
	if err := n.files(at).WriteFile(ctx, name, rules.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write pg_hba.conf: %w", err)
	}
	return nil
}

// Set edits the configuration files to say what settings say and leaves everything else in them as it is: each parameter is edited
// where its line has effect, be it an included file; a new one goes to the main file. It changes nothing and returns an
// [*OverruledError] if postgresql.auto.conf, which ALTER SYSTEM writes, or the command line says otherwise. See [Node.Reload].
func (n *Node) Set(ctx context.Context, settings map[string]string) error {
	_, err := n.set(ctx, n.cfg.DataDir, settings)
	return err
}

// OverruledError says that a setting in the configuration files would have no effect. Its text leaves out values that may hold a
// secret.
type OverruledError struct {
	File string // postgresql.auto.conf, or [pgconf.CommandLine]
	Line int
	Name string
	Have string // the value there
	Want string // the value that was to be set
}

func (e *OverruledError) Error() string {
	have, want := fmt.Sprintf("%q", e.Have), fmt.Sprintf("%q", e.Want)
	if pgconf.MayHoldSecret(e.Name) {
		have, want = "set", "what is wanted"
	}
	remedy := "remove it with ALTER SYSTEM RESET " + e.Name
	if e.File == pgconf.CommandLine {
		remedy = "start the server without this argument"
	}
	return fmt.Sprintf("%s:%d: %s is %s here, which wins over %s in the configuration files; %s, then try again",
		e.File, e.Line, e.Name, have, want, remedy)
}

func (n *Node) set(ctx context.Context, at string, settings map[string]string) (*pgconf.Config, error) {
	conf, err := n.load(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := conf.SetAll(settings); err != nil {
		var overruled *pgconf.OverruledError
		if errors.As(err, &overruled) && overruled.Origin != pgconf.FromFile {
			by := overruled.By
			err = &OverruledError{by.File, by.Line, by.Name, by.Value, settings[overruled.Name]}
		}
		return nil, err
	}
	for _, c := range conf.Changed() {
		if err := n.files(at).WriteFile(ctx, c.File, c.After, 0o600); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
	}
	return conf, nil
}

// load reads the configuration with every file that it includes, as it will be when folder at is the data directory. What a server
// could not read is an error.
func (n *Node) load(ctx context.Context, at string) (*pgconf.Config, error) {
	conf, err := n.loadTolerant(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return conf, nil
}

func (n *Node) loadTolerant(ctx context.Context, at string) (*pgconf.Config, error) {
	major, err := n.majorOf(ctx, at)
	if err != nil {
		return nil, err
	}
	args, err := n.args(ctx)
	if err != nil {
		return nil, err
	}
	return pgconf.Load(fileSystem{ctx, n.files(at)}, n.cfg.ConfigFile, pgconf.Options{Major: major, DataDir: n.cfg.DataDir, Args: args})
}

// majorOf reads the major of a data directory; zero if there is none.
func (n *Node) majorOf(ctx context.Context, at string) (pgconf.Major, error) {
	data, err := n.cfg.Host.ReadFile(ctx, path.Join(at, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return pgconf.ParseMajor(strings.TrimSpace(string(data)))
}

// args are the arguments with which the server is started that overrule its files. Those of pg_ctl and pg_ctlcluster overrule nothing.
// What a unit or a user's command gives a server, only its last start tells.
func (n *Node) args(ctx context.Context) ([]string, error) {
	if n.cfg.Manager != Systemd && n.cfg.Manager != Commands {
		return nil, nil
	}
	data, err := n.cfg.Host.ReadFile(ctx, path.Join(n.cfg.DataDir, "postmaster.opts"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return parseOpts(string(data)), err
}

// parseOpts returns the arguments in postmaster.opts, each of which stands in double quotes with nothing escaped (CreateOptsFile in
// postmaster.c).
func parseOpts(text string) []string {
	_, rest, found := strings.Cut(strings.TrimSuffix(text, "\n"), ` "`)
	if !found {
		return nil
	}
	return strings.Split(strings.TrimSuffix(rest, `"`), `" "`)
}

// hbaFile returns the file with the access rules. Without hba_file it lies in the data directory, or, as pg_ctlcluster has it, beside the
// configuration.
func (n *Node) hbaFile(conf *pgconf.Config) (string, error) {
	s, ok := conf.Get("hba_file")
	switch {
	case !ok && n.cfg.Manager == Debian:
		return path.Join(path.Dir(n.cfg.ConfigFile), "pg_hba.conf"), nil
	case !ok:
		return path.Join(n.cfg.DataDir, "pg_hba.conf"), nil
	case !path.IsAbs(s.Value):
		return "", fmt.Errorf("%s:%d: hba_file %q is relative to wherever the server is started: make it absolute", s.File, s.Line, s.Value)
	}
	return path.Clean(s.Value), nil
}

// EditHBA lets edit change the access rules, [hba.File.EnsureRule] for instance, and writes them if they differ then. The file that is
// edited, it returns in any case. If edit fails, nothing is written. [Node.FS] is for files that the rules name.
func (n *Node) EditHBA(ctx context.Context, edit func(*hba.File) error) (name string, changed bool, err error) {
	conf, err := n.load(ctx, n.cfg.DataDir)
	if err != nil {
		return "", false, err
	}
	if name, err = n.hbaFile(conf); err != nil {
		return "", false, err
	}
	before, err := n.cfg.Host.ReadFile(ctx, name)
	if err != nil {
		return name, false, fmt.Errorf("read access rules: %w", err)
	}
	rules, err := hba.ParseFor(name, before, conf.Major())
	if err != nil {
		return name, false, err
	}
	if err := edit(rules); err != nil {
		return name, false, err
	}
	if bytes.Equal(rules.Bytes(), before) {
		return name, false, nil
	}
	if err := n.cfg.Host.WriteFile(ctx, name, rules.Bytes(), 0o600); err != nil {
		return name, false, fmt.Errorf("write access rules: %w", err)
	}
	return name, true, nil
}

// FS is the file system of the server's machine from its root, for reading, while ctx lasts.
func (n *Node) FS(ctx context.Context) fs.FS { return fileSystem{ctx, n.files(n.cfg.DataDir)} }

// Files are the files of the server's machine, for package recovery.
func (n *Node) Files() recovery.Files { return n.files(n.cfg.DataDir) }

// Server says where the server's files lie, for package recovery.
func (n *Node) Server(ctx context.Context) (recovery.Server, error) {
	args, err := n.args(ctx)
	return recovery.Server{DataDir: n.cfg.DataDir, ConfigFile: n.cfg.ConfigFile, Args: args}, err
}

// Follow makes the server a standby as cfg says; it takes effect at the next start, or, of a standby that runs, at the next reload
// (13+). A server that runs keeps what it has besides, see [recovery.Apply]; of one that does not, what an earlier life of the data
// directory left behind is cleared away, see [recovery.TakeOver] and [promote.Clear].
func (n *Node) Follow(ctx context.Context, cfg recovery.Config) error {
	s, err := n.Status(ctx)
	if err != nil {
		return err
	}
	server, err := n.Server(ctx)
	if err != nil {
		return err
	}
	if err := n.checkRetired(ctx); err != nil {
		return err
	}
	if s.State != StateStopped {
		return recovery.Apply(ctx, n.Files(), server, cfg)
	}
	return takeOver(ctx, n.Files(), server, cfg)
}

// takeOver gives a server that does not run its role.
func takeOver(ctx context.Context, f recovery.Files, server recovery.Server, cfg recovery.Config) error {
	if err := recovery.TakeOver(ctx, f, server, cfg); err != nil {
		return err
	}
	_, err := promote.Clear(ctx, f, server)
	return err
}

// clearAutoConf comments out what would overrule the standby's own configuration.
func (n *Node) clearAutoConf(ctx context.Context, at string, settings map[string]string) error {
	name := path.Join(n.cfg.DataDir, pgconf.AutoConf)
	data, err := n.files(at).ReadFile(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", pgconf.AutoConf, err)
	}
	auto, err := pgconf.Parse(name, data)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if err := auto.Unset(name); err != nil {
			return err
		}
	}
	if bytes.Equal(auto.Bytes(), data) {
		return nil
	}
	if err := n.files(at).WriteFile(ctx, name, auto.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", pgconf.AutoConf, err)
	}
	return nil
}

// checkSource refuses secrets, because the source ends up in the arguments of a command.
func checkSource(source conninfo.Info) error {
	if source.String() != source.Text() {
		return fmt.Errorf("source %v holds a secret, which every user of the machine could read in the process list: name a passfile instead", source)
	}
	return nil
}
