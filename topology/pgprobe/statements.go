package pgprobe

import (
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/topology"
)

// The statements of one observation, in the order in which they are sent, all at once. They are executed one after the other. The
// order counts: see the package.
const (
	aboutReceiver = iota // before the position
	aboutSelf
	aboutSenders // after the position
	aboutSlots
	aboutArchiver
	aboutBlocked
	aboutControl
	aboutParameters
	aboutCollation
	aboutRights // the last one: it also tells whether the server was promoted meanwhile
	questions
)

// views name what each statement reads, for errors.
var views = [questions]string{
	aboutReceiver: "pg_stat_wal_receiver", aboutSelf: "server state", aboutSenders: "pg_stat_replication", aboutSlots: "pg_replication_slots",
	aboutArchiver: "pg_stat_archiver", aboutBlocked: "pg_stat_activity", aboutControl: "pg_control", aboutParameters: "pg_settings",
	aboutCollation: "pg_collation", aboutRights: "rights",
}

// statements returns what a server of that major is asked. Before 10, that is 9.6, for which 9 stands.
func statements(major int) [questions]string {
	all := [questions]string{
		aboutReceiver:   receiverSQL(major),
		aboutSelf:       selfSQL(major),
		aboutSenders:    sendersSQL(major),
		aboutSlots:      slotsSQL(major),
		aboutArchiver:   archiverSQL,
		aboutBlocked:    blockedSQL(major),
		aboutControl:    controlSQL,
		aboutParameters: parametersSQL(),
		aboutCollation:  collationSQL(major),
		aboutRights:     rightsSQL(major),
	}
	for i := range all {
		all[i] = spelled(major, all[i])
	}
	return all
}

// xlog spells the names of 10 and later as 9.6 does.
var xlog = strings.NewReplacer(
	"pg_current_wal_lsn", "pg_current_xlog_location",
	"pg_current_wal_flush_lsn", "pg_current_xlog_flush_location",
	"pg_last_wal_receive_lsn", "pg_last_xlog_receive_location",
	"pg_last_wal_replay_lsn", "pg_last_xlog_replay_location",
	"pg_is_wal_replay_paused", "pg_is_xlog_replay_paused",
	"pg_walfile_name", "pg_xlogfile_name",
	"min_recovery_end_lsn", "min_recovery_end_location",
	"checkpoint_lsn", "checkpoint_location",
	"redo_lsn", "redo_location",
	"sent_lsn", "sent_location",
	"write_lsn", "write_location",
	"flush_lsn", "flush_location",
	"replay_lsn", "replay_location",
	"pg_wal/", "pg_xlog/",
)

func spelled(major int, sql string) string {
	if major < 10 {
		return xlog.Replace(sql)
	}
	return sql
}

// since returns an expression for majors that have it, and what stands for it before.
func since(first, major int, expression, before string) string {
	if major >= first {
		return expression
	}
	return before
}

func receiverSQL(major int) string {
	return `
SELECT coalesce(status, ''), coalesce(conninfo, ''), coalesce(received_tli, 0), coalesce(slot_name, ''), last_msg_receipt_time,
       ` + since(11, major, "coalesce(sender_host, ''), coalesce(sender_port, 0)", "'', 0") + `,
       ` + since(13, major, "written_lsn::text, flushed_lsn::text", "NULL::text, received_lsn::text") + `, latest_end_lsn::text
  FROM pg_stat_wal_receiver WHERE pid IS NOT NULL`
}

// The timeline of a primary comes from the name of the WAL file it writes, since pg_control shows a new timeline only after the
// next checkpoint; that of a standby from its receiver, or else from pg_control.
//
// The inner row is computed once and from left to right, so a position that was received is replayed at least as far in the column
// after it: on an idle primary's standby the two are equal.
func selfSQL(major int) string {
	monitor := since(10, major, "pg_has_role('pg_read_all_stats', 'USAGE')", "current_setting('is_superuser')::bool")
	paused := since(14, major, "pg_get_wal_replay_pause_state()",
		"CASE WHEN pg_is_wal_replay_paused() THEN 'paused' ELSE 'not paused' END")
	return `
SELECT ` + monitor + `,
       current_setting('server_version_num')::int,
       (SELECT system_identifier FROM pg_control_system()),
       r.recovering,
       r.recovering OR current_setting('default_transaction_read_only')::bool,
       CASE WHEN NOT r.recovering THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
            ELSE greatest((SELECT received_tli FROM pg_stat_wal_receiver),
                          (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                          (SELECT timeline_id FROM pg_control_checkpoint())) END,
       CASE WHEN r.recovering THEN greatest(r.received, r.replayed) ELSE pg_current_wal_lsn() END::text,
       CASE WHEN r.recovering THEN r.received ELSE pg_current_wal_flush_lsn() END::text,
       CASE WHEN r.recovering THEN r.replayed END::text,
       CASE WHEN r.recovering THEN r.committed END,
       CASE WHEN r.recovering AND pg_is_in_recovery() THEN ` + paused + ` ELSE '' END,
       CASE WHEN NOT r.recovering OR r.received = r.replayed THEN 0
            WHEN r.received < r.replayed AND EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN 0
            ELSE greatest(coalesce(extract(epoch FROM clock_timestamp() - r.committed), 0), 0) END::float8,
       pg_postmaster_start_time(), pg_conf_load_time(), clock_timestamp(),
       current_setting('synchronous_standby_names')
  FROM (SELECT pg_is_in_recovery() AS recovering, pg_last_wal_receive_lsn() AS received, pg_last_wal_replay_lsn() AS replayed,
               pg_last_xact_replay_timestamp() AS committed OFFSET 0) r`
}

func sendersSQL(major int) string {
	lags := since(10, major, `coalesce(extract(epoch FROM write_lag), 0)::float8, coalesce(extract(epoch FROM flush_lag), 0)::float8,
       coalesce(extract(epoch FROM replay_lag), 0)::float8`, "0::float8, 0::float8, 0::float8")
	return `
SELECT coalesce(r.application_name, ''), coalesce(host(r.client_addr), ''), coalesce(r.state, ''), coalesce(r.sync_state, ''),
       coalesce(r.sync_priority, 0), coalesce(s.slot_name, ''),
       r.sent_lsn::text, r.write_lsn::text, r.flush_lsn::text, r.replay_lsn::text,
       ` + lags + `,
       r.backend_start, ` + since(12, major, "r.reply_time", "NULL::timestamptz") + `
  FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
 ORDER BY r.application_name, r.pid`
}

func slotsSQL(major int) string {
	return `
SELECT slot_name, slot_type = 'logical', ` + since(10, major, "temporary", "false") + `, active, restart_lsn::text,
       ` + since(13, major, `coalesce(wal_status, ''),
       CASE WHEN restart_lsn IS NULL OR safe_wal_size IS NULL THEN -1 ELSE greatest(safe_wal_size, 0) END`, "'', -1::bigint") + `,
       ` + since(17, major, "coalesce(invalidation_reason, ''), inactive_since", "'', NULL::timestamptz") + `
  FROM pg_replication_slots ORDER BY slot_name`
}

const archiverSQL = `
SELECT current_setting('archive_mode'), archived_count, failed_count,
       coalesce(last_archived_wal, ''), last_archived_time, coalesce(last_failed_wal, ''), last_failed_time
  FROM pg_stat_archiver`

func blockedSQL(major int) string {
	return since(10, major, `
SELECT count(*)::int, greatest(coalesce(extract(epoch FROM clock_timestamp() - min(state_change)), 0), 0)::float8
  FROM pg_stat_activity WHERE wait_event_type = 'IPC' AND wait_event = 'SyncRep'`, `SELECT 0, 0::float8`)
}

const controlSQL = `
SELECT s.pg_control_version, s.catalog_version_no, c.checkpoint_lsn::text, c.redo_lsn::text, c.timeline_id, c.checkpoint_time,
       r.min_recovery_end_lsn::text, r.min_recovery_end_timeline,
       i.bytes_per_wal_segment, i.database_block_size, i.wal_block_size, i.data_page_checksum_version <> 0
  FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_recovery() r, pg_control_init() i`

// The values of other parameters are not asked for, be they secret or not.
func parametersSQL() string {
	names := "ARRAY['" + strings.Join(topology.WatchedParameters(), "','") + "']"
	return `
SELECT name, CASE WHEN name = ANY (` + names + `) THEN current_setting(name) ELSE '' END,
       coalesce(source, ''), coalesce(sourcefile, ''), coalesce(sourceline, 0), pending_restart
  FROM pg_settings WHERE name = ANY (` + names + `) OR pending_restart`
}

// Before 13, only collations of ICU have versions.
func collationSQL(major int) string {
	return since(13, major, `
SELECT coalesce((SELECT pg_collation_actual_version(oid) FROM pg_collation
                  WHERE collprovider = 'c' AND pg_collation_actual_version(oid) IS NOT NULL LIMIT 1), '')`, `SELECT ''`)
}

// rightsSQL asks what the role may, so that nothing is asked for that would be refused: the server would log each refusal.
// Functions that read files check for superusers themselves in 10 and before.
func rightsSQL(major int) string {
	may := func(function string) string { return "has_function_privilege('" + function + "', 'EXECUTE')" }
	refused := may("pg_show_all_file_settings()")
	if major >= 10 {
		refused += " AND " + may("pg_hba_file_rules()")
	}
	if major >= 15 {
		refused += " AND " + may("pg_ident_file_mappings()")
	}
	return `
SELECT pg_is_in_recovery(), ` + refused + `, ` +
		since(11, major, may("pg_read_binary_file(text,bigint,bigint,boolean)"), "current_setting('is_superuser')::bool")
}

// The statements for those who may read files, sent after the others. pg_settings comes after pg_file_settings: looking at the files
// marks in this session which parameters wait for a restart.
const (
	fileSettingsSQL = `
SELECT coalesce(sourcefile, ''), coalesce(sourceline, 0), coalesce(name, ''), error FROM pg_show_all_file_settings() WHERE error IS NOT NULL`
	pendingSQL = `SELECT name FROM pg_settings WHERE pending_restart`
)

func accessRulesSQL(major int) string {
	return `
SELECT ` + since(16, major, "coalesce(file_name, '')", fileSetting("hba_file")) + `, coalesce(line_number, 0), '', error
  FROM pg_hba_file_rules() WHERE error IS NOT NULL`
}

func identMapsSQL(major int) string {
	return `
SELECT ` + since(16, major, "coalesce(file_name, '')", fileSetting("ident_file")) + `, coalesce(line_number, 0), '', error
  FROM pg_ident_file_mappings() WHERE error IS NOT NULL`
}

func fileSetting(name string) string {
	return "coalesce((SELECT setting FROM pg_settings WHERE name = '" + name + "'), '')"
}

func historySQL(major int, file string) string {
	const most = 1 << 20 // bytes; a switch of timelines takes less than a hundred
	return spelled(major, fmt.Sprintf("SELECT pg_read_binary_file('pg_wal/%s', 0, %d, true)", file, most))
}
