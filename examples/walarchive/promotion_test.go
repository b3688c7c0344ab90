package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/internal/s3test"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// tables is how many tables the history of a test has, each in a segment of its own.
const tables = 6

// past is an archive, and a base backup from before what it holds.
type past struct {
	w        *pgserver.World
	primary  *pgserver.Server
	segments []string // that of table i is segments[i]
	copies   int
}

// newPast makes a server with a past that is archived by the command.
func newPast(t *testing.T, w *pgserver.World, push string) *past {
	t.Helper()
	p := &past{w: w, primary: w.Initdb("primary")}
	p.primary.Up("-c", "archive_mode=on", "-c", "archive_command="+push)
	w.Copy(p.primary, "backup")
	for i := range tables {
		p.primary.Exec(fmt.Sprintf("create table t%d as select generate_series(1, 1000)", i))
		p.segments = append(p.segments, p.primary.Ask("pg_walfile_name(pg_switch_wal())"))
	}
	p.primary.Wait(fmt.Sprintf("select last_archived_wal >= '%s' from pg_stat_archiver", p.segments[tables-1]))
	p.primary.Stop()
	return p
}

// restore returns a copy of the base backup that will recover with this command.
func (p *past) restore(t *testing.T, command string, role recovery.Role) *pgserver.Server {
	t.Helper()
	p.copies++
	s := p.w.Server(fmt.Sprint("restored", p.copies))
	p.w.CopyTree(filepath.Join(p.w.Dir, "backup"), s.Data)
	for _, name := range p.segments { // what is not archived is not there
		_ = os.Remove(filepath.Join(s.Data, "pg_wal", name))
	}
	recoverWith(t, s, recovery.Config{Role: role, RestoreCommand: command})
	return s
}

// count is how many of the tables there are.
func count(s *pgserver.Server) string {
	return s.Ask(`select count(*) from pg_tables where tablename ~ '^t[0-9]$'`)
}

// trouble is a way to fail that begins with one segment.
type trouble struct {
	name  string
	shell string // sets variables of the script, or runs the command and exits by itself
	says  string // in the server's log
}

// command is a restore_command that runs into trouble with the segment in the middle while there is a file trouble.
func (p *past) command(t *testing.T, url string, tr trouble) (command, flag string) {
	t.Helper()
	flag = filepath.Join(p.w.Dir, fmt.Sprintf("trouble%d", p.copies+1))
	require.NoError(t, os.WriteFile(flag, nil, 0o600))
	path := script(t, p.w, fmt.Sprintf("restore%d", p.copies+1), fmt.Sprintf(`url='%s'
fetch() { exec %s --archive "$url" --retry 0s fetch "$1" "$2"; }
if test "$1" = %s && test -e %s; then %s
fi
fetch "$1" "$2"`, url, program(t), p.segments[tables/2], flag, tr.shell))
	return path + ` "%f" "%p"`, flag
}

// However the archive fails in the middle of a recovery to a target, the server stops, and never takes it for the end.
// On a standby it goes on and waits.
func TestPromotion(t *testing.T) {
	each(t, func(t *testing.T, w *pgserver.World) {
		archive, empty := mkdir(t, w, "archive"), mkdir(t, w, "empty")
		gateway := s3test.Start(t)
		bucket, sshd := gateway.Bucket(t), newSSHPlace(t, w)
		p := newPast(t, w, fmt.Sprintf(`%s --archive %s --archive '%s' --archive '%s' push "%%p"`,
			program(t), archive, s3URL(gateway.Endpoint, bucket), sshd.url(sshd.Port)))
		damaged := mkdir(t, w, "damaged")
		p.w.CopyTree(archive, damaged)
		flip(t, filepath.Join(damaged, p.segments[tables/2]))
		for _, tr := range []trouble{
			{"unmounted", "url=" + archive + "/nothing", "no such file"},
			{"unmounted_empty", "url=" + empty, walarchive.MarkerName},
			{"damaged", "url=" + damaged, "damaged"},
			{"disk_full", "ulimit -f 64", "too large"},
			{"killed", `(fetch "$1" "$2") & kill -9 $!; wait $!; exit $?`, ""},
			{"not_executable", "exec " + archive, ""},
		} {
			p.fails(t, archive, tr)
		}
		bad := func(trouble s3test.Trouble) string {
			return "url='" + s3URL(gateway.Proxy(t, onlyFor(p.segments[tables/2], trouble)), bucket) + "'"
		}
		for _, tr := range []trouble{
			{"empty_bucket", "url='" + s3URL(gateway.Endpoint, gateway.Bucket(t)) + "'", walarchive.MarkerName},
			{"no_bucket", "url='" + s3URL(gateway.Endpoint, "nobodys") + "'", "bucket"},
			{"forbidden", bad(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
				s3test.Refuse(w, http.StatusForbidden, "AccessDenied", "no")
			}), "accessdenied"},
			{"cut", bad(cutInTheMiddle), ""},
		} {
			p.fails(t, s3URL(gateway.Endpoint, bucket), tr)
		}
		p.fails(t, sshd.url(sshd.Port), trouble{"refused", "url='" + sshd.url(1) + "'", "refused"})
		p.standbyWaits(t, archive, trouble{"unmounted", "url=" + empty, ""})
	})
}

// onlyFor makes trouble for requests about one object.
func onlyFor(object string, trouble s3test.Trouble) s3test.Trouble {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if strings.HasSuffix(r.URL.Path, object) {
			trouble(w, r, next)
			return
		}
		next(w, r)
	}
}

// cutInTheMiddle loses the connection after half of the object.
func cutInTheMiddle(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	answer := httptest.NewRecorder()
	next(answer, r)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2]) // the client will notice
	s3test.Cut(w)
}

// fails demands that a recovery which meets trouble stops, and that without it, the same recovery gets to the end.
func (p *past) fails(t *testing.T, url string, tr trouble) {
	t.Helper()
	command, flag := p.command(t, url, tr)
	s := p.restore(t, command, recovery.Targeted)
	s.Start("-c", "archive_mode=off")
	log := s.WantEnd()
	require.Contains(t, log, "FATAL", tr.name)
	require.Contains(t, strings.ToLower(log), tr.says, tr.name)
	require.NotContains(t, log, "archive recovery complete", tr.name)
	require.False(t, s.Exists("pg_wal/"+wal.Timeline(2).HistoryName()), tr.name)
	control, err := datadir.ReadControl(s.Data)
	require.NoError(t, err)
	require.Equal(t, datadir.StateInArchiveRecovery, control.State, tr.name)

	require.NoError(t, os.Remove(flag))
	s.Start("-c", "archive_mode=off")
	s.Wait("select not pg_is_in_recovery()")
	require.Equal(t, fmt.Sprint(tables), count(s), tr.name)
	s.Kill(9)
}

// standbyWaits demands that a standby which meets trouble goes on, is no primary, and replays everything when the trouble is over.
func (p *past) standbyWaits(t *testing.T, url string, tr trouble) {
	t.Helper()
	command, flag := p.command(t, url, tr)
	s := p.restore(t, command, recovery.Standby)
	s.Up("-c", "archive_mode=off")
	pgserver.Until(t, "the standby to ask in vain", func() error {
		if n := lines(s.Log(), "walarchive fetch", "cannot"); n < 3 {
			return fmt.Errorf("%d times so far", n)
		}
		return nil
	})
	require.Equal(t, "true", s.Ask("pg_is_in_recovery()"))
	require.Equal(t, fmt.Sprint(tables/2), count(s), "%s: what was archived before the trouble", tr.name)
	require.NoError(t, os.Remove(flag))
	s.Wait(fmt.Sprintf(`select count(*) = %d from pg_tables where tablename ~ '^t[0-9]$'`, tables))
	require.Equal(t, "true", s.Ask("pg_is_in_recovery()"))
	s.Kill(9)
}

// flip changes one bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
}
