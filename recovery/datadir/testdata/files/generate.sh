#!/usr/bin/env bash
# Makes the vectors of the small text files: what real servers of one major wrote.
#
#   generate.sh BINDIR OUTDIR BACKUPDIR
#
# BINDIR holds initdb, postgres and pg_ctl of the major; psql comes from there or else from PATH. Run it as an unprivileged user.
#
# In OUTDIR: MAJOR.pid, the postmaster.pid of a running server; MAJOR.map, a tablespace_map with a backslash and a
# newline in the names. In BACKUPDIR (of package wal): MAJOR_KIND.label, a backup_label of an exclusive backup (up to 14), of one that
# was streamed, with a label of two lines, and of one from a standby; MAJOR.backup, a backup history file.
set -euo pipefail
bin=$1 out=$(realpath "$2") backup=$(realpath "$3")
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
sql() { psql -XAtq -v ON_ERROR_STOP=1 "$@" 2>/dev/null; }
start() { # DIR
	postgres -D "$1" -c listen_addresses= -c unix_socket_directories="$work" -c port="$PGPORT" -c hot_standby=on \
		-c shared_buffers=16MB -c wal_level=replica -c archive_mode=on -c archive_command=true -c log_timezone=UTC >>"$1.log" 2>&1 &
	pids+=($!)
	for _ in $(seq 600); do
		grep -qs "^ready *$" "$1/postmaster.pid" && return
		sleep 0.1
	done
	cat "$1.log" >&2
	return 1
}
# label starts and ends a backup of this name that is not exclusive, and writes its two files.
label() { # NAME LABELFILE MAPFILE
	local begin="pg_backup_start('$1', true)" end="pg_backup_stop()"
	if ((major < 15)); then
		begin="pg_start_backup('$1', true, false)" end="pg_stop_backup(false)"
	fi
	sql <<-SQL
		\o /dev/null
		select $begin;
		select * from $end \gset
		\o $2
		\qecho -n :labelfile
		\o $3
		\qecho -n :spcmapfile
	SQL
}

initdb -D "$work/a" -U postgres -A trust >/dev/null
start "$work/a"
cp "$work/a/postmaster.pid" "$work/pid"
mkdir "$work/back\\slash" "$work/new"$'\n'"line" "$work/plain"
sql -c "create tablespace a location '$work/back\\slash'" -c "create tablespace b location E'$work/new\\nline'" -c "create tablespace c location '$work/plain'"
if ((major < 15)); then
	sql -c "select pg_start_backup('it''s exclusive', true)" >/dev/null
	cp "$work/a/backup_label" "$backup/${major}_exclusive.label"
	sql -c "select pg_stop_backup()" >/dev/null
	sql -c checkpoint
	rm -f "$work"/a/pg_wal/*.backup
fi
label $'two\nlines' "$backup/${major}_streamed.label" "$work/map"
cat "$work"/a/pg_wal/*.backup >"$backup/${major}.backup"
sql -c checkpoint
pg_ctl -D "$work/a" -m fast -w stop >/dev/null

cp -a "$work/a" "$work/c"
rm -rf "$work"/c/pg_tblspc/*
if ((major < 12)); then
	echo "standby_mode = on" >"$work/c/recovery.conf"
else
	touch "$work/c/standby.signal"
fi
start "$work/c"
label "from a standby" "$backup/${major}_standby.label" /dev/null
sed "s#$work#/srv#" "$work/pid" >"$out/${major}.pid"
sed "s#$work#/srv#" "$work/map" >"$out/${major}.map"
