package archivecli

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// isStandby reports whether the data directory says that its server is a standby: standby.signal (12+), or
// standby_mode in recovery.conf (up to 11). What cannot be read says nothing, and then the stricter rule holds.
func isStandby(dataDir string) bool {
	if _, err := os.Stat(filepath.Join(dataDir, "standby.signal")); err == nil {
		return true
	}
	name := filepath.Join(dataDir, "recovery.conf")
	b, err := os.ReadFile(name)
	if err != nil {
		return false
	}
	f, err := pgconf.Parse(name, b)
	if err != nil {
		return false
	}
	s, ok := f.Get("standby_mode")
	return ok && isTrue(s.Value)
}

// isTrue reads a boolean as the server does (parse_bool in bool.c): any case, and prefixes of true and yes.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "on", "1", "t", "tr", "tru", "true", "y", "ye", "yes":
		return true
	}
	return false
}
