package guc

import (
	"slices"
	"sync"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// changedDefault is a parameter that does something else in another major if it is not set.
type changedDefault struct {
	name, before, after, why string
	severity                 Severity
	pinnable                 bool // the new major takes the old default
}

// step is a translation from a major to another one.
type step struct{ from, to pgconf.Major }

// steps holds what changedDefaults found, a []changedDefault for each step: it is the same each time.
var steps sync.Map

// changedDefaults returns what differs between two majors for a configuration that sets nothing, ordered by name.
func changedDefaults(from, to pgconf.Major) []changedDefault {
	if known, ok := steps.Load(step{from, to}); ok {
		return known.([]changedDefault)
	}
	var all []changedDefault
	for _, p := range Params(to) {
		name := ascii.Lower(p.Name)
		before, ok := oldDefault(from, to, name)
		after := p.shownDefault()
		if !ok || before == after || p.Context == Internal || p.Hidden || p.Varies || slices.Contains(respelledDefaults, name) {
			continue
		}
		d := changedDefault{name, before, after, "the default changed", Info, Validate(to, name, before) == nil}
		if effect, ok := defaultEffects[name]; ok {
			d.why, d.severity = effect, Warning
		}
		all = append(all, d)
	}
	steps.Store(step{from, to}, all)
	return all
}

// oldDefault returns the default that a parameter had in the old major, in the words of the new one. It is not ok for one that
// the old major does not have under that name, or not in every build.
func oldDefault(from, to pgconf.Major, name string) (string, bool) {
	p, ok := Lookup(from, name)
	if !ok || ascii.Lower(p.Name) != name || p.Varies {
		return "", false
	}
	text := p.shownDefault()
	if convert := conversions[name]; convert != nil {
		text = convert(Translation{From: from, To: to}, text).value
	}
	return text, true
}

// defaultEffects are the changes of defaults that a user may notice, by parameter.
var defaultEffects = map[string]string{
	"autovacuum_vacuum_cost_delay":    "autovacuum works harder from 12 on",
	"checkpoint_completion_target":    "checkpoints are spread over more time from 14 on",
	"effective_cache_size":            "plans may change from 9.4 on",
	"effective_io_concurrency":        "plans may change from 18 on, and more is read ahead",
	"extra_float_digits":              "floats are printed exactly from 12 on",
	"hash_mem_multiplier":             "hash tables take twice the memory from 15 on",
	"hot_standby":                     "a standby lets clients in from 10 on",
	"jit":                             "expensive queries are compiled from 12 on",
	"log_autovacuum_min_duration":     "long runs of autovacuum are logged from 15 on",
	"log_checkpoints":                 "checkpoints are logged from 15 on",
	"log_directory":                   "log files are in log from 10 on",
	"log_line_prefix":                 "log lines begin with time and process id from 10 on",
	"max_parallel_workers_per_gather": "queries run in parallel from 10 on",
	"max_replication_slots":           "replication slots can be made from 10 on",
	"max_wal_senders":                 "standbys and backups can connect from 10 on, if pg_hba.conf lets them",
	"password_encryption":             "new passwords get a SCRAM hash from 14 on, which old clients cannot use",
	"ssl_min_protocol_version":        "clients without TLS 1.2 are refused from 13 on",
	"standard_conforming_strings":     "a backslash in a string of SQL is a backslash from 9.1 on",
	"wal_level":                       "there is enough WAL for archiving and standbys from 10 on, and more of it",
	"work_mem":                        "plans may change from 9.4 on",
}

// respelledDefaults are defaults that differ in spelling only, or that initdb or the machine decides.
var respelledDefaults = []string{
	"search_path", "transaction_isolation", "timezone", "log_timezone", "ssl_ciphers", "ssl_ecdh_curve", "shared_buffers", "log_connections", "timezone_abbreviations",
	"track_activity_query_size",
}
