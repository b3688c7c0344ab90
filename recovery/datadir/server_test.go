package datadir_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

// controlBySQL is what a server's own functions say of its control file, by field.
func controlBySQL(t *testing.T, s *pgserver.Server) map[string]string {
	t.Helper()
	sql := map[string]string{
		"Version": "pg_control_version from pg_control_system()", "CatalogVersion": "catalog_version_no from pg_control_system()",
		"SystemID": "system_identifier from pg_control_system()", "Time": "extract(epoch from pg_control_last_modified)::bigint from pg_control_system()",
		"Checkpoint": "checkpoint_lsn from pg_control_checkpoint()", "Redo": "redo_lsn from pg_control_checkpoint()",
		"CheckpointTimeline": "timeline_id from pg_control_checkpoint()", "PrevTimeline": "prev_timeline_id from pg_control_checkpoint()",
		"FullPageWrites": "full_page_writes from pg_control_checkpoint()", "NextXID": "next_xid from pg_control_checkpoint()",
		"OldestXID": "oldest_xid from pg_control_checkpoint()", "CheckpointTime": "extract(epoch from checkpoint_time)::bigint from pg_control_checkpoint()",
		"MinRecoveryPoint": "min_recovery_end_lsn from pg_control_recovery()", "MinRecoveryTL": "min_recovery_end_timeline from pg_control_recovery()",
		"BackupStart": "backup_start_lsn from pg_control_recovery()", "BackupEnd": "backup_end_lsn from pg_control_recovery()",
		"BackupEndRequired": "end_of_backup_record_required from pg_control_recovery()",
		"PageSize":          "database_block_size from pg_control_init()", "BlockSize": "wal_block_size from pg_control_init()",
		"SegmentSize": "bytes_per_wal_segment from pg_control_init()", "ChecksumVersion": "data_page_checksum_version from pg_control_init()",
	}
	for field, setting := range map[string]string{
		"WALLevel": "wal_level", "MaxConnections": "max_connections", "MaxWorkerProcesses": "max_worker_processes",
		"MaxPreparedXacts": "max_prepared_transactions", "MaxLocksPerXact": "max_locks_per_transaction",
		"TrackCommitTimestamp": "track_commit_timestamp", "WALLogHints": "wal_log_hints",
	} {
		sql[field] = "current_setting('" + setting + "')"
	}
	if s.World.Major >= 12 {
		sql["MaxWALSenders"] = "current_setting('max_wal_senders')"
	}
	if s.World.Major == 10 {
		sql["PriorCheckpoint"] = "prior_lsn from pg_control_checkpoint()"
	}
	if s.World.Major >= 18 {
		sql["DefaultChar"] = "case when default_char_signedness then 'signed' else 'unsigned' end from pg_control_init()"
	}
	said := map[string]string{}
	require.NoError(t, s.Do(func(ctx context.Context, conn *pgx.Conn) error {
		for field, query := range sql {
			var text string
			if err := conn.QueryRow(ctx, "select (select "+query+")::text").Scan(&text); err != nil {
				return fmt.Errorf("%s: %w", field, err)
			}
			said[field] = text
		}
		return nil
	}))
	return said
}

// controlInWords is what we say, in the same words.
func controlInWords(c datadir.Control) map[string]string {
	onOff := map[bool]string{true: "on", false: "off"}
	number := strconv.Itoa
	words := map[string]string{
		"Version": number(int(c.Version)), "CatalogVersion": number(int(c.CatalogVersion)), "SystemID": c.SystemID.String(),
		"Time": number(int(c.Time.Unix())), "Checkpoint": c.Checkpoint.String(), "Redo": c.Redo.String(),
		"CheckpointTimeline": number(int(c.CheckpointTimeline)), "PrevTimeline": number(int(c.PrevTimeline)),
		"FullPageWrites": strconv.FormatBool(c.FullPageWrites), "NextXID": number(int(c.NextXID>>32)) + ":" + number(int(uint32(c.NextXID))),
		"OldestXID": number(int(c.OldestXID)), "CheckpointTime": number(int(c.CheckpointTime.Unix())),
		"MinRecoveryPoint": c.MinRecoveryPoint.String(), "MinRecoveryTL": number(int(c.MinRecoveryTL)),
		"BackupStart": c.BackupStart.String(), "BackupEnd": c.BackupEnd.String(), "BackupEndRequired": strconv.FormatBool(c.BackupEndRequired),
		"PageSize": number(int(c.PageSize)), "BlockSize": number(int(c.BlockSize)), "SegmentSize": number(int(c.SegmentSize)),
		"ChecksumVersion": number(int(c.ChecksumVersion)), "WALLevel": c.WALLevel, "MaxConnections": number(c.MaxConnections),
		"MaxWorkerProcesses": number(c.MaxWorkerProcesses), "MaxPreparedXacts": number(c.MaxPreparedXacts), "MaxLocksPerXact": number(c.MaxLocksPerXact),
		"TrackCommitTimestamp": onOff[c.TrackCommitTimestamp], "WALLogHints": onOff[c.WALLogHints],
	}
	if c.MaxWALSenders != 0 {
		words["MaxWALSenders"] = number(c.MaxWALSenders)
	}
	if c.PriorCheckpoint != 0 {
		words["PriorCheckpoint"] = c.PriorCheckpoint.String()
	}
	if c.DefaultChar != "" {
		words["DefaultChar"] = string(c.DefaultChar)
	}
	return words
}

// What the servers of all majors say of the files that they write, with parameters that are nobody's default.
func TestServerControl(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("s")
		settings := []string{
			"-c", "max_connections=23", "-c", "max_worker_processes=5", "-c", "max_wal_senders=7", "-c", "max_prepared_transactions=3",
			"-c", "max_locks_per_transaction=77", "-c", "track_commit_timestamp=on", "-c", "wal_log_hints=on",
		}
		s.Up(append(settings, "-c", "full_page_writes=off", "-c", "wal_level=logical")...)
		s.Exec("create table t (i int)", "checkpoint")
		c := readControl(t, s)
		require.Equal(t, controlBySQL(t, s), controlInWords(c))
		require.Equal(t, datadir.StateInProduction, c.State)
		require.True(t, c.DataChecksums)
		require.True(t, c.Rewindable())
		require.Equal(t, pgconf.Major(w.Major), c.Major())
		version, err := datadir.ReadVersion(s.Data)
		require.NoError(t, err)
		require.Equal(t, pgconf.Major(w.Major), version)

		standby := w.Copy(s, "standby")
		if w.Major >= 12 {
			standby.Write("standby.signal", "")
		} else {
			standby.Write("recovery.conf", "standby_mode = on\n")
		}
		standby.Up(append(settings, "-c", "track_commit_timestamp=off")...)
		c = readControl(t, standby)
		require.Equal(t, datadir.StateInArchiveRecovery, c.State)
		require.NotZero(t, c.MinRecoveryPoint)
		require.False(t, c.BackupUnfinished())
		said := controlBySQL(t, standby)
		said["WALLevel"], said["TrackCommitTimestamp"] = "logical", "on" // the primary's, of the WAL that was replayed
		require.Equal(t, said, controlInWords(c))
		standby.Stop()
		require.Equal(t, datadir.StateShutDownInRecovery, readControl(t, standby).State)
		s.Stop()
		require.Equal(t, datadir.StateShutDown, readControl(t, s).State)
	})
}

func readControl(t *testing.T, s *pgserver.Server) datadir.Control {
	t.Helper()
	c, err := datadir.ReadControl(s.Data)
	require.NoError(t, err)
	return c
}

// A server's life as Inspect sees it: running, stopped, killed, and a backup before its first start.
func TestServerInspect(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		major := pgconf.Major(w.Major)
		s := w.Initdb("s")
		d := datadir.Inspect(s.Data)
		require.NoError(t, d.Err())
		require.Equal(t, datadir.Stopped, d.Server.Life)
		require.Nil(t, d.Server.Postmaster)

		s.Up()
		var d2 datadir.Directory
		pgserver.Until(t, "the status in postmaster.pid", func() error {
			if d2 = datadir.Inspect(s.Data); d2.Server.Postmaster == nil || d2.Server.Postmaster.Status != datadir.StatusReady {
				return fmt.Errorf("%+v", d2.Server)
			}
			return d2.Err()
		})
		require.Equal(t, datadir.Running, d2.Server.Life)
		require.Equal(t, major, d2.Major)
		require.Equal(t, wal.History{Timeline: 1}, d2.History)
		require.Nil(t, d2.Label)
		p := d2.Server.Postmaster
		require.Contains(t, d2.Server.PIDs, p.PID)
		require.Equal(t, s.Ask("select setting from pg_settings where name = 'data_directory'"), p.DataDir)
		require.Equal(t, s.Port, p.Port)
		require.Equal(t, w.Dir, p.SocketDir)
		require.Empty(t, p.ListenAddr)
		require.NotZero(t, p.ShmemKey)
		// The file has the second in which the postmaster began, the function the moment when it was nearly up.
		started, err := strconv.ParseInt(s.Ask("extract(epoch from pg_postmaster_start_time())::bigint"), 10, 64)
		require.NoError(t, err)
		require.InDelta(t, started, p.StartTime.Unix(), 30)

		folder := filepath.Join(w.Dir, `space \ here`)
		require.NoError(t, os.Mkdir(folder, 0o700))
		_, err = localpg.Owner(folder)
		require.NoError(t, err)
		s.Exec("create tablespace elsewhere location '" + folder + "'")
		start, stop := "pg_backup_start(E'two\nlines', true)", "pg_backup_stop(false)"
		if w.Major < 15 {
			start, stop = "pg_start_backup(E'two\nlines', true, false)", "pg_stop_backup(false, false)"
		}
		var label, spaces string
		require.NoError(t, s.Do(func(ctx context.Context, conn *pgx.Conn) error {
			if _, err := conn.Exec(ctx, "select "+start); err != nil {
				return err
			}
			return conn.QueryRow(ctx, "select labelfile, spcmapfile from "+stop).Scan(&label, &spaces)
		}))
		s.Stop()
		d = datadir.Inspect(s.Data)
		require.NoError(t, d.Err())
		require.Equal(t, datadir.Stopped, d.Server.Life)
		require.Equal(t, datadir.StateShutDown, d.Control.State)

		backup := w.Server("backup")
		w.CopyTree(s.Data, backup.Data)
		backup.Write(datadir.LabelFile, label)
		backup.Write(datadir.TablespaceMapFile, spaces)
		d = datadir.Inspect(backup.Data)
		require.NoError(t, d.Err())
		require.Equal(t, label, string(d.Label.Bytes()))
		require.Equal(t, "two\nlines", d.Label.Label)
		require.Len(t, d.Tablespaces, 1)
		require.Equal(t, folder, d.Tablespaces[0].Path)

		s.Up()
		s.Kill(syscall.SIGKILL)
		require.FileExists(t, filepath.Join(s.Data, datadir.PostmasterFile))
		pgserver.Until(t, "the end of the backends", func() error {
			if d = datadir.Inspect(s.Data); d.Server.Life == datadir.Running {
				return fmt.Errorf("%v", d.Server.Evidence)
			}
			return nil
		})
		require.NotNil(t, d.Server.Postmaster, "left behind")
		require.Equal(t, datadir.StateInProduction, d.Control.State)
	})
}
