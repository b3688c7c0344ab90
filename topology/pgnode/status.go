package pgnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology/host"
)

// State is what a server does, as far as processes and files tell without asking it.
type State string

// The states. StateUnknown is not StateStopped: who wants to change the data must take it for running.
const (
	StateUnknown  State = "unknown"
	StatePrimary  State = "primary"  // it accepts connections and is not in recovery
	StateStandby  State = "standby"  // it is in recovery, and accepts read-only connections or none
	StateStarting State = "starting" // it replays its own WAL, or what a backup needs, before it accepts connections
	StateStopping State = "stopping"
	StateStopped  State = "stopped" // certainly
)

// Status is the state of a server, and what it rests on.
type Status struct {
	State   State
	PID     int       // of the postmaster, 0 for none
	PIDs    []int     // of all processes that are known
	Since   time.Time // when the postmaster started, whole seconds; zero for none
	Port    int       // that it listens on, 0 for none
	Unit    *Unit     // what systemd says, nil without it
	Problem error     // of StateUnknown: a *DoubtError, an unreadable file and so on

	Evidence []string // each one a sentence without a full stop
}

// String returns the state and the evidence.
func (s Status) String() string { return string(s.State) + " (" + strings.Join(s.Evidence, "; ") + ")" }

func (s *Status) say(format string, args ...any) {
	s.Evidence = append(s.Evidence, fmt.Sprintf(format, args...))
}

// Status tells the state of the server by its processes first: no pid file that was left behind, no number that another process has by now,
// no process that is dead and was not waited for makes it run. The postmaster's own word (line 8 of postmaster.pid, 10+) and the
// control file tell the rest. The error is for a machine that does not answer.
func (n *Node) Status(ctx context.Context) (Status, error) {
	var s Status
	pids, err := n.Processes(ctx)
	var doubt *DoubtError
	switch {
	case errors.As(err, &doubt):
		s.PIDs = pids
		s.unknown(err)
		return s, nil
	case err != nil:
		return s, err
	}
	s.PIDs = pids
	n.readPidFile(ctx, &s)
	if s.State == "" {
		n.readControl(ctx, &s)
	}
	err = n.askManager(ctx, &s)
	return s, err
}

func (s *Status) unknown(err error) {
	s.State, s.Problem = StateUnknown, err
	s.say("%v", err)
}

// readPidFile compares postmaster.pid with the processes. The state stays empty where the control file tells.
func (n *Node) readPidFile(ctx context.Context, s *Status) {
	data, err := n.cfg.Host.ReadFile(ctx, n.pidFile())
	absent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent && len(s.PIDs) > 0 {
		s.unknown(fmt.Errorf("read postmaster.pid: %w", err))
		return
	}
	var p datadir.Postmaster
	if err == nil {
		p, err = datadir.ParsePostmaster(n.pidFile(), data)
	}
	switch {
	case len(s.PIDs) == 0:
		s.State = StateStopped
		s.say("no process works in %s", n.cfg.DataDir)
		if p.PID != 0 {
			s.say("postmaster.pid is stale, the process %d that it names is none of the server's", p.PID)
		}
	case absent:
		s.unknown(fmt.Errorf("processes %v run without a postmaster.pid", s.PIDs))
	case err != nil:
		s.State = StateStarting // the file is written line by line
		s.say("processes %v run, and %v", s.PIDs, err)
	case !slices.Contains(s.PIDs, p.PID):
		s.unknown(fmt.Errorf("postmaster.pid names process %d, which is none of the server's processes %v", p.PID, s.PIDs))
	default:
		s.PID, s.Since, s.Port = p.PID, p.StartTime, p.Port
		s.say("postmaster %d says %q", p.PID, cmp.Or(string(p.Status), "nothing"))
		s.State = map[datadir.Status]State{
			datadir.StatusStarting: StateStarting, datadir.StatusStopping: StateStopping, datadir.StatusStandby: StateStandby,
		}[p.Status]
	}
}

// readControl tells a primary from a standby: both say that they are ready.
func (n *Node) readControl(ctx context.Context, s *Status) {
	control, err := n.Control(ctx)
	if err != nil {
		s.unknown(err)
		return
	}
	s.say("its control file says %q", control.State)
	switch control.State {
	case datadir.StateInProduction:
		s.State = StatePrimary
	case datadir.StateInArchiveRecovery:
		s.State = StateStandby
	default:
		s.State = StateStarting
	}
}

// askManager compares with what the manager says. The processes are right, but a manager that means another server is no good to
// start or stop this one.
func (n *Node) askManager(ctx context.Context, s *Status) error {
	switch d := n.driver.(type) {
	case systemd:
		u, err := d.show(ctx)
		if err != nil {
			return err
		}
		s.Unit = &u
		s.say("%v", u)
		if u.MainPID != 0 && s.PID != 0 && u.MainPID != s.PID {
			s.unknown(fmt.Errorf("%v has process %d, and the server is process %d: the unit is of another server, or it was started without it", u, u.MainPID, s.PID))
		}
	case userCommands:
		there, err := d.run(ctx, "status")
		if !there {
			return nil
		}
		var exit *host.ExitError
		if err != nil && !errors.As(err, &exit) {
			return err
		}
		runs := err == nil
		s.say("the status command says that it %s", map[bool]string{true: "runs", false: "does not run"}[runs])
		if runs && s.State == StateStopped {
			s.unknown(errors.New("the status command says that the server runs, but no process of it is to be seen"))
		}
	}
	return nil
}
