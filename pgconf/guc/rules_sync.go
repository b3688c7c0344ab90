package guc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

func (c *checker) syncNames() {
	line := c.own.get("synchronous_standby_names")
	if strings.TrimSpace(line.Value) == "" {
		return
	}
	want, err := ParseSyncNames(c.Major, line.Value)
	if err != nil {
		c.add(SyncSyntax, Error, "synchronous_standby_names is not valid: the server does not start",
			`put every name into double quotes, as in 'FIRST 1 ("node-a", "node-b")'`, line.Name)
		return
	}
	if commit := c.own.text("synchronous_commit"); commit == "off" || commit == "local" {
		c.add(SyncNotAwaited, Warning, "synchronous_standby_names is set, but with synchronous_commit = "+commit+" no commit waits for a standby",
			"set synchronous_commit = on", "synchronous_commit", line.Name)
	}
	if n, ok := c.own.number("max_wal_senders"); ok && n == 0 {
		c.add(SyncUnsatisfiable, Error, "synchronous_standby_names is set, but max_wal_senders = 0 lets no standby connect: commits wait for ever",
			"set max_wal_senders to 10, or empty the list", "max_wal_senders", line.Name)
	}
	c.syncList(line.Name, want)
	if c.Standbys != nil {
		c.syncKnown(line.Name, want)
	}
}

// syncList judges what the list says by itself.
func (c *checker) syncList(name string, want SyncNames) {
	if slices.Contains(want.Names, "*") {
		c.add(SyncAnyName, Warning, "synchronous_standby_names has *: any client that receives WAL counts, pg_basebackup and pg_receivewal among them",
			"name the standbys", name)
	} else if want.Num > len(want.Names) && c.Standbys == nil {
		c.add(SyncUnsatisfiable, Warning,
			fmt.Sprintf("synchronous_standby_names waits for %d standbys but names %d: unless several connect under one name, commits wait for ever",
				want.Num, len(want.Names)),
			"lower the number, or name more standbys", name)
	}
}

// syncKnown judges the list by the standbys that there are. Each of them that matches an entry counts, so two of the same
// name are two.
func (c *checker) syncKnown(name string, want SyncNames) {
	candidates := 0
	for _, standby := range c.Standbys {
		if want.Lists(standby) {
			candidates++
		}
	}
	switch {
	case candidates < want.Num:
		c.add(SyncUnsatisfiable, Error,
			fmt.Sprintf("synchronous_standby_names waits for %d standbys and %d can satisfy it: commits wait for ever", want.Num, candidates),
			"make it name standbys that there are (their application_name), or empty it until they have connected", name)
	case candidates == want.Num:
		c.add(SyncNoSpare, Warning,
			fmt.Sprintf("synchronous_standby_names waits for all of the %d standbys that match it: the loss of one blocks every commit", candidates),
			"have one standby more than the number it waits for, as in 'ANY 1 (a, b)'", name)
	}
	for _, entry := range want.Names {
		if entry != "*" && !containsFold(c.Standbys, entry) {
			c.add(SyncUnknownName, Warning, fmt.Sprintf("synchronous_standby_names has %q, and no standby connects under that name", entry),
				"correct it, or set application_name in that standby's primary_conninfo", name)
		}
	}
}

func containsFold(names []string, name string) bool {
	for _, n := range names {
		if ascii.Lower(n) == ascii.Lower(name) {
			return true
		}
	}
	return false
}
