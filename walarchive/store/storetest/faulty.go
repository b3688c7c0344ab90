package storetest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
)

// Op is a method of walarchive.Store.
type Op string

// The methods.
const (
	OpCreate  Op = "create"
	OpOpen    Op = "open"
	OpList    Op = "list"
	OpDetails Op = "details"
	OpRemove  Op = "remove"
)

// Call is one call of a method.
type Call struct {
	Op   Op
	Name string // of the object; of OpDetails and OpRemove, which are asked about each name by itself, too; empty for OpList
	N    int    // how often this method was called with this name, this time included
}

// Fault is what shall go wrong with a call. The zero value is nothing.
type Fault struct {
	Delay time.Duration               // wait first, or until ctx has ended; less than zero: until ctx has ended
	Err   error                       // do nothing and fail with this
	Lost  error                       // do it, but fail with this all the same, like an answer that is lost
	Hide  bool                        // say that there is no such object: not to be opened, not listed, and without details
	Data  func(r io.Reader) io.Reader // change what is read from an object, or what is stored of it: see Cut, Flip, Fail and Slow
}

// Faulty is a Store with faults to order. Script is called for every call, and for every name of a listing with OpList, by several
// goroutines at once. Without a Script nothing goes wrong.
type Faulty struct {
	Store  walarchive.Store
	Script func(Call) Fault

	mu    sync.Mutex
	calls map[Call]int // by Op and Name
}

// Calls is how often a method was called with a name, such as "" for OpList.
func (f *Faulty) Calls(op Op, name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[Call{Op: op, Name: name}]
}

func (f *Faulty) fault(op Op, name string) Fault {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[Call]int{}
	}
	call := Call{Op: op, Name: name}
	f.calls[call]++
	call.N = f.calls[call]
	f.mu.Unlock()
	if f.Script == nil {
		return Fault{}
	}
	return f.Script(call)
}

// begin waits, and says whether to fail at once.
func (x Fault) begin(ctx context.Context) error {
	if x.Delay < 0 {
		<-ctx.Done()
	}
	if x.Delay != 0 {
		select {
		case <-time.After(x.Delay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return x.Err
}

func (x Fault) data(r io.Reader) io.Reader {
	if x.Data == nil {
		return r
	}
	return x.Data(r)
}

// Create implements walarchive.Store.
func (f *Faulty) Create(ctx context.Context, name string, r io.Reader) error {
	x := f.fault(OpCreate, name)
	if err := x.begin(ctx); err != nil {
		return err
	}
	if err := f.Store.Create(ctx, name, x.data(r)); err != nil {
		return err
	}
	return x.Lost
}

// Open implements walarchive.Store.
func (f *Faulty) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	x := f.fault(OpOpen, name)
	if err := x.begin(ctx); err != nil {
		return nil, err
	}
	if x.Hide {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	r, err := f.Store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	if x.Lost != nil {
		return nil, errors.Join(x.Lost, r.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{x.data(r), r}, nil
}

// List implements walarchive.Store.
func (f *Faulty) List(ctx context.Context) ([]string, error) {
	x := f.fault(OpList, "")
	if err := x.begin(ctx); err != nil {
		return nil, err
	}
	names, err := f.Store.List(ctx)
	if err != nil {
		return nil, err
	}
	if x.Lost != nil {
		return nil, x.Lost
	}
	return slices.DeleteFunc(names, func(name string) bool { return f.fault(OpList, name).Hide }), nil
}

// Details implements walarchive.Store. Faults are those of each name by itself.
func (f *Faulty) Details(ctx context.Context, names []string) ([]walarchive.Details, error) {
	all := make([]walarchive.Details, 0, len(names))
	for _, name := range names {
		x := f.fault(OpDetails, name)
		if err := x.begin(ctx); err != nil {
			return nil, err
		}
		d, err := f.Store.Details(ctx, []string{name})
		if err != nil {
			return nil, err
		}
		if x.Lost != nil {
			return nil, x.Lost
		}
		if x.Hide {
			d[0] = walarchive.Details{Name: name, Size: -1}
		}
		all = append(all, d[0])
	}
	return all, nil
}

// Remove implements walarchive.Store. Faults are those of each name by itself; it goes on after a failure.
func (f *Faulty) Remove(ctx context.Context, names []string) error {
	var errs []error
	for _, name := range names {
		x := f.fault(OpRemove, name)
		if err := x.begin(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, f.Store.Remove(ctx, []string{name}), x.Lost)
	}
	return errors.Join(errs...)
}

// String implements walarchive.Store.
func (f *Faulty) String() string { return f.Store.String() }

// Cut is for Fault.Data: the data ends after n bytes, as if that was all.
func Cut(n int64) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader { return io.LimitReader(r, n) }
}

// Fail is for Fault.Data: after n bytes, reading fails with err.
func Fail(n int64, err error) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, n), endReader(func() error { return err }))
	}
}

// Flip is for Fault.Data: the bits of mask are inverted in the byte at position n.
func Flip(n int64, mask byte) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader {
		var off int64
		return readerFunc(func(p []byte) (int, error) {
			got, err := r.Read(p)
			if at := n - off; at >= 0 && at < int64(got) {
				p[at] ^= mask
			}
			off += int64(got)
			return got, err
		})
	}
}

// Slow is for Fault.Data: each read of up to 64 KiB takes d longer.
func Slow(d time.Duration) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader {
		return readerFunc(func(p []byte) (int, error) {
			time.Sleep(d)
			return r.Read(p[:min(len(p), 64<<10)])
		})
	}
}
