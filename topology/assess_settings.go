package topology

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// checkSettings reports what a server's settings make impossible or dangerous, what waits for a restart, and what differs from the
// description.
func (a *assessment) checkSettings(p *Place) {
	o, id := p.Observation, p.Node.ID
	restart := a.service(p.Node, "restart")
	if level := o.Parameters["wal_level"].Value; level == "minimal" || level == "archive" {
		severity := Warning
		if !o.InRecovery {
			severity = Critical
		}
		a.addAs(severity, WALLevel, id, "", "set wal_level = replica and "+restart, "wal_level is %s: no standby can follow it", level)
	}
	if o.off("wal_log_hints") && o.Control.BlockSize != 0 && !o.Control.Checksums {
		a.add(NoRewind, id, "", "set wal_log_hints = on and "+restart, "it has neither data checksums nor wal_log_hints: pg_rewind cannot take it back after "+
			"a failover")
	}
	if o.off("hot_standby") {
		a.add(HotStandbyOff, id, "", "set hot_standby = on and "+restart, "hot_standby is off: as a standby it answers nobody, this observer included")
	}
	if o.off("full_page_writes") {
		a.add(FullPageWritesOff, id, "", a.sql(p.Node, "ALTER SYSTEM SET full_page_writes = 'on'", reload),
			"full_page_writes is off: a crash of the machine can leave torn pages, and pg_rewind does not work")
	}
	if o.off("fsync") {
		a.add(FsyncOff, id, "", a.sql(p.Node, "ALTER SYSTEM SET fsync = 'on'", reload)+"; then run sync on its machine",
			"fsync is off: a crash of the machine destroys the data")
	}
	if pending := o.pending(); len(pending) > 0 {
		a.add(PendingRestart, id, "", restart+"; standbys first, the primary last", "%s in the files and wait for a restart: %s",
			changed(len(pending)), strings.Join(pending, ", "))
	}
	a.checkRefused(p)
	a.checkDiffering(p)
}

func changed(n int) string {
	if n == 1 {
		return "1 setting has changed"
	}
	return fmt.Sprintf("%d settings have changed", n)
}

// pending are the names of the parameters that wait for a restart.
func (o Observation) pending() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(o.Parameters)) {
		if o.Parameters[name].Pending {
			all = append(all, name)
		}
	}
	return all
}

// checkRefused reports lines that the server refuses. Of the server's words only those are shown that cannot quote the line.
func (a *assessment) checkRefused(p *Place) {
	var lines []string
	for _, r := range p.Observation.Refused {
		where := fmt.Sprintf("%s:%d", cmp.Or(r.File, "?"), r.Line)
		if r.Name != "" {
			where += " " + line(r.Name)
		}
		said, _, _ := strings.Cut(r.Msg, `"`)
		said, _, _ = strings.Cut(said, ":")
		lines = append(lines, strings.TrimSpace(where+" ("+strings.TrimSpace(line(said))+")"))
	}
	if len(lines) > 0 {
		slices.Sort(lines)
		a.add(RefusedLines, p.Node.ID, "", "correct these lines, then "+a.service(p.Node, "reload")+" and look whether pg_conf_load_time moved",
			"a reload keeps the old settings, and a restart may fail, because of %s", strings.Join(slices.Compact(lines), ", "))
	}
}

// explained are the kinds of problems that say all there is to say of these parameters.
var explained = map[string][]Code{
	"archive_command":           {ArchiveDiffers},
	"archive_mode":              {ArchivingOff},
	"full_page_writes":          {FullPageWritesOff},
	"fsync":                     {FsyncOff},
	"hot_standby":               {HotStandbyOff},
	"max_connections":           {LowerLimit},
	"max_locks_per_transaction": {LowerLimit},
	"max_prepared_transactions": {LowerLimit},
	"max_wal_senders":           {LowerLimit, SendersFew, SendersExhausted},
	"max_worker_processes":      {LowerLimit},
	"synchronous_commit":        {CommitNotWaiting},
	"wal_level":                 {WALLevel},
	"wal_log_hints":             {NoRewind},
}

// checkDiffering reports the settings in effect that are not what the description says. synchronous_standby_names is another
// matter, since it depends on who is there.
func (a *assessment) checkDiffering(p *Place) {
	o := p.Observation
	var differ []string
	wanted := a.rendered(p)
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		have, ok := o.Parameters[name]
		if !ok || have.Pending || name == "synchronous_standby_names" || a.has(p.Node.ID, explained[name]...) ||
			sameValue(major(o.Version), name, have.Value, wanted[name]) {
			continue
		}
		if pgconf.MayHoldSecret(name) {
			differ = append(differ, name+" is another")
			continue
		}
		differ = append(differ, fmt.Sprintf("%s is %q, not %q%s", name, have.Value, wanted[name], have.where()))
	}
	if len(differ) > 0 {
		a.add(SettingsDiffer, p.Node.ID, "", "let topology/build apply its plan, or correct the description", "%s", strings.Join(differ, "; "))
	}
}

// where is where a value comes from.
func (p Parameter) where() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf(" (%s:%d)", p.File, p.Line)
}

// rendered is what a node's settings should be, by name; none if that is not known.
func (a *assessment) rendered(p *Place) map[string]string {
	values, ok := a.wanting[p.Node.ID]
	if !ok {
		if cfg, err := a.c.Render(p.Node.ID, major(p.Observation.Version)); err == nil {
			values = cfg.Values()
		}
		a.wanting[p.Node.ID] = values
	}
	return values
}

// sameValue compares two values of a parameter as its server does.
func sameValue(m pgconf.Major, name, x, y string) bool {
	a, errA := guc.Parse(m, name, x)
	b, errB := guc.Parse(m, name, y)
	if errA != nil || errB != nil {
		return x == y
	}
	return a == b
}
