package topology

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Table writes what monitor scripts for PostgreSQL print, with the same figures: for each server the rows of its pg_stat_replication
// (application_name, client_addr, state, sync_priority, sync_state), and how many bytes of WAL the primary has written, and each standby
// received and replayed, counted from 0/0 as pg_wal_lsn_diff(…, '0/0') does.
//
// How far a standby is behind is the distance to the primary's position, never negative, in kB of 1024 bytes with one decimal. It is "-"
// where the figures cannot be compared or are not known: without exactly one primary that answers, on another timeline, of another
// cluster, or before the first byte. Servers answer within a second or so of each other, so on a busy cluster it includes what was
// written between the two answers; the lags of [Report.Text] are measured by the upstream itself.
//
// A standby that has not streamed since its start, as one that lives from the archive, has received nothing: "-", while it does replay.
func (r Report) Table() string {
	var b strings.Builder
	r.senderRows().write(&b, false)
	b.WriteString("\nREPLICATION STATUS")
	for _, part := range []string{printable(r.Cluster), r.timeText()} {
		b.WriteString(prefixed("  ", part))
	}
	b.WriteByte('\n')
	r.positionRows().write(&b, false)
	return b.String()
}

func (r Report) timeText() string {
	if r.At.IsZero() {
		return ""
	}
	return r.At.Format("2006-01-02 15:04:05 MST")
}

// senderRows is the rows of all pg_stat_replication.
func (r Report) senderRows() grid {
	g := grid{textRow("SERVER", "APPLICATION_NAME", "CLIENT_ADDR", "STATE", "SYNC_PRIORITY", "SYNC_STATE")}
	for _, p := range r.Tree.Places() {
		id, o := string(p.Node.ID), p.Observation
		switch {
		case p.Role == RoleWitness:
			continue
		case o.Err != nil:
			g = append(g, textRow(id, "(no answer)"))
		case len(o.Senders) == 0:
			g = append(g, textRow(id, "(no rows)"))
		}
		for _, s := range o.Senders {
			if o.Err == nil {
				g = append(g, textRow(id, s.Name, s.Address, s.State, strconv.Itoa(s.Priority), s.SyncState))
			}
		}
	}
	return g
}

// positionRows is the positions of all servers, primaries first.
func (r Report) positionRows() grid {
	g := grid{textRow("SERVER", "", "BYTES", "BEHIND")}
	primaries := r.Tree.Primaries()
	for _, p := range primaries {
		g = append(g, textRow(p.Node.String(), "current", byteCount(p.Observation.Position), ""))
	}
	for _, p := range r.Tree.Places() {
		name, o := p.Node.String(), p.Observation
		switch {
		case p.Role == RoleWitness || p.Role == RolePrimary:
		case o.Err != nil:
			g = append(g, textRow(name, "no answer", "-", "-"))
		default:
			g = append(g, textRow(name, "receive", byteCount(o.Flushed), behindText(primaries, o, o.Flushed)),
				textRow("", "replay", byteCount(o.Replayed), behindText(primaries, o, o.Replayed)))
		}
	}
	return g
}

// byteCount writes a position as the script does: a number of bytes.
func byteCount(at wal.LSN) string {
	if at == 0 {
		return "-"
	}
	return strconv.FormatUint(uint64(at), 10)
}

// behindText is the distance to the only primary, if that means something.
func behindText(primaries []*Place, o Observation, at wal.LSN) string {
	if len(primaries) != 1 {
		return "-"
	}
	master := primaries[0].Observation
	if master.Timeline != o.Timeline || master.SystemID != o.SystemID {
		return "-"
	}
	n := behind(master.Position, at)
	if n < 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1024)
}

// textRow is a row without styles.
func textRow(fields ...string) []cell {
	row := make([]cell, len(fields))
	for i, f := range fields {
		row[i] = cell{{printable(f), plain}}
	}
	return row
}
