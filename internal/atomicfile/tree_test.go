package atomicfile

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A root that is a symbolic link is followed, or what it leads to would not be durable.
func TestSyncTree(t *testing.T) {
	dir := t.TempDir()
	tree, link := filepath.Join(dir, "tree"), filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(tree, link))
	require.ErrorIs(t, SyncTree(t.Context(), link), os.ErrNotExist)
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "a", "b"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "a", "file"), []byte("x"), 0o600))
	require.NoError(t, os.Symlink("/nonexistent", filepath.Join(tree, "a", "b", "link")))
	require.NoError(t, SyncTree(t.Context(), link))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, SyncTree(ctx, tree), context.Canceled)
}
