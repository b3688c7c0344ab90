package wal_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

// archivist is a server that keeps each file that it archives, every time that it does. Its segments have 1 MiB, from 11 on.
type archivist struct {
	*pgserver.Server
	archive string
	segSize uint32
}

func newArchivist(t *testing.T, s *pgserver.Server) archivist {
	t.Helper()
	a := archivist{s, s.Data + ".archive", 1 << 20}
	if s.World.Major < 11 {
		a.segSize = wal.DefaultSegmentSize
	}
	require.NoError(t, os.Mkdir(a.archive, 0o700))
	if owner := s.World.Owner.Credential; owner != nil {
		require.NoError(t, os.Chown(a.archive, int(owner.Uid), int(owner.Gid)))
	}
	return a
}

func initdb(w *pgserver.World, name string) *pgserver.Server {
	s := w.Server(name)
	args := []string{"-D", s.Data, "-U", pgserver.User, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"}
	if w.Major >= 11 {
		args = append(args, "--wal-segsize=1")
	}
	w.RunCommand("initdb", args...)
	return s
}

// up starts the server such that it takes old segments for new ones as soon as it can.
func (a archivist) up(mode string, more ...string) {
	keep := "wal_keep_size=10MB"
	if a.World.Major < 13 {
		keep = "wal_keep_segments=" + fmt.Sprint((20<<20)/a.segSize)
	}
	command := "cp %p " + a.archive + "/tmp && mv " + a.archive + "/tmp " + a.archive + "/`date +%%s%%N`-%f"
	a.Up(append([]string{"-c", keep, "-c", "archive_mode=" + mode, "-c", "archive_command=" + command, "-c", "min_wal_size=64MB", "-c", "max_wal_size=128MB",
		"-c", "checkpoint_timeout=1h"}, more...)...)
}

// follow makes the server a standby of another that archives what it receives.
func (a archivist) follow(upstream archivist) {
	slot := filepath.Base(a.Data)
	upstream.Exec("select pg_create_physical_replication_slot('" + slot + "', true)")
	if a.World.Major >= 12 {
		a.Write("standby.signal", "")
		a.up("always", "-c", "primary_conninfo="+upstream.Conninfo(), "-c", "primary_slot_name="+slot, "-c", "recovery_target_timeline=latest")
		return
	}
	a.Write("recovery.conf", "standby_mode = on\nprimary_conninfo = '"+upstream.Conninfo()+"'\nprimary_slot_name = '"+slot+"'\n"+
		"recovery_target_timeline = 'latest'\n")
	a.up("always")
}

// write writes WAL with records of all sizes, over pages and segments, and leaves segments at all places.
func (a archivist) write(rounds int) {
	for i := range rounds {
		a.Exec(fmt.Sprintf("insert into t select i, repeat(md5(i::text), %d) from generate_series(1, %d) i", i%20+1, i*37%700+1),
			fmt.Sprintf("select pg_logical_emit_message(false, 'test', repeat('z', %d))", (i*7919+60000)%300000))
		if i%3 == 1 {
			a.Exec("select pg_switch_wal()")
		}
		if i%7 == 6 {
			a.Exec("checkpoint")
		}
	}
}

func (a archivist) caughtUp(upstream archivist) {
	a.Wait("select pg_last_wal_replay_lsn() >= '" + upstream.Ask("pg_current_wal_lsn()") + "'")
}

// tally is what was seen in an archive.
type tally struct{ segments, emptyRest, oldRest, endOfTimeline, partial, flips, noticed int }

// judge checks all segments that the server archived. Where timeline 1 ends is known from the history.
func (a archivist) judge(t *testing.T, system wal.SystemID, history wal.History) tally {
	t.Helper()
	entries, err := os.ReadDir(a.archive)
	require.NoError(t, err)
	var sum tally
	for _, entry := range entries {
		_, name, archived := strings.Cut(entry.Name(), "-")
		if !archived {
			continue // the copy that was being made when the server was killed
		}
		f, err := wal.ParseFileName(name)
		require.NoError(t, err)
		if f.Kind == wal.KindHistory || f.Kind == wal.KindBackup {
			continue
		}
		b, err := os.ReadFile(filepath.Join(a.archive, entry.Name()))
		require.NoError(t, err)
		seg, err := f.Segment(a.segSize)
		require.NoError(t, err)
		c := wal.ChainConfig{Segment: seg, SystemID: system, SegmentSize: a.segSize, Unfinished: f.Kind == wal.KindPartial}
		if end, left := history.SwitchPoint(seg.Timeline); left && wal.SegmentOf(seg.Timeline, end, a.segSize) == seg {
			if !c.Unfinished {
				require.Error(t, feed(wal.NewChain(c), b, 8192), "%s: timeline 1 ends in it", name)
				c.TimelineEnd = end
				sum.endOfTimeline++
			}
		}
		c.Records = true
		chain := wal.NewChain(c)
		require.NoError(t, feed(chain, b, 64<<10))
		for i := range int64(5) { // one bit is wrong; padding and records that end elsewhere are not covered
			damaged := bytes.Clone(b)
			damaged[chain.ValidEnd()*i/5+i*97] ^= 1 << i
			sum.flips++
			if feed(wal.NewChain(c), damaged, 64<<10) != nil {
				sum.noticed++
			}
		}
		sum.segments++
		if c.Unfinished {
			sum.partial++
		}
		if chain.DataEnd() > chain.ValidEnd() {
			sum.oldRest++
		} else if chain.DataEnd() < int64(a.segSize) {
			sum.emptyRest++
		}
	}
	return sum
}

// TestServerChain: the rules of Chain hold for all that servers archive: a primary that is stopped and killed, a standby that archives
// what it receives and is promoted, and a standby of that one.
func TestServerChain(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		p := newArchivist(t, initdb(w, "p"))
		p.up("on")
		p.Exec("create table t (i int, s text)")
		system, err := wal.ParseSystemID(p.Ask("select system_identifier from pg_control_system()"))
		require.NoError(t, err)
		const rounds = 8
		p.write(rounds)
		a, b := newArchivist(t, w.Copy(p.Server, "a")), newArchivist(t, w.Copy(p.Server, "b"))
		a.follow(p)
		b.follow(a)
		p.write(rounds)
		a.caughtUp(p)
		b.caughtUp(p)
		a.Exec("checkpoint")
		b.Exec("checkpoint")
		p.Stop()
		if w.Major >= 12 {
			p.up("on", "-c", "wal_recycle=off", "-c", "wal_init_zero=off")
		} else {
			p.up("on")
		}
		p.write(rounds / 2)
		b.caughtUp(p)
		killWhileWriting(t, p)
		p.up("on")
		p.write(rounds / 2)
		p.Exec("insert into t select i, repeat('x', 100) from generate_series(1, 3000) i")
		b.caughtUp(p)
		p.Kill(syscall.SIGQUIT)
		a.Promote()
		a.write(rounds)
		b.caughtUp(a)
		last := a.Ask("pg_walfile_name(pg_current_wal_insert_lsn())")
		a.Exec("insert into t values (0, '')", "select pg_switch_wal()")
		a.Wait("select last_archived_wal >= '" + last + "' from pg_stat_archiver")

		history, err := wal.ParseHistory(2, []byte(a.Read("pg_wal/00000002.history")))
		require.NoError(t, err)
		for _, s := range []archivist{p, a, b} {
			seen := s.judge(t, system, history)
			t.Logf("%s: %+v", filepath.Base(s.Data), seen)
			require.Greater(t, seen.segments, 3)
			require.Greater(t, seen.noticed, seen.flips/8, "fewer in 10, with its page headers after a switch")
			switch s {
			case a:
				require.Equal(t, 1, seen.partial)
			case p:
				require.Equal(t, w.Major > 10, seen.emptyRest > 0, "the rest after a switch is empty from 11 on")
			}
		}
	})
}

// killWhileWriting kills a server in the middle of writing, by a session that nobody waits for.
func killWhileWriting(t *testing.T, s archivist) {
	t.Helper()
	begin, writing := s.Ask("pg_current_wal_lsn()"), make(chan error, 1)
	go func() {
		writing <- s.Do(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "insert into t select i, repeat('x', 500) from generate_series(1, 10000000) i")
			return err
		})
	}()
	s.Wait("select pg_current_wal_flush_lsn() > '" + begin + "'")
	s.Kill(syscall.SIGQUIT)
	require.Error(t, <-writing)
}
