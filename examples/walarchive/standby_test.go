package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/internal/s3test"
	"github.com/understudy-ha/understudy/recovery"
)

// store is a place for an archive with ways to make it fail.
type store struct {
	url   string
	flags string // of push and fetch
	fails []failure
}

// failure is a way to fail, and back.
type failure struct {
	name  string
	begin func() (mend func())
	mild  bool // archiving goes on, perhaps slowly
}

// stores are the kinds of places.
var stores = map[string]func(t *testing.T, w *pgserver.World) store{
	"directory": newDirectory, "sftp": newSFTP, "s3": newS3,
}

func newDirectory(t *testing.T, w *pgserver.World) store {
	place := mkdir(t, w, "archive")
	chmod := func(mode os.FileMode) { require.NoError(t, os.Chmod(place, mode)) }
	return store{url: place, flags: "--compress lz4", fails: []failure{
		{name: "unmounted", begin: func() func() {
			require.NoError(t, os.Rename(place, place+".away"))
			return func() { require.NoError(t, os.Rename(place+".away", place)) }
		}},
		{name: "read_only", begin: func() func() {
			chmod(0o500)
			return func() { chmod(0o700) }
		}},
		{name: "full", begin: fullDisk(t, w, place)}, // last: a mount point cannot be renamed
	}}
}

// fullDisk makes the folder one that soon has no room left: a small file system over it, with what was there in it. For that, one has to
// be root.
func fullDisk(t *testing.T, w *pgserver.World, place string) func() func() {
	return func() func() {
		if os.Getuid() != 0 {
			localpg.Missing(t, "only root can mount a small file system")
		}
		mount := func(args ...string) {
			out, err := exec.Command("mount", args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
		before := place + ".before"
		require.NoError(t, os.Rename(place, before))
		require.NoError(t, os.Mkdir(place, 0o700))
		mount("-t", "tmpfs", "-o", "size=1g,mode=700", "tmpfs", place)
		t.Cleanup(func() { _ = exec.Command("umount", "-l", place).Run() }) // the world's folder is removed after that
		w.CopyTree(before, place)
		own(t, w, place)
		mount("-o", fmt.Sprintf("remount,size=%dk", used(t, place)/1024+4096), place)
		return func() { mount("-o", "remount,size=1g", place) }
	}
}

// used is how many bytes the files of a folder take.
func used(t *testing.T, folder string) int64 {
	t.Helper()
	var n int64
	require.NoError(t, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += (info.Size() + 4095) / 4096 * 4096
		}
		return err
	}))
	return n
}

func newSFTP(t *testing.T, w *pgserver.World) store {
	server := newSSHPlace(t, w)
	return store{url: server.url(server.Port), flags: "--compress zstd", fails: []failure{
		{name: "killed", begin: func() func() {
			server.Kill()
			server.Refuse(true)
			return func() { server.Refuse(false) }
		}},
		{name: "frozen", mild: true, begin: func() func() { // new connections work
			server.Pause()
			return server.Resume
		}},
	}}
}

func newS3(t *testing.T, _ *pgserver.World) store {
	gateway := s3test.Start(t)
	var slow, readOnly, full atomic.Bool
	proxy := gateway.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		switch {
		case slow.Load():
			select {
			case <-r.Context().Done():
			case <-time.After(200 * time.Millisecond):
			}
			next(w, r)
		case readOnly.Load() && r.Method != http.MethodGet && r.Method != http.MethodHead:
			s3test.Refuse(w, http.StatusForbidden, "AccessDenied", "read only")
		case full.Load() && r.Method == http.MethodPut:
			s3test.Refuse(w, http.StatusInsufficientStorage, "XMinioStorageFull", "full")
		default:
			next(w, r)
		}
	})
	on := func(b *atomic.Bool) func() func() {
		return func() func() {
			b.Store(true)
			return func() { b.Store(false) }
		}
	}
	return store{url: s3URL(proxy, gateway.Bucket(t)), flags: "--compress gzip:1", fails: []failure{
		{name: "killed", begin: func() func() {
			gateway.Kill(t)
			return func() { gateway.Restart(t) }
		}},
		{name: "slow", mild: true, begin: on(&slow)}, {name: "read_only", begin: on(&readOnly)}, {name: "full", begin: on(&full)},
	}}
}

// A standby that lives on the archive alone is equal to its primary in the end, whatever happens to the archive under load: on every kind
// of store, with and without looking ahead.
func TestStandby(t *testing.T) {
	each(t, func(t *testing.T, w *pgserver.World) {
		for kind, newStore := range stores {
			standbyEquals(t, w, kind, newStore(t, w))
		}
	})
}

func standbyEquals(t *testing.T, w *pgserver.World, kind string, place store) {
	command := func(s *pgserver.Server) string {
		return fmt.Sprintf(`%s --archive '%s' %s --deadline 5s --retry 0s --spool %s-spool`, program(t), place.url, place.flags, s.Data)
	}
	primary := w.Initdb("primary_" + kind)
	serve(t, primary, command(primary)+" --ahead 2")
	primary.Up("-c", "archive_mode=on", "-c", "archive_command="+command(primary)+` push "%p"`)
	primary.Exec("create table t (i bigint, filler text)")
	standby := w.Copy(primary, "standby_"+kind)
	serve(t, standby, command(standby)+" --ahead 2")
	recoverWith(t, standby, recovery.Config{Role: recovery.Standby, RestoreCommand: command(standby) + ` fetch "%f" "%p"`})
	standby.Up("-c", "archive_mode=off")

	stop := load(t, primary)
	for _, f := range place.fails {
		failed, archived := primary.Ask("select failed_count from pg_stat_archiver"), primary.Ask("select archived_count from pg_stat_archiver")
		mend := f.begin()
		if f.mild {
			waitForArchiver(t, primary, f.name, "archived_count > "+archived+" + 1")
		} else {
			waitForArchiver(t, primary, f.name, "failed_count > "+failed)
		}
		mend()
		waitForArchiver(t, primary, f.name, "archived_count > "+archived+" + 2 and (last_failed_time is null or last_archived_time > last_failed_time)")
	}
	stop()

	primary.Exec("insert into t values (-1, 'the last')") // so that there is something to switch away from
	last := primary.Ask("pg_walfile_name(pg_switch_wal())")
	waitForArchiver(t, primary, "the end", "last_archived_wal >= '"+last+"'")
	rows := primary.Ask("select count(*) from t")
	standby.Wait("select count(*) = " + rows + " from t")
	const all = "select md5(string_agg(i || filler, ',' order by i, filler)) from t"
	require.Equal(t, primary.Ask(all), standby.Ask(all))
	require.Equal(t, "true", standby.Ask("pg_is_in_recovery()"))
	for _, verb := range [][]string{{"gaps"}, {"verify", "-q"}} {
		args := append([]string{"--archive", place.url}, verb...)
		out, err := exec.Command(program(t), args...).CombinedOutput()
		require.NoError(t, err, "%s: %s", verb, out)
	}
	standby.Stop()
	primary.Stop()
}

// serve runs the helper that looks ahead for a server, until the end of the test.
func serve(t *testing.T, s *pgserver.Server, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+command+" -D "+s.Data+" serve")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.World.Owner.Credential}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	exited, err := localpg.Launch(cmd)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-exited
		if t.Failed() {
			t.Logf("helper of %s: %s", s.Data, out.String())
		}
	})
}

// waitForArchiver waits for a condition on pg_stat_archiver.
func waitForArchiver(t *testing.T, s *pgserver.Server, what, condition string) {
	t.Helper()
	pgserver.Until(t, what+": "+condition, func() error {
		if s.Ask("select coalesce(("+condition+"), false) from pg_stat_archiver") != "true" {
			return errors.New("not yet: " + s.Ask("select to_json(a) from pg_stat_archiver a"))
		}
		return nil
	})
}

// load writes until it is stopped, and switches segments all the time.
func load(t *testing.T, s *pgserver.Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			err := s.Do(func(session context.Context, conn *pgx.Conn) error {
				if _, err := conn.Exec(session, "insert into t select $1, repeat(md5(n::text), 20) from generate_series(1, 200) n", i); err != nil || i%5 < 4 {
					return err
				}
				_, err := conn.Exec(session, "select pg_switch_wal()")
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(40 * time.Millisecond): // the pace of the load
			}
		}
	})
	return func() { cancel(); running.Wait() }
}
