package pgprobe

import (
	"strconv"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// upstream returns host and port of the connection string in pg_stat_wal_receiver, in which the server has masked the
// password. sender_host would be simpler but is missing in 10. Unreadable text gives no host: it is a detail of the
// picture, not worth losing the observation.
func upstream(text string) (host string, port int) {
	info, err := conninfo.Parse(text)
	if err != nil {
		return "", 0
	}
	host, _ = info.Get("host")
	if p, ok := info.Get("port"); ok {
		port, _ = strconv.Atoi(p)
	}
	return host, port
}
