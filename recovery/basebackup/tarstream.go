package basebackup

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/big"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// member is an entry of a tar archive.
type member struct {
	name string // clean, relative, without a slash at the end
	kind memberKind
	mode fs.FileMode // permissions only
	size int64       // of a file
	link string      // where a symbolic link points
}

type memberKind byte

const (
	regularFile memberKind = '0'
	symlink     memberKind = '2'
	directory   memberKind = '5'
)

// memberSink takes the members of an archive one after the other.
type memberSink interface {
	begin(m member) error
	content(p []byte) error // the next bytes of a file
	end() error             // of a file
}

const tarBlock = 512

// splitter takes a tar archive in pieces as they come and hands on its members, without copying their content. It knows what a
// PostgreSQL server sends (tarCreateHeader in src/port/tar.c): ustar headers of files, folders and symbolic links. Everything else
// is refused, and so is every name that could lead out of the folder.
type splitter struct {
	archive string
	sink    memberSink

	header  [tarBlock]byte
	have    int // bytes of header
	current string
	left    int64 // of the content of current
	padding int   // behind it
	open    bool  // a file has begun and not ended
	zeros   int   // blocks of zeros: two end the archive
}

func (s *splitter) write(p []byte) error {
	for len(p) > 0 {
		var n int
		var err error
		switch {
		case s.left > 0:
			n = int(min(s.left, int64(len(p))))
			s.left -= int64(n)
			if err = s.sink.content(p[:n]); err == nil && s.left == 0 {
				err = s.endFile()
			}
		case s.padding > 0:
			n = min(s.padding, len(p))
			s.padding -= n
		default:
			n = copy(s.header[s.have:], p)
			if s.have += n; s.have == tarBlock {
				s.have = 0
				err = s.block()
			}
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// close is called at the end of the archive. Servers before 15 leave out the blocks of zeros at the end.
func (s *splitter) close() error {
	if s.left > 0 || s.have > 0 || s.padding > 0 {
		return s.fault("it ends in the middle")
	}
	if s.zeros == 1 {
		return s.fault("it has half an end")
	}
	return nil
}

func (s *splitter) endFile() error {
	s.open = false
	return s.sink.end()
}

func (s *splitter) fault(format string, args ...any) error {
	return &ArchiveError{Archive: s.archive, Member: s.current, Msg: fmt.Sprintf(format, args...)}
}

// block acts on a complete header block.
func (s *splitter) block() error {
	s.current = ""
	if bytes.Count(s.header[:], []byte{0}) == tarBlock {
		s.zeros++
		return nil
	}
	if s.zeros > 0 {
		return s.fault("there is something behind its end")
	}
	m, err := s.parseHeader()
	if err != nil {
		return err
	}
	if err := s.sink.begin(m); err != nil {
		return err
	}
	if m.kind != regularFile {
		return nil
	}
	s.open, s.left, s.padding = true, m.size, int(-m.size&(tarBlock-1))
	if m.size == 0 {
		return s.endFile()
	}
	return nil
}

// Fields of a ustar header (POSIX pax, "ustar Interchange Format").
const (
	tarName, tarNameEnd         = 0, 100
	tarMode, tarModeEnd         = 100, 108
	tarSize, tarSizeEnd         = 124, 136
	tarChecksum, tarChecksumEnd = 148, 156
	tarType                     = 156
	tarLink, tarLinkEnd         = 157, 257
	tarMagic, tarMagicEnd       = 257, 262
	tarPrefix, tarPrefixEnd     = 345, 500
)

func (s *splitter) parseHeader() (member, error) {
	h := s.header[:]
	s.current = text(h[tarName:tarNameEnd])
	if prefix := text(h[tarPrefix:tarPrefixEnd]); prefix != "" {
		s.current = prefix + "/" + s.current
	}
	m := member{kind: memberKind(h[tarType])}
	if m.kind == 0 {
		m.kind = regularFile
	}
	sum, ok := number(h[tarChecksum:tarChecksumEnd])
	if !ok || sum != headerSum(h) {
		return m, s.fault("its header is damaged")
	}
	mode, okMode := number(h[tarMode:tarModeEnd])
	size, okSize := number(h[tarSize:tarSizeEnd])
	name := strings.TrimPrefix(strings.TrimSuffix(s.current, "/"), "./")                // the server writes "./pg_wal/archive_status/"
	m.name, m.mode, m.link = name, fs.FileMode(mode&0o777), text(h[tarLink:tarLinkEnd]) //nolint:gosec // nine bits
	switch {
	case string(h[tarMagic:tarMagicEnd]) != "ustar" || !okMode || !okSize:
		return m, s.fault("it is no ustar archive")
	case m.kind != regularFile && m.kind != symlink && m.kind != directory:
		return m, s.fault("entries of type %q do not belong into a backup", m.kind)
	case !localName(name):
		return m, s.fault("the name leads out of the data directory, or is not clean")
	case m.kind != regularFile && size != 0:
		return m, s.fault("a folder or link with content")
	case m.kind == regularFile && strings.HasSuffix(s.current, "/"):
		return m, s.fault("a file with the name of a folder")
	}
	m.size = size
	return m, nil
}

// localName reports whether a name stays inside the folder it is relative to, and is written in the only way there is.
func localName(name string) bool {
	return name != "." && filepath.IsLocal(name) && path.Clean(name) == name && !strings.Contains(name, `\`)
}

// text is a field up to its first NUL.
func text(field []byte) string {
	if i := bytes.IndexByte(field, 0); i >= 0 {
		field = field[:i]
	}
	return string(field)
}

// number reads a numeric field: octal digits, or base 256 for what has more than eleven of them (print_tar_number in tar.c).
func number(field []byte) (int64, bool) {
	if field[0] == 0x80 {
		v := new(big.Int).SetBytes(field[1:])
		return v.Int64(), v.BitLen() <= 62
	}
	v, err := strconv.ParseUint(strings.Trim(text(field), " "), 8, 40)
	return int64(v), err == nil //nolint:gosec // 40 bits
}

// headerSum adds the bytes of a header, its checksum taken for blanks.
func headerSum(h []byte) int64 {
	var sum int64
	for i, b := range h {
		if i >= tarChecksum && i < tarChecksumEnd {
			b = ' '
		}
		sum += int64(b)
	}
	return sum
}
