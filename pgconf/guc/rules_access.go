package guc

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// listening judges listen_addresses. The server warns of an address that it cannot use and goes on, unless none is left
// (PostmasterMain).
func (c *checker) listening() {
	line := c.own.get("listen_addresses")
	var good, local int
	for entry := range strings.SplitSeq(line.Value, ",") {
		entry = strings.Trim(entry, " \t\r\n\"")
		switch {
		case entry == "" && line.Value == "":
		case entry == "" || strings.ContainsAny(entry, " \t\r\n"):
			c.add(ListenAddress, Error, "listen_addresses is no list: the server does not start", "put commas between the addresses, and nothing else", line.Name)
			return
		case !isAddress(entry):
			c.add(ListenAddress, Warning, fmt.Sprintf("listen_addresses has %q, which is neither an address nor a host name", entry),
				"give addresses of this machine, without mask and port; who may connect is said in pg_hba.conf", line.Name)
		default:
			good++
			if isLoopback(entry) {
				local++
			}
		}
	}
	if good == 0 && strings.TrimSpace(line.Value) != "" {
		c.add(ListenAddress, Error, "listen_addresses has no usable address: the server does not start", "give an address of this machine, or *", line.Name)
	} else if good == local && len(c.Standbys) > 0 {
		c.add(ListenLocal, Warning, "listen_addresses lets nobody on other machines in, standbys neither",
			"set it to the address of this machine that standbys use, or to *, and restart", line.Name)
	}
}

func isAddress(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil || s == "*" {
		return true
	}
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

func isLoopback(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.IsLoopback() || ascii.Lower(s) == "localhost"
}

func (c *checker) passwords() {
	const name = "password_encryption"
	given := c.own.has(name)
	switch value := c.own.text(name); {
	case value == "off":
		c.add(WeakPasswords, Warning, "password_encryption is off: new passwords are stored in clear text", "set password_encryption = on", name)
	case value == "md5" && c.Major >= 10 && given:
		c.add(WeakPasswords, Warning, "password_encryption is md5: new passwords get a hash that is worth the password itself, and that 18 gives notice of removing",
			"set it to scram-sha-256, have the passwords set anew, then change md5 to scram-sha-256 in pg_hba.conf", name)
	case value == "md5" && c.Major >= 10:
		c.add(WeakPasswords, Info, "password_encryption is md5 unless set: new passwords get a hash that is worth the password itself",
			"set it to scram-sha-256 once all clients can do that", name)
	}
}

func (c *checker) workers() {
	for _, w := range []struct{ part, pool string }{
		{"max_parallel_workers", "max_worker_processes"},
		{"max_logical_replication_workers", "max_worker_processes"},
		{"autovacuum_max_workers", "autovacuum_worker_slots"},
	} {
		part, ok1 := c.own.number(w.part)
		pool, ok2 := c.own.number(w.pool)
		if ok1 && ok2 && part > pool && c.own.has(w.part) {
			c.add(WorkersOverPool, Warning, fmt.Sprintf("%s is %.0f, but there are never more than %s = %.0f", w.part, part, w.pool, pool),
				"raise "+w.pool+", which needs a restart", w.part, w.pool)
		}
	}
}
