// Package ctxio lets a context end input that does not know it.
package ctxio

import (
	"context"
	"io"
)

// Reader returns a reader of r that fails with the context's cause once ctx has ended. A Read that is under way is not
// interrupted.
func Reader(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
