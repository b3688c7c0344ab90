package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
)

// passfileIsRight reports whether the password file of a node holds what it should, and whether libpq would read it. Without lines of
// ours it is the user's business, and not right.
func (b *Builder) passfileIsRight(ctx context.Context, n topology.Node, major pgconf.Major) (bool, error) {
	rendered, err := b.cfg.Cluster.Render(n.ID, major)
	if err != nil || len(rendered.Passfile) == 0 {
		return false, err
	}
	h, err := b.host(n)
	if err != nil {
		return false, err
	}
	have, there, err := b.readPassfile(ctx, h)
	if err != nil || !there {
		return false, err
	}
	want, err := b.passfile(ctx, have, rendered.Passfile)
	if err != nil || !bytes.Equal(have, want) {
		return false, err
	}
	return libpqReads(ctx, h, b.cfg.Cluster.Replication.Passfile)
}

// writePassfile makes the password file hold the lines. Lines of others stay.
func (b *Builder) writePassfile(ctx context.Context, n topology.Node, lines []topology.PassfileLine) error {
	h, err := b.host(n)
	if err != nil {
		return err
	}
	name := b.cfg.Cluster.Replication.Passfile
	have, there, err := b.readPassfile(ctx, h)
	if err != nil {
		return err
	}
	want, err := b.passfile(ctx, have, lines)
	if err != nil {
		return err
	}
	if there {
		// First: what is about to be written is nobody else's business.
		if _, err := h.Run(ctx, host.Cmd{Path: "chmod", Args: []string{"0600", name}}); err != nil {
			return fmt.Errorf("make the password file %s private: %w", name, err)
		}
	} else if err := h.MkdirAll(ctx, path.Dir(name), 0o700); err != nil {
		return fmt.Errorf("make the directory of the password file: %w", err)
	}
	if there && bytes.Equal(have, want) {
		return nil
	}
	if err := h.WriteFile(ctx, name, want, 0o600); err != nil {
		return fmt.Errorf("write the password file: %w", err)
	}
	return nil
}

func (b *Builder) readPassfile(ctx context.Context, h host.Host) (data []byte, there bool, err error) {
	data, err = h.ReadFile(ctx, b.cfg.Cluster.Replication.Passfile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read the password file: %w", err)
	}
	return data, true, nil
}

// passfile returns the content of a password file with these lines in effect.
func (b *Builder) passfile(ctx context.Context, have []byte, lines []topology.PassfileLine) ([]byte, error) {
	file, _ := conninfo.ParsePassfile(b.cfg.Cluster.Replication.Passfile, have) // lines that libpq passes over stay as they are
	for _, l := range lines {
		password, err := b.secret(ctx, l.Secret)
		if err != nil {
			return nil, fmt.Errorf("password of %s: %w", l.User, err)
		}
		entry := conninfo.PassEntry{Host: l.Host, Port: l.Port, Database: l.Database, User: l.User, Password: password}
		if err := file.Ensure(entry); err != nil {
			return nil, err
		}
	}
	return file.Bytes(), nil
}

// libpqReads reports whether libpq would read a password file: it ignores one that others have access to.
func libpqReads(ctx context.Context, h host.Host, name string) (bool, error) {
	r, err := h.Run(ctx, host.Cmd{Path: "stat", Args: []string{"-L", "-c", "%a", name}})
	if err != nil {
		return false, fmt.Errorf("look at the password file: %w", err)
	}
	mode, err := strconv.ParseUint(strings.TrimSpace(string(r.Stdout)), 8, 32)
	if err != nil {
		return false, fmt.Errorf("look at the password file: stat says %q", r.Stdout)
	}
	return conninfo.CheckPassfileMode(fs.FileMode(mode)&fs.ModePerm) == nil, nil
}
