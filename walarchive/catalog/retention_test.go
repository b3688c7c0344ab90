package catalog_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// tree is a random archive as a model sees it: nothing but numbers.
type tree struct {
	*world
	random   *rand.Rand
	parent   map[wal.Timeline]wal.Timeline
	at       map[wal.Timeline]wal.LSN // where it left its parent
	read     map[wal.Timeline]bool
	there    map[wal.Segment]bool
	backups  []modelBackup
	consumed []uint64
}

type modelBackup struct {
	name        string
	timeline    wal.Timeline
	start, stop wal.LSN // stop is 0 if its history file was not read
	complete    bool
}

const lastNumber = 14

func randomTree(t testing.TB, seed uint64) *tree {
	m := &tree{world: newWorld(t), random: rand.New(rand.NewPCG(seed, 1)), parent: map[wal.Timeline]wal.Timeline{}, at: map[wal.Timeline]wal.LSN{},
		read: map[wal.Timeline]bool{1: true}, there: map[wal.Segment]bool{}}
	timelines := 1 + m.random.IntN(5)
	histories := map[wal.Timeline][]string{1: nil}
	for tli := wal.Timeline(2); int(tli) <= timelines; tli++ {
		p := wal.Timeline(1 + m.random.IntN(int(tli)-1))
		m.parent[tli], m.at[tli] = p, max(m.at[p], m.position())
		histories[tli] = append(slices.Clone(histories[p]), fmt.Sprintf("%d@%s", p, text(m.at[tli])))
		m.read[tli] = m.random.IntN(8) > 0
		kind := "history"
		if !m.read[tli] {
			kind = "unread"
		}
		m.line(append([]string{kind, fmt.Sprint(tli)}, histories[tli]...))
	}
	for tli := wal.Timeline(1); int(tli) <= timelines; tli++ {
		for n := uint64(m.at[tli]) / segSize; n <= lastNumber; n++ {
			if m.random.IntN(6) > 0 {
				m.there[wal.Segment{Timeline: tli, Number: n}] = true
				m.names = append(m.names, name(tli, n))
			}
		}
	}
	for range m.random.IntN(5) {
		m.addBackup(wal.Timeline(1 + m.random.IntN(timelines)))
	}
	for i := range m.random.IntN(3) * m.random.IntN(2) {
		n := m.random.IntN(lastNumber)
		m.line([]string{"consumer", fmt.Sprint("c", i), fmt.Sprint(1 + m.random.IntN(timelines)), fmt.Sprint(n)})
		m.consumed = append(m.consumed, uint64(n))
	}
	m.random.Shuffle(len(m.names), func(i, j int) { m.names[i], m.names[j] = m.names[j], m.names[i] })
	return m
}

// position is at the boundary of a segment, or a little after it.
func (m *tree) position() wal.LSN {
	return wal.LSN((1+m.random.IntN(lastNumber))*segSize + m.random.IntN(2)*0xA0)
}

func text(l wal.LSN) string { return fmt.Sprintf("%d+%X", uint64(l)/segSize, uint64(l)%segSize) }

func (m *tree) addBackup(t wal.Timeline) {
	b := modelBackup{timeline: t, start: max(m.at[t], m.position()) + 0x28}
	if slices.ContainsFunc(m.backups, func(o modelBackup) bool { return o.timeline == t && o.start == b.start }) {
		return
	}
	stop := b.start + 0x100 + wal.LSN(m.random.IntN(3)*segSize)
	b.name = fmt.Sprintf("%s.%08X.backup", name(t, uint64(b.start)/segSize), uint64(b.start)%segSize)
	words := []string{"backup", fmt.Sprint(t), text(b.start), text(stop)}
	if m.random.IntN(10) > 0 {
		b.stop, b.complete = stop, true
		for n := b.start / segSize; n <= (stop-1)/segSize; n++ {
			b.complete = b.complete && m.there[wal.Segment{Timeline: t, Number: uint64(n)}]
		}
	} else {
		words[3] = "?"
	}
	m.line(words)
	m.backups = append(m.backups, b)
}

func (m *tree) policy() catalog.Policy {
	p := catalog.Policy{Backups: m.random.IntN(5) - 1, WALDepth: m.random.IntN(3), BackupHistory: m.random.IntN(2) == 0}
	if m.random.IntN(3) == 0 {
		p.Oldest = name(wal.Timeline(1+m.random.IntN(3)), uint64(m.random.IntN(lastNumber+2)))
	}
	if len(m.backups) > 0 && m.random.IntN(4) == 0 {
		p.Pinned = []string{m.backups[m.random.IntN(len(m.backups))].name}
	}
	return p
}

// kept is the model's choice of backups, newest first, and of those after which all WAL is kept.
func (m *tree) kept(p catalog.Policy) (kept, deep []modelBackup) {
	newestFirst := slices.Clone(m.backups)
	slices.SortFunc(newestFirst, func(a, b modelBackup) int { return strings.Compare(b.name, a.name) })
	counted, deepCounted := 0, 0
	for _, b := range newestFirst {
		pinned := slices.Contains(p.Pinned, b.name)
		dubious := b.stop == 0 && p.Backups >= 0
		if pinned || dubious || p.Backups == 0 || counted < p.Backups {
			kept = append(kept, b)
			if p.WALDepth == 0 || deepCounted < p.WALDepth || dubious {
				deep = append(deep, b)
			}
			if b.complete {
				deepCounted++
			}
		}
		if b.complete && !pinned {
			counted++
		}
	}
	return kept, deep
}

// comesOut reports whether a recovery from the backup can come to timeline t.
func (m *tree) comesOut(b modelBackup, t wal.Timeline) bool {
	if t == b.timeline {
		return true
	}
	if !m.read[t] {
		return false
	}
	for ; t != 1; t = m.parent[t] {
		if m.parent[t] == b.timeline {
			return b.start < m.at[t]
		}
	}
	return false
}

// stays is the definition of what [catalog.Catalog.Plan] keeps, for one segment at a time.
func (m *tree) stays(p catalog.Policy, s wal.Segment) bool {
	kept, deep := m.kept(p)
	newest := wal.Timeline(0)
	for _, b := range kept {
		newest = max(newest, b.timeline)
		if b.stop != 0 && s.Timeline == b.timeline && s.Number >= uint64(b.start)/segSize && s.Number <= uint64(b.stop-1)/segSize {
			return true
		}
	}
	for _, b := range deep {
		if m.comesOut(b, s.Timeline) && s.Number >= uint64(b.start)/segSize {
			return true
		}
	}
	if slices.ContainsFunc(m.consumed, func(n uint64) bool { return s.Number >= n }) {
		return true
	}
	if p.Oldest != "" {
		oldest, err := wal.ParseSegment(p.Oldest, segSize)
		require.NoError(m.t, err)
		if s.Number >= oldest.Number {
			return true
		}
	}
	if len(kept) > 0 && (!m.read[s.Timeline] || s.Timeline > newest) {
		return true
	}
	return len(kept) == 0 && len(m.consumed) == 0 && p.Oldest == ""
}

func TestPlan_model(t *testing.T) {
	cases := 10_000
	if testing.Short() {
		cases = 1000
	}
	removed, lost := 0, 0
	for seed := range uint64(cases) {
		m := randomTree(t, seed)
		p := m.policy()
		c := m.catalog()
		plan, err := c.Plan(p)
		require.NoError(t, err, "seed %d", seed)
		for _, d := range plan.Decisions {
			if s, err := wal.ParseSegment(d.Name, segSize); err == nil && d.Keep != m.stays(p, s) {
				t.Fatalf("seed %d: %v, want the opposite; policy %+v\n%s", seed, d, p, c.List())
			}
		}
		require.Equal(t, len(plan.Decisions), len(m.names)-len(c.Consumers()), "seed %d: a decision about each", seed)
		removed += len(plan.Remove())
		lost += m.recoveriesStay(seed, p, plan)
	}
	require.Greater(t, removed, cases, "the trees are too plain")
	require.Greater(t, lost, cases, "the trees are too plain")
}

// recoveriesStay makes sure that every recovery from a kept backup still finds what it found before. It returns how many it
// looked at.
func (m *tree) recoveriesStay(seed uint64, p catalog.Policy, plan catalog.Plan) int {
	after := *m.world
	gone := map[string]bool{}
	for _, name := range plan.Remove() {
		gone[name] = true
	}
	after.names = slices.DeleteFunc(slices.Clone(m.names), func(n string) bool { return gone[n] })
	before, later := m.catalog(), after.catalog()
	_, deep := m.kept(p)
	looked := 0
	for _, b := range deep {
		for t := wal.Timeline(1); t <= 5; t++ {
			target := catalog.Target{From: b.name, Timeline: t, LSN: (lastNumber + 1) * segSize}
			want, err := before.Need(target)
			if err != nil {
				continue
			}
			got, err := later.Need(target)
			require.NoError(m.t, err, "seed %d", seed)
			require.Equal(m.t, want, got, "seed %d, %+v", seed, target)
			looked++
		}
	}
	return looked
}

func TestPlan_refused(t *testing.T) {
	w := newWorld(t)
	w.line(strings.Fields("seg 1 1-3"))
	for name, p := range map[string]catalog.Policy{
		"no_clock":       {Age: time.Hour},
		"no_clock_young": {MinAge: time.Hour},
		"negative_age":   {Age: -1, Now: now},
		"negative_bytes": {Bytes: -1},
		"negative_depth": {WALDepth: -1},
		"negative_young": {MinAge: -1, Now: now},
		"oldest":         {Oldest: "000000010000000000000003.gz"},
		"oldest_size":    {Oldest: "00000001000000000000FFFF"},
	} {
		_, err := w.catalog().Plan(p)
		require.Error(t, err, name)
	}
}

func TestCheck(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"seg 1 1-9", "record 1 5", "history 2 1@5+A0", "backup 1 4+28 5+100", "consumer standby1 1 7"} {
		w.line(strings.Fields(line))
	}
	c := w.catalog()
	for changed, who := range map[string]string{
		"000000010000000000000004":                 "backup 000000010000000000000004.00000028.backup",
		"000000010000000000000005.record":          "backup 000000010000000000000004.00000028.backup",
		"000000010000000000000004.00000028.backup": "backup 000000010000000000000004.00000028.backup",
		"000000010000000000000007":                 "consumer standby1",
		"00000002.history":                         "every recovery",
		"000000010000000000000006":                 "",
	} {
		p, err := c.Plan(catalog.Policy{})
		require.NoError(t, err)
		i := slices.IndexFunc(p.Decisions, func(d catalog.Decision) bool { return d.Name == changed })
		require.True(t, p.Decisions[i].Keep, changed)
		p.Decisions[i].Keep = false
		err = c.Check(p)
		if who == "" {
			require.NoError(t, err)
			continue
		}
		var broken *catalog.BrokenBackupError
		require.ErrorAs(t, err, &broken)
		require.Equal(t, catalog.BrokenBackupError{Who: who, Name: changed}, *broken)
	}
	require.Error(t, c.Check(catalog.Plan{Decisions: []catalog.Decision{{Name: "notes.txt"}}}), "a plan removes nothing but an archive's objects")
}

func TestJSON(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"seg 1 1-2 4", "backup 1 1+28 1+100", "history 2 1@5+A0", "consumer standby1 1 4"} {
		w.line(strings.Fields(line))
	}
	list, err := json.Marshal(w.catalog().List())
	require.NoError(t, err)
	require.JSONEq(t, `{"timelines": [
		{"timeline": 1, "history": "none", "first": "000000010000000000000001", "last": "000000010000000000000004", "segments": 3, "backups": [
			{"name": "000000010000000000000001.00000028.backup", "timeline": 1, "start": "0/1000028", "stop": "0/1000100", "label": "test", "complete": true}]},
		{"timeline": 2, "parent": 1, "switch_point": "0/50000A0", "history": "there", "segments": 0}],
		"consumers": [{"name": "standby1", "segment": "000000010000000000000004"}]}`, string(list))
	gaps, err := json.Marshal(w.catalog().Gaps(catalog.GapConfig{}))
	require.NoError(t, err)
	require.JSONEq(t, `[{"reason": "lost", "timeline": 1, "first": "000000010000000000000003", "last": "000000010000000000000003", "count": 1}]`, string(gaps))
}
