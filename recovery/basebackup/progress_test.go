package basebackup

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestETA(t *testing.T) {
	require.Equal(t, 30*time.Second, eta(25, 100, 10*time.Second))
	require.Zero(t, eta(0, 100, 10*time.Second))
	require.Zero(t, eta(100, 100, 10*time.Second))
	require.Zero(t, eta(120, 100, 10*time.Second))
}

func TestTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Progress
		track := &tracker{report: func(p Progress) { got = append(got, p) }}
		go track.run(t.Context())
		synctest.Wait()
		track.set(func(p *Progress) { p.Total = 100 })
		track.phase(Copying)
		track.set(func(p *Progress) { p.Tablespace = "/srv/a" })
		track.done.Store(50)
		track.wal.Store(7)
		time.Sleep(tick)
		synctest.Wait()
		track.phase(Verifying)
		require.Equal(t, []Progress{
			{Phase: Copying, Total: 100},
			{Phase: Copying, Total: 100, Done: 50, WAL: 7, Tablespace: "/srv/a", Elapsed: tick, ETA: tick},
			{Phase: Verifying, Total: 100, Done: 50, WAL: 7},
		}, got)
	})
}

func TestProgress_String(t *testing.T) {
	for want, p := range map[string]Progress{
		"connecting":                     {Phase: Connecting},
		"waiting for checkpoint, for 3s": {Phase: Waiting, Elapsed: 3 * time.Second},
		"copying: 3 of 3 MiB":            {Phase: Copying, Done: 3 << 20, Total: 2 << 20},
		"waiting for WAL, for 2s":        {Phase: WaitingWAL, Elapsed: 2100 * time.Millisecond},
		"copying: 1 of 2 MiB, 1m0s left": {Phase: Copying, Done: 1 << 20, Total: 2 << 20, ETA: time.Minute},
		"verifying":                      {Phase: Verifying, Elapsed: time.Millisecond},
	} {
		require.Equal(t, want, p.String())
	}
}

func TestParseUnit(t *testing.T) {
	units := map[string]int64{"MB": 1 << 20, "min": 60}
	n, err := parseUnit("16MB", units)
	require.NoError(t, err)
	require.EqualValues(t, 16<<20, n)
	for _, bad := range []string{"", "MB", "16", "16kB", "1.5MB", "99999999999MB"} {
		_, err := parseUnit(bad, units)
		require.Error(t, err, bad)
	}
}
