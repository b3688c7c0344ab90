package topology

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
)

// Setting is a parameter of postgresql.conf and why it is what it is.
type Setting struct {
	Name, Value string
	Why         string
}

// NodeConfig is what the machine of a node must say, for one major.
type NodeConfig struct {
	Settings []Setting        // of postgresql.conf, by name
	Access   []hba.Record     // rules of pg_hba.conf that must be there and have effect, in this order
	Recovery *recovery.Config // nil for a primary
	Slots    []string         // physical slots for the nodes below it, by name
	Passfile []PassfileLine   // of Replication.Passfile; none if that is the user's business
}

// Values returns the settings by name.
func (c NodeConfig) Values() map[string]string {
	values := make(map[string]string, len(c.Settings))
	for _, s := range c.Settings {
		values[s.Name] = s.Value
	}
	return values
}

// PassfileLine is a line of a libpq password file, with its password by reference.
type PassfileLine struct {
	Host, Port, Database, User string
	Secret                     SecretRef
}

// Replication is how the nodes of a cluster reach each other.
type Replication struct {
	// User is the role with which standbys stream and clones are made. It needs LOGIN and REPLICATION, nothing else.
	User string

	// Secret is where its password is to be found, for writing Passfile. Empty means that Passfile is the user's business.
	Secret SecretRef

	// Conninfo are further connection parameters: sslmode, sslrootcert and the like.
	Conninfo map[string]string

	// Passfile is the libpq password file on each node, absolute, readable by the server's OS user alone. Passwords stay out of
	// the configuration and of process lists. Before 10 a server looks in ~/.pgpass of its OS user only, so it has to be that.
	Passfile string
}

// Client is who may connect to which database from where.
type Client struct {
	User      string
	Database  string
	Addresses []string // in CIDR form
}

// Render returns what the machine of node id must say for a server of the given major (9.6 or later), in a cluster in which
// [Cluster.Validate] finds nothing. The settings are the same whether the node is primary or standby, so that a promotion
// changes no file: what a node needs as a primary is in place before it becomes one. synchronous_standby_names is that of the
// day when all of its standbys are there; [NewPlan] says when a server gets it.
//
// What only one major refuses is refused here: a parameter or value that it does not know, ANY before 10, a connection parameter
// that its libpq does not know.
func (c Cluster) Render(id NodeID, major pgconf.Major) (NodeConfig, error) {
	n, err := c.server(id)
	if err != nil {
		return NodeConfig{}, err
	}
	if major < pgconf.V9_6 || major > pgconf.Newest {
		return NodeConfig{}, fmt.Errorf("node %s: PostgreSQL %s: configurations are known from 9.6 to %s", id, major, pgconf.Newest)
	}
	cfg := NodeConfig{Slots: c.slotsOn(id), Passfile: c.passfileLines()}
	if cfg.Settings, err = c.settings(n, major); err != nil {
		return NodeConfig{}, fmt.Errorf("node %s: %w", id, err)
	}
	if cfg.Access, err = c.access(major); err != nil {
		return NodeConfig{}, err
	}
	if cfg.Recovery, err = c.recovery(n, major); err != nil {
		return NodeConfig{}, fmt.Errorf("node %s: %w", id, err)
	}
	return cfg, nil
}

// server returns a node that has a server.
func (c Cluster) server(id NodeID) (Node, error) {
	n, ok := c.Node(id)
	switch {
	case !ok:
		return Node{}, fmt.Errorf("node %q is not in cluster %q", id, c.Name)
	case n.Witness:
		return Node{}, fmt.Errorf("node %s is a witness, which has no server", id)
	}
	return n, nil
}

// servers are the nodes that have data.
func (c Cluster) servers() []Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n Node) bool { return n.Witness })
}

// settings are all of a node, those of the user included.
func (c Cluster) settings(n Node, major pgconf.Major) ([]Setting, error) {
	sync, err := c.SyncNamesFor(n.ID, major)
	if err != nil {
		return nil, err
	}
	all := c.basicSettings(n)
	all = append(all, Setting{"synchronous_standby_names", sync, "the standbys that commits wait for while this node is the primary"})
	all = append(all, c.keepSettings(major)...)
	archive, err := c.archiveSettings(n, major)
	if err != nil {
		return nil, err
	}
	all = append(all, archive...)
	if major >= 10 {
		all = append(all, Setting{"password_encryption", "scram-sha-256", "passwords set from now on are stored as SCRAM verifiers"})
	}
	all = overlay(all, c.Settings, "a setting of the cluster")
	all = overlay(all, n.Settings, "a setting of the node")
	for _, s := range all {
		if err := guc.Validate(major, s.Name, s.Value); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// basicSettings are those that every major from 9.6 on has.
func (c Cluster) basicSettings(n Node) []Setting {
	_, port := n.Address()
	senders := strconv.Itoa(c.senders())
	return []Setting{
		{"listen_addresses", "*", "the other nodes connect to it; pg_hba.conf says who may"},
		{"port", strconv.Itoa(port), "the other nodes connect to this port"},
		{"cluster_name", string(n.ID), "processes and standbys are told apart by it"},
		{"wal_level", "replica", "standbys stream, and WAL is archived"},
		{"hot_standby", "on", "a standby answers queries, those that observe it included"},
		{"wal_log_hints", "on", "pg_rewind can take the node back after a failover"},
		{"max_wal_senders", senders, "every other node may stream from it and be cloned, whoever is the primary"},
		{"max_replication_slots", senders, "every other node may have a slot here, whoever is the primary"},
		{"synchronous_commit", "on", "a commit that waits for a standby waits until it is on disk there"},
	}
}

// senders is the number of WAL senders a node may need: every other node, each with a second connection while it is
// cloned, and two to spare. It grows in tens, because to change it takes restarts. All nodes get the same, because a standby must
// not have fewer than its primary.
func (c Cluster) senders() int { return (2*len(c.Nodes) + 2 + 9) / 10 * 10 }

// keepSettings bound what a node keeps of its WAL for others.
func (c Cluster) keepSettings(major pgconf.Major) []Setting {
	const why = "a standby that was away for a short time need not be cloned"
	var all []Setting
	if major >= 13 {
		all = append(all, Setting{"wal_keep_size", cmp.Or(c.KeepWAL, defaultKeepWAL), why})
	} else {
		all = append(all, Setting{"wal_keep_segments", strconv.Itoa(segments(cmp.Or(c.KeepWAL, defaultKeepWAL))), why})
	}
	if c.Slots && major >= 13 {
		all = append(all, Setting{"max_slot_wal_keep_size", cmp.Or(c.MaxSlotKeep, defaultMaxSlotKeep),
			"a standby that stays away loses its slot before it fills the disk"})
	}
	return all
}

// The defaults of KeepWAL and MaxSlotKeep.
const (
	defaultKeepWAL     = "256MB"
	defaultMaxSlotKeep = "10GB"
)

// segments is how many WAL files of 16 MB, the default size, a size takes; the setting up to 12 counts these.
func segments(size string) int {
	v, err := guc.Parse(13, "wal_keep_size", size)
	if err != nil {
		return 0 // Validate has refused it
	}
	megabytes, _ := v.Number()
	return int(megabytes+15) / 16
}

// overlay puts the user's settings over others.
func overlay(all []Setting, user map[string]string, why string) []Setting {
	for _, name := range slices.Sorted(maps.Keys(user)) {
		set := Setting{strings.ToLower(name), user[name], why}
		i := slices.IndexFunc(all, func(s Setting) bool { return s.Name == set.Name })
		if i < 0 {
			all = append(all, set)
			continue
		}
		all[i] = set
	}
	return all
}

// slotsOn are the slots that a node has for those below it.
func (c Cluster) slotsOn(id NodeID) []string {
	var names []string
	for _, child := range c.Children(id) {
		if c.Slots && !child.ArchiveOnly {
			names = append(names, string(child.ID))
		}
	}
	slices.Sort(names)
	return names
}

// passfileLines are the same on all nodes, since any may become the upstream of any other, and nodes of one machine may share
// the file. The database replication is what libpq looks for when it connects for streaming (manual: "The Password File").
func (c Cluster) passfileLines() []PassfileLine {
	r := c.Replication
	if r.Secret == "" || r.Passfile == "" {
		return nil
	}
	var lines []PassfileLine
	for _, n := range c.servers() {
		host, port := n.Address()
		lines = append(lines, PassfileLine{
			Host: host, Port: strconv.Itoa(port), Database: "replication", User: r.User, Secret: r.Secret,
		})
	}
	return lines
}

// recovery says how a standby follows; nil for the primary.
func (c Cluster) recovery(n Node, major pgconf.Major) (*recovery.Config, error) {
	if _, standby := c.Upstream(n.ID); !standby {
		return nil, nil
	}
	restore, cleanup, err := c.restoreCommands(n, major)
	if err != nil {
		return nil, err
	}
	cfg := recovery.Config{
		RestoreCommand: restore, ArchiveCleanupCommand: cleanup,
		MinApplyDelay: n.Delay, TargetTimeline: recovery.TimelineLatest,
	}
	if !n.ArchiveOnly {
		if cfg.PrimaryConninfo, err = c.UpstreamConninfo(n.ID); err != nil {
			return nil, err
		}
		if major < 10 {
			cfg.PrimaryConninfo = cfg.PrimaryConninfo.Without("passfile") // its libpq looks in the home directory only
		}
		if c.Slots {
			cfg.PrimarySlotName = string(n.ID)
		}
	}
	return &cfg, cfg.Validate(major)
}

// UpstreamConninfo returns primary_conninfo for node id: how it reaches its upstream, under its own name. An empty Passfile is
// left out; libpq then looks in the home directory of the server's OS user.
func (c Cluster) UpstreamConninfo(id NodeID) (conninfo.Info, error) {
	n, err := c.server(id)
	if err != nil {
		return conninfo.Info{}, err
	}
	up, ok := c.Upstream(id)
	switch {
	case !ok:
		return conninfo.Info{}, fmt.Errorf("node %s has no upstream", id)
	case c.Replication.User == "":
		return conninfo.Info{}, errNoUser
	}
	info := up.reach().With("user", c.Replication.User)
	if c.Replication.Passfile != "" {
		info = info.With("passfile", c.Replication.Passfile)
	}
	info = info.With("application_name", string(n.ID)).With("connect_timeout", "5")
	for _, key := range slices.Sorted(maps.Keys(c.Replication.Conninfo)) {
		info = info.With(key, c.Replication.Conninfo[key])
	}
	return info, nil
}

var errNoUser = errors.New("Replication.User is empty")

// ownIdentity are connection parameters that belong to the replication role, not to others.
var ownIdentity = []string{"sslcert", "sslkey", "sslpassword", "sslcertmode"}

// Conninfo returns how an account reaches node id, without its password, which [Account.Secret] refers to. The further parameters
// of Replication hold for it as well, but for the client certificate.
func (c Cluster) Conninfo(id NodeID, a Account) (conninfo.Info, error) {
	n, err := c.server(id)
	switch {
	case err != nil:
		return conninfo.Info{}, err
	case a.Name == "":
		return conninfo.Info{}, errors.New("the account has no name")
	}
	info := n.reach().With("user", a.Name).With("dbname", cmp.Or(a.Database, "postgres")).With("connect_timeout", "5")
	for _, key := range slices.Sorted(maps.Keys(c.Replication.Conninfo)) {
		if !slices.Contains(ownIdentity, key) {
			info = info.With(key, c.Replication.Conninfo[key])
		}
	}
	return info, nil
}

// reach is the address of a node.
func (n Node) reach() conninfo.Info {
	host, port := n.Address()
	return new(conninfo.Info).With("host", host).With("port", strconv.Itoa(port))
}

// access returns the records of pg_hba.conf that every node needs: the replication role from the addresses of all nodes, since
// any node may become the upstream of any other; the accounts, from there and from where they say; and the clients. Everyone
// authenticates with SCRAM-SHA-256 (before 10, with what the server calls md5); who is not listed is refused, and there is no rule
// for the Unix socket or for loopback, which are the machine's own business. Names are names and nothing else: a client called
// all is a role of that name. A record that would stand there twice stands there once.
func (c Cluster) access(major pgconf.Major) ([]hba.Record, error) {
	if c.Replication.User == "" {
		return nil, errNoUser
	}
	nodes, err := addresses(c.Nodes)
	if err != nil {
		return nil, err
	}
	servers, err := addresses(c.servers())
	if err != nil {
		return nil, err
	}
	list := accessList{major: major, method: hba.ScramSHA256}
	if major < 10 {
		list.method = hba.MD5
	}
	list.add(hba.Replication, c.Replication.User, servers)
	for _, a := range []Account{c.Monitor, c.Admin} {
		if a.Name == "" {
			continue
		}
		from, err := networks(a.From)
		if err != nil {
			return nil, fmt.Errorf("account %s: From: %w", a.Name, err)
		}
		list.add(hba.Name(cmp.Or(a.Database, "postgres")), a.Name, slices.Concat(nodes, from))
	}
	for _, client := range c.Clients {
		from, err := networks(client.Addresses)
		switch {
		case client.User == "" || client.Database == "":
			return nil, fmt.Errorf("client %q of database %q: both names are needed", client.User, client.Database)
		case err != nil:
			return nil, fmt.Errorf("client %s: %w", client.User, err)
		}
		list.add(hba.Name(client.Database), client.User, from)
	}
	return list.records, list.err
}

// accessList collects records, each once.
type accessList struct {
	major   pgconf.Major
	method  hba.Method
	records []hba.Record
	err     error // the first one
}

func (l *accessList) add(database hba.Token, user string, from []hba.Token) {
	for _, address := range from {
		record := hba.Record{
			Type: hba.Host, Databases: []hba.Token{database}, Users: []hba.Token{hba.Name(user)},
			Address: address, Method: l.method,
		}
		if err := record.ValidateFor(l.major); err != nil {
			l.err = cmp.Or(l.err, err)
			continue
		}
		if !slices.ContainsFunc(l.records, record.Equal) {
			l.records = append(l.records, record)
		}
	}
}

// addresses are those from which nodes connect to others.
func addresses(nodes []Node) ([]hba.Token, error) {
	var all []hba.Token
	for _, n := range nodes {
		if len(n.From) > 0 {
			from, err := networks(n.From)
			if err != nil {
				return nil, fmt.Errorf("node %s: From: %w", n.ID, err)
			}
			all = append(all, from...)
			continue
		}
		if addr, err := netip.ParseAddr(n.Host); err == nil {
			all = append(all, hba.CIDR(netip.PrefixFrom(addr, addr.BitLen())))
			continue
		}
		all = append(all, hba.Name(n.Host))
	}
	return all, nil
}

// networks reads addresses in CIDR form.
func networks(texts []string) ([]hba.Token, error) {
	var all []hba.Token
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("address %q is not in CIDR form, such as 10.0.0.2/32", text)
		}
		all = append(all, hba.CIDR(prefix))
	}
	return all, nil
}
