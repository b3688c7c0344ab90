package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFresh fails if catalogue.tsv is not what the tables say. "go generate" in package guc puts it right.
func TestFresh(t *testing.T) {
	want, err := generate(data)
	require.NoError(t, err)
	got, err := os.ReadFile("../../catalogue.tsv")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run: go generate ./pgconf/guc")
}
