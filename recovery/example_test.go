package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func standbyOf(host string) recovery.Config {
	info, err := conninfo.Parse("host=" + host + " user=replicator passfile=/etc/understudy/pgpass application_name=db2")
	if err != nil {
		panic(err)
	}
	return recovery.Config{
		PrimaryConninfo: info,
		RestoreCommand:  "walarchive fetch --archive '/mnt/wal archive' %f %p",
		TargetTimeline:  recovery.TimelineLatest,
	}
}

func ExampleConfig_Render() {
	for _, major := range []pgconf.Major{11, 17} {
		files, err := standbyOf("db1").Render(major)
		if err != nil {
			panic(err)
		}
		for _, f := range files {
			fmt.Printf("--- %s: %s\n%s", major, f.Name, f.Data)
		}
	}
	// Output:
	// --- 11: recovery.conf
	// primary_conninfo = 'host=db1 user=replicator passfile=/etc/understudy/pgpass application_name=db2'
	// recovery_target_timeline = 'latest'
	// restore_command = 'walarchive fetch --archive ''/mnt/wal archive'' %f %p'
	// standby_mode = 'on'
	// --- 17: standby.signal
	// --- 17: understudy.recovery.conf
	// # Written by understudy, which replaces the whole file: put other settings into postgresql.conf.
	// archive_cleanup_command = ''
	// primary_conninfo = 'host=db1 user=replicator passfile=/etc/understudy/pgpass application_name=db2'
	// primary_slot_name = ''
	// recovery_end_command = ''
	// recovery_min_apply_delay = '0ms'
	// recovery_target_timeline = 'latest'
	// restore_command = 'walarchive fetch --archive ''/mnt/wal archive'' %f %p'
}

func ExampleConfig_Validate() {
	cfg := standbyOf("db1")
	cfg.RestoreCommand = "cp /mnt/wal/%f %p || date +%s > failed"
	fmt.Println(cfg.Validate(15))
	fmt.Println(cfg.Validate(16))
	// Output:
	// <nil>
	// RestoreCommand: "%s" is no placeholder, and PostgreSQL 16 and later stop at it: write %% for a percent sign
}

// disk is a recovery.Files in memory. A host of topology/host is one that replaces files atomically and durably.
type disk map[string]string

func (d disk) ReadFile(_ context.Context, name string) ([]byte, error) {
	if text, ok := d[name]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

func (d disk) WriteFile(_ context.Context, name string, data []byte, _ fs.FileMode) error {
	fmt.Println("write", name)
	d[name] = string(data)
	return nil
}

func (d disk) Remove(_ context.Context, name string) error {
	fmt.Println("remove", name)
	delete(d, name)
	return nil
}

func ExampleApply() {
	host := disk{"/data/PG_VERSION": "17\n", "/data/postgresql.conf": "port = 5432  # ours\n"}
	if err := recovery.Apply(context.Background(), host, recovery.Server{DataDir: "/data"}, standbyOf("db1")); err != nil {
		panic(err)
	}
	fmt.Print(host["/data/postgresql.conf"])

	host["/data/recovery.signal"] = ""
	fmt.Println(recovery.Apply(context.Background(), host, recovery.Server{DataDir: "/data"}, standbyOf("db3")))
	// Output:
	// write /data/standby.signal
	// write /data/understudy.recovery.conf
	// write /data/postgresql.conf
	// port = 5432  # ours
	// include_if_exists = 'understudy.recovery.conf'
	// /data/recovery.signal: it asks for recovery to a target, would outlive standby.signal and act at the first restart after a promotion: if that recovery is not wanted any more, remove it, or apply with TakeOver
}

func ExampleJudge() {
	history, err := wal.ParseHistory(2, []byte("1\t0/5000148\tno recovery target specified\n"))
	if err != nil {
		panic(err)
	}
	primary := recovery.Leader{SystemID: 7574928734098123456, History: history, Position: 0x6000000}
	old := recovery.Returning{CanRewind: true, Control: datadir.Control{
		SystemID: 7574928734098123456, State: datadir.StateShutDown, Checkpoint: 0x50000D0, CheckpointTimeline: 1, DataChecksums: true,
	}}
	for _, state := range []datadir.State{datadir.StateShutDown, datadir.StateInProduction} {
		old.Control.State = state
		j := recovery.Judge(old, primary)
		fmt.Printf("%s: %s\n", j.Verdict, j.Reason)
	}
	// Output:
	// follow: it was shut down cleanly at 0/50000D0, before the fork at 0/5000148
	// rewind: it ended "in production" and nothing proves that its WAL stops before the fork at 0/5000148
}

func ExampleReturningFrom() {
	d := datadir.Inspect("/nonexistent")
	_, err := recovery.ReturningFrom(d)
	fmt.Println("to be stopped first:", errors.Is(err, recovery.ErrNotStopped))

	d.Server.Life = datadir.Stopped // if it is known to be
	_, err = recovery.ReturningFrom(d)
	fmt.Println("there is no server:", errors.Is(err, fs.ErrNotExist))
	// Output:
	// to be stopped first: true
	// there is no server: true
}
