package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// Replication is how the nodes of a cluster reach each other and share an archive.
type Replication struct {
	// User is the role with which standbys stream and clones are made. It needs LOGIN and REPLICATION, nothing else.
	User string

	// Secret is where its password is to be found, for writing Passfile. Empty means that Passfile is the user's business.
	Secret SecretRef

	// Conninfo are further connection parameters: sslmode, sslrootcert and the like.
	Conninfo map[string]string

	// Passfile is the libpq password file on each node, readable by the server's OS user alone. Passwords stay out of the
	// configuration and of process lists.
	Passfile string

	// ArchiveCommand is the archive_command of every node (%p and %f). It runs on whichever node is the primary. Empty
	// means no archive.
	ArchiveCommand string
}

// NodeSettings returns what postgresql.conf of node id must say, for a server of the given major (10 or later). They are the
// same whether the node is primary or standby, so that a promotion changes no file: what a node needs as a primary is in
// place before it becomes one. Of these, archive_mode, cluster_name, hot_standby, max_replication_slots, max_wal_senders,
// port, wal_level and wal_log_hints need a restart when they change, the others a reload.
func (c Cluster) NodeSettings(id NodeID, major int, r Replication) (map[string]string, error) {
	n, ok := c.Node(id)
	if !ok {
		return nil, fmt.Errorf("node %q is not in cluster %q", id, c.Name)
	}
	if major < 10 {
		return nil, fmt.Errorf("PostgreSQL %d: settings are known from 10 on", major)
	}
	_, port := n.Address()
	settings := map[string]string{
		"port":                      strconv.Itoa(port),
		"cluster_name":              string(n.ID),
		"wal_level":                 "replica",
		"hot_standby":               "on",
		"wal_log_hints":             "on", // so that pg_rewind can take the node back
		"max_wal_senders":           strconv.Itoa(c.senders()),
		"max_replication_slots":     strconv.Itoa(c.senders()),
		"password_encryption":       "scram-sha-256",
		"synchronous_commit":        "on",
		"synchronous_standby_names": SyncStandbyNames(1, c.SyncNames(id)),
	}
	keep := "wal_keep_size"
	amount := "256MB"
	if major < 13 {
		keep, amount = "wal_keep_segments", "16" // of 16 MB, the default segment size
	}
	settings[keep] = amount
	if r.ArchiveCommand != "" {
		settings["archive_mode"] = "on"
		settings["archive_command"] = r.ArchiveCommand
		settings["archive_timeout"] = "60s"
	}
	return settings, nil
}

// senders is the number of WAL senders a node may need: every other node, each with a second connection while it is
// cloned, and two to spare. All nodes get the same, because a standby must not have fewer than its primary.
func (c Cluster) senders() int { return max(10, 2*len(c.Nodes)+2) }

// SyncStandbyNames renders synchronous_standby_names so that the primary waits for the first n of names that are
// connected, in that order; n below 1 counts as 1, because the server knows no less. With fewer names than n every commit waits
// for ever. No names give the empty string: commits wait for nobody. Names are quoted, which every major accepts; the server
// compares them without regard to case.
func SyncStandbyNames(n int, names []NodeID) string {
	if len(names) == 0 {
		return ""
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + strings.ReplaceAll(string(name), `"`, `""`) + `"`
	}
	return "FIRST " + strconv.Itoa(max(n, 1)) + " (" + strings.Join(quoted, ", ") + ")"
}

// UpstreamConninfo returns primary_conninfo for node id: how it reaches its upstream, under its own name. An empty Passfile is
// left out; libpq then looks in the home directory of the server's OS user.
func (c Cluster) UpstreamConninfo(id NodeID, r Replication) (conninfo.Info, error) {
	n, ok := c.Node(id)
	if !ok {
		return conninfo.Info{}, fmt.Errorf("node %q is not in cluster %q", id, c.Name)
	}
	up, ok := c.Upstream(id)
	if !ok {
		return conninfo.Info{}, fmt.Errorf("node %s has no upstream", id)
	}
	if r.User == "" {
		return conninfo.Info{}, errNoUser
	}
	host, port := up.Address()
	info := new(conninfo.Info).With("host", host).With("port", strconv.Itoa(port)).With("user", r.User)
	if r.Passfile != "" {
		info = info.With("passfile", r.Passfile)
	}
	return info.With("application_name", string(n.ID)).With("connect_timeout", "5"), nil
}

var errNoUser = errors.New("Replication.User is empty")

// Client is who may connect to which database from where.
type Client struct {
	User      string
	Database  string
	Addresses []string // in CIDR form
}

// Access returns the records of pg_hba.conf that every node needs: the replication role from the addresses of its peers (all
// of them, since any node may become the upstream of any other), and the clients. Everyone authenticates with
// SCRAM-SHA-256; who is not listed is refused, and there is no rule for the Unix socket. Names are names and nothing else: a
// client called all is a role of that name. Peers are addresses in CIDR form; one that stands there twice gives one record.
func Access(r Replication, peers []string, clients []Client) ([]hba.Record, error) {
	if r.User == "" {
		return nil, errNoUser
	}
	var records []hba.Record
	add := func(database hba.Token, user string, addresses []string) error {
		for _, address := range addresses {
			prefix, err := netip.ParsePrefix(address)
			if err != nil {
				return fmt.Errorf("address %q for %s is not in CIDR form, such as 10.0.0.2/32: %w", address, user, err)
			}
			record := hba.Record{
				Type: hba.Host, Databases: []hba.Token{database}, Users: []hba.Token{hba.Name(user)},
				Address: hba.CIDR(prefix), Method: hba.ScramSHA256,
			}
			if err := record.Validate(); err != nil {
				return err
			}
			if !slices.ContainsFunc(records, record.Equal) {
				records = append(records, record)
			}
		}
		return nil
	}
	if err := add(hba.Replication, r.User, peers); err != nil {
		return nil, err
	}
	for _, c := range clients {
		if c.User == "" || c.Database == "" {
			return nil, fmt.Errorf("client %q of database %q: both names are needed", c.User, c.Database)
		}
		if err := add(hba.Name(c.Database), c.User, c.Addresses); err != nil {
			return nil, err
		}
	}
	return records, nil
}
