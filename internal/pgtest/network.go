package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/understudy-ha/understudy/topology/host"
)

// netFaults is what is wrong with a machine's network. Each fault acts on what arrives at the machine, except latency, which
// acts on what it sends.
type netFaults struct {
	unplugged bool
	drop      map[*Node]bool // all packets from there
	refuse    map[*Node]bool // packets of connections that were opened there
	loss      float64
	latency   time.Duration
}

// Disconnect pulls the machine's cable: it reaches nobody, and nobody reaches it, the test process included. Its interface is
// gone, so sending fails at once, while others get no answer.
func (n *Node) Disconnect(t testing.TB) {
	t.Helper()
	_, err := n.cluster.cli.NetworkDisconnect(t.Context(), n.cluster.network.ID, client.NetworkDisconnectOptions{Container: n.id})
	if err != nil {
		t.Fatalf("%s: disconnect: %v", n.Name, err)
	}
	n.setNet(func(f *netFaults) { f.unplugged = true })
	n.applyNet(t)
}

// Connect puts the cable back: same name, address and port.
func (n *Node) Connect(t testing.TB) {
	t.Helper()
	_, err := n.cluster.cli.NetworkConnect(t.Context(), n.cluster.network.ID, client.NetworkConnectOptions{
		Container: n.id, EndpointConfig: n.endpoint(),
	})
	if err != nil {
		t.Fatalf("%s: connect: %v", n.Name, err)
	}
	n.setNet(func(f *netFaults) { f.unplugged = false })
	n.applyNet(t)
}

// CutFrom loses every packet that comes from the peers, or from all other machines if none are named. What this machine
// sends still reaches them. No connection can be opened in either direction, since its answers are packets too.
func (n *Node) CutFrom(t testing.TB, peers ...*Node) {
	t.Helper()
	n.mustNotBePaused(t)
	n.setNet(func(f *netFaults) { f.drop = with(f.drop, n.orOthers(peers)) })
	n.applyNet(t)
}

// CutTo loses every packet that this machine sends to the peers, or to all other machines if none are named. It is CutFrom on
// their side.
func (n *Node) CutTo(t testing.TB, peers ...*Node) {
	t.Helper()
	for _, p := range n.orOthers(peers) {
		p.CutFrom(t, n)
	}
}

// RefuseFrom loses the packets of TCP connections that the peers, or all other machines if none are named, open to this one;
// those already open hang. This machine can still open connections to them: the rule goes by the port, taking every port
// below 32768 for a server's.
func (n *Node) RefuseFrom(t testing.TB, peers ...*Node) {
	t.Helper()
	n.mustNotBePaused(t)
	n.setNet(func(f *netFaults) { f.refuse = with(f.refuse, n.orOthers(peers)) })
	n.applyNet(t)
}

// SetLoss loses that percentage of all packets that arrive at the machine, at random. Zero ends it.
func (n *Node) SetLoss(t testing.TB, percent float64) {
	t.Helper()
	n.mustNotBePaused(t)
	n.setNet(func(f *netFaults) { f.loss = percent })
	n.applyNet(t)
}

// SetLatency holds back every packet that the machine sends for that time, so that each round trip takes so much longer. Zero
// ends it.
func (n *Node) SetLatency(t testing.TB, d time.Duration) {
	t.Helper()
	n.mustNotBePaused(t)
	n.setNet(func(f *netFaults) { f.latency = d })
	n.applyNet(t)
}

// Heal makes the machine's network whole: connected, no cut from or to it, no loss, no latency. A paused machine notices when
// it goes on.
func (n *Node) Heal(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	unplugged := n.net.unplugged
	n.mu.Unlock()
	n.setNet(func(f *netFaults) { *f = netFaults{unplugged: f.unplugged} })
	if unplugged {
		n.Connect(t)
	} else {
		n.applyNet(t)
	}
	for _, p := range n.others() {
		p.mu.Lock()
		cut := p.net.drop[n] || p.net.refuse[n]
		delete(p.net.drop, n)
		delete(p.net.refuse, n)
		p.mu.Unlock()
		if cut {
			p.applyNet(t)
		}
	}
}

// mustNotBePaused refuses a fault that would not take effect before the machine goes on.
func (n *Node) mustNotBePaused(t testing.TB) {
	t.Helper()
	if n.state(t).Paused {
		t.Fatalf("%s: this fault cannot be made while the machine is paused", n.Name)
	}
}

func (n *Node) setNet(change func(*netFaults)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.net)
}

func with(set map[*Node]bool, nodes []*Node) map[*Node]bool {
	if set == nil {
		set = map[*Node]bool{}
	}
	for _, n := range nodes {
		set[n] = true
	}
	return set
}

func (n *Node) others() []*Node {
	var others []*Node
	for _, o := range n.cluster.Nodes {
		if o != n {
			others = append(others, o)
		}
	}
	return others
}

func (n *Node) orOthers(peers []*Node) []*Node {
	if len(peers) > 0 {
		return peers
	}
	return n.others()
}

// rules renders the faults as an nftables script that replaces whatever was there, in one transaction.
func (f netFaults) rules() string {
	var b strings.Builder
	b.WriteString("table inet understudy\ndelete table inet understudy\n")
	b.WriteString("table inet understudy {\n\tchain input {\n\t\ttype filter hook input priority -300; policy accept;\n")
	for p := range f.drop {
		fmt.Fprintf(&b, "\t\tip saddr %s counter drop\n", p.IP)
	}
	for p := range f.refuse {
		fmt.Fprintf(&b, "\t\tip saddr %s tcp dport < 32768 counter drop\n", p.IP)
	}
	switch {
	case f.loss >= 100:
		b.WriteString("\t\tiifname \"eth*\" counter drop\n")
	case f.loss > 0:
		fmt.Fprintf(&b, "\t\tiifname \"eth*\" numgen random mod 10000 < %d counter drop\n", int(f.loss*100))
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// writeHosts lets the machine know the others' names, whatever state they and the network are in. Docker's own name server
// forgets machines that are down, and asks the outside world for them then. It rewrites the file at times.
func (n *Node) writeHosts(ctx context.Context) error {
	var args []string
	for _, o := range n.cluster.Nodes {
		args = append(args, o.IP.String()+" "+o.Name)
	}
	_, err := n.shErr(ctx, `for line in "$@"; do grep -qxF -- "$line" /etc/hosts || echo "$line" >>/etc/hosts; done`, args...)
	return err
}

// applyNet makes the machine do what n.net says. A machine that is down gets it when it starts, a paused one when it goes on.
func (n *Node) applyNet(t testing.TB) {
	t.Helper()
	if state := n.state(t); !state.Running || state.Paused {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.writeHosts(t.Context()); err != nil {
		t.Fatalf("%s: write /etc/hosts: %v", n.Name, err)
	}
	_, err := n.root.Run(t.Context(), host.Cmd{Path: "nft", Args: []string{"-f", "-"}, Stdin: strings.NewReader(n.net.rules())})
	if err != nil {
		t.Fatalf("%s: set packet filter: %v", n.Name, err)
	}
	if err := n.applyLatency(t.Context()); err != nil {
		t.Fatalf("%s: set latency: %v", n.Name, err)
	}
}

func (n *Node) applyLatency(ctx context.Context) error {
	if n.delay != nil && (n.delay.latency != n.net.latency || n.net.unplugged || n.delay.ended()) {
		n.delay.stop()
		n.delay = nil
	}
	if n.net.unplugged {
		return nil
	}
	device, err := n.device(ctx)
	if err != nil {
		return err
	}
	if n.net.latency == 0 {
		_, err := n.shErr(ctx, `if tc qdisc show dev "$1" root | grep -q netem; then tc qdisc del dev "$1" root; fi`, device)
		return err
	}
	if n.delay != nil {
		return nil
	}
	_, err = n.shErr(ctx, `tc qdisc replace dev "$1" root netem delay "$2"us`,
		device, strconv.FormatInt(n.net.latency.Microseconds(), 10))
	if err == nil || !noNetem(err) {
		return err
	}
	n.delay, err = n.startDelay(ctx, device)
	return err
}

// noNetem recognises tc's complaint that the kernel has no sch_netem.
func noNetem(err error) bool {
	var exit *host.ExitError
	return errors.As(err, &exit) &&
		(strings.Contains(exit.Stderr, "qdisc kind is unknown") || strings.Contains(exit.Stderr, "No such file or directory"))
}

// device is the interface that has the machine's address: Docker gives it another name after a reconnect.
func (n *Node) device(ctx context.Context) (string, error) {
	out, err := n.shErr(ctx, `ip -o -4 addr show | awk -v ip="$1" '{split($4, a, "/"); if (a[1] == ip) print $2}'`, n.IP.String())
	if err == nil && strings.TrimSpace(out) == "" {
		err = fmt.Errorf("no interface has the address %s", n.IP)
	}
	return strings.TrimSpace(out), err
}

// delay is a running netdelay. Packets to the other machines and to the gateway, from where the test process connects, are
// routed into a tun device, from which netdelay takes them, holds them back and sends them on.
type delay struct {
	latency time.Duration
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // after done
}

const delayBinary, delayDevice = "/usr/local/bin/understudy-netdelay", "delay0"

func (n *Node) startDelay(ctx context.Context, device string) (*delay, error) {
	program, err := buildDelay(ctx)
	if err != nil {
		return nil, err
	}
	if there, err := n.root.Exists(ctx, delayBinary); err != nil {
		return nil, err
	} else if !there {
		if err := n.root.WriteFile(ctx, delayBinary, program, 0o755); err != nil {
			return nil, err
		}
	}
	if _, err := n.shErr(ctx, `[ -e /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }`); err != nil {
		return nil, err
	}
	// The program lives until the fault is healed, not until the call that set it returns.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &delay{latency: n.net.latency, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		_, d.err = n.root.Run(run, host.Cmd{Path: delayBinary, Args: []string{delayDevice, device, d.latency.String()}})
	}()
	if err := n.routeThrough(ctx, d); err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

// routeThrough waits for the device and then points the routes there. They vanish with the device.
func (n *Node) routeThrough(ctx context.Context, d *delay) error {
	err := poll(ctx, 20*time.Second, func() error {
		if d.ended() {
			return nil // look at its error below
		}
		_, err := n.shErr(ctx, `ip link show "$1" >/dev/null`, delayDevice)
		return err
	})
	if d.ended() {
		err = d.err
	}
	if err != nil {
		return fmt.Errorf("start netdelay: %w", err)
	}
	args := []string{delayDevice, n.IP.String(), n.cluster.network.subnet.Masked().Addr().Next().String()}
	for _, o := range n.others() {
		args = append(args, o.IP.String())
	}
	_, err = n.shErr(ctx, `dev=$1 src=$2; shift 2; ip link set "$dev" up || exit
		for ip in "$@"; do ip route replace "$ip/32" dev "$dev" src "$src" || exit; done`, args...)
	return err
}

func (d *delay) ended() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

func (d *delay) stop() {
	d.cancel()
	<-d.done
}

// stopDelay ends netdelay when the machine goes away.
func (n *Node) stopDelay() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.delay != nil {
		n.delay.stop()
		n.delay = nil
	}
}

// buildDelay compiles netdelay, once per process.
var buildDelay = func() func(context.Context) ([]byte, error) {
	var once sync.Once
	var program []byte
	var err error
	return func(ctx context.Context) ([]byte, error) {
		once.Do(func() { program, err = compileDelay(ctx) })
		return program, err
	}
}()

func compileDelay(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "understudy-netdelay-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "netdelay")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "github.com/understudy-ha/understudy/internal/pgtest/netdelay")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("this kernel has no netem, and netdelay cannot be built instead: %w\n%s", err, msg)
	}
	program, err := os.ReadFile(out)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("go build wrote nothing: %w", err)
	}
	return program, err
}
