package datadir_test

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgtest"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology/host"
)

// What pg_controldata of the same major says of the file of a running server. The image of 11 has no client programs; the functions of
// its server, and pg_controldata for the vectors of majors that are not here, say the rest.
func TestContainerControlData(t *testing.T) {
	for _, major := range []int{13, 15, 17, 18} {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			n := pgtest.NewCluster(t, pgtest.Config{Major: major, Nodes: []string{"a"}}).Node("a")
			n.StartPrimary(t)
			data, err := n.Host().ReadFile(t.Context(), path.Join(n.DataDir(), datadir.ControlFile))
			require.NoError(t, err)
			r, err := n.Host().Run(t.Context(), host.Cmd{
				Path: n.Bin("pg_controldata"), Args: []string{"-D", n.DataDir()}, Env: []string{"LC_ALL=C", "TZ=UTC"},
			})
			require.NoError(t, err)
			v := controlVector{fmt.Sprintf("%d_running", major), data, says(string(r.Stdout))}
			require.Equal(t, v.want(t), v.parse(t))
			require.Equal(t, v.says["Database cluster state"], v.parse(t).State.String())
			require.Len(t, data, 8192)
			require.Equal(t, strings.Repeat("\x00", 8192-crcAt(t, data)-4), string(data[crcAt(t, data)+4:]), "padding")
		})
	}
}
