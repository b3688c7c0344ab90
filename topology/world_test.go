package topology_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// world is a model of the machines of a cluster, on which the steps of a plan are done. It is what a plan may count on: the
// doc comments of the actions, and how servers take up their files.
type world struct {
	c       topology.Cluster
	major   pgconf.Major
	servers map[topology.NodeID]*server
	lacking []topology.AccountUse
}

type server struct {
	exists, running, primary bool
	unreachable              bool // its machine cannot be looked at, and it does not answer
	timeline                 uint32
	systemID                 uint64

	files    map[string]pgconf.EffectiveSetting
	effect   map[string]string // of a running server
	hba      []byte
	passfile bool
	follow   recovery.Config // its files; a standby's
	live     recovery.Config // in effect
	slots    map[string]bool
}

func newWorld(c topology.Cluster, major pgconf.Major) *world {
	w := &world{c: c, major: major, servers: map[topology.NodeID]*server{}}
	w.enrol()
	return w
}

// enrol adds machines for nodes that are new in the description.
func (w *world) enrol() {
	for _, n := range w.c.Nodes {
		if w.servers[n.ID] == nil && !n.Witness {
			w.servers[n.ID] = &server{timeline: 1, systemID: 7}
		}
	}
}

// blank is a data directory as initdb makes it.
func (s *server) blank() {
	s.exists = true
	s.files = map[string]pgconf.EffectiveSetting{}
	s.hba = []byte("local all all peer\n")
	s.slots = map[string]bool{}
}

func (s *server) write(name, value string) {
	s.files[name] = pgconf.EffectiveSetting{Setting: pgconf.Setting{Name: name, Value: value, File: "/etc/postgresql.conf", Line: 1}}
}

// value is what the files say of a parameter.
func (w *world) value(s *server, name string) string {
	if set, ok := s.files[name]; ok {
		return set.Value
	}
	p, _ := guc.Lookup(w.major, name)
	return p.Default
}

// names are the parameters of which a server says what is in effect.
func (w *world) names(s *server) []string {
	return slices.Concat(topology.WatchedParameters(), slices.Collect(maps.Keys(s.files)))
}

// load makes a running server take up its files, all of them when it starts.
func (w *world) load(s *server, starts bool) {
	if starts {
		s.running, s.live, s.effect = true, s.follow, map[string]string{}
	}
	for _, name := range w.names(s) {
		p, ok := guc.Lookup(w.major, name)
		if ok && (starts || p.Context.Action() != guc.Restart) {
			s.effect[name] = w.value(s, name)
		}
	}
	if !starts && w.major >= 14 {
		s.live = s.follow
	}
	if !starts && w.major >= 12 && w.major < 14 {
		restore := s.live.RestoreCommand
		conn, slot := s.live.PrimaryConninfo, s.live.PrimarySlotName
		s.live = s.follow
		s.live.RestoreCommand = restore
		if w.major < 13 {
			s.live.PrimaryConninfo, s.live.PrimarySlotName = conn, slot
		}
	}
}

// upstream is the server that a standby streams from, if it does.
func (w *world) upstream(id topology.NodeID) (topology.NodeID, bool) {
	s := w.servers[id]
	if !s.running || s.primary || len(s.live.PrimaryConninfo.Keys()) == 0 {
		return "", false
	}
	host, _ := s.live.PrimaryConninfo.Get("host")
	up := w.servers[topology.NodeID(host)]
	if up == nil || !up.running || s.live.PrimarySlotName != "" && !up.slots[s.live.PrimarySlotName] {
		return "", false
	}
	return topology.NodeID(host), true
}

// primary is the server that accepts writes.
func (w *world) primary() (topology.NodeID, *server) {
	for id, s := range w.servers {
		if s.running && s.primary {
			return id, s
		}
	}
	return "", nil
}

// streaming are the standbys directly below the primary.
func (w *world) streaming() []string {
	var names []string
	top, _ := w.primary()
	for _, id := range slices.Sorted(maps.Keys(w.servers)) {
		if up, ok := w.upstream(id); ok && up == top {
			names = append(names, string(id))
		}
	}
	return names
}

func (w *world) observe() topology.Observed {
	o := topology.Observed{Lacking: w.lacking}
	for _, id := range slices.Sorted(maps.Keys(w.servers)) {
		o.Inspections = append(o.Inspections, w.inspect(id))
		o.Status.Nodes = append(o.Status.Nodes, w.ask(id))
	}
	return o
}

var errAway = errors.New("no route to host")

func (w *world) inspect(id topology.NodeID) topology.Inspection {
	s := w.servers[id]
	i := topology.Inspection{Node: id, At: time.Unix(1, 0), Major: w.major, Processes: topology.Stopped, Passfile: s.passfile}
	if s.unreachable {
		return topology.Inspection{Node: id, At: i.At, Err: errAway}
	}
	if s.running {
		i.Processes = topology.Running
	}
	if !s.exists {
		return i
	}
	i.Exists, i.Settings, i.HBA, i.HBAFile = true, maps.Clone(s.files), slices.Clone(s.hba), "/etc/pg_hba.conf"
	i.Control = datadir.Control{
		CheckpointTimeline: wal.Timeline(s.timeline), SystemID: wal.SystemID(s.systemID), State: datadir.StateInProduction,
	}
	i.Start = recovery.Start{Major: w.major, Outcome: recovery.StartsPrimary}
	if !s.primary {
		i.Control.State = datadir.StateInArchiveRecovery
		i.Start.Outcome, i.Start.Config = recovery.StartsStandby, s.follow.WithDefaults(w.major)
	}
	return i
}

func (w *world) ask(id topology.NodeID) topology.Observation {
	s := w.servers[id]
	if s.unreachable || !s.running {
		return topology.Observation{Node: id, Err: errAway}
	}
	o := topology.Observation{
		Node: id, InRecovery: !s.primary, Timeline: wal.Timeline(s.timeline), SyncNames: s.effect["synchronous_standby_names"],
		Parameters: map[string]topology.Parameter{},
	}
	for _, name := range w.names(s) {
		value, known := s.effect[name]
		pending := value != w.value(s, name)
		switch {
		case known && slices.Contains(topology.WatchedParameters(), name):
			o.Parameters[name] = topology.Parameter{Value: value, Source: "configuration file", Pending: pending}
		case pending:
			o.Parameters[name] = topology.Parameter{Pending: true}
		}
	}
	if up, ok := w.upstream(id); ok {
		host, port := w.address(up)
		o.Receiver = &topology.Receiver{Status: "streaming", Host: host, Port: port, Slot: s.live.PrimarySlotName}
	}
	used := map[string]bool{}
	for _, below := range slices.Sorted(maps.Keys(w.servers)) {
		if up, ok := w.upstream(below); ok && up == id {
			o.Senders = append(o.Senders, topology.Sender{Name: string(below), State: "streaming"})
			used[w.servers[below].live.PrimarySlotName] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.slots)) {
		o.Slots = append(o.Slots, topology.Slot{Name: name, Active: used[name]})
	}
	return o
}

func (w *world) address(id topology.NodeID) (string, int) {
	if n, ok := w.c.Node(id); ok {
		return n.Address()
	}
	return string(id), 5432
}

// do does a step as its doc comment says, or says why that cannot be.
func (w *world) do(step topology.Step) error {
	s := w.servers[step.Node]
	if s.unreachable {
		return errors.New("its machine is not to be reached")
	}
	switch a := step.Action.(type) {
	case topology.Set:
		for _, c := range a.Changes {
			if have, ok := s.files[c.Name]; ok && have.Origin == pgconf.FromAutoConf && !c.Overrule {
				return fmt.Errorf("postgresql.auto.conf overrules %s, and the step does not say so", c.Name)
			}
			s.write(c.Name, c.Value)
		}
	case topology.Allow:
		return s.allow(a, w.major)
	case topology.WritePassfile:
		s.passfile = true
	case topology.EnsureAccount:
		if top, _ := w.primary(); top != step.Node {
			return errors.New("accounts are made on the primary")
		}
		w.lacking = slices.DeleteFunc(w.lacking, func(u topology.AccountUse) bool { return u == a.Use })
	case topology.Follow:
		if s.primary {
			return errors.New("what was a primary is made a standby")
		}
		s.follow = a.Recovery
	case topology.CreateSlot:
		if !s.running {
			return errors.New("a server that is stopped makes no slot")
		}
		s.slots[a.Name] = true
	case topology.DropSlot:
		return w.drop(s, step.Node, a.Name)
	case topology.Reload:
		if !s.running {
			return errors.New("a server that is stopped reads nothing")
		}
		w.load(s, false)
	case topology.Restart:
		if !s.running {
			return errors.New("it is stopped")
		}
		w.load(s, true)
		return w.enoughResources()
	case topology.Start:
		if s.running {
			return errors.New("it runs")
		}
		w.load(s, true)
		return w.enoughResources()
	case topology.Clone:
		return w.clone(s, step.Node, a.From)
	case topology.Initialise:
		return w.initialise(s, step.Node)
	case topology.AwaitStreaming:
		up, ok := w.upstream(step.Node)
		if !s.running || up != a.Upstream || ok != (a.Upstream != "") {
			return fmt.Errorf("it will never stream from %q: it streams from %q", a.Upstream, up)
		}
	case topology.SetSync:
		return w.setSync(s, a)
	}
	return nil
}

func (s *server) allow(a topology.Allow, major pgconf.Major) error {
	file, err := hba.ParseFor("pg_hba.conf", s.hba, major)
	if err != nil {
		return err
	}
	for _, r := range a.Add {
		if _, err := file.EnsureRule(r, hba.EnsureConfig{}); err != nil {
			return err
		}
	}
	s.hba = file.Bytes()
	return nil
}

func (w *world) drop(s *server, on topology.NodeID, name string) error {
	for id, other := range w.servers {
		if up, ok := w.upstream(id); ok && up == on && other.live.PrimarySlotName == name {
			return fmt.Errorf("the slot is in use by %s", id)
		}
	}
	if !s.slots[name] {
		return errors.New("there is no such slot")
	}
	delete(s.slots, name)
	return nil
}

func (w *world) clone(s *server, id, from topology.NodeID) error {
	if s.exists {
		return errors.New("it has data")
	}
	if up := w.servers[from]; up == nil || !up.running {
		return fmt.Errorf("%s, to be cloned from, does not run", from)
	}
	cfg, err := w.c.Render(id, w.major)
	if err != nil {
		return err
	}
	s.blank()
	s.systemID, s.timeline = w.servers[from].systemID, w.servers[from].timeline
	for name, value := range cfg.Values() {
		s.write(name, value)
	}
	s.follow = *cfg.Recovery
	if err := s.allow(topology.Allow{Add: cfg.Access}, w.major); err != nil {
		return err
	}
	w.load(s, true)
	return w.enoughResources()
}

func (w *world) initialise(s *server, id topology.NodeID) error {
	for other, o := range w.servers {
		if o.exists || o.unreachable {
			return fmt.Errorf("%s has data, or is not known to have none", other)
		}
	}
	cfg, err := w.c.Render(id, w.major)
	if err != nil {
		return err
	}
	s.blank()
	s.primary = true
	for name, value := range cfg.Values() {
		if name != "synchronous_standby_names" {
			s.write(name, value)
		}
	}
	w.lacking = []topology.AccountUse{topology.ForReplication, topology.ForMonitoring}
	return s.allow(topology.Allow{Add: cfg.Access}, w.major)
}

// setSync refuses to let commits wait for standbys that are not there.
func (w *world) setSync(s *server, a topology.SetSync) error {
	to, err := guc.ParseSyncNames(w.major, a.To)
	if err != nil {
		return err
	}
	there := 0
	for _, name := range w.streaming() {
		if to.Lists(name) {
			there++
		}
	}
	if !s.running || !s.primary || there < to.Num {
		return fmt.Errorf("commits would wait for %d and only %d are there: %q", to.Num, there, w.streaming())
	}
	s.write("synchronous_standby_names", a.To)
	w.load(s, false)
	return nil
}

// enoughResources is what a standby checks against its primary. A plan cannot spare a standby that nobody can look at.
func (w *world) enoughResources() error {
	_, top := w.primary()
	for id, s := range w.servers {
		if _, described := w.c.Node(id); top == nil || !s.running || s.primary || s.unreachable || !described {
			continue
		}
		for _, name := range []string{"max_connections", "max_wal_senders", "max_worker_processes"} {
			have, err1 := guc.Parse(w.major, name, s.effect[name])
			need, err2 := guc.Parse(w.major, name, top.effect[name])
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			a, _ := have.Number()
			b, _ := need.Number()
			if a < b {
				return fmt.Errorf("%s has a lower %s (%g) than the primary (%g)", id, name, a, b)
			}
		}
	}
	return nil
}

// promise is for how many standbys commits wait, and how many of them are there.
func (w *world) promise() (number, there int) {
	_, top := w.primary()
	if top == nil {
		return 0, 0
	}
	s, err := guc.ParseSyncNames(w.major, top.effect["synchronous_standby_names"])
	if err != nil {
		return 0, 0
	}
	for _, name := range w.streaming() {
		if s.Lists(name) {
			there++
		}
	}
	return s.Num, there
}

// text draws the world, for failures.
func (w *world) text() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(w.servers)) {
		s := w.servers[id]
		up, _ := w.upstream(id)
		fmt.Fprintf(&b, "%s exists=%t running=%t primary=%t away=%t streams from %q slots %v sync %q\n", id, s.exists, s.running, s.primary,
			s.unreachable, up, slices.Sorted(maps.Keys(s.slots)), s.effect["synchronous_standby_names"])
	}
	return b.String()
}
