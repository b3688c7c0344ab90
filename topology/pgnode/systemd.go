package pgnode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/topology/host"
)

// systemd drives a server that is a unit of systemd. Starting and stopping is the unit's; reload and promotion are signals, for which
// the owner of the server needs no privilege.
type systemd struct {
	pgCtl
	unit string
}

// systemctlScript runs systemctl by sudo where sudoers(5) lets the user do that without a password, else directly.
const systemctlScript = `if [ "$(id -u)" != 0 ] && sudo -n -l systemctl "$@" >/dev/null 2>&1; then
	exec sudo -n systemctl "$@"
fi
exec systemctl "$@"`

func (d systemd) systemctl(ctx context.Context, args ...string) error {
	args = append([]string{"-c", systemctlScript, "systemctl", "--no-ask-password"}, args...)
	_, err := d.n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: args, Env: []string{"LC_ALL=C"}})
	var exit *host.ExitError
	if errors.As(err, &exit) {
		return &host.ExitError{Host: exit.Host, Command: "systemctl", Code: exit.Code, Stderr: exit.Stderr}
	}
	return err
}

func (d systemd) start(ctx context.Context) error {
	// After a few failures a unit may not be started for a while, unless somebody resets their number.
	_ = d.systemctl(ctx, "reset-failed", d.unit)
	return d.systemctl(ctx, "start", d.unit)
}

func (d systemd) restart(ctx context.Context) error {
	_ = d.systemctl(ctx, "reset-failed", d.unit)
	return d.systemctl(ctx, "restart", d.unit)
}

// stop stops the unit, which stops the server fast as a rule. An immediate stop needs a signal as well, which must not come first: systemd
// would take the end of the server for a crash and start it again. A smart one ends with the server's own exit, after which the unit
// may start it again; the caller then stops it fast.
func (d systemd) stop(ctx context.Context, mode StopMode) error {
	switch mode {
	case StopSmart:
		return d.pgCtl.run(ctx, "stop", "-W", "-m", string(mode))
	case StopImmediate:
		if err := d.release(ctx); err != nil {
			return err
		}
		return d.pgCtl.stop(ctx, mode)
	default:
		return d.systemctl(ctx, "stop", d.unit)
	}
}

// release needs no right to stop the unit if systemd would not start it again.
func (d systemd) release(ctx context.Context) error {
	err := d.systemctl(ctx, "stop", "--no-block", d.unit)
	if err == nil {
		return nil
	}
	if u, showErr := d.show(ctx); showErr == nil && (!u.Loaded || u.Restart == "no") {
		return nil
	}
	return err
}

// released is nothing only once the unit has come to its end: a stopped unit is not started again by systemd, one whose server was
// killed is as Restart= says.
func (d systemd) released(ctx context.Context) (string, error) {
	u, err := d.show(ctx)
	switch {
	case err != nil:
		return "", err
	case !u.Loaded || u.Active == "inactive" || u.Active == "failed":
		return "", nil
	}
	return "it is " + u.String(), nil
}

// Unit is what systemd says of a unit.
type Unit struct {
	Name    string
	Loaded  bool   // systemd has a file of that name
	Active  string // ActiveState: active, activating, deactivating, inactive, failed, reloading
	Sub     string // SubState: running, dead, auto-restart and more
	Result  string // why it failed, as "exit-code" or "timeout"
	Restart string // when systemd starts it again by itself: "no", "on-failure", "always" and more
	Boot    string // UnitFileState: enabled, disabled, static, masked and more
	MainPID int    // 0 for none
}

// String returns "unit postgresql-17.service: activating (auto-restart)".
func (u Unit) String() string {
	if !u.Loaded {
		return "unit " + u.Name + ": not found"
	}
	text := fmt.Sprintf("unit %s: %s (%s)", u.Name, u.Active, u.Sub)
	if u.Active == "failed" && u.Result != "" {
		text += ", " + u.Result
	}
	return text
}

// unitProperties are what show asks for.
var unitProperties = []string{"LoadState", "ActiveState", "SubState", "Result", "Restart", "UnitFileState", "MainPID"}

// show asks systemd for the unit, which everybody may. Exit codes of `systemctl status` mean too many things to be used.
func (d systemd) show(ctx context.Context) (Unit, error) {
	r, err := d.n.cfg.Host.Run(ctx, host.Cmd{
		Path: "systemctl", Args: []string{"show", "-p", strings.Join(unitProperties, ","), d.unit}, Env: []string{"LC_ALL=C"},
	})
	if err != nil {
		return Unit{}, err
	}
	return parseUnit(d.unit, string(r.Stdout))
}

func parseUnit(name, text string) (Unit, error) {
	u := Unit{Name: name}
	seen := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if found && slices.Contains(unitProperties, key) {
			seen[key] = value
		}
	}
	if seen["LoadState"] == "" || seen["ActiveState"] == "" {
		return u, fmt.Errorf("systemctl show %s does not tell LoadState and ActiveState", name)
	}
	u.Loaded = seen["LoadState"] != "not-found"
	u.Active, u.Sub, u.Result = seen["ActiveState"], seen["SubState"], seen["Result"]
	u.Restart, u.Boot = seen["Restart"], seen["UnitFileState"]
	u.MainPID, _ = strconv.Atoi(seen["MainPID"]) // a unit without one says 0
	return u, nil
}
