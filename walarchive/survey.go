package walarchive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Catalog reads what the archive holds: the names of all objects and the contents of the history files. With several targets, a
// file is there if one of them has it. Every target must be readable and marked as this cluster's ([ErrNoMarker],
// [*ForeignArchiveError]), because otherwise what is missing would not be known. A history file that cannot be read is no error: the
// catalog says so, and concludes nothing from it.
func (a *Archive) Catalog(ctx context.Context) (*catalog.Catalog, error) {
	s, err := a.survey(ctx)
	return s.catalog, err
}

// survey is a catalog with the names of each target; those of several are sorted.
type survey struct {
	catalog *catalog.Catalog
	names   [][]string
}

func (a *Archive) survey(ctx context.Context) (survey, error) {
	if err := a.verifyOwner(ctx); err != nil {
		return survey{}, err
	}
	s := survey{}
	for _, t := range a.targets {
		names, err := t.Store.List(ctx)
		if err != nil {
			return survey{}, t.wrap(fmt.Errorf("list archive: %w", err))
		}
		if err := t.verifyOwner(ctx); err != nil { // the archive was there all the time
			return survey{}, t.wrap(err)
		}
		s.names = append(s.names, names)
	}
	all := s.names[0]
	if len(a.targets) > 1 { // one target's names are not worth the time
		all = slices.Concat(s.names...)
		slices.Sort(all)
		all = slices.Compact(all)
		for _, names := range s.names {
			slices.Sort(names)
		}
	}
	var err error
	if s.catalog, err = catalog.New(all, a.id.SegmentSize); err != nil {
		return survey{}, err
	}
	s.catalog.SetNumbering(a.numbering(ctx, s.names))
	for name, text := range a.texts(ctx, s.catalog.Texts()) {
		_ = s.catalog.AddText(name, text) // counts as not read
	}
	return s, ctx.Err()
}

// numbering is that of the major that wrote the first segment which can be read. Without one nothing has a gap.
func (a *Archive) numbering(ctx context.Context, names [][]string) wal.Numbering {
	for i, t := range a.targets {
		for _, name := range names[i] {
			if f, err := wal.ParseFileName(name); err == nil && f.Kind == wal.KindSegment {
				if h, err := t.storedHeader(ctx, name); err == nil {
					return h.Numbering()
				}
				break
			}
		}
	}
	return wal.Numbering{}
}

// atOnce is how many small files are read at the same time.
const atOnce = 8

// texts returns the contents of those history files that can be read.
func (a *Archive) texts(ctx context.Context, names []string) map[string][]byte {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		texts = map[string][]byte{}
		slots = make(chan struct{}, atOnce)
	)
	for _, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if text, err := a.text(ctx, name); err == nil {
				mu.Lock()
				defer mu.Unlock()
				texts[name] = text
			}
		})
	}
	wg.Wait()
	return texts
}

// text reads a history file from the first copy that is good.
func (a *Archive) text(ctx context.Context, name string) (text []byte, err error) {
	f, err := wal.ParseFileName(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.limited(ctx)
	defer cancel()
	for _, t := range a.targets {
		for repair := range maxRepairs + 1 {
			if text, err = t.readText(ctx, f, repair); err == nil {
				return text, nil
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if !isBad(err) {
				break
			}
		}
	}
	return nil, err
}

func (t *target) readText(ctx context.Context, f wal.FileName, repair int) ([]byte, error) {
	r, err := t.open(ctx, copyName(f, repair), f.String())
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := t.id.verified(f, r, false)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = io.Copy(&b, content)
	return b.Bytes(), err
}
