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
)

// pg_receivewal goes on in our staging directory, and we go on in its.
func TestTakesTurnsWithReceivewal(t *testing.T) {
	found := localpg.Installs()
	i := slices.IndexFunc(found, func(in localpg.Install) bool {
		_, err := os.Stat(in.Bin("pg_receivewal"))
		return err == nil
	})
	if i < 0 {
		localpg.Missing(t, "no installed PostgreSQL has pg_receivewal")
	}
	w := pgserver.New(t, found[i])
	primary := w.Initdb("primary")
	primary.Up(keep(w)...)
	cfg := config(t, primary, nil)
	cfg.Archive = nil
	first := lsn(t, primary)
	more := "insert into a select i, md5(i::text) from generate_series(1, 200000) i"
	primary.Exec("create table a (i int, t text)")
	upTo(t, cfg, first)
	primary.Exec(more)
	upTo(t, cfg, lsn(t, primary))
	primary.Exec(more)
	end := lsn(t, primary)
	primary.Exec("insert into a values (1)") // pg_receivewal ends when it sees more
	cmd := exec.CommandContext(t.Context(), w.Bin("pg_receivewal"), "-D", cfg.Dir, "-n", "--endpos="+end.String(), "-s", "1", "-h", w.Dir,
		"-p", fmt.Sprint(primary.Port), "-U", pgserver.User)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	primary.Exec(more)
	end = lsn(t, primary)
	upTo(t, cfg, end)
	require.GreaterOrEqual(t, same(t, primary, cfg.Dir, 1, first, end-end%mib16, mib16), 3)
	partial, err := filepath.Glob(filepath.Join(cfg.Dir, "*.partial"))
	require.NoError(t, err)
	require.Len(t, partial, 1)
}
