package catalog_test

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/script"
	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const segSize = wal.DefaultSegmentSize

// world is an archive that is written down in a few lines.
type world struct {
	t       testing.TB
	names   []string
	texts   map[string]string
	details map[string]catalog.Detail
	old     bool // numbering before 9.3
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newWorld(t testing.TB) *world {
	return &world{t: t, texts: map[string]string{}, details: map[string]catalog.Detail{}}
}

func name(t wal.Timeline, number uint64) string {
	return wal.Segment{Timeline: t, Number: number}.Name(segSize)
}

// lsn reads "5+A0": a position in segment 5.
func (w *world) lsn(s string) wal.LSN {
	number, offset, _ := strings.Cut(s, "+")
	off := uint64(0)
	if offset != "" {
		var err error
		off, err = strconv.ParseUint(offset, 16, 32)
		require.NoError(w.t, err, s)
	}
	return wal.LSN(w.number(number)*segSize + off)
}

func (w *world) number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(w.t, err, s)
	return n
}

func (w *world) timeline(s string) wal.Timeline { return wal.Timeline(w.number(s)) }

// line adds objects: "seg 1 1-5 7", "partial 1 5", "history 2 1@5+A0", "unread 2", "backup 1 2+28 3+100 [hours]", "consumer who 1 3",
// "received 1 8", "repair 1 4", "record 1 4", "old", "name x".
func (w *world) line(words []string) {
	switch words[0] {
	case "seg":
		for _, r := range words[2:] {
			from, to, ok := strings.Cut(r, "-")
			if !ok {
				to = from
			}
			for n := w.number(from); n <= w.number(to); n++ {
				w.names = append(w.names, name(w.timeline(words[1]), n))
			}
		}
	case "partial", "repair", "record", "received":
		suffix := map[string]string{"partial": ".partial", "repair": ".repair-1", "record": ".record", "received": ".received-00002000"}
		w.names = append(w.names, name(w.timeline(words[1]), w.number(words[2]))+suffix[words[0]])
	case "history", "unread":
		h := wal.History{Timeline: w.timeline(words[1])}
		for _, e := range words[2:] {
			tli, at, _ := strings.Cut(e, "@")
			h.Entries = append(h.Entries, wal.HistoryEntry{Timeline: w.timeline(tli), End: w.lsn(at), Reason: "test"})
		}
		w.names = append(w.names, h.Timeline.HistoryName())
		if words[0] == "history" {
			w.texts[h.Timeline.HistoryName()] = string(h.Bytes())
		}
	case "backup":
		w.backup(words[1:])
	case "consumer":
		w.names = append(w.names, "understudy-consumer."+words[1]+"."+name(w.timeline(words[2]), w.number(words[3])))
	case "old":
		w.old = true
	case "name":
		w.names = append(w.names, words[1])
	default:
		w.t.Fatalf("unknown line %q", words)
	}
}

func (w *world) backup(words []string) {
	tli, start := w.timeline(words[0]), w.lsn(words[1])
	file := func(l wal.LSN) wal.FileName {
		f, err := wal.ParseFileName(wal.SegmentOf(tli, l, segSize).Name(segSize))
		require.NoError(w.t, err)
		return f
	}
	h := wal.BackupHistory{BackupLabel: wal.BackupLabel{Start: start, StartFile: file(start), Checkpoint: start, Method: wal.BackupStreamed,
		From: "primary", StartTime: "2026-11-21 03:26:44 UTC", Label: "test"}, StopTime: "2026-11-21 03:26:45 UTC"}
	name := h.Name(segSize)
	w.names = append(w.names, name)
	if words[2] != "?" {
		h.Stop = w.lsn(words[2])
		h.StopFile = file(h.Stop - 1)
		w.texts[name] = string(h.Bytes())
	}
	if len(words) > 3 {
		w.details[name] = catalog.Detail{Size: 300, Modified: now.Add(-time.Duration(w.number(words[3])) * time.Hour)}
	}
}

func (w *world) catalog() *catalog.Catalog {
	c, err := catalog.New(w.names, segSize)
	require.NoError(w.t, err)
	if w.old {
		c.SetNumbering(wal.NumberingBefore93)
	}
	for _, name := range c.Texts() {
		if text, ok := w.texts[name]; ok {
			require.NoError(w.t, c.AddText(name, []byte(text)))
		}
	}
	return c
}

// options reads words such as "key=value".
func options(words []string) map[string]string {
	m := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		m[k] = v
	}
	return m
}

func (w *world) gapConfig(o map[string]string) catalog.GapConfig {
	cfg := catalog.GapConfig{InFlight: -1}
	if s, ok := o["inflight"]; ok {
		cfg.InFlight = int(w.number(s))
	}
	for s := range strings.FieldsFuncSeq(o["dropped"], func(r rune) bool { return r == ',' }) {
		tli, n, _ := strings.Cut(s, "/")
		cfg.Dropped = append(cfg.Dropped, name(w.timeline(tli), w.number(n)))
	}
	return cfg
}

func (w *world) policy(o map[string]string) catalog.Policy {
	p := catalog.Policy{Now: now, Details: w.details}
	for k, v := range o {
		switch k {
		case "oldest":
			p.Oldest = v
		case "backups":
			n, err := strconv.Atoi(v)
			require.NoError(w.t, err)
			p.Backups = n
		case "hours":
			p.Age = time.Duration(w.number(v)) * time.Hour
		case "bytes":
			p.Bytes = int64(w.number(v))
			for _, n := range w.names {
				if _, ok := p.Details[n]; !ok {
					p.Details[n] = catalog.Detail{Size: 100, Modified: now.Add(-time.Hour)}
				}
			}
		case "depth":
			p.WALDepth = int(w.number(v))
		case "pinned":
			p.Pinned = strings.Split(v, ",")
		case "histories":
			p.BackupHistory = true
		case "minhours":
			p.MinAge = time.Duration(w.number(v)) * time.Hour
		default:
			w.t.Fatalf("unknown option %s", k)
		}
	}
	return p
}

// planText leaves out the reasons that every archive has.
func planText(p catalog.Plan, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for _, d := range p.Decisions {
		if d.Rule != catalog.RuleHistory {
			fmt.Fprintln(&b, d)
		}
	}
	for _, w := range p.Warnings {
		fmt.Fprintln(&b, "warning:", w)
	}
	return b.String()
}

func TestScripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T) func(script.Block) string {
		w := newWorld(t)
		return func(b script.Block) string {
			switch o := options(b.Words[1:]); b.Words[0] {
			case "archive", "more":
				if b.Words[0] == "archive" {
					w = newWorld(t)
				}
				for line := range strings.Lines(b.Input) {
					w.line(strings.Fields(line))
				}
				return fmt.Sprintln(len(w.names), "objects")
			case "list":
				return w.catalog().List().String()
			case "gaps":
				return cmp.Or(w.catalog().Gaps(w.gapConfig(o)).String(), "none")
			case "need":
				return w.need(o)
			case "plan":
				return planText(w.catalog().Plan(w.policy(o)))
			}
			t.Fatalf("unknown command %q", b.Words)
			return ""
		}
	})
}

func (w *world) need(o map[string]string) string {
	target := catalog.Target{From: o["from"]}
	if s, ok := o["timeline"]; ok {
		target.Timeline = w.timeline(s)
	}
	if s, ok := o["lsn"]; ok {
		target.LSN = w.lsn(s)
	}
	n, err := w.catalog().Need(target)
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprintf("timeline %d, %d missing\n%v", n.Timeline, n.Missing(), n)
}
