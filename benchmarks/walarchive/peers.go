package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// ours is our push, to an archive of its own.
func (b *bench) ours(name, flags string) *tool {
	dir := b.archive(name)
	return &tool{
		name:   name,
		stores: dir,
		reset:  func() error { return fresh(dir) },
		line:   func(job string) string { return b.line(dir, flags, "push", "pg_wal/"+job) },
	}
}

// lookAhead are the flags that make ours work ahead.
func (b *bench) lookAhead() string { return fmt.Sprintf("--ahead=%d --spool=%s", b.workers, b.spool()) }

func (w *world) spool() string { return w.path("spool") }

// archive is where a tool of ours has its archive.
func (w *world) archive(name string) string {
	return w.path("archives", strings.ReplaceAll(name, " ", "-"))
}

// line is a command line of ours.
func (w *world) line(archive string, words ...string) string {
	return joined(append([]string{w.command, "--archive", archive}, words...))
}

// joined joins words, of which some may be empty or more than one.
func joined(words []string) string {
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// copier is a tool that copies to a folder.
func (b *bench) copier(name string, line func(from, to string) string) *tool {
	dir := b.copies(name)
	return &tool{
		name:  name,
		reset: func() error { return fresh(dir) },
		line:  func(job string) string { return line("pg_wal/"+job, filepath.Join(dir, job)) },
	}
}

// copies is where a copier copies to.
func (w *world) copies(name string) string {
	first, _, _ := strings.Cut(name, ",")
	return w.path("copies", first)
}

func (b *bench) dd() *tool {
	return b.copier("dd", func(from, to string) string { return "dd status=none bs=1M conv=fsync if=" + from + " of=" + to })
}

// cp is the line of the manual.
func (b *bench) cp() *tool {
	return b.copier("cp, not synced", func(from, to string) string { return "test ! -f " + to + " && cp " + from + " " + to })
}

func (b *bench) rsync() *tool {
	t := b.copier("rsync, not synced", func(from, to string) string { return "rsync -a " + from + " " + to })
	t.program = "rsync"
	return t
}

// pgBackRest is archive-push with some options.
func (b *bench) pgBackRest(options string) *tool {
	return &tool{
		name:    "pgbackrest",
		program: "pgbackrest",
		stores:  b.path("pgbackrest/repo"),
		reset:   b.resetPgBackRest,
		line:    func(job string) string { return b.pgBackRestLine(options, "archive-push", "pg_wal/"+job) },
	}
}

func (b *bench) pgBackRestLine(options string, words ...string) string {
	begin := []string{"pgbackrest", "--config=" + b.path("pgbackrest.conf"), "--stanza=main", "--pg1-path=" + b.dataDir, options}
	return joined(append(begin, words...))
}

// resetPgBackRest empties pgBackRest's archive.
func (b *bench) resetPgBackRest() error {
	dirs, _ := filepath.Glob(b.path("pgbackrest/repo/archive/main/*-1")) // the pattern is well-formed
	for _, dir := range append(dirs, b.path("pgbackrest/spool")) {
		if err := fresh(dir); err != nil {
			return err
		}
	}
	return nil
}

const pgBackRestConf = `[global]
repo1-path=%[1]s/pgbackrest/repo
lock-path=%[1]s/pgbackrest/lock
log-path=%[1]s/pgbackrest
spool-path=%[1]s/pgbackrest/spool
log-level-console=warn
log-level-file=off
[main]
pg1-path=%[2]s
pg1-socket-path=%[3]s
pg1-user=postgres
`

// setUpPgBackRest makes an empty archive, for which the server has to run.
func (b *bench) setUpPgBackRest(ctx context.Context) error {
	for _, dir := range []string{"repo", "lock", "spool"} {
		if err := fresh(b.path("pgbackrest", dir)); err != nil {
			return err
		}
	}
	conf := fmt.Sprintf(pgBackRestConf, b.base, b.data(), b.server.base)
	if err := os.WriteFile(b.path("pgbackrest.conf"), []byte(conf), 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "pgbackrest", "--config="+b.path("pgbackrest.conf"), "--stanza=main", "stanza-create").CombinedOutput()
	if err != nil {
		return fmt.Errorf("stanza-create: %w: %s", err, out)
	}
	return nil
}

// barman is barman-wal-archive, with a shell in the place of ssh.
func (b *bench) barman() *tool {
	incoming := b.path("barman/main/incoming")
	return &tool{
		name:    "barman, by a shell",
		program: "barman-wal-archive",
		env:     []string{"PATH=" + b.path("barman") + ":" + os.Getenv("PATH")},
		reset:   func() error { return fresh(incoming) },
		line: func(job string) string {
			return "barman-wal-archive --config " + b.path("barman/barman.conf") + " localhost main pg_wal/" + job
		},
	}
}

const barmanConf = `[barman]
barman_user = %[2]s
barman_home = %[1]s
barman_lock_directory = %[1]s
log_file = %[1]s/log
log_level = WARNING
[main]
description = benchmark
archiver = on
backup_method = rsync
backup_options = concurrent_backup
ssh_command = false
conninfo = host=/ user=postgres dbname=postgres
`

// noSSH runs what ssh would run elsewhere.
const noSSH = `#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
shift
exec sh -c "$*"
`

func (b *bench) setUpBarman(context.Context) error {
	dir := b.path("barman")
	if err := fresh(dir); err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "barman.conf"), fmt.Appendf(nil, barmanConf, dir, me.Username), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "ssh"), []byte(noSSH), 0o700) //nolint:gosec // a program
}

// setUps make peers ready, where they need more than to be there.
func (b *bench) setUps() map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{"pgbackrest": b.setUpPgBackRest, "barman-wal-archive": b.setUpBarman}
}

// findPeers looks for the programs that are compared with, and notes which cannot be had, and why.
func (b *bench) findPeers(ctx context.Context) {
	b.absent = map[string]bool{}
	for _, program := range []string{"pgbackrest", "barman-wal-archive", "rsync", b.Bin("pg_archivecleanup"), b.Bin("pg_receivewal")} {
		_, err := exec.LookPath(program)
		if setUp := b.setUps()[program]; setUp != nil && err == nil {
			err = setUp(ctx)
		}
		if err != nil {
			b.absent[program] = true
			b.report.missing(filepath.Base(program), err)
		}
	}
}
