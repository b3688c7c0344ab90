package gocd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNoBash says that there is no bash to source a shell file with.
var ErrNoBash = errors.New("bash is needed to evaluate this file, and was not found")

// bashScript sources the file and splits the variable as the start script of GoCD does (server.sh service_mode up to
// 19.5), and writes the resulting words to descriptor 9, each with a zero byte after it. What the file itself
// prints goes to standard error. %s is the file's quoted path.
const bashScript = `exec 9>&1 1>&2
DAEMON=N
. %s
understudy_words=()
understudySplit() { understudy_words=("$@"); }
eval understudySplit "$` + systemProperties + `"
builtin printf '%%s\0' words "${understudy_words[@]}" >&9
`

func (o Options) bash() (string, error) {
	path, err := exec.LookPath(cmp.Or(o.Bash, "bash"))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoBash, err)
	}
	return path, nil
}

// source evaluates the shell file at path, whose content is given for line numbers and findings, by running it.
func source(ctx context.Context, path string, content []byte, o Options) (Report, error) {
	args, messages, err := runBash(ctx, path, o)
	if err != nil {
		return Report{}, fmt.Errorf("source %s: %w", path, err)
	}
	return sourcedReport(path, content, args, messages), nil
}

// sourcedReport joins what bash found with what the text shows. No words at all, not even none, mean that the
// shell ended within the file.
func sourcedReport(path string, content []byte, args []string, messages string) Report {
	plain := inspectShell(path, content)
	f := parseShell(content)
	r := Report{File: path, Format: FormatShell, Managed: plain.Managed, Findings: []Finding{}}
	r.inspectBlocks(content)
	r.inspectShell(f)
	r.addMessages(messages)
	if args == nil {
		r.find(0, KindShellEnds, "sourcing the file ends the shell, and the start script with it: the server does not start",
			"remove exit and exec from the file")
		r.sortFindings()
		return r
	}
	r.ReadBy = ReadByBash
	words := make([]jvmArg, 0, len(args))
	for _, arg := range args[1:] {
		words = append(words, jvmArg{arg, f.lineOf(arg)})
	}
	r.setArgs(words)
	if plain.ReadBy == ReadAsLiteral && (plain.Mode != r.Mode || plain.PrimaryURL.Value != r.PrimaryURL.Value) {
		r.find(0, KindReadersDisagree, "plain reading gives "+plain.Mode.String()+" and bash "+r.Mode.String()+": bash counts",
			"report this file as a fault of understudy")
	}
	r.sortFindings()
	return r
}

// runBash returns "words" and the words after it, or nil if the shell did not get that far, and what was printed.
func runBash(ctx context.Context, path string, o Options) (args []string, messages string, err error) {
	bash, err := o.bash()
	if err != nil {
		return nil, "", err
	}
	path, err = filepath.Abs(path) // the dot command would look for a bare name on PATH
	if err != nil {
		return nil, "", err
	}
	quoted := "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	cmd := exec.CommandContext(ctx, bash, "--noprofile", "--norc", "-c", fmt.Sprintf(bashScript, quoted), "server.sh", "service_mode")
	cmd.Env = []string{} // nil would be this process's environment
	cmd.WaitDelay = 2 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, "", err
	}
	if stdout.Len() == 0 {
		return nil, stderr.String(), nil
	}
	return strings.Split(strings.TrimSuffix(stdout.String(), "\x00"), "\x00"), stderr.String(), nil
}

var bashLine = regexp.MustCompile(`^.*: line ([0-9]+): (.*)$`)

// addMessages reports what bash complained about, in lines that have no finding yet.
func (r *Report) addMessages(messages string) {
	const most = 20
	for i, message := range strings.Split(strings.TrimRight(messages, "\n"), "\n") {
		if i == most || message == "" {
			return
		}
		line := 0
		if m := bashLine.FindStringSubmatch(message); m != nil {
			line, _ = strconv.Atoi(m[1])
			message = m[2]
		}
		if slices.ContainsFunc(r.Findings, func(f Finding) bool { return line > 0 && f.Line == line }) {
			continue
		}
		r.find(line, KindShellMessage, "bash says: "+message, "see whether the line does what it is meant to")
	}
}
