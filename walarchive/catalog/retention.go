package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Policy says what [Catalog.Plan] may remove. The zero Policy keeps every base backup and what it needs.
type Policy struct {
	// Oldest is the oldest file that must stay besides all others: a segment, as in %r of archive_cleanup_command, or the name
	// of a partial segment or backup history, whose segment counts. Like there, the timeline does not count. Empty means that
	// only the backups and consumers decide; if there are none of either, then everything stays.
	Oldest string
	// Backups is how many base backups are kept: the newest ones whose WAL is all there. Zero keeps all, negative none but the
	// pinned ones: for an archive that serves standbys only.
	Backups int
	// Age keeps the backups with which every moment of this last time can be restored: the younger ones, and the newest
	// older one. Zero keeps all. The age of a backup is that of its history file, by the store's clock. With Backups
	// set, too, a backup is kept if either says so.
	Age time.Duration
	// Bytes is how much the kept WAL may take in the store. To get there, the oldest backups are given up that are not pinned, but
	// never the newest. Zero is no limit.
	Bytes int64
	// WALDepth is for how many of the newest kept backups all later WAL is kept, so that any moment after them can be restored.
	// Of an older one only the WAL that makes it consistent stays. Zero means all.
	WALDepth int
	// Pinned are the names of backup history files. Such a backup is kept and does not count as one of Backups. A name that
	// the archive does not know is an error.
	Pinned []string
	// BackupHistory lets the history files of backups go that are not kept, as far as Oldest and the consumers let the WAL go.
	BackupHistory bool
	// MinAge is the age before which no file goes. Zero is none.
	MinAge time.Duration
	// Now is the time from which ages count. It must be set if Age or MinAge is.
	Now time.Time
	// Details are the sizes and times of objects, by name: with Age those of the backup history files, with Bytes and MinAge of
	// all. What is not known stays.
	Details map[string]Detail
}

// Detail is what a store knows of an object without reading it.
type Detail struct {
	Size     int64 // bytes in the store
	Modified time.Time
}

// Rule is why a file stays or goes.
type Rule string

// The rules, in the order in which they are tried.
const (
	RuleHistory         Rule = "timeline histories stay"
	RuleConsumer        Rule = "consumer needs it"
	RuleBackup          Rule = "backup needs it to be consistent"
	RuleRecovery        Rule = "recovery from the backup needs it"
	RuleOldest          Rule = "not before the oldest file to keep"
	RuleHistoryUnknown  Rule = "its timeline's history is not known"
	RuleNewTimeline     Rule = "its timeline is newer than every kept backup"
	RuleTooYoung        Rule = "too young, or of unknown age"
	RuleNothingDecides  Rule = "no backup, consumer or oldest file says that it may go"
	RuleBackupKept      Rule = "backup is kept"
	RuleBackupHistories Rule = "backup histories stay"
	RuleBackupExpired   Rule = "backup is not kept"
	RuleNotNeeded       Rule = "nobody needs it"
)

// Decision is about one object.
type Decision struct {
	Name string `json:"name"`
	Keep bool   `json:"keep"`
	Rule Rule   `json:"rule"`
	Who  string `json:"who,omitempty"` // the consumer or backup that needs it
}

// String is a line.
func (d Decision) String() string {
	verb, who := "remove", ""
	if d.Keep {
		verb = "keep"
	}
	if d.Who != "" {
		who = " (" + d.Who + ")"
	}
	return fmt.Sprintf("%s %s: %s%s", verb, d.Name, d.Rule, who)
}

// Plan is what to keep and what to remove. Objects that are no archived file, nor belong to one, are not in it: they stay.
type Plan struct {
	Decisions []Decision `json:"decisions"` // segments and what belongs to them by timeline and position, then history files
	Backups   []Backup   `json:"backups"`   // that are kept, by timeline and position
	Warnings  []string   `json:"warnings,omitempty"`
}

// Remove returns the names of the objects to remove, in the order of Decisions: what belongs to a file goes with it.
func (p Plan) Remove() []string {
	var names []string
	for _, d := range p.Decisions {
		if !d.Keep {
			names = append(names, d.Name)
		}
	}
	return names
}

// BrokenBackupError says that a plan would take from a kept backup what it needs, or from a consumer.
type BrokenBackupError struct {
	Who  string // the backup or consumer
	Name string // a file that it would lose
}

func (e *BrokenBackupError) Error() string {
	return fmt.Sprintf("refused: %s would lose %s, which it needs", e.Who, e.Name)
}

// Plan decides about every archived file. It reads timelines: a file stays if a recovery from a kept backup to any timeline
// that comes out of it may ask for it. For a consumer it keeps everything from its segment on, whatever the timeline, because a
// standby may follow a promotion that the archive has not heard of yet.
//
// A Policy that contradicts itself is an error.
func (c *Catalog) Plan(p Policy) (Plan, error) {
	k, err := c.keeper(p)
	if err != nil {
		return Plan{}, err
	}
	for k.overBudget() && k.giveUpOldest() {
		k.index()
	}
	plan := k.plan()
	return plan, c.Check(plan)
}

// keeper decides. Its maps are by timeline.
type keeper struct {
	*Catalog
	policy   Policy
	oldest   uint64 // of Policy.Oldest
	bounded  bool   // there is a Policy.Oldest
	consumer Consumer
	consumed bool      // there is a consumer
	kept     []*backup // newest last
	pinned   map[*backup]bool
	dubious  map[*backup]bool // kept because nothing can be concluded about them
	recovery map[wal.Timeline]claim
	own      map[wal.Timeline][]claim // what makes backups consistent, ascending, without overlap
	newest   wal.Timeline             // of the kept backups
}

// claim is a backup's need of a range of segments.
type claim struct {
	span
	backup *backup
}

func (c *Catalog) keeper(p Policy) (*keeper, error) {
	k := &keeper{Catalog: c, policy: p, pinned: map[*backup]bool{}, dubious: map[*backup]bool{}}
	if (p.Age > 0 || p.MinAge > 0) && p.Now.IsZero() {
		return nil, fmt.Errorf("policy: Now must be set with Age or MinAge")
	}
	if p.Age < 0 || p.MinAge < 0 || p.Bytes < 0 || p.WALDepth < 0 {
		return nil, fmt.Errorf("policy: Age, MinAge, Bytes and WALDepth must not be negative")
	}
	if err := k.readOldest(); err != nil {
		return nil, err
	}
	for _, name := range p.Pinned {
		i, ok := c.findBackup(name)
		if !ok {
			return nil, fmt.Errorf("policy: pinned backup %q is not in the archive", name)
		}
		k.pinned[c.backups[i]] = true
	}
	for _, consumer := range c.consumers {
		if !k.consumed || consumer.segment.Number < k.consumer.segment.Number {
			k.consumer, k.consumed = consumer, true
		}
	}
	k.keepBackups()
	k.index()
	return k, nil
}

func (k *keeper) readOldest() error {
	if k.policy.Oldest == "" {
		return nil
	}
	f, err := wal.ParseFileName(k.policy.Oldest)
	if err != nil {
		return err
	}
	seg, err := f.Segment(k.segSize)
	if err != nil {
		return err
	}
	k.oldest, k.bounded = seg.Number, true
	return nil
}

// keepBackups chooses the backups that stay.
func (k *keeper) keepBackups() {
	newestFirst := k.newestFirst()
	chosen := map[*backup]bool{}
	complete, covered := 0, false
	for _, b := range newestFirst {
		keepAll := k.policy.Backups == 0 && k.policy.Age == 0
		byNumber := k.policy.Backups > 0 && complete < k.policy.Backups
		byAge := k.policy.Age > 0 && !covered
		k.dubious[b] = b.Stop == 0 && k.policy.Backups >= 0
		chosen[b] = k.pinned[b] || k.dubious[b] || keepAll || byNumber || byAge
		if b.Complete && !k.pinned[b] {
			complete++
		}
		if b.Complete && k.isOld(b) {
			covered = true
		}
	}
	for _, b := range slices.Backward(newestFirst) {
		if chosen[b] {
			k.kept = append(k.kept, b)
		}
	}
}

// isOld reports whether the backup is as old as Policy.Age demands. One of unknown age is not.
func (k *keeper) isOld(b *backup) bool {
	d, ok := k.policy.Details[b.Name]
	return ok && !d.Modified.IsZero() && k.policy.Now.Sub(d.Modified) >= k.policy.Age
}

// newestFirst orders backups by the time of their history files, if all are known, and otherwise by timeline and position.
func (k *keeper) newestFirst() []*backup {
	sorted := slices.Clone(k.backups)
	slices.Reverse(sorted)
	for _, b := range sorted {
		if k.policy.Details[b.Name].Modified.IsZero() {
			return sorted
		}
	}
	slices.SortStableFunc(sorted, func(a, b *backup) int {
		return k.policy.Details[b.Name].Modified.Compare(k.policy.Details[a.Name].Modified)
	})
	return sorted
}

// index works out what the kept backups need.
func (k *keeper) index() {
	k.recovery, k.own, k.newest = map[wal.Timeline]claim{}, map[wal.Timeline][]claim{}, 0
	deep := k.deep()
	timelines := k.timelines()
	for _, b := range k.kept {
		k.newest = max(k.newest, b.Timeline)
		if b.Stop != 0 {
			k.own[b.Timeline] = append(k.own[b.Timeline], claim{span{b.first, b.last}, b})
		}
	}
	for _, t := range timelines {
		p := k.path(t)
		ends := make(map[wal.Timeline]wal.LSN, len(p.steps))
		for _, s := range p.steps {
			ends[s.timeline] = cmp.Or(s.end, wal.LSN(1<<64-1))
		}
		for _, b := range deep {
			if end, ok := ends[b.Timeline]; ok && b.Start < end {
				if known, ok := k.recovery[t]; !ok || b.first < known.first {
					k.recovery[t] = claim{span{first: b.first}, b}
				}
			}
		}
	}
	for t, claims := range k.own {
		k.own[t] = merge(claims)
	}
}

// deep are the backups after which all WAL is kept. A backup about which nothing is known is one of them.
func (k *keeper) deep() []*backup {
	if k.policy.WALDepth == 0 {
		return k.kept
	}
	var deep []*backup
	complete := 0
	for _, b := range slices.Backward(k.kept) {
		if complete < k.policy.WALDepth || k.dubious[b] {
			deep = append(deep, b)
		}
		if b.Complete {
			complete++
		}
	}
	return deep
}

// merge sorts claims and cuts off what the one before has already.
func merge(claims []claim) []claim {
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last))
	})
	out := claims[:0]
	for _, c := range claims {
		if n := len(out); n > 0 && c.first <= out[n-1].last {
			c.first = out[n-1].last + 1
		}
		if c.first <= c.last {
			out = append(out, c)
		}
	}
	return out
}

// overBudget reports whether what would stay takes more than Policy.Bytes.
func (k *keeper) overBudget() bool {
	if k.policy.Bytes == 0 {
		return false
	}
	total := int64(0)
	for _, d := range k.plan().Decisions {
		if d.Keep {
			total += k.policy.Details[d.Name].Size
		}
	}
	return total > k.policy.Bytes
}

// giveUpOldest takes the oldest backup that may go from the kept ones. The newest stays, and the newest complete one.
func (k *keeper) giveUpOldest() bool {
	last := len(k.kept) - 1
	good := last
	for good > 0 && !k.kept[good].Complete {
		good--
	}
	for i, b := range k.kept {
		if i != last && i != good && !k.pinned[b] && !k.dubious[b] {
			k.kept = slices.Delete(k.kept, i, i+1)
			return true
		}
	}
	return false
}

func (k *keeper) plan() Plan {
	p := Plan{Decisions: make([]Decision, 0, len(k.entries)+len(k.backups)+len(k.histories))}
	var last entry
	var d Decision
	for i, e := range k.entries {
		if i == 0 || e.timeline != last.timeline || e.number != last.number {
			last, d = e, k.segment(e.timeline, e.number)
			d = k.tooYoung(d, k.entries[i:], e)
		}
		d.Name = e.name
		p.Decisions = append(p.Decisions, d)
	}
	k.decideBackups(&p)
	for _, t := range slices.Sorted(maps.Keys(k.histories)) {
		for _, name := range k.histories[t].names {
			p.Decisions = append(p.Decisions, Decision{Name: name, Keep: true, Rule: RuleHistory})
		}
	}
	p.Warnings = k.warnings()
	return p
}

// segment decides about everything that is about one segment.
func (k *keeper) segment(t wal.Timeline, number uint64) Decision {
	keep := func(r Rule, who string) Decision { return Decision{Keep: true, Rule: r, Who: who} }
	if k.consumed && number >= k.consumer.segment.Number {
		return keep(RuleConsumer, k.consumer.Name)
	}
	if b, ok := find(k.own[t], number); ok {
		return keep(RuleBackup, b.Name)
	}
	if r, ok := k.recovery[t]; ok && number >= r.first {
		return keep(RuleRecovery, r.backup.Name)
	}
	switch {
	case k.bounded && number >= k.oldest:
		return keep(RuleOldest, "")
	case len(k.kept) > 0 && !k.path(t).known:
		return keep(RuleHistoryUnknown, "")
	case len(k.kept) > 0 && t > k.newest:
		return keep(RuleNewTimeline, "")
	case !k.bounded && !k.consumed && len(k.kept) == 0:
		return keep(RuleNothingDecides, "")
	}
	return Decision{Rule: RuleNotNeeded}
}

// find returns whose claim holds the number.
func find(claims []claim, number uint64) (*backup, bool) {
	i, _ := slices.BinarySearchFunc(claims, number, func(c claim, n uint64) int { return cmp.Compare(c.last, n) })
	if i < len(claims) && claims[i].first <= number {
		return claims[i].backup, true
	}
	return nil, false
}

// tooYoung keeps what d would remove if one of the entries about the segment is too young.
func (k *keeper) tooYoung(d Decision, entries []entry, of entry) Decision {
	if d.Keep || k.policy.MinAge == 0 {
		return d
	}
	for _, e := range entries {
		if e.timeline != of.timeline || e.number != of.number {
			break
		}
		if k.isYoung(e.name) {
			return Decision{Keep: true, Rule: RuleTooYoung}
		}
	}
	return d
}

func (k *keeper) isYoung(name string) bool {
	d := k.policy.Details[name]
	return k.policy.MinAge > 0 && (d.Modified.IsZero() || k.policy.Now.Sub(d.Modified) < k.policy.MinAge)
}

func (k *keeper) decideBackups(p *Plan) {
	kept := make(map[*backup]bool, len(k.kept))
	for _, b := range k.kept {
		kept[b] = true
	}
	for _, b := range k.backups {
		d := Decision{Rule: RuleBackupExpired}
		switch {
		case kept[b]:
			d = Decision{Keep: true, Rule: RuleBackupKept}
			p.Backups = append(p.Backups, b.Backup)
		case !k.policy.BackupHistory:
			d = Decision{Keep: true, Rule: RuleBackupHistories}
		case k.consumed && b.first >= k.consumer.segment.Number:
			d = Decision{Keep: true, Rule: RuleConsumer, Who: k.consumer.Name}
		case k.bounded && b.first >= k.oldest:
			d = Decision{Keep: true, Rule: RuleOldest}
		case !k.bounded && !k.consumed && len(k.kept) == 0:
			d = Decision{Keep: true, Rule: RuleNothingDecides}
		case slices.ContainsFunc(b.names, k.isYoung):
			d = Decision{Keep: true, Rule: RuleTooYoung}
		}
		for _, name := range b.names {
			d.Name = name
			p.Decisions = append(p.Decisions, d)
		}
	}
}

func (k *keeper) warnings() []string {
	var out []string
	for _, b := range k.kept {
		switch {
		case b.Stop == 0:
			out = append(out, fmt.Sprintf("backup %s: its history file was not read, so all WAL from %v on stays", b.Name, b.Start))
		case !b.Complete:
			out = append(out, fmt.Sprintf("backup %s: the archive does not hold all WAL from %v to %v that it needs", b.Name, b.Start, b.Stop))
		}
	}
	return out
}

// Check makes sure that a plan takes nothing from the backups that it keeps and from the consumers: the error is a
// [*BrokenBackupError]. [Catalog.Plan] does so itself; Check is for a plan that was changed or kept for a while.
func (c *Catalog) Check(p Plan) error {
	needs := c.needs(p)
	for _, d := range p.Decisions {
		if d.Keep {
			continue
		}
		o, err := ParseObject(d.Name)
		if err != nil {
			return err
		}
		if who := needs.loser(o.File, c.segSize); who != "" {
			return &BrokenBackupError{Who: who, Name: d.Name}
		}
	}
	return nil
}

// needs is what a plan must not take.
type needs struct {
	consumers []Consumer
	backups   map[string]bool
	own       map[wal.Timeline][]claim
}

func (c *Catalog) needs(p Plan) needs {
	n := needs{consumers: c.consumers, backups: map[string]bool{}, own: map[wal.Timeline][]claim{}}
	for _, b := range p.Backups {
		n.backups[b.Name] = true
		n.own[b.Timeline] = append(n.own[b.Timeline], claim{span{b.first, max(b.first, b.last)}, &backup{Backup: b}})
	}
	for t, claims := range n.own {
		n.own[t] = merge(claims)
	}
	return n
}

// loser is who needs the file.
func (n needs) loser(f wal.FileName, segSize uint32) string {
	switch f.Kind {
	case wal.KindHistory:
		return "every recovery"
	case wal.KindBackup:
		if n.backups[f.String()] {
			return "backup " + f.String()
		}
		return ""
	}
	seg, err := f.Segment(segSize)
	if err != nil {
		return ""
	}
	for _, k := range n.consumers {
		if seg.Number >= k.segment.Number {
			return "consumer " + k.Name
		}
	}
	if b, ok := find(n.own[seg.Timeline], seg.Number); ok {
		return "backup " + b.Name
	}
	return ""
}
