package command_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/command"
)

var values = command.Values{File: "000000010000000000000003", Path: "pg_wal/000000010000000000000003", Oldest: "000000010000000000000002"}

func TestBuild(t *testing.T) {
	at := command.Text("/mnt/wal archive/")
	for name, c := range map[string]struct {
		server command.Server
		kind   command.Kind
		argv   []command.Word
		want   string
	}{
		"plain": {kind: command.Archive, argv: append(command.Words("pgbackrest", "--stanza=main", "archive-push"), command.Word{command.Path}),
			want: `pgbackrest --stanza=main archive-push "%p"`},
		"blanks": {kind: command.Restore, argv: []command.Word{{command.Text("cp")}, {at, command.File}, {command.Path}},
			want: `cp "/mnt/wal archive/%f" "%p"`},
		"what the shell reads": {kind: command.Archive, argv: command.Words("./a", "$HOME `id` \"x\" \\ 'y' ! ~ * # ; &"),
			want: "./a \"\\$HOME \\`id\\` \\\"x\\\" \\\\ 'y' ! ~ * # ; &\""},
		"percent signs":                             {kind: command.Archive, argv: command.Words("date", "+%Y", "a %"), want: `date +%%Y "a %%"`},
		"empty words":                               {kind: command.Cleanup, argv: []command.Word{{command.Text("x")}, {}, {command.Text("")}}, want: `x "" ""`},
		"a program that looks like a word":          {kind: command.Cleanup, argv: command.Words("if", "if"), want: `"if" if`},
		"a program that looks like an assignment":   {kind: command.Cleanup, argv: command.Words("A=b", "A=b"), want: `"A=b" A=b`},
		"a program that looks like an option of sh": {kind: command.Cleanup, argv: command.Words("-c", "-c"), want: `"-c" -c`},
		"windows": {server: command.Server{Shell: command.Windows}, kind: command.Archive,
			argv: []command.Word{{command.Text(`C:\Program Files\walarchive.exe`)}, {command.Text("push")}, {command.Path}},
			want: `"C:\Program Files\walarchive.exe" push "%p"`},
		"windows, before the server helped": {server: command.Server{Shell: command.Windows, Major: pgconf.V9_3}, kind: command.Archive,
			argv: []command.Word{{command.Text(`C:\Program Files\walarchive.exe`)}, {command.Text("push")}, {command.Path}},
			want: `""C:\Program Files\walarchive.exe" push "%p""`},
		"windows, nothing to take off": {server: command.Server{Shell: command.Windows, Major: pgconf.V9_3}, kind: command.Restore,
			argv: []command.Word{{command.Text("copy")}, {command.Text(`\\server\wal\`), command.File}, {command.Path}},
			want: `copy "\\server\wal\%f" "%p"`},
		"windows, backslashes at the end": {server: command.Server{Shell: command.Windows}, kind: command.Archive,
			argv: command.Words("x", `C:\a b\`, `C:\a\`), want: `x "C:\a b\\" C:\a\`},
		"windows, a part of cmd.exe": {server: command.Server{Shell: command.Windows}, kind: command.Archive,
			argv: command.Words("copy", `C:\a b\`), want: `copy "C:\a b\"`},
		"windows, slashes": {server: command.Server{Shell: command.Windows}, kind: command.Archive,
			argv: command.Words("C:/x", "/Y", "a&b"), want: `"C:/x" /Y "a&b"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.server.Build(c.kind, c.argv...)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	windows := command.Server{Shell: command.Windows}
	for name, c := range map[string]struct {
		server command.Server
		kind   command.Kind
		argv   []command.Word
		want   string
	}{
		"nothing":             {kind: command.Archive, want: "the program is missing"},
		"an empty program":    {kind: command.Archive, argv: []command.Word{{}}, want: "the program is missing"},
		"a line feed":         {kind: command.Archive, argv: command.Words("a", "b\nc"), want: "word 1"},
		"a NUL byte":          {kind: command.Archive, argv: command.Words("a\x00"), want: "word 0"},
		"%r when archiving":   {kind: command.Archive, argv: []command.Word{{command.Text("a")}, {command.Oldest}}, want: "it has %f, %p"},
		"%p when cleaning up": {kind: command.Cleanup, argv: []command.Word{{command.Text("a")}, {command.Path}}, want: "it has %r"},
		"a variable":          {kind: command.Archive, argv: []command.Word{{command.Text("a")}, {command.Unknown("$HOME")}}, want: "pass the value"},
		"windows, a quote":    {server: windows, kind: command.Archive, argv: command.Words("a", `b"c`), want: "double quote"},
		"windows, a percent":  {server: windows, kind: command.Archive, argv: command.Words("a", `50%`), want: "percent sign"},
		"windows, a control":  {server: windows, kind: command.Archive, argv: command.Words("a", "b\tc"), want: "control character"},
		"windows, a folder":   {server: windows, kind: command.Archive, argv: command.Words(`C:\a b\`), want: "backslash"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.server.Build(c.kind, c.argv...)
			var word *command.WordError
			require.ErrorAs(t, err, &word)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, c.kind.String())
		})
	}
}

func TestServerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		server command.Server
		kind   command.Kind
	}{
		"a kind that is none": {kind: 0},
		"a major before 9.0":  {server: command.Server{Major: 2}, kind: command.Archive},
		"a later major":       {server: command.Server{Major: pgconf.Newest + 1}, kind: command.Archive},
		"another shell":       {server: command.Server{Shell: 7}, kind: command.Archive},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.server.Build(c.kind, command.Words("a")...)
			require.Error(t, err)
			_, err = c.server.Expand(c.kind, "a", values)
			require.Error(t, err)
			_, err = c.server.Parse(c.kind, "a")
			require.Error(t, err)
		})
	}
}

// Where the server has a buffer for the command, one that does not fit is refused; one byte less is not cut.
func TestBuildTooLong(t *testing.T) {
	for _, c := range []struct {
		kind  command.Kind
		major pgconf.Major
		limit bool
	}{
		{command.Archive, 15, true}, {command.Archive, 16, false}, {command.Restore, 12, true}, {command.Restore, 13, false},
		{command.Cleanup, 15, true}, {command.Cleanup, 16, false}, {command.RecoveryEnd, 15, true}, {command.RecoveryEnd, 16, false},
	} {
		s := command.Server{Major: c.major}
		length := 1023 - len("a ")
		fits, err := s.Build(c.kind, command.Words("a", strings.Repeat("x", length))...)
		require.NoError(t, err, "%v %v", c.kind, c.major)
		run, err := s.Expand(c.kind, fits, values)
		require.NoError(t, err)
		require.Equal(t, fits, run)
		_, err = s.Build(c.kind, command.Words("a", strings.Repeat("x", length+1))...)
		var long *command.TooLongError
		require.Equal(t, c.limit, err != nil, "%v %v", c.kind, c.major)
		if c.limit {
			require.ErrorAs(t, err, &long)
			require.Equal(t, command.TooLongError{Kind: c.kind, Major: c.major, Length: 1024, Limit: 1023}, *long)
		}
	}
}

// echoer writes a program that prints its arguments, each with a NUL behind it, and returns its path.
func echoer(t testing.TB, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\nprintf '%s\\0' \"$0\" \"$@\"\n"), 0o700))
	return file
}

// split runs a command as the server does, and returns the arguments that the program got.
func split(t testing.TB, run string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", run)
	out, err := cmd.Output()
	require.NoError(t, err, "%q", run)
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// A program, in a folder that needs quotes, gets exactly the arguments that were meant, whatever bytes they hold.
func TestShellSplitsWhatWasBuilt(t *testing.T) {
	program := echoer(t, "pro $gram %p's \"x\"\\")
	var all []byte
	for b := 1; b < 256; b++ {
		if b != '\n' {
			all = append(all, byte(b))
		}
	}
	texts := []string{"", " ", "a b", `\`, `\\`, `"`, `'`, "$HOME", "`id`", "%p", "%%", "50%", "é☃", "~", "*", "a=b", "-n", "#x", "{a,b}", string(all)}
	run, err := command.Server{}.Build(command.Archive, append(command.Words(program), command.Words(texts...)...)...)
	require.NoError(t, err)
	run, err = command.Server{}.Expand(command.Archive, run, values)
	require.NoError(t, err)
	require.Equal(t, append([]string{program}, texts...), split(t, run))
}

func FuzzShellSplitsWhatWasBuilt(f *testing.F) {
	for _, s := range []string{"a\x01b", `c:\x "y" $z`, "%p%f%%", "`'\x01", "\x81\x82\x88\xff", "a=b\x01=\x01 \x01"} {
		f.Add(s)
	}
	program := echoer(f, "echoer")
	f.Fuzz(func(t *testing.T, joined string) {
		if strings.ContainsAny(joined, "\x00\n") || len(joined) > 1000 {
			return
		}
		texts := strings.Split(joined, "\x01")
		argv := append(command.Words(program), command.Words(texts...)...)
		argv = append(argv, command.Word{command.Text(joined), command.File, command.Text(texts[0])})
		built, err := command.Server{}.Build(command.Archive, argv...)
		require.NoError(t, err)
		run, err := command.Server{}.Expand(command.Archive, built, values)
		require.NoError(t, err)
		want := append(append([]string{program}, texts...), joined+values.File+texts[0])
		require.Equal(t, want, split(t, run))

		script, err := command.Server{}.Parse(command.Archive, built)
		require.NoError(t, err)
		got, ok := script.Argv()
		require.True(t, ok)
		require.Equal(t, normal(argv), normal(got))
	})
}

// normal joins neighbouring texts.
func normal(argv []command.Word) [][]command.Piece {
	var words [][]command.Piece
	for _, w := range argv {
		pieces := []command.Piece{}
		for _, p := range w {
			if p == command.Piece(command.Text("")) {
				continue
			}
			t, isText := p.(command.Text)
			if n := len(pieces); isText && n > 0 {
				if before, ok := pieces[n-1].(command.Text); ok {
					pieces[n-1] = before + t
					continue
				}
			}
			pieces = append(pieces, p)
		}
		words = append(words, pieces)
	}
	return words
}

// cmdExe models what becomes of a command on Windows. From 9.4 the server puts quotes around it (src/port/system.c); cmd.exe takes
// the first and the last one off (cmd /?), finds its operators outside of quotes, where a caret escapes, and replaces %NAME%
// anywhere; the C library of the program splits the rest ("Parsing C command-line arguments", learn.microsoft.com).
func cmdExe(t *testing.T, s command.Server, run string) []string {
	t.Helper()
	line := run
	if s.Major == 0 || s.Major >= pgconf.V9_4 {
		line = `"` + line + `"`
	}
	if line[0] == '"' && (strings.Count(line, `"`) != 2 || strings.ContainsAny(line, `&<>()@^|`)) {
		last := strings.LastIndexByte(line, '"')
		line = line[1:last] + line[last+1:]
	} else if line[0] == '"' && s.Major != pgconf.V9_3 {
		line = line[1 : len(line)-1] // not the name of a program
	}
	inside := false
	for _, c := range line {
		if c == '"' {
			inside = !inside
		}
		require.False(t, !inside && strings.ContainsRune(`&|<>()^`, c), "an operator in %s", line)
		require.NotEqual(t, '%', c, "a variable in %s", line)
	}
	return cLibrary(line)
}

func cLibrary(line string) []string {
	var words []string
	for i := 0; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		var w strings.Builder
		for inside := false; i < len(line) && (inside || line[i] != ' ' && line[i] != '\t'); {
			n := 0
			for len(words) > 0 && i+n < len(line) && line[i+n] == '\\' {
				n++
			}
			i += n
			quote := i < len(line) && line[i] == '"'
			if !quote {
				w.WriteString(strings.Repeat(`\`, n))
			} else {
				w.WriteString(strings.Repeat(`\`, n/2))
			}
			switch {
			case quote && n%2 == 1:
				w.WriteByte('"')
				i++
			case quote:
				inside = !inside
				i++
			case n == 0 && i < len(line):
				w.WriteByte(line[i])
				i++
			}
		}
		words = append(words, w.String())
	}
	return words
}

func FuzzWindowsSplitsWhatWasBuilt(f *testing.F) {
	for _, s := range []string{`C:\a b\` + "\x01x", `\\server\share\` + "\x01" + `\\`, "a&b|c^d<e>f(g)\x01", "x\x01\x01 \x01/Y", "if\x01a", "a b\x01c"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, joined string, old bool) {
		texts := strings.Split(joined, "\x01")
		unspeakable := func(s string) bool {
			return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '%' })
		}
		if slices.ContainsFunc(texts, unspeakable) || texts[0] == "" || strings.HasSuffix(texts[0], `\`) || len(joined) > 400 {
			return
		}
		if slices.Contains([]string{"copy", "move", "del", "erase", "ren", "rename", "md", "mkdir", "type", "echo", "exit", "mklink", "cd", "set"}, strings.ToLower(texts[0])) {
			return // cmd.exe itself does it, not a program with a C library
		}
		s := command.Server{Shell: command.Windows}
		if old {
			s.Major = pgconf.V9_3
		}
		argv := append(command.Words(texts...), command.Word{command.Text(texts[0] + `\`), command.Path}, command.Word{command.File, command.Text(`\`)})
		built, err := s.Build(command.Archive, argv...)
		require.NoError(t, err)
		run, err := s.Expand(command.Archive, built, values)
		require.NoError(t, err)
		want := append(slices.Clone(texts), texts[0]+`\pg_wal\`+values.File, values.File+`\`)
		require.Equal(t, want, cmdExe(t, s, run), "%s", run)

		script, err := s.Parse(command.Archive, built)
		require.NoError(t, err)
		got, ok := script.Argv()
		require.True(t, ok, "%s", built)
		require.Equal(t, normal(argv), normal(got), "%s", built)
	})
}
