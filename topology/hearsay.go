package topology

import (
	"fmt"
	"strconv"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Hearsay is what a node that answered says of one that did not. It may be old: an upstream keeps the row of a standby that is gone, and
// a standby its connection, until a time limit ends them.
type Hearsay struct {
	About, From NodeID
	At          time.Time // when From answered

	// Sender is the row that From has of About: About streams from it. Nil if it has none.
	Sender *Sender

	// Receiver is the connection that From has to About: it streams from it. Nil if it has none.
	Receiver *Receiver

	end wal.LSN // position of From
}

// secondHand stands before a figure that is hearsay.
const secondHand = "~"

// Hearsay returns what is said of the nodes that did not answer, in the order of the tree. Of a node that did answer its own word
// counts, and there is none.
func (t Tree) Hearsay() []Hearsay {
	places := t.Places()
	var all []Hearsay
	for _, silent := range places {
		if silent.Observation.Err == nil || silent.Node.Witness {
			continue
		}
		for _, p := range places {
			all = append(all, p.saysOf(silent.Node)...)
		}
	}
	return all
}

// saysOf returns what a node says of another.
func (p *Place) saysOf(n Node) []Hearsay {
	o := p.Observation
	if o.Err != nil {
		return nil
	}
	var all []Hearsay
	h := Hearsay{About: n.ID, From: p.Node.ID, At: o.At, end: o.Position}
	for _, s := range o.Senders {
		if s.Name == string(n.ID) && s.State != "backup" {
			h := h
			h.Sender = &s
			all = append(all, h)
		}
	}
	if o.Receiver != nil && n.reachedAt(o.Receiver.Host, o.Receiver.Port) {
		h.Receiver = o.Receiver
		all = append(all, h)
	}
	return all
}

// relation is how From stands to About.
func (h Hearsay) relation() string {
	if h.Sender != nil {
		return "sends to"
	}
	return "receives from"
}

// String says it in a sentence, as "cascade, at 12:00:00 UTC: receives from master (streaming), whose WAL ended at 0/5000148".
func (h Hearsay) String() string {
	text := printable(string(h.From))
	if !h.At.IsZero() {
		text += h.At.Format(", at 15:04:05 MST")
	}
	text += ": " + h.relation() + " " + printable(string(h.About))
	if h.Sender != nil {
		text += fmt.Sprintf(" (%s, %s)", printable(h.Sender.State), printable(h.Sender.SyncState))
		if h.Sender.Flushed != 0 {
			text += ", which has flushed " + h.Sender.Flushed.String()
		}
		return text
	}
	text += " (" + printable(h.Receiver.Status) + ")"
	if h.Receiver.LatestEnd != 0 {
		text += ", whose WAL ended at " + h.Receiver.LatestEnd.String()
	}
	return text
}

// heardColumns returns what is said of a node for the columns timeline, position and lags of the tree.
func heardColumns(hearsay []Hearsay, id NodeID) []string {
	columns := []string{"-", "-", "-", "-", "-"}
	var timeline wal.Timeline
	var position wal.LSN
	for _, h := range hearsay {
		switch {
		case h.About != id:
		case h.Sender != nil:
			position = max(position, h.Sender.Flushed)
			for i, text := range (claim{up: h.From, at: h.end, sender: *h.Sender}).link().columns() {
				if text != "-" {
					columns[2+i] = secondHand + text
				}
			}
		default:
			position = max(position, h.Receiver.LatestEnd)
			timeline = max(timeline, h.Receiver.Timeline)
		}
	}
	if timeline != 0 {
		columns[0] = secondHand + strconv.FormatUint(uint64(timeline), 10)
	}
	if position != 0 {
		columns[1] = secondHand + position.String()
	}
	return columns
}
