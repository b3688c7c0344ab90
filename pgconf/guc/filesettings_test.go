package guc_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

func ExampleFileSettings() {
	files := fstest.MapFS{"data/postgresql.conf": {Data: []byte("work_mem = 4MB\nWORK_MEM = 64\nport = 5433\nwork_mem = 8MB\nfsync = maybe\n")}}
	c, _ := pgconf.Load(files, "/data/postgresql.conf", pgconf.Options{Major: 17, Args: []string{"-p", "5432"}})
	for _, s := range guc.FileSettings(c) {
		fmt.Println(s.Line, s.Spelling, s.Applied, s.Err)
	}
	// Output:
	// 1 work_mem false <nil>
	// 2 WORK_MEM true <nil>
	// 3 port false port: the server runs with another value, from the command line or a line that spells the name in another way
	// 4 work_mem true <nil>
	// 5 fsync false fsync: not a boolean; use on or off
}

// applied returns the lines that are applied, and those with an error.
func applied(t *testing.T, text string, opt pgconf.Options) (lines, bad []int) {
	t.Helper()
	c, _ := pgconf.Load(fstest.MapFS{"d/postgresql.conf": {Data: []byte(text)}}, "/d/postgresql.conf", opt)
	for _, s := range guc.FileSettings(c) {
		if s.Applied {
			require.NoError(t, s.Err)
			lines = append(lines, s.Line)
		}
		if s.Err != nil {
			bad = append(bad, s.Line)
		}
	}
	return lines, bad
}

func TestFileSettings(t *testing.T) {
	tests := []struct {
		name, text string
		args       string
		lines, bad []int
	}{
		{"all_apply", "work_mem=1MB\nport=1\na.b=x", "", []int{1, 2, 3}, nil},
		{"later_of_the_same_spelling", "work_mem=x\nwork_mem=1MB\na.b=1\na.b=2", "", []int{2, 4}, nil},
		{"later_of_another_spelling", "WORK_MEM=x\nwork_mem=1MB\nA.b=1\na.b=2", "", []int{2, 3, 4}, []int{1}},
		{"old_name", "sort_mem=1MB\nwork_mem=2MB", "", []int{1, 2}, nil},
		{"unknown_name", "work_mem=1MB\nwork_men=1MB\na.b=1", "", nil, []int{2}},
		{"unknown_name_twice", "work_men=1MB\nwork_men=1MB", "", nil, []int{1, 2}},
		{"syntax_error", "work_mem=1MB\nx y z\na.b=1", "", nil, []int{2}},
		{"internal", "block_size=8192\nwork_mem=1MB", "", []int{2}, []int{1}},
		{"restart", "PORT=1\nPort=0x2\nport=2", "", []int{2, 3}, []int{1}},
		{"restart_and_command_line", "port=1\nPORT=5", "-p 5", []int{2}, []int{1}},
		{"reload_and_command_line", "work_mem=1MB", "-S 64", []int{1}, nil},
		{"files", "hba_file='/d/x'\nHBA_FILE='/d//x'\nident_file=x\nconfig_file='/d/postgresql.conf'\nCONFIG_FILE='/x'\ndata_directory='/d'\nData_Directory='/e'", "",
			[]int{1, 4, 6}, []int{2, 3, 5, 7}},
		{"hba_file", "hba_file='/d/x'", "", []int{1}, nil},
		{"of_the_transaction", "transaction_isolation=serializable\nTransaction_Isolation='read committed'\ntransaction_deferrable=off", "", []int{2}, []int{1, 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lines, bad := applied(t, test.text, pgconf.Options{Args: strings.Fields(test.args)})
			require.Equal(t, test.lines, lines)
			require.Equal(t, test.bad, bad)
		})
	}
}

// TestFileSettingsErrors: each kind of error can be told from the others, and shows no value.
func TestFileSettingsErrors(t *testing.T) {
	c, _ := pgconf.Load(fstest.MapFS{"d/postgresql.conf": {Data: []byte("fsync=sesame\nport='007'\n")}}, "/d/postgresql.conf", pgconf.Options{Args: []string{"-p", "3"}})
	rows := guc.FileSettings(c)
	require.ErrorIs(t, rows[0].Err, guc.ErrValue)
	require.ErrorIs(t, rows[1].Err, guc.ErrRunning)
	c, _ = pgconf.Load(fstest.MapFS{"d/postgresql.conf": {Data: []byte("sesam=1\nx sesame sesame\n")}}, "/d/postgresql.conf", pgconf.Options{})
	more := guc.FileSettings(c)
	require.ErrorIs(t, more[0].Err, guc.ErrUnknown)
	var unread *pgconf.LoadError
	require.True(t, errors.As(more[1].Err, &unread))
	require.Empty(t, more[1].Name)
	for _, row := range append(rows, more[1]) {
		require.NotContains(t, row.Err.Error(), "sesame")
		require.NotContains(t, row.Err.Error(), "007")
	}
}
