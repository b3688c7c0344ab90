package catalog

import (
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// PgCleanup says what pg_archivecleanup would remove. It looks at names only, and knows nothing of base backups, of other
// consumers and of the objects that belong to an archived file: [Catalog.Plan] does.
type PgCleanup struct {
	// Oldest is the argument OLDESTKEPTWALFILE: a segment, SEGMENT.partial or SEGMENT.XXXXXXXX.backup. The segment and what
	// comes after it stays.
	Oldest string
	// Extension is option -x: it is taken off Oldest and off the names before they are judged.
	Extension string
	// BackupHistory is option -b (17+): backup history files go, too.
	BackupHistory bool
}

// Plan returns those of names that pg_archivecleanup would remove, in their order (CleanupPriorWALFiles and
// SetWALFileNameForCleanup in pg_archivecleanup.c): segments and partial segments before Oldest, where the timeline
// does not count, only the position. Everything else stays. An Oldest that names no segment is a [*wal.SyntaxError].
func (p PgCleanup) Plan(names []string) ([]string, error) {
	oldest, err := p.oldest()
	if err != nil {
		return nil, err
	}
	var remove []string
	for _, name := range names {
		if judged := p.trim(name); p.mayGo(judged) && judged[8:] < oldest {
			remove = append(remove, name)
		}
	}
	return remove, nil
}

// oldest is what follows the timeline in the name of the first segment that stays.
func (p PgCleanup) oldest() (string, error) {
	name := p.trim(p.Oldest)
	_, _, _, ok := parseStem(name)
	if !ok || len(name) != stemLen && !isPartial(name) && !(isBackupHistory(name) && hasOffset(name)) {
		return "", &wal.SyntaxError{What: "oldest file to keep", Text: p.Oldest,
			Msg: "want a segment (24 upper-case hex digits), SEGMENT.partial or SEGMENT.XXXXXXXX.backup"}
	}
	return name[8:stemLen], nil
}

func (p PgCleanup) trim(name string) string {
	if len(name) > len(p.Extension) {
		return strings.TrimSuffix(name, p.Extension)
	}
	return name
}

func (p PgCleanup) mayGo(name string) bool {
	_, _, _, ok := parseStem(name)
	return ok && (len(name) == stemLen || isPartial(name) || p.BackupHistory && isBackupHistory(name))
}

func isPartial(name string) bool { return name[stemLen:] == ".partial" }

// isBackupHistory is IsBackupHistoryFileName of xlog_internal.h, which lets more pass than [wal.ParseFileName].
func isBackupHistory(name string) bool {
	return len(name) > stemLen && !strings.ContainsRune("0123456789ABCDEF", rune(name[stemLen])) && strings.HasSuffix(name, ".backup")
}

// hasOffset reports whether a number follows the segment: sscanf with "%08X%08X%08X.%08X.backup" reads it, and does not look
// at what is after it.
func hasOffset(name string) bool {
	const hex = "0123456789abcdefABCDEF"
	return name[stemLen] == '.' && strings.IndexByte(hex, name[stemLen+1]) >= 0
}
