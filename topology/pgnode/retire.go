package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/recovery"
)

// ErrRetired is matched by the error of [Node.Start] for a server that [Node.Retire] has put out of service.
var ErrRetired = errors.New("the server was retired")

// retiredMark is how the guard begins: a recovery.conf, beside which no server from 12 on starts. Up to 11 its last line is a parameter that
// there is not, with which no server starts either. So it holds whoever starts the server, at boot or by hand.
const retiredMark = "# understudy: this server was retired"

// retiredLine is a fault up to 11.
const retiredLine = "understudy_retired = 'yes'\n"

// Retirement says that a server must not start.
type Retirement struct {
	At     time.Time
	Reason string
}

// Retire makes sure that the server does not start again, by whomever, until [Node.Unretire]: after a failover the old primary must
// not come back by a boot. The guard lies in the data directory, so it also holds after a change of the manager; besides, the boot of the
// machine is told not to start it (start.conf of a Debian cluster becomes manual, a unit of systemd is disabled). A server that
// runs goes on running; see [Node.Fence]. Doing it again changes nothing. Up to 11, the settings of a standby stay in recovery.conf.
func (n *Node) Retire(ctx context.Context, at time.Time, reason string) error {
	if err := n.retire(ctx, at, reason); err != nil {
		return fmt.Errorf("retire server in %s: %w", n.cfg.DataDir, err)
	}
	return nil
}

func (n *Node) retire(ctx context.Context, at time.Time, reason string) error {
	_, retired, err := n.Retired(ctx)
	if err != nil {
		return err
	}
	if !retired {
		data, err := n.cfg.Host.ReadFile(ctx, n.guard())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(data) > 0 && !strings.HasSuffix(string(data), "\n") {
			data = append(data, '\n')
		}
		head := fmt.Sprintf("%s\n# at %s: %s\n# It does not start while these lines are here. Unretire removes them.\n",
			retiredMark, at.UTC().Format(time.RFC3339), strings.Join(strings.Fields(reason), " "))
		if err := n.cfg.Host.WriteFile(ctx, n.guard(), []byte(head+string(data)+retiredLine), 0o600); err != nil {
			return err
		}
	}
	return n.bootStarts(ctx, false)
}

// Retired tells whether the server was retired, when and why.
func (n *Node) Retired(ctx context.Context) (Retirement, bool, error) {
	data, err := n.cfg.Host.ReadFile(ctx, n.guard())
	if errors.Is(err, fs.ErrNotExist) {
		return Retirement{}, false, nil
	}
	if err != nil {
		return Retirement{}, false, err
	}
	lines := strings.SplitN(string(data), "\n", 4)
	if len(lines) < 4 || lines[0] != retiredMark {
		return Retirement{}, false, nil
	}
	when, why, _ := strings.Cut(strings.TrimPrefix(lines[1], "# at "), ": ")
	at, _ := time.Parse(time.RFC3339, when) // whoever edits it may spoil it
	return Retirement{at, why}, true, nil
}

// Unretire takes Retire back: what it wrote is removed, and the boot starts the server again if it did before. It starts nothing. On a
// server that was not retired it does nothing.
func (n *Node) Unretire(ctx context.Context) error {
	if err := n.unretire(ctx); err != nil {
		return fmt.Errorf("take server in %s back into service: %w", n.cfg.DataDir, err)
	}
	return nil
}

func (n *Node) unretire(ctx context.Context) error {
	_, retired, err := n.Retired(ctx)
	if err != nil || !retired {
		return err
	}
	// The guard goes last, so that an interruption leaves a retired server.
	if err := n.bootStarts(ctx, true); err != nil {
		return err
	}
	data, err := n.cfg.Host.ReadFile(ctx, n.guard())
	if err != nil {
		return err
	}
	kept := strings.TrimSuffix(strings.SplitN(string(data), "\n", 4)[3], retiredLine)
	if kept == "" {
		return n.cfg.Host.Remove(ctx, n.guard())
	}
	return n.cfg.Host.WriteFile(ctx, n.guard(), []byte(kept), 0o600)
}

func (n *Node) guard() string { return path.Join(n.cfg.DataDir, recovery.RecoveryConf) }

// checkRetired refuses to start a retired server.
func (n *Node) checkRetired(ctx context.Context) error {
	r, retired, err := n.Retired(ctx)
	if err != nil || !retired {
		return nil //nolint:nilerr // a server that cannot read its files says so itself
	}
	return fmt.Errorf("%w at %s: %s", ErrRetired, r.At.Format(time.RFC3339), r.Reason)
}

// bootStarts tells the manager whether to start the server at boot. Only what was changed is changed back.
func (n *Node) bootStarts(ctx context.Context, yes bool) error {
	switch d := n.driver.(type) {
	case pgCtlCluster:
		return n.editStartConf(ctx, yes)
	case systemd:
		return d.bootStarts(ctx, yes)
	}
	return nil
}

// unitMark is a file beside the data directory that says that Retire has disabled the unit.
func (n *Node) unitMark() string { return n.cfg.DataDir + ".unit-disabled" }

func (d systemd) bootStarts(ctx context.Context, yes bool) error {
	h, mark := d.n.cfg.Host, d.n.unitMark()
	if yes {
		there, err := h.Exists(ctx, mark)
		if err != nil || !there {
			return err
		}
		if err := d.systemctl(ctx, "enable", d.unit); err != nil {
			return err
		}
		return h.Remove(ctx, mark)
	}
	u, err := d.show(ctx)
	if err != nil || u.Boot != "enabled" {
		return err
	}
	if err := h.WriteFile(ctx, mark, []byte(d.unit+"\n"), 0o600); err != nil {
		return err
	}
	return d.systemctl(ctx, "disable", d.unit)
}

// startConfMark begins the line in start.conf that says what was there before.
const startConfMark = "# understudy: before the server was retired: "

// editStartConf changes auto to manual, and back. A missing file means auto. The keyword is the first line that is no comment.
func (n *Node) editStartConf(ctx context.Context, yes bool) error {
	name := path.Join(path.Dir(n.cfg.ConfigFile), "start.conf")
	data, err := n.cfg.Host.ReadFile(ctx, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var kept []string
	was, now := "", "auto"
	for line := range strings.Lines(string(data)) {
		word, _, _ := strings.Cut(line, "#")
		word = strings.TrimSpace(word)
		if old, marked := strings.CutPrefix(strings.TrimSpace(line), startConfMark); marked {
			was = old
			continue
		}
		if word != "" {
			now = word
			continue
		}
		kept = append(kept, line)
	}
	switch {
	case yes && was != "":
		kept = append(kept, was+"\n")
	case !yes && now == "auto":
		kept = append(kept, startConfMark+"auto\n", "manual\n")
	default:
		return nil
	}
	return n.cfg.Host.WriteFile(ctx, name, []byte(strings.Join(kept, "")), 0o644)
}
