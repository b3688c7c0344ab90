package walarchive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// verified returns a reader of r's content, which comes out of a store, that ends in an error instead of io.EOF if the content is not
// what the name says for this cluster. What the first page can tell, it tells at once. Whether WAL may end in a segment was judged when
// the file came.
func (id Identity) verified(f wal.FileName, r io.Reader, records bool) (io.Reader, error) {
	return id.reader(f, r, false, wal.ChainConfig{Unfinished: true, Records: records})
}

// verifiedSource is verified for a file in a folder of the server's: WAL must go on to the end of a segment, to a switch, or to where
// a history beside it says that the timeline was left. Pages behind that, which are no WAL and may differ from server to server, are
// read as zeros.
func (id Identity) verifiedSource(f wal.FileName, file *os.File, records bool) (io.Reader, error) {
	return id.reader(f, file, true, wal.ChainConfig{
		Unfinished: f.Kind == wal.KindPartial, TimelineEnd: timelineEnd(filepath.Dir(file.Name()), f), Records: records,
	})
}

// timelineEnd is where the timeline of a segment was left, as the histories in a folder say; the first such place, and zero if none does.
// The server has the histories of all timelines up to its own.
func timelineEnd(dir string, f wal.FileName) wal.LSN {
	var end wal.LSN
	for tli := f.Timeline + 1; f.Kind == wal.KindSegment && tli > f.Timeline; tli++ {
		b, err := os.ReadFile(filepath.Join(dir, tli.HistoryName()))
		if err != nil {
			break
		}
		h, err := wal.ParseHistory(tli, b)
		if at, left := h.SwitchPoint(f.Timeline); err == nil && left && (end == 0 || at < end) {
			end = at
		}
	}
	return end
}

// reader checks what r reads. Segments are as c says, which it completes.
func (id Identity) reader(f wal.FileName, r io.Reader, strip bool, c wal.ChainConfig) (io.Reader, error) {
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
	c.Segment, c.SystemID, c.SegmentSize, c.Holes = seg, id.SystemID, id.SegmentSize, f.Kind == wal.KindPartial
	checked := &chainReader{name: f.String(), chain: wal.NewChain(c), strip: strip, r: r, want: int64(id.SegmentSize)}
	err = checked.first()
	return checked, err
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

// chainReader fails unless r has exactly want bytes and its pages are in order. It can strip them of what is no WAL.
type chainReader struct {
	name      string
	chain     *wal.Chain
	strip     bool
	r         io.Reader
	want, got int64
	ahead     []byte // read ahead
	err       error  // and how that went
	page      []byte // for who reads less than a page
}

// first looks at what the first page tells.
func (c *chainReader) first() error {
	head := make([]byte, wal.SegmentHeaderSize)
	n, err := io.ReadFull(c.r, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &SizeError{Name: c.name, Want: c.want, Got: int64(n)}
	}
	if err == nil {
		_, err = c.chain.Write(head)
	}
	if err != nil {
		return c.wrap(err)
	}
	c.ahead, c.got = head, int64(n)
	return nil
}

func (c *chainReader) Read(p []byte) (n int, err error) {
	if len(c.ahead) == 0 && c.err == nil {
		page := int(c.chain.Header().BlockSize)
		if len(p) >= page {
			return c.read(p[:len(p)-(int(c.got)+len(p))%page])
		}
		if c.page == nil {
			c.page = make([]byte, page)
		}
		n, c.err = c.read(c.page[:page-int(c.got)%page])
		c.ahead = c.page[:n]
	}
	n = copy(p, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		err = c.err
	}
	return n, err
}

// read reads up to the end of a page.
func (c *chainReader) read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = c.r.Read(p[n:])
		n += more
	}
	c.got += int64(n)
	if c.got > c.want || err == io.EOF && c.got < c.want {
		return 0, &SizeError{Name: c.name, Want: c.want, Got: c.got}
	}
	take := c.chain.Write
	if c.strip {
		take = c.chain.Strip
	}
	if _, chainErr := take(p[:n]); chainErr != nil {
		return 0, chainErr
	}
	if err == io.EOF {
		if chainErr := c.chain.End(); chainErr != nil {
			return 0, chainErr
		}
	}
	return n, err
}

// wrap adds the name to errors that do not have it.
func (c *chainReader) wrap(err error) error {
	if errors.As(err, new(*wal.MismatchError)) || errors.As(err, new(*wal.ChainError)) {
		return err
	}
	return fmt.Errorf("%s: %w", c.name, err)
}
