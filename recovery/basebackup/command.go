package basebackup

import (
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Majors at which the protocol changed (manual: "Streaming Replication Protocol").
const (
	oldestMajor           pgconf.Major = 10 // temporary slots, SHOW
	majorPageChecksums    pgconf.Major = 11 // and data_directory_mode
	majorManifest         pgconf.Major = 13
	majorIdleSessions     pgconf.Major = 14 // idle_session_timeout
	majorOneStream        pgconf.Major = 15 // all archives in one COPY, options in parentheses, complete tar files
	majorManifestSystemID pgconf.Major = 17
)

// command is the BASE_BACKUP command for a server of a major.
func (o Options) command(major pgconf.Major) string {
	w := optionList{parenthesised: major >= majorOneStream}
	w.add("LABEL " + quote(o.label()))
	w.add("PROGRESS")
	if o.Checkpoint == Fast {
		w.word("FAST", "CHECKPOINT 'fast'")
	}
	if o.WAL == Fetch {
		w.add("WAL")
	}
	if o.WAL != NoWAL { // the copy has the WAL, so it need not be in the archive
		w.word("NOWAIT", "WAIT 0")
	}
	if o.MaxRate > 0 {
		w.add(fmt.Sprintf("MAX_RATE %d", o.MaxRate>>10))
	}
	if o.Format == Tar {
		w.add("TABLESPACE_MAP")
	}
	if o.IgnorePageChecksums && major >= majorPageChecksums {
		w.word("NOVERIFY_CHECKSUMS", "VERIFY_CHECKSUMS 0")
	}
	if major >= majorManifest {
		w.add("MANIFEST 'yes'")
		w.add("MANIFEST_CHECKSUMS " + quote(o.Manifest.String()))
	}
	return "BASE_BACKUP" + w.String()
}

func (o Options) label() string {
	if o.Label == "" {
		return defaultLabel
	}
	return o.Label
}

// optionList is the options of a command, in the grammar of up to 14 or that of 15 (repl_gram.y).
type optionList struct {
	parenthesised bool
	items         []string
}

// add adds an option that is the same in both.
func (l *optionList) add(item string) { l.items = append(l.items, item) }

func (l *optionList) word(before15, since15 string) {
	if l.parenthesised {
		l.items = append(l.items, since15)
		return
	}
	l.items = append(l.items, before15)
}

// String is the list with what separates it from the command.
func (l *optionList) String() string {
	if l.parenthesised {
		return " (" + strings.Join(l.items, ", ") + ")"
	}
	return " " + strings.Join(l.items, " ")
}

// quote makes a string literal of the replication grammar (repl_scanner.l): quotes are doubled, backslashes are themselves.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
