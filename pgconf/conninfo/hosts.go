package conninfo

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// DefaultPort is where libpq connects to when nothing says otherwise.
const DefaultPort = 5432

// HostPort is one server of a connection string. The zero Host means libpq's default: the folder of Unix sockets that it was
// built with (/tmp, in Debian's packages /var/run/postgresql), and localhost on Windows.
type HostPort struct {
	Host string     // name or address, or folder of a Unix socket: it begins with "/", or with "@" if it is abstract (14+)
	Addr netip.Addr // to dial in place of looking up Host, from hostaddr; zero if there is none
	Port uint16     // never 0
}

// Hosts returns the servers in the order in which they are given: the lists of host, hostaddr and port, paired as libpq does
// since 10 (connectOptions2 in fe-connect.c). hostaddr says how many there are, else host, else it is one. A single port
// serves all of them, an empty element means the default, and other lists of different lengths are an error, a
// [*OptionError]. A hostaddr must be an address.
func (i Info) Hosts() ([]HostPort, error) {
	servers, err := i.servers()
	if err != nil {
		return nil, err
	}
	return servers, nil
}

func (i Info) servers() ([]HostPort, *OptionError) {
	hosts, addrs, ports := i.list("host"), i.list("hostaddr"), i.list("port")
	n := max(len(hosts), 1)
	if len(addrs) > 0 {
		if n = len(addrs); len(hosts) > 0 && len(hosts) != n {
			return nil, &OptionError{Keyword: "hostaddr", Msg: fmt.Sprintf("%d addresses for %d hosts; give each host one, or leave the keyword out", n, len(hosts))}
		}
	}
	if len(ports) > 1 && len(ports) != n {
		return nil, &OptionError{Keyword: "port", Msg: fmt.Sprintf("%d ports for %d hosts; give each host one, or one for all", len(ports), n)}
	}
	servers := make([]HostPort, n)
	for k := range servers {
		var err *OptionError
		if servers[k], err = hostPort(element(hosts, k), element(addrs, k), element(ports, k)); err != nil {
			return nil, err
		}
	}
	return servers, nil
}

// list returns the elements of a comma-separated value; none for an empty one, which counts as not given.
func (i Info) list(key string) []string {
	value, _ := i.Get(key)
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}

// element returns element k of a list in which one may stand for all.
func element(list []string, k int) string {
	if len(list) == 0 {
		return ""
	}
	return list[min(k, len(list)-1)]
}

func hostPort(host, addr, port string) (HostPort, *OptionError) {
	h := HostPort{Host: host, Port: DefaultPort}
	if addr != "" {
		var err error
		if h.Addr, err = netip.ParseAddr(addr); err != nil {
			return h, &OptionError{Keyword: "hostaddr", Msg: "not an IP address; names belong into host"}
		}
	}
	if port != "" {
		n, ok := parseInt(port)
		if !ok || n < 1 || n > 65535 {
			return h, &OptionError{Keyword: "port", Msg: "not a port; it is a number from 1 to 65535"}
		}
		h.Port = uint16(n)
	}
	return h, nil
}

// parseInt reads a number as parse_int_param of fe-connect.c does.
func parseInt(s string) (int, bool) {
	n, err := strconv.ParseInt(strings.Trim(s, " \t\n\v\f\r"), 10, 32)
	return int(n), err == nil
}

// IsSocket reports whether the server is reached by a Unix socket. The default counts as one.
func (h HostPort) IsSocket() bool {
	return !h.Addr.IsValid() && (h.Host == "" || h.Host[0] == '/' || h.Host[0] == '@')
}

// String returns host:port, with an IPv6 address in brackets, or the path of the Unix socket; the name of the socket alone
// where its folder is the default. Addr is not in it, unless there is no Host.
func (h HostPort) String() string {
	switch {
	case h.IsSocket():
		return path.Join(h.Host, ".s.PGSQL."+strconv.Itoa(int(h.Port)))
	case h.Host == "":
		return netip.AddrPortFrom(h.Addr, h.Port).String()
	}
	return net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port)))
}

// Same reports whether both name the same server, as far as names can tell: the letter case of a name, a dot at its end, and the
// spelling of an address or a path do not count. If both say where to dial, that decides; a name is never looked up.
func (h HostPort) Same(o HostPort) bool { return h.Port == o.Port && sameHost(h, o) }

func sameHost(h, o HostPort) bool {
	if h.Addr.IsValid() && o.Addr.IsValid() {
		return h.Addr.Unmap() == o.Addr.Unmap()
	}
	return h.canonical() == o.canonical()
}

// canonical spells the host in one way. Where there is no Host, the address to dial stands for it.
func (h HostPort) canonical() string {
	switch addr, err := netip.ParseAddr(h.Host); {
	case h.Host == "" && h.Addr.IsValid():
		return h.Addr.Unmap().String()
	case err == nil:
		return addr.Unmap().String()
	case h.IsSocket() && h.Host != "":
		return path.Clean(h.Host)
	}
	return strings.TrimSuffix(strings.ToLower(h.Host), ".")
}

// compare orders servers so that the same ones come together.
func (h HostPort) compare(o HostPort) int {
	return cmp.Or(cmp.Compare(h.Port, o.Port), strings.Compare(h.canonical(), o.canonical()), h.Addr.Compare(o.Addr))
}

// Server returns the server if the connection string names exactly one; false if it names none, several, or one that is not
// valid.
func (i Info) Server() (HostPort, bool) {
	hosts, err := i.Hosts()
	if err != nil || len(hosts) != 1 || hosts[0].Host == "" && !hosts[0].Addr.IsValid() {
		return HostPort{}, false
	}
	return hosts[0], true
}

// WithHosts returns a copy with these servers in place of those that i has: the keywords host, port and, if any server has an
// Addr, hostaddr. No servers remove all three.
func (i Info) WithHosts(servers ...HostPort) Info {
	i = i.Without("hostaddr")
	if len(servers) == 0 {
		return i.Without("host").Without("port")
	}
	hosts, addrs, ports := make([]string, len(servers)), make([]string, len(servers)), make([]string, len(servers))
	for n, s := range servers {
		hosts[n], ports[n] = s.Host, strconv.Itoa(int(s.Port))
		if s.Addr.IsValid() {
			addrs[n] = s.Addr.String()
		}
	}
	i = i.With("host", strings.Join(hosts, ",")).With("port", strings.Join(ports, ","))
	if slices.ContainsFunc(addrs, func(a string) bool { return a != "" }) {
		i = i.With("hostaddr", strings.Join(addrs, ","))
	}
	return i
}
