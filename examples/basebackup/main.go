// Command basebackup copies a running PostgreSQL server of 10 to 18 over the replication protocol; no PostgreSQL program is needed.
//
//	basebackup 'host=db1 user=replicator passfile=/etc/understudy/passfile' /var/lib/postgresql/17/main
//	basebackup --aside /var/lib/postgresql/17/main.old SOURCE /var/lib/postgresql/17/main
//	basebackup --tar --max-rate 20 SOURCE /backup/2026-11-21
//
// SOURCE is a connection string or URI of libpq. The password comes from a passfile or the environment (PGPASSFILE, PGPASSWORD); one in
// SOURCE is refused, since every user of the machine could read it. On a terminal the progress is a bar, else lines.
//
// The copy is made in TARGET.incoming, which no server starts from, and renamed when it is complete, verified and on disk. It is not a
// standby yet: see package recovery for that.
//
// Exit codes: 0 the copy is complete; 1 it failed, and what it made is removed; 2 wrong usage; 130 interrupted, likewise.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/understudy-ha/understudy/examples/internal/cli"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/basebackup"
)

const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { cli.Main(run) }

// flags are what the command line can say.
type flags struct {
	Source string `arg:"" help:"Connection string or URI of the server."`
	Target string `arg:"" help:"Folder to make. It must be empty or not exist."`

	Aside      string            `placeholder:"DIR" help:"Rename a target that is not empty to this when the copy is complete."`
	Tar        bool              `help:"Keep tar files instead of a data directory."`
	WAL        string            `name:"wal" enum:"stream,fetch,none" default:"stream" help:"How to get the WAL that belongs to the copy: ${enum}."`
	Slot       string            `placeholder:"NAME" help:"Stream WAL from this replication slot instead of a temporary one."`
	Checkpoint string            `enum:"fast,spread" default:"fast" help:"Begin with a ${enum} checkpoint; a spread one takes minutes."`
	Label      string            `placeholder:"TEXT" help:"Text in backup_label."`
	MaxRate    float64           `placeholder:"MIB" help:"Most MiB per second that the server sends."`
	Manifest   string            `enum:"${checksums}" default:"CRC32C" help:"Checksums to verify with, from 13 on: ${enum}."`
	Tablespace map[string]string `placeholder:"OLD=NEW" mapsep:"none" help:"Put the tablespace that is at OLD on the server at NEW. Can be repeated."`

	IgnorePageChecksums bool `help:"Copy damaged pages, too."`
}

var (
	walMethods  = map[string]basebackup.WALMethod{"stream": basebackup.Stream, "fetch": basebackup.Fetch, "none": basebackup.NoWAL}
	checkpoints = map[string]basebackup.Checkpoint{"fast": basebackup.Fast, "spread": basebackup.Spread}
)

// checksums are the algorithms by name.
func checksums() map[string]basebackup.Checksum {
	all := map[string]basebackup.Checksum{}
	for c := basebackup.CRC32C; c <= basebackup.SizesOnly; c++ {
		all[c.String()] = c
	}
	return all
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var given flags
	_, err := cli.Parse("basebackup", &given, args, stdout, stderr, kong.Description("Copy a running PostgreSQL server."),
		kong.Vars{"checksums": strings.Join(slices.Sorted(maps.Keys(checksums())), ",")})
	if errors.Is(err, cli.ErrHelped) {
		return exitOK
	}
	var source conninfo.Info
	if err == nil {
		source, err = parseSource(given.Source)
	}
	if err != nil {
		fmt.Fprintf(stderr, "basebackup: %v (see basebackup --help)\n", err)
		return exitUsage
	}
	out := newPrinter(stderr)
	o := given.options()
	o.Progress = out.progress
	result, err := basebackup.Run(ctx, source, o)
	out.close()
	return report(ctx, result, err, stdout, stderr)
}

// parseSource refuses secrets: the command line is in the process list.
func parseSource(text string) (conninfo.Info, error) {
	source, err := conninfo.Parse(text)
	if err != nil {
		return source, err
	}
	if source.String() != source.Text() {
		return source, fmt.Errorf("%v holds a secret, which every user of the machine could read in the process list: name a passfile instead", source)
	}
	return source, nil
}

func (f flags) options() basebackup.Options {
	o := basebackup.Options{
		Target: f.Target, Aside: f.Aside, Tablespaces: f.Tablespace, WAL: walMethods[f.WAL], Slot: f.Slot, Checkpoint: checkpoints[f.Checkpoint],
		Label: f.Label, MaxRate: int64(f.MaxRate * (1 << 20)), Manifest: checksums()[f.Manifest], IgnorePageChecksums: f.IgnorePageChecksums,
	}
	if f.Tar {
		o.Format = basebackup.Tar
	}
	return o
}

// report prints the end and returns the exit code.
func report(ctx context.Context, r basebackup.Result, err error, stdout, stderr io.Writer) int {
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(stderr, "basebackup: interrupted:", err) // which also says what could not be removed
		return exitInterrupted
	case errors.Is(err, basebackup.ErrNotEmpty):
		fmt.Fprintln(stderr, "basebackup:", err, "(--aside renames a target that is not empty)")
		return exitFailed
	case err != nil:
		fmt.Fprintln(stderr, "basebackup:", err)
		return exitFailed
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(stderr, "basebackup: the server warns:", w)
	}
	verified := "files verified with the backup manifest"
	if !r.Manifest {
		verified = "a server before 13 has no backup manifest to verify the files with"
	}
	fmt.Fprintf(stdout, "%s: PostgreSQL %v, system %v, timeline %d, from %v to %v, %d MiB; %s\n",
		r.Dir, r.Major, r.SystemID, r.EndTimeline, r.Start, r.End, r.Bytes>>20, verified)
	for _, s := range r.Tablespaces {
		fmt.Fprintf(stdout, "tablespace %d: %s\n", s.OID, s.Location)
	}
	if r.Aside != "" {
		fmt.Fprintln(stdout, "what was there before:", r.Aside)
	}
	return exitOK
}
