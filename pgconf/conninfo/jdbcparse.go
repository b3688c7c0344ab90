package conninfo

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/understudy-ha/understudy/pgconf"
)

// ParseJDBC reads a URL of pgjdbc, with or without servers:
//
//	jdbc:postgresql://[host[:port],...]/[dbname][?property=value&...]
//	jdbc:postgresql:[dbname][?property=value&...]
//
// as org.postgresql.Driver.parseURL does. The error is a [*pgconf.SyntaxError] with the column if the driver would refuse the
// URL, or take for a host what cannot be one. Otherwise the Info says what the URL does, host and port included where the URL
// leaves them to pgjdbc's default, and the error, if there is one, is an [OptionErrors] that lists the properties and values
// that libpq has no word for. Neither holds a value.
func ParseJDBC(s string) (Info, error) {
	rest, ok := strings.CutPrefix(s, jdbcScheme)
	if !ok {
		return Info{}, syntaxError(0, "not a URL of pgjdbc; one begins with "+jdbcScheme)
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		return Info{}, syntaxError(i, "NUL byte; remove it")
	}
	var j jdbcReader
	place, properties, _ := strings.Cut(rest, "?")
	if err := j.place(place, len(jdbcScheme)); err != nil {
		return Info{}, err
	}
	if err := j.properties(properties, len(s)-len(properties)); err != nil {
		return Info{}, err
	}
	info := Info{j.info.pairs}
	if _, ok := info.Get("sslmode"); !ok && j.ssl {
		info = info.With("sslmode", "verify-full")
	}
	return info, j.lost.err()
}

type jdbcReader struct {
	info builder
	ssl  bool // ssl=true, which counts if there is no sslmode
	lost OptionErrors
}

// place reads servers and database, which stand at i.
func (j *jdbcReader) place(s string, i int) error {
	servers, database := "localhost", s
	if after, ok := strings.CutPrefix(s, "//"); ok {
		if servers, database, ok = strings.Cut(after, "/"); !ok && after != "" {
			return syntaxError(i+len(s), `no "/" after the host, which pgjdbc needs`)
		}
		if more := strings.IndexByte(database, '/'); more >= 0 {
			return syntaxError(i+len(s)-len(database)+more, `a second "/"; write one in the name of a database as %2F`)
		}
	} else if strings.HasPrefix(s, "/") {
		return syntaxError(i, "write // and a host before the database, or the database alone")
	}
	if err := j.servers(servers, i+len("//")); err != nil {
		return err
	}
	name, bad, msg := jdbcDecode(database)
	if msg != "" {
		return syntaxError(i+len(s)-len(database)+bad, msg)
	}
	if name != "" {
		j.info.set("dbname", name)
	}
	return nil
}

// servers reads the list of servers at i. Every server gets a port, since nothing that libpq falls back to counts for pgjdbc.
func (j *jdbcReader) servers(s string, i int) error {
	if s != "" && strings.Trim(s, ",") == "" {
		return syntaxError(i, "no host among the commas")
	}
	var hosts, ports []string
	for server := range strings.SplitSeq(strings.TrimRight(s, ","), ",") { // as in Java, empty ones at the end do not count
		host, port, msg := jdbcServer(server)
		if msg != "" {
			return syntaxError(i, msg)
		}
		hosts, ports = append(hosts, host), append(ports, port)
		i += len(server) + len(",")
	}
	j.info.set("host", strings.Join(hosts, ","))
	j.info.set("port", strings.Join(ports, ","))
	return nil
}

func jdbcServer(s string) (host, port, msg string) {
	host, port = s, strconv.Itoa(DefaultPort)
	if colon := strings.LastIndexByte(s, ':'); colon > strings.LastIndexByte(s, ']') {
		n, err := strconv.Atoi(s[colon+1:])
		if err != nil || n < 1 || n > 65535 {
			return "", "", "the port is not a number from 1 to 65535; user and password are properties, after the ?"
		}
		host, port = s[:colon], strconv.Itoa(n)
	}
	if inside, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inside, "]") {
		host = strings.TrimSuffix(inside, "]")
		if !isJDBCv6(host) {
			return "", "", "no IPv6 address in the brackets"
		}
		return host, port, ""
	}
	switch {
	case host == "":
		return "localhost", port, ""
	case escape(host, "") != host:
		return "", "", "not a host; an IPv6 address needs brackets, and user and password are properties, after the ?"
	}
	return host, port, ""
}

// properties reads the properties at i.
func (j *jdbcReader) properties(s string, i int) error {
	n := 0
	for property := range strings.SplitSeq(s, "&") {
		if property != "" {
			n++
			name, encoded, _ := strings.Cut(property, "=")
			value, bad, msg := jdbcDecode(encoded)
			if msg != "" {
				return syntaxError(i+len(property)-len(encoded)+bad, msg)
			}
			if err := j.property(name, value); err != nil {
				if !jdbcOnly[name] {
					err.Keyword = fmt.Sprintf("property %d", n) // it may be what follows an & in a password
				}
				j.lost.add(err)
			}
		}
		i += len(property) + len("&")
	}
	return nil
}

// property stores what a property means to libpq.
func (j *jdbcReader) property(name, value string) *OptionError {
	key, ok := keywordOf[name]
	switch name {
	case "ssl":
		j.ssl = value == "" || strings.EqualFold(value, "true")
		return nil
	case "targetServerType":
		value = string(targetOf[value])
	case "loadBalanceHosts":
		value = map[bool]string{true: "random", false: "disable"}[strings.EqualFold(value, "true")]
	case "tcpKeepAlive":
		value = map[bool]string{true: "1", false: "0"}[strings.EqualFold(value, "true")]
	default:
		if !ok {
			return &OptionError{Keyword: name, Msg: "libpq has no keyword for it"}
		}
	}
	if k, _ := LookupKeyword(key); !k.accepts(value, pgconf.Newest) {
		return &OptionError{Keyword: name, Msg: "a value that libpq has no word for"}
	}
	j.info.set(key, value)
	return nil
}

// keywordOf is properties turned round, and the properties whose values are translated.
var keywordOf = func() map[string]string {
	m := map[string]string{
		"PGDBNAME": "dbname", "connectTimeout": "connect_timeout", "loadBalanceHosts": "load_balance_hosts", "targetServerType": "target_session_attrs",
		"tcpKeepAlive": "keepalives",
	}
	for key, name := range properties {
		m[name] = key
	}
	return m
}()

// targetOf maps targetServerType, old words included, to the value that means the same. libpq has none for preferPrimary.
var targetOf = map[string]TargetSessionAttrs{
	"any": TargetAny, "primary": TargetReadWrite, "master": TargetReadWrite, "secondary": TargetReadOnly, "slave": TargetReadOnly,
	"preferSecondary": TargetPreferStandby, "preferSlave": TargetPreferStandby,
}

// jdbcOnly are properties of pgjdbc that libpq has no keyword, or not every value, for.
var jdbcOnly = setOf(`PGHOST PGPORT adaptiveFetch adaptiveFetchMaximum adaptiveFetchMinimum allowEncodingChanges assumeMinServerVersion
	authenticationPluginClassName autosave binaryTransfer binaryTransferDisable binaryTransferEnable cancelSignalTimeout
	cleanupSavepoints connectTimeout currentSchema databaseMetadataCacheFields databaseMetadataCacheFieldsMiB defaultRowFetchSize
	disableColumnSanitiser escapeSyntaxCallMode groupStartupParameters gssEncMode gssResponseTimeout hideUnprivilegedObjects
	hostRecheckSeconds jaasApplicationName jaasLogin localSocketAddress loggerFile loggerLevel loginTimeout logServerErrorDetail
	logUnclosedConnections maxResultBuffer maxSendBufferSize preferQueryMode preparedStatementCacheQueries
	preparedStatementCacheSizeMiB prepareThreshold protocolVersion quoteReturningIdentifiers readOnly readOnlyMode
	receiveBufferSize reWriteBatchedInserts sendBufferSize socketFactory socketFactoryArg socketTimeout sslfactory sslfactoryarg
	sslhostnameverifier sslmode sslNegotiation sslpasswordcallback sslResponseTimeout sspiServiceClass stringtype
	targetServerType tcpNoDelay unknownLength useSpnego xmlFactoryFactory channelBinding`)

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// jdbcDecode undoes the encoding of java.net.URLEncoder, in which "+" is a blank. If it cannot, it returns the place and what is
// wrong.
func jdbcDecode(s string) (text string, bad int, msg string) {
	for i := range len(s) {
		if s[i] == '%' && (i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0) {
			return "", i, "not a percent-encoded byte; write % itself as %25"
		}
	}
	text, _ = url.QueryUnescape(s) // that was its only error
	switch {
	case strings.IndexByte(text, 0) >= 0:
		return "", 0, "%00 is a NUL byte; remove it"
	case !utf8.ValidString(text):
		return "", 0, "not UTF-8, which is all that pgjdbc reads"
	}
	return text, 0, ""
}
