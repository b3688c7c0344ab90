package guc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

func BenchmarkTranslate(b *testing.B) {
	for name, text := range map[string]string{
		"lines=3":             "wal_level = hot_standby\nwal_keep_segments = 3\nport = 1\n",
		"lines=3/names=wrong": "wal_levl = hot_standby\nwal_kep_segments = 3\nprt = 1\n",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, err := pgconf.Parse("p", []byte(text))
				require.NoError(b, err)
				_, err = guc.Translate(f, pgconf.V9_4, 17)
				require.NoError(b, err)
			}
		})
	}
}
