package pgnode

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/topology/host"
)

// TestListing judges what a machine may say about its processes. The data directory is /srv/pg, inode 1:10, of user 100.
func TestListing(t *testing.T) {
	tests := []struct {
		name  string
		text  string
		pids  []int
		doubt string
	}{
		{
			name: "nothing_runs",
			text: "me 100\ndir 1:10 100",
		},
		{
			name: "server_and_children",
			text: `
me 100
dir 1:10 100
cwd /proc/7/cwd 1:10
cwd /proc/8/cwd 1:10
proc 7 1 100 S
args 7 /bin/postgresA-DA/srv/pgA
near 7
proc 8 7 100 S`,
			pids: []int{7, 8},
		},
		{
			name: "another_server",
			text: `
me 100
dir 1:10 100
cwd /proc/7/cwd 1:11
cwd /proc/8/cwd 1:11
proc 7 1 100 S
args 7 /bin/postgresA-DA/srv/pg2A
near 7
proc 8 7 100 S`,
		},
		{
			name: "backend_that_outlived_its_postmaster",
			text: `
me 100
dir 1:10 100
cwd /proc/8/cwd 1:10
proc 8 1 100 S
args 8 postgres: app orders 10.0.0.1(4711) idleA
near 8`,
			pids: []int{8},
		},
		{
			name: "started_by_another_name_of_the_directory",
			text: `
me 100
dir 1:10 100
cwd /proc/7/cwd 1:10
proc 7 1 100 S
args 7 /bin/postgresA-DA/mnt/linkA
near 7`,
			pids: []int{7},
		},
		{
			name: "zombies_and_the_dead",
			text: `
me 100
dir 1:10 100
proc 7 1 100 Z
args 7 A
proc 8 7 100 X`,
		},
		{
			name: "stopped_by_a_signal",
			text: `
me 100
dir 1:10 100
cwd /proc/7/cwd 1:10
proc 7 1 100 T
args 7 postgresA`,
			pids: []int{7},
		},
		{
			name: "its_directory_was_moved_away_and_another_is_in_its_place",
			text: `
me 100
dir 1:10 100
cwd /proc/7/cwd 1:99
cwd /proc/8/cwd 1:99
proc 7 1 100 S
args 7 /bin/postgresA-DA/srv/pg/A
near 7
proc 8 7 100 S`,
			pids: []int{7, 8},
		},
		{
			name: "its_directory_was_deleted",
			text: `
me 100
absent
cwd /proc/7/cwd 1:99
proc 7 1 100 S
args 7 /bin/postgresA-D/srv/pgA
near 7
cwd /proc/8/cwd 1:99
proc 8 7 100 S`,
			pids: []int{7, 8},
		},
		{
			name: "same_path_in_a_container_is_another_directory",
			text: `
me 0
dir 1:10 100
cwd /proc/7/cwd 5:77
proc 7 1 999 S
args 7 /bin/postgresA-DA/srv/pgA`,
		},
		{
			name: "path_as_a_part_of_another_argument",
			text: `
me 100
absent
cwd /proc/7/cwd 1:99
proc 7 1 100 S
args 7 /bin/postgresA-cAcluster_name=-D /srv/pgA-DA/srv/pg2A
near 7`,
		},

		{
			name:  "hidden_process_of_the_owner",
			text:  "me 0\ndir 1:10 100\nproc 7 1 100 S\nargs 7 A",
			doubt: "the working directory of process 7, a postgres of user 100, cannot be read",
		},
		{
			name: "hidden_process_beside_a_known_one",
			text: `
me 0
dir 1:10 100
cwd /proc/7/cwd 1:10
proc 7 1 100 S
args 7 postgresA
proc 8 7 100 S`,
			pids:  []int{7},
			doubt: "process 8",
		},
		{
			name: "hidden_process_in_a_container",
			text: `
me 100
pidfile 4711
dir 1:10 100
proc 4711 1 100 S
nested 4711 1
args 4711 /bin/postgresA-DA/srv/pgA
proc 8 4711 100 S
nested 8 17`,
		},
		{
			name: "hidden_process_in_a_container_with_the_number_of_the_pid_file",
			text: `
me 100
pidfile 1
dir 1:10 100
proc 4711 1 100 S
nested 4711 1
args 4711 /bin/postgresA-DA/var/lib/dataA`,
			doubt: "process 4711",
		},
		{
			name: "container_that_root_can_look_into",
			text: `
me 0
pidfile 1
dir 1:10 999
cwd /proc/4711/cwd 1:10
proc 4711 1 999 S
nested 4711 1
args 4711 /bin/postgresA-DA/var/lib/dataA`,
			pids: []int{4711},
		},
		{
			name: "no_directory_and_a_hidden_container",
			text: "me 0\npidfile\nabsent\nproc 7 1 100 S\nnested 7 1\nargs 7 A",
		},
		{
			name: "hidden_process_of_somebody_else",
			text: "me 100\ndir 1:10 100\nproc 7 1 200 S\nargs 7 A",
		},
		{
			name:  "the_one_who_looks_is_somebody_else",
			text:  "me 200\ndir 1:10 100",
			doubt: "user 200 cannot see the processes of its owner, user 100",
		},
		{
			name: "root_sees_everything",
			text: "me 0\ndir 1:10 100\ncwd /proc/7/cwd 1:10\nproc 7 1 100 S\nargs 7 A",
			pids: []int{7},
		},
		{
			name:  "no_directory_and_root_without_the_right_to_look",
			text:  "me 0\nabsent\nproc 7 1 100 S\nargs 7 A",
			doubt: "process 7",
		},
		{
			name: "no_directory_and_somebody_elses_server",
			text: "me 100\nabsent\nproc 7 1 200 S\nargs 7 A",
		},
		{
			name:  "no_directory_and_a_hidden_process_of_ones_own",
			text:  "me 100\nabsent\nproc 7 1 100 S\nargs 7 A",
			doubt: "process 7",
		},
		{
			name:  "directory_not_readable",
			text:  "me 100\nnodir stat: cannot statx '/srv/pg': Permission denied",
			doubt: "Permission denied",
		},
		{
			name:  "dangling_link",
			text:  "me 100\nnodir it is a symbolic link that leads nowhere",
			doubt: "leads nowhere",
		},

		{
			name: "without_proc_by_argument_and_parent",
			text: `
me 100
pidfile
noproc
ps 1 0 0 Ss /sbin/launchd
ps 7 1 100 S /opt/bin/postgres -D /srv/pg
ps 8 7 100 S postgres: walwriter
ps 9 7 100 Z (postgres)
ps 20 1 100 S /opt/bin/postgres -D /srv/pg2
ps 21 20 100 S postgres: walwriter
ps 30 1 100 S /opt/bin/postgres -D /srv/pg with a blank
ps 40 1 100 S sh -c postgres -D /srv/pg`,
			pids: []int{7, 8},
		},
		{
			name: "without_proc_by_number",
			text: "me 100\npidfile 7\nnoproc\nps 7 1 100 S postgres\nps 8 7 100 S postgres: walwriter",
			pids: []int{7, 8},
		},
		{
			name: "without_proc_the_number_is_somebody_elses",
			text: "me 100\npidfile 8\nnoproc\nps 7 1 100 S postgres -D /srv/pg2\nps 8 7 100 S postgres: walwriter\nps 9 1 100 S sleep 10",
		},
		{
			name:  "without_proc_nobody_knows_whose_an_orphan_is",
			text:  "me 100\npidfile\nnoproc\nps 8 1 100 S postgres: app orders [local] idle",
			doubt: "process 8 has outlived its postmaster",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.NewReplacer("A\n", "\x01\n", "A", "\x01").Replace(strings.TrimSpace(tt.text)) + "\nend\n"
			l, err := parseListing(text)
			require.NoError(t, err)
			pids, why := l.in("/srv/pg")
			require.Equal(t, tt.pids, pids)
			if tt.doubt == "" {
				require.Empty(t, why)
				return
			}
			require.Len(t, why, 1)
			for _, reason := range why {
				require.Contains(t, reason, tt.doubt)
			}
		})
	}
}

func TestListingMustBeComplete(t *testing.T) {
	whole := "me 100\ndir 1:10 100\ncwd /proc/7/cwd 1:10\nproc 7 1 100 S\nargs 7 postgres\x01\nend\n"
	_, err := parseListing(whole)
	require.NoError(t, err)
	for i := range len(whole) - 1 {
		_, err := parseListing(whole[:i])
		require.Error(t, err, "cut off after %q", whole[:i])
	}
	for _, line := range []string{"who knows", "me x", "dir 1:10 x", "proc 7 1 100", "proc a 1 100 S", "args 9 x", "near 9", "nested 9 1", "cwd /proc/x/cwd 1:1"} {
		_, err := parseListing("me 100\nabsent\n" + line + "\nend\n")
		require.ErrorIs(t, err, errListing, line)
	}
}

// TestListingLaw: what the owner can see is decided by the working directory alone: every living process in it is returned,
// no other, and there is no doubt.
func TestListingLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := listing{me: 100, dir: "1:10", owner: 100, procs: map[int]*process{}}
		want := map[int]bool{}
		for pid := range rapid.IntRange(0, 8).Draw(t, "processes") {
			p := &process{
				pid: pid, ppid: rapid.IntRange(0, 8).Draw(t, "parent"), uid: rapid.SampledFrom([]int{100, 200}).Draw(t, "user"),
				zombie: rapid.Bool().Draw(t, "zombie"), near: rapid.Bool().Draw(t, "near"),
				args: []string{"postgres", "-D", rapid.SampledFrom([]string{"/mnt/pg", "/srv/pg2"}).Draw(t, "dir")},
			}
			if p.uid == 100 {
				p.cwd = rapid.SampledFrom([]string{"1:10", "1:11"}).Draw(t, "cwd")
			}
			if p.cwd == "1:10" && !p.zombie {
				want[pid] = true
			}
			l.procs[pid] = p
		}
		pids, why := l.in("/srv/pg")
		require.Empty(t, why)
		require.Len(t, pids, len(want))
		for _, pid := range pids {
			require.True(t, want[pid])
		}
	})
}

// answers is a host that gives one listing after the other, and the last one for ever.
type answers struct {
	host.Host
	texts []string
}

func (a *answers) Run(context.Context, host.Cmd) (host.Result, error) {
	text := a.texts[0]
	if len(a.texts) > 1 {
		a.texts = a.texts[1:]
	}
	return host.Result{Stdout: []byte(text)}, nil
}

// TestDoubtMustLast: processes that end one after the other, each hidden for a moment, are no doubt; one that stays hidden is.
func TestDoubtMustLast(t *testing.T) {
	hidden := func(pids ...string) string {
		text := "me 100\npidfile\ndir 1:10 100\ncwd /proc/7/cwd 1:10\nproc 7 1 100 S\n"
		for _, pid := range pids {
			text += "proc " + pid + " 20 100 S\n"
		}
		return text + "end\n"
	}
	list := func(t *testing.T, texts ...string) ([]int, error) {
		n, err := New(Config{Host: &answers{texts: texts}, BinDir: "/bin", DataDir: "/srv/pg"})
		require.NoError(t, err)
		return n.Processes(t.Context())
	}
	synctest.Test(t, func(t *testing.T) {
		pids, err := list(t, hidden("21", "22"), hidden("22", "23"), hidden("23", "24"), hidden("24"))
		require.NoError(t, err)
		require.Equal(t, []int{7}, pids)

		begun := time.Now()
		pids, err = list(t, hidden("21", "22"), hidden("22"), hidden("22", "23"))
		var doubt *DoubtError
		require.ErrorAs(t, err, &doubt)
		require.Contains(t, doubt.Reason, "process 22")
		require.Equal(t, []int{7}, pids, "what is known can still be killed")
		require.GreaterOrEqual(t, time.Since(begun), lastingDoubt)
	})
}
