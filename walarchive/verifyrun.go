package walarchive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"sync"

	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Verdict is what a look at all bytes of an archived file says.
type Verdict string

// The verdicts.
const (
	VerdictOK       Verdict = "ok"
	VerdictNoRecord Verdict = "no record" // the pages or lines are in order, but nothing tells whether each byte is: "cp" brought it
	VerdictRepaired Verdict = "repaired"  // the first copy is damaged, and one beside it is good: a fetch gives that
	VerdictDamaged  Verdict = "damaged"   // no copy is good
	VerdictNoKey    Verdict = "no key"    // it is encrypted, and none of the keys fits
	VerdictUnknown  Verdict = "unknown"   // it could not be read now
	VerdictAbsent   Verdict = "absent"    // it is not there: it was asked for by name, or the target must hold every file and another one has it
)

// Finding is the verdict about one archived file in one target.
type Finding struct {
	Name    string // of the file
	Target  string
	Verdict Verdict
	Object  string // that was looked at last: of a repaired one, the good copy
	Size    int64  // bytes of the file that were read
	Err     error  // why it is not ok
}

// String is a line.
func (f Finding) String() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %s: %v", f.Name, f.Verdict, f.Err)
	}
	return fmt.Sprintf("%s: %s", f.Name, f.Verdict)
}

// VerifyConfig says what [Archive.Verify] does.
type VerifyConfig struct {
	// Names are the files to look at, each in every target. nil means all that are there, and in a target that must hold every file
	// also those that only another one has.
	Names []string
	// Parallel is how many are read at the same time. Each takes a few MiB of memory. Zero means one for each processor.
	Parallel int
	// Progress is called after each file, never twice at once, in no particular order. nil is fine.
	Progress func(VerifyProgress)
}

// VerifyProgress says how far [Archive.Verify] is.
type VerifyProgress struct {
	Finding     Finding // the newest
	Done, Total int     // files; one in two targets counts twice
	Bytes       int64   // of files that were read
}

// VerifyReport is the result of [Archive.Verify].
type VerifyReport struct {
	Count    map[Verdict]int
	Bytes    int64     // of files that were read
	Findings []Finding // those that are not ok, by target and name
}

// Bad reports whether something of what was looked at cannot be restored from a target, or is not known to be restorable.
func (r VerifyReport) Bad() bool {
	return r.Count[VerdictDamaged]+r.Count[VerdictNoKey]+r.Count[VerdictUnknown]+r.Count[VerdictAbsent] > 0
}

// Verify reads archived files, all of each, and compares them with their records, their page headers with what their names say, and the
// history files with theirs; and the WAL records, with Config.CheckRecords. Damage is no error but a finding. The error is about the
// archive: a target that is not marked as this cluster's or cannot be listed, a name that no archived file has, or the end of ctx; the
// report then says what was found before.
func (a *Archive) Verify(ctx context.Context, cfg VerifyConfig) (VerifyReport, error) {
	jobs, err := a.verifyJobs(ctx, cfg.Names)
	if err != nil {
		return VerifyReport{}, err
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = runtime.GOMAXPROCS(0)
	}
	v := verification{archive: a, jobs: jobs, progress: cfg.Progress, report: VerifyReport{Count: map[Verdict]int{}}}
	var wg sync.WaitGroup
	for range min(cfg.Parallel, len(jobs)) {
		wg.Go(func() { v.work(ctx) })
	}
	wg.Wait()
	order := map[string]int{}
	for i, t := range a.targets {
		order[t.Name] = i
	}
	slices.SortFunc(v.report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.Target], order[b.Target]), cmp.Compare(a.Name, b.Name))
	})
	return v.report, context.Cause(ctx)
}

// verifyJob is a file in a target.
type verifyJob struct {
	target *target
	file   wal.FileName
	listed bool // it was there a moment ago, in some target
}

func (a *Archive) verifyJobs(ctx context.Context, names []string) ([]verifyJob, error) {
	if err := a.verifyOwner(ctx); err != nil {
		return nil, err
	}
	wanted, err := a.wanted(ctx, names)
	if err != nil {
		return nil, err
	}
	var jobs []verifyJob
	for i, t := range a.targets {
		for _, f := range wanted[i] {
			jobs = append(jobs, verifyJob{t, f, names == nil})
		}
	}
	return jobs, nil
}

// wanted are the files to look at in each target.
func (a *Archive) wanted(ctx context.Context, names []string) ([][]wal.FileName, error) {
	wanted := make([][]wal.FileName, len(a.targets))
	if names != nil {
		files, err := a.files(names)
		for i := range wanted {
			wanted[i] = files
		}
		return wanted, err
	}
	var all []wal.FileName
	for i, t := range a.targets {
		listed, err := t.Store.List(ctx)
		if err != nil {
			return nil, t.wrap(fmt.Errorf("list archive: %w", err))
		}
		wanted[i] = a.listedFiles(listed)
		all = append(all, wanted[i]...)
	}
	for i, t := range a.targets {
		if t.Need == Must && len(a.targets) > 1 {
			wanted[i] = unique(all)
		}
	}
	return wanted, nil
}

// files are those of these names.
func (a *Archive) files(names []string) ([]wal.FileName, error) {
	var files []wal.FileName
	for _, name := range names {
		f, err := wal.ParseFileName(name)
		if err == nil {
			err = a.possible(f)
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return unique(files), nil
}

// listedFiles are those that some objects hold, damaged copies included.
func (a *Archive) listedFiles(objects []string) []wal.FileName {
	var files []wal.FileName
	for _, name := range objects {
		if o, err := ParseObject(name); err == nil && o.Kind == ObjectFile && a.possible(o.File) == nil {
			files = append(files, o.File)
		}
	}
	return unique(files)
}

// unique returns each file once, in the order of the first.
func unique(files []wal.FileName) []wal.FileName {
	seen := make(map[wal.FileName]bool, len(files))
	return slices.DeleteFunc(slices.Clone(files), func(f wal.FileName) bool {
		again := seen[f]
		seen[f] = true
		return again
	})
}

// verification is a call of Verify at work.
type verification struct {
	archive  *Archive
	progress func(VerifyProgress)

	mu     sync.Mutex
	jobs   []verifyJob
	taken  int
	done   int
	report VerifyReport
}

func (v *verification) work(ctx context.Context) {
	for ctx.Err() == nil {
		v.mu.Lock()
		i := v.taken
		v.taken++
		v.mu.Unlock()
		if i >= len(v.jobs) {
			return
		}
		f := v.archive.verifyFile(ctx, v.jobs[i])
		removed := f.Verdict == VerdictAbsent && v.jobs[i].listed && v.archive.lacks(ctx, v.jobs[i].file)
		if ctx.Err() != nil {
			return // that is no finding
		}
		v.found(f, removed)
	}
}

// found adds a finding to the report, unless it is about a file that was removed from the archive meanwhile.
func (v *verification) found(f Finding, removed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done++
	v.report.Bytes += f.Size
	if !removed {
		v.report.Count[f.Verdict]++
	}
	if !removed && f.Verdict != VerdictOK {
		v.report.Findings = append(v.report.Findings, f)
	}
	if v.progress != nil {
		v.progress(VerifyProgress{Finding: f, Done: v.done, Total: len(v.jobs), Bytes: v.report.Bytes})
	}
}

// lacks reports whether certainly no target has the first copy of a file.
func (a *Archive) lacks(ctx context.Context, f wal.FileName) bool {
	for _, t := range a.targets {
		if there, err := t.holds(ctx, f.String()); there || err != nil {
			return false
		}
	}
	return true
}

// verifyFile looks at the copies of a file until one is good.
func (a *Archive) verifyFile(ctx context.Context, j verifyJob) Finding {
	ctx, cancel := a.limited(ctx)
	defer cancel()
	f := Finding{Name: j.file.String(), Target: j.target.Name, Verdict: VerdictAbsent}
	for repair := range maxRepairs + 1 {
		object := copyName(j.file, repair)
		recorded, n, err := j.target.verifyObject(ctx, j.file, object)
		f.Size += n
		if errors.Is(err, fs.ErrNotExist) {
			if repair > 0 { // if the damaged first one was removed, the one beside it is still there
				return f
			}
			continue
		}
		f.Object = object
		switch {
		case err == nil:
			f.Verdict, f.Err = goodVerdict(recorded, repair, f.Err)
			return f
		case isBad(err):
			f.Verdict, f.Err = VerdictDamaged, errors.Join(f.Err, fmt.Errorf("%s: %w", object, err))
			continue
		case errors.Is(err, codec.ErrNoKey):
			f.Verdict = VerdictNoKey
		default:
			f.Verdict = VerdictUnknown
		}
		f.Err = errors.Join(f.Err, fmt.Errorf("%s: %w", object, err))
		return f
	}
	return f
}

// goodVerdict is about a copy that was read without an error; damage is what is wrong with the ones before it.
func goodVerdict(recorded bool, repair int, damage error) (Verdict, error) {
	switch {
	case repair > 0:
		return VerdictRepaired, damage
	case !recorded:
		return VerdictNoRecord, nil
	}
	return VerdictOK, nil
}

// verifyObject reads one object. Only if there is none, the error matches [fs.ErrNotExist].
func (t *target) verifyObject(ctx context.Context, f wal.FileName, object string) (recorded bool, n int64, err error) {
	r, err := t.open(ctx, object, f.String())
	if err != nil {
		return false, 0, err
	}
	defer r.Close()
	content, err := t.id.verified(f, r, t.checkRecords)
	if err == nil {
		n, err = io.Copy(io.Discard, ctxio.Reader(ctx, content))
	}
	return r.Verified(), n, notAbsent(err)
}
