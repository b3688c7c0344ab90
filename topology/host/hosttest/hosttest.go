// Package hosttest is the conformance suite of [host.Host]. A new kind of host is right when Run passes:
//
//	func TestSSH(t *testing.T) {
//		hosttest.Run(t, func(t *testing.T) (host.Host, string) { return newSSH(t), "/tmp/…" })
//	}
//
// The machine needs sh, the core utilities, find, ps, awk, sed and /proc.
package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-ha/understudy/topology/host"
)

// Run tests every promise of [host.Host]. newHost returns a host, and a directory on it that is empty, that its user may
// write to and that the caller removes afterwards. The host should end commands quickly (a KillAfter of about 1 s).
func Run(t *testing.T, newHost func(t *testing.T) (h host.Host, dir string)) {
	tests := []struct {
		name string
		run  func(*testing.T, *machine)
	}{
		{"run/output_and_exit_code", testOutput},
		{"run/stdin", testStdin},
		{"run/environment", testEnvironment},
		{"run/secret_stays_out_of_argv", testSecret},
		{"run/arguments_are_not_interpreted", testArguments},
		{"run/directory", testDirectory},
		{"run/does_not_start", testStartError},
		{"run/killed_by_signal", testSignal},
		{"run/context_over_before", testContextBefore},
		{"run/context_ends_meanwhile", testContextMeanwhile},
		{"run/process_left_behind", testLeftBehind},
		{"files/read_what_was_written", testRoundTrip},
		{"files/write_keeps_mode", testKeepsMode},
		{"files/write_refuses_what_is_no_file", testWriteRefuses},
		{"files/check_write", testCheckWrite},
		{"files/missing_and_forbidden", testFileErrors},
		{"files/read_dir", testReadDir},
		{"files/rename", testRename},
		{"files/mkdir_remove_exists", testMkdirRemove},
		{"files/context_over", testFilesContext},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, dir := newHost(t)
			tt.run(t, &machine{Host: h, t: t, dir: dir})
		})
	}
}

// machine is the host under test with helpers that fail the test.
type machine struct {
	host.Host
	t   *testing.T
	dir string
}

// file returns a name within the test's directory.
func (m *machine) file(name string) string { return path.Join(m.dir, name) }

func (m *machine) sh(script string, args ...string) string {
	m.t.Helper()
	res, err := m.Run(m.t.Context(), host.Cmd{Path: "sh", Args: append([]string{"-c", script, "sh"}, args...)})
	if err != nil {
		m.t.Fatalf("sh -c %q: %v", script, err)
	}
	return string(res.Stdout)
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) equal(what string, got, want any) {
	m.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		m.t.Errorf("%s: got %q, want %q", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}

func (m *machine) matches(what string, err, want error) {
	m.t.Helper()
	if !errors.Is(err, want) {
		m.t.Errorf("%s: got error %v, want one that matches %v", what, err, want)
	}
}

// waitFor polls until done returns true.
func (m *machine) waitFor(what string, done func() bool) {
	m.t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("waited 20 s in vain: %s", what)
		}
	}
}

func testOutput(t *testing.T, m *machine) {
	res, err := m.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", `printf 'a\000b'; printf no-newline >&2`}})
	m.must(err)
	m.equal("stdout", string(res.Stdout), "a\x00b")
	m.equal("stderr", string(res.Stderr), "no-newline")
	m.equal("exit code", res.ExitCode, 0)

	res, err = m.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", `echo out; echo one >&2; echo two >&2; exit 127`}})
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("got error %v, want an ExitError", err)
	}
	m.equal("code", exit.Code, 127)
	m.equal("command", exit.Command, "sh")
	m.equal("host", exit.Host, m.Name())
	m.equal("tail", exit.Stderr, "one\ntwo")
	m.equal("stdout", string(res.Stdout), "out\n")
	m.equal("exit code", res.ExitCode, 127)

	_, err = m.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", `seq 100000 >&2; exit 1`}})
	if !errors.As(err, &exit) {
		t.Fatalf("got error %v, want an ExitError", err)
	}
	if !strings.HasSuffix(exit.Stderr, "99999\n100000") || len(exit.Stderr) > 2100 {
		t.Errorf("tail of a long standard error: %q", exit.Stderr)
	}
}

func testStdin(t *testing.T, m *machine) {
	in := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	res, err := m.Run(t.Context(), host.Cmd{Path: "cat", Stdin: bytes.NewReader(in)})
	m.must(err)
	if !bytes.Equal(res.Stdout, in) {
		t.Errorf("cat returned %d bytes of %d", len(res.Stdout), len(in))
	}
	res, err = m.Run(t.Context(), host.Cmd{Path: "cat"})
	m.must(err)
	m.equal("no stdin", string(res.Stdout), "")
	_, err = m.Run(t.Context(), host.Cmd{Path: "true", Stdin: bytes.NewReader(in)})
	m.must(err) // a command need not read its input
}

func testEnvironment(t *testing.T, m *machine) {
	c := host.Cmd{
		Path: "sh",
		Args: []string{"-c", `printf '%s|' "$ONE" "$TWO" "$HOME" "$LAST" "${UNDERSTUDY_ENV_1-unset}"`},
		Env:  []string{"ONE=a b  'c' \"d\" $HOME `id` \n=x", "TWO=", "HOME=/elsewhere", "LAST=1", "LAST=2"},
	}
	res, err := m.Run(t.Context(), c)
	m.must(err)
	m.equal("environment", string(res.Stdout), "a b  'c' \"d\" $HOME `id` \n=x||/elsewhere|2|unset|")

	for _, bad := range []string{"", "NAME", "=x", "A-B=secret", "A=se\x00cret", "A B=secret"} {
		_, err := m.Run(t.Context(), host.Cmd{Path: "true", Env: []string{bad}})
		var start *host.StartError
		if !errors.As(err, &start) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Env %q: got error %v, want a StartError without the value", bad, err)
		}
	}
}

func testSecret(t *testing.T, m *machine) {
	const marker = "hunter2-marker"
	res, err := m.Run(t.Context(), host.Cmd{
		Path: "sh",
		Args: []string{"-c", `test -n "$SECRET" && for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline; echo; done 2>/dev/null; exit 3`},
		Env:  []string{"SECRET=" + marker},
	})
	var exit *host.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 {
		t.Fatalf("got error %v, want exit code 3", err)
	}
	if len(res.Stdout) == 0 {
		t.Error("no command lines read")
	}
	if bytes.Contains(res.Stdout, []byte(marker)) || strings.Contains(err.Error(), marker) {
		t.Errorf("the secret shows: %v\n%s", err, res.Stdout)
	}
	c := host.Cmd{Path: "sh", Env: []string{"SECRET=" + marker}}
	if s := fmt.Sprintf("%v %+v %#v %s", c, c, c, c.LogValue()); strings.Contains(s, marker) {
		t.Errorf("the secret shows: %s", s)
	}
}

func testArguments(t *testing.T, m *machine) {
	args := []string{"%s\n", "", "a b", "$HOME", "`id`", "-n", "--", "*", "é\n'\"\\"}
	res, err := m.Run(t.Context(), host.Cmd{Path: "printf", Args: args})
	m.must(err)
	m.equal("arguments", string(res.Stdout), strings.Join(args[1:], "\n")+"\n")
}

func testDirectory(t *testing.T, m *machine) {
	dir := m.file("a dir")
	m.must(m.MkdirAll(t.Context(), dir, 0o755))
	res, err := m.Run(t.Context(), host.Cmd{Path: "pwd", Dir: dir})
	m.must(err)
	m.equal("directory", string(res.Stdout), m.sh(`cd -- "$1" && pwd -P`, dir))

	_, err = m.Run(t.Context(), host.Cmd{Path: "pwd", Dir: m.file("missing")})
	m.startError(err, fs.ErrNotExist)
}

func (m *machine) startError(err, want error) {
	m.t.Helper()
	var start *host.StartError
	if !errors.As(err, &start) {
		m.t.Errorf("got error %v, want a StartError", err)
	}
	if want != nil {
		m.matches("start", err, want)
	}
}

func testStartError(t *testing.T, m *machine) {
	_, err := m.Run(t.Context(), host.Cmd{})
	m.startError(err, nil)
	_, err = m.Run(t.Context(), host.Cmd{Path: "understudy-no-such-program"})
	m.startError(err, nil)
	_, err = m.Run(t.Context(), host.Cmd{Path: m.file("missing")})
	m.startError(err, fs.ErrNotExist)
	m.must(m.WriteFile(t.Context(), m.file("plain"), []byte("#!/bin/sh\n"), 0o644))
	_, err = m.Run(t.Context(), host.Cmd{Path: m.file("plain")})
	m.startError(err, fs.ErrPermission)
	_, err = m.Run(t.Context(), host.Cmd{Path: m.dir})
	m.startError(err, fs.ErrPermission)
}

func testSignal(t *testing.T, m *machine) {
	res, err := m.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", `kill -KILL $$`}})
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("got error %v, want an ExitError", err)
	}
	m.equal("code", exit.Code, 128+int(syscall.SIGKILL))
	m.equal("exit code", res.ExitCode, 128+int(syscall.SIGKILL))
}

func testContextBefore(t *testing.T, m *machine) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.Run(ctx, host.Cmd{Path: "touch", Args: []string{m.file("ran")}})
	m.startError(err, context.Canceled)
	there, err := m.Exists(t.Context(), m.file("ran"))
	m.must(err)
	m.equal("it ran", there, false)
}

func testContextMeanwhile(t *testing.T, m *machine) {
	for name, script := range map[string]string{
		"gives_in": `echo $$ >"$1"; echo partial; sleep 300`,
		"ignores":  `trap '' TERM; echo $$ >"$1"; echo partial; sleep 300`,
		"exits_0":  `trap 'exit 0' TERM; echo $$ >"$1"; echo partial; sleep 300 & wait`,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		pidFile := m.file(name)
		done := make(chan error, 1)
		go func() {
			_, err := m.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", script, "sh", pidFile}})
			done <- err
		}()
		var pid string
		m.waitFor("the command writes its pid", func() bool {
			b, err := m.ReadFile(t.Context(), pidFile)
			pid = strings.TrimSpace(string(b))
			return err == nil && pid != ""
		})
		cancel()
		err := <-done
		var unknown *host.UnknownError
		if !errors.As(err, &unknown) {
			t.Errorf("%s: got error %v, want an UnknownError", name, err)
		}
		m.matches(name, err, context.Canceled)
		m.waitFor(name+": command and child have ended", func() bool {
			return m.sh(`for s in /proc/[0-9]*/stat; do cat "$s" 2>/dev/null; done |
				sed 's/^\([0-9]*\) (.*) /\1 /' | awk -v g="$1" '$4 == g && $2 != "Z"'`, pid) == "" &&
				m.sh(`ps -o pid= -o stat= -p "$1" 2>/dev/null | grep -v Z || :`, pid) == ""
		})
	}
}

func testLeftBehind(t *testing.T, m *machine) {
	res, err := m.Run(t.Context(), host.Cmd{
		Path: "sh", Args: []string{"-c", `setsid sh -c 'echo $$; exec sleep 300' >"$1" 2>&1 </dev/null & echo started`, "sh", m.file("pid")},
	})
	m.must(err)
	m.equal("stdout", string(res.Stdout), "started\n")
	var pid string
	m.waitFor("the daemon writes its pid", func() bool {
		b, err := m.ReadFile(t.Context(), m.file("pid"))
		pid = strings.TrimSpace(string(b))
		return err == nil && pid != ""
	})
	m.sh(`kill -0 "$1" && kill "$1"`, pid)

	res, err = m.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", `sleep 300 & echo $!; echo said >&2`}})
	m.must(err)
	m.equal("stderr", string(res.Stderr), "said\n")
	m.sh(`kill "$1"`, strings.TrimSpace(string(res.Stdout)))
}

func testRoundTrip(t *testing.T, m *machine) {
	big := bytes.Repeat([]byte{0, 1, 0xff, '\n', '\r', 'x'}, 1<<18)
	for name, data := range map[string][]byte{
		"plain.conf":               []byte("listen_addresses = '*'\n"),
		"empty":                    {},
		"-n":                       []byte("leading dash"),
		"a b 'c' \"d\" $(id) `x`;": []byte("odd name"),
		"line\nbreak %s é":         []byte("odder name"),
		"big":                      big,
	} {
		file := m.file(name)
		for _, content := range [][]byte{data, append([]byte("again "), data...)} {
			m.must(m.WriteFile(t.Context(), file, content, 0o600))
			got, err := m.ReadFile(t.Context(), file)
			m.must(err)
			if !bytes.Equal(got, content) {
				t.Errorf("%q: read %d bytes, wrote %d", name, len(got), len(content))
			}
		}
	}
	m.equal("files left", strings.TrimSpace(m.sh(`cd "$1" && ls -A | wc -l`, m.dir)), 7) // ls prints the line break too
	m.must(m.WriteFile(t.Context(), m.file("nil"), nil, 0o600))
	got, err := m.ReadFile(t.Context(), m.file("nil"))
	m.must(err)
	m.equal("no data", len(got), 0)
}

func testKeepsMode(t *testing.T, m *machine) {
	file := m.file("f")
	m.must(m.WriteFile(t.Context(), file, []byte("1"), 0o640))
	m.equal("mode of a new file", m.sh(`stat -c %a "$1"`, file), "640\n")
	m.sh(`chmod 604 "$1"`, file)
	inode := m.sh(`stat -c %i "$1"`, file)
	m.must(m.WriteFile(t.Context(), file, []byte("2"), 0o600))
	m.equal("mode of a replaced file", m.sh(`stat -c %a "$1"`, file), "604\n")
	if m.sh(`stat -c %i "$1"`, file) == inode {
		t.Error("the file was written in place")
	}
	m.equal("owner", m.sh(`stat -c %u "$1"`, file), m.sh(`id -u`))
}

func testWriteRefuses(t *testing.T, m *machine) {
	m.must(m.WriteFile(t.Context(), m.file("target"), []byte("kept"), 0o600))
	m.sh(`cd "$1" && ln -s target link && mkfifo pipe && mkdir dir`, m.dir)
	for _, name := range []string{"link", "pipe", "dir", "missing/x"} {
		if err := m.WriteFile(t.Context(), m.file(name), []byte("x"), 0o600); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	got, err := m.ReadFile(t.Context(), m.file("target"))
	m.must(err)
	m.equal("target", string(got), "kept")
	m.equal("left", m.sh(`cd "$1" && ls -A`, m.dir), "dir\nlink\npipe\ntarget\n")
}

// testCheckWrite has CheckWrite foresee what WriteFile does.
func testCheckWrite(t *testing.T, m *machine) {
	ctx := t.Context()
	m.must(m.WriteFile(ctx, m.file("plain"), []byte("kept"), 0o600))
	m.sh(`cd "$1" && ln -s plain link && ln -s nowhere dangling && mkfifo pipe && mkdir dir && mkdir closed && chmod 555 closed && ln -s dir way`, m.dir)
	refused := map[string]error{
		"link": syscall.ELOOP, "dangling": syscall.ELOOP, "pipe": syscall.EINVAL, "dir": syscall.EISDIR,
		"missing/x": fs.ErrNotExist, "plain/x": nil, "closed/x": fs.ErrPermission,
	}
	if m.sh(`id -u`) == "0\n" {
		delete(refused, "closed/x") // root may do everything
	} else {
		m.matches("somebody else's", m.CheckWrite(ctx, "/etc/passwd"), fs.ErrPermission)
	}
	for name, want := range refused {
		err := m.CheckWrite(ctx, m.file(name))
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", name, err, want)
		}
		if m.WriteFile(ctx, m.file(name), nil, 0o600) == nil {
			t.Errorf("%s: written all the same", name)
		}
	}
	for _, name := range []string{"plain", "new", "dir/new", "way/new", "-n"} {
		m.must(m.CheckWrite(ctx, m.file(name)))
	}
	m.equal("left", m.sh(`cd "$1" && ls -A . dir && cat plain`, m.dir),
		".:\nclosed\ndangling\ndir\nlink\npipe\nplain\nway\n\ndir:\nkept")
}

func testReadDir(t *testing.T, m *machine) {
	ctx := t.Context()
	conf := m.file("conf d")
	m.must(m.MkdirAll(ctx, conf, 0o755))
	names, err := m.ReadDir(ctx, conf)
	m.must(err)
	m.equal("names in an empty directory", len(names), 0)
	m.sh(`cd "$1" && touch -- b.conf a.conf .hidden -n 'odd
name é' && mkdir dir && ln -s a.conf link && ln -s dir way && ln -s nowhere dangling && mkfifo pipe && touch dir/inside && ln -s "$1" "$1.link"`, conf)
	for _, dir := range []string{conf, conf + "/", conf + ".link"} {
		names, err = m.ReadDir(ctx, dir)
		m.must(err)
		m.equal("names", strings.Join(names, "|"), "-n|.hidden|a.conf|b.conf|dangling|link|odd\nname é|pipe")
	}
	_, err = m.ReadDir(ctx, m.file("missing"))
	m.matches("missing", err, fs.ErrNotExist)
	_, err = m.ReadDir(ctx, path.Join(conf, "a.conf"))
	m.matches("a file", err, syscall.ENOTDIR)
	if m.sh(`id -u`) == "0\n" {
		return // root may do everything
	}
	m.sh(`chmod 300 "$1"`, conf)
	_, err = m.ReadDir(ctx, conf)
	m.matches("unreadable", err, fs.ErrPermission)
	m.sh(`chmod 700 "$1"`, conf)
}

func testFileErrors(t *testing.T, m *machine) {
	ctx := t.Context()
	_, err := m.ReadFile(ctx, m.file("missing"))
	m.matches("read", err, fs.ErrNotExist)
	var pathErr *fs.PathError
	if !errors.As(err, &pathErr) {
		t.Errorf("read: got %T, want a *fs.PathError inside", err)
	}
	m.matches("write", m.WriteFile(ctx, m.file("missing/x"), nil, 0o600), fs.ErrNotExist)
	m.matches("remove", m.Remove(ctx, m.file("missing")), fs.ErrNotExist)
	m.matches("rename", m.Rename(ctx, m.file("missing"), m.file("x")), fs.ErrNotExist)
	if _, err := m.ReadFile(ctx, m.dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read of a directory: got error %v", err)
	}

	if m.sh(`id -u`) == "0\n" {
		return // root may do everything
	}
	m.must(m.MkdirAll(ctx, m.file("locked"), 0o755))
	m.must(m.WriteFile(ctx, m.file("locked/f"), []byte("x"), 0o600))
	m.sh(`chmod 000 "$1"`, m.file("locked/f"))
	_, err = m.ReadFile(ctx, m.file("locked/f"))
	m.matches("read", err, fs.ErrPermission)
	m.sh(`chmod 500 "$1"`, m.file("locked"))
	m.matches("write", m.WriteFile(ctx, m.file("locked/g"), nil, 0o600), fs.ErrPermission)
	m.matches("remove", m.Remove(ctx, m.file("locked/f")), fs.ErrPermission)
	m.matches("rename", m.Rename(ctx, m.file("locked/f"), m.file("g")), fs.ErrPermission)
	m.matches("mkdir", m.MkdirAll(ctx, m.file("locked/d"), 0o755), fs.ErrPermission)
	m.sh(`chmod 000 "$1"`, m.file("locked"))
	_, err = m.Exists(ctx, m.file("locked/f"))
	m.matches("exists", err, fs.ErrPermission)
	m.sh(`chmod 700 "$1"`, m.file("locked"))
}

func testRename(t *testing.T, m *machine) {
	ctx := t.Context()
	m.must(m.MkdirAll(ctx, m.file("data"), 0o700))
	m.must(m.WriteFile(ctx, m.file("data/f"), []byte("only copy"), 0o600))
	m.must(m.Rename(ctx, m.file("data"), m.file("data aside")))
	got, err := m.ReadFile(ctx, m.file("data aside/f"))
	m.must(err)
	m.equal("content", string(got), "only copy")

	m.must(m.WriteFile(ctx, m.file("old"), []byte("old"), 0o600))
	m.must(m.MkdirAll(ctx, m.file("olddir"), 0o700))
	m.must(m.MkdirAll(ctx, m.file("empty"), 0o700))
	m.sh(`ln -s nowhere "$1"`, m.file("dangling"))
	for _, old := range []string{"old", "olddir"} {
		for _, target := range []string{"data aside", "data aside/f", "empty", "dangling"} {
			m.matches(old+" to "+target, m.Rename(ctx, m.file(old), m.file(target)), fs.ErrExist)
		}
	}
	m.matches("into a missing directory", m.Rename(ctx, m.file("old"), m.file("nodir/x")), fs.ErrNotExist)
	m.equal("left", m.sh(`cd "$1" && ls -A`, m.dir), "dangling\ndata aside\nempty\nold\nolddir\n")
}

func testMkdirRemove(t *testing.T, m *machine) {
	ctx := t.Context()
	m.must(m.MkdirAll(ctx, m.file("a/b c/-d"), 0o700))
	m.must(m.MkdirAll(ctx, m.file("a/b c/-d"), 0o755))
	m.equal("modes", m.sh(`stat -c %a "$1/a" "$1/a/b c" "$1/a/b c/-d"`, m.dir), "700\n700\n700\n")
	m.must(m.WriteFile(ctx, m.file("a/f"), nil, 0o600))
	if err := m.MkdirAll(ctx, m.file("a/f/x"), 0o700); err == nil {
		t.Error("made a directory below a file")
	}
	if err := m.MkdirAll(ctx, m.file("a/f"), 0o700); err == nil {
		t.Error("made a directory over a file")
	}
	if err := m.Remove(ctx, m.file("a")); err == nil {
		t.Error("removed a directory with files in it")
	}
	m.sh(`ln -s "$1/a" "$1/link"; ln -s nowhere "$1/dangling"`, m.dir)
	for name, want := range map[string]bool{
		"a": true, "a/f": true, "link": true, "dangling": true, "none": false, "none/none": false, "a/f/x": false,
	} {
		got, err := m.Exists(ctx, m.file(name))
		m.must(err)
		m.equal(name+" exists", got, want)
	}
	m.must(m.Remove(ctx, m.file("link")))
	m.must(m.Remove(ctx, m.file("dangling")))
	m.must(m.Remove(ctx, m.file("a/f")))
	m.must(m.Remove(ctx, m.file("a/b c/-d")))
	m.equal("left", m.sh(`cd "$1" && find . | sort`, m.dir), ".\n./a\n./a/b c\n")
}

func testFilesContext(t *testing.T, m *machine) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.ReadFile(ctx, m.file("x"))
	m.matches("read", err, context.Canceled)
	m.matches("write", m.WriteFile(ctx, m.file("x"), nil, 0o600), context.Canceled)
	m.matches("check", m.CheckWrite(ctx, m.file("x")), context.Canceled)
	_, err = m.ReadDir(ctx, m.dir)
	m.matches("list", err, context.Canceled)
	m.matches("rename", m.Rename(ctx, m.file("x"), m.file("y")), context.Canceled)
	m.matches("mkdir", m.MkdirAll(ctx, m.file("x"), 0o700), context.Canceled)
	m.matches("remove", m.Remove(ctx, m.file("x")), context.Canceled)
	_, err = m.Exists(ctx, m.file("x"))
	m.matches("exists", err, context.Canceled)
	m.equal("left", m.sh(`ls -A "$1"`, m.dir), "")
}
