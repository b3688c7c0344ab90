package stream_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const mib16 = 16 << 20

func TestReceive(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up(keep(w)...)
		archive := newFolder(t)
		cfg := config(t, primary, archive)
		cfg.Slot, cfg.CreateSlot = "receiver", true
		first := lsn(t, primary)

		// A segment that is full, one that was left by a switch, and the beginning of one.
		primary.Exec("create table a as select i, md5(i::text) from generate_series(1, 200000) i", "select pg_switch_wal()",
			"create table b as select 1")
		upTo(t, cfg, lsn(t, primary))
		require.GreaterOrEqual(t, same(t, primary, archive.dir, 1, first, lsn(t, primary), mib16), 2)

		// The next run goes on, with the segment that was begun.
		primary.Exec("insert into a select * from a", "select pg_switch_wal()")
		upTo(t, cfg, lsn(t, primary))
		require.GreaterOrEqual(t, same(t, primary, archive.dir, 1, first, lsn(t, primary), mib16), 3)
		require.Equal(t, "f", primary.Ask("select active::text::char from pg_replication_slots"))

		// A new staging directory goes on where the archive ends.
		primary.Exec("insert into b values (2)")
		cfg.Dir = t.TempDir()
		upTo(t, cfg, lsn(t, primary))
		same(t, primary, archive.dir, 1, first, lsn(t, primary), mib16)
		text, err := os.ReadFile(filepath.Join(cfg.Dir, "understudy-journal"))
		require.NoError(t, err)
		require.Contains(t, string(text), "where the archive ends")

		// A new archive gets what the slot keeps, from the segment of its position on.
		cfg.Dir, cfg.Archive = t.TempDir(), newFolder(t)
		before := lsn(t, primary)
		primary.Exec("select pg_switch_wal()", "insert into b values (2)")
		upTo(t, cfg, lsn(t, primary))
		same(t, primary, cfg.Archive.(*folderArchive).dir, 1, before, lsn(t, primary), mib16)
		text, err = os.ReadFile(filepath.Join(cfg.Dir, "understudy-journal"))
		require.NoError(t, err)
		require.Contains(t, string(text), "slot")
		_ = wal.LSN(0)
	})
}
