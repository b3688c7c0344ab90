package guc_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

func ExampleDiff() {
	old, err := pgconf.Parse("old.conf", []byte("shared_buffers = 1GB\nwork_mem = 4MB\nport = 5432\n"))
	if err != nil {
		panic(err)
	}
	now, err := pgconf.Parse("new.conf", []byte("shared_buffers = 1024MB\nwork_mem = 64MB\nport = 5433\narchive_mode = off\n"))
	if err != nil {
		panic(err)
	}
	diff := guc.Diff(old.Settings(), now.Settings(), 17)
	for _, d := range diff {
		fmt.Printf("line %d: %s %s -> %s: %s\n", d.New.Line, d.Name, d.Old.Value, d.New.Value, d.Action)
	}
	fmt.Println("all together:", guc.Needs(diff))
	// Output:
	// line 3: port 5432 -> 5433: restart
	// line 2: work_mem 4MB -> 64MB: reload
	// all together: restart
}

func TestDiff(t *testing.T) {
	tests := []struct {
		name, old, new string
		major          pgconf.Major
		want           string // name: old -> new: action; or nothing
	}{
		{"same text", "work_mem = 1MB", "work_mem = 1MB", 17, ""},
		{"units", "work_mem = 1GB", "work_mem = 1024MB", 17, ""},
		{"base unit", "work_mem = 64MB", "work_mem = 65536", 17, ""},
		{"upper case of name and word", "wal_level = replica", "WAL_LEVEL = Hot_Standby", 17, ""},
		{"bool words", "hot_standby = on", "hot_standby = yes", 17, ""},
		{"a real rounds away", "seq_page_cost = 1", "seq_page_cost = 1.0", 17, ""},
		{"line with the default", "", "work_mem = 4MB", 17, ""},
		{"another default of another major", "", "work_mem = 4MB", pgconf.V9_3, "work_mem: 1MB -> 4MB: reload"},
		{"line gone", "work_mem = 1GB", "", 17, "work_mem: 1GB -> 4MB: reload"},
		{"line gone that needs a restart", "max_wal_senders = 3", "", 17, "max_wal_senders: 3 -> 10: restart"},
		{"last line wins", "work_mem = 1MB\nwork_mem = 2MB", "work_mem = 2MB", 17, ""},
		{"last line wins in the other", "work_mem = 2MB", "work_mem = 2MB\nWork_Mem = 1MB", 17, "work_mem: 2MB -> 1MB: reload"},
		{"context of the major: 12", "primary_conninfo = a", "primary_conninfo = b", 12, "primary_conninfo: a -> b: restart"},
		{"context of the major: 13", "primary_conninfo = a", "primary_conninfo = b", 13, "primary_conninfo: a -> b: reload"},
		{"new sessions", "", "log_disconnections = on", 17, "log_disconnections: off -> on: reload and new sessions"},
		{"extension", "x.y = 1", "x.y = 2", 17, "x.y: 1 -> 2: restart"},
		{"extension without a line", "", "x.y = ''", 17, ""},
		{"alias", "sort_mem = 1MB", "work_mem = 1MB", 17, ""},
		{"include", "include = 'a'", "include_dir = 'b'", 17, ""},
		{"blanks", "log_line_prefix = '%m '", "log_line_prefix = '%m'", 17, "log_line_prefix: %m  -> %m: reload"},
		{"segments", "", "max_wal_size = 64", pgconf.V9_6, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			for _, d := range guc.Diff(settingsOf(t, test.old), settingsOf(t, test.new), test.major) {
				require.NoError(t, d.Err)
				got += fmt.Sprintf("%s: %s -> %s: %s", d.Name, d.Old.Value, d.New.Value, d.Action)
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestDiffPlaces(t *testing.T) {
	old := []pgconf.Setting{{Name: "Work_Mem", Value: "1MB", File: "a", Line: 7}, {Name: "port", Value: "1", File: "a", Line: 8}}
	now := []pgconf.Setting{{Name: "work_mem", Value: "2MB", File: "b", Line: 2}}
	diff := guc.Diff(old, now, 17)
	require.Len(t, diff, 2)
	require.Equal(t, "port", diff[0].Name)
	require.Equal(t, old[1], diff[0].Old)
	require.True(t, diff[0].WasSet)
	require.False(t, diff[0].IsSet)
	require.Equal(t, pgconf.Setting{Name: "port", Spelling: "port", Value: "5432"}, diff[0].New)
	require.Equal(t, old[0], diff[1].Old)
	require.Equal(t, now[0], diff[1].New)
	require.True(t, diff[1].IsSet)
}

func TestDiffRefused(t *testing.T) {
	diff := guc.Diff(settingsOf(t, "work_mem = 1MB"), settingsOf(t, "work_mem = 1mb\nwork_men = 1"), 17)
	require.Len(t, diff, 2)
	require.Equal(t, guc.Nothing, guc.Needs(diff))
	var value *guc.ValueError
	require.ErrorAs(t, diff[0].Err, &value)
	require.Equal(t, guc.BadUnit, value.Kind)
	require.True(t, errors.Is(diff[1].Err, guc.ErrUnknown))

	diff = guc.Diff(settingsOf(t, "hot_standby = off"), settingsOf(t, "hot_standby = maybe"), 17)
	require.Len(t, diff, 1, "what is not valid is not off")

	diff = guc.Diff(settingsOf(t, "server_version = 9"), settingsOf(t, "work_men = 1"), 17)
	require.Len(t, diff, 2)
	require.NoError(t, diff[0].Err, "the line is gone")
	require.Equal(t, guc.Never, diff[0].Action)
}
