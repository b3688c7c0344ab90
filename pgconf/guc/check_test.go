package guc_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// TestRules: what the rules of single parameters make of values. The oracle tests let servers judge the same rules.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		major       pgconf.Major
		name, value string
		want        string
	}{
		{15, "application_name", "a\té~", "a???~"},
		{16, "application_name", "a\té~", `a\x09\xc3\xa9~`},
		{16, "cluster_name", "\x7f", `\x7f`},
		{16, "autovacuum_work_mem", "64", "1024"},
		{17, "autovacuum_work_mem", "1", "64"},
		{17, "autovacuum_work_mem", "-1", "-1"},
		{14, "backtrace_functions", "a, b\n", "a, b\n"},
		{14, "backtrace_functions", "a;", refused},
		{14, "log_destination", "stderr,JSONLOG", refused},
		{15, "log_destination", "stderr,JSONLOG", "stderr,JSONLOG"},
		{15, "log_destination", "eventlog", "eventlog"},
		{15, "log_destination", "stderr csvlog", refused},
		{15, "DateStyle", "iso", "ISO, MDY"},
		{15, "DateStyle", "german", "German, DMY"},
		{15, "DateStyle", "german, us", "German, MDY"},
		{15, "DateStyle", "postgresql, european", "Postgres, DMY"},
		{15, "DateStyle", "", "ISO, MDY"},
		{15, "DateStyle", "sql,iso", refused},
		{15, "DateStyle", "sql sql", refused},
		{15, "primary_slot_name", strings.Repeat("a", 63), strings.Repeat("a", 63)},
		{15, "primary_slot_name", strings.Repeat("a", 64), refused},
		{15, "primary_slot_name", "A", refused},
		{17, "synchronized_standby_slots", "a, B", "a, B"},
		{17, "synchronized_standby_slots", "a, b-c", refused},
		{12, "recovery_target", "immediate", "immediate"},
		{12, "recovery_target", "later", refused},
		{12, "recovery_target_lsn", "16/B374D848", "16/B374D848"},
		{12, "recovery_target_lsn", "16/", refused},
		{12, "recovery_target_lsn", "123456789/0", refused},
		{12, "recovery_target_name", strings.Repeat("a", 64), refused},
		{12, "recovery_target_time", "now", refused},
		{12, "recovery_target_time", "2020-01-01", "2020-01-01"},
		{12, "recovery_target_timeline", "latest", "latest"},
		{12, "recovery_target_timeline", "99999999999999999999", refused},
		{12, "recovery_target_xid", "0xfffffffffffffffff", refused},
		{12, "recovery_target_xid", "-1", "-1"},
		{12, "recovery_target_xid", "x", "x"},
		{17, "log_connections", "t", "on"},
		{18, "log_connections", "t", refused},
		{18, "log_connections", "ON", "ON"},
		{18, "log_connections", "on, receipt", refused},
		{18, "log_connections", "receipt, All", "receipt, All"},
		{11, "default_with_oids", "on", "on"},
		{12, "default_with_oids", "on", refused},
		{12, "default_with_oids", "off", "off"},
		{12, "default_table_access_method", "", refused},
		{18, "io_max_concurrency", "0", refused},
		{18, "io_max_concurrency", "-1", "-1"},
		{17, "notify_buffers", "24", refused},
		{17, "notify_buffers", "32", "32"},
		{16, "vacuum_buffer_usage_limit", "0", "0"},
		{16, "vacuum_buffer_usage_limit", "127", refused},
		{16, "vacuum_buffer_usage_limit", "128", "128"},
		{15, "wal_buffers", "3", "4"},
		{15, "wal_buffers", "-1", "-1"},
		{15, "wal_consistency_checking", "Heap, all", "Heap, all"},
		{15, "wal_consistency_checking", "xlog", refused},
		{16, "createrole_self_grant", "set, inherit", "set, inherit"},
		{16, "createrole_self_grant", "admin", refused},
		{16, "search_path", "a,\vb", "a,\vb"},
		{16, "search_path", "a\vb", "a\vb"},
		{17, "search_path", "a\vb", refused},
		{17, "temp_tablespaces", "a b", refused},
		{15, "synchronous_standby_names", "ANY 1 (a", refused},
	} {
		got := refused
		if v, err := guc.Parse(c.major, c.name, c.value); err == nil {
			got = v.Setting()
		} else {
			var no *guc.ValueError
			require.ErrorAs(t, err, &no)
			require.Contains(t, []guc.Refusal{guc.OwnRule, guc.NotBool}, no.Kind, c.name)
		}
		require.Equal(t, c.want, got, "%s: %s = %q", c.major, c.name, c.value)
	}
}

// TestShownReals: a real number is shown in the largest unit in which it is nearly whole.
func TestShownReals(t *testing.T) {
	for text, want := range map[string]string{
		"2": "2ms", "0.5": "500us", "1.00000001": "1ms", "1.0001": "1000.1us", "0": "0", "100": "100ms", "0.3333333": "333.333us",
	} {
		v, err := guc.Parse(17, "vacuum_cost_delay", text)
		require.NoError(t, err)
		require.Equal(t, want, v.String(), text)
	}
}
