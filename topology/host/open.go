//go:build unix

package host

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// kinds are the names that Open understands.
const kinds = "local, ssh://[user@]host[:port], docker://[user@]container"

// OpenConfig is what the name of a machine leaves open. The zero value is useful.
type OpenConfig struct {
	// User is the operating-system user that commands run as and files are read and written as, on this machine (see
	// [LocalConfig]) and in containers whose name does not say. Empty means the user of this process, or the container's own.
	User string

	// Docker is the docker command line (see [ContainerConfig]).
	Docker string

	// SSH says how to log in to machines that are reached over SSH, and whom to trust. Its Host and Port come from the machine's
	// name, and its User as well if that has one.
	SSH SSHConfig

	// KillAfter is the time that a command has between SIGTERM and SIGKILL when its context ends. Zero means 5 s.
	KillAfter time.Duration
}

// Open returns the machine of that name:
//
//   - "local", or nothing: this one.
//   - "ssh://host", "ssh://user@host" or "ssh://user@host:port": a machine that is reached over SSH (an IPv6 address in brackets).
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
		return nil, fmt.Errorf("machine %q is none of %s", machine, kinds)
	}
	switch scheme {
	case "ssh":
		return openSSH(machine, cfg)
	case "docker":
		return openContainer(machine, rest, cfg)
	default:
		return nil, fmt.Errorf("machine: there is no kind %q: give one of %s", scheme, kinds)
	}
}

func openSSH(machine string, cfg OpenConfig) (Host, error) {
	u, err := url.Parse(machine)
	if err != nil { // which would repeat the name
		return nil, errors.New("machine: what follows ssh:// is not [user@]host[:port]")
	}
	if _, secret := u.User.Password(); secret {
		return nil, fmt.Errorf("machine ssh://…@%s: no password belongs here; log in with a key (SSH.KeyFiles, SSH.Agent)", u.Host)
	}
	ssh := cfg.SSH
	ssh.Host = u.Hostname()
	if ssh.Port, err = strconv.Atoi(cmp.Or(u.Port(), "22")); err != nil || ssh.Port == 0 {
		return nil, fmt.Errorf("machine %q: %q is no TCP port", machine, u.Port())
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil && u.User.Username() == "" {
		return nil, fmt.Errorf("machine %q is not ssh://[user@]host[:port]", machine)
	}
	if u.User != nil {
		ssh.User = u.User.Username()
	}
	ssh.KillAfter = cmp.Or(ssh.KillAfter, cfg.KillAfter)
	h, err := NewSSH(ssh)
	if err != nil {
		return nil, fmt.Errorf("machine %q: %w", machine, err)
	}
	return h, nil
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
