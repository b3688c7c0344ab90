package archivecli

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReceive_stopped_by_a_signal is no failure, and a failure is none that a signal made.
func TestReceive_stopped_by_a_signal(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	require.False(t, wasStopped(ctx, errors.New("a disk is full")))
	cancel(signalError{syscall.SIGTERM})
	require.True(t, wasStopped(ctx, context.Cause(ctx)))
	require.False(t, wasStopped(ctx, errors.New("a disk is full")))
	require.False(t, wasStopped(ctx, nil))
}
