package wal

// The layout of a record (XLogRecord in xlogrecord.h), the same from 9.5 to 18.
const (
	recordHeaderSize = 24
	recordInfo       = 16   // offset of xl_info
	recordResource   = 17   // offset of xl_rmid
	recordAlign      = 8    // where records begin
	resourceXLOG     = 0    // RM_XLOG_ID
	infoOfResource   = 0xF0 // the bits of xl_info that are the resource manager's
	infoSwitch       = 0x40 // XLOG_SWITCH: the rest of the segment is empty
)

// switches reports whether a switch record ends on a page that holds records.
func (f *pageForm) switches(page []byte) bool {
	if len(page) == 0 {
		return false
	}
	at, rest := f.size(page), int64(0)
	if h := f.parse(page); h.info&infoContinues != 0 {
		rest = int64(h.remLen)
	}
	if (rest == recordAlign || rest == 2*recordAlign) && isSwitch(page[at+rest-recordAlign:]) {
		return true
	}
	for at = roundUp(at+rest, recordAlign); at+recordHeaderSize <= int64(len(page)); {
		size := int64(f.order.Uint32(page[at:]))
		if size < recordHeaderSize {
			return false
		}
		if size == recordHeaderSize && isSwitch(page[at+recordInfo:]) {
			return true
		}
		at = roundUp(at+size, recordAlign)
	}
	return false
}

// isSwitch looks at a record from its info on: the last eight bytes of its header.
func isSwitch(info []byte) bool {
	return info[0]&infoOfResource == infoSwitch && info[1] == resourceXLOG
}

func roundUp(at, to int64) int64 { return (at + to - 1) / to * to }
