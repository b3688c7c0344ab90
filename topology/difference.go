package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
)

// fact is what is known of one node, and what differs.
type fact struct {
	n       Node
	ins     Inspection
	obs     Observation // zero unless it answers
	answers bool
	cfg     NodeConfig

	refused  bool // nothing is planned
	stranded bool // only its files are cared for: its upstream is not to be had

	set     []SettingChange // to be written at once
	raised  []SettingChange // to be written once the standbys have them; of the primary
	lowered []SettingChange // to be written once the primary has them
	allow   []hba.Record
	reload  []string // why it has to read its files again
	restart []string // why it has to be restarted
	raise   []string // why, once the standbys have more of something; of the primary
	later   []string // why, once the primary has less of something
	follow  []string // what differs in how it follows
	needs   Need     // of follow

	putOff bool // its files have less of something than is in effect: its restart waits for the primary to have less

	leaving bool // it follows the primary until others are synchronous in its place
	runs    bool // by now, in the order of the plan
	moved   bool // its files say how it is to follow
	slotted bool // its slot has been seen to
	awaited bool // some step waits until it follows
}

// mustNotBeLower are the parameters that a standby must not have lower than its primary, or it stops (manual: "Hot Standby",
// "Administrator's Overview").
var mustNotBeLower = []string{
	"max_connections", "max_locks_per_transaction", "max_prepared_transactions", "max_wal_senders", "max_worker_processes",
}

const syncNames = "synchronous_standby_names"

// doubt says why nothing can be planned for a node, by what its machine and its server say of it alone.
func (f *fact) doubt(seen bool, o Observation, asked bool) string {
	i := f.ins
	switch {
	case !seen:
		return "its machine was not looked at"
	case i.Err != nil:
		return fmt.Sprintf("its machine cannot be looked at: %v", i.Err)
	case i.Processes == Running && !asked:
		return "its server runs and was not asked"
	case i.Processes == Running && !f.answers:
		return fmt.Sprintf("its server runs and does not answer: %v", o.Err)
	case i.Processes == Stopped && f.answers:
		return "its server answers, although its machine says that it is stopped: look again"
	case i.Processes != Running && i.Processes != Stopped:
		return "whether its server runs is not known: " + cmp.Or(i.Doubt, "its machine does not say")
	case !i.Exists && f.answers:
		return "its server runs, and its data directory is not there: DataDir, Host or Port names another server"
	case !i.Exists && slices.ContainsFunc(i.Unfinished, func(name string) bool { return strings.HasSuffix(name, ".rewinding") }):
		return "an interrupted rewind left its data at " + strings.Join(i.Unfinished, ", ") + ": finish that first"
	case i.Major == 0:
		return "its major version is not known"
	case i.Exists && len(i.Start.Doubts) > 0:
		return "what it does at its next start is not known: " + i.Start.Doubts[0].String()
	}
	return ""
}

// unfit says why a node that is to be a standby of the primary is not: its data is another cluster's or has gone another way.
func (f *fact) unfit(primary *fact) string {
	if !f.ins.Exists {
		return ""
	}
	start, control := f.ins.Start, f.ins.Control
	newest := max(f.obs.Timeline, control.Timeline())
	leading := max(primary.obs.Timeline, primary.ins.Control.Timeline())
	switch {
	case control.SystemID != primary.ins.Control.SystemID:
		return fmt.Sprintf("it holds data of another cluster (system identifier %s, the primary's is %s)",
			control.SystemID, primary.ins.Control.SystemID)
	case f.ins.Major != primary.ins.Major:
		return fmt.Sprintf("PostgreSQL %s cannot follow %s", f.ins.Major, primary.ins.Major)
	case newest > leading:
		return fmt.Sprintf("it is on timeline %d and the primary on %d: somebody promoted it, and what it has may be the better data",
			newest, leading)
	case start.Triggered:
		return "it would promote itself at its next start: " + start.String()
	case f.answers && start.Outcome != recovery.StartsStandby:
		return "it would be no standby after its next start: " + start.String()
	case !f.answers && !standbyState(control.State):
		return fmt.Sprintf("its data was a primary's (%s): whether it may follow, or has to be rewound or cloned, is to be judged first",
			control.State)
	}
	return ""
}

// standbyState reports whether data was a standby's when its server noted that; such data was not written by a primary since.
func standbyState(s datadir.State) bool {
	return s == datadir.StateShutDownInRecovery || s == datadir.StateInArchiveRecovery
}

// compare finds what differs between a node that has data and its configuration.
func (f *fact) compare(primary bool) error {
	for _, want := range f.cfg.Settings {
		if want.Name == syncNames && primary {
			continue // a step of its own
		}
		if err := f.compareSetting(want, primary); err != nil {
			return err
		}
	}
	if primary && !f.answers { // it starts with less than its standbys have
		f.set, f.lowered = append(f.set, f.lowered...), nil
	}
	return f.compareAccess()
}

func (f *fact) compareSetting(want Setting, primary bool) error {
	major := f.ins.Major
	change := SettingChange{Setting: want, Needs: needOf(major, want.Name)}
	effect, known := f.inEffect(want.Name)
	have, set := f.ins.Settings[want.Name]
	if set {
		change.From, change.File, change.Line = have.Value, have.File, have.Line
		change.Overrule = have.Origin == pgconf.FromAutoConf
	} else if p, ok := guc.Lookup(major, want.Name); ok {
		change.From = p.Default
	}
	written := sameText(major, want.Name, change.From, want.Value)
	if !set && known && f.obs.Parameters[want.Name].Source != "configuration file" { // else its line is gone since
		written = sameText(major, want.Name, effect, want.Value)
	}
	working := !f.answers || sameText(major, want.Name, effect, want.Value)
	if !known && f.answers {
		working = written && !f.obs.Parameters[want.Name].Pending
	}
	changes, restarts := &f.set, &f.restart
	switch {
	case !slices.Contains(mustNotBeLower, want.Name):
	case isLower(major, want.Name, want.Value, cmp.Or(effect, change.From)):
		changes, restarts = &f.lowered, &f.later
	case primary:
		changes, restarts = &f.raised, &f.raise
	}
	if slices.Contains(mustNotBeLower, want.Name) && isLower(major, want.Name, change.From, effect) {
		f.putOff = true
	}
	if f.answers && !working {
		if change.Needs == NeedsReload {
			restarts = &f.reload
		}
		*restarts = append(*restarts, whyWake(want, effect))
	}
	if working && known {
		change.Needs = NeedsNothing
	}
	switch {
	case written:
	case set && have.Origin == pgconf.FromCommandLine:
		return fmt.Errorf("%s is set on the server's command line, which wins over all files: it has to go there", want.Name)
	default:
		*changes = append(*changes, change)
	}
	return nil
}

// whyWake says why a running server has to take a setting up.
func whyWake(want Setting, effect string) string {
	to := quote(display(want.Name, want.Value))
	if effect == "" {
		return fmt.Sprintf("%s is to be %s", want.Name, to)
	}
	return fmt.Sprintf("%s is %s and is to be %s", want.Name, quote(display(want.Name, effect)), to)
}

func quote(value string) string { return "'" + value + "'" }

// inEffect is the value that a running server uses, if it said so and a file or a default decides it.
func (f *fact) inEffect(name string) (string, bool) {
	p, ok := f.obs.Parameters[name]
	switch p.Source {
	case "database", "user", "database user", "client", "session":
		return "", false
	}
	return p.Value, f.answers && ok && (p.Value != "" || !p.Pending)
}

// compareAccess finds the records that are not there or have no effect.
func (f *fact) compareAccess() error {
	name := cmp.Or(f.ins.HBAFile, "pg_hba.conf")
	file, err := hba.ParseFor(name, f.ins.HBA, f.ins.Major)
	if err != nil {
		return err
	}
	for _, r := range f.cfg.Access {
		change, err := file.EnsureRule(r, hba.EnsureConfig{})
		if err != nil {
			return fmt.Errorf("%s: %s: %w", name, r, err)
		}
		if change.Changed {
			f.allow = append(f.allow, r)
		}
	}
	return nil
}

// compareRecovery finds what differs in how a standby follows.
func (f *fact) compareRecovery(up Node) {
	f.needs = NeedsNothing
	major, want := f.ins.Major, f.cfg.Recovery.WithDefaults(f.ins.Major)
	have := f.ins.Start.Config
	if f.ins.Start.Outcome != recovery.StartsStandby {
		f.follow = append(f.follow, "its files do not make it a standby ("+f.ins.Start.Outcome.String()+")")
		have = recovery.Config{}
	}
	differs := func(name string, same bool, what string) {
		if !same {
			f.follow = append(f.follow, what)
			f.needs = costlier(f.needs, needOf(major, name))
		}
	}
	differs("primary_conninfo", have.PrimaryConninfo.Same(want.PrimaryConninfo), "its upstream is "+upstreamText(have)+
		" and is to be "+upstreamText(want))
	differs("primary_slot_name", have.PrimarySlotName == want.PrimarySlotName,
		fmt.Sprintf("its slot is %s and is to be %s", quote(have.PrimarySlotName), quote(want.PrimarySlotName)))
	differs("restore_command", have.RestoreCommand == want.RestoreCommand, "restore_command differs")
	differs("archive_cleanup_command", have.ArchiveCleanupCommand == want.ArchiveCleanupCommand, "archive_cleanup_command differs")
	differs("recovery_min_apply_delay", have.MinApplyDelay == want.MinApplyDelay,
		fmt.Sprintf("its delay is %s and is to be %s", have.MinApplyDelay, want.MinApplyDelay))
	differs("recovery_target_timeline", have.TargetTimeline == want.TargetTimeline, "the timeline that it follows differs")
	differs("recovery_target", have.Target == nil, "it has a recovery target")
	if f.n.ArchiveOnly {
		differs("primary_conninfo", !f.answers || f.obs.Receiver == nil, "it streams and is to take its WAL from the archive alone")
		return
	}
	if r := f.obs.Receiver; r != nil && r.Host != "" {
		host, port := up.Address()
		differs("primary_conninfo", r.Host == host && r.Port == port,
			fmt.Sprintf("it streams from %s:%d and is to stream from %s", r.Host, r.Port, up))
		differs("primary_slot_name", r.Slot == want.PrimarySlotName,
			fmt.Sprintf("it streams through slot %s and is to use %s", quote(r.Slot), quote(want.PrimarySlotName)))
	}
}

// upstreamText is where a connection string leads to, without secrets.
func upstreamText(cfg recovery.Config) string {
	if len(cfg.PrimaryConninfo.Keys()) == 0 {
		return "nobody"
	}
	return quote(cfg.PrimaryConninfo.String())
}

// needOf is what a running server needs to take a parameter up. Up to 11, recovery.conf is read at the start only.
func needOf(major pgconf.Major, name string) Need {
	p, ok := guc.Lookup(major, name)
	switch {
	case !ok, p.Context.Action() == guc.Restart:
		return NeedsRestart
	default:
		return NeedsReload
	}
}

// costlier is the one of two needs that covers both.
func costlier(a, b Need) Need {
	order := []Need{NeedsNothing, NeedsReload, NeedsRestart}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// sameText reports whether two texts mean the same to a server.
func sameText(major pgconf.Major, name, a, b string) bool {
	if name != syncNames {
		return sameValue(major, name, a, b)
	}
	x, errX := guc.ParseSyncNames(major, a)
	y, errY := guc.ParseSyncNames(major, b)
	if errX != nil || errY != nil {
		return a == b
	}
	return sameSync(x, y)
}

// isLower reports whether a number is below another one; false if one of them is none.
func isLower(major pgconf.Major, name, a, b string) bool {
	x, errX := guc.Parse(major, name, a)
	y, errY := guc.Parse(major, name, b)
	if errX != nil || errY != nil {
		return false
	}
	low, _ := x.Number()
	high, _ := y.Number()
	return low < high
}
