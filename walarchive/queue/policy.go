package queue

import (
	"fmt"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Policy says when WAL that cannot be archived is given up. The zero Policy never does.
type Policy struct {
	// MaxBytes is how much WAL may wait, in bytes. With more, files are dropped. Zero means no limit.
	MaxBytes int64
	// MinFree is how many bytes must stay free in the file system of the WAL folder. With less, files are dropped. Zero means none.
	// It also counts what others write there.
	MinFree int64
}

// Facts are what a decision is about: a push that has just failed, and what waits.
type Facts struct {
	File wal.FileName // the file that the server asked to archive
	// Unreachable is whether the push failed because the archive cannot be reached. Everything else that makes a push fail (a conflict,
	// another cluster's archive, a damaged segment) is a reason to keep.
	Unreachable bool
	Waiting     State // read after the push failed
}

// Decision is what to do with the file, and why.
type Decision struct {
	Drop   bool
	Reason string
}

// Decide says whether to keep a file that could not be pushed, which means that the server asks again, or to drop it for ever.
func (p Policy) Decide(f Facts) Decision {
	keep := func(reason string) Decision { return Decision{Reason: reason} }
	switch {
	case p.MaxBytes <= 0 && p.MinFree <= 0:
		return keep("the policy is to keep everything")
	case !f.Unreachable:
		return keep("the archive can be reached and refuses the file, which somebody must look at")
	case f.File.Kind == wal.KindHistory:
		return keep("timeline histories are never dropped")
	case p.MaxBytes > 0 && f.Waiting.Bytes > p.MaxBytes:
		return Decision{Drop: true, Reason: fmt.Sprintf("%d bytes wait for an archive that cannot be reached, the limit is %d",
			f.Waiting.Bytes, p.MaxBytes)}
	case p.MinFree > 0 && f.Waiting.Free < p.MinFree:
		return Decision{Drop: true, Reason: fmt.Sprintf("%d bytes are free beside the WAL while the archive cannot be reached, the limit is %d",
			f.Waiting.Free, p.MinFree)}
	}
	return keep("within the limits")
}
