package topology

import (
	"cmp"
	"encoding/json"
	"errors"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// ErrNotMonitor says that a node answers, but that the role which asked may not see the details of replication.
var ErrNotMonitor = errors.New("the role is not a member of pg_monitor, so the server hides who streams from whom: GRANT pg_monitor TO it")

// MarshalJSON writes the facts with names in snake case: positions as "0/3000148", durations in nanoseconds, and what is not known
// left out. Of a node that could not be observed it writes node, at and error only, so that no absent fact passes for one.
func (o Observation) MarshalJSON() ([]byte, error) {
	if o.Err == nil {
		return json.Marshal(observationJSON{facts: facts(o), History: newHistoryJSON(o.History)})
	}
	return json.Marshal(silenceJSON{o.Node, o.At, cmp.Or(o.Err.Error(), "no answer"), errors.Is(o.Err, ErrNotMonitor)})
}

// UnmarshalJSON reads what MarshalJSON wrote. An error comes back with its text; it matches [ErrNotMonitor] if it did.
func (o *Observation) UnmarshalJSON(data []byte) error {
	var silence silenceJSON
	if err := json.Unmarshal(data, &silence); err != nil {
		return err
	}
	if silence.Error != "" {
		*o = Observation{Node: silence.Node, At: silence.At, Err: toldError{silence.Error, silence.NotMonitor}}
		return nil
	}
	var told observationJSON
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	*o = Observation(told.facts)
	o.History = told.History.history()
	return nil
}

// facts is an Observation without its methods.
type facts Observation

type observationJSON struct {
	facts
	History historyJSON `json:"history,omitzero"`
}

type silenceJSON struct {
	Node       NodeID    `json:"node"`
	At         time.Time `json:"at"`
	Error      string    `json:"error"`
	NotMonitor bool      `json:"not_monitor,omitzero"`
}

// toldError is an error that somebody else had.
type toldError struct {
	text       string
	notMonitor bool
}

func (e toldError) Error() string { return e.text }

// Is makes it match what it was.
func (e toldError) Is(target error) bool { return e.notMonitor && target == ErrNotMonitor }

type historyJSON struct {
	Timeline wal.Timeline       `json:"timeline"`
	Entries  []historyEntryJSON `json:"entries"`
}

type historyEntryJSON struct {
	Timeline wal.Timeline `json:"timeline"`
	End      wal.LSN      `json:"end"`
	Reason   string       `json:"reason"`
}

func newHistoryJSON(h wal.History) historyJSON {
	told := historyJSON{Timeline: h.Timeline}
	for _, e := range h.Entries {
		told.Entries = append(told.Entries, historyEntryJSON(e))
	}
	return told
}

func (told historyJSON) history() wal.History {
	h := wal.History{Timeline: told.Timeline}
	for _, e := range told.Entries {
		h.Entries = append(h.Entries, wal.HistoryEntry(e))
	}
	return h
}
