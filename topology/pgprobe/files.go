package pgprobe

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// readFiles adds what the role may know of the server's files. Everything else is known by then, and counts even if this fails.
func (a *answers) readFiles(ctx context.Context, conn *pgx.Conn, major int) {
	var batch pgx.Batch
	if a.seesRefused {
		batch.Queue(fileSettingsSQL).Query(a.readRefused)
		batch.Queue(pendingSQL).Query(a.readPending)
		if major >= 10 {
			batch.Queue(accessRulesSQL(major)).Query(a.readRefused)
		}
		if major >= 15 {
			batch.Queue(identMapsSQL(major)).Query(a.readRefused)
		}
	}
	if a.readsFiles && a.Timeline > 1 {
		batch.Queue(historySQL(major, a.Timeline.HistoryName())).Query(a.readHistory)
	}
	err := conn.SendBatch(ctx, &batch).Close()
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused): // a file that cannot be opened; the right may also just have been revoked
		a.Refused = append(a.Refused, topology.RefusedLine{Msg: refused.Message})
	case err != nil:
		a.Refused, a.seesRefused = nil, false
	}
	a.RefusedKnown = a.seesRefused
	slices.SortStableFunc(a.Refused, func(x, y topology.RefusedLine) int {
		return cmp.Or(strings.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line))
	})
}

func (a *answers) readRefused(rows pgx.Rows) error {
	var l topology.RefusedLine
	return each(rows, func() error {
		l.Msg = discreet(l.Msg)
		a.Refused = append(a.Refused, l)
		return nil
	}, &l.File, &l.Line, &l.Name, &l.Msg)
}

var (
	secretive = regexp.MustCompile(`(?i)secret|passw`)
	quoted    = regexp.MustCompile(`".*"`)
)

// discreet leaves out what a message quotes, if that may be a secret.
func discreet(msg string) string {
	if secretive.MatchString(msg) {
		return quoted.ReplaceAllString(msg, `"..."`)
	}
	return msg
}

// readPending drops the lines that a restart accepts from those that a reload refuses.
func (a *answers) readPending(rows pgx.Rows) error {
	var name string
	err := each(rows, func() error {
		p := a.Parameters[name]
		p.Pending = true
		a.Parameters[name] = p
		return nil
	}, &name)
	a.Refused = slices.DeleteFunc(a.Refused, func(l topology.RefusedLine) bool {
		return a.Parameters[l.Name].Pending || l.File == "" && strings.HasSuffix(l.Msg, "cannot be changed without restarting the server")
	})
	return err
}

// readHistory reads the history file of the node's timeline. One that cannot be read is as good as none.
func (a *answers) readHistory(rows pgx.Rows) error {
	var content []byte
	err := each(rows, nothing, &content)
	if history, bad := wal.ParseHistory(a.Timeline, content); bad == nil && content != nil {
		a.History = history
	}
	return err
}
