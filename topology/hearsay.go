package topology

import (
	"strconv"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// secondHand stands before a figure that is hearsay.
const secondHand = "~"

// relation is how the one who says it stands to the node.
func (h Hearsay) relation() string {
	if h.Sender != nil {
		return "sends to it"
	}
	return "receives from it"
}

// heard is what is said of one node, for the columns timeline, position and lags of the tree. ends are the positions of those who say it.
func heard(hearsay []Hearsay, ends map[NodeID]wal.LSN) []string {
	columns := []string{"-", "-", "-", "-", "-"}
	var timeline wal.Timeline
	var position wal.LSN
	for _, h := range hearsay {
		if h.Sender == nil {
			position = max(position, h.Receiver.LatestEnd)
			timeline = max(timeline, h.Receiver.Timeline)
			continue
		}
		position = max(position, h.Sender.Flushed)
		for i, text := range h.link(ends).columns() {
			if text != "-" {
				columns[2+i] = secondHand + text
			}
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

// link is how far the node is by the row that its upstream has of it.
func (h Hearsay) link(ends map[NodeID]wal.LSN) *Link {
	return claim{up: h.From, at: ends[h.From], sender: *h.Sender}.link()
}

// ends returns the positions of all nodes.
func (t Tree) ends() map[NodeID]wal.LSN {
	all := map[NodeID]wal.LSN{}
	for _, p := range t.Places() {
		all[p.Node.ID] = p.Observation.Position
	}
	return all
}
