package topology

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/command"
)

// archiveSettings are none without an archive.
func (c Cluster) archiveSettings(n Node, major pgconf.Major) ([]Setting, error) {
	archive, err := c.archiveCommand(n, major)
	if err != nil || archive == "" {
		return nil, err
	}
	all := []Setting{
		{"archive_mode", "on", "the primary archives its WAL"},
		{"archive_command", archive, "where WAL goes while this node is the primary"},
	}
	if c.Archive.Always {
		all[0] = Setting{"archive_mode", "always", "standbys archive, too"}
	}
	return append(all, Setting{"archive_timeout", c.Archive.timeout(), "the archive is never further behind than this"}), nil
}

// timeout is archive_timeout; the server counts whole seconds.
func (a Archive) timeout() string {
	switch {
	case a.Timeout < 0:
		return "0"
	case a.Timeout == 0:
		return "60s"
	}
	return strconv.FormatInt(int64(a.Timeout/time.Second), 10) + "s"
}

// archiveCommand is empty if the cluster does not archive.
func (c Cluster) archiveCommand(n Node, major pgconf.Major) (string, error) {
	if c.Archive.Command == "" && c.Archive.URL != "" {
		return c.Archive.program(command.Archive, major, "push", command.Path)
	}
	return c.expand(n, c.Archive.Command)
}

// restoreCommands are restore_command and archive_cleanup_command.
func (c Cluster) restoreCommands(n Node, major pgconf.Major) (restore, cleanup string, err error) {
	if c.Archive.Restore == "" && c.Archive.URL != "" {
		restore, err = c.Archive.program(command.Restore, major, "fetch", command.File, command.Path)
	} else {
		restore, err = c.expand(n, c.Archive.Restore)
	}
	if err != nil {
		return "", "", err
	}
	cleanup, err = c.expand(n, c.Archive.Cleanup)
	return restore, cleanup, err
}

// program is a line for the program walarchive.
func (a Archive) program(kind command.Kind, major pgconf.Major, verb string, values ...command.Placeholder) (string, error) {
	argv := command.Words(cmp.Or(a.Program, "walarchive"), "--archive", a.URL, verb)
	for _, v := range values {
		argv = append(argv, command.Word{v})
	}
	return command.Server{Major: major}.Build(kind, argv...)
}

// placeholder is a word in braces, but for variables of the shell.
var placeholder = regexp.MustCompile(`\$?\{[a-z_]+\}`)

// expand puts the facts of a node into a command of the user's.
func (c Cluster) expand(n Node, text string) (string, error) {
	var err error
	text = placeholder.ReplaceAllStringFunc(text, func(word string) string {
		if word[0] == '$' {
			return word
		}
		value, problem := c.value(n, word)
		if problem != "" {
			err = cmp.Or(err, fmt.Errorf("archive: %s: %s", word, problem))
		}
		return strings.ReplaceAll(value, "%", "%%")
	})
	return text, err
}

// value is what a placeholder stands for, and why it stands for nothing.
func (c Cluster) value(n Node, word string) (value, problem string) {
	switch word {
	case "{node}":
		return string(n.ID), ""
	case "{host}":
		return n.Host, ""
	case "{cluster}":
		return required(c.Name, "the cluster has no name")
	case "{data_dir}":
		return required(n.DataDir, "the node has no DataDir")
	case "{child}":
		return required(string(c.receiver(n).ID), "there is no other node")
	case "{child_host}":
		return required(c.receiver(n).Host, "there is no other node")
	}
	return "", "is not a placeholder: use {node}, {host}, {cluster}, {data_dir}, {child} or {child_host}"
}

func required(value, problem string) (string, string) {
	if value == "" {
		return "", problem
	}
	return value, ""
}

// receiver is the node that a node's WAL goes to by {child}: the first one below it, and for a leaf the one above it, which comes
// to stand below it when it is promoted and the other returns.
func (c Cluster) receiver(n Node) Node {
	if children := c.Children(n.ID); len(children) > 0 {
		return children[0]
	}
	up, _ := c.Upstream(n.ID)
	return up
}
