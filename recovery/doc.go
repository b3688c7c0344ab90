// Package recovery says how a server starts: as a primary, as a standby of which upstream, or to recover to which moment in the
// past; and it makes a server start so. It serves majors 9.0 to 18.
//
// PostgreSQL keeps that in different places. Up to 11 it is the file recovery.conf; from 12 on it is a signal file plus
// ordinary parameters. [Config] is the one model of both. [Read] says what the files that are there mean; [Apply] writes them:
//
//	server := recovery.Server{DataDir: "/var/lib/postgresql/17/main"}
//	start, err := recovery.Read(ctx, recovery.Disk{}, server)    // starts as a primary; …/standby.signal: is not there, …
//	err = recovery.Apply(ctx, recovery.Disk{}, server, recovery.Config{
//		PrimaryConninfo: info,                                  // a conninfo.Info
//		RestoreCommand:  `walarchive fetch "%f" "%p"`,
//		TargetTimeline:  recovery.TimelineLatest,
//	})
//
// [Config.Validate] says what a major cannot do, and what to do instead; [Config.Render] returns the files without writing them.
// [Migrate] carries recovery.conf over to a later major. recovery/pitr restores a base backup to a moment in the past,
// recovery/basebackup makes one, recovery/command builds restore_command and its like, recovery/promote makes a primary of a standby.
//
// # Where the settings go
//
//   - up to 11: recovery.conf in the data directory. The server renames it to recovery.done when it is promoted. Apply edits it:
//     parameters that Config speaks of are set or commented out, all other lines stay.
//   - from 12: standby.signal or recovery.signal, and the parameters in a file of our own, [SettingsFile], which one include_if_exists
//     line at the end of the main configuration file pulls in. The file sets all of them, so that none comes from an older line.
//     Apply adds the line anew if later lines or includes could overrule it. postgresql.auto.conf wins over every file, so Apply
//     refuses with a [ConflictError] when it sets one of the same parameters, instead of writing settings that have no effect.
//
// A backslash in a value is doubled and a quote, too, as the files want it; Config has commands and paths as they are meant, those
// of Windows included.
//
// # Left-overs
//
// What an earlier life of the data directory left behind can turn a standby into something else. Apply removes nothing, since it
// may be wanted, and refuses before it writes:
//
//   - from 12 on, a recovery target in any file: the standby would stop there, or promote itself, or, as there may be one target
//     only, not start;
//   - the TriggerFile of the Config is there already (up to 15): it would promote itself at once;
//   - recovery.conf from 12 on: the server would not start;
//   - the signal file of the other role. Of both, standby.signal wins but is removed by a promotion, recovery.signal is not, so the
//     new primary would go into recovery at its next restart;
//   - a PG_VERSION of another major, where the caller named one: 11 ignores standby.signal and would start as a primary.
//
// [TakeOver] clears most of that away, on a server that is not running. recovery.done, the signal files of 12 beside an 11, and settings
// of a primary's former life as a standby do no harm.
//
// # Interruptions
//
// Each file is replaced atomically. The file of the role comes first, if the server then is a standby that stays one whatever happens.
// Otherwise, from 12 on, all steps are done beside a recovery.conf of our own, beside which no server starts; it says what to do, which is
// to do it again, and it is removed last. So no interruption lets a server start as a primary that was to become something else.
//
// # Returning servers
//
// [Judge] takes what the data directory of a stopped server says ([ReturningFrom], see recovery/datadir) and the history of the primary
// it shall follow, and says whether it may follow as it is, must be rewound, or must be cloned, and why. What is not proven counts
// as diverged; what it takes on trust is listed there.
//
// # What it does not do
//
// The package starts and stops nothing and opens no connection. Read looks at configuration, not at data: it does not know whether
// the archive has the timeline or the target that is asked for. Folders of include_dir are followed where the [Files] are a
// [Lister], else they are a doubt that Read reports. A time that is not in ISO form with a numeric zone is passed on as text, and only the
// server knows what it means. Includes in recovery.conf are read, but Apply and Migrate refuse to edit a file that has any. Whether
// a server has a newer libpq than its major, which knows more keywords of PrimaryConninfo, is not looked at.
//
// # What was proven
//
// Sources: PostgreSQL manual, "Standby Server Settings" and "Recovery Target"; for 11 and before the chapter "Recovery
// Configuration"; src/backend/access/transam/xlog.c and xlogrecovery.c. Real servers of 10 to 18 start with what is rendered, and do
// what Read says of some two hundred combinations of files that tools and hands leave behind. Majors 9.0 to 9.6 follow their sources and the
// documentation of the steps between them.
package recovery
