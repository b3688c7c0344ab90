package datadir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// The parts of a WAL record and a page that [EndOfWAL] looks at (xlogrecord.h and xlog_internal.h, the same from 9.5 to 18).
const (
	recordHeader     = 24
	shortPageHeader  = 24
	pageContinues    = 0x0001 // XLP_FIRST_IS_CONTRECORD
	pageLong         = 0x0002 // XLP_LONG_HEADER
	pageOverwrites   = 0x0008 // XLP_FIRST_IS_OVERWRITE_CONTRECORD: the record that the page before began was given up
	maxRecord        = 1 << 30
	resourceXLOG     = 0
	infoSwitch       = 0x40 // XLOG_SWITCH: the rest of the segment is empty
	infoOfResource   = 0xF0
	recordsAlignedTo = 8
)

// EndOfWAL finds the end of the last valid WAL record in the WAL folder of a stopped server, beginning at its last checkpoint: where a
// recovery of what is there would end. It follows history, which must be of the server's own timeline or of a later one that it
// holds. So it reads what recovery would: no more than was written since the last checkpoint.
//
// Like the server it takes the first record that is not whole for the end (XLogReadRecord and ValidXLogRecord in xlogreader.c). That
// the very checkpoint is not there is an error: then nothing can be said. Majors 10 to 18.
func EndOfWAL(dataDir string, major pgconf.Major, c Control, history wal.History) (wal.LSN, error) {
	if major < 10 || major > pgconf.Newest {
		return 0, fmt.Errorf("find the end of the WAL: only known for PostgreSQL 10 to %s", pgconf.Newest)
	}
	if !wal.ValidSegmentSize(c.SegmentSize) || c.BlockSize < 1<<10 || c.BlockSize > 1<<16 || c.BlockSize&(c.BlockSize-1) != 0 {
		return 0, errors.New("find the end of the WAL: the sizes in the control file are not valid")
	}
	r := &walReader{dir: filepath.Join(dataDir, WALDir(major)), major: major, control: c, history: history}
	defer r.close()
	end, err := r.end(c.Checkpoint)
	if err == nil && end == c.Checkpoint {
		err = fmt.Errorf("no valid record at the last checkpoint, %v", c.Checkpoint)
	}
	if err != nil {
		return 0, fmt.Errorf("find the end of the WAL in %s: %w", r.dir, err)
	}
	return end, nil
}

// walReader reads the WAL of one history, page by page.
type walReader struct {
	dir     string
	major   pgconf.Major
	control Control
	history wal.History

	file     *os.File
	segment  wal.Segment
	page     []byte       // the last one that was read
	at       wal.LSN      // its position
	furthest wal.LSN      // of the pages that were read
	newest   wal.Timeline // of that one; timelines never go back
}

// errEnd says that there is no more valid WAL.
var errEnd = errors.New("end of WAL")

func (r *walReader) close() {
	if r.file != nil {
		_ = r.file.Close() // it was only read
		r.file = nil
	}
}

// end returns where the last valid record ends that follows the one at start.
func (r *walReader) end(start wal.LSN) (wal.LSN, error) {
	end, at, prev := start, start, wal.LSN(0) // what comes before the first record is not known
	for {
		next, begin, err := r.record(at, prev)
		if errors.Is(err, errEnd) {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		end, at, prev = next, next, begin
	}
}

// record checks the record at or after a position and returns where it ends and where it begins. The position may be the end
// of the one before, on the border of a page whose header then comes first. Prev is the begin of the one before, zero if unknown.
func (r *walReader) record(at, prev wal.LSN) (end, begin wal.LSN, err error) {
	begin = at
	if at%wal.LSN(r.control.BlockSize) == 0 {
		if err := r.load(at); err != nil {
			return 0, 0, err
		}
		if r.flags()&pageContinues != 0 {
			return 0, 0, errEnd
		}
		begin += r.headerSize()
	}
	end, err = r.whole(begin, prev)
	var given *givenUpError
	if errors.As(err, &given) { // the next one is on the page that says so, and names the last whole one
		return r.record(given.page, prev)
	}
	return end, begin, err
}

// whole checks the record that begins at a position and returns where the next one may begin.
func (r *walReader) whole(begin, prev wal.LSN) (end wal.LSN, err error) {
	header, _, err := r.bytes(begin, recordHeader)
	if err != nil {
		return 0, err
	}
	total := binary.LittleEndian.Uint32(header)
	if total < recordHeader || total > maxRecord || prev != 0 && wal.LSN(binary.LittleEndian.Uint64(header[8:])) != prev {
		return 0, errEnd
	}
	data, end, err := r.bytes(begin, int(total))
	if err != nil {
		return 0, err
	}
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Checksum(data[recordHeader:], castagnoli), castagnoli, data[:recordHeader-4])
	if sum != binary.LittleEndian.Uint32(data[recordHeader-4:]) {
		return 0, errEnd
	}
	end = roundUp(end, recordsAlignedTo)
	if data[17] == resourceXLOG && data[16]&infoOfResource == infoSwitch {
		end = roundUp(end, wal.LSN(r.control.SegmentSize))
	}
	return end, nil
}

func roundUp(at, to wal.LSN) wal.LSN { return (at + to - 1) / to * to }

// givenUpError says that the server gave up writing a record when it crashed, and went on at a page.
type givenUpError struct{ page wal.LSN }

func (*givenUpError) Error() string { return "the record was never finished" }

// bytes returns n bytes of a record, over as many pages as it takes, and where they end.
func (r *walReader) bytes(from wal.LSN, n int) (data []byte, end wal.LSN, err error) {
	size := wal.LSN(r.control.BlockSize)
	for at := from; ; {
		if err := r.load(at - at%size); err != nil {
			return nil, 0, err
		}
		if at%size == 0 { // the record goes on here
			switch {
			case r.flags()&pageOverwrites != 0:
				return nil, 0, &givenUpError{at}
			case r.flags()&pageContinues == 0:
				return nil, 0, errEnd
			}
			at += r.headerSize()
		}
		part := r.page[at%size:]
		if len(part) > n-len(data) {
			part = part[:n-len(data)]
		}
		data = append(data, part...)
		at += wal.LSN(len(part))
		if len(data) == n {
			return data, at, nil
		}
	}
}

func (r *walReader) flags() uint16 { return binary.LittleEndian.Uint16(r.page[2:]) }

// headerSize is that of the page that was loaded.
func (r *walReader) headerSize() wal.LSN {
	if r.at%wal.LSN(r.control.SegmentSize) == 0 {
		return wal.SegmentHeaderSize
	}
	return shortPageHeader
}

// load reads the page at a position. What is there and is no page of this WAL is its end.
func (r *walReader) load(at wal.LSN) error {
	if r.page != nil && r.at == at {
		return nil
	}
	if err := r.open(at); err != nil {
		return err
	}
	page := make([]byte, r.control.BlockSize)
	_, err := r.file.ReadAt(page, int64(at-r.segment.Start(r.control.SegmentSize))) //nolint:gosec // below the segment size
	if errors.Is(err, io.EOF) {
		return errEnd
	}
	if err != nil {
		return err
	}
	flags, tli := binary.LittleEndian.Uint16(page[2:]), wal.Timeline(binary.LittleEndian.Uint32(page[4:]))
	first := at == r.segment.Start(r.control.SegmentSize)
	switch {
	case wal.PageHeader{Magic: binary.LittleEndian.Uint16(page)}.Major() != r.major.String(),
		flags&^0x000F != 0, (flags&pageLong != 0) != first,
		wal.LSN(binary.LittleEndian.Uint64(page[8:])) != at,
		!r.history.Contains(tli), tli > r.segment.Timeline, at > r.furthest && tli < r.newest:
		return errEnd
	}
	if first {
		if h, err := wal.ParseSegmentHeader(page); err != nil || h.Check(r.segment, r.control.SystemID, r.control.SegmentSize) != nil {
			return errEnd
		}
	}
	r.page, r.at = page, at
	if at > r.furthest {
		r.furthest, r.newest = at, tli
	}
	return nil
}

// open opens the segment that holds a position: that of the newest timeline which has it, as recovery does (XLogFileReadAnyTLI). A
// timeline's segments count from the one in which it begins, and up to where the history leaves it.
func (r *walReader) open(at wal.LSN) error {
	timelines := []wal.Timeline{r.history.Timeline}
	for _, e := range slices.Backward(r.history.Entries) {
		timelines = append(timelines, e.Timeline)
	}
	for _, tli := range timelines {
		s := wal.SegmentOf(tli, at, r.control.SegmentSize)
		if r.file != nil && r.segment == s {
			return nil
		}
		if end, left := r.history.SwitchPoint(tli); left && at >= end {
			return errEnd
		}
		file, err := os.Open(filepath.Join(r.dir, s.Name(r.control.SegmentSize)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		r.close()
		r.file, r.segment = file, s
		return nil
	}
	return errEnd
}
