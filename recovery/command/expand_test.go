package command_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/command"
)

func TestExpand(t *testing.T) {
	const p = "pg_wal/000000010000000000000003"
	f := values.File
	for name, c := range map[string]struct {
		server  command.Server
		kind    command.Kind
		command string
		want    string
		offset  int // of the placeholder that is refused, counted from 1
	}{
		"archive":                      {kind: command.Archive, command: "cp %p /a/%f%%", want: "cp " + p + " /a/" + f + "%"},
		"restore":                      {kind: command.Restore, command: "x %f %p %r", want: "x " + f + " " + p + " " + values.Oldest},
		"cleanup":                      {kind: command.Cleanup, command: "x %r", want: "x " + values.Oldest},
		"end":                          {kind: command.RecoveryEnd, command: "%r%%r", want: values.Oldest + "%r"},
		"unknown before 16":            {server: command.Server{Major: 15}, kind: command.Archive, command: "%r%x%", want: "%r%x%"},
		"unknown since 16":             {server: command.Server{Major: 16}, kind: command.Archive, command: "ab%r", offset: 3},
		"a single percent sign before": {server: command.Server{Major: 15}, kind: command.Cleanup, command: "%f%p%", want: "%f%p%"},
		"a single percent sign since":  {server: command.Server{Major: 16}, kind: command.Cleanup, command: "%%%", offset: 3},
		"windows":                      {server: command.Server{Shell: command.Windows}, kind: command.Archive, command: `copy "%p" /a/%f`, want: `copy "` + strings.ReplaceAll(p, "/", `\`) + `" /a/` + f},
		"cut off in a text":            {server: command.Server{Major: 15}, kind: command.Archive, command: strings.Repeat("x", 1024) + "%f", want: strings.Repeat("x", 1023)},
		"cut off in a value":           {server: command.Server{Major: 12}, kind: command.Restore, command: strings.Repeat("x", 1020) + "%fyz", want: strings.Repeat("x", 1020) + f[:2] + "y"},
		"not cut off":                  {server: command.Server{Major: 13}, kind: command.Restore, command: strings.Repeat("x", 1020) + "%f", want: strings.Repeat("x", 1020) + f},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.server.Expand(c.kind, c.command, values)
			if c.offset == 0 {
				require.NoError(t, err)
				require.Equal(t, c.want, got)
				return
			}
			var refused *command.PlaceholderError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.offset-1, refused.Offset)
			require.Equal(t, c.command[c.offset-1:], refused.Found)
		})
	}
}

// A text whose percent signs are doubled comes out as it is, in every kind and major; no text makes Expand panic.
func FuzzExpandEscaped(f *testing.F) {
	f.Add("cp %p /a/%f%%", 15, 1)
	f.Add("%", 16, 2)
	f.Fuzz(func(t *testing.T, text string, major, kind int) {
		s := command.Server{Major: pgconf.V9_0 + pgconf.Major(uint(major)%16)}
		k := command.Archive + command.Kind(uint(kind)%4)
		if _, err := s.Expand(k, text, values); err != nil {
			var refused *command.PlaceholderError
			require.ErrorAs(t, err, &refused)
			require.GreaterOrEqual(t, s.Major, pgconf.Major(16))
		}
		got, err := s.Expand(k, strings.ReplaceAll(text, "%", "%%"), values)
		require.NoError(t, err)
		require.True(t, got == text || len(text) > 1023 && strings.HasPrefix(text, got), "%q", got)
	})
}
