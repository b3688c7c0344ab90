// Package archivecli is the command that PostgreSQL runs to archive and to restore WAL, and that people run to look after the archive:
// examples/walarchive as a function, so that other programs can offer it as a verb and tests can call it.
//
//	archive_command         = 'walarchive --archive /mnt/backup/archive push "%p"'
//	restore_command         = 'walarchive --archive /mnt/backup/archive fetch "%f" "%p"'
//	archive_cleanup_command = 'walarchive --archive /mnt/backup/archive cleanup --consumer standby1 "%r"'
//
// The server runs them in its data directory, and that is where push, fetch, cleanup and serve read global/pg_control to learn
// which cluster they work for. Elsewhere (by hand, or when pg_rewind -c runs restore_command) name it with -D. The other verbs need no data
// directory: they take the archive's word for whose it is. "walarchive settings 17" prints the exact lines for a major.
//
// # Where the archive is
//
// --archive, once or more often, or the environment variable UNDERSTUDY_ARCHIVE: a directory that exists, or a URL of package
// walarchive/store. Credentials are never part of it: S3's come from the environment or a file, SFTP's from an agent or key files. With a
// configuration file (--config, UNDERSTUDY_ARCHIVE_CONFIG) there is more to say:
//
//	archives:
//	  - url: file:///mnt/backup/archive
//	    compress: lz4                     # none, zstd, zstd:3, lz4, gzip, s2
//	  - url: s3://bucket/cluster1?region=eu-central-1
//	    name: cloud                       # for messages
//	    compress: zstd:3
//	    need: best-effort                 # must (default), quorum, best-effort
//	    recipients: [age1…, /etc/understudy/recipients]
//	quorum: 1                             # of the places that need quorum; default: more than half
//	identities: /etc/understudy/age.key   # decrypts; a push needs none
//	retry: 20s                            # for how long a fetch tries again
//	deadline: 10m                         # the longest that a push or fetch may take
//	spool: /var/lib/postgresql/spool      # of the helper that looks ahead
//	ahead: 2                              # files at once; 0: only if a helper runs already
//	check-records: true                   # push and verify look at the WAL records, too; default: false
//	drop:                                 # give WAL up rather than fill the disk; never by default, see walarchive/queue
//	  max-bytes: 50000000000
//	  min-free: 5000000000
//	  records: /var/lib/understudy/dropped
//
// # Looking ahead
//
// With --spool and --ahead the first push or fetch starts a helper process, which pushes or fetches the next files while
// PostgreSQL is busy with this one, and ends when nobody has asked for a minute. "walarchive serve" with the same flags is the same
// helper as a service. See package walarchive/lookahead.
//
// # Exit codes
//
// They keep PostgreSQL's contract, which package walarchive explains. On success the commands for the server are silent, and so is
// fetch when the archive does not hold the file: a standby asks every few seconds for what is not there yet. On failure they
// write one line to standard error, which goes to the server log.
//
//	push     0    archived, durably; or already there with the same content; or dropped, if the policy says so
//	         1    not archived; the server tries again
//	         3    the archive holds this name with other content
//	         4    the archive belongs to another cluster
//	         64   the command line or the configuration file is wrong
//
//	fetch    0    restored
//	         1    the archive is there and does not hold the file; or it cannot tell, on a standby: the server goes on and asks again
//	         200  cannot tell, in any other recovery: the server stops instead of ending recovery early
//	         143, 130, 131
//	              ended by SIGTERM, SIGINT, SIGQUIT; the server stops as well
//
//	gaps, verify, check
//	         0    nothing is wrong
//	         1    no answer
//	         2    something is wrong, and printed
//	         64   the command line is wrong
//
//	receive  0    stopped by a signal, or all that --stop-at asks for is archived
//	         1    failed
//	         2    only somebody's decision helps: another cluster, a fork, a gap, a slot that is lost
//	         64   the command line is wrong
//
//	others   0    done
//	         1    failed, or not completely done
//	         64   the command line is wrong
//
// A command line that is wrong in fetch, or in which no verb can be recognised, gives fetch's "cannot tell": a slip in
// restore_command must not look like the end of the archive. For the same reason fetch tries again for a while (--retry) what may pass
// before it says that it cannot tell.
//
// Whether the server is a standby, fetch decides by the data directory: standby.signal exists (12+), or recovery.conf
// says standby_mode = on (up to 11). --standby and --no-standby overrule it.
//
// What keeps a standby running has a price, because the server then takes "cannot tell" for "not there". If a standby
// starts, or is promoted, while the archive is unreachable, it does not learn of newer timelines from it. A standby
// that also streams hears of them from its primary. One that lives on the archive alone can replay the old timeline
// past the switch once the archive is back, and must then be rebuilt: give it --no-standby to make it stop instead.
package archivecli
