package command_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/command"
)

// show prints a script: words in brackets, each piece with its kind.
func show(s command.Script) string {
	var b strings.Builder
	word := func(w command.Word) {
		b.WriteByte('[')
		for _, p := range w {
			switch p := p.(type) {
			case command.Unknown:
				fmt.Fprintf(&b, "<%s>", string(p))
			case command.Placeholder:
				fmt.Fprintf(&b, "(%v)", p)
			default:
				fmt.Fprintf(&b, "%v", p)
			}
		}
		b.WriteByte(']')
	}
	for _, c := range s.Commands {
		if c.Negated {
			b.WriteByte('!')
		}
		for _, w := range c.Assignments {
			b.WriteByte('=')
			word(w)
		}
		for _, w := range c.Words {
			word(w)
		}
		for _, r := range c.Redirects {
			b.WriteString(r.FD + r.Op)
			word(r.Target)
		}
		b.WriteString(c.Next)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	windows, old := command.Server{Shell: command.Windows}, command.Server{Shell: command.Windows, Major: pgconf.V9_3}
	for name, c := range map[string]struct {
		server  command.Server
		command string
		want    string
	}{
		"nothing":                                {command: " \t", want: ""},
		"words":                                  {command: `cp  "%p" /a/%f`, want: "[cp][(%p)][/a/(%f)]"},
		"quotes":                                 {command: `a"b 'c'"'d "e"'\ f"\$\x\\" ''`, want: `[ab 'c'd "e" f$\x\][]`},
		"a backslash at the end":                 {command: `a\`, want: `[a\]`},
		"lines":                                  {command: "a\n\nb &&\n c\n", want: "[a];[b]&&[c]"},
		"a comment":                              {command: "a b#c #d ' \" \ne", want: "[a][b#c];[e]"},
		"operators":                              {command: "a&&b||c|d;e&f;", want: "[a]&&[b]||[c]|[d];[e]&[f]"},
		"in the background":                      {command: "a &", want: "[a]&"},
		"negated":                                {command: "! test -f x && ! b !", want: "![test][-f][x]&&![b][!]"},
		"redirections":                           {command: `gzip <%p >"x y" 2>>/dev/null 2>&1 a2>b`, want: "[gzip][a2]<[(%p)]>[x y]2>>[/dev/null]2>&[1]>[b]"},
		"assignments":                            {command: `A=1 B_2="x y" a C=3 1D=4`, want: `=[A=1]=[B_2=x y][a][C=3][1D=4]`},
		"quoted assignments":                     {command: `"A"=1 b`, want: `[A=1][b]`},
		"variables":                              {command: `$A "${B:-"}"}" $1 $? $(x ")" '(') "` + "`y \\` z`" + `" $ $"a" a$`, want: "[<$A>][<${B:-\"}\"}>][<$1>][<$?>][<$(x \")\" '(')>][<`y \\` z`>][$][<$>a][a$]"},
		"no variables":                           {command: `'$A' \$A "\$A"`, want: "[$A][$A][$A]"},
		"patterns":                               {command: `*.x a? [a]b "*" ~/x a~ [ a ]`, want: "[<*>.x][a<?>][<[>a]b][*][<~>/x][a~][[][a][]]"},
		"placeholders in quotes":                 {command: `'%f'\%p%%f`, want: "[(%f)(%p)%f]"},
		"windows":                                {server: windows, command: `copy "%p" "C:\a b\%f"`, want: `[copy][(%p)][C:\a b\(%f)]`},
		"windows, operators":                     {server: windows, command: `a "b&c" d^&e & f || g>nul 2>&1`, want: `[a][b&c][d&e];[f]||[g]>[nul]2>&[1]`},
		"windows, backslashes":                   {server: windows, command: `a "b c\\" "d\"e" f\g\\"h i"`, want: `[a][b c\][d"e][f\g\h i]`},
		"windows, of a builtin":                  {server: windows, command: `copy "C:\a b\" "c"`, want: `[copy][C:\a b\][c]`},
		"windows, of a program with such a name": {server: windows, command: `"copy" "C:\a b\\" "c"`, want: `[copy][C:\a b\][c]`},
		"windows, variables":                     {server: windows, command: `a %%B%% "%%B:~1%%" 5%% %%%%`, want: `[a][<%B%>][<%B:~1%>][5<%>][<%><%>]`},
		"windows, if":                            {server: windows, command: `if not exist "x y" if exist z copy a b & c`, want: `[if][not][exist][x y]then[if][exist][z]then[copy][a][b];[c]`},
		"windows, a program called if":           {server: windows, command: `"if" exist a b`, want: `[if][exist][a][b]`},
		"windows, quotes that are taken off":     {server: old, command: `""a b" "c""`, want: `[a b][c]`},
		"windows, two quotes that stay":          {server: old, command: `"a b" c`, want: `[a b][c]`},
		"windows, one quote":                     {server: old, command: `"a b & c" d "e" f`, want: `[a][b];[c d e][f]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.server.Parse(command.Archive, c.command)
			require.NoError(t, err)
			require.Equal(t, c.want, show(got))
		})
	}
}

func TestParseRefuses(t *testing.T) {
	windows := command.Server{Shell: command.Windows}
	for name, c := range map[string]struct {
		server   command.Server
		command  string
		offset   int
		compound bool
	}{
		"an open single quote":     {command: "a 'b", offset: 2},
		"an open double quote":     {command: `a "b`, offset: 2},
		"an open substitution":     {command: `a $(b`, offset: 2},
		"an open variable":         {command: `a "${b"`, offset: 3},
		"an open backquote":        {command: "%%a `b", offset: 4},
		"nothing before &&":        {command: "&& a", offset: 0},
		"nothing behind &&":        {command: "a && ", offset: 5},
		"nothing between":          {command: "a | | b", offset: 4},
		"two semicolons":           {command: "a ;; b", offset: 3},
		"nothing behind !":         {command: "!", offset: 1},
		"a redirection to nothing": {command: "a > ", offset: 2},
		"a group":                  {command: "(a)", offset: 0, compound: true},
		"a list in braces":         {command: "{ a; }", offset: 0, compound: true},
		"an if":                    {command: "a && if b; then c; fi", offset: 5, compound: true},
		"a line that goes on":      {command: "a b\\\nc", offset: 3, compound: true},
		"and between quotes":       {command: "a \"b\\\nc\"", offset: 4, compound: true},
		"a here-document":          {command: "a << b", offset: 2, compound: true},
		"windows, an open quote":   {server: windows, command: `a "b`, offset: 2},
		"windows, a group":         {server: windows, command: `a & (b)`, offset: 4, compound: true},
		"windows, a loop":          {server: windows, command: `for %%a in (b) do c`, offset: 0, compound: true},
		"windows, another if":      {server: windows, command: `if errorlevel 1 a`, offset: 17, compound: true},
		"windows, if and no more":  {server: windows, command: `if exist a`, offset: 10, compound: true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.server.Parse(command.Restore, c.command)
			var syntax *command.SyntaxError
			var compound *command.CompoundError
			if c.compound {
				require.ErrorAs(t, err, &compound)
				require.Equal(t, c.offset, compound.Offset)
			} else {
				require.ErrorAs(t, err, &syntax)
				require.Equal(t, c.offset, syntax.Offset)
			}
			require.ErrorContains(t, err, "restore_command")
		})
	}
}

// What counts as a program and its arguments alone is split by /bin/sh in the same way.
func FuzzParseSplitsAsTheShell(f *testing.F) {
	for _, s := range []string{`a "b 'c'" 'd "e"' \ f "\$\a\\" ''`, `a#b #c`, `a=b ~ [a]b {a,b} !`, "a\\\nb \"a\\\nb\"", `\`, `"a"$`, `%%a%%`} {
		f.Add(s)
	}
	program := echoer(f, "echoer")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Trim(text, "ab \t\n\"'\\$#=~{},!%*?[]-^") != "" || len(text) > 200 { // no character that could run or write something
			return
		}
		s := command.Server{Major: 15}
		script, err := s.Parse(command.Restore, program+" "+text)
		if err != nil {
			return
		}
		argv, ok := script.Argv()
		if !ok {
			return
		}
		var want []string
		for _, w := range argv {
			want = append(want, w.String())
		}
		run, err := s.Expand(command.Restore, program+" "+text, command.Values{})
		require.NoError(t, err)
		require.Equal(t, want, split(t, run), "%q", run)
	})
}

// A script that is a program with arguments only says the same when it is built again.
func FuzzParseThenBuild(f *testing.F) {
	for _, s := range []string{`cp "%p" '/a b/%f'`, `copy "C:\a b\" %p`, `a "b\\" c\"d ^&`, "a `b` $c", `""a b" c"`} {
		f.Add(s, 17, false)
		f.Add(s, 6, true)
	}
	f.Fuzz(func(t *testing.T, text string, major int, windows bool) {
		s := command.Server{Major: pgconf.V9_0 + pgconf.Major(uint(major)%16)}
		if windows {
			s.Shell = command.Windows
		}
		script, err := s.Parse(command.Archive, text)
		if err != nil {
			return
		}
		argv, ok := script.Argv()
		if !ok {
			return
		}
		built, err := s.Build(command.Archive, argv...)
		if err != nil {
			return // too long, or a word that must not be
		}
		again, err := s.Parse(command.Archive, built)
		require.NoError(t, err, "%q", built)
		got, ok := again.Argv()
		require.True(t, ok, "%q", built)
		require.Equal(t, normal(argv), normal(got), "%q", built)
	})
}
