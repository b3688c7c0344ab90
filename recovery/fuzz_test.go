package recovery_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// fuzzed makes a config of what a fuzzer found, valid or not.
func fuzzed(kind uint8, number uint64, a, b, c string) recovery.Config {
	cfg := recovery.Config{
		Role: recovery.Role(kind & 1), RestoreCommand: a, ArchiveCleanupCommand: b, RecoveryEndCommand: c, MinApplyDelay: time.Duration(number%3) * time.Hour,
		Action: []recovery.TargetAction{"", "pause", "promote", "shutdown"}[kind>>1&3],
		TargetTimeline: []recovery.TargetTimeline{
			recovery.TimelineDefault, recovery.TimelineLatest, recovery.TimelineCurrent, recovery.TimelineNumber(wal.Timeline(number)),
		}[kind>>3&3],
		Target: []recovery.Target{
			nil, recovery.TargetTime{At: time.UnixMicro(int64(number >> 8)), Exclusive: kind&2 > 0}, recovery.TargetTime{Text: b}, recovery.TargetXID{XID: uint32(number)},
			recovery.TargetLSN{LSN: wal.LSN(number), Exclusive: kind&2 > 0}, recovery.TargetName{Name: c}, recovery.TargetImmediate{}, nil,
		}[kind>>5],
	}
	if cfg.Target == nil {
		cfg.Action = ""
	}
	if cfg.Role == recovery.Standby {
		cfg.PrimaryConninfo = conninfo.Info{}.With("user", b).With("password", c)
		cfg.TriggerFile = c
	}
	return cfg
}

// FuzzRenderRead: what Render writes, Read gives back as the same Config, for every major that it is valid for.
func FuzzRenderRead(f *testing.F) {
	for kind := range 256 {
		f.Add(uint8(kind), uint64(0x1_0300_0148), `cp '/a b/%f' "%p"`, "2026-03-01 12:00 Europe/Berlin", `it's \ %% me`)
	}
	f.Add(uint8(0), uint64(1), "\\\n\r\t'%%'", "é\xff", "#''")
	f.Fuzz(func(t *testing.T, kind uint8, number uint64, a, b, c string) {
		cfg := fuzzed(kind, number, a, b, c)
		for _, major := range []pgconf.Major{pgconf.V9_0, pgconf.V9_1, pgconf.V9_4, 11, 12, 18} {
			if major >= 16 {
				cfg.TriggerFile = ""
			}
			files, err := cfg.Render(major)
			if err != nil {
				if cfg.Validate(major) == nil {
					t.Fatalf("valid, but: %v", err)
				}
				continue
			}
			m := newMemory(dir(major, "postgresql.conf", "include_if_exists = 'understudy.recovery.conf'\n"))
			if major < 12 {
				m = newMemory(dir(major))
			}
			for _, file := range files {
				m.files[file.Name] = string(file.Data)
			}
			got, err := recovery.Read(t.Context(), m, recovery.Server{DataDir: dataDir})
			if err != nil {
				t.Fatal(err)
			}
			if want := cfg.WithDefaults(major); !reflect.DeepEqual(got.Config, want) {
				t.Fatalf("major %s: got %+v\nwant %+v\n%v\n%s", major, got.Config, want, got, files[len(files)-1].Data)
			}
		}
	})
}

// FuzzReadIsTotal: whatever bytes lie there, Read says something, and the same again; and where it says that a server starts in a role that
// can be written, TakeOver writes just that.
func FuzzReadIsTotal(f *testing.F) {
	for _, c := range leftovers() {
		f.Add(uint8(c.from), c.files["postgresql.conf"], c.files["recovery.conf"]+c.files["postgresql.auto.conf"])
	}
	f.Add(uint8(pgconf.V9_0), "port = 1", "standby_mode = x 'on'\nrestore_command = 'it''s \\'\n")
	f.Fuzz(func(t *testing.T, n uint8, main, second string) {
		major := pgconf.Oldest + pgconf.Major(n)%(pgconf.Newest-pgconf.Oldest+1)
		name := "recovery.conf"
		if major >= 12 {
			name = "postgresql.auto.conf"
		}
		m := newMemory(dir(major, "postgresql.conf", main, name, second, "recovery.signal", ""))
		server := recovery.Server{DataDir: dataDir}
		start, err := recovery.Read(t.Context(), m, server)
		if err != nil {
			return // it cannot know
		}
		if start.Outcome == recovery.Unknown || len(start.Why) == 0 {
			t.Fatalf("got %+v", start)
		}
		if start.Outcome != recovery.StartsRecovery || start.Config.Validate(major) != nil {
			return
		}
		if err := recovery.TakeOver(t.Context(), m, server, start.Config); err != nil {
			return // it includes others, for one
		}
		if again, err := recovery.Read(t.Context(), m, server); err != nil || !reflect.DeepEqual(again.Config, start.Config) {
			t.Fatalf("got %+v, want %+v", again, start)
		}
	})
}
