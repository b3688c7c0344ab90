package conninfo

import (
	"net/netip"
	"strings"
)

// uri reads what follows the scheme, as conninfo_uri_parse_options does:
//
//	[user[:password]@][host[:port],...][/dbname][?keyword=value&...]
//
// Any part may be missing, and an empty one does not count, except the value of a keyword. Everything may be percent-encoded;
// a host that holds ":", "/" or another of the delimiters must be, or stand in brackets.
func (r *reader) uri(at int) error {
	if i := strings.IndexAny(r.s[at:], "@/"); i >= 0 && r.s[at+i] == '@' {
		user, password, _ := strings.Cut(r.s[at:at+i], ":")
		if err := r.storePart("user", user, at); err != nil {
			return err
		}
		if err := r.storePart("password", password, at+len(user)+1); err != nil {
			return err
		}
		at += i + 1
	}
	at, err := r.servers(at)
	if err != nil {
		return err
	}
	if at < len(r.s) && r.s[at] == '/' {
		name, _, _ := strings.Cut(r.s[at+1:], "?")
		if err := r.storePart("dbname", name, at+1); err != nil {
			return err
		}
		at += 1 + len(name)
	}
	return r.params(at + 1)
}

// storePart stores the decoded text at i as the value of key, unless it is empty.
func (r *reader) storePart(key, text string, i int) error {
	if text == "" {
		return nil
	}
	value, bad, msg := r.decode(text)
	if msg != "" {
		return syntaxError(i+bad, msg)
	}
	return r.store(key, value, i)
}

// list collects the elements of a list from a string, where other text stands between them. libpq decodes the list as a
// whole, so that an encoded comma separates too.
type list struct {
	text   strings.Builder
	places []place
}

// place says that the text of a list from inList on was at inString.
type place struct{ inList, inString int }

func (l *list) add(text string, at int) {
	l.places = append(l.places, place{l.text.Len(), at})
	l.text.WriteString(text)
}

// servers reads the servers at i and returns the end: where "/" or "?" or nothing follows.
func (r *reader) servers(i int) (int, error) {
	var hosts, ports list
	for {
		host, start, next, err := r.host(i)
		if err != nil {
			return 0, err
		}
		hosts.add(host, start)
		if i = next; i < len(r.s) && r.s[i] == ':' {
			end := i + 1 + indexAny(r.s[i+1:], "/?,")
			ports.add(r.s[i+1:end], i+1)
			i = end
		}
		if i == len(r.s) || r.s[i] != ',' {
			break
		}
		hosts.add(",", i)
		ports.add(",", i)
		i++
	}
	if err := r.storeList("host", &hosts); err != nil {
		return 0, err
	}
	return i, r.storeList("port", &ports)
}

// host reads the host at i, and returns its text, where that begins, and where the next thing does.
func (r *reader) host(i int) (text string, start, next int, err error) {
	if i == len(r.s) || r.s[i] != '[' {
		end := i + indexAny(r.s[i:], ":/?,")
		return r.s[i:end], i, end, nil
	}
	length := strings.IndexByte(r.s[i:], ']') - 1
	switch end := i + length + 2; {
	case length < 0:
		return "", 0, 0, syntaxError(i, "the bracket is not closed; put ] after the address")
	case length == 0:
		return "", 0, 0, syntaxError(i, "no address in the brackets")
	case end < len(r.s) && strings.IndexByte(":/?,", r.s[end]) < 0:
		return "", 0, 0, syntaxError(end, "after ] only a port, another server, a database name or parameters may follow")
	default:
		return r.s[i+1 : end-1], i + 1, end, nil
	}
}

func (r *reader) storeList(key string, l *list) error {
	if l.text.Len() == 0 {
		return nil
	}
	value, bad, msg := r.decode(l.text.String())
	if msg == "" {
		return r.store(key, value, l.places[0].inString)
	}
	var at place
	for _, p := range l.places {
		if p.inList <= bad {
			at = p
		}
	}
	return syntaxError(at.inString+bad-at.inList, msg)
}

// params reads the parameters at i.
func (r *reader) params(i int) error {
	for i < len(r.s) {
		param, _, _ := strings.Cut(r.s[i:], "&")
		key, value, ok := strings.Cut(param, "=")
		if !ok {
			return syntaxError(i, `no "=" in this parameter; write it as keyword=value`)
		}
		if extra := strings.IndexByte(value, '='); extra >= 0 {
			return syntaxError(i+len(key)+1+extra, `a second "=" in this parameter; write one in a value as %3D`)
		}
		k, bad, msg := r.decode(key)
		if msg != "" {
			return syntaxError(i+bad, msg)
		}
		v, bad, msg := r.decode(value)
		if msg != "" {
			return syntaxError(i+len(key)+1+bad, msg)
		}
		if err := r.storeParam(k, v, i); err != nil {
			return err
		}
		i += len(param) + 1
	}
	return nil
}

func (r *reader) storeParam(key, value string, i int) error {
	key, value = canonical(key, value) // ssl=true is for URIs only, so not left to store
	return r.store(key, value, i)
}

// decode undoes percent-encoding; "+" is a plus sign. If it cannot, it returns the place and what is wrong. From 18 on, plain
// blanks around the text do not count, and inside are an error.
func (r *reader) decode(s string) (text string, bad int, msg string) {
	at := 0
	if r.major >= 18 {
		at = len(s) - len(strings.TrimLeft(s, " "))
		s = s[:at+len(strings.Trim(s, " "))]
		if i := strings.IndexByte(s[at:], ' '); i >= 0 {
			return "", at + i, "a blank; write it as %20"
		}
	}
	first := strings.IndexByte(s, '%')
	if first < 0 {
		return s[at:], 0, ""
	}
	b := append(make([]byte, 0, len(s)-at), s[at:first]...)
	for i := first; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			return "", i, "not a percent-encoded byte; write % itself as %25"
		}
		c := byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
		if c == 0 {
			return "", i, "%00 is a NUL byte; remove it"
		}
		b = append(b, c)
		i += 2
	}
	return string(b), 0, ""
}

// URI returns the whole connection string as a URI that libpq reads, secrets included. Where there is one port for several
// hosts, it stands after each of them; else libpq reads the same keywords and values as from Text. What the part before the
// "?" cannot say follows as parameters: several hosts without any port, and values that are there but empty.
func (i Info) URI() string {
	var b strings.Builder
	b.WriteString("postgresql://")
	user, _ := i.Get("user")
	password, _ := i.Get("password")
	database, _ := i.Get("dbname")
	b.WriteString(escape(user, ""))
	if password != "" {
		b.WriteString(":" + escape(password, ""))
	}
	if user != "" || password != "" {
		b.WriteByte('@')
	}
	servers, hasHost, hasPort := i.authority()
	b.WriteString(servers)
	said := map[string]bool{"user": user != "", "password": password != "", "dbname": database != "", "host": hasHost, "port": hasPort}
	if database != "" {
		b.WriteString("/" + escape(database, ""))
	}
	separator := "?"
	if database == "" {
		separator = "/?"
	}
	for _, p := range i.pairs {
		if !said[p.key] {
			b.WriteString(separator + p.key + "=" + escape(p.value, "/:,"))
			separator = "&"
		}
	}
	return b.String()
}

// authority writes the servers as they stand in a URI, and says which keywords that covers.
func (i Info) authority() (text string, host, port bool) {
	var b strings.Builder
	hostList, _ := i.Get("host")
	portList, withPort := i.Get("port")
	hosts, ports := strings.Split(hostList, ","), strings.Split(portList, ",")
	if len(hosts) > 1 && !withPort {
		return "", false, false // the commas would be read as a list of ports, which PGPORT could not fill any more
	}
	_, err := i.servers()
	port = portList != "" && (len(ports) == len(hosts) || len(ports) == 1 && err == nil)
	for n, h := range hosts {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(escapeHost(h))
		if p := ports[min(n, len(ports)-1)]; port && p != "" {
			b.WriteString(":" + escape(p, ""))
		}
	}
	return b.String(), hostList != "", port
}

func escapeHost(h string) string {
	if addr, err := netip.ParseAddr(h); err == nil && addr.Is6() {
		return "[" + escape(h, ":") + "]"
	}
	return escape(h, "")
}

// escape percent-encodes all bytes but letters, digits, "-._~*", and those that are also allowed.
func escape(s, also string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~*", c) >= 0 || strings.IndexByte(also, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// indexAny is strings.IndexAny with the length for none.
func indexAny(s, chars string) int {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return i
	}
	return len(s)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
