package recovery_test

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-ha/understudy/recovery"
)

func ExampleRead() {
	host := disk{
		"/data/PG_VERSION": "17\n", "/data/postgresql.conf": "port = 5432\n", "/data/standby.signal": "", "/data/recovery.signal": "",
		"/data/postgresql.auto.conf": "primary_conninfo = 'host=db1 user=replicator'\nrecovery_target_name = 'old'\n",
	}
	server := recovery.Server{DataDir: "/data"}
	for range 2 {
		start, err := recovery.Read(context.Background(), host, server)
		if err != nil {
			panic(err)
		}
		fmt.Println(start)
		for _, note := range start.Notes {
			fmt.Println("-", note)
		}
		host["/data/postgresql.conf"] += "recovery_target_xid = 731\n"
	}
	// Output:
	// starts as a standby; /data/standby.signal: is there; /data/postgresql.auto.conf:2: recovery_target_name: is where recovery ends
	// - /data/recovery.signal: standby.signal wins, but this file outlives a promotion and acts at the restart after it: remove it
	// refuses to start; /data/postgresql.auto.conf:2: recovery_target_name: comes after recovery_target_xid (/data/postgresql.conf:2:1), and a server does not start with more than one recovery target, not even with an empty one: keep one
	// - /data/recovery.signal: standby.signal wins, but this file outlives a promotion and acts at the restart after it: remove it
}

func ExampleTakeOver() {
	host := disk{
		"/data/PG_VERSION": "17\n", "/data/postgresql.conf": "restore_command = 'cp /old/%f %p'\n", "/data/standby.signal": "",
		"/data/postgresql.auto.conf": "primary_conninfo = 'host=db1'\n",
	}
	err := recovery.TakeOver(context.Background(), host, recovery.Server{DataDir: "/data"}, recovery.Config{
		Role:           recovery.Targeted,
		RestoreCommand: "cp /mnt/wal/%f %p",
		Target:         recovery.TargetTime{At: time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)},
		Action:         recovery.ActionPause,
	})
	fmt.Println(err)
	fmt.Print(host["/data/"+recovery.SettingsFile])
	// Output:
	// write /data/recovery.conf
	// write /data/recovery.signal
	// write /data/understudy.recovery.conf
	// write /data/postgresql.auto.conf
	// write /data/postgresql.conf
	// remove /data/standby.signal
	// remove /data/recovery.conf
	// <nil>
	// # Written by understudy, which replaces the whole file: put other settings into postgresql.conf.
	// archive_cleanup_command = ''
	// primary_conninfo = ''
	// primary_slot_name = ''
	// recovery_end_command = ''
	// recovery_min_apply_delay = '0ms'
	// recovery_target_action = 'pause'
	// recovery_target_inclusive = 'on'
	// recovery_target_time = '2026-03-01 11:59:00+00'
	// recovery_target_timeline = 'latest'
	// restore_command = 'cp /mnt/wal/%f %p'
}

func ExampleMigrate() {
	host := disk{
		"/data/PG_VERSION": "17\n", "/data/postgresql.conf": "port = 5432\n",
		"/data/recovery.conf": "standby_mode = 'on'\nprimary_conninfo = 'host=db1'\nrestore_command = 'cp /mnt/wal/%f %p || date +%s'\ntrigger_file = '/run/pull'\n",
	}
	remarks, err := recovery.Migrate(context.Background(), host, recovery.Server{DataDir: "/data"}, 11)
	if err != nil {
		panic(err)
	}
	for _, r := range remarks {
		fmt.Println(r)
	}
	// Output:
	// write /data/standby.signal
	// write /data/understudy.recovery.conf
	// write /data/postgresql.conf
	// write /data/recovery.conf.migrated
	// remove /data/recovery.conf
	// /data/recovery.conf:1: info: standby_mode: the file standby.signal stands for it (from 12 on there is no such parameter)
	// /data/recovery.conf:2: info: primary_conninfo: now primary_conninfo in understudy.recovery.conf (from 12 on it is a parameter like others)
	// /data/recovery.conf:3: info: restore_command: now restore_command in understudy.recovery.conf (from 12 on it is a parameter like others)
	// /data/recovery.conf:4: warning: trigger_file: not taken over (promote with pg_ctl promote or pg_promote())
	// info: recovery_target_timeline: set to current (the default became latest in 12)
}

func ExampleConfig_WithDefaults() {
	cfg := recovery.Config{RestoreCommand: "cp /mnt/wal/%f %p", Target: recovery.TargetName{Name: "before"}}
	for _, major := range allMajors()[7:9] {
		full := cfg.WithDefaults(major + 1)
		fmt.Println(major+1, full.TargetTimeline, full.Action)
	}
	// Output:
	// 11 current pause
	// 12 latest pause
}

func ExampleTimelineNumber() {
	timeline := recovery.TimelineNumber(3)
	n, ok := timeline.Number()
	fmt.Println(timeline, n, ok)
	_, ok = recovery.TimelineLatest.Number()
	fmt.Println(ok)
	// Output:
	// 3 3 true
	// false
}

func ExampleDisk() {
	_, err := recovery.Read(context.Background(), recovery.Disk{}, recovery.Server{DataDir: "/nonexistent"})
	fmt.Println(err)
	// Output:
	// /nonexistent/PG_VERSION: it is not there, so this is no data directory
}
