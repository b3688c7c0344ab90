package basebackup

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io/fs"
	"os"
	"path"
	"strconv"

	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Files with a part in whether a server starts.
const (
	manifestFile = "backup_manifest"
	walDir       = "pg_wal"
	linkDir      = "pg_tblspc"

	// hidden is added to the names of PG_VERSION and global/pg_control until the copy is complete: without either no server starts
	// (ValidatePgVersion in miscinit.c, checkControlFile in postmaster.c).
	hidden = ".incoming"
)

// fileSum is what arrived of a file.
type fileSum struct {
	size int64
	sum  string // bytes of the checksum
}

// unpacker writes what the receiver hands on, and notes what it was.
type unpacker struct {
	tar     bool
	dir     *os.Root            // the folder of the backup
	roots   map[uint32]*os.Root // those of tablespaces, in the plain format
	group   bool                // whether the group of the server's files may read them
	hash    hash.Hash           // nil for sizes only
	walFile *segmentChecker
	track   *tracker

	files map[string]fileSum // by name relative to the data directory
	links map[uint32]string  // symbolic links that the server sent in pg_tblspc
	kept  map[string][]byte  // content of a few small files
	bytes int64

	space    *space
	split    *splitter
	raw      *output // the tar file
	manifest *output

	// of the current file
	name string
	out  *output
	size int64
	keep bool
}

// newHash returns how to make a checksum, and nil for none.
func (c Checksum) newHash() hash.Hash {
	switch c {
	case CRC32C:
		return crc32c{crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	case SHA224:
		return sha256.New224()
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	default:
		return nil
	}
}

// crc32c has the bytes of its sum in the order of a little-endian server's memory, as the manifest has them (pg_checksum_final).
type crc32c struct{ hash.Hash32 }

func (c crc32c) Sum(b []byte) []byte {
	v := c.Sum32()
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}

// run takes all pieces, and gives the buffers back.
func (u *unpacker) run(ctx context.Context, in <-chan piece, free chan<- []byte) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case p, more := <-in:
			if !more {
				return u.endArchive()
			}
			if err := u.piece(p); err != nil {
				return err
			}
			if p.data != nil {
				free <- p.data[:0] // there is room for all buffers
			}
		}
	}
}

func (u *unpacker) piece(p piece) error {
	switch {
	case p.space != nil:
		return u.beginArchive(p.space)
	case p.manifest:
		return u.beginManifest()
	case u.manifest != nil:
		return u.manifest.write(p.data)
	}
	u.bytes += int64(len(p.data))
	u.track.done.Add(int64(len(p.data)))
	if u.raw != nil {
		if err := u.raw.write(p.data); err != nil {
			return err
		}
	}
	return u.split.write(p.data)
}

func (u *unpacker) beginArchive(s *space) error {
	if err := u.endArchive(); err != nil {
		return err
	}
	u.space = s
	u.split = &splitter{archive: s.archive(), sink: u}
	u.track.set(func(p *Progress) { p.Tablespace = s.source })
	if !u.tar {
		return nil
	}
	out, err := create(u.dir, s.archive(), 0o600)
	u.raw = out
	return err
}

func (u *unpacker) beginManifest() error {
	if err := u.endArchive(); err != nil {
		return err
	}
	out, err := create(u.dir, manifestFile, u.perm(0))
	u.manifest = out
	return err
}

// endArchive ends the archive or manifest that was being received, if any.
func (u *unpacker) endArchive() error {
	if u.manifest != nil {
		m := u.manifest
		u.manifest = nil
		return m.close()
	}
	if u.split == nil {
		return nil
	}
	s := u.split
	u.split = nil
	if err := s.close(); err != nil {
		return err
	}
	if u.raw == nil {
		return nil
	}
	raw := u.raw
	u.raw = nil
	if s.zeros == 0 { // a server before 15
		if err := raw.write(make([]byte, 2*tarBlock)); err != nil {
			return err
		}
	}
	return raw.close()
}

// close closes what is open. What was not closed by now is of no use.
func (u *unpacker) close() {
	for _, root := range u.roots {
		_ = root.Close()
	}
	for _, o := range []*output{u.out, u.raw, u.manifest} {
		if o != nil {
			_ = o.f.Close()
		}
	}
}

// path is the name of a member relative to the data directory, as the manifest has it.
func (u *unpacker) path(name string) string {
	if u.space.oid == 0 {
		return name
	}
	return path.Join(linkDir, strconv.FormatUint(uint64(u.space.oid), 10), name)
}

// place says where a member is written.
func (u *unpacker) place(name string) (*os.Root, string) {
	switch {
	case u.space.inPlace:
		return u.dir, u.path(name)
	case u.space.oid != 0:
		return u.roots[u.space.oid], name
	case name == datadir.VersionFile || name == datadir.ControlFile:
		return u.dir, name + hidden
	}
	return u.dir, name
}

// perm is the mode of a file: the server's, without what it must not have in a data directory.
func (u *unpacker) perm(mode fs.FileMode) fs.FileMode {
	if u.group {
		return 0o640 | mode&0o110
	}
	return 0o600 | mode&0o100
}

func (u *unpacker) dirPerm() fs.FileMode {
	if u.group {
		return 0o750
	}
	return 0o700
}

func (u *unpacker) begin(m member) error {
	switch m.kind {
	case directory:
		if u.tar {
			return nil
		}
		return u.mkdir(m.name)
	case symlink:
		return u.link(m)
	}
	u.name = u.path(m.name)
	if _, again := u.files[u.name]; again {
		return u.fault("came twice")
	}
	if u.reserved(u.name) {
		return u.fault("a name that is not the server's")
	}
	u.size, u.keep = m.size, m.size < 1<<20 && keeps(u.name)
	if u.hash != nil {
		u.hash.Reset()
	}
	if seg, ok := u.walFile.segment(u.name); ok {
		u.walFile.begin(seg)
	}
	if u.tar || m.name == markerFile { // a source that was such a copy may have kept its marker; ours is of more use
		return nil
	}
	root, name := u.place(m.name)
	var err error
	u.out, err = create(root, name, u.perm(m.mode))
	return err
}

// reserved reports names of files that stand for something of ours while the copy is made.
func (u *unpacker) reserved(name string) bool {
	return name == manifestFile || name == datadir.VersionFile+hidden || name == datadir.ControlFile+hidden
}

func (u *unpacker) fault(msg string) error {
	return &ArchiveError{Archive: u.space.archive(), Member: u.name, Msg: msg}
}

// keeps names the files whose content is looked at.
func keeps(name string) bool {
	return name == datadir.VersionFile || name == datadir.LabelFile || name == datadir.ControlFile
}

func (u *unpacker) mkdir(name string) error {
	root, name := u.place(name)
	err := root.Mkdir(name, u.dirPerm())
	if errors.Is(err, fs.ErrExist) { // pg_wal, made before for the stream
		if info, statErr := root.Lstat(name); statErr == nil && info.IsDir() {
			return nil
		}
	}
	if err == nil && u.group {
		err = root.Chmod(name, u.dirPerm())
	}
	return err
}

// link notes a symbolic link. The only ones that a backup has are those of tablespaces; they are made at the end, with the locations
// of the copy, so that nothing is ever written through one.
func (u *unpacker) link(m member) error {
	u.name = u.path(m.name)
	dir, base := path.Split(m.name)
	oid, err := strconv.ParseUint(base, 10, 32)
	if u.space.oid != 0 || dir != linkDir+"/" || err != nil {
		return u.fault("a symbolic link that is not a tablespace's")
	}
	if _, again := u.links[uint32(oid)]; again {
		return u.fault("came twice")
	}
	u.links[uint32(oid)] = m.link
	return nil
}

func (u *unpacker) content(p []byte) error {
	if u.out != nil {
		if err := u.out.write(p); err != nil {
			return err
		}
	}
	if u.hash != nil {
		u.hash.Write(p) // never fails
	}
	if u.keep {
		u.kept[u.name] = append(u.kept[u.name], p...)
	}
	u.walFile.write(p)
	return nil
}

func (u *unpacker) end() error {
	var sum string
	if u.hash != nil {
		var room [sha512.Size]byte
		sum = string(u.hash.Sum(room[:0]))
	}
	u.files[u.name] = fileSum{u.size, sum}
	u.walFile.end()
	if u.out == nil {
		return nil
	}
	out := u.out
	u.out = nil
	return out.close()
}

// complete checks that what every backup has is there, and of the server and backup it should be of.
func (u *unpacker) complete(r Result) error {
	for _, name := range []string{datadir.VersionFile, datadir.LabelFile, datadir.ControlFile} {
		if _, ok := u.files[name]; !ok {
			return baseFault(name, "is missing")
		}
	}
	major, err := datadir.ParseVersion(datadir.VersionFile, u.kept[datadir.VersionFile])
	if err != nil || major != r.Major {
		return baseFault(datadir.VersionFile, fmt.Sprintf("says %q, the server is PostgreSQL %v", u.kept[datadir.VersionFile], r.Major))
	}
	control, err := datadir.ParseControl(datadir.ControlFile, u.kept[datadir.ControlFile])
	if err != nil {
		return err
	}
	if control.SystemID != r.SystemID {
		return baseFault(datadir.ControlFile, fmt.Sprintf("is of system %v, the server is %v", control.SystemID, r.SystemID))
	}
	label, err := wal.ParseBackupLabel(u.kept[datadir.LabelFile])
	if err != nil {
		return baseFault(datadir.LabelFile, err.Error())
	}
	if label.Start != r.Start || label.StartFile.Timeline != r.StartTimeline {
		return baseFault(datadir.LabelFile, fmt.Sprintf("says that the backup starts at %v of timeline %d, the server said %v of %d",
			label.Start, label.StartFile.Timeline, r.Start, r.StartTimeline))
	}
	return nil
}

func baseFault(name, msg string) error {
	return &ArchiveError{Archive: "base.tar", Member: name, Msg: msg}
}
