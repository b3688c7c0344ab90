package guc

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// change is what becomes of a value.
type change struct {
	value    string
	why      string
	severity Severity
	drop     bool // comment the line out
	left     bool // leave it for somebody to decide
}

// conversions are the parameters whose values changed their meaning or spelling while the name stayed. What Parse sees
// by itself is not here: fractions, units and words that another major refuses.
var conversions = map[string]func(t Translation, value string) change{
	"archive_mode":               turnArchiveMode,
	"default_with_oids":          turnOIDs,
	"dynamic_shared_memory_type": turnSharedMemory,
	"log_connections":            turnLogConnections,
	"max_wal_size":               turnWALSize,
	"min_wal_size":               turnWALSize,
	"password_encryption":        turnPasswordEncryption,
	"ssl_renegotiation_limit":    turnRenegotiation,
	"synchronous_commit":         turnSynchronousCommit,
	"synchronous_standby_names":  turnSyncNames,
	"wal_compression":            turnWALCompression,
	"wal_level":                  turnWALLevel,
	"archive_command":            turnCommand("pf"),
	"restore_command":            turnCommand("pfr"),
	"archive_cleanup_command":    turnCommand("r"),
	"recovery_end_command":       turnCommand("r"),
}

func isTrue(value string) bool {
	n, err := parseBool(value)
	return err == nil && n == 1
}

func isBool(value string) bool {
	_, err := parseBool(value)
	return err == nil
}

func turnWALLevel(t Translation, value string) change {
	word := ascii.Lower(value)
	switch {
	case t.To >= pgconf.V9_6 && (word == "archive" || word == "hot_standby"):
		return change{value: "replica", why: "9.6 made one level of archive and hot_standby"}
	case t.To < pgconf.V9_6 && word == "replica":
		return change{value: "hot_standby", why: "up to 9.5 it is called so"}
	case t.To < pgconf.V9_4 && word == "logical":
		return change{value: "hot_standby", why: "logical decoding came with 9.4", severity: Warning}
	}
	return change{value: value}
}

func turnPasswordEncryption(t Translation, value string) change {
	word := ascii.Lower(value)
	switch {
	case t.To >= 10 && isTrue(value):
		return change{value: "md5", why: "it names the kind of hash from 10 on; better still is scram-sha-256"}
	case t.To >= 10 && isBool(value):
		return change{value: "md5", why: "from 10 on passwords are never stored in clear text", severity: Warning}
	case t.To < 10 && word == "md5":
		return change{value: "on", why: "up to 9.6 it says whether, not how"}
	case t.To < 10 && word == "scram-sha-256":
		return change{value: "on", why: "up to 9.6 there is MD5 only; passwords with a SCRAM hash must be set anew", severity: Warning}
	}
	return change{value: value}
}

func turnWALCompression(t Translation, value string) change {
	switch {
	case t.To >= 15 && isTrue(value):
		return change{value: "pglz", why: "it names the method from 15 on; lz4 and zstd may do better"}
	case t.To < 15 && !isBool(value) && ascii.Lower(value) == "pglz":
		return change{value: "on", why: "up to 14 there is no other method"}
	case t.To < 15 && !isBool(value):
		return change{value: "on", why: "up to 14 there is pglz only", severity: Warning}
	}
	return change{value: value}
}

func turnArchiveMode(t Translation, value string) change {
	if t.To < pgconf.V9_5 && ascii.Lower(value) == "always" {
		return change{value: "on", why: "up to 9.4 a standby does not archive", severity: Warning}
	}
	return change{value: value}
}

func turnSynchronousCommit(t Translation, value string) change {
	word := ascii.Lower(value)
	if word == "remote_apply" && t.To < pgconf.V9_6 || word == "remote_write" && t.To < pgconf.V9_2 || word == "local" && t.To < pgconf.V9_1 {
		return change{value: "on", why: fmt.Sprintf("PostgreSQL %s does not have that level", t.To), severity: Warning}
	}
	return change{value: value}
}

func turnLogConnections(t Translation, value string) change {
	if t.To >= 18 || isBool(value) {
		return change{value: value}
	}
	to := change{value: "on", why: "up to 17 it is on or off"}
	if strings.TrimSpace(value) == "" {
		to.value = "off"
	}
	return to
}

func turnOIDs(t Translation, value string) change {
	if t.To >= 12 && isTrue(value) {
		return change{drop: true, why: "gone in 12: tables have no oids", severity: Warning}
	}
	return change{value: value}
}

func turnSharedMemory(t Translation, value string) change {
	if t.To >= 12 && ascii.Lower(value) == "none" {
		return change{drop: true, why: "none is gone in 12; set max_parallel_workers = 0 for no parallel queries", severity: Warning}
	}
	return change{value: value}
}

func turnRenegotiation(t Translation, value string) change {
	if t.To >= pgconf.V9_5 && Validate(t.To, "ssl_renegotiation_limit", value) != nil {
		return change{drop: true, why: "gone in 9.5: TLS sessions are not renegotiated", severity: Info}
	}
	return change{value: value}
}

// turnWALSize gives a bare number of max_wal_size and min_wal_size its unit, which was a WAL segment in 9.5 and 9.6 and is MB
// from 10 on.
func turnWALSize(t Translation, value string) change {
	n, err := Parse(t.From, "max_wal_size", value)
	inSegments := func(m pgconf.Major) bool { return m < 10 }
	if err != nil || inSegments(t.From) == inSegments(t.To) || !isDigit(value[len(value)-1]) {
		return change{value: value}
	}
	mb := n.number
	if inSegments(t.From) {
		mb *= t.segmentMB()
	}
	return change{value: sizeText(mb), why: "a bare number is in WAL segments up to 9.6 and in MB from 10 on"}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// sizeText writes a size, in the largest unit that every major knows and that divides it.
func sizeText(mb float64) string {
	if mb > 0 && math.Mod(mb, 1024) == 0 {
		return strconv.FormatFloat(mb/1024, 'f', -1, 64) + "GB"
	}
	return strconv.FormatFloat(mb, 'f', -1, 64) + "MB"
}

// turnCommand escapes a % that is literal up to 15 and an error from 16 on. What it writes means the same in every major.
func turnCommand(letters string) func(t Translation, value string) change {
	return func(t Translation, value string) change {
		escaped := escapePlaceholders(value, letters)
		if t.To >= 16 && escaped != value {
			return change{value: escaped, why: "from 16 on a % that is no placeholder is an error, and %% stands for one"}
		}
		if dir := oldDirectory(value); dir != "" && t.To >= 10 {
			return change{left: true, severity: Warning, why: fmt.Sprintf("it names %s, which is %s from 10 on; look whether it means this server's", dir, renamedDirectories[dir])}
		}
		return change{value: value}
	}
}

// turnSyncNames follows the grammar of synchronous_standby_names: a plain list up to 9.5, "N (list)" from 9.6, FIRST and ANY from
// 10 on.
func turnSyncNames(t Translation, value string) change {
	list, err := ParseSyncNames(t.From, value)
	if err != nil || means(t.To, value, list) {
		return change{value: value}
	}
	if text := list.String(); means(t.To, text, list) {
		return change{value: text, why: "the grammar is another one; names in double quotes are always right"}
	}
	return change{left: true, severity: Error, why: fmt.Sprintf("PostgreSQL %s cannot wait for standbys in that way", t.To)}
}

// means reports whether a major reads a value of synchronous_standby_names as the list.
func means(m pgconf.Major, value string, list SyncNames) bool {
	now, err := ParseSyncNames(m, value)
	return err == nil && now.Quorum == list.Quorum && now.Num == list.Num &&
		slices.EqualFunc(now.Names, list.Names, func(a, b string) bool { return ascii.Lower(a) == ascii.Lower(b) })
}

// convertValue turns the value of a parameter into that of the one in fate.To, forward or backward in time. The second
// result says why that is not possible.
func convertValue(t Translation, fate Fate, value string) (string, string) {
	forward := fate.Major <= t.To
	switch fate.Convert {
	case SegmentsToSize, CheckpointsToMax:
		factor := t.segmentMB()
		if fate.Convert == CheckpointsToMax {
			factor *= 3
		}
		return convertSegments(fate, value, factor, forward)
	case PauseToAction:
		return pauseToAction(value, forward)
	}
	switch fate.To {
	case "unix_socket_directories":
		if strings.ContainsAny(value, "\", \t\n\r") {
			value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
		}
	case "unix_socket_directory":
		if strings.ContainsAny(value, `,"`) {
			return "", "there can be one folder only"
		}
		value = strings.TrimSpace(value)
	case "ssl_ecdh_curve":
		value, _, _ = strings.Cut(value, ":")
	}
	return value, ""
}

// convertSegments turns a number of something into its size or back, then rounding up.
func convertSegments(fate Fate, value string, mbEach float64, forward bool) (string, string) {
	known := fate.Major - 1 // the last major that has the old name
	if !forward {
		known = fate.Major
	}
	v, err := Parse(known, fate.Name, value)
	if err != nil {
		return "", err.Error()
	}
	n, _ := v.Number()
	if forward {
		return sizeText(n * mbEach), ""
	}
	if known < 10 {
		n *= 16 // max_wal_size of 9.5 and 9.6
	}
	return strconv.FormatFloat(math.Ceil(n/mbEach), 'f', -1, 64), ""
}

func pauseToAction(value string, forward bool) (string, string) {
	switch {
	case forward && isTrue(value):
		return "pause", ""
	case forward && isBool(value):
		return "promote", ""
	case forward:
		return "", "its value is no boolean"
	}
	switch ascii.Lower(value) {
	case "pause":
		return "true", ""
	case "promote":
		return "false", ""
	}
	return "", "up to 9.4 there is only pause or promote"
}
