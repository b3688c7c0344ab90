package guc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// check is a rule of one parameter, as the check hooks of the server have them. It returns what the server makes of the value.
type check func(p Param, v Value) (Value, error)

// checks are the rules that can be decided without a server.
var checks = map[string]check{
	"application_name":                 printable,
	"autovacuum_work_mem":              autovacuumWorkMem,
	"backtrace_functions":              backtraceFunctions,
	"cluster_name":                     printable,
	"commit_timestamp_buffers":         sixteenPages,
	"createrole_self_grant":            wordList("set", "inherit"),
	"datestyle":                        dateStyle,
	"debug_io_direct":                  wordList("data", "wal", "wal_init"),
	"default_table_access_method":      notEmpty,
	"default_with_oids":                onlyOff,
	"io_max_concurrency":               notZero,
	"listen_addresses":                 nameList,
	"log_connections":                  logConnections,
	"log_destination":                  logDestination,
	"multixact_member_buffers":         sixteenPages,
	"multixact_offset_buffers":         sixteenPages,
	"notify_buffers":                   sixteenPages,
	"primary_slot_name":                slotName,
	"recovery_target":                  recoveryTarget,
	"recovery_target_lsn":              recoveryTargetLSN,
	"recovery_target_name":             recoveryTargetName,
	"recovery_target_time":             recoveryTargetTime,
	"recovery_target_timeline":         recoveryTargetTimeline,
	"recovery_target_xid":              recoveryTargetXID,
	"restrict_nonsystem_relation_kind": wordList("view", "foreign-table"),
	"search_path":                      nameList,
	"serializable_buffers":             sixteenPages,
	"subtransaction_buffers":           sixteenPages,
	"synchronized_standby_slots":       slotNames,
	"synchronous_standby_names":        syncNames,
	"temp_tablespaces":                 nameList,
	"transaction_buffers":              sixteenPages,
	"unix_socket_directories":          folderList,
	"vacuum_buffer_usage_limit":        vacuumBufferUsageLimit,
	"wal_buffers":                      walBuffers,
	"wal_consistency_checking":         wordList("all", "heap2", "heap", "btree", "hash", "gin", "gist", "sequence", "spgist", "brin", "generic"),
}

// printable replaces what is not printable ASCII, as pg_clean_ascii of the server does.
func printable(p Param, v Value) (Value, error) {
	var b strings.Builder
	for i := range len(v.text) {
		switch c := v.text[i]; {
		case ' ' <= c && c <= '~':
			b.WriteByte(c)
		case p.Major < 16:
			b.WriteByte('?')
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	v.text = b.String()
	return v, nil
}

// autovacuumWorkMem raises small values, but for -1.
func autovacuumWorkMem(p Param, v Value) (Value, error) {
	least := 1024.0
	if p.Major >= 17 {
		least = 64
	}
	if v.number != -1 {
		v.number = max(v.number, least)
	}
	return v, nil
}

// walBuffers raises small values, but for -1.
func walBuffers(_ Param, v Value) (Value, error) {
	if v.number != -1 {
		v.number = max(v.number, 4)
	}
	return v, nil
}

func sixteenPages(_ Param, v Value) (Value, error) {
	if int(v.number)%16 != 0 {
		return v, ruleError("takes multiples of 16 blocks, which are 128kB")
	}
	return v, nil
}

func vacuumBufferUsageLimit(_ Param, v Value) (Value, error) {
	if v.number != 0 && v.number < 128 {
		return v, ruleError("takes 0 or 128kB to 16777216kB")
	}
	return v, nil
}

func notZero(_ Param, v Value) (Value, error) {
	if v.number == 0 {
		return v, ruleError("takes -1 or 1 to 1024, not 0")
	}
	return v, nil
}

// onlyOff: from 12 on, default_with_oids is there so that old dumps can turn it off.
func onlyOff(p Param, v Value) (Value, error) {
	if p.Major >= 12 && v.number != 0 {
		return v, ruleError("takes off only; tables with OIDs are gone since 12")
	}
	return v, nil
}

func notEmpty(_ Param, v Value) (Value, error) {
	if v.text == "" || len(v.text) > maxIdentifier {
		return v, ruleError("takes a name of 1 to 63 bytes")
	}
	return v, nil
}

// folderList wants a list of folders.
func folderList(p Param, v Value) (Value, error) {
	if _, ok := splitDirectories(p.Major, v.text); !ok {
		return v, ruleError("takes a list of folders with commas between them; quote a folder with a comma, as in \"/a,b\"")
	}
	return v, nil
}

// nameList wants a list of names.
func nameList(p Param, v Value) (Value, error) {
	_, err := p.names(v.text)
	return v, err
}

func (p Param) names(list string) ([]string, error) {
	names, ok := SplitNames(p.Major, list)
	if !ok {
		return nil, ruleError("takes a list of names with commas between them; quote a name with a blank, as in \"a b\"")
	}
	return names, nil
}

// wordList wants a list of these words, in any case.
func wordList(words ...string) check {
	return func(p Param, v Value) (Value, error) {
		names, err := p.names(v.text)
		if err != nil {
			return v, err
		}
		for _, name := range names {
			if !slices.Contains(words, ascii.Lower(name)) {
				return v, ruleError("takes a list of " + strings.Join(words, ", "))
			}
		}
		return v, nil
	}
}

func logDestination(p Param, v Value) (Value, error) {
	words := []string{"stderr", "csvlog", "syslog", "eventlog"}
	if p.Major >= 15 {
		words = append(words, "jsonlog")
	}
	return wordList(words...)(p, v)
}

// logConnections is a list from 18 on. It may be a boolean instead, but not an abbreviated one.
func logConnections(p Param, v Value) (Value, error) {
	if p.Type != String {
		return v, nil
	}
	booleans := []string{"on", "off", "true", "false", "yes", "no", "1", "0"}
	if names, _ := SplitNames(p.Major, v.text); len(names) == 1 && slices.Contains(booleans, ascii.Lower(names[0])) {
		return v, nil
	}
	return wordList("receipt", "authentication", "authorization", "setup_durations", "all")(p, v)
}

// dateStyle completes the value as the server does: a style and an order, of which each has a default.
func dateStyle(p Param, v Value) (Value, error) {
	names, err := p.names(v.text)
	if err != nil {
		return v, err
	}
	var style, order string
	set := func(place *string, word string) {
		if *place != "" && *place != word {
			err = ruleError("the words contradict each other")
		}
		*place = word
	}
	for _, name := range names {
		switch name = ascii.Lower(name); {
		case name == "iso":
			set(&style, "ISO")
		case name == "sql":
			set(&style, "SQL")
		case strings.HasPrefix(name, "postgres"):
			set(&style, "Postgres")
		case name == "german":
			set(&style, "German")
		case name == "ymd":
			set(&order, "YMD")
		case name == "dmy", strings.HasPrefix(name, "euro"):
			set(&order, "DMY")
		case name == "mdy", name == "us", strings.HasPrefix(name, "noneuro"):
			set(&order, "MDY")
		case name == "default":
		default:
			return v, ruleError("takes ISO, SQL, Postgres or German and YMD, DMY or MDY")
		}
	}
	if style == "" {
		style = "ISO"
	}
	if order == "" && style == "German" {
		order = "DMY"
	}
	if order == "" {
		order = "MDY"
	}
	v.text = style + ", " + order
	return v, err
}

func backtraceFunctions(_ Param, v Value) (Value, error) {
	if spanOf(v.text, letters+decimalDigits+", \n\t") < len(v.text) {
		return v, ruleError("takes a list of function names")
	}
	return v, nil
}

const slotNameBytes = "abcdefghijklmnopqrstuvwxyz_" + decimalDigits

func isSlotName(s string) bool {
	return s != "" && len(s) <= maxIdentifier && spanOf(s, slotNameBytes) == len(s)
}

func slotName(_ Param, v Value) (Value, error) {
	if v.text != "" && !isSlotName(v.text) {
		return v, ruleError("takes a slot name of at most 63 lower-case letters, digits and underscores")
	}
	return v, nil
}

func slotNames(p Param, v Value) (Value, error) {
	names, err := p.names(v.text)
	if err != nil {
		return v, err
	}
	for _, name := range names {
		if !isSlotName(name) {
			return v, ruleError("takes a list of slot names of lower-case letters, digits and underscores")
		}
	}
	return v, nil
}

func recoveryTarget(_ Param, v Value) (Value, error) {
	if v.text != "" && v.text != "immediate" {
		return v, ruleError("takes immediate or nothing")
	}
	return v, nil
}

func recoveryTargetName(_ Param, v Value) (Value, error) {
	if len(v.text) > maxIdentifier {
		return v, ruleError("takes a name of at most 63 bytes")
	}
	return v, nil
}

// recoveryTargetTime only knows the words that the server refuses; the rest is up to the server.
func recoveryTargetTime(_ Param, v Value) (Value, error) {
	if slices.Contains([]string{"now", "today", "tomorrow", "yesterday", "epoch", "infinity", "-infinity"}, v.text) {
		return v, ruleError("takes a date with a time, not a word")
	}
	return v, nil
}

func recoveryTargetLSN(_ Param, v Value) (Value, error) {
	high, low, ok := strings.Cut(v.text, "/")
	hex := func(s string) bool { return s != "" && len(s) <= 8 && spanOf(s, hexDigits) == len(s) }
	if v.text != "" && !(ok && hex(high) && hex(low)) {
		return v, ruleError("takes a WAL position such as 0/3000148")
	}
	return v, nil
}

// recoveryTargetTimeline and recoveryTargetXID are no stricter than the server, which reads any text as a number, if need be
// as 0, and refuses only what does not fit into 64 bits.
func recoveryTargetTimeline(_ Param, v Value) (Value, error) {
	if v.text == "current" || v.text == "latest" {
		return v, nil
	}
	return recoveryTargetXID(Param{}, v)
}

func recoveryTargetXID(_ Param, v Value) (Value, error) {
	_, number := cutSign(strings.TrimLeft(v.text, cSpace))
	base, digits, _ := cDigits(number)
	if _, err := strconv.ParseUint(digits, base, 64); digits != "" && err != nil {
		return v, ruleError("takes a number of at most 64 bits")
	}
	return v, nil
}

func syncNames(p Param, v Value) (Value, error) {
	_, err := parseSyncNames(p.Major, v.text)
	return v, err
}
