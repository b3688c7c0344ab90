package wal

import (
	"fmt"
	"strings"
)

// Kind is a kind of file that the server hands to archive_command.
type Kind int

// The four kinds. xlog_internal.h defines their names (IsXLogFileName and the tests after it).
const (
	KindSegment Kind = iota + 1 // a complete segment: 24 upper-case hex digits
	KindPartial                 // the last, incomplete segment of a timeline, archived at promotion (9.5+): SEGMENT.partial
	KindHistory                 // a timeline history: 8 upper-case hex digits, then .history
	KindBackup                  // a backup history: SEGMENT.XXXXXXXX.backup
)

func (k Kind) String() string {
	switch k {
	case KindSegment:
		return "segment"
	case KindPartial:
		return "partial segment"
	case KindHistory:
		return "timeline history"
	case KindBackup:
		return "backup history"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// FileName is a parsed name of a file in a WAL archive. Log and Seg are the middle and last third of a
// segment's name; which position they mean depends on the segment size, see [FileName.Segment].
type FileName struct {
	Kind     Kind
	Timeline Timeline
	Log, Seg uint32 // not for KindHistory
	Offset   uint32 // KindBackup only: where in the segment the backup starts
}

// ParseFileName reads the name of a segment, partial segment, timeline history or backup history. Every other
// name, lower-case digits included, is a [*SyntaxError].
func ParseFileName(name string) (FileName, error) {
	stem, ext, dotted := strings.Cut(name, ".")
	switch {
	case dotted && ext == "history":
		if tli, ok := parseUpperHex32(stem); ok {
			return FileName{Kind: KindHistory, Timeline: Timeline(tli)}, nil
		}
	case !dotted:
		if f, ok := parseStem(stem, KindSegment); ok {
			return f, nil
		}
	case ext == "partial":
		if f, ok := parseStem(stem, KindPartial); ok {
			return f, nil
		}
	default:
		if f, ok := parseBackup(stem, ext); ok {
			return f, nil
		}
	}
	return FileName{}, &SyntaxError{What: "WAL file name", Text: name,
		Msg: "want a segment (24 upper-case hex digits), SEGMENT.partial, SEGMENT.XXXXXXXX.backup or XXXXXXXX.history"}
}

func parseStem(stem string, kind Kind) (FileName, bool) {
	if len(stem) != 24 {
		return FileName{}, false
	}
	tli, okT := parseUpperHex32(stem[:8])
	log, okL := parseUpperHex32(stem[8:16])
	seg, okS := parseUpperHex32(stem[16:])
	return FileName{Kind: kind, Timeline: Timeline(tli), Log: log, Seg: seg}, okT && okL && okS
}

func parseBackup(stem, ext string) (FileName, bool) {
	digits, ok := strings.CutSuffix(ext, ".backup")
	if !ok {
		return FileName{}, false
	}
	offset, okO := parseUpperHex32(digits)
	f, okS := parseStem(stem, KindBackup)
	f.Offset = offset
	return f, okO && okS
}

func parseUpperHex32(s string) (uint32, bool) {
	if len(s) != 8 || s != strings.ToUpper(s) {
		return 0, false
	}
	return parseHex32(s, 8)
}

// String is the inverse of [ParseFileName].
func (f FileName) String() string {
	stem := fmt.Sprintf("%08X%08X%08X", uint32(f.Timeline), f.Log, f.Seg)
	switch f.Kind {
	case KindPartial:
		return stem + ".partial"
	case KindHistory:
		return f.Timeline.HistoryName()
	case KindBackup:
		return fmt.Sprintf("%s.%08X.backup", stem, f.Offset)
	}
	return stem
}

// MarshalText is [FileName.String]. The zero value is no name: a [*SyntaxError].
func (f FileName) MarshalText() ([]byte, error) {
	if f.Kind < KindSegment || f.Kind > KindBackup {
		return nil, &SyntaxError{What: "WAL file name", Msg: f.Kind.String() + " is no kind of file"}
	}
	return []byte(f.String()), nil
}

// UnmarshalText is [ParseFileName].
func (f *FileName) UnmarshalText(b []byte) error {
	v, err := ParseFileName(string(b))
	if err == nil {
		*f = v
	}
	return err
}

// Segment is the segment that the name speaks of, in a cluster of this segment size. A timeline history speaks
// of none; that, and a name that cannot occur with this size, is a [*SyntaxError].
func (f FileName) Segment(segSize uint32) (Segment, error) {
	bad := func(msg string) (Segment, error) {
		return Segment{}, &SyntaxError{What: "WAL file name", Text: f.String(), Msg: msg}
	}
	switch {
	case f.Kind == KindHistory:
		return bad("a timeline history names no segment")
	case !ValidSegmentSize(segSize):
		return bad(fmt.Sprintf("segment size %d is not a power of two from 1 MiB to 1 GiB", segSize))
	case uint64(f.Seg) >= perLogID(segSize):
		return bad(fmt.Sprintf("cannot occur with segments of %d bytes", segSize))
	}
	return Segment{Timeline: f.Timeline, Number: uint64(f.Log)*perLogID(segSize) + uint64(f.Seg)}, nil
}
