package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology/host"
)

// Standby is everything that makes a data directory a particular standby: its own settings and access rules, and whom it
// follows. Clones and rewound servers come with the configuration of their source, so it is written anew each time, and what
// ALTER SYSTEM once set on the source for the same parameters is commented out.
type Standby struct {
	Settings map[string]string
	Access   []hba.Record
	Recovery recovery.Config
}

// cloneName is the application_name of pg_basebackup. It streams WAL through a slot of its own and confirms what it has
// written, so under the name of a node it would count as that synchronous standby: commits would be acknowledged that only an
// unfinished copy holds (ReceiveXlogStream in src/bin/pg_basebackup/receivelog.c). No node can have this name.
const cloneName = "understudy-clone"

// Clone copies the server at source into the data directory with pg_basebackup, or the program Config.Basebackup (fast checkpoint, WAL
// streamed along), and makes the copy a standby. source may be a standby itself. Nothing of that name may exist; see
// [Node.SetAside]. The copy is made beside it in DataDir + ".incoming" and moved into place when it is complete and configured; a
// leftover of an interrupted Clone there is removed first, since it never was in use. source names a role with REPLICATION; its
// password comes from the passfile it names, and one in source itself is refused. The server is not started.
//
// A configuration that lies outside of the data directory is the machine's own: it is edited as standby says, and of the source's, none
// is kept. Whether all tablespaces of the source have a place here, [Node.CheckTablespaces] tells before; one that has none ends
// the clone with a [*TablespaceError].
func (n *Node) Clone(ctx context.Context, source conninfo.Info, standby Standby) error {
	if err := n.clone(ctx, source, standby); err != nil {
		return fmt.Errorf("clone: %w", redacted(err))
	}
	return nil
}

func (n *Node) clone(ctx context.Context, source conninfo.Info, standby Standby) error {
	if err := checkSource(source); err != nil {
		return err
	}
	for _, name := range []string{n.cfg.DataDir, n.rewinding()} {
		exists, err := n.cfg.Host.Exists(ctx, name)
		if err != nil {
			return err
		}
		if exists {
			return fmt.Errorf("%s exists: set it aside first", name)
		}
	}
	if err := n.checkOwnConfig(ctx); err != nil {
		return err
	}
	if err := n.removeIncoming(ctx); err != nil {
		return fmt.Errorf("remove an unfinished earlier copy: %w", err)
	}
	if err := n.copyFrom(ctx, source.With("application_name", cloneName)); err != nil {
		return err
	}
	if err := n.checkCopied(ctx); err != nil {
		return err
	}
	if err := n.adopt(ctx, n.incoming(), standby); err != nil {
		return err
	}
	if err := n.cfg.Host.Rename(ctx, n.incoming(), n.cfg.DataDir); err != nil {
		return fmt.Errorf("move the finished copy into place: %w", err)
	}
	return nil
}

// incoming is the name of a clone until it is a configured standby. The program Config.Basebackup makes it under that name and another
// ".incoming".
func (n *Node) incoming() string { return n.cfg.DataDir + ".incoming" }

// checkOwnConfig makes sure that there is a configuration for the clone, if it does not come with the data.
func (n *Node) checkOwnConfig(ctx context.Context) error {
	if !n.cfg.ownConfig() {
		return nil
	}
	there, err := n.cfg.Host.Exists(ctx, n.cfg.ConfigFile)
	if err == nil && !there {
		err = fmt.Errorf("%s is not there: create the server's configuration first (for a Debian cluster with Init, then set its data aside)", n.cfg.ConfigFile)
	}
	return err
}

// copyFrom makes the copy.
func (n *Node) copyFrom(ctx context.Context, source conninfo.Info) error {
	if n.cfg.Basebackup != "" {
		args := []string{"--wal=stream", "--checkpoint=fast"}
		for _, from := range slices.Sorted(maps.Keys(n.cfg.Tablespaces)) {
			args = append(args, "--tablespace="+from+"="+n.cfg.Tablespaces[from])
		}
		_, err := n.cfg.Host.Run(ctx, host.Cmd{Path: n.cfg.Basebackup, Args: append(args, source.Text(), n.incoming())})
		return err
	}
	// -R makes the copy a standby before it is complete, so that at no time could anyone start it as a primary.
	args := []string{"-D", n.incoming(), "-d", source.Text(), "-X", "stream", "-c", "fast", "-w", "-R"}
	escape := strings.NewReplacer(`\`, `\\`, "=", `\=`)
	for _, from := range slices.Sorted(maps.Keys(n.cfg.Tablespaces)) {
		args = append(args, "-T", escape.Replace(from)+"="+escape.Replace(n.cfg.Tablespaces[from]))
	}
	if _, err := n.run(ctx, "pg_basebackup", args...); err != nil {
		return fmt.Errorf("pg_basebackup: %w", err)
	}
	return nil
}

// removeIncoming removes what an interrupted Clone left, unless somebody has started a server in it. What the program Config.Basebackup
// left, it removes by itself, with the tablespaces.
func (n *Node) removeIncoming(ctx context.Context) error {
	names := []string{n.incoming()}
	if n.cfg.Basebackup == "" {
		names = append(names, n.incoming()+".incoming")
	}
	for _, name := range names {
		if err := n.removeDir(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// removeDir removes a directory in which no server runs. [host.Host] has no recursive removal on purpose; only names that nobody uses
// as a data directory may come here.
func (n *Node) removeDir(ctx context.Context, dir string) error {
	pids, err := n.processesIn(ctx, dir)
	if err != nil {
		return err
	}
	if len(pids) > 0 {
		return fmt.Errorf("a server runs in %s (pid %d)", dir, pids[0])
	}
	_, err = n.cfg.Host.Run(ctx, host.Cmd{Path: "rm", Args: []string{"-rf", "--one-file-system", "--", dir}})
	return err
}

// adopt gives the data directory that lies at a place for now its role, and then its own configuration.
func (n *Node) adopt(ctx context.Context, at string, standby Standby) error {
	server, err := n.Server(ctx)
	if err != nil {
		return err
	}
	if err := n.checkConfig(ctx, at); err != nil {
		return err
	}
	if err := n.clearAutoConf(ctx, at, standby.Settings); err != nil {
		return err
	}
	if err := takeOver(ctx, n.files(at), server, standby.Recovery); err != nil {
		return err
	}
	return n.configure(ctx, at, standby.Settings, standby.Access)
}

// checkConfig makes the configuration one of its own. If that lies elsewhere, the source's is removed from a copy; if not, and the
// source has none in its data directory, it begins empty.
func (n *Node) checkConfig(ctx context.Context, at string) error {
	f := n.files(at)
	if !n.cfg.ownConfig() {
		there, err := n.cfg.Host.Exists(ctx, f.path(n.cfg.ConfigFile))
		if err == nil && !there {
			err = f.WriteFile(ctx, n.cfg.ConfigFile, nil, 0o600)
		}
		return err
	}
	if at == n.cfg.DataDir {
		return nil
	}
	conf, err := n.load(ctx, at)
	if err != nil {
		return err
	}
	for name, parameter := range map[string]string{"postgresql.conf": "config_file", "pg_hba.conf": "hba_file", "pg_ident.conf": "ident_file"} {
		name = path.Join(n.cfg.DataDir, name)
		if s, ok := conf.Get(parameter); ok && path.Clean(s.Value) == name || slices.Contains(conf.Files(), name) {
			continue
		}
		if n.cfg.Manager != Debian && parameter != "config_file" {
			if _, ok := conf.Get(parameter); !ok {
				continue // that is where the server looks
			}
		}
		if err := f.Remove(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// CanRewind reports whether pg_rewind is among the binaries.
func (n *Node) CanRewind(ctx context.Context) bool {
	_, err := n.run(ctx, "pg_rewind", "--version")
	return err == nil
}

// Rewind takes back what the stopped server wrote after its history parted from that of the running primary at source, and
// makes it a standby. A crashed primary is first brought to a clean end in single-user mode, which accepts no connection; for a
// crashed standby there is no such way, so it must be cloned. source names a superuser, or from 11 on a role allowed to call the
// functions the pg_rewind manual lists; dbname must be set, and a password in it is refused as by [Node.Clone]. The server is
// not started.
//
// pg_rewind first runs without changing anything, so what it refuses leaves the data as it was. Then the data directory is
// renamed to DataDir + ".rewinding", where nobody starts it, until it is a configured standby: interrupted half-way it may be
// a mixture of two servers, and complete but without its role it would start as a second primary on the timeline of the
// first. After an interruption it stays under that name, Start and Rewind return [ErrHalfRewound], and only a clone helps.
//
// Configuration files in the data directory come from the source, so the standby's own are written anew; those outside are edited as
// for [Node.Clone]. A server that was retired is refused, see [Node.Unretire]. The primary must have made a
// checkpoint on its timeline since its promotion, or pg_rewind up to 15 sees no difference (manual of pg_rewind, 16).
func (n *Node) Rewind(ctx context.Context, source conninfo.Info, standby Standby) error {
	if err := n.rewind(ctx, source, standby); err != nil {
		return fmt.Errorf("rewind: %w", redacted(err))
	}
	return nil
}

func (n *Node) rewind(ctx context.Context, source conninfo.Info, standby Standby) error {
	if err := checkSource(source); err != nil {
		return err
	}
	if err := n.checkStopped(ctx); err != nil {
		return err
	}
	half, err := n.cfg.Host.Exists(ctx, n.rewinding())
	if err != nil {
		return err
	}
	if half {
		return ErrHalfRewound
	}
	if err := n.checkRetired(ctx); err != nil {
		return err
	}
	if err := n.endCleanly(ctx); err != nil {
		return err
	}
	from := "--source-server=" + source.Text()
	if _, err := n.run(ctx, "pg_rewind", "--dry-run", "-D", n.cfg.DataDir, from); err != nil {
		return fmt.Errorf("pg_rewind --dry-run: %w", err)
	}
	// This finds out what is wrong with the configuration before there is no way back.
	if err := n.adopt(ctx, n.cfg.DataDir, standby); err != nil {
		return err
	}
	if err := n.cfg.Host.Rename(ctx, n.cfg.DataDir, n.rewinding()); err != nil {
		return fmt.Errorf("move the data directory out of the way: %w", err)
	}
	if _, err := n.run(ctx, "pg_rewind", "-D", n.rewinding(), from); err != nil {
		return fmt.Errorf("pg_rewind: %w", err)
	}
	if err := n.adopt(ctx, n.rewinding(), standby); err != nil {
		return err
	}
	if err := n.cfg.Host.Rename(ctx, n.rewinding(), n.cfg.DataDir); err != nil {
		return fmt.Errorf("move the data directory back: %w", err)
	}
	return nil
}

// rewinding is the name of the data directory while pg_rewind works in it.
func (n *Node) rewinding() string { return n.cfg.DataDir + ".rewinding" }

// checkStopped refuses a server that runs, or may.
func (n *Node) checkStopped(ctx context.Context) error {
	pids, err := n.Processes(ctx)
	if err != nil {
		return err
	}
	if len(pids) > 0 {
		return fmt.Errorf("the server in %s runs (pid %d): stop it first", n.cfg.DataDir, pids[0])
	}
	return nil
}

// endCleanly brings a crashed server to the state that pg_rewind needs. In single-user mode the server replays its WAL and
// writes a shutdown checkpoint when its standard input ends.
func (n *Node) endCleanly(ctx context.Context) error {
	control, err := n.Control(ctx)
	if err != nil {
		return err
	}
	if control.State.Clean() {
		return nil
	}
	args := []string{"--single", "-D", n.cfg.DataDir, "-c", "archive_mode=off"}
	if n.cfg.ownConfig() {
		args = append(args, "-c", "config_file="+n.cfg.ConfigFile)
	}
	_, err = n.cfg.Host.Run(ctx, host.Cmd{
		Path:  path.Join(n.cfg.BinDir, "postgres"),
		Args:  append(args, "template1"),
		Env:   []string{"LC_ALL=C"},
		Stdin: strings.NewReader(""),
	})
	if err != nil {
		return fmt.Errorf("crash recovery in single-user mode: %w", err)
	}
	return nil
}
