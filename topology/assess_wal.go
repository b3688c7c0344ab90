package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/recovery/command"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// checkSlots reports slots that are lost, will be, or keep WAL for nobody.
func (a *assessment) checkSlots(p *Place) {
	for _, s := range p.Observation.Slots {
		if !s.Temporary {
			a.checkSlot(p, s)
		}
	}
}

func (a *assessment) checkSlot(p *Place, s Slot) {
	id := p.Node.ID
	owner := NodeID("")
	if up, ok := a.places[NodeID(s.Name)]; ok && !s.Logical {
		owner = up.Node.ID
	}
	drop := a.sql(p.Node, "SELECT pg_drop_replication_slot("+literal(s.Name)+")")
	state := "inactive"
	if s.Active {
		state = "active"
	}
	switch {
	case lost(s):
		remedy := "whoever used it lacks WAL now; if that is nobody, drop it: " + drop
		if owner != "" {
			remedy = fmt.Sprintf("unless the archive still has what it needs: %s. Then: %s", a.clone(a.places[owner].Node, id), drop)
		}
		a.add(SlotLost, id, owner, remedy, "slot %q is lost%s: it kept more than it may", s.Name, because(s.Invalid))
	case s.Restart != 0 && (s.Status == "unreserved" || s.Safe >= 0 && s.Safe < s.Keeps && !exceedsSafe(s.Safe, a.limits.SlotSafe)):
		a.add(SlotAtRisk, id, owner, fmt.Sprintf("let its standby catch up, or give it time: raise max_slot_wal_keep_size, if the disk has the room, and %s",
			a.service(p.Node, "reload")), "slot %q (%s) keeps %s, and may be lost %s", s.Name, state, Bytes(max(0, s.Keeps)), left(s))
	case owner != "" && !s.Active && a.leftOver(p, owner):
		severity, keeps := Warning, Bytes(max(0, s.Keeps))+" of WAL"
		if s.Restart == 0 {
			severity, keeps = Notice, "nothing"
		}
		a.addAs(severity, SlotLeftOver, id, owner, drop, "slot %q is inactive, %s does not stream from here, and it keeps %s", s.Name, owner, keeps)
	case !s.Active && exceeds(s.Keeps, a.limits.SlotKeeps, 8<<30):
		a.add(SlotKeepsWAL, id, owner, "bring back who uses it, or, if that is nobody, drop it: "+drop, "slot %q is inactive%s and keeps %s of WAL",
			s.Name, inactiveSince(s), Bytes(s.Keeps))
	case s.Status == "extended":
		a.add(SlotExtended, id, owner, "see why its standby is behind", "slot %q (%s) keeps %s of WAL, more than max_wal_size",
			s.Name, state, Bytes(max(0, s.Keeps)))
	}
}

func lost(s Slot) bool { return s.Status == "lost" || s.Invalid != "" }

// slotLost says whether an upstream has lost the slot of a standby.
func (a *assessment) slotLost(up *Place, id NodeID) bool {
	return slices.ContainsFunc(up.Observation.Slots, func(s Slot) bool { return s.Name == string(id) && lost(s) })
}

// exceedsSafe says whether what is left is enough.
func exceedsSafe(left, limit int64) bool { return limit < 0 || exceeds(left, limit, 1<<30) }

// leftOver says whether a slot of the owner has no purpose on a node: the owner neither streams from it nor should. While it is not
// clear who the primary is, every slot may have one.
func (a *assessment) leftOver(p *Place, owner NodeID) bool {
	if len(a.primaries) != 1 {
		return false
	}
	o, known := a.places[owner]
	if parent, ok := a.parents[owner]; ok && parent == p {
		return false
	}
	return known && a.wanted(o.Node) != p.Node.ID
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func left(s Slot) string {
	if s.Status == "unreserved" || s.Safe < 0 {
		return "at the next checkpoint"
	}
	return "when another " + Bytes(s.Safe) + " are written"
}

func inactiveSince(s Slot) string {
	if s.InactiveSince.IsZero() {
		return ""
	}
	return " since " + s.InactiveSince.UTC().Format("2006-01-02 15:04 UTC")
}

// checkArchive reports archiving that fails or is not there, and an archive that the nodes do not share.
func (a *assessment) checkArchive(p *Place) {
	o, id := p.Observation, p.Node.ID
	w := o.Archiver
	wanted := a.c.Archive.Command != "" || a.c.Archive.URL != ""
	if w != nil && wanted && w.Mode == "off" {
		severity := Warning
		if !o.InRecovery {
			severity = Critical
		}
		a.addAs(severity, ArchivingOff, id, "", "set archive_mode = on and "+a.service(p.Node, "restart"), "archive_mode is off, and there should be an archive")
	}
	if w != nil && w.Mode != "off" && (!o.InRecovery || w.Mode == "always") {
		a.checkArchiver(p, *w)
	}
	if a.primary != nil && p != a.primary {
		a.compareArchives(p)
	}
}

// checkArchiver reports an archiver that fails, or is behind.
func (a *assessment) checkArchiver(p *Place, w Archiver) {
	o, id := p.Observation, p.Node.ID
	remedy := "the server's log says what archive_command wrote; run it by hand as the server's user. Until it succeeds, watch the space below pg_wal"
	switch {
	case w.Failing() && w.Archived == 0:
		a.add(ArchivingNever, id, "", remedy, "archiving has never succeeded: %s, the last at %s, with %s",
			count(int(w.Failed), "attempt")+" failed", clock(w.FailedAt), w.LastFailed)
	case w.Failing():
		severity := Warning
		if exceeds(seconds(o.ServerTime.Sub(w.ArchivedAt)), a.limits.ArchiveDelay, 300) {
			severity = Critical
		}
		a.addAs(severity, ArchivingFailing, id, "", remedy, "archiving fails since %s, at %s the last time, with %s; nothing has been archived for %s",
			w.LastArchived, clock(w.FailedAt), w.LastFailed, round(o.ServerTime.Sub(w.ArchivedAt)))
	default:
		if lag := archiveLag(o, w); exceeds(lag, a.limits.ArchiveLag, 1<<30) {
			a.add(ArchiveLag, id, "", "archive_command takes longer than writing the WAL does: look at the network to the archive, at compression, "+
				"and at pg_wal/archive_status for files that end in .ready", "the archive is %s behind: the last file is %s, the position %s",
				Bytes(lag), w.LastArchived, o.Position)
		}
	}
}

// archiveLag is what has been written since the last archived file; zero if that is of another timeline, or no segment.
func archiveLag(o Observation, w Archiver) int64 {
	size := uint32(o.Control.SegmentSize) //nolint:gosec // checked in the next line
	if !wal.ValidSegmentSize(size) {
		size = wal.DefaultSegmentSize
	}
	segment, err := wal.ParseSegment(w.LastArchived, size)
	if err != nil || segment.Timeline != o.Timeline {
		return 0
	}
	return max(0, behind(o.Position, segment.End(size)))
}

// compareArchives reports a standby that would archive elsewhere than the primary, or restores from where nobody archives. What
// the commands say is never shown: they may hold a key.
func (a *assessment) compareArchives(p *Place) {
	mine, ok := p.Observation.Parameters["archive_command"]
	theirs, okTheirs := a.primary.Observation.Parameters["archive_command"]
	if ok && okTheirs && mine.Value != theirs.Value && a.rendered(p)["archive_command"] == a.rendered(a.primary)["archive_command"] {
		a.add(ArchiveDiffers, p.Node.ID, a.primary.Node.ID, fmt.Sprintf("set archive_command as on %s and %s", a.primary.Node.ID, a.service(p.Node, "reload")),
			"its archive_command is not that of %s: after a promotion, WAL goes elsewhere or nowhere", a.primary.Node.ID)
	}
	if !p.Observation.InRecovery {
		return
	}
	places := apart(a.primary, p)
	if up, there := a.places[a.wanted(p.Node)]; there && up != a.primary && apart(up, p) == "" {
		return // its upstream sends it what it reads
	}
	if places != "" {
		a.add(ArchiveNotShared, p.Node.ID, a.primary.Node.ID, "let both name one place: correct restore_command there or archive_command on "+
			string(a.primary.Node.ID), "%s archives in one place and its restore_command looks in another%s: it cannot catch up from the archive",
			a.primary.Node.ID, places)
	}
}

// apart says how a node's restore_command and another's archive_command differ, or nothing.
func apart(from, to *Place) string {
	server := command.Server{Major: major(to.Observation.Version)}
	findings, err := server.Compare(command.Settings{
		Archive: from.Observation.Parameters["archive_command"].Value, Restore: to.Observation.Parameters["restore_command"].Value,
	})
	if err != nil || len(findings) == 0 {
		return ""
	}
	if about := findings[0].About; findings[0].Code == command.TwoFolders && isFolders(about) {
		return " (" + about + ")"
	}
	return " (" + string(findings[0].Code) + ")"
}

// isFolders says whether a text can only be names of directories, which are no secret.
func isFolders(text string) bool {
	return strings.HasPrefix(text, "/") && !strings.ContainsAny(text, "@=?\"'$")
}
