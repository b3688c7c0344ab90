package pgnode

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// DB asks a server. A *pgx.Conn is one, and so is a pool of pgxpool.
type DB interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ReloadOutcome is what a server made of its configuration files.
type ReloadOutcome string

// The outcomes. Partly means that some settings were refused and the others are in effect; Refused, that nothing changed. If only the
// access rules or user maps were refused, that is Partly, too.
const (
	ReloadUnknown ReloadOutcome = "unknown" // its log does not tell, and no DB does
	Accepted      ReloadOutcome = "accepted"
	Partly        ReloadOutcome = "partly accepted"
	Refused       ReloadOutcome = "refused"
)

// Reloaded is the outcome of a reload, and what it rests on.
type Reloaded struct {
	Outcome ReloadOutcome

	// Refused are the settings and rules that the server did not take, in its own words with file and line. Passwords are hidden.
	Refused []string

	// NeedRestart are parameters that were changed in the files, and take effect at a restart.
	NeedRestart []string

	// Changed are parameters that the log says were changed.
	Changed []string

	// Why the outcome is unknown.
	Why string
}

// Err says what the server refused; nil if it did not, as far as is known.
func (r Reloaded) Err() error {
	if r.Outcome != Partly && r.Outcome != Refused {
		return nil
	}
	return fmt.Errorf("the server's configuration was %s: %s", r.Outcome, strings.Join(r.Refused, "; "))
}

// Reload makes the running server read its configuration files again, and finds out whether it took them: the programs that ask it to
// report success for a broken file as well. The log tells, in which a second request marks the end of what the first one led to; and
// db, if it is not nil and its role may read pg_file_settings and pg_hba_file_rules (a superuser may). The error is for a server that could
// not be asked.
func (n *Node) Reload(ctx context.Context, db DB) (Reloaded, error) {
	r, err := n.reload(ctx, db)
	if err != nil {
		return r, fmt.Errorf("reload server in %s: %w", n.cfg.DataDir, err)
	}
	return r, nil
}

func (n *Node) reload(ctx context.Context, db DB) (Reloaded, error) {
	before, markErr := n.mark(ctx)
	asked := askTime(ctx, db)
	if err := n.ask(ctx, n.driver.reload); err != nil {
		return Reloaded{}, err
	}
	var r Reloaded
	if markErr != nil {
		r = Reloaded{Outcome: ReloadUnknown, Why: markErr.Error()}
	} else {
		var err error
		if r, err = n.reloadByLog(ctx, before); err != nil {
			return r, err
		}
	}
	if asked.err == nil && db != nil {
		err := asked.judge(ctx, db, &r)
		return r, err
	}
	if r.Outcome == ReloadUnknown && asked.err != nil {
		r.Why += "; " + redact(asked.err.Error())
	}
	return r, nil
}

// reloadTime bounds how long the log of a reload is waited for.
const reloadTime = 5 * time.Second

// reloadByLog waits for the server's word that it has begun, asks once more, and waits for that word: what is between the two is the
// outcome, as the postmaster does one after the other. Reading the same files twice changes nothing.
func (n *Node) reloadByLog(ctx context.Context, before logMark) (Reloaded, error) {
	again := false
	for deadline := time.Now().Add(reloadTime); ; {
		entries, err := n.logSince(ctx, before)
		if err != nil {
			return Reloaded{Outcome: ReloadUnknown, Why: err.Error()}, nil //nolint:nilerr // that is the answer
		}
		rounds := reloadRounds(entries)
		switch {
		case len(rounds) > 1 && again:
			return judgeReload(rounds[0]), nil
		case len(rounds) > 0 && !again:
			again = true
			if err := n.ask(ctx, n.driver.reload); err != nil {
				return Reloaded{}, err
			}
		case time.Now().After(deadline):
			return Reloaded{Outcome: ReloadUnknown, Why: "the log does not say that the server read its files: it may go elsewhere, be in another " +
				"language, or leave such messages out"}, nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return Reloaded{}, err
		}
	}
}

// reloadRounds parts what was logged by the requests to reload.
func reloadRounds(entries []LogEntry) [][]LogEntry {
	var rounds [][]LogEntry
	for _, e := range entries {
		if ev, ok := event(e); ok && ev.Kind == LogReloaded {
			rounds = append(rounds, nil)
		} else if len(rounds) > 0 {
			rounds[len(rounds)-1] = append(rounds[len(rounds)-1], e)
		}
	}
	return rounds
}

// judgeReload tells the outcome from what a server logged while it read its files (ProcessConfigFile in guc-file.l, SIGHUP_handler in
// postmaster.c). It also names settings that it left alone, or that need a restart.
func judgeReload(entries []LogEntry) Reloaded {
	r := Reloaded{Outcome: Accepted}
	for _, entry := range entries {
		e, _ := event(entry)
		switch e.Kind {
		case LogChanged:
			r.Changed = append(r.Changed, e.Subject)
		case LogNeedsRestart:
			r.NeedRestart = append(r.NeedRestart, e.Subject)
		case LogConfigRefused:
			r.Outcome = Refused
		case LogConfigPartly: // also if all that was left alone waits for a restart
		case LogHBARefused:
			r.Outcome = Partly
			r.Refused = append(r.Refused, entry.String())
		default:
			if refusal.MatchString(entry.Message) || lineOf.MatchString(entry.Context) {
				r.Refused = append(r.Refused, entry.String())
			}
		}
	}
	if r.Outcome == Accepted && len(r.Refused) > 0 {
		r.Outcome = Partly
	}
	return r
}

// serverTime is what the server's clock said before a request to reload.
type serverTime struct {
	text string
	err  error
}

func askTime(ctx context.Context, db DB) (t serverTime) {
	if db != nil {
		t.err = db.QueryRow(ctx, "SELECT clock_timestamp()::text").Scan(&t.text)
	}
	return t
}

// fileFaults lists what a server says of its files now, but for settings that only wait for a restart.
const fileFaults = `SELECT coalesce((
	SELECT string_agg(concat_ws(': ', sourcefile || ':' || sourceline, name, error), E'\n' ORDER BY seqno) FROM pg_file_settings f
	WHERE error IS NOT NULL AND NOT EXISTS (
		SELECT FROM pg_settings s WHERE s.name = f.name AND s.context = 'postmaster' AND f.error = 'setting could not be applied')
), '')`

const restarts = `SELECT coalesce((SELECT string_agg(name, ' ' ORDER BY name) FROM pg_settings WHERE pending_restart), '')`

// hbaFaults is for 10 and later; file_name came with 16.
const hbaFaults = `SELECT coalesce((SELECT string_agg(concat_ws(': ', %s || line_number, error), E'\n' ORDER BY line_number) FROM pg_hba_file_rules
	WHERE error IS NOT NULL), '')`

// judge adds what the server says itself. A session reads the files when it comes to its next statement after the request; the time of
// that moves also if some settings were refused, but not if all were.
func (t serverTime) judge(ctx context.Context, db DB, r *Reloaded) error {
	accepted := false
	for deadline := time.Now().Add(reloadTime); ; {
		if err := db.QueryRow(ctx, "SELECT pg_conf_load_time() > $1::text::timestamptz", t.text).Scan(&accepted); err != nil {
			return err
		}
		if accepted || r.Outcome == Refused || time.Now().After(deadline) {
			break
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	var version, needRestart string
	if err := db.QueryRow(ctx, "SELECT current_setting('server_version_num')").Scan(&version); err != nil {
		return err
	}
	number, _ := strconv.Atoi(version)
	place := "'pg_hba.conf:'"
	if number >= 160000 {
		place = "file_name || ':'"
	}
	var faults, rules string
	if db.QueryRow(ctx, fileFaults).Scan(&faults) != nil || db.QueryRow(ctx, fmt.Sprintf(hbaFaults, place)).Scan(&rules) != nil {
		if r.Outcome == ReloadUnknown {
			r.Why += "; the role of the DB may not read pg_file_settings and pg_hba_file_rules"
		}
		return nil
	}
	if err := db.QueryRow(ctx, restarts).Scan(&needRestart); err != nil {
		return err
	}
	if accepted {
		r.NeedRestart, r.Why = strings.Fields(needRestart), ""
	}
	if lines := redactedLines(faults + "\n" + rules); len(r.Refused) == 0 {
		r.Refused = lines
	}
	switch {
	case !accepted:
		r.Outcome = Refused
	case faults+rules != "":
		r.Outcome = Partly
	default:
		r.Outcome = Accepted
	}
	return nil
}

func redactedLines(text string) []string {
	lines := linesOf(text)
	for i, line := range lines {
		lines[i] = redact(line)
	}
	return lines
}
