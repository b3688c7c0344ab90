package build

import (
	"context"
	"path"
	"slices"

	"github.com/understudy-ha/understudy/topology/host"
)

// tethered is a machine on which the programs that make a data directory end with this process. One that was left behind by a process
// that was killed would go on writing into what the next one makes under the same name.
type tethered struct {
	host.Host
	programs []string
}

// tether returns a machine for pgnode.
func (b *Builder) tether(h host.Host) host.Host {
	programs := []string{"initdb", "pg_createcluster", "pg_basebackup", "pg_rewind", "cp"}
	if b.cfg.Basebackup != "" {
		programs = append(programs, path.Base(b.cfg.Basebackup))
	}
	return tethered{h, programs}
}

// tetherScript runs a command until that ends, or until its own input does.
const tetherScript = `exec 3<&0
"$@" 3<&- </dev/null &
pid=$!
{ cat <&3; kill "$pid"; } >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$pid"
code=$?
kill "$watch" 2>/dev/null
exit "$code"`

// Run implements [host.Host].
func (h tethered) Run(ctx context.Context, c host.Cmd) (host.Result, error) {
	if c.Stdin != nil || !slices.Contains(h.programs, path.Base(c.Path)) {
		return h.Host.Run(ctx, c)
	}
	input := pulse(make(chan struct{}))
	defer close(input)
	c.Args = append([]string{"-c", tetherScript, "sh", c.Path}, c.Args...)
	c.Path, c.Stdin = "sh", input
	return h.Host.Run(ctx, c)
}
