package basebackup

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
)

func TestCommand(t *testing.T) {
	plain := Options{Target: "t"}
	all := Options{
		Target: "t", Label: "it's", WAL: Fetch, Checkpoint: Spread, MaxRate: 64 << 10, Format: Tar, IgnorePageChecksums: true, Manifest: SHA256,
	}
	for _, tc := range []struct {
		name  string
		o     Options
		major pgconf.Major
		want  string
	}{
		{"plain_10", plain, 10, "BASE_BACKUP LABEL 'understudy base backup' PROGRESS FAST NOWAIT"},
		{"plain_13", plain, 13, "BASE_BACKUP LABEL 'understudy base backup' PROGRESS FAST NOWAIT MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'"},
		{"plain_15", plain, 15,
			"BASE_BACKUP (LABEL 'understudy base backup', PROGRESS, CHECKPOINT 'fast', WAIT 0, MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C')"},
		{"all_10", all, 10, "BASE_BACKUP LABEL 'it''s' PROGRESS WAL NOWAIT MAX_RATE 64 TABLESPACE_MAP"},
		{"all_11", all, 11, "BASE_BACKUP LABEL 'it''s' PROGRESS WAL NOWAIT MAX_RATE 64 TABLESPACE_MAP NOVERIFY_CHECKSUMS"},
		{"all_18", all, 18, "BASE_BACKUP (LABEL 'it''s', PROGRESS, WAL, WAIT 0, MAX_RATE 64, TABLESPACE_MAP, VERIFY_CHECKSUMS 0, " +
			"MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256')"},
		{"no_wal_waits_for_the_archive", Options{Target: "t", WAL: NoWAL, Manifest: SizesOnly}, 14,
			"BASE_BACKUP LABEL 'understudy base backup' PROGRESS FAST MANIFEST 'yes' MANIFEST_CHECKSUMS 'NONE'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.NoError(t, tc.o.check())
			require.Equal(t, tc.want, tc.o.command(tc.major))
		})
	}
}

func TestOptions_refused(t *testing.T) {
	for want, o := range map[string]Options{
		"Target":                  {},
		"Format 2":                {Target: "t", Format: 2},
		"WAL 3":                   {Target: "t", WAL: 3},
		"Checkpoint 2":            {Target: "t", Checkpoint: 2},
		"Manifest 6":              {Target: "t", Manifest: 6},
		"Slot is for streaming":   {Target: "t", WAL: Fetch, Slot: "s"},
		`Slot "a'b"`:              {Target: "t", Slot: "a'b"},
		"Label":                   {Target: "t", Label: "a\nb"},
		"MaxRate 1024":            {Target: "t", MaxRate: 1024},
		"MaxRate 1073741825":      {Target: "t", MaxRate: 1<<30 + 1},
		"Tablespaces is for":      {Target: "t", Format: Tar, Tablespaces: map[string]string{"/a": "/b"}},
		"Prepare":                 {Target: "t", Format: Tar, Prepare: func(context.Context, string) error { return nil }},
		"must be absolute":        {Target: "t", Tablespaces: map[string]string{"/a": "b"}},
		"more than one line":      {Target: "t", Tablespaces: map[string]string{"/a": "/b\nc"}},
		"/a and /c would both be": {Target: "t", Tablespaces: map[string]string{"/a": "/b", "/c": "/b/"}},
	} {
		require.ErrorContains(t, o.check(), want)
	}
}

func TestChecksum_String(t *testing.T) {
	require.Equal(t, "CRC32C", CRC32C.String())
	require.Equal(t, "NONE", SizesOnly.String())
	require.Equal(t, "Checksum(6)", Checksum(6).String())
}

func TestQuote(t *testing.T) {
	require.Equal(t, `'a''b\c'`, quote(`a'b\c`))
}
