// Package datadir reads what a data directory of PostgreSQL says about itself, without any PostgreSQL tool.
//
// [ReadControl] reads global/pg_control: system identifier, state, timeline, positions. Its checksum is verified; a torn or
// foreign file is an error.
//
// The package only reads. Whether a server may follow another is for recovery.Judge to say.
//
// Sources: src/include/catalog/pg_control.h of each major. The tests hold the package against control files that servers of
// every major from 10 to 18 wrote.
package datadir
