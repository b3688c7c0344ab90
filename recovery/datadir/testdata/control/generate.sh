#!/usr/bin/env bash
# Makes the vectors of ParseControl: what real servers of one major wrote to global/pg_control.
#
#   generate.sh BINDIR OUTDIR
#
# BINDIR holds initdb, postgres and pg_ctl of the major; psql and pg_controldata come from there or else from PATH.
# pg_controldata must know the file's version (that of any of 13 to 16 knows all four); without it, or with NO_CONTROLDATA=1, the
# expected values come from the server's own SQL functions (pg_control_system and friends), which read the file from disk, and
# the two facts that they leave out are what the steps below made of them. Run it as an unprivileged user.
#
# For every vector MAJOR_NAME there are MAJOR_NAME.bin, the first 512 of the file's 8192 bytes (the rest is zero), and
# MAJOR_NAME.txt, what the server says is in it: the lines of pg_controldata that speak of what ParseControl reads, times in UTC.
set -euo pipefail
bin=$1 out=$(realpath "$2")
export LC_ALL=C TZ=UTC PATH="$bin:$PATH" PGUSER=postgres PGDATABASE=postgres
work=$(mktemp -d)
export PGHOST=$work PGPORT=5432
labels="pg_control version number|Database system identifier|Database cluster state|pg_control last modified"
labels+="|Latest checkpoint location|Latest checkpoint's REDO location|Latest checkpoint's TimeLineID"
labels+="|Minimum recovery ending location|Min recovery ending loc's timeline|wal_log_hints setting"
labels+="|WAL block size|Bytes per WAL segment|Data page checksum version"
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
		-c max_wal_senders=5 -c hot_standby=on -c shared_buffers=16MB "$@" >>"$dir.log" 2>&1 &
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
says() { # FILE STATE HINTS
	local dir
	if [[ -z ${NO_CONTROLDATA:-} ]] && command -v pg_controldata >/dev/null; then
		dir=$(mktemp -d -p "$work")
		mkdir "$dir/global"
		cp "$1" "$dir/global/pg_control"
		pg_controldata -D "$dir" | grep -E "^($labels):"
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
		select 'Database system identifier:           ', system_identifier from pg_control_system();
		select 'pg_control last modified:             ', to_char(pg_control_last_modified at time zone 'UTC', 'Dy Mon DD HH24:MI:SS YYYY') from pg_control_system();
		select 'Latest checkpoint location:           ', checkpoint_lsn from pg_control_checkpoint();
		select 'Latest checkpoint''s REDO location:    ', redo_lsn from pg_control_checkpoint();
		select 'Latest checkpoint''s TimeLineID:       ', timeline_id from pg_control_checkpoint();
		select 'Minimum recovery ending location:     ', min_recovery_end_lsn from pg_control_recovery();
		select 'Min recovery ending loc''s timeline:   ', min_recovery_end_timeline from pg_control_recovery();
		select 'WAL block size:                       ', wal_block_size from pg_control_init();
		select 'Bytes per WAL segment:                ', bytes_per_wal_segment from pg_control_init();
		select 'Data page checksum version:           ', data_page_checksum_version from pg_control_init();
	SQL
	cp "$work/lender.control" "$work/lender/global/pg_control"
	echo "Database cluster state:               $2"
	echo "wal_log_hints setting:                $3"
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

vector() { # DIR NAME STATE HINTS
	cp "$1/global/pg_control" "$work/vector"
	head -c 512 "$work/vector" >"$out/${major}_$2.bin"
	says "$work/vector" "$3" "$4" >"$out/${major}_$2.txt"
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
vector "$work/b" initdb 'shut down' off

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
