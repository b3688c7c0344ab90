package archivecli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/command"
	"github.com/understudy-ha/understudy/walarchive/store"
)

type settingsCmd struct {
	Major    pgconf.Major `arg:"" help:"Major version of the server: 9.0 to 9.6, 10 to 18."`
	Consumer string       `placeholder:"NAME" help:"Name of the standby, under which the archive keeps what it still needs; each standby needs one of its own."`
}

// do prints the lines that make a server use this program with the flags of this call.
func (c *settingsCmd) do(_ context.Context, a app, g *grammar) error {
	s, err := g.settings()
	if err != nil {
		return err
	}
	for _, p := range s.Archives {
		if _, err := store.Later(p.URL, store.Options{}); err != nil { // such as a relative path, which is another place for the server
			return usageError{err}
		}
	}
	server := command.Server{Major: c.Major}
	line := func(kind command.Kind, verb string, arguments ...command.Placeholder) (string, error) {
		program := append([]string{a.program()}, g.global()...)
		if g.Retry != nil && kind == command.Restore {
			program = append(program, "--retry="+g.Retry.String())
		}
		program = append(program, verb)
		if c.Consumer != "" && kind == command.Cleanup {
			program = append(program, "--consumer="+c.Consumer)
		}
		words := command.Words(program...)
		for _, p := range arguments {
			words = append(words, command.Word{p})
		}
		text, err := server.Build(kind, words...)
		if err != nil {
			return "", err
		}
		quoted, err := pgconf.Quote(text)
		return fmt.Sprintf("%v = %s\n", kind, quoted), err
	}
	push, err := line(command.Archive, "push", command.Path)
	if err != nil {
		return err
	}
	fetch, err := line(command.Restore, "fetch", command.File, command.Path)
	if err != nil {
		return err
	}
	cleanup, err := line(command.Cleanup, "cleanup", command.Oldest)
	if err != nil {
		return err
	}
	return a.print(c.text(push, fetch, cleanup))
}

func (c *settingsCmd) text(push, fetch, cleanup string) string {
	level := "replica"
	if c.Major < pgconf.V9_6 {
		level = "hot_standby"
	}
	if c.Consumer == "" {
		cleanup = "# with more than one standby: cleanup --consumer=NAME, a name of its own for each\n" + cleanup
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# postgresql.conf of every server, for the day it is the primary; archive_mode needs a restart\n")
	fmt.Fprintf(&b, "wal_level = %s\narchive_mode = on\n%s", level, push)
	if c.Major < 12 {
		fmt.Fprintf(&b, "\n# recovery.conf of a standby, read at its start\nstandby_mode = on\n%s%s", fetch, cleanup)
		return b.String()
	}
	restart := "a reload is enough"
	if c.Major < 14 {
		restart = "restore_command needs a restart"
	}
	fmt.Fprintf(&b, "\n# postgresql.conf of every server, used while it is a standby (a file standby.signal in the data directory); %s\n%s%s", restart, fetch, cleanup)
	return b.String()
}

func (c *settingsCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }

// program is how servers have to call this program.
func (a app) program() string {
	if a.self != "" {
		return a.self
	}
	if self, err := os.Executable(); err == nil {
		return self
	}
	return "walarchive"
}
