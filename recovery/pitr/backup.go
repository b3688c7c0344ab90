package pitr

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/datadir"
)

// BackupError says that a folder is no base backup that can be restored.
type BackupError struct {
	File string // the folder, or a file in it
	Msg  string
}

func (e *BackupError) Error() string { return e.File + ": " + e.Msg }

const labelFile = "backup_label"

// backup is a base backup on disk.
type backup struct {
	dir   string
	tar   bool
	major pgconf.Major
}

// openBackup finds out what a folder holds.
func openBackup(ctx context.Context, dir string) (*backup, error) {
	b := &backup{dir: dir}
	if _, err := os.Stat(filepath.Join(dir, "base.tar")); err == nil {
		b.tar = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	found := map[string][]byte{}
	if err := b.small(ctx, found); err != nil {
		return nil, err
	}
	if found[labelFile] == nil {
		return nil, &BackupError{dir, "there is no " + labelFile + " in it, so it is no base backup, or a server was started in it"}
	}
	major, err := datadir.ParseVersion(filepath.Join(dir, datadir.VersionFile), found[datadir.VersionFile])
	b.major = major
	return b, err
}

// small reads what says what the backup is.
func (b *backup) small(ctx context.Context, found map[string][]byte) error {
	if !b.tar {
		for _, name := range []string{labelFile, datadir.VersionFile} {
			data, err := os.ReadFile(filepath.Join(b.dir, name))
			if err == nil {
				found[name] = data
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	return eachMember(ctx, filepath.Join(b.dir, "base.tar"), func(h *tar.Header, r io.Reader) error {
		if h.Name != labelFile && h.Name != datadir.VersionFile {
			return nil
		}
		data, err := io.ReadAll(io.LimitReader(r, 64<<10))
		found[h.Name] = data
		if len(found) == 2 {
			return errEnough
		}
		return err
	})
}

var errEnough = errors.New("enough")

// eachMember reads a tar file up to its end, or to errEnough.
func eachMember(ctx context.Context, name string, do func(h *tar.Header, r io.Reader) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	whole := &endless{Reader: f}
	for members := tar.NewReader(whole); ; {
		h, err := members.Next()
		if errors.Is(err, io.EOF) && whole.over {
			err = io.ErrUnexpectedEOF
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &BackupError{name, err.Error()}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		h.Name = strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
		if err := do(h, members); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// endless notes whether anybody came to its end. Who reads a whole tar file stops before, at the two empty blocks that end it.
type endless struct {
	io.Reader
	over bool
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	e.over = e.over || errors.Is(err, io.EOF)
	return n, err
}

// copying makes a data directory of a backup.
type copying struct {
	*backup
	dir         string // to make
	tablespaces map[string]string
	made        []string // folders

	// prepare, if set, is called when everything is copied and durable, and no server starts from it yet.
	prepare func() error
}

// undo removes what was made.
func (c *copying) undo() error {
	var errs []error
	for _, dir := range c.made {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// mkdir makes a folder that is not there yet.
func (c *copying) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	c.made = append(c.made, dir)
	return nil
}

// run copies everything, makes it durable, and adds last the file without which no server starts.
func (c *copying) run(ctx context.Context) error {
	if err := c.mkdir(c.dir); err != nil {
		return err
	}
	fill := c.fromFolder
	if c.tar {
		fill = c.fromTar
	}
	if err := fill(ctx); err != nil {
		return err
	}
	held := filepath.Join(c.dir, heldBack)
	if _, err := os.Stat(held); err != nil {
		return &BackupError{c.backup.dir, "it has no " + datadir.ControlFile}
	}
	for _, dir := range c.made { // the server does not sync tablespaces that it has yet to link
		if err := errors.Join(atomicfile.SyncTree(ctx, dir), atomicfile.SyncDir(filepath.Dir(dir))); err != nil {
			return err
		}
	}
	if c.prepare != nil {
		if err := c.prepare(); err != nil {
			return err
		}
	}
	return atomicfile.Rename(held, filepath.Join(c.dir, datadir.ControlFile))
}

// heldBack is where global/pg_control is until the copy is complete.
const heldBack = "pg_control.incoming"

// place returns where a file of a data directory goes; empty for one that a server must not find.
func (c *copying) place(name string) string {
	switch name {
	case "postmaster.pid", "postmaster.opts":
		return ""
	case datadir.ControlFile:
		name = heldBack
	}
	return filepath.Join(c.dir, filepath.FromSlash(name))
}

// fromFolder copies a plain backup.
func (c *copying) fromFolder(ctx context.Context) error {
	return c.tree(ctx, c.backup.dir, func(name string, info fs.FileInfo) (string, error) {
		if info.Mode()&fs.ModeSymlink == 0 {
			return c.place(name), nil
		}
		from := filepath.Join(c.backup.dir, name)
		switch {
		case name == "pg_wal": // it may lie elsewhere
			if err := os.Mkdir(c.place(name), 0o700); err != nil {
				return "", err
			}
			return "", c.tree(ctx, from+"/.", func(name string, _ fs.FileInfo) (string, error) { return c.place("pg_wal/" + name), nil })
		case strings.HasPrefix(name, "pg_tblspc/"):
			return "", c.tablespaceLink(ctx, name, from)
		}
		return "", &BackupError{from, "it is a symbolic link: put what it leads to in its place"}
	})
}

// tablespaceLink copies a tablespace that a link leads to.
func (c *copying) tablespaceLink(ctx context.Context, name, link string) error {
	old, err := os.Readlink(link)
	if err != nil {
		return err
	}
	to, err := c.tablespace(old)
	if err != nil {
		return err
	}
	err = c.tree(ctx, old+"/.", func(name string, _ fs.FileInfo) (string, error) { return filepath.Join(to, name), nil })
	return errors.Join(err, os.Symlink(to, c.place(name)))
}

// tablespace makes the new location of a tablespace.
func (c *copying) tablespace(old string) (string, error) {
	to := c.tablespaces[old]
	if to == "" || !filepath.IsAbs(to) {
		return "", &BackupError{c.backup.dir, fmt.Sprintf("it has a tablespace at %s: name an absolute new location in Tablespaces", old)}
	}
	return to, c.mkdir(to)
}

// tree copies the files below a folder to where place says; empty leaves one out.
func (c *copying) tree(ctx context.Context, root string, place func(name string, info fs.FileInfo) (string, error)) error {
	return filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, file) // it is below
		if name == "." {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		to, err := place(filepath.ToSlash(name), info)
		switch {
		case err != nil || to == "":
			return err
		case d.IsDir():
			return os.Mkdir(to, info.Mode().Perm())
		case !info.Mode().IsRegular():
			return &BackupError{file, "it is neither a file nor a folder"}
		}
		in, err := os.Open(file)
		if err != nil {
			return err
		}
		defer in.Close()
		return writeFile(to, in, info.Mode().Perm())
	})
}

func writeFile(name string, r io.Reader, perm fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// fromTar unpacks a backup in tar format.
func (c *copying) fromTar(ctx context.Context) error {
	if err := c.unpack(ctx, "base.tar", c.place); err != nil {
		return err
	}
	if err := c.tarTablespaces(ctx); err != nil {
		return err
	}
	wal := filepath.Join(c.backup.dir, "pg_wal.tar")
	if _, err := os.Stat(wal); errors.Is(err, fs.ErrNotExist) {
		return nil // it is in base.tar, or in the archive
	}
	return c.unpack(ctx, "pg_wal.tar", func(name string) string { return c.place("pg_wal/" + name) })
}

// tarTablespaces unpacks the tablespaces that tablespace_map names, and writes their new locations there: the server makes the links.
func (c *copying) tarTablespaces(ctx context.Context) error {
	file := c.place(datadir.TablespaceMapFile)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := datadir.ParseTablespaceMap(file, c.major, data)
	if err != nil {
		return err
	}
	for i, t := range all {
		to, err := c.tablespace(t.Path)
		if err != nil {
			return err
		}
		if err := c.unpack(ctx, strconv.FormatUint(uint64(t.OID), 10)+".tar", func(name string) string { return filepath.Join(to, name) }); err != nil {
			return err
		}
		all[i].Path = to
	}
	return atomicfile.Write(file, datadir.FormatTablespaceMap(c.major, all), 0o600)
}

// unpack writes the members of a tar file to where place says. Links of tablespaces are left to the server.
func (c *copying) unpack(ctx context.Context, name string, place func(name string) string) error {
	archive := filepath.Join(c.backup.dir, name)
	return eachMember(ctx, archive, func(h *tar.Header, r io.Reader) error {
		if h.Name == "" || h.Name == "." {
			return nil
		}
		if !filepath.IsLocal(h.Name) {
			return &BackupError{archive, fmt.Sprintf("a member has the name %q, which leads out of it", h.Name)}
		}
		to := place(h.Name)
		switch {
		case to == "", h.Typeflag == tar.TypeSymlink && strings.HasPrefix(h.Name, "pg_tblspc/"):
			return nil
		case h.Typeflag == tar.TypeDir:
			if err := os.Mkdir(to, h.FileInfo().Mode().Perm()|0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			return nil
		case h.Typeflag == tar.TypeReg:
			return writeFile(to, r, h.FileInfo().Mode().Perm())
		default:
			return &BackupError{archive, fmt.Sprintf("member %q is neither a file nor a folder", h.Name)}
		}
	})
}
