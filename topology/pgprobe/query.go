package pgprobe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/topology"
)

// answers are what a server said to the statements of one observation.
type answers struct {
	topology.Observation
	monitor     bool // the role may see everything
	recovering  bool // at the end
	seesRefused bool // the role may ask what would be refused
	readsFiles  bool
}

var errPromoted = errors.New("the server is being promoted")

// query makes one observation. If the server is promoted in the middle, or was caught at a bad moment, it is asked once more:
// what is returned is never a mixture of before and after.
func query(ctx context.Context, conn *pgx.Conn) (topology.Observation, error) {
	major, err := major(conn.PgConn().ParameterStatus("server_version"))
	if err != nil {
		return topology.Observation{}, err
	}
	a, err := ask(ctx, conn, major)
	if worthAnotherTry(err) {
		a, err = ask(ctx, conn, major)
	}
	if err != nil {
		return topology.Observation{}, err
	}
	if a.seesRefused || a.readsFiles {
		a.readFiles(ctx, conn, major)
	}
	return a.Observation, nil
}

// major reads a version as the server tells it on connecting, such as "18.1 (Debian 18.1-1)", "9.6.24" or "19devel".
func major(version string) (int, error) {
	digits := 0
	for digits < len(version) && version[digits] >= '0' && version[digits] <= '9' {
		digits++
	}
	major, err := strconv.Atoi(version[:digits])
	if err != nil {
		return 0, fmt.Errorf("the server's version %q cannot be read", version)
	}
	if major < 10 && (len(version) < 3 || version[:3] != "9.6") {
		return 0, fmt.Errorf("the server's version is %s: it can be observed from 9.6 on", version)
	}
	return major, nil
}

// worthAnotherTry reports whether an error comes of the moment: a promotion, pg_control read while it was being written, a conflict
// with recovery.
func worthAnotherTry(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return slices.Contains([]string{"55000", "XX000", "XX001", "40001"}, refused.Code)
	}
	return errors.Is(err, errPromoted)
}

// ask sends the statements and reads the answers.
func ask(ctx context.Context, conn *pgx.Conn, major int) (*answers, error) {
	var a answers
	a.Asked = time.Now()
	var batch pgx.Batch
	for _, sql := range statements(major) {
		batch.Queue(sql)
	}
	results := conn.SendBatch(ctx, &batch)
	err := a.readAll(results)
	if closing := results.Close(); err == nil {
		err = closing
	}
	switch {
	case err != nil:
		return nil, err
	case !a.monitor:
		return nil, ErrNotMonitor
	case a.InRecovery != a.recovering:
		return nil, errPromoted
	}
	a.At = time.Now()
	return &a, nil
}

func (a *answers) readAll(results pgx.BatchResults) error {
	readers := [questions]func(pgx.Rows) error{
		aboutReceiver: a.readReceiver, aboutSelf: a.readSelf, aboutSenders: a.readSenders, aboutSlots: a.readSlots,
		aboutArchiver: a.readArchiver, aboutBlocked: a.readBlocked, aboutControl: a.readControl,
		aboutParameters: a.readParameters, aboutCollation: a.readCollation, aboutRights: a.readRights,
	}
	for i, read := range readers {
		rows, err := results.Query()
		if err == nil {
			err = read(rows)
		}
		if err != nil {
			return fmt.Errorf("query %s: %w", views[i], err)
		}
	}
	return nil
}
