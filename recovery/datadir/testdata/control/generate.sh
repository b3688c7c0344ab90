#!/usr/bin/env bash
# Makes the vectors of ParseControl: what real servers of one major wrote to global/pg_control.
#
#   generate.sh BINDIR OUTDIR
#
# BINDIR holds initdb, postgres and pg_ctl of the major; psql comes from there or else from PATH. CONTROLDATA is a pg_controldata
# that knows the file's layout: that of any of 12 to 17 knows all of them. Without it the expected values come from the server's own
# SQL functions (pg_control_system and friends), which read the file from disk, and what they leave out from what the steps below
# made of it. Run it as an unprivileged user.
#
# For every vector MAJOR_NAME there are MAJOR_NAME.bin, the first 512 of the file's 8192 bytes (the rest is zero), and
# MAJOR_NAME.txt, what the server says is in it: the lines of pg_controldata but for the secret one, times in UTC.
set -euo pipefail
bin=$1 out=$(realpath "$2")
export LC_ALL=C TZ=UTC PATH="$bin:$PATH" PGUSER=postgres PGDATABASE=postgres
work=$(mktemp -d)
export PGHOST=$work PGPORT=5432
pids=()
cleanup() {
	for p in "${pids[@]}"; do kill -QUIT "$p" 2>/dev/null || true; done
	rm -rf "$work"
}
trap cleanup EXIT

major=$(postgres --version | sed -E 's/.* ([0-9]+).*/\1/')
sql() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }

start() { # DIR PORT [OPTION...]
	local dir=$1 port=$2
	shift 2
	postgres -D "$dir" -c listen_addresses= -c unix_socket_directories="$work" -c port="$port" -c wal_level=replica \
		-c max_wal_senders=5 -c hot_standby=on -c shared_buffers=16MB -c max_connections=41 -c max_worker_processes=6 \
		-c max_prepared_transactions=7 -c max_locks_per_transaction=70 -c track_commit_timestamp=on "$@" >>"$dir.log" 2>&1 &
	pids+=($!)
	for _ in $(seq 600); do
		sql -p "$port" -c 'select 1' >/dev/null 2>&1 && return
		sleep 0.1
	done
	cat "$dir.log" >&2
	return 1
}
stop() { pg_ctl -D "$1" -m fast -w stop >/dev/null; }
crash() { # every process of the server, at once
	local postmaster
	postmaster=$(head -1 "$1/postmaster.pid")
	ps -o pid= --ppid "$postmaster" | xargs kill -9 "$postmaster" 2>/dev/null || true
	while kill -0 "$postmaster" 2>/dev/null; do sleep 0.1; done
}

# says prints what a server says of a file: by pg_controldata, or by the functions of a server that has the file lent to it.
says() { # FILE STATE HINTS STARTED
	local dir
	if [[ -n ${CONTROLDATA:-} ]]; then
		dir=$(mktemp -d -p "$work")
		mkdir "$dir/global"
		cp "$1" "$dir/global/pg_control"
		"$CONTROLDATA" -D "$dir" | grep -v '^Mock authentication nonce'
		return
	fi
	if [[ ! -d $work/lender ]]; then
		initdb -D "$work/lender" -U postgres -A trust -N >/dev/null
		start "$work/lender" 6000 >&2
	fi
	cp "$work/lender/global/pg_control" "$work/lender.control"
	cp "$1" "$work/lender/global/pg_control"
	sql -p 6000 -F '' <<-SQL
		select 'pg_control version number:            ', pg_control_version from pg_control_system();
		select 'Catalog version number:               ', catalog_version_no from pg_control_system();
		select 'Database system identifier:           ', system_identifier from pg_control_system();
		select 'pg_control last modified:             ', to_char(pg_control_last_modified at time zone 'UTC', 'Dy Mon DD HH24:MI:SS YYYY') from pg_control_system();
		select 'Latest checkpoint location:           ', checkpoint_lsn from pg_control_checkpoint();
		select 'Latest checkpoint''s REDO location:    ', redo_lsn from pg_control_checkpoint();
		select 'Latest checkpoint''s TimeLineID:       ', timeline_id from pg_control_checkpoint();
		select 'Latest checkpoint''s PrevTimeLineID:   ', prev_timeline_id from pg_control_checkpoint();
		select 'Latest checkpoint''s full_page_writes: ', case when full_page_writes then 'on' else 'off' end from pg_control_checkpoint();
		select 'Latest checkpoint''s NextXID:          ', next_xid from pg_control_checkpoint();
		select 'Latest checkpoint''s oldestXID:        ', oldest_xid from pg_control_checkpoint();
		select 'Time of latest checkpoint:            ', to_char(checkpoint_time at time zone 'UTC', 'Dy Mon DD HH24:MI:SS YYYY') from pg_control_checkpoint();
		select 'Backup start location:                ', backup_start_lsn from pg_control_recovery();
		select 'Backup end location:                  ', backup_end_lsn from pg_control_recovery();
		select 'End-of-backup record required:        ', case when end_of_backup_record_required then 'yes' else 'no' end from pg_control_recovery();
		select 'Database block size:                  ', database_block_size from pg_control_init();
		select 'Minimum recovery ending location:     ', min_recovery_end_lsn from pg_control_recovery();
		select 'Min recovery ending loc''s timeline:   ', min_recovery_end_timeline from pg_control_recovery();
		select 'WAL block size:                       ', wal_block_size from pg_control_init();
		select 'Bytes per WAL segment:                ', bytes_per_wal_segment from pg_control_init();
		select 'Data page checksum version:           ', data_page_checksum_version from pg_control_init();
	SQL
	if ((major == 10)); then
		sql -p 6000 -F '' -c "select 'Prior checkpoint location:            ', prior_lsn from pg_control_checkpoint()"
	fi
	cp "$work/lender.control" "$work/lender/global/pg_control"
	echo "Database cluster state:               $2"
	echo "wal_log_hints setting:                $3"
	if [[ $4 == started ]]; then
		echo "wal_level setting:                    replica"
		echo "max_connections setting:              41"
		echo "max_worker_processes setting:         6"
		echo "max_prepared_xacts setting:           7"
		echo "max_locks_per_xact setting:           70"
		echo "track_commit_timestamp setting:       on"
	fi
}

caught_up() { # the standby on 5433 has replayed what the primary wrote
	local end
	end=$(sql -c 'select pg_current_wal_flush_lsn()')
	for _ in $(seq 600); do
		[[ $(sql -p 5433 -c "select pg_last_wal_replay_lsn() >= '$end'") == t ]] && return
		sleep 0.1
	done
	tail "$work/c.log" >&2
	return 1
}

vector() { # DIR NAME STATE HINTS [STARTED]
	cp "$1/global/pg_control" "$work/vector"
	head -c 512 "$work/vector" >"$out/${major}_$2.bin"
	says "$work/vector" "$3" "$4" "${5:-started}" >"$out/${major}_$2.txt"
	grep -qx "Database cluster state: *$3" "$out/${major}_$2.txt"
	grep -qx "wal_log_hints setting: *$4" "$out/${major}_$2.txt"
}

keep=wal_keep_size=256MB small=() nosums=()
if ((major < 13)); then keep=wal_keep_segments=64; fi
if ((major >= 11)); then small=(--wal-segsize=1); fi
if ((major >= 18)); then nosums=(--no-data-checksums); fi

# A primary with checksums.
initdb -D "$work/a" -U postgres -A trust -k >/dev/null
start "$work/a" 5432
sql -c 'create table t as select generate_series(1, 1000)' -c checkpoint
stop "$work/a"
vector "$work/a" clean 'shut down' off
start "$work/a" 5432
sql -c 'insert into t select generate_series(1, 1000)' -c checkpoint -c 'insert into t values (1)'
crash "$work/a"
vector "$work/a" killed 'in production' off

# Neither checksums nor hints, so pg_rewind would refuse it; small segments where initdb can choose.
initdb -D "$work/b" -U postgres -A trust "${nosums[@]}" "${small[@]}" >/dev/null
vector "$work/b" initdb 'shut down' off never

# The same with hints, and a standby of it.
start "$work/b" 5432 -c wal_log_hints=on -c "$keep"
stop "$work/b"
cp -a "$work/b" "$work/c"
upstream="primary_conninfo = 'host=$work port=5432 user=postgres'"
if ((major < 12)); then
	printf '%s\n' "standby_mode = on" "recovery_target_timeline = latest" "$upstream" >"$work/c/recovery.conf"
else
	touch "$work/c/standby.signal"
	echo "$upstream" >>"$work/c/postgresql.conf"
fi
start "$work/b" 5432 -c wal_log_hints=on -c "$keep"
start "$work/c" 5433 -c wal_log_hints=on
sql -c 'create table t as select generate_series(1, 20000)' -c checkpoint -c 'create table u as select generate_series(1, 20000)'
caught_up
sql -p 5433 -c checkpoint
vector "$work/c" standby 'in archive recovery' on
stop "$work/c"
vector "$work/c" standby_stopped 'shut down in recovery' on

# Promoted, and not yet through its first checkpoint: that is still the old timeline's, the minimum recovery point is not.
start "$work/c" 5433 -c wal_log_hints=on
sql -c 'update t set generate_series = 0' -c 'update u set generate_series = 0'
caught_up
pg_ctl -D "$work/c" -w promote >/dev/null
crash "$work/c"
vector "$work/c" promoted_killed 'in production' on

# A backup of a running primary in the middle of its recovery, without the WAL to its end.
cp -a "$work/a" "$work/d"
start "$work/d" 5434
begin="pg_backup_start('copy', true)" end="pg_backup_stop(false)"
if ((major < 15)); then
	begin="pg_start_backup('copy', true, false)" end="pg_stop_backup(false, false)"
fi
sql -p 5434 <<-SQL
	\o /dev/null
	select $begin;
	\! cp -a $work/d $work/e
	select labelfile from $end \gset
	\o $work/e/backup_label
	\qecho -n :labelfile
SQL
rm "$work/e/postmaster.pid"
if ((major < 12)); then
	echo "standby_mode = on" >"$work/e/recovery.conf"
else
	touch "$work/e/standby.signal"
fi
postgres -D "$work/e" -c listen_addresses= -c unix_socket_directories="$work" -c port=5435 -c hot_standby=on -c shared_buffers=16MB \
	-c max_wal_senders=5 -c max_connections=41 -c max_worker_processes=6 -c max_prepared_transactions=7 \
	-c max_locks_per_transaction=70 -c track_commit_timestamp=on >"$work/e.log" 2>&1 &
pids+=($!)
until grep -q 'redo starts at' "$work/e.log"; do sleep 0.1; done
crash "$work/e"
vector "$work/e" backup 'in archive recovery' off
