package pgprobe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// VerifyConfig says how to verify a cluster.
type VerifyConfig struct {
	// Connect holds a connection string for every node. On the primary its role must be able to insert, read and delete rows of the
	// table canary in Schema, or to create both; on the standbys to read it. A node without one is an error in its [Arrival].
	Connect map[topology.NodeID]string

	// Schema holds the table. Empty means "understudy". What is not there is created, and then dropped again at the end.
	Schema string

	// Timeout bounds the wait for the commit, and then that for the row to arrive. Zero means 10 s.
	Timeout time.Duration
}

// Fate is what became of the row.
type Fate string

// The fates.
const (
	NotWritten Fate = "not written"
	Removed    Fate = "removed"
	Left       Fate = "left"     // it is on the primary; Verification.Leftover removes it
	InDoubt    Fate = "in doubt" // the connection broke at the commit: whether it is there, or will be, is not known
)

// Verification is how far a row came.
type Verification struct {
	Primary   topology.NodeID
	Token     string        // the row's mark
	Sent      time.Time     // when COMMIT was sent
	Committed time.Duration // until the primary acknowledged it, with the wait for synchronous standbys; zero if it did not
	LSN       wal.LSN       // where the primary's WAL ended then: who has replayed as much has the row
	Arrivals  []Arrival     // one for each standby of the tree, upstreams first
	Fate      Fate
	Leftover  string // statement that removes what could not be removed, to be run on the primary; empty if nothing is left
}

// Arrival is how the row came to one standby.
type Arrival struct {
	Node     topology.NodeID
	Upstream topology.NodeID // in the tree; empty if it had none
	Visible  bool            // it was read there
	Latency  time.Duration   // from COMMIT to reading it there, 10 ms too long at most if the connection is quick
	Hop      time.Duration   // the part of Latency after its upstream had it
	Received bool            // its WAL is known to be on disk there
	Replayed wal.LSN         // at the last look
	Late     string          // why it is no fault that the row is not visible: the node is delayed, or takes its WAL from the archive alone
	Err      error           // why it was not read: not within Timeout, which is [ErrNotVisible], or out of reach
}

// ErrNotVisible says that a row did not become visible in time.
var ErrNotVisible = errors.New("the row did not become visible in time")

// PrimaryError says that a tree has not exactly one primary.
type PrimaryError struct{ Primaries []topology.NodeID }

func (e *PrimaryError) Error() string {
	if len(e.Primaries) == 0 {
		return "no node is known to be a primary"
	}
	return fmt.Sprintf("several nodes are primaries: %v", e.Primaries)
}

// BlockedError says that a commit was not acknowledged in time: it waits for synchronous standbys that are not there.
type BlockedError struct {
	Waited    time.Duration
	SyncNames string // synchronous_standby_names of the primary
}

func (e *BlockedError) Error() string {
	return fmt.Sprintf("the commit waited %v for a synchronous standby (synchronous_standby_names is %q): it is on the primary, and not known to be anywhere else",
		e.Waited.Round(time.Millisecond), e.SyncNames)
}

// Verify writes a row on the primary, waits until it can be read on every standby of the tree, and removes it, also when the context
// ends. A delayed or archive-only standby is not waited for longer than the others. The error says why no row was written and committed;
// what happened on the standbys is in the Arrivals. In any case Fate and Leftover are true.
func Verify(ctx context.Context, tree topology.Tree, cfg VerifyConfig) (Verification, error) {
	v, err := newVerifier(tree, cfg)
	if err != nil {
		return Verification{Fate: NotWritten}, err
	}
	defer v.hangUp(context.WithoutCancel(ctx))
	if err := v.connect(ctx); err != nil {
		return v.result, err
	}
	looking := v.watch(ctx)
	err = v.write(ctx)
	v.result.Arrivals = looking(err == nil)
	if v.result.Fate == NotWritten {
		v.result.Arrivals = nil
	}
	v.measureHops()
	// The row is removed whatever became of the caller; the time for that is bounded.
	cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	v.cleanUp(cleaning)
	return v.result, err
}

const (
	cleanUpTime = 10 * time.Second
	lookEvery   = 10 * time.Millisecond
	canaryName  = "canary"
)

// verifier does one verification.
type verifier struct {
	cfg     VerifyConfig
	table   string // quoted
	app     string // application_name on the primary, which nobody else has
	primary *topology.Place
	nodes   []*looker
	cfgs    map[topology.NodeID]*pgx.ConnConfig
	line    *line // to the primary

	createdTable, createdSchema bool
	lifted                      bool // the server gave up waiting for standbys

	mu     sync.Mutex // for what the lookers read
	result Verification
}

func newVerifier(tree topology.Tree, cfg VerifyConfig) (*verifier, error) {
	primaries := tree.Primaries()
	if len(primaries) != 1 {
		e := &PrimaryError{}
		for _, p := range primaries {
			e.Primaries = append(e.Primaries, p.Node.ID)
		}
		return nil, e
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Schema == "" {
		cfg.Schema = "understudy"
	}
	v := &verifier{cfg: cfg, primary: primaries[0], cfgs: map[topology.NodeID]*pgx.ConnConfig{}}
	v.table = pgx.Identifier{cfg.Schema, canaryName}.Sanitize()
	v.result = Verification{Primary: v.primary.Node.ID, Token: rand.Text(), Fate: NotWritten}
	v.app = "understudy_verify_" + v.result.Token
	for id, text := range cfg.Connect {
		c, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", id, err)
		}
		setDefault(c, "search_path", "pg_catalog")
		c.RuntimeParams["application_name"] = v.app
		v.cfgs[id] = c
	}
	v.addNodes(tree.Roots, "")
	return v, nil
}

// addNodes adds the standbys below an upstream, which come after it.
func (v *verifier) addNodes(places []*topology.Place, upstream topology.NodeID) {
	for _, p := range places {
		if p != v.primary && !p.Node.Witness {
			v.nodes = append(v.nodes, &looker{v: v, arrival: Arrival{Node: p.Node.ID, Upstream: upstream, Late: late(p.Node)}})
		}
		v.addNodes(p.Children, p.Node.ID)
	}
}

func late(n topology.Node) string {
	switch {
	case n.ArchiveOnly:
		return "it takes its WAL from the archive alone"
	case n.Delay > 0:
		return fmt.Sprintf("it replays %v late", n.Delay)
	}
	return ""
}

// connect connects to all nodes at once. Only the primary must be there.
func (v *verifier) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, n := range v.nodes {
		wg.Go(func() { n.line, n.arrival.Err = v.open(ctx, n.arrival.Node) })
	}
	var err error
	v.line, err = v.open(ctx, v.primary.Node.ID)
	wg.Wait()
	return err
}

func (v *verifier) open(ctx context.Context, id topology.NodeID) (*line, error) {
	cfg, ok := v.cfgs[id]
	if !ok {
		return nil, fmt.Errorf("node %s has no connection string", id)
	}
	cfg = cfg.Copy()
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.lifted = v.lifted || n.Routine == "SyncRepWaitForLSN" // that it cancels the wait, in every language
	}
	l, err := connect(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", id, err)
	}
	return l, nil
}

func (v *verifier) hangUp(ctx context.Context) {
	var wg sync.WaitGroup
	lines := []*line{v.line}
	for _, n := range v.nodes {
		lines = append(lines, n.line)
	}
	for _, l := range lines {
		if l != nil {
			wg.Go(func() { l.hangUp(ctx) })
		}
	}
	wg.Wait()
}

// write commits the row. What blocks before the commit, such as a lock, is no worse than an error.
func (v *verifier) write(ctx context.Context) error {
	conn := v.line.conn
	preparing, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	if err := v.insert(preparing, conn); err != nil {
		return fmt.Errorf("write the row: %w", err)
	}
	var names string
	if err := conn.QueryRow(preparing, "SELECT current_setting('synchronous_standby_names')").Scan(&names); err != nil {
		return fmt.Errorf("write the row: %w", err)
	}
	waited, err := v.commit(ctx, conn)
	v.mu.Lock()
	defer v.mu.Unlock()
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && !conn.IsClosed():
		return fmt.Errorf("commit the row: %w", err) // it was rolled back
	case err != nil:
		v.result.Fate = InDoubt
		return fmt.Errorf("commit the row: its fate is in doubt: %w", err)
	}
	v.result.Fate = Left
	if v.lifted {
		return errors.Join(&BlockedError{Waited: waited, SyncNames: names}, ctx.Err())
	}
	v.result.Committed = waited
	return nil
}

// insert begins the transaction, with the table if it is missing.
func (v *verifier) insert(ctx context.Context, conn *pgx.Conn) error {
	err := conn.QueryRow(ctx, "SELECT to_regnamespace(quote_ident($1)) IS NULL, to_regclass($2) IS NULL", v.cfg.Schema, v.table).
		Scan(&v.createdSchema, &v.createdTable)
	if err != nil {
		return err
	}
	statements := []string{"BEGIN", "SET LOCAL lock_timeout = '5s'"}
	if v.createdSchema {
		statements = append(statements, "CREATE SCHEMA "+pgx.Identifier{v.cfg.Schema}.Sanitize())
	}
	if v.createdTable {
		statements = append(statements, "CREATE TABLE "+v.table+" (token text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())")
	}
	for _, sql := range append(statements, "INSERT INTO "+v.table+" (token) VALUES ('"+v.result.Token+"')") {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// commit waits no longer than Timeout: then it asks the server to cancel, which ends its wait for standbys, and not the commit.
func (v *verifier) commit(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	// To end the session with the caller's context would leave the row in doubt, so canceling comes first here, too.
	waiting, stop := context.WithTimeout(ctx, v.cfg.Timeout)
	defer stop()
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.cfg.Timeout+cleanUpTime)
	defer cancel()
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		select {
		case <-done:
		case <-waiting.Done():
			v.cancelBackend(hard, conn.PgConn().PID())
		}
	})
	v.mu.Lock()
	v.result.Sent = time.Now()
	sent := v.result.Sent
	v.mu.Unlock()
	_, err := conn.Exec(hard, "COMMIT")
	waited := time.Since(sent)
	close(done)
	asking.Wait()
	if err == nil {
		var at string
		if err := conn.QueryRow(hard, spelled(majorOf(conn), "SELECT pg_current_wal_lsn()::text")).Scan(&at); err == nil {
			v.mu.Lock()
			v.result.LSN, _ = wal.ParseLSN(at) // zero, which is not known, if the server writes what is none
			v.mu.Unlock()
		}
	}
	return waited, err
}

// cancelBackend asks over another connection, which any role may for its own sessions.
func (v *verifier) cancelBackend(ctx context.Context, pid uint32) {
	ctx, cancel := context.WithTimeout(ctx, cleanUpTime/2)
	defer cancel()
	other, err := v.open(ctx, v.primary.Node.ID)
	if err != nil {
		return // the commit then runs into its own time limit
	}
	defer other.hangUp(ctx)
	_, _ = other.conn.Exec(ctx, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND application_name = $2", int(pid), v.app)
}

func majorOf(conn *pgx.Conn) int {
	m, _ := major(conn.PgConn().ParameterStatus("server_version")) // an unknown one is spelled as 9.6
	return m
}

// measureHops takes the upstream's latency off.
func (v *verifier) measureHops() {
	latency := map[topology.NodeID]time.Duration{v.primary.Node.ID: 0}
	for i := range v.result.Arrivals {
		a := &v.result.Arrivals[i]
		if !a.Visible {
			continue
		}
		latency[a.Node] = a.Latency
		if before, known := latency[a.Upstream]; known {
			a.Hop = max(0, a.Latency-before)
		}
	}
}

// cleanUp removes the row, and what was created for it.
func (v *verifier) cleanUp(ctx context.Context) {
	if v.result.Fate == NotWritten {
		v.line.cut() // rolls back what was begun
		return
	}
	v.result.Leftover = v.leftover()
	l := v.line
	if l.conn.IsClosed() {
		var err error
		if l, err = v.open(ctx, v.primary.Node.ID); err != nil {
			return
		}
		defer l.hangUp(ctx)
	}
	if err := v.remove(ctx, l.conn); err == nil {
		v.result.Fate, v.result.Leftover = Removed, ""
	}
}

// leftover is what an operator would run.
func (v *verifier) leftover() string {
	if v.createdTable {
		return "DROP TABLE IF EXISTS " + v.table
	}
	return "DELETE FROM " + v.table + " WHERE token = '" + v.result.Token + "'"
}

// remove waits for nobody's acknowledgement. A session of ours that broke may still be waiting for its commit; its row would appear later,
// so it is ended first.
func (v *verifier) remove(ctx context.Context, conn *pgx.Conn) error {
	const others = " FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()"
	for left := 1; left > 0; {
		if err := conn.QueryRow(ctx, "SELECT count(pg_terminate_backend(pid))::int"+others, v.app).Scan(&left); err != nil {
			return err
		}
		if left > 0 {
			time.Sleep(lookEvery) // between two looks; the context bounds the next one
		}
	}
	return v.inOne(ctx, conn, "SET LOCAL synchronous_commit = local", "SET LOCAL lock_timeout = '5s'", v.removal())
}

// removal is one statement: the table is dropped only by who created it, and not while there are rows of others in it.
func (v *verifier) removal() string {
	body := "IF to_regclass(" + literal(v.table) + ") IS NULL THEN RETURN; END IF; " +
		"DELETE FROM " + v.table + " WHERE token = '" + v.result.Token + "'; "
	if v.createdTable {
		drop := "DROP TABLE " + v.table + "; "
		if v.createdSchema {
			drop += "IF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace(" + literal(pgx.Identifier{v.cfg.Schema}.Sanitize()) + ")) THEN " +
				"DROP SCHEMA " + pgx.Identifier{v.cfg.Schema}.Sanitize() + "; END IF; "
		}
		body += "LOCK TABLE " + v.table + " IN ACCESS EXCLUSIVE MODE; " +
			"IF NOT EXISTS (SELECT FROM " + v.table + ") THEN " + drop + "END IF; "
	}
	return "DO " + literal("BEGIN "+body+"END")
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// inOne runs statements in one transaction.
func (v *verifier) inOne(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	for _, sql := range append(append([]string{"BEGIN"}, statements...), "COMMIT") {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
