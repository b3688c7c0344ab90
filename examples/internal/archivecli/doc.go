// Package archivecli is the command that PostgreSQL runs to archive and to restore WAL: examples/walarchive as
// a function, so that other programs can offer it as a verb and tests can call it.
//
//	archive_command         = 'walarchive --archive /mnt/backup/archive push "%p"'
//	restore_command         = 'walarchive --archive /mnt/backup/archive fetch "%f" "%p"'
//	archive_cleanup_command = 'walarchive --archive /mnt/backup/archive cleanup "%r"'
//
// The server runs them in its data directory, and that is where the command reads global/pg_control to learn which
// cluster it works for. Elsewhere (by hand, or when pg_rewind -c runs restore_command) name it with -D. The archive
// is a directory that exists, as a path or a file:// URL, from --archive or the environment variable
// UNDERSTUDY_ARCHIVE; its layout is documented in walarchive/store/dir.
//
// # Exit codes
//
// They keep PostgreSQL's contract, which package walarchive explains. On success the command is silent, and so is
// fetch when it exits with 1: a standby asks every few seconds for what is not there yet. On failure the command
// writes one line to standard error, which goes to the server log.
//
//	push     0    archived, durably; or already there with the same content
//	         1    not archived; the server tries again
//	         3    the archive holds this name with other content
//	         4    the archive belongs to another cluster
//	         64   the command line is wrong
//
//	fetch    0    restored
//	         1    the archive is there and does not hold the file
//	         75   cannot tell, on a standby: the server goes on and asks again
//	         200  cannot tell, in any other recovery: the server stops instead of ending recovery early
//	         143, 130, 131
//	              ended by SIGTERM, SIGINT, SIGQUIT; the server stops as well
//
//	cleanup  0    done; with -n, the names that would go are printed
//	         1    not or not completely done
//	         64   the command line is wrong
//
//	list     0    the names are printed, sorted
//	         1    no archive there, or it could not be read
//	         64   the command line is wrong
//
// A command line that is wrong in fetch, or in which no verb can be recognised, gives fetch's "cannot tell": a slip in
// restore_command must not look like the end of the archive.
//
// Whether the server is a standby, fetch decides by the data directory: standby.signal exists (12+), or recovery.conf
// says standby_mode = on (up to 11). --standby and --no-standby overrule it.
//
// What keeps a standby running has a price, because the server then takes "cannot tell" for "not there". If a standby
// starts, or is promoted, while the archive is unreachable, it does not learn of newer timelines from it. A standby
// that also streams hears of them from its primary. One that lives on the archive alone can replay the old timeline
// past the switch once the archive is back, and must then be rebuilt: give it --no-standby to make it stop instead.
package archivecli
