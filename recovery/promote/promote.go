package promote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Way is how a standby is asked to end recovery.
type Way string

// The ways, in the order in which [Promote] prefers them.
const (
	Function    Way = "pg_promote()"   // 12 and later
	PgCtl       Way = "pg_ctl promote" // 9.1 and later
	TriggerFile Way = "trigger file"   // up to 15
)

// Standby is a server to be promoted, and what is at hand for it. Only DB is required, with a server of 12 or later.
type Standby struct {
	// DB asks the server. A pool reconnects if the server closes the connection; a single connection that is lost makes Promote
	// wait until ctx ends, though the promotion takes place.
	DB DB

	// Major is the server's. Zero means to ask it; a server that accepts no connections during recovery (hot_standby = off) cannot
	// be asked.
	Major pgconf.Major

	// PgCtl runs pg_ctl of the server's major with these arguments, as the owner of the data directory on the server's machine. Its
	// error should hold what pg_ctl printed. Nil rules this way out.
	PgCtl func(ctx context.Context, args ...string) error

	// Files are those of the server's machine: for the trigger file, and for [Result.Switch]. Nil rules both out.
	Files recovery.Files

	// Server says where its files lie. PgCtl and Files need it.
	Server recovery.Server

	// Way is the one to take. Empty means the first that is possible.
	Way Way

	// Resume resumes a paused replay where the server would otherwise not notice the request (up to 12).
	Resume bool

	// From is the timeline on which the standby was last seen, to tell one that has been promoted since from another primary, and from
	// a server that was restarted without its role, which writes on the old timeline. Zero means that it is not known; then any
	// primary counts.
	From wal.Timeline

	// Interval is the time between two looks at the server. Zero means 50 ms.
	Interval time.Duration
}

// Result says how a promotion went.
type Result struct {
	Way      Way // empty for [Wait]
	Timeline wal.Timeline
	LSN      wal.LSN // where the server stood when it had accepted a write

	// From and Switch are the timeline that was left, and where; from the history file of the new one. Zero if it could not be read.
	From   wal.Timeline
	Switch wal.LSN

	Took time.Duration // from the request, until the server had accepted a write
}

// Promote asks a standby to end recovery, and waits until it accepts writes or ctx ends. It does so once it has seen that the server
// is in recovery; a primary is a [*PrimaryError].
//
// An error before the request says what is missing: [*PausedError], [*NoWayError] or the server's own. After the request it is a
// [*TimeoutError], and the promotion may still take place: see with [Wait]; or a [*PrimaryError] that does not match
// [ErrAlreadyPromoted], of a primary whose timeline is not newer than From.
func Promote(ctx context.Context, s Standby) (Result, error) {
	p := promotion{Standby: s}
	if err := p.prepare(ctx); err != nil {
		return Result{}, fmt.Errorf("promote: %w", err)
	}
	p.begun = time.Now()
	if err := p.request(ctx); err != nil {
		return Result{}, fmt.Errorf("promote: %w", err)
	}
	return p.wait(ctx)
}

// Wait waits for a promotion that somebody else has asked for, until the server accepts writes or ctx ends. A server that is a primary
// already is a success, if its timeline is newer than From.
func Wait(ctx context.Context, s Standby) (Result, error) {
	p := promotion{Standby: s, begun: time.Now()}
	return p.wait(ctx)
}

// promotion is one under way.
type promotion struct {
	Standby
	way    Way
	begun  time.Time
	state  State
	unsure error // of a request that may have arrived
}

// prepare looks at the server, and refuses what cannot be promoted.
func (p *promotion) prepare(ctx context.Context) error {
	if p.DB == nil {
		return errors.New("DB is nil: it is needed to see whether the server accepts writes")
	}
	state, err := Look(ctx, p.DB)
	if closed(err) && p.Major != 0 && p.Way != Function {
		return nil // hot_standby = off: who asks it knows what it is
	}
	if err != nil {
		return err
	}
	p.state, p.Major = state, state.Major
	switch {
	case !state.InRecovery:
		return &PrimaryError{State: state, From: p.From}
	case state.Paused && !p.Resume && p.Major <= 12:
		return &PausedError{State: state}
	}
	return nil
}

// closed reports whether the server accepts no connections yet.
func closed(err error) bool { return hasCode(err, "57P03") } // cannot_connect_now

// request asks the server, in the first way that is possible.
func (p *promotion) request(ctx context.Context) error {
	none := &NoWayError{Major: p.Major}
	for _, w := range []struct {
		way Way
		ask func(context.Context) error
	}{{Function, p.callFunction}, {PgCtl, p.runPgCtl}, {TriggerFile, p.writeTrigger}} {
		if p.Way != "" && p.Way != w.way {
			continue
		}
		err := w.ask(ctx)
		var not *impossible
		if errors.As(err, &not) {
			none.Why = append(none.Why, fmt.Sprintf("%s: %s", w.way, not.why))
			continue
		}
		p.way = w.way
		if err != nil {
			return fmt.Errorf("%s: %w", w.way, err)
		}
		return p.resume(ctx)
	}
	return none
}

// impossible says why a way does not exist.
type impossible struct{ why string }

func (e *impossible) Error() string { return e.why }

func (p *promotion) callFunction(ctx context.Context) error {
	if p.Major < 12 {
		return &impossible{"came with PostgreSQL 12"}
	}
	var asked bool
	err := p.DB.QueryRow(ctx, "SELECT pg_promote(wait => false)").Scan(&asked)
	var refused *pgconn.PgError
	switch {
	case err == nil && !asked: // up to 16; later ones raise an error
		return errors.New("it returned false, so the postmaster could not be told")
	case err == nil:
		return nil
	case hasCode(err, "42501"): // insufficient_privilege
		return &impossible{err.Error()}
	case errors.As(err, &refused):
		return p.unlessPromoted(ctx, err)
	}
	p.unsure = err // the connection broke: it may have arrived
	return nil
}

func (p *promotion) runPgCtl(ctx context.Context) error {
	switch {
	case p.Major < pgconf.V9_1:
		return &impossible{"came with PostgreSQL 9.1"}
	case p.PgCtl == nil:
		return &impossible{"PgCtl is nil"}
	}
	args := []string{"promote", "-s", "-D", p.Server.DataDir}
	if p.Major >= 10 {
		args = append(args, "-W") // earlier ones never wait
	}
	if err := p.PgCtl(ctx, args...); err != nil {
		return p.unlessPromoted(ctx, err)
	}
	return nil
}

func (p *promotion) writeTrigger(ctx context.Context) error {
	switch {
	case p.Major > 15:
		return &impossible{"went with PostgreSQL 16"}
	case p.Files == nil:
		return &impossible{"Files is nil"}
	}
	name, err := p.trigger(ctx)
	if err != nil {
		return err
	}
	if name == "" {
		return &impossible{"the server's configuration names none"}
	}
	return p.Files.WriteFile(ctx, name, nil, 0o600)
}

// trigger returns the path of the trigger file that the server looks for, or "". From 12 on the server says it, before it stands in
// recovery.conf, which the server reads once.
func (p *promotion) trigger(ctx context.Context) (string, error) {
	if p.Major >= 12 {
		var name string
		if err := p.DB.QueryRow(ctx, "SELECT current_setting('promote_trigger_file')").Scan(&name); !closed(err) {
			return absolute(p.Server, name), err
		}
	}
	start, err := recovery.Read(ctx, p.Files, p.Server)
	if err != nil {
		return "", err
	}
	return absolute(p.Server, start.Config.TriggerFile), nil
}

func absolute(s recovery.Server, name string) string {
	if name == "" || path.IsAbs(name) {
		return name
	}
	return path.Join(s.DataDir, name)
}

// unlessPromoted drops an error of a request if the server has been promoted meanwhile.
func (p *promotion) unlessPromoted(ctx context.Context, err error) error {
	if state, lookErr := Look(ctx, p.DB); lookErr == nil && !state.InRecovery {
		return nil
	}
	return err
}

// resume lets a paused replay go on, where a request does not. That the server is not in recovery any more is a success.
func (p *promotion) resume(ctx context.Context) error {
	if !p.state.Paused || p.Major > 12 {
		return nil
	}
	var done string
	err := p.DB.QueryRow(ctx, p.state.sql("SELECT pg_wal_replay_resume()::text")).Scan(&done)
	if err != nil {
		err = p.unlessPromoted(ctx, err)
	}
	if err != nil {
		return fmt.Errorf("resume replay: %w", err)
	}
	return nil
}

// wait looks at the server until it has accepted a write.
func (p *promotion) wait(ctx context.Context) (Result, error) {
	last := p.unsure
	for {
		state, err := Look(ctx, p.DB)
		if err == nil {
			p.state = state
		}
		if err == nil && !state.InRecovery {
			if state.Timeline <= p.From {
				return Result{}, fmt.Errorf("promote: %w", &PrimaryError{State: state, From: p.From})
			}
			err = write(ctx, p.DB)
			if err == nil {
				return p.result(ctx)
			}
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		if err := p.pause(ctx); err != nil {
			return Result{}, fmt.Errorf("promote: %w", &TimeoutError{Way: p.way, State: p.state, Last: last, Err: err})
		}
	}
}

func (p *promotion) pause(ctx context.Context) error {
	d := p.Interval
	if d <= 0 {
		d = 50 * time.Millisecond
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// result tells how it went. The promotion is a fact: what cannot be read any more stays zero.
func (p *promotion) result(ctx context.Context) (Result, error) {
	r := Result{Way: p.way, Timeline: p.state.Timeline, LSN: p.state.LSN, Took: time.Since(p.begun)}
	if p.Files == nil {
		return r, nil
	}
	if p.way == TriggerFile {
		// A recovery target that was reached at the same time leaves the file there, for the next start as a standby.
		if name, err := p.trigger(ctx); err == nil && name != "" {
			if err := remove(ctx, p.Files, name); err != nil {
				return r, fmt.Errorf("promoted, but remove the trigger file: %w", err)
			}
		}
	}
	r.From, r.Switch = p.fork(ctx)
	return r, nil
}

// fork reads the history file of the new timeline: which one it left, and where. They are zero if it cannot be read.
func (p *promotion) fork(ctx context.Context) (wal.Timeline, wal.LSN) {
	folder := "pg_wal"
	if p.state.Major < 10 {
		folder = "pg_xlog"
	}
	data, err := p.Files.ReadFile(ctx, path.Join(p.Server.DataDir, folder, p.state.Timeline.HistoryName()))
	if err != nil {
		return 0, 0
	}
	h, err := wal.ParseHistory(p.state.Timeline, data)
	if err != nil || len(h.Entries) == 0 {
		return 0, 0
	}
	last := h.Entries[len(h.Entries)-1]
	return last.Timeline, last.End
}

// remove deletes a file that need not be there.
func remove(ctx context.Context, files recovery.Files, name string) error {
	if err := files.Remove(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
