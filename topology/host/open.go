//go:build unix

package host

import (
	"fmt"
	"strings"
	"time"
)

// OpenConfig is what the name of a machine leaves open. The zero value is useful.
type OpenConfig struct {
	// User is the operating-system user that commands run as and files are read and written as, on this machine (see
	// [LocalConfig]) and in containers whose name does not say. Empty means the user of this process, or the container's own.
	User string

	// Docker is the docker command line (see [ContainerConfig]).
	Docker string

	// KillAfter is the time that a command has between SIGTERM and SIGKILL when its context ends. Zero means 5 s.
	KillAfter time.Duration
}

// Open returns the machine of that name:
//
//   - "local", or nothing: this one.
//   - "docker://container" or "docker://user@container": a container of this machine's Docker engine.
//
// It connects to nothing. A name holds no secret; one that does is refused without being repeated. What Open returns may be an
// [io.Closer], which then is to be closed when the machine is no longer needed.
func Open(machine string, cfg OpenConfig) (Host, error) {
	if machine == "" || machine == "local" {
		return NewLocal(LocalConfig{User: cfg.User, KillAfter: cfg.KillAfter}), nil
	}
	scheme, rest, ok := strings.Cut(machine, "://")
	if !ok {
		return nil, fmt.Errorf("machine %q is neither local nor docker://[user@]container", machine)
	}
	switch scheme {
	case "docker":
		return openContainer(machine, rest, cfg)
	default:
		return nil, fmt.Errorf("machine: there is no kind of machine %q: give local or docker://[user@]container", scheme)
	}
}

func openContainer(machine, rest string, cfg OpenConfig) (Host, error) {
	user, container, named := strings.Cut(rest, "@")
	if !named {
		user, container = cfg.User, rest
	}
	switch {
	case strings.Contains(user, ":"):
		return nil, fmt.Errorf("machine docker://…@%s: no password or group belongs here", container)
	case named && user == "", container == "", strings.ContainsAny(container, "/@?#: "), strings.HasPrefix(container, "-"):
		return nil, fmt.Errorf("machine %q is not docker://[user@]container", machine)
	}
	return NewContainer(ContainerConfig{Docker: cfg.Docker, Container: container, User: user, KillAfter: cfg.KillAfter}), nil
}
