package topology

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf/guc"
)

// Validate reports everything that keeps the description from being a cluster that can be built, whatever the major: errors.Join of
// one [*FieldError] for each. What one major only refuses, Render reports.
func (c Cluster) Validate() error {
	v := &faults{}
	v.tree(c)
	for i, n := range c.Nodes {
		v.at = nodeField(i)
		v.node(c, n)
	}
	v.at = ""
	v.machines(c)
	v.sync(c)
	v.accounts(c)
	v.archive(c)
	v.sizes(c)
	v.settings("Settings", c.Settings, c, false)
	return errors.Join(v.errs...)
}

// FieldError is one thing that is wrong with a [Cluster].
type FieldError struct {
	// Field is what it is about, from the cluster on: Nodes[1].Upstream, Sync.Number, Sync.Sites[a], Settings[work_mem]. Empty for
	// the cluster as a whole.
	Field string
	Msg   string
}

// Error returns Msg.
func (f *FieldError) Error() string { return f.Msg }

func nodeField(i int) string { return "Nodes[" + strconv.Itoa(i) + "]" }

// faults collects what is wrong.
type faults struct {
	at   string // what the fields are of
	errs []error
}

func (v *faults) refuse(field, format string, args ...any) {
	if v.at != "" {
		field = v.at + "." + field
	}
	v.errs = append(v.errs, &FieldError{Field: field, Msg: fmt.Sprintf(format, args...)})
}

// tree looks at names, addresses and upstreams.
func (v *faults) tree(c Cluster) {
	seen := map[NodeID]bool{}
	addresses := map[string]NodeID{}
	roots := 0
	for i, n := range c.Nodes {
		v.at = nodeField(i)
		if why := n.ID.check(); why != "" {
			v.refuse("ID", "node id %q: %s", n.ID, why)
		}
		if seen[n.ID] {
			v.refuse("ID", "node id %q is used twice", n.ID)
		}
		seen[n.ID] = true
		if other, taken := addresses[n.hostPort()]; taken && !n.Witness {
			v.refuse("Host", "nodes %s and %s share the address %s", other, n.ID, n.hostPort())
		}
		if !n.Witness {
			addresses[n.hostPort()] = n.ID
		}
		if why := n.checkAddress(); why != "" {
			v.refuse("Host", "node %s: %s", n.ID, why)
		}
		if n.Upstream == "" && !n.Witness {
			roots++
		}
	}
	v.at = ""
	if roots != 1 {
		v.refuse("Nodes", "%d nodes have no upstream: exactly one must, the primary", roots)
	}
	for i, n := range c.Nodes {
		if why := c.checkUpstream(n); why != "" {
			v.refuse(nodeField(i)+".Upstream", "node %s: %s", n.ID, why)
		}
	}
}

// node looks at what a node says of itself.
func (v *faults) node(c Cluster, n Node) {
	bad := func(field, format string, args ...any) {
		v.refuse(field, "node %s: %s", n.ID, fmt.Sprintf(format, args...))
	}
	if n.Witness {
		if n.Upstream != "" {
			bad("Upstream", "a witness has no data, so it follows nobody")
		}
		if n.Sync || n.Delay != 0 || n.ArchiveOnly || n.Priority != 0 || n.DataDir != "" || len(n.Settings) > 0 || n.Service.named() {
			bad("Witness", "a witness has no server: it has no data directory, service, settings, sync, delay, archive or priority")
		}
		return
	}
	for _, from := range n.From {
		if _, err := netip.ParsePrefix(from); err != nil {
			bad("From", "address %q is not in CIDR form, such as 10.0.0.2/32", from)
		}
	}
	v.replay(c, n, bad)
	if why := checkDataDir(n.DataDir); why != "" {
		bad("DataDir", "%s", why)
	}
	if why := checkMachine(n.Machine); why != "" {
		bad("Machine", "%s", why)
	}
	if field, why := n.Service.check(n.DataDir); why != "" {
		bad("Service."+field, "%s", why)
	}
	v.settings("Settings", n.Settings, c, true)
}

// replay looks at how a node follows.
func (v *faults) replay(c Cluster, n Node, bad func(field, format string, args ...any)) {
	standby := n.Upstream != ""
	switch {
	case n.Delay < 0:
		bad("Delay", "a delay of %s is negative", n.Delay)
	case n.Delay%time.Millisecond != 0:
		bad("Delay", "a delay of %s is not in whole milliseconds", n.Delay)
	case n.Delay > maxDelay:
		bad("Delay", "a delay of %s is more than the server can count, %s", n.Delay, maxDelay)
	case n.Delay > 0 && !standby:
		bad("Delay", "the primary cannot be delayed")
	}
	if n.ArchiveOnly && !standby {
		bad("ArchiveOnly", "the primary takes WAL from nobody")
	}
	if n.ArchiveOnly && c.Archive.Restore == "" && c.Archive.URL == "" {
		bad("ArchiveOnly", "there is no archive: Archive.Restore or Archive.URL says where it is")
	}
	if n.Sync && n.Delay > 0 {
		bad("Sync", "a delayed standby is never synchronous: commits would not be seen on it for %s", n.Delay)
	}
	if n.Sync && n.ArchiveOnly {
		bad("Sync", "a standby that takes its WAL from the archive confirms no commit")
	}
	if n.Priority > 0 && (n.Delay > 0 || n.ArchiveOnly) {
		bad("Priority", "a delayed or archive-only standby is never promoted, so it has no priority")
	}
}

// maxDelay is that of recovery_min_apply_delay, an integer of milliseconds.
const maxDelay = (1<<31 - 1) * time.Millisecond

func checkDataDir(dir string) string {
	switch {
	case dir == "":
		return ""
	case !path.IsAbs(dir):
		return fmt.Sprintf("data directory %q is not absolute", dir)
	case path.Clean(dir) != dir:
		return fmt.Sprintf("data directory %q is not in its shortest form, %q", dir, path.Clean(dir))
	case dir == "/":
		return "/ is no data directory"
	case strings.ContainsAny(dir, "\x00\r\n"):
		return fmt.Sprintf("data directory %q has a control character", dir)
	}
	return ""
}

// machinePattern is the form of Machine; topology/host reads it.
var machinePattern = regexp.MustCompile(`^(local|ssh://([^/@:\s]+@)?(\[[0-9a-fA-F:.%]+\]|[^/@:\s\[\]]+)(:[0-9]{1,5})?/?|docker://[A-Za-z0-9][A-Za-z0-9_.-]*)$`)

func checkMachine(machine string) string {
	if machine == "" || machinePattern.MatchString(machine) {
		return ""
	}
	return fmt.Sprintf("machine %q is none of local, ssh://user@host:port and docker://container", machine)
}

// named reports whether anything is said of a service.
func (s Service) named() bool {
	return s.Manager != "" || s.BinDir != "" || s.Cluster != "" || s.Unit != "" || len(s.Commands) > 0
}

// debianCluster is the name of a Debian cluster. postgresql-common takes the first dash in a unit's name for the one between major and
// name, and systemd escapes others.
var debianCluster = regexp.MustCompile(`^(9\.[0-9]|[1-9][0-9])/[A-Za-z0-9_.]+$`)

// verbs are the commands of Service.
var verbs = []string{"start", "stop", "restart", "reload", "promote", "status"}

// check says which field of a service is wrong, and why.
func (s Service) check(dataDir string) (field, why string) {
	if s.BinDir != "" && !path.IsAbs(s.BinDir) {
		return "BinDir", fmt.Sprintf("folder of programs %q is not absolute", s.BinDir)
	}
	switch s.Manager {
	case "", PgCtl:
	case Debian:
		if !debianCluster.MatchString(s.Cluster) {
			return "Cluster", fmt.Sprintf("cluster %q is not MAJOR/NAME of letters, digits, _ and ., as in 17/main", s.Cluster)
		}
	case Systemd:
		if s.Unit == "" || strings.ContainsAny(s.Unit, " \t\r\n/\x00") || s.Unit[0] == '-' {
			return "Unit", fmt.Sprintf("unit %q is no name of a systemd unit, as in postgresql-17.service", s.Unit)
		}
	case Commands:
		if len(s.Commands) == 0 {
			return "Commands", "no command is given"
		}
	default:
		return "Manager", fmt.Sprintf("manager %q is none of pg_ctl, debian, systemd and commands", s.Manager)
	}
	for _, verb := range slices.Sorted(maps.Keys(s.Commands)) {
		switch {
		case s.Manager != Commands:
			return "Commands", fmt.Sprintf("commands are for manager commands, not %q", s.Manager)
		case !slices.Contains(verbs, verb):
			return "Commands", fmt.Sprintf("command %q is none of %s", verb, strings.Join(verbs, ", "))
		case strings.TrimSpace(s.Commands[verb]) == "":
			return "Commands", fmt.Sprintf("command %s is empty", verb)
		}
	}
	switch {
	case s.Cluster != "" && s.Manager != Debian:
		return "Cluster", "a cluster is for manager debian"
	case s.Unit != "" && s.Manager != Systemd:
		return "Unit", "a unit is for manager systemd"
	case dataDir == "" && s.Manager != Debian && s.Manager != "":
		return "Manager", fmt.Sprintf("manager %s needs the node's DataDir", s.Manager)
	}
	return "", ""
}

// machines looks for two servers in one place.
func (v *faults) machines(c Cluster) {
	taken := map[string]NodeID{}
	for i, n := range c.Nodes {
		machine := n.Machine
		if machine == "" {
			machine = "local"
		}
		for _, place := range []struct{ field, what, name string }{
			{"DataDir", "data directory", n.DataDir},
			{"Service.Cluster", "Debian cluster", n.Service.Cluster},
			{"Service.Unit", "systemd unit", n.Service.Unit},
		} {
			if place.name == "" {
				continue
			}
			key := machine + "\x00" + place.field + "\x00" + place.name
			if other, ok := taken[key]; ok {
				v.refuse(nodeField(i)+"."+place.field, "nodes %s and %s share the %s %s on machine %s", other, n.ID, place.what, place.name, machine)
			}
			taken[key] = n.ID
		}
	}
}

// sync looks at the policy for every node that may be the primary.
func (v *faults) sync(c Cluster) {
	sites := map[string]bool{}
	for _, n := range c.Nodes {
		sites[n.Site] = true
	}
	v.rule("Sync", c.Sync.SyncRule, sites)
	for _, site := range slices.Sorted(maps.Keys(c.Sync.Sites)) {
		field := "Sync.Sites[" + site + "]"
		if !sites[site] {
			v.refuse(field, "no node is at site %q", site)
		}
		v.rule(field, c.Sync.Sites[site], sites)
	}
	if len(v.errs) > 0 {
		return // whom a primary could wait for is only known of a cluster without other faults
	}
	for _, n := range c.Nodes {
		v.candidates(c, n)
	}
}

func (v *faults) rule(field string, r SyncRule, sites map[string]bool) {
	if r.Number < 0 {
		v.refuse(field+".Number", "a primary cannot wait for %d standbys", r.Number)
	}
	if r.Method != "" && r.Method != First && r.Method != Any {
		v.refuse(field+".Method", "method %q is neither first nor any", r.Method)
	}
	for _, site := range r.At {
		if !sites[site] {
			v.refuse(field+".At", "no node is at site %q", site)
		}
	}
}

// candidates looks whether there are enough nodes for a primary to wait for: for the one that is to be it in any case, and for others
// that may become it if the policy is strict.
func (v *faults) candidates(c Cluster, n Node) {
	now := n.Upstream == ""
	if n.Witness || !now && (!c.Sync.Strict || !n.promotable()) {
		return
	}
	rule, names := c.syncRule(n.ID)
	asked := c.Sync.Strict || rule.Number > 0
	if asked && len(names) < rule.number() {
		v.refuse("Sync", "while %s is the primary, commits are to wait for %d standbys, and %d are directly below it with Sync%s: %s",
			n.ID, rule.number(), len(names), atSites(rule), "mark more of them (the old primary as well, for the time after it), or ask for fewer")
	}
}

func atSites(r SyncRule) string {
	if len(r.At) == 0 {
		return ""
	}
	return " at " + strings.Join(r.At, ", ")
}

// accounts looks at names and secrets.
func (v *faults) accounts(c Cluster) {
	r := c.Replication
	v.secret("Replication.Secret", r.Secret)
	if r.Passfile != "" && !path.IsAbs(r.Passfile) {
		v.refuse("Replication.Passfile", "password file %q is not absolute", r.Passfile)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Conninfo)) {
		if why := refusedConninfo(key); why != "" {
			v.refuse("Replication.Conninfo["+key+"]", "connection parameter %s: %s", key, why)
		}
	}
	v.account("Monitor", c.Monitor)
	v.account("Admin", c.Admin)
	for i, client := range c.Clients {
		field := "Clients[" + strconv.Itoa(i) + "]"
		if client.User == "" || client.Database == "" {
			v.refuse(field, "client %q of database %q: both names are needed", client.User, client.Database)
		}
		v.networks(field+".Addresses", "client "+client.User, client.Addresses)
	}
}

func (v *faults) account(field string, a Account) {
	v.secret(field+".Secret", a.Secret)
	v.networks(field+".From", "account "+a.Name, a.From)
	if a.Name == "" && (a.Secret != "" || a.Database != "" || len(a.From) > 0) {
		v.refuse(field+".Name", "the account has no name")
	}
}

func (v *faults) networks(field, who string, texts []string) {
	if _, err := networks(texts); err != nil {
		v.refuse(field, "%s: %v", who, err)
	}
}

var secretPattern = regexp.MustCompile(`^(env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\x00\r\n]+)$`)

// secret does not repeat the text, which may be a password that stands in the wrong place.
func (v *faults) secret(field string, s SecretRef) {
	if s != "" && !secretPattern.MatchString(string(s)) {
		v.refuse(field, "%s is neither env:NAME nor file:/absolute/path; the secret itself does not belong there", field)
	}
}

// refusedConninfo says why a connection parameter is not the user's to choose.
func refusedConninfo(key string) string {
	switch key {
	case "host", "hostaddr", "port":
		return "the upstream's Host and Port say that"
	case "user":
		return "Replication.User says that"
	case "password":
		return "use Replication.Secret and Passfile, which keep it out of the configuration"
	case "passfile":
		return "Replication.Passfile says that"
	case "application_name":
		return "it is the node's id, by which its upstream knows it"
	case "dbname", "replication":
		return "the server sets it itself"
	}
	return ""
}

// archive looks at commands and their placeholders.
func (v *faults) archive(c Cluster) {
	a := c.Archive
	if a.URL != "" && !slices.ContainsFunc([]string{"/", "file:///", "sftp://", "s3://"}, func(p string) bool { return strings.HasPrefix(a.URL, p) }) {
		v.refuse("Archive.URL", "the archive's place begins with none of /, file:///, sftp:// and s3://")
	}
	if a.Program != "" && a.URL == "" {
		v.refuse("Archive.Program", "the program works on Archive.URL, which is empty")
	}
	if a.Timeout > 0 && a.Timeout%time.Second != 0 {
		v.refuse("Archive.Timeout", "%s is not in whole seconds", a.Timeout)
	}
	if a.Timeout > (1<<30)*time.Second {
		v.refuse("Archive.Timeout", "%s is more than the server can count", a.Timeout)
	}
	if a.Always && a.Command == "" && a.URL == "" {
		v.refuse("Archive.Always", "standbys are to archive, and no command says how")
	}
	for _, field := range []struct{ name, text string }{
		{"Archive.Command", a.Command}, {"Archive.Restore", a.Restore}, {"Archive.Cleanup", a.Cleanup},
	} {
		for _, n := range c.servers() {
			if _, err := c.expand(n, field.text); err != nil {
				v.refuse(field.name, "node %s: %v", n.ID, err)
			}
		}
	}
}

// sizes looks at how much WAL is kept.
func (v *faults) sizes(c Cluster) {
	if c.KeepWAL != "" {
		if err := guc.Validate(13, "wal_keep_size", c.KeepWAL); err != nil {
			v.refuse("KeepWAL", "KeepWAL: %v", err)
		}
	}
	if c.MaxSlotKeep != "" {
		if err := guc.Validate(13, "max_slot_wal_keep_size", c.MaxSlotKeep); err != nil {
			v.refuse("MaxSlotKeep", "MaxSlotKeep: %v", err)
		}
	}
}

// settings looks for parameters that are not the user's to choose.
func (v *faults) settings(field string, settings map[string]string, c Cluster, ofNode bool) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if why := c.refusedSetting(strings.ToLower(name), settings[name], ofNode); why != "" {
			v.refuse(field+"["+name+"]", "setting %s: %s", name, why)
		}
	}
}

// instead are the parameters that something else in the description decides.
var instead = map[string]string{
	"port":                      "the node's Port says that",
	"cluster_name":              "it is the node's id",
	"data_directory":            "the node's DataDir says that",
	"hba_file":                  "the rules are edited where the server has them; move the file by hand",
	"synchronous_standby_names": "Sync and the nodes' Sync say that",
	"primary_conninfo":          "the node's Upstream and Replication say that",
	"primary_slot_name":         "Slots says that",
	"restore_command":           "Archive.Restore says that",
	"archive_command":           "Archive.Command says that",
	"archive_cleanup_command":   "Archive.Cleanup says that",
	"archive_library":           "Archive.Command says how to archive, and the server takes one of the two",
	"archive_mode":              "Archive says that",
	"archive_timeout":           "Archive.Timeout says that",
	"recovery_min_apply_delay":  "the node's Delay says that",
	"recovery_target_timeline":  "standbys follow the latest timeline, or they would not follow a promoted node",
	"wal_keep_size":             "KeepWAL says that",
	"wal_keep_segments":         "KeepWAL says that",
	"max_slot_wal_keep_size":    "MaxSlotKeep says that",
	"recovery_target":           "a standby would stop there",
	"recovery_target_lsn":       "a standby would stop there",
	"recovery_target_name":      "a standby would stop there",
	"recovery_target_time":      "a standby would stop there",
	"recovery_target_xid":       "a standby would stop there",
	"recovery_target_action":    "standbys have no recovery target",
	"recovery_target_inclusive": "standbys have no recovery target",
	"recovery_end_command":      "it would run at every promotion; the tools that promote do what is to be done",
	"promote_trigger_file":      "whoever can make that file could promote the node",
	"standby_mode":              "the node's Upstream says that",
	"trigger_file":              "whoever can make that file could promote the node",
	"include":                   "it is no parameter",
	"include_dir":               "it is no parameter",
	"include_if_exists":         "it is no parameter",
}

// refusedSetting says why a setting would break the cluster, or who decides it.
func (c Cluster) refusedSetting(name, value string, ofNode bool) string {
	if why, ok := instead[name]; ok {
		return why
	}
	lower := strings.ToLower(value)
	number, _ := strconv.Atoi(value)
	switch name {
	case "wal_level":
		if lower != "replica" && lower != "logical" {
			return "standbys need replica or logical"
		}
	case "hot_standby", "wal_log_hints":
		if v, err := guc.Parse(17, name, value); err != nil || v.String() != "on" {
			return breaks[name]
		}
	case "max_wal_senders", "max_replication_slots":
		if number < c.senders() {
			return fmt.Sprintf("the cluster needs at least %d", c.senders())
		}
	case "synchronous_commit":
		if slices.ContainsFunc(c.Nodes, func(n Node) bool { return n.Sync }) && (lower == "local" || isOff(value)) {
			return "commits would not wait for the synchronous standbys; let single transactions choose that"
		}
	}
	if ofNode && (slices.Contains(mustNotBeLower, name) || name == "wal_level") {
		return "a standby must not have less than its primary, whoever that is: set it for the whole cluster"
	}
	return ""
}

func isOff(value string) bool {
	v, err := guc.Parse(17, "fsync", value) // any of type bool
	on, ok := v.Bool()
	return err == nil && ok && !on
}

// breaks says what a parameter is needed for.
var breaks = map[string]string{
	"hot_standby":   "a standby has to answer, or nobody knows how far it is",
	"wal_log_hints": "pg_rewind needs it to take a former primary back",
}
