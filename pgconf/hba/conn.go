package hba

import (
	"net/netip"
)

// Transport is the way on which a connection comes.
type Transport uint8

// The transports. Every type of record takes some of them.
const (
	OverSocket Transport = iota // Unix socket
	OverTCP                     // TCP, not encrypted
	OverTLS                     // TCP with TLS, which the manual calls SSL
	OverGSS                     // TCP with GSSAPI encryption, 12+
)

// String returns "socket", "tcp", "tls" or "gss".
func (t Transport) String() string {
	return [...]string{"socket", "tcp", "tls", "gss", "?"}[min(t, OverGSS+1)]
}

// Walsender says whether a connection is one for replication.
type Walsender uint8

// The values of the connection parameter replication.
const (
	NoReplication       Walsender = iota // an ordinary session
	PhysicalReplication                  // replication=true: standbys, pg_basebackup, pg_receivewal
	LogicalReplication                   // replication=database: subscriptions, pg_recvlogical; 9.4+
)

// Conn is a connection at the moment when the server looks for its rule. The zone of an address does not count, and
// ::ffff:10.0.0.1 is taken for 10.0.0.1: IPv4 clients come to a server's IPv4 sockets only, so that it never sees such an address.
type Conn struct {
	Transport   Transport
	Client      netip.Addr // where the client comes from; see below. Of no meaning over a socket
	Database    string     // empty means named like the user; of no meaning for physical replication
	User        string
	Replication Walsender
}

// Resolver looks names up as the server does for a rule that has a host name. Both methods are asked at most once for a
// connection. An error means that the answer is not known here; that there is none is the zero value without an error. A
// Resolver that waits for a network has its own time limit.
type Resolver interface {
	// Reverse returns the name of an address: the one that getnameinfo has on the server.
	Reverse(client netip.Addr) (name string, err error)
	// Forward returns all addresses of a name.
	Forward(name string) ([]netip.Addr, error)
}

// Server is what a server knows beside its rules. The zero value knows nothing: what depends on it cannot be said.
type Server struct {
	// Interfaces are the addresses of the server, loopback included, each with the length of its network, as
	// [net.InterfaceAddrs] returns them there. They decide on samehost and samenet. Nil means not known.
	Interfaces []netip.Prefix

	// Member reports whether a user is a direct or indirect member of a role, INHERIT or not. A role is a member of itself,
	// and a role that does not exist is a member of nothing and has no members. That a superuser counts as a member of
	// every role is no membership (so the function pg_has_role does not answer this question). An error means not known.
	// [Memberships] has such a method. Nil means not known, except that a user is taken to exist and to be a member of itself.
	Member func(user, role string) (bool, error)

	// Superuser reports whether a user is a superuser. It is asked before 9.2 only, where a superuser counts as a
	// member of every role.
	Superuser func(user string) (bool, error)

	// Resolver is asked for rules with host names. Nil means not known.
	Resolver Resolver

	// NoSSL says that ssl is off, or that the server was built without it.
	NoSSL bool
}

// Memberships tells of each role which roles were granted to it, as pg_auth_members does. It is a complete list: who is not
// in it is a member of itself only.
type Memberships map[string][]string

// Member reports whether the user is the role, or a direct or indirect member of it. The error is always nil. It is fit for
// the field Member of [Server].
func (m Memberships) Member(user, role string) (bool, error) {
	seen := map[string]bool{user: true}
	for todo := []string{user}; len(todo) > 0; {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if name == role {
			return true, nil
		}
		for _, group := range m[name] {
			if !seen[group] {
				seen[group] = true
				todo = append(todo, group)
			}
		}
	}
	return false, nil
}
