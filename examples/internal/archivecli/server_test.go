package archivecli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// TestServer archives from and restores into real servers of every installed major from 10 on.
func TestServer(t *testing.T) {
	localpg.Each(t, story)
}

func story(t *testing.T, in localpg.Install) {
	b := newBench(t, in)
	primary := b.initdb()
	primary.start("archive_mode=on", "archive_command="+b.command("push", `"%p"`))
	b.run("pg_basebackup", "-h", primary.sock, "-D", b.path("backup"), "-X", "none", "-c", "fast")
	var segments []string // the one that holds table i is segments[i-1]
	for i := range 8 {
		primary.sql(fmt.Sprintf("create table t_%d as select generate_series(1, 1000)", i+1))
		segments = append(segments, primary.sql("select pg_walfile_name(pg_current_wal_lsn())"))
		primary.sql(fmt.Sprintf("select pg_create_restore_point('after_t_%d')", i+1))
		primary.sql("select pg_switch_wal()")
	}
	b.waitFor("the last segment to be archived", func() bool { return b.archived(segments[7]) })
	backups, err := filepath.Glob(filepath.Join(b.archive, "*.backup"))
	require.NoError(t, err)
	require.Len(t, backups, 1)

	b.step("positions_as_the_server_reads_them", func(t *testing.T) { lsnOracle(t, primary) })
	b.step("cleanup_as_pg_archivecleanup", func(t *testing.T) { cleanupOracle(t, b) })
	b.step("conflict_is_never_acknowledged", func(t *testing.T) { conflict(t, b, primary) })
	primary.stop()

	b.step("archive_goes_away_in_the_middle", func(t *testing.T) {
		away := fmt.Sprintf(`test "%%f" != %s || mv %s %s.away; `, segments[4], b.archive, b.archive)
		s := b.restore("gone", "recovery.signal", "restore_command="+away+b.command("fetch", `"%f" "%p"`))
		s.wantStopped("exit code 200")
		require.NoError(t, os.Rename(b.archive+".away", b.archive))
		s.setRestore("recovery.signal", "restore_command="+b.command("fetch", `"%f" "%p"`))
		s.start("archive_mode=off")
		s.waitPromoted()
		require.Equal(t, "8", s.tables())
		s.stop()
	})
	b.step("segment_unreadable", func(t *testing.T) {
		path := filepath.Join(b.archive, segments[4])
		require.NoError(t, os.Chmod(path, 0))
		defer b.run("chmod", "600", path)
		b.restore("unreadable", "recovery.signal", "restore_command="+b.command("fetch", `"%f" "%p"`)).wantStopped("exit code 200")
	})
	b.step("segment_truncated", func(t *testing.T) {
		path := filepath.Join(b.archive, segments[4])
		b.run("cp", path, path+".good")
		require.NoError(t, os.Truncate(path, 8192))
		defer b.run("mv", path+".good", path)
		b.restore("truncated", "recovery.signal", "restore_command="+b.command("fetch", `"%f" "%p"`)).wantStopped("exit code 200")
	})
	b.step("archive_ends_early", func(t *testing.T) {
		for _, name := range segments[4:] {
			require.NoError(t, os.Rename(filepath.Join(b.archive, name), filepath.Join(b.archive, name+".hidden")))
			t.Cleanup(func() { b.run("mv", filepath.Join(b.archive, name+".hidden"), filepath.Join(b.archive, name)) })
		}
		s := b.restore("early", "recovery.signal", "restore_command="+b.command("fetch", `"%f" "%p"`))
		s.waitPromoted()
		require.Equal(t, "4", s.tables())
		s.stop()
	})
	b.step("restore_and_archive_the_new_timeline", func(t *testing.T) {
		s := b.server("pitr")
		b.run("cp", "-a", b.path("backup"), s.data)
		s.setRestore("recovery.signal", "restore_command="+b.command("fetch", `"%f" "%p"`),
			"recovery_target_name=after_t_8", "recovery_target_action=promote")
		s.start("archive_mode=on", "archive_command="+b.command("push", `"%p"`))
		s.waitPromoted()
		require.Equal(t, "8", s.tables())
		s.sql("create table t_9 as select generate_series(1, 1000)")
		first := s.sql("select pg_walfile_name(pg_current_wal_lsn())")
		s.sql("select pg_switch_wal()")
		b.waitFor("the new timeline to be archived", func() bool { return b.archived(first) && b.archived("00000002.history") })
		require.Equal(t, "00000002"+segments[7][8:], first, "the new timeline begins in the middle of the old one's segment")
		s.stop()
	})
	b.step("standby_waits_for_the_archive", func(t *testing.T) {
		once := b.path("gone-once") // later than the history file: a standby takes what it cannot read for what is not there
		away := fmt.Sprintf(`test "%%f" != %s || test -e %s || { touch %s; mv %s %s.away; }; `, segments[4], once, once, b.archive, b.archive)
		s := b.restore("standby", "standby.signal", "restore_command="+away+b.command("fetch", `"%f" "%p"`))
		b.waitFor("the standby to ask in vain", func() bool { return strings.Count(s.log(), "cannot fetch") > 3 })
		require.NoError(t, os.Rename(b.archive+".away", b.archive))
		b.waitFor("the standby to replay both timelines", func() bool { return s.trySQL("select count(*) from pg_tables where tablename like 't\\_%'") == "9" })
		require.Equal(t, "t", s.sql("select pg_is_in_recovery()"))
		s.stop()
	})
	b.step("promoted_standby_archives_its_partial_segment", func(t *testing.T) {
		b.archive = b.mkdir("archive2")
		settings := []string{"archive_mode=on", "archive_command=" + b.command("push", `"%p"`)}
		primary.start(settings...)
		s := b.server("streaming")
		b.run("pg_basebackup", "-h", primary.sock, "-D", s.data, "-X", "stream", "-c", "fast")
		s.setRestore("standby.signal", "primary_conninfo=host="+primary.sock+" user="+b.owner.Name)
		s.start(settings...)
		primary.sql("create table p as select 1")
		last := primary.sql("select pg_walfile_name(pg_current_wal_lsn())")
		b.waitFor("the standby to catch up", func() bool { return s.trySQL("select count(*) from p") == "1" })
		require.NoError(t, primary.process.Process.Signal(syscall.SIGQUIT)) // no shutdown, no switch to a new segment
		primary.waitEnded()
		b.run("pg_ctl", "promote", "-D", s.data)
		b.waitFor("the partial segment to be archived", func() bool { return b.archived(last+".partial") && b.archived("00000002.history") })
		s.stop()
	})
}

// conflict puts another file in the place of the next segment: the server must keep its own until that is solved.
func conflict(t *testing.T, b *bench, primary *server) {
	primary.sql("create table c as select 1") // first, because at a boundary the majors name different files
	next := primary.sql("select pg_walfile_name(pg_current_wal_lsn())")
	seg, err := wal.ParseSegment(next, b.segmentSize())
	require.NoError(t, err)
	previous := wal.Segment{Timeline: seg.Timeline, Number: seg.Number - 1}.Name(b.segmentSize())
	b.run("cp", filepath.Join(b.archive, previous), filepath.Join(b.archive, next))
	primary.sql("select pg_switch_wal()")
	b.waitFor("the archiver to fail", func() bool {
		return primary.sql("select last_failed_wal from pg_stat_archiver") == next && strings.Contains(primary.log(), "already archived with other content")
	})
	require.FileExists(t, filepath.Join(primary.data, "pg_wal", next), "not archived, so not removed")
	require.NoError(t, os.Remove(filepath.Join(b.archive, next)))
	b.waitFor("the archiver to try again", func() bool { return primary.sql("select last_archived_wal from pg_stat_archiver") >= next })
}

func lsnOracle(t *testing.T, s *server) {
	for _, in := range []string{"0/0", "16/B374D848", "a/ff", "00000001/0000000A", "FFFFFFFF/FFFFFFFF", "", "0/", "/0", "0",
		"0/123456789", "123456789/0", " 0/1", "0/1 ", "0x1/2", "-1/0", "+1/0", "0/1/2", "G/0", "0/ 1", "0/1_0"} {
		want := s.trySQL("select '" + in + "'::pg_lsn")
		lsn, err := wal.ParseLSN(in)
		if err != nil {
			require.Empty(t, want, "the server accepts %q", in)
			continue
		}
		require.Equal(t, want, lsn.String())
	}
	size := recoveryControl(t, s).SegmentSize
	for _, lsn := range []wal.LSN{1, 0xFFFFFFFF, 0x1_23456789, 0xA_FF000001} {
		require.Equal(t, s.sql("select pg_walfile_name('"+lsn.String()+"')"), wal.SegmentOf(1, lsn, size).Name(size))
	}
}

func cleanupOracle(t *testing.T, b *bench) {
	if !fileExists(b.in.Bin("pg_archivecleanup")) {
		localpg.Missing(t, "no pg_archivecleanup in "+b.in.Dir)
	}
	random := rand.New(rand.NewPCG(1, 2))
	extensions := []string{"", "", "", ".partial", ".gz", ".00000028.backup", ".tmp"}
	name := func() string {
		s := wal.Segment{Timeline: wal.Timeline(1 + random.IntN(3)), Number: uint64(random.IntN(600))}
		return s.Name(wal.DefaultSegmentSize)
	}
	for round := range 20 {
		folder := b.path(fmt.Sprint("cleanup", round))
		require.NoError(t, os.Mkdir(folder, 0o755))
		names := []string{"00000002.history", "00000001000000000000000a"}
		for range 60 {
			names = append(names, name()+extensions[random.IntN(len(extensions))])
		}
		for _, n := range names {
			require.NoError(t, os.WriteFile(filepath.Join(folder, n), nil, 0o644))
		}
		oldest := name() + []string{"", ".partial", ".00000028.backup"}[random.IntN(3)]
		want := strings.Fields(strings.ReplaceAll(b.run("pg_archivecleanup", "-n", folder, oldest), folder+"/", ""))
		slices.Sort(names)
		got, err := catalog.PgCleanup{Oldest: oldest}.Plan(slices.Compact(names))
		require.NoError(t, err)
		require.ElementsMatch(t, want, got, "keep from %s", oldest)
	}
}

// bench is a folder with the built command, an archive and servers, all owned by a user that PostgreSQL accepts.
type bench struct {
	t       *testing.T
	in      localpg.Install
	root    string
	archive string
	binary  string
	owner   localpg.Account
}

func newBench(t *testing.T, in localpg.Install) *bench {
	root, err := os.MkdirTemp("", "archivecli")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(root) })
	b := &bench{t: t, in: in, root: root, binary: filepath.Join(root, "walarchive")}
	b.owner, err = localpg.Owner(root)
	require.NoError(t, err)
	out, err := exec.Command("go", "build", "-o", b.binary, "github.com/understudy-ha/understudy/examples/walarchive").CombinedOutput()
	require.NoError(t, err, "%s", out)
	b.archive = b.mkdir("archive")
	return b
}

// step is t.Run for a part of the story; what fails in it fails there.
func (b *bench) step(name string, f func(t *testing.T)) {
	story := b.t
	defer func() { b.t = story }()
	story.Run(name, func(t *testing.T) {
		b.t = t
		f(t)
	})
}

func (b *bench) path(name string) string { return filepath.Join(b.root, name) }

func (b *bench) mkdir(name string) string {
	b.run("mkdir", "-m", "700", b.path(name))
	return b.path(name)
}

// cmd is a command as the server's user; PostgreSQL's own programs are taken from the major's folder.
func (b *bench) cmd(name string, args ...string) *exec.Cmd {
	if path := b.in.Bin(name); fileExists(path) {
		name = path
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+b.root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.owner.Credential}
	return cmd
}

func (b *bench) run(name string, args ...string) string {
	b.t.Helper()
	cmd := b.cmd(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(b.t, err, "%s %v: %s", name, args, &stderr)
	return string(out)
}

func fileExists(path string) bool { _, err := os.Stat(path); return err == nil }

// command is what archive_command and its like are set to.
func (b *bench) command(verb, arguments string) string {
	return fmt.Sprintf("%s --archive %s --retry 1s %s %s", b.binary, b.archive, verb, arguments)
}

func (b *bench) archived(name string) bool { return fileExists(filepath.Join(b.archive, name)) }

func (b *bench) waitFor(what string, condition func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			b.dumpLogs()
			require.FailNow(b.t, "timed out waiting for "+what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (b *bench) dumpLogs() {
	logs, _ := filepath.Glob(b.path("*.log"))
	for _, l := range logs {
		text, _ := os.ReadFile(l)
		b.t.Logf("--- %s\n%s", filepath.Base(l), text)
	}
}

func (b *bench) segmentSize() uint32 {
	if b.in.Major >= 11 {
		return 1 << 20
	}
	return wal.DefaultSegmentSize
}

func (b *bench) initdb() *server {
	s := b.server("primary")
	args := []string{"-D", s.data, "--auth-local=peer", "--auth-host=reject", "--no-sync", "-E", "UTF8", "--locale=C"}
	if b.in.Major >= 11 {
		args = append(args, "--wal-segsize=1")
	}
	b.run("initdb", args...)
	return s
}

func (b *bench) server(name string) *server {
	return &server{b: b, data: b.path(name), sock: b.mkdir(name + ".sock"), logFile: b.path(name + ".log")}
}

// restore starts a copy of the base backup that does not archive.
func (b *bench) restore(name, signalFile string, settings ...string) *server {
	b.t.Helper()
	s := b.server(name)
	b.run("cp", "-a", b.path("backup"), s.data)
	s.setRestore(signalFile, settings...)
	s.start("archive_mode=off")
	return s
}

type server struct {
	b       *bench
	data    string
	sock    string // folder of its socket, so that each can have the default port
	logFile string
	restore []string // settings, 12+
	process *exec.Cmd
	ended   chan struct{}
}

// setRestore says what to recover, each setting as name=value, in the way of the major.
func (s *server) setRestore(signalFile string, settings ...string) {
	s.b.t.Helper()
	settings = append(settings, "recovery_target_timeline=latest")
	if s.b.in.Major >= 12 {
		s.b.run("touch", filepath.Join(s.data, signalFile))
		s.restore = settings
		return
	}
	var text strings.Builder
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	if signalFile == "standby.signal" {
		text.WriteString("standby_mode = 'on'\n")
	}
	conf := filepath.Join(s.data, "recovery.conf")
	s.b.run("touch", conf) // as the server's user, who will rename it
	require.NoError(s.b.t, os.WriteFile(conf, []byte(text.String()), 0o600))
}

func (s *server) start(settings ...string) {
	s.b.t.Helper()
	args := []string{"-D", s.data, "-k", s.sock, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "wal_level=replica",
		"-c", "hot_standby=on", "-c", "wal_retrieve_retry_interval=200ms", "-c", "logging_collector=off"}
	for _, setting := range append(settings, s.restore...) {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(s.b.t, err)
	defer log.Close()
	s.process = s.b.cmd("postgres", args...)
	s.process.Stdout, s.process.Stderr = log, log
	require.NoError(s.b.t, s.process.Start())
	ended := make(chan struct{})
	s.ended = ended
	process := s.process
	go func() {
		defer close(ended)
		_ = process.Wait() // tests judge by the log and the data directory
	}()
	s.b.t.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGQUIT) // it may have ended long ago
		<-ended
	})
	if len(s.restore) == 0 && !fileExists(filepath.Join(s.data, "recovery.conf")) {
		s.b.waitFor("the server to answer", func() bool { return s.trySQL("select 1") == "1" })
	}
}

func (s *server) stop() {
	s.b.t.Helper()
	require.NoError(s.b.t, s.process.Process.Signal(syscall.SIGINT))
	s.waitEnded()
}

func (s *server) waitEnded() {
	s.b.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(60 * time.Second):
		s.b.dumpLogs()
		require.FailNow(s.b.t, "the server does not stop")
	}
}

// wantStopped demands that the server gave up, and that it did not open for writes.
func (s *server) wantStopped(reason string) {
	t := s.b.t
	t.Helper()
	s.waitEnded()
	require.Contains(t, s.log(), reason)
	require.Contains(t, s.log(), "FATAL")
	require.NotContains(t, s.log(), "archive recovery complete")
	require.NoFileExists(t, filepath.Join(s.data, "pg_wal", "00000002.history"))
	require.Equal(t, datadir.StateInArchiveRecovery, recoveryControl(t, s).State)
}

func (s *server) waitPromoted() {
	s.b.t.Helper()
	s.b.waitFor("the end of recovery", func() bool { return s.trySQL("select pg_is_in_recovery()") == "f" })
}

func (s *server) tables() string {
	s.b.t.Helper()
	return s.sql(`select count(*) from pg_tables where tablename like 't\_%'`)
}

func (s *server) log() string {
	text, _ := os.ReadFile(s.logFile)
	return string(text)
}

func (s *server) psql(query string) *exec.Cmd {
	return s.b.cmd("psql", "-X", "-h", s.sock, "-U", s.b.owner.Name, "-d", "postgres", "-Atqc", query)
}

func (s *server) sql(query string) string {
	s.b.t.Helper()
	out, err := s.psql(query).CombinedOutput()
	require.NoError(s.b.t, err, "%s: %s", query, out)
	return strings.TrimSpace(string(out))
}

// trySQL is empty on any error.
func (s *server) trySQL(query string) string {
	out, err := s.psql(query).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func recoveryControl(t *testing.T, s *server) datadir.Control {
	t.Helper()
	c, err := datadir.ReadControl(s.data)
	require.NoError(t, err)
	return c
}
