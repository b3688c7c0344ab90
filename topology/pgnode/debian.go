package pgnode

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/topology/host"
)

// DebianCluster is what pg_lsclusters says of a cluster.
type DebianCluster struct {
	Version string // "15", "9.6"
	Name    string
	Port    int
	Online  bool

	// Remarks are what follows online or down: recovery, binaries_missing, the name of a supervisor. recovery says that a file of a
	// standby is there, and nothing of what the server does.
	Remarks []string

	Owner   string
	DataDir string
	LogFile string // with more destinations than one, as log_destination has them
}

// String returns "15/main".
func (c DebianCluster) String() string { return c.Version + "/" + c.Name }

// ParseClusters reads the table that pg_lsclusters prints. Its columns begin where their titles do, so paths may have blanks. What
// is not such a table is an error that names the line.
func ParseClusters(text string) ([]DebianCluster, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var at []int
	rest := 0
	for _, title := range []string{"Ver ", "Cluster ", "Port ", "Status ", "Owner ", "Data directory ", "Log file"} {
		i := strings.Index(lines[0][rest:], title)
		if i < 0 || len(at) == 0 && i > 0 {
			return nil, fmt.Errorf("pg_lsclusters: line 1: %q is not its head", lines[0])
		}
		at = append(at, rest+i)
		rest += i
	}
	var all []DebianCluster
	for i, line := range lines[1:] {
		c, ok := parseCluster(line, at)
		if !ok {
			return nil, fmt.Errorf("pg_lsclusters: line %d: %q does not fit its head", i+2, line)
		}
		all = append(all, c)
	}
	return all, nil
}

// parseCluster reads a line whose columns begin at the given places.
func parseCluster(line string, at []int) (DebianCluster, bool) {
	column := make([]string, len(at))
	for i, from := range at {
		to := len(line)
		if i+1 < len(at) {
			to = at[i+1]
		}
		if from > len(line) || to > len(line) || i > 0 && line[from-1] != ' ' {
			return DebianCluster{}, false
		}
		column[i] = strings.TrimRight(line[from:to], " ")
	}
	words := strings.Split(column[3], ",")
	port, err := strconv.Atoi(column[2])
	if err != nil && column[2] != "<unknown>" {
		return DebianCluster{}, false
	}
	known := func(s string) string {
		if s == "<unknown>" {
			return ""
		}
		return s
	}
	c := DebianCluster{
		Version: column[0], Name: column[1], Port: port, Online: words[0] == "online", Remarks: words[1:],
		Owner: known(column[4]), DataDir: known(column[5]), LogFile: known(column[6]),
	}
	_, _, err = splitCluster(c.String())
	return c, err == nil && (words[0] == "online" || words[0] == "down")
}

// Clusters lists the Debian clusters of a machine.
func Clusters(ctx context.Context, h host.Host) ([]DebianCluster, error) {
	return clusters(ctx, h)
}

func clusters(ctx context.Context, h host.Host, args ...string) ([]DebianCluster, error) {
	r, err := h.Run(ctx, host.Cmd{Path: "pg_lsclusters", Args: args, Env: []string{"LC_ALL=C"}})
	if err != nil {
		return nil, err
	}
	return ParseClusters(string(r.Stdout))
}

// clusterName is what pg_ctlcluster takes, without a dash, at which other tools of postgresql-common part it.
var clusterName = regexp.MustCompile(`^(\d+|\d+\.\d+)/([A-Za-z0-9_][A-Za-z0-9_.]*)$`)

func splitCluster(cluster string) (version, name string, err error) {
	m := clusterName.FindStringSubmatch(cluster)
	if m == nil {
		return "", "", fmt.Errorf("Cluster %q is not of the form 17/main, with letters, digits, _ and . in the name", cluster)
	}
	return m[1], m[2], nil
}

// complete asks the machine for the places of a Debian cluster.
func (cfg *Config) complete(ctx context.Context) error {
	version, name, err := splitCluster(cfg.Cluster)
	if err != nil {
		return err
	}
	found := DebianCluster{
		DataDir: path.Join("/var/lib/postgresql", cfg.Cluster),
		LogFile: fmt.Sprintf("/var/log/postgresql/postgresql-%s-%s.log", version, name),
	}
	list, err := clusters(ctx, cfg.Host)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.String() == cfg.Cluster {
			found = c
		}
	}
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&cfg.BinDir, path.Join("/usr/lib/postgresql", version, "bin"))
	set(&cfg.DataDir, found.DataDir)
	set(&cfg.ConfigFile, path.Join("/etc/postgresql", cfg.Cluster, "postgresql.conf"))
	if path.IsAbs(found.LogFile) && !strings.ContainsAny(found.LogFile, ",%") {
		set(&cfg.LogFile, found.LogFile)
	}
	if cfg.DataDir == "" {
		return errors.New("pg_lsclusters does not know its data directory")
	}
	return nil
}

// pgCtlCluster drives a Debian cluster. Of the exit codes of pg_ctlcluster, 2 says that there was nothing to do.
type pgCtlCluster struct {
	pgCtl
	version, name string
}

const nothingToDo = 2

func (d pgCtlCluster) run(ctx context.Context, action string, args ...string) error {
	_, err := d.n.cfg.Host.Run(ctx, host.Cmd{
		Path: "pg_ctlcluster", Args: append(args, d.version, d.name, action), Env: []string{"LC_ALL=C"},
	})
	var exit *host.ExitError
	if action == "stop" && errors.As(err, &exit) && exit.Code == nothingToDo {
		return nil
	}
	return err
}

func (d pgCtlCluster) start(ctx context.Context) error   { return d.run(ctx, "start") }
func (d pgCtlCluster) restart(ctx context.Context) error { return d.run(ctx, "restart") }
func (d pgCtlCluster) reload(ctx context.Context) error  { return d.run(ctx, "reload") }
func (d pgCtlCluster) promote(ctx context.Context) error { return d.run(ctx, "promote") }

func (d pgCtlCluster) stop(ctx context.Context, mode StopMode) error {
	return d.run(ctx, "stop", "-m", string(mode))
}

// createCluster makes the cluster with pg_createcluster, which starts initdb. It does not start, and is not started at boot unless
// somebody says so.
func (n *Node) createCluster(ctx context.Context, cfg InitConfig, initdb []string) error {
	version, name, err := splitCluster(n.cfg.Cluster)
	if err != nil {
		return err
	}
	if _, err := pgconf.ParseMajor(version); err != nil {
		return err
	}
	args := []string{"-d", n.cfg.DataDir, "--start-conf", "auto"}
	if cfg.Port != 0 {
		args = append(args, "-p", strconv.Itoa(cfg.Port))
	}
	args = append(append(args, version, name, "--"), initdb...)
	_, err = n.cfg.Host.Run(ctx, host.Cmd{Path: "pg_createcluster", Args: args, Env: []string{"LC_ALL=C"}})
	return err
}
