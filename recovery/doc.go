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
//   - up to 11: recovery.conf in the data directory (mode 0600). The server renames it to recovery.done when it is promoted.
//   - from 12: standby.signal, and the parameters in a file of our own, [SettingsFile], which one include_if_exists line at the end
//     of postgresql.conf pulls in. postgresql.auto.conf wins over every file, so Apply refuses with a [ConflictError] when it
//     sets one of the same parameters, instead of writing settings that have no effect.
//
// # What a data directory holds
//
// [ReadControl] reads global/pg_control without any PostgreSQL tool: system identifier, state, timeline, positions. Its
// checksum is verified; a torn or foreign file is an error. [Judge] takes the control data of a returning server and the
// history of the primary it shall follow, and says whether it may follow as it is, must be rewound, or must be cloned.
//
// # What it does not do
//
// No targeted recovery (point in time) yet, no reading of settings that other tools wrote, and no majors before 10: those
// are refused, never guessed. The package starts and stops nothing and opens no connection.
//
// Sources: PostgreSQL manual, "Standby Server Settings" and "Recovery Target"; for 11 the chapter "Recovery Configuration";
// src/include/catalog/pg_control.h of each major.
package recovery
