package datadir

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A reader that meets a server in the middle of a write reads again, but not for ever.
func TestReadControl_whileItIsWritten(t *testing.T) {
	good, err := os.ReadFile("testdata/control/17_standby.bin")
	require.NoError(t, err)
	torn := bytes.Clone(good)
	torn[40] ^= 1
	gone := errors.New("gone")
	for _, tc := range []struct {
		name    string
		reads   [][]byte // nil fails
		want    error
		damaged bool
	}{
		{name: "whole_at_once", reads: [][]byte{good}},
		{name: "torn_once", reads: [][]byte{torn, good}},
		{name: "torn_four_times", reads: [][]byte{torn, torn, torn, torn, good}},
		{name: "damaged", reads: [][]byte{torn, torn, torn, torn, torn}, damaged: true},
		{name: "unreadable", reads: [][]byte{nil}, want: gone},
		{name: "torn_then_unreadable", reads: [][]byte{torn, nil}, want: gone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := tc.reads
				c, err := readControl("f", func(string) ([]byte, error) {
					require.NotEmpty(t, left, "one read too many")
					data := left[0]
					left = left[1:]
					if data == nil {
						return nil, &fs.PathError{Op: "read", Path: "f", Err: gone}
					}
					return data, nil
				})
				require.Empty(t, left, "one read too few")
				switch {
				case tc.damaged:
					require.ErrorAs(t, err, new(*ControlError))
				case tc.want != nil:
					require.ErrorIs(t, err, tc.want)
				default:
					require.NoError(t, err)
					require.Equal(t, StateInArchiveRecovery, c.State)
				}
			})
		})
	}
}
