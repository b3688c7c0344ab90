package ctxio_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/ctxio"
)

func TestReader(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := ctxio.Reader(ctx, iotest.OneByteReader(strings.NewReader("abc")))
	b := make([]byte, 3)
	n, err := r.Read(b)
	require.NoError(t, err)
	require.Equal(t, "a", string(b[:n]))
	cancel(cause)
	_, err = r.Read(b)
	require.ErrorIs(t, err, cause)

	whole, err := io.ReadAll(ctxio.Reader(t.Context(), strings.NewReader("abc")))
	require.NoError(t, err)
	require.Equal(t, "abc", string(whole))
}
