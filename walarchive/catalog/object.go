package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// MarkerName is the object that says whose archive a store holds.
const MarkerName = "understudy-archive"

// ObjectKind is a kind of object in an archive.
type ObjectKind uint8

// The kinds. NAME is the name of an archived file, of any [wal.Kind].
const (
	ObjectFile     ObjectKind = iota + 1 // an archived file: NAME, or a copy beside a damaged one: NAME.repair-1, NAME.repair-2, ...
	ObjectRecord                         // what an object without room for it holds: NAME.record, NAME.repair-1.record, ...
	ObjectReceived                       // the beginning of a segment that is still being received: SEGMENT.received-XXXXXXXX
	ObjectConsumer                       // the oldest segment that somebody still needs: understudy-consumer.WHO.SEGMENT
	ObjectMarker                         // whose archive it is: MarkerName
)

const (
	repairMark     = ".repair-"
	recordSuffix   = ".record"
	receivedMark   = ".received-"
	consumerPrefix = "understudy-consumer."
)

// Object is the parsed name of an object in an archive.
type Object struct {
	Kind     ObjectKind
	File     wal.FileName // but for the marker
	Repair   int          // of a file or its record: 0 for the first copy, 1 and so on for those beside it
	Upto     uint32       // ObjectReceived: how many bytes of the segment
	Consumer string       // ObjectConsumer: letters, digits, '-' and '_'
}

// ParseObject reads the name of an object. Names that no archive writes are a [*wal.SyntaxError].
func ParseObject(name string) (Object, error) {
	if tli, log, seg, ok := parseStem(name); ok && len(name) == stemLen {
		return Object{Kind: ObjectFile, File: wal.FileName{Kind: wal.KindSegment, Timeline: tli, Log: log, Seg: seg}}, nil
	}
	switch {
	case name == MarkerName:
		return Object{Kind: ObjectMarker}, nil
	case strings.HasPrefix(name, consumerPrefix):
		return parseConsumer(name)
	case strings.Contains(name, receivedMark):
		return parseReceived(name)
	}
	stem, isRecord := strings.CutSuffix(name, recordSuffix)
	file, digits, isRepair := strings.Cut(stem, repairMark)
	o := Object{Kind: ObjectFile}
	if isRecord {
		o.Kind = ObjectRecord
	}
	var err error
	if o.File, err = wal.ParseFileName(file); err != nil {
		return Object{}, objectError(name)
	}
	if isRepair {
		if o.Repair, err = strconv.Atoi(digits); err != nil || o.Repair < 1 || o.String() != name {
			return Object{}, objectError(name)
		}
	}
	return o, nil
}

func parseReceived(name string) (Object, error) {
	segment, digits, _ := strings.Cut(name, receivedMark)
	f, err := wal.ParseFileName(segment)
	upto, errUpto := strconv.ParseUint(digits, 16, 32)
	o := Object{Kind: ObjectReceived, File: f, Upto: uint32(upto)}
	if err != nil || errUpto != nil || f.Kind != wal.KindSegment || o.String() != name {
		return Object{}, objectError(name)
	}
	return o, nil
}

func parseConsumer(name string) (Object, error) {
	who, segment, _ := strings.Cut(strings.TrimPrefix(name, consumerPrefix), ".")
	f, err := wal.ParseFileName(segment)
	if err != nil || f.Kind != wal.KindSegment || !ValidConsumer(who) {
		return Object{}, objectError(name)
	}
	return Object{Kind: ObjectConsumer, File: f, Consumer: who}, nil
}

// ValidConsumer reports whether a consumer can have this name: one to 63 ASCII letters, digits, '-' and '_'.
func ValidConsumer(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return name != "" && len(name) <= 63 && strings.Trim(name, letters) == ""
}

func objectError(name string) error {
	return &wal.SyntaxError{What: "archived object", Text: name, Msg: "no archive names one so"}
}

// String is the inverse of [ParseObject].
func (o Object) String() string {
	switch o.Kind {
	case ObjectMarker:
		return MarkerName
	case ObjectConsumer:
		return consumerPrefix + o.Consumer + "." + o.File.String()
	case ObjectReceived:
		return fmt.Sprintf("%v%s%08X", o.File, receivedMark, o.Upto)
	}
	name := o.File.String()
	if o.Repair > 0 {
		name += repairMark + strconv.Itoa(o.Repair)
	}
	if o.Kind == ObjectRecord {
		name += recordSuffix
	}
	return name
}

const stemLen = 24

// parseStem reads the 24 upper-case hex digits at the start of a name. It is wal.ParseFileName for the many: it
// allocates nothing and looks at each byte once.
func parseStem(s string) (tli wal.Timeline, log, seg uint32, ok bool) {
	if len(s) < stemLen {
		return 0, 0, 0, false
	}
	t, okT := upperHex32(s[:8])
	log, okL := upperHex32(s[8:16])
	seg, okS := upperHex32(s[16:stemLen])
	return wal.Timeline(t), log, seg, okT && okL && okS
}

func upperHex32(s string) (v uint32, ok bool) {
	for i := range 8 {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			v = v<<4 | uint32(c-'0')
		case 'A' <= c && c <= 'F':
			v = v<<4 | uint32(c-'A'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
