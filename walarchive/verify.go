package walarchive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// verified returns a reader of r's content that ends in an error instead of io.EOF if the content is not what
// the name says for this cluster. What the first page can tell, it tells at once.
func (id Identity) verified(f wal.FileName, r io.Reader) (io.Reader, error) {
	switch f.Kind {
	case wal.KindHistory, wal.KindBackup:
		b, err := readLimited(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		return bytes.NewReader(b), id.checkText(f, b)
	}
	seg, err := f.Segment(id.SegmentSize)
	if err != nil {
		return nil, err
	}
	head := make([]byte, wal.SegmentHeaderSize)
	n, err := io.ReadFull(r, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &SizeError{Name: f.String(), Want: int64(id.SegmentSize), Got: int64(n)}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	h, err := wal.ParseSegmentHeader(head)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if err := h.Check(seg, id.SystemID, id.SegmentSize); err != nil {
		return nil, err
	}
	return &exactReader{name: f.String(), r: io.MultiReader(bytes.NewReader(head), r), want: int64(id.SegmentSize)}, nil
}

func (id Identity) checkText(f wal.FileName, b []byte) error {
	if !bytes.HasSuffix(b, []byte("\n")) {
		return &ContentError{Name: f.String(), Msg: "empty or cut off: the last line does not end"}
	}
	if f.Kind == wal.KindBackup {
		return id.checkBackup(f, b)
	}
	h, err := wal.ParseHistory(f.Timeline, b)
	if err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	if len(h.Entries) == 0 {
		return &ContentError{Name: f.String(), Msg: "names no ancestor"}
	}
	return nil
}

// checkBackup compares the first line of a backup history file, START WAL LOCATION: X/X (file SEGMENT), with
// its name (build_backup_content in xlogbackup.c).
func (id Identity) checkBackup(f wal.FileName, b []byte) error {
	line, _, _ := strings.Cut(string(b), "\n")
	rest, ok := strings.CutPrefix(line, "START WAL LOCATION: ")
	position, file, okFile := strings.Cut(rest, " ")
	lsn, err := wal.ParseLSN(position)
	if !ok || !okFile || err != nil {
		return &ContentError{Name: f.String(), Msg: "does not begin with START WAL LOCATION: an LSN and a file"}
	}
	seg, err := f.Segment(id.SegmentSize)
	if err != nil {
		return err
	}
	name := seg.Name(id.SegmentSize)
	if wal.SegmentOf(f.Timeline, lsn, id.SegmentSize) != seg ||
		lsn-seg.Start(id.SegmentSize) != wal.LSN(f.Offset) || file != "(file "+name+")" {
		return &ContentError{Name: f.String(), Msg: fmt.Sprintf("is about another backup: %q", line)}
	}
	return nil
}

// exactReader fails unless r has exactly want bytes.
type exactReader struct {
	name      string
	r         io.Reader
	want, got int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.got += int64(n)
	if e.got > e.want || err == io.EOF && e.got < e.want {
		return n, &SizeError{Name: e.name, Want: e.want, Got: e.got}
	}
	return n, err
}
