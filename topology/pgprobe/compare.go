package pgprobe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// CompareConfig says what to compare.
type CompareConfig struct {
	// Connect holds a connection string for every node, to a database in which the query means something.
	Connect map[topology.NodeID]string

	// Query is one statement that reads. It runs in a read-only transaction. Without ORDER BY the rows are compared all the same: their
	// order never counts.
	Query string

	// Timeout bounds each step: the query on a node, and the wait for a standby to replay what the primary had. Zero means 10 s.
	Timeout time.Duration

	// MaxRows is how many rows the query may give at most; more are an error. Zero means 10000.
	MaxRows int
}

// Comparison is what a query gave on the primary, and where it gave something else.
type Comparison struct {
	Primary topology.NodeID
	Rows    int // on the primary
	At      wal.LSN
	Moving  bool // the primary's own rows changed meanwhile, so that differences may be no more than that
	Nodes   []Difference
}

// Difference is what one standby gave. A row is its columns in the server's text form, separated by tabs; NULL is \N, and in a value
// a backslash, tab or new line is written as in COPY.
type Difference struct {
	Node    topology.NodeID
	Missing []string // on the primary, and not here
	Extra   []string // here, and not on the primary
	Err     error    // why it was not compared: out of reach, or not as far as the primary within Timeout
}

// Same reports whether the standby was compared and has the same rows.
func (d Difference) Same() bool { return d.Err == nil && len(d.Missing) == 0 && len(d.Extra) == 0 }

// Compare runs a query on the primary, and on every standby of the tree once that has replayed what the primary had written before. The
// error says why there is nothing to compare with.
func Compare(ctx context.Context, tree topology.Tree, cfg CompareConfig) (Comparison, error) {
	primaries := tree.Primaries()
	if len(primaries) != 1 {
		e := &PrimaryError{}
		for _, p := range primaries {
			e.Primaries = append(e.Primaries, p.Node.ID)
		}
		return Comparison{}, e
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.MaxRows <= 0 {
		cfg.MaxRows = 10000
	}
	result := Comparison{Primary: primaries[0].Node.ID}
	before, at, err := cfg.rows(ctx, result.Primary, 0)
	if err != nil {
		return result, err
	}
	result.At = at
	for _, n := range before {
		result.Rows += n
	}
	var nodes []topology.NodeID
	for _, p := range tree.Places() {
		if p != primaries[0] && !p.Node.Witness {
			nodes = append(nodes, p.Node.ID)
		}
	}
	found := make([]map[string]int, len(nodes))
	result.Nodes = make([]Difference, len(nodes))
	var wg sync.WaitGroup
	for i, id := range nodes {
		wg.Go(func() {
			result.Nodes[i].Node = id
			found[i], _, result.Nodes[i].Err = cfg.rows(ctx, id, at)
		})
	}
	wg.Wait()
	after, _, err := cfg.rows(ctx, result.Primary, 0)
	if err != nil {
		return result, err
	}
	result.Moving = !maps.Equal(before, after)
	for i := range nodes {
		if result.Nodes[i].Err == nil {
			result.Nodes[i].Missing, result.Nodes[i].Extra = subtract(before, found[i]), subtract(found[i], before)
		}
	}
	return result, nil
}

// rows runs the query on a node and counts equal rows. On a standby it waits first until the node has replayed up to at; of the primary,
// where its WAL ended after the query is returned.
func (c CompareConfig) rows(ctx context.Context, id topology.NodeID, at wal.LSN) (map[string]int, wal.LSN, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*c.Timeout)
	defer cancel()
	cfg, err := parse(c.Connect[id])
	if err != nil {
		return nil, 0, fmt.Errorf("node %s: %w", id, err)
	}
	setDefault(cfg, "application_name", "understudy_compare")
	l, err := connect(ctx, cfg)
	if err != nil {
		return nil, 0, fmt.Errorf("connect to %s: %w", id, err)
	}
	defer l.hangUp(context.WithoutCancel(ctx))
	if at != 0 {
		if err := c.replayed(ctx, l.conn, at); err != nil {
			return nil, 0, fmt.Errorf("wait for %s to have replayed %v: %w", id, at, err)
		}
	}
	rows, err := c.read(ctx, l.conn)
	if err != nil || at != 0 {
		return rows, 0, wrap(err, "query %s", id)
	}
	err = l.conn.QueryRow(ctx, spelled(majorOf(l.conn), "SELECT pg_current_wal_lsn()::text")).Scan(position{&at})
	return rows, at, wrap(err, "query %s", id)
}

func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

func (c CompareConfig) replayed(ctx context.Context, conn *pgx.Conn, at wal.LSN) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	sql := spelled(majorOf(conn), "SELECT pg_last_wal_replay_lsn()::text")
	for {
		var now wal.LSN
		if err := conn.QueryRow(ctx, sql).Scan(position{&now}); err != nil {
			return err
		}
		if now >= at {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is at %v: %w", now, ctx.Err())
		case <-time.After(lookEvery):
		}
	}
}

func (c CompareConfig) read(ctx context.Context, conn *pgx.Conn) (map[string]int, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // there is nothing to lose
	rows, err := tx.Query(ctx, c.Query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]int{}
	for n := 0; rows.Next(); n++ {
		if n == c.MaxRows {
			return nil, fmt.Errorf("more than %d rows; ask for fewer, or for a sum", c.MaxRows)
		}
		found[rowText(rows.RawValues())]++
	}
	return found, rows.Err()
}

var escaped = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`)

func rowText(values [][]byte) string {
	columns := make([]string, len(values))
	for i, v := range values {
		if columns[i] = escaped.Replace(string(v)); v == nil {
			columns[i] = `\N`
		}
	}
	return strings.Join(columns, "\t")
}

// subtract returns the rows of a that b lacks, as often as it lacks them, in order.
func subtract(a, b map[string]int) []string {
	var rest []string
	for _, row := range slices.Sorted(maps.Keys(a)) {
		for range a[row] - b[row] {
			rest = append(rest, row)
		}
	}
	return rest
}
