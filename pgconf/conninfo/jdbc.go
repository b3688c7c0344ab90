package conninfo

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/understudy-ha/understudy/pgconf"
)

const (
	jdbcScheme = "jdbc:postgresql:"
	notUTF8    = "not UTF-8, which is all that a URL of pgjdbc can hold"
)

// properties are the keywords of libpq for which pgjdbc has a property that means the same and takes the same values. The
// newest of them are sslNegotiation and channelBinding; an old pgjdbc passes over properties it does not know.
var properties = map[string]string{
	"application_name": "ApplicationName",
	"channel_binding":  "channelBinding",
	"gssencmode":       "gssEncMode",
	"gsslib":           "gsslib",
	"krbsrvname":       "kerberosServerName",
	"options":          "options",
	"password":         "password",
	"replication":      "replication",
	"service":          "service",
	"sslcert":          "sslcert",
	"sslkey":           "sslkey",
	"sslmode":          "sslmode",
	"sslnegotiation":   "sslNegotiation",
	"sslpassword":      "sslpassword",
	"sslrootcert":      "sslrootcert",
	"user":             "user",
}

// serverTypes maps target_session_attrs to targetServerType. pgjdbc's primary is a server that is not in recovery and whose
// sessions can write: read-write, and a bit less than libpq's primary.
var serverTypes = map[TargetSessionAttrs]string{
	TargetAny: "any", TargetReadWrite: "primary", TargetPrimary: "primary", TargetReadOnly: "secondary", TargetStandby: "secondary",
	TargetPreferStandby: "preferSecondary",
}

// JDBC returns the connection string as a URL of pgjdbc, PostgreSQL's JDBC driver, secrets included. It says what i says and no
// more: where nothing is said, pgjdbc has defaults of its own, such as a connectTimeout of 10 seconds and no TCP keepalives.
// connect_timeout becomes connectTimeout, which covers the TCP connection only; primary and standby in target_session_attrs
// become what read-write and read-only do, since pgjdbc tells them apart by whether a session can write.
//
// The error, an [OptionErrors], lists what the URL cannot say and leaves out. The URL is empty if there is none for those
// servers: pgjdbc knows no Unix sockets, and needs names or addresses without odd characters.
func (i Info) JDBC() (string, error) {
	var errs OptionErrors
	servers, err := i.jdbcServers(&errs)
	if err != nil {
		return "", OptionErrors{err}
	}
	database, _ := i.Get("dbname")
	if !utf8.ValidString(database) {
		errs.add(&OptionError{Keyword: "dbname", Msg: notUTF8})
		database = ""
	}
	var url strings.Builder
	url.WriteString(jdbcScheme + "//" + servers + "/" + escape(database, ""))
	separator := "?"
	for _, p := range i.pairs {
		name, value, err := p.property()
		if err != nil {
			errs.add(err)
		} else if name != "" {
			url.WriteString(separator + name + "=" + escape(value, "/:,"))
			separator = "&"
		}
	}
	return url.String(), errs.err()
}

// jdbcServers writes the servers. They come from three keywords, which [pair.property] passes over.
func (i Info) jdbcServers(errs *OptionErrors) (string, *OptionError) {
	hosts, err := i.servers()
	if err != nil {
		return "", err
	}
	withPort := len(i.list("port")) > 0
	texts := make([]string, len(hosts))
	for n, h := range hosts {
		switch {
		case h.IsSocket():
			return "", &OptionError{Keyword: "host", Msg: "a Unix socket, which pgjdbc cannot use; name a host"}
		case h.Host == "":
			h.Host = h.Addr.String()
		case h.Addr.IsValid():
			errs.add(&OptionError{Keyword: "hostaddr", Msg: "pgjdbc looks the host up itself"})
		}
		if texts[n] = jdbcHost(h.Host); texts[n] == "" {
			return "", &OptionError{Keyword: "host", Msg: "a name with characters that cannot stand in a URL of pgjdbc"}
		}
		if withPort {
			texts[n] += ":" + strconv.Itoa(int(h.Port))
		}
	}
	return strings.Join(texts, ","), nil
}

// jdbcHost returns a host as it stands in a URL, where pgjdbc decodes nothing; empty if it cannot.
func jdbcHost(h string) string {
	if isJDBCv6(h) {
		return "[" + h + "]"
	}
	if escape(h, "") != h {
		return ""
	}
	return h
}

// isJDBCv6 reports whether h is an IPv6 address that can stand between brackets, where pgjdbc decodes nothing either.
func isJDBCv6(h string) bool {
	addr, err := netip.ParseAddr(h)
	return err == nil && addr.Is6() && escape(addr.Zone(), "") == addr.Zone()
}

// property returns name and value of the property that says the same, or no name if none is needed.
func (p pair) property() (name, value string, err *OptionError) {
	lost := func(why string) (string, string, *OptionError) {
		return "", "", &OptionError{Keyword: p.key, Msg: why}
	}
	if k, ok := LookupKeyword(p.key); ok && !k.accepts(p.value, pgconf.Newest) {
		return lost("not a value that it can have")
	}
	switch p.key {
	case "host", "hostaddr", "port", "dbname":
		return "", "", nil
	case "target_session_attrs":
		return "targetServerType", serverTypes[TargetSessionAttrs(p.value)], nil
	case "load_balance_hosts":
		return "loadBalanceHosts", strconv.FormatBool(p.value == "random"), nil
	case "keepalives":
		n, _ := parseInt(p.value)
		return "tcpKeepAlive", strconv.FormatBool(n != 0), nil
	case "connect_timeout":
		n, _ := parseInt(p.value)
		return "connectTimeout", strconv.Itoa(max(n, 0)), nil
	case "client_encoding":
		if e := strings.ToUpper(p.value); e == "UTF8" || e == "UTF-8" || e == "AUTO" {
			return "", "", nil // pgjdbc always uses it
		}
		return lost("pgjdbc always uses UTF8")
	}
	name, ok := properties[p.key]
	if !ok {
		return lost("pgjdbc has no such property")
	}
	if !utf8.ValidString(p.value) {
		return lost(notUTF8)
	}
	return name, p.value, nil
}
