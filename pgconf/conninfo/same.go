package conninfo

import (
	"slices"
	"strconv"
)

// Same reports whether both lead to the same servers in the same way, whatever their form, and the order and spelling of what
// they say: servers are compared as by [HostPort.Same], and a keyword with the value that libpq 18 would use anyway counts as
// not given. The order of servers counts, unless load_balance_hosts=random. What libpq takes from its environment is not
// looked at, nor what a service or passfile says. Secrets count.
func (i Info) Same(o Info) bool {
	return i.sameServers(o) && i.sameOptions(o) && o.sameOptions(i)
}

func (i Info) sameServers(o Info) bool {
	hosts, err1 := i.servers()
	others, err2 := o.servers()
	if err1 != nil || err2 != nil {
		return i.only("host", "hostaddr", "port").Equal(o.only("host", "hostaddr", "port"))
	}
	if random, _ := i.LoadBalanceHosts(); random {
		slices.SortFunc(hosts, HostPort.compare)
		slices.SortFunc(others, HostPort.compare)
	}
	return slices.EqualFunc(hosts, others, HostPort.Same)
}

// only returns i with none but these keywords.
func (i Info) only(keys ...string) Info {
	var out Info
	for _, p := range i.pairs {
		if slices.Contains(keys, p.key) {
			out.pairs = append(out.pairs, p)
		}
	}
	return out
}

// sameOptions reports whether o says all that i does, apart from the servers.
func (i Info) sameOptions(o Info) bool {
	mine, others := i.getter(), o.getter()
	return !slices.ContainsFunc(i.pairs, func(p pair) bool {
		return !slices.Contains([]string{"host", "hostaddr", "port"}, p.key) && meaning(mine, p.key) != meaning(others, p.key)
	})
}

// meaning returns the value of a keyword, and an empty one for what libpq would use anyway.
func meaning(get func(key string) (string, bool), key string) string {
	value, _ := get(key)
	switch key {
	case "sslmode":
		return mode(get)
	case "dbname":
		if user, _ := get("user"); value == user {
			return ""
		}
	case "fallback_application_name":
		if meaning(get, "application_name") != "" {
			return ""
		}
	case "connect_timeout", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout":
		if n, ok := parseInt(value); ok {
			value = strconv.Itoa(max(n, 0))
		}
	case "keepalives":
		if n, ok := parseInt(value); ok && n != 0 {
			value = "1"
		}
	}
	if k, _ := LookupKeyword(key); value == k.standard {
		return ""
	}
	return value
}
