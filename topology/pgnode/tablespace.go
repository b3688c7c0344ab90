package pgnode

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/topology/host"
)

// TablespaceError says that a tablespace of the source has no place here.
type TablespaceError struct {
	Locations []string // on the source, or, after a clone, where pg_basebackup put them: the same
	Copied    bool     // a clone has made them, so they have to be looked at and removed
}

func (e *TablespaceError) Error() string {
	text := fmt.Sprintf("Config.Tablespaces names no place for the tablespaces of the source at %s", strings.Join(e.Locations, ", "))
	if e.Copied {
		text += ": copies of them lie at the same places here; remove those that are not in use"
	}
	return text
}

// CheckTablespaces asks the source of a clone, by any connection to it, for its tablespaces, and returns a [*TablespaceError] if
// Config.Tablespaces does not say where one of them is to be, and an error if such a place holds something already.
func (n *Node) CheckTablespaces(ctx context.Context, source DB) error {
	var text string
	// Those inside of the data directory (15+) come along, and have relative paths.
	err := source.QueryRow(ctx, `SELECT coalesce(string_agg(pg_tablespace_location(oid), E'\n' ORDER BY oid), '')
		FROM pg_tablespace WHERE pg_tablespace_location(oid) LIKE '/%'`).Scan(&text)
	if err != nil {
		return fmt.Errorf("ask the source for its tablespaces: %w", err)
	}
	var missing []string
	for _, from := range linesOf(text) {
		to, ok := n.cfg.Tablespaces[from]
		if !ok {
			missing = append(missing, from)
			continue
		}
		_, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", `[ ! -e "$1" ] || [ -z "$(ls -A -- "$1")" ]`, "sh", to}})
		if err != nil {
			return fmt.Errorf("the place %s for the tablespace of the source at %s is not empty: %w", to, from, err)
		}
	}
	if len(missing) > 0 {
		return &TablespaceError{Locations: missing}
	}
	return nil
}

// checkCopied makes sure that no tablespace of a copy lies where nobody wanted it.
func (n *Node) checkCopied(ctx context.Context) error {
	r, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: []string{
		"-c", `for l in "$1"/pg_tblspc/*; do [ ! -L "$l" ] || readlink -- "$l"; done`, "sh", n.incoming(),
	}})
	if err != nil {
		return fmt.Errorf("look for tablespaces in the copy: %w", err)
	}
	wanted := map[string]bool{}
	for to := range maps.Values(n.cfg.Tablespaces) {
		wanted[path.Clean(to)] = true
	}
	astray := slices.DeleteFunc(linesOf(string(r.Stdout)), func(at string) bool { return wanted[path.Clean(at)] })
	if len(astray) > 0 {
		return &TablespaceError{Locations: astray, Copied: true}
	}
	return nil
}
