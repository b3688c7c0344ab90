package lookahead

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
)

// deadline is how long anything may take.
const deadline = 30 * time.Second

// startServer runs a helper until the test ends, and returns its spool when it listens.
func startServer(t testing.TB, archive Archive, change func(*Config)) string {
	t.Helper()
	cfg := Config{Spool: spoolDir(t), Bond: ours, Archive: archive}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the helper ended in an error: %v", err)
		}
	})
	waitListening(t, cfg.Spool)
	return cfg.Spool
}

func waitListening(t testing.TB, spool string) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("unix", filepath.Join(spool, socketName))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, deadline, time.Millisecond)
}

// clientOf is a client whose own work is done by direct, and which must not start anybody.
func clientOf(t testing.TB, spool string, direct *fakeArchive) Client {
	t.Helper()
	return Client{Spool: spool, Bond: ours, Silence: deadline, Open: func(context.Context) (Archive, error) { return direct, nil },
		Start: func(context.Context) error { t.Error("a helper was started"); return nil }}
}

func TestClient_asks_the_helper(t *testing.T) {
	helper, direct := newFake(), newFake()
	d := newData(t, segName(1, 1))
	helper.holds[segName(1, 1)] = segment(segName(1, 1), 1)
	helper.holds["00000002.history"] = []byte("1\t0/300000\tx\n")
	c := clientOf(t, startServer(t, helper, nil), direct)

	require.NoError(t, c.Push(t.Context(), d.wal(segName(1, 1))))
	t.Chdir(d.dir)
	require.NoError(t, c.Push(t.Context(), filepath.Join("pg_wal", segName(1, 1))))

	require.NoError(t, c.Fetch(t.Context(), segName(1, 1), "pg_wal/RECOVERYXLOG"))
	got, err := os.ReadFile("pg_wal/RECOVERYXLOG")
	require.NoError(t, err)
	require.True(t, bytes.Equal(helper.holds[segName(1, 1)], got))
	require.NoError(t, c.Fetch(t.Context(), "00000002.history", "pg_wal/RECOVERYHISTORY"))

	err = c.Fetch(t.Context(), "00000003.history", "pg_wal/none")
	require.Equal(t, &walarchive.AbsentError{Name: "00000003.history"}, err)
	require.NoFileExists(t, "pg_wal/none")
	require.Empty(t, direct.asked(), "nothing was left to the client")
}

func TestClient_gives_the_errors_of_the_archive(t *testing.T) {
	helper, direct := newFake(), newFake()
	d := newData(t, segName(1, 1))
	c := clientOf(t, startServer(t, helper, nil), direct)
	conflict := &walarchive.ConflictError{Name: segName(1, 1)}
	for _, err := range []error{conflict, &walarchive.ForeignArchiveError{}, errFake} {
		helper.fails[segName(1, 1)], direct.fails[segName(1, 1)] = err, err
		require.ErrorIs(t, c.Push(t.Context(), d.wal(segName(1, 1))), err)
	}
	err := c.Fetch(t.Context(), segName(1, 1), filepath.Join(t.TempDir(), "dst"))
	require.ErrorIs(t, err, errFake)
	require.ErrorAs(t, err, new(*walarchive.UnknownError))

	delete(direct.fails, segName(1, 1))
	require.NoError(t, c.Push(t.Context(), d.wal(segName(1, 1))), "a helper that is out of order does no harm")
}

func TestClient_never_replaces(t *testing.T) {
	helper, direct := newFake(), newFake()
	helper.holds[segName(1, 1)] = segment(segName(1, 1), 1)
	direct.holds[segName(1, 1)] = helper.holds[segName(1, 1)]
	c := clientOf(t, startServer(t, helper, nil), direct)
	dst := filepath.Join(t.TempDir(), "dst")
	require.NoError(t, os.WriteFile(dst, []byte("mine"), 0o600))
	require.ErrorIs(t, c.Fetch(t.Context(), segName(1, 1), dst), fs.ErrExist)
	got, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.Equal(t, "mine", string(got))
}

// What the helper hands out is looked at again.
func TestClient_looks_at_what_it_takes(t *testing.T) {
	good := segment(segName(1, 1), 1)
	for name, content := range map[string][]byte{
		"too_short":       good[:segSize-1],
		"another_segment": segment(segName(1, 2), 1),
		"empty":           {},
		"zeros":           make([]byte, segSize),
	} {
		t.Run(name, func(t *testing.T) {
			helper, direct := newFake(), newFake()
			helper.holds[segName(1, 1)], direct.holds[segName(1, 1)] = content, good
			spool := startServer(t, helper, nil)
			dst := filepath.Join(t.TempDir(), "dst")
			require.NoError(t, clientOf(t, spool, direct).Fetch(t.Context(), segName(1, 1), dst))
			got, err := os.ReadFile(dst)
			require.NoError(t, err)
			require.True(t, bytes.Equal(good, got))
			require.NoFileExists(t, filepath.Join(spool, filesName, segName(1, 1)), "it is not handed out again")
		})
	}
}

func TestClient_spool_in_another_file_system(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "la")
	if err != nil {
		t.Skip("no other file system: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(shm) })
	helper, direct := newFake(), newFake()
	helper.holds[segName(1, 1)] = segment(segName(1, 1), 1)
	spool := startServer(t, helper, func(cfg *Config) { cfg.Spool = filepath.Join(shm, "spool") })
	dst := filepath.Join(t.TempDir(), "dst")
	require.NoError(t, clientOf(t, spool, direct).Fetch(t.Context(), segName(1, 1), dst))
	got, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.True(t, bytes.Equal(helper.holds[segName(1, 1)], got))
	require.NoFileExists(t, filepath.Join(spool, filesName, segName(1, 1)))
}

// impostor answers every conversation with the given function, in a spool of its own.
func impostor(t *testing.T, answer func(conn net.Conn, request string)) string {
	t.Helper()
	spool := spoolDir(t)
	require.NoError(t, os.Mkdir(spool, 0o700))
	listener, err := net.Listen("unix", filepath.Join(spool, socketName))
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				_, _ = r.ReadString('\n')
				request, _ := r.ReadString('\n')
				answer(conn, request)
			}()
		}
	}()
	return spool
}

func TestClient_does_it_itself(t *testing.T) {
	good := func(o outcome, name string) string {
		text, err := json.Marshal(response{Outcome: o, Name: name})
		require.NoError(t, err)
		return string(text)
	}
	say := func(text string) func(conn net.Conn, request string) {
		return func(conn net.Conn, _ string) { fmt.Fprint(conn, text) }
	}
	name := segName(1, 1)
	for condition, answer := range map[string]func(conn net.Conn, request string){
		"dies_at_once":              say(""),
		"dies_after_greeting":       say(greeting + "\n"),
		"dies_while_at_work":        say(greeting + "\n" + patience + "\n" + patience + "\n"),
		"answer_cut_off":            say(greeting + "\n" + good(archived, name)),
		"answer_cut_off_in_front":   say(greeting + "\n" + good(archived, name)[:20] + "\n"),
		"newer_version":             say("understudy lookahead 2\n" + good(archived, name) + "\n"),
		"greeting_with_more":        say(greeting + "0\n" + good(archived, name) + "\n"),
		"no_greeting":               say(good(archived, name) + "\n"),
		"garbage":                   say(strings.Repeat("x", 1<<20) + "\n"),
		"long_line":                 say(greeting + "\n" + strings.Repeat(" ", 1<<20) + good(archived, name) + "\n"),
		"for_another_file":          say(greeting + "\n" + good(archived, segName(1, 2)) + "\n"),
		"for_another_file_absent":   say(greeting + "\n" + good(absent, segName(1, 2)) + "\n"),
		"unknown_outcome":           say(greeting + "\n" + good("fine", name) + "\n"),
		"no_outcome":                say(greeting + "\n" + good("", name) + "\n"),
		"unknown_field":             say(greeting + "\n" + `{"Outcome":"archived","Name":"` + name + `","But":true}` + "\n"),
		"two_answers":               say(greeting + "\n" + good(archived, name) + good(failed, name) + "\n"),
		"refused":                   say(greeting + "\n" + good(refused, name) + "\n"),
		"answer_to_another_verb":    say(greeting + "\n" + good("done", name) + "\n"),
		"delivered_but_not_there":   say(greeting + "\n" + good(delivered, name) + "\n"),
		"frozen":                    func(net.Conn, string) { select {} },
		"frozen_after_greeting":     func(conn net.Conn, _ string) { fmt.Fprintln(conn, greeting); select {} },
		"frozen_after_sign_of_life": func(conn net.Conn, _ string) { fmt.Fprintf(conn, "%s\n%s\n", greeting, patience); select {} },
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			direct := newFake()
			direct.holds[name] = segment(name, 1)
			d := newData(t, name)
			c := clientOf(t, impostor(t, answer), direct)
			c.Silence = 200 * time.Millisecond
			require.NoError(t, c.Push(t.Context(), d.wal(name)))
			require.NoError(t, c.Fetch(t.Context(), name, d.wal("RECOVERYXLOG")))
			require.Equal(t, []string{name, name}, direct.asked())
		})
	}
	t.Run("push_is_not_delivered_nor_fetch_archived", func(t *testing.T) {
		direct := newFake()
		d := newData(t, name)
		for _, o := range []outcome{delivered, absent} {
			require.NoError(t, clientOf(t, impostor(t, say(greeting+"\n"+good(o, name)+"\n")), direct).Push(t.Context(), d.wal(name)))
			require.Equal(t, []string{name}, direct.asked())
		}
		err := clientOf(t, impostor(t, say(greeting+"\n"+good(archived, name)+"\n")), direct).Fetch(t.Context(), name, d.wal("x"))
		require.True(t, isAbsent(err))
		require.Equal(t, []string{name}, direct.asked())
	})
}

func TestClient_says_why(t *testing.T) {
	d := newData(t, segName(1, 1))
	var log bytes.Buffer
	c := clientOf(t, impostor(t, func(conn net.Conn, _ string) { fmt.Fprintln(conn, "understudy lookahead 2") }), newFake())
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	require.NoError(t, c.Push(t.Context(), d.wal(segName(1, 1))))
	require.Contains(t, log.String(), "understudy lookahead 2")
}

func TestClient_stopped(t *testing.T) {
	helper, direct := newFake(), newFake()
	helper.waits[segName(1, 1)] = make(chan struct{})
	d := newData(t, segName(1, 1))
	c := clientOf(t, startServer(t, helper, nil), direct)
	stopped := errors.New("told to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	helper.before = func(string) { cancel(stopped) }
	require.ErrorIs(t, c.Push(ctx, d.wal(segName(1, 1))), stopped)
	err := c.Fetch(ctx, segName(1, 1), filepath.Join(t.TempDir(), "dst"))
	require.ErrorIs(t, err, stopped)
	require.ErrorAs(t, err, new(*walarchive.UnknownError))
	require.Empty(t, direct.asked())
	close(helper.waits[segName(1, 1)])
}

func TestClient_cannot_open_the_archive(t *testing.T) {
	d := newData(t, segName(1, 1))
	c := clientOf(t, spoolDir(t), nil)
	c.Start = nil
	c.Open = func(context.Context) (Archive, error) { return nil, fs.ErrNotExist }
	require.ErrorIs(t, c.Push(t.Context(), d.wal(segName(1, 1))), fs.ErrNotExist)
	err := c.Fetch(t.Context(), segName(1, 1), d.wal("x"))
	require.ErrorAs(t, err, new(*walarchive.UnknownError))
	require.NotErrorIs(t, err, fs.ErrNotExist, "that is no proof of absence")
}

func TestClient_starts_a_helper(t *testing.T) {
	d := newData(t, segName(1, 1))
	direct := newFake()
	c := clientOf(t, spoolDir(t), direct)
	started := 0
	c.Start = func(context.Context) error { started++; return errFake }
	require.NoError(t, c.Push(t.Context(), d.wal(segName(1, 1))), "whether that works or not")
	require.Equal(t, 1, started, "no spool")
	require.NoError(t, os.Mkdir(c.Spool, 0o700))
	require.NoError(t, c.Push(t.Context(), d.wal(segName(1, 1))))
	require.Equal(t, 2, started, "no socket")
	listener, err := net.Listen("unix", filepath.Join(c.Spool, socketName))
	require.NoError(t, err)
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, listener.Close())
	require.NoError(t, c.Push(t.Context(), d.wal(segName(1, 1))))
	require.Equal(t, 3, started, "a dead helper's socket")

	other := ours
	other.SystemID++
	text, err := json.Marshal(other)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(c.Spool, bondName), text, 0o600))
	require.NoError(t, c.Push(t.Context(), d.wal(segName(1, 1))))
	require.Equal(t, 3, started, "none in another cluster's spool")

	require.NoError(t, os.Chmod(c.Spool, 0o755))
	require.NoError(t, c.Push(t.Context(), d.wal(segName(1, 1))))
	require.Equal(t, 3, started, "none in a bad place")
	require.Len(t, direct.asked(), 5)
}

// Two clusters that were given the same spool.
func TestServer_refuses_another_cluster(t *testing.T) {
	helper, direct := newFake(), newFake()
	d := newData(t, segName(1, 1))
	spool := startServer(t, helper, nil)
	for name, change := range map[string]func(b *Bond){
		"system_identifier": func(b *Bond) { b.SystemID++ },
		"segment_size":      func(b *Bond) { b.SegmentSize *= 2 },
		"data_directory":    func(b *Bond) { b.DataDir += "2" },
		"settings":          func(b *Bond) { b.Settings += "2" },
	} {
		t.Run(name, func(t *testing.T) {
			c := clientOf(t, spool, direct)
			change(&c.Bond)
			require.NoError(t, c.Push(t.Context(), d.wal(segName(1, 1))))
			require.True(t, isAbsent(c.Fetch(t.Context(), segName(1, 1), d.wal("x"))))
			require.Empty(t, helper.asked())
			require.Len(t, direct.asked(), 2)
			_, err := c.ask(t.Context(), request{Verb: verbFetch, Name: segName(1, 1)})
			require.NoError(t, err)

			s, err := New(Config{Spool: spool, Bond: c.Bond, Archive: helper})
			require.NoError(t, err)
			require.ErrorIs(t, s.Run(t.Context()), ErrRunning)
		})
	}
}

// talk says something to a helper and returns its answer.
func talk(t *testing.T, spool, text string) string {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(spool, socketName))
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.UnixConn).CloseWrite())
	got, err := io.ReadAll(conn)
	if !errors.Is(err, os.ErrDeadlineExceeded) && err != nil {
		require.ErrorContains(t, err, "reset") // it did not read all that was said
	}
	return string(got)
}

func TestServer_refuses_what_it_does_not_understand(t *testing.T) {
	helper := newFake()
	spool := startServer(t, helper, nil)
	bond, err := json.Marshal(ours)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"nothing":        "",
		"newer_version":  "understudy lookahead 2\n{}\n",
		"no_request":     greeting + "\n",
		"cut_off":        greeting + "\n{\"Verb\":\"push\"",
		"no_JSON":        greeting + "\npush x\n",
		"no_bond":        greeting + "\n{\"Verb\":\"push\"}\n",
		"unknown_field":  greeting + "\n" + `{"Verb":"fetch","Name":"00000002.history","Bond":` + string(bond) + `,"New":1}` + "\n",
		"unknown_verb":   greeting + "\n" + `{"Verb":"drop","Name":"00000002.history","Bond":` + string(bond) + `}` + "\n",
		"strange_name":   greeting + "\n" + `{"Verb":"fetch","Name":"../../etc/passwd","Bond":` + string(bond) + `}` + "\n",
		"relative_path":  greeting + "\n" + `{"Verb":"push","Name":"00000002.history","Path":"00000002.history","Bond":` + string(bond) + `}` + "\n",
		"name_from_path": greeting + "\n" + `{"Verb":"push","Name":"00000002.history","Path":"/x/00000003.history","Bond":` + string(bond) + `}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := talk(t, spool, text)
			require.True(t, strings.HasPrefix(got, greeting+"\n"), got)
			var r response
			require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(got, greeting+"\n")), &r), got)
			require.Equal(t, refused, r.Outcome)
			require.NotEmpty(t, r.Message)
			require.Equal(t, strings.Contains(name, "path"), strings.Contains(r.Message, "no path of"), r.Message)
			require.Empty(t, helper.asked())
		})
	}
}

func TestServer_gives_signs_of_life(t *testing.T) {
	helper, direct := newFake(), newFake()
	gate := make(chan struct{})
	helper.waits[segName(1, 1)] = gate
	d := newData(t, segName(1, 1))
	c := clientOf(t, startServer(t, helper, nil), direct)
	c.Silence = 5 * time.Second // of which the helper's second is a small part
	done := make(chan error, 1)
	go func() { done <- c.Push(t.Context(), d.wal(segName(1, 1))) }()
	time.AfterFunc(c.Silence+time.Second, func() { close(gate) })
	require.NoError(t, <-done)
	require.Empty(t, direct.asked(), "a helper that works is waited for")
}

func TestServer_ends_when_idle(t *testing.T) {
	helper := newFake()
	helper.holds[segName(1, 1)], helper.holds[segName(1, 2)] = segment(segName(1, 1), 1), segment(segName(1, 2), 1)
	cfg := Config{Spool: spoolDir(t), Bond: ours, Archive: helper, Idle: 100 * time.Millisecond}
	s, err := New(cfg)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	waitListening(t, cfg.Spool)
	require.NoError(t, clientOf(t, cfg.Spool, helper).Fetch(t.Context(), segName(1, 1), filepath.Join(t.TempDir(), "dst")))
	require.NoError(t, <-ended)
	require.NoFileExists(t, filepath.Join(cfg.Spool, socketName))
	left, err := os.ReadDir(filepath.Join(cfg.Spool, filesName))
	require.NoError(t, err)
	require.Empty(t, left, "a tidy end leaves nothing")
}
