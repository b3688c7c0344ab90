package stream_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/stream"
)

// BenchmarkReceive receives WAL that is there already, from a slot on, into complete, durable segments in a directory. pg_receivewal of an installed
// PostgreSQL does the same in turn, where there is one; it makes each segment durable as it is completed, as we do.
func BenchmarkReceive(b *testing.B) {
	found := localpg.Installs()
	i := slices.IndexFunc(found, func(in localpg.Install) bool {
		_, err := os.Stat(in.Bin("pg_receivewal"))
		return err == nil && in.Major >= 12 // with a function that copies slots
	})
	if i < 0 {
		b.Skip("no installed PostgreSQL has pg_receivewal")
	}
	w := pgserver.New(b, found[i])
	primary := w.Initdb("primary")
	primary.Up("-c", "max_wal_size=4GB")
	primary.Exec("select pg_create_physical_replication_slot('base', true)")
	first := lsn(b, primary)
	first -= first % mib16
	primary.Exec("create table a as select i, md5(i::text) from generate_series(1, 4000000) i", "select pg_switch_wal()")
	end := lsn(b, primary)
	end -= end % mib16

	round := func(b *testing.B, receive func(dir, slot string)) {
		b.SetBytes(int64(end - first)) //nolint:gosec // positive
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			slot := fmt.Sprintf("s%d", n)
			primary.Exec("select pg_copy_physical_replication_slot('base', '" + slot + "')")
			dir := filepath.Join(b.TempDir(), slot)
			require.NoError(b, os.Mkdir(dir, 0o700))
			b.StartTimer()
			receive(dir, slot)
			b.StopTimer()
			whole, err := filepath.Glob(filepath.Join(dir, "????????????????????????"))
			require.NoError(b, err)
			require.Len(b, whole, int((end-first)/mib16))
			require.NoError(b, os.RemoveAll(dir))
			primary.Exec("select pg_drop_replication_slot('" + slot + "')")
			b.StartTimer()
		}
	}
	b.Run("tool=understudy", func(b *testing.B) {
		round(b, func(dir, slot string) {
			r, err := stream.New(stream.Config{Source: source(b, primary), Dir: dir, Slot: slot, StopAt: end})
			require.NoError(b, err)
			require.NoError(b, r.Run(b.Context()))
		})
	})
	b.Run("tool=pg_receivewal", func(b *testing.B) {
		round(b, func(dir, slot string) {
			cmd := exec.CommandContext(b.Context(), w.Bin("pg_receivewal"), "-D", dir, "-S", slot, "-n", "--endpos="+end.String(), "-h", w.Dir,
				"-p", fmt.Sprint(primary.Port), "-U", pgserver.User)
			out, err := cmd.CombinedOutput()
			require.NoError(b, err, "%s", out)
		})
	})
}
