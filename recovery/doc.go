// Package recovery says how a server starts: as a primary, or as a standby of which upstream.
//
// PostgreSQL keeps that in different places. Up to 11 it is the file recovery.conf; from 12 on it is a signal file plus
// ordinary parameters. [Config] is the one model of both, [Config.Render] turns it into files for a major, and [Apply]
// writes them in an order in which a crash half-way never lets a standby start as a primary:
//
//	cfg := recovery.Config{
//		PrimaryConninfo: info,                                  // a conninfo.Info
//		RestoreCommand:  "walarchive fetch %f %p",
//		TargetTimeline:  recovery.TimelineLatest,
//	}
//	err := recovery.Apply(ctx, host, "/var/lib/postgresql/17/main", 17, cfg)
//
// # Where the settings go
//
//   - up to 11: recovery.conf in the data directory. The server renames it to recovery.done when it is promoted. Apply edits it:
//     parameters that Config speaks of are set or commented out, all other lines stay.
//   - from 12: standby.signal, and the parameters in a file of our own, [SettingsFile], which one include_if_exists line at the end
//     of postgresql.conf pulls in. The file sets all of them, so that none comes from an older line. Apply adds the line anew if
//     later lines or includes could overrule it. postgresql.auto.conf wins over every file, so Apply refuses with a
//     [ConflictError] when it sets one of the same parameters, instead of writing settings that have no effect.
//
// # Left-overs
//
// What an earlier life of the data directory left behind can turn a standby into something else. Apply removes nothing, since it
// may be wanted, and refuses before it writes:
//
//   - a recovery target in any of the files it reads: the standby would stop there, or promote itself;
//   - a trigger file that is there already (trigger_file, promote_trigger_file; up to 15): it would promote itself at once;
//   - recovery.conf from 12 on: the server would not start;
//   - recovery.signal: standby.signal wins over it but is removed by a promotion, recovery.signal is not, so the new primary
//     would go into recovery at its next restart;
//   - a PG_VERSION of another major: 11 ignores standby.signal and would start as a primary.
//
// recovery.done, the signal files of 12 beside an 11, and settings of a primary's former life as a standby do no harm.
//
// # Who may follow
//
// [Judge] takes the control data of a returning server (package recovery/datadir reads it) and the history of the primary it
// shall follow, and says whether it may follow as it is, must be rewound, or must be cloned, and why. What is not proven
// counts as diverged; what it takes on trust is listed there.
//
// # What it does not do
//
// No targeted recovery (point in time) yet, and no majors before 10: those are refused, never guessed. Files that
// postgresql.conf includes, command line options and config_file are not read: a recovery target hidden there is not found.
// postgresql.conf must lie in the data directory. The package starts and stops nothing and opens no connection.
//
// Sources: PostgreSQL manual, "Standby Server Settings" and "Recovery Target"; for 11 the chapter "Recovery Configuration";
// src/include/catalog/pg_control.h of each major. The tests hold the package against control files that servers of every
// major from 10 to 18 wrote, and against the servers that are installed where they run.
package recovery
