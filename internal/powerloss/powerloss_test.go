package powerloss_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/powerloss"
)

// found is what programs are found out to leave of a file "final" whose old content is "old" and new one "content".
type found struct {
	old, whole, torn, gone bool // at some moment
	doneNotWhole           bool // after the program had said that it succeeded
	states                 int
}

// look runs a shell script in a folder that holds "final" and "source".
func look(t *testing.T, script string) found {
	t.Helper()
	if !powerloss.Available() {
		localpg.Missing(t, "no strace on PATH")
	}
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "final"), []byte("old"), 0o600))
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Dir = folder
	trace, err := powerloss.Record(cmd, folder)
	require.NoError(t, err)
	require.Zero(t, trace.Exit)
	var f found
	for state := range trace.States() {
		f.states++
		after := t.TempDir()
		require.NoError(t, state.Build(after))
		b, err := os.ReadFile(filepath.Join(after, "final"))
		switch {
		case err != nil:
			f.gone = true
		case string(b) == "old":
			f.old = true
		case string(b) == "content":
			f.whole = true
		default:
			f.torn = true
		}
		f.doneNotWhole = f.doneNotWhole || state.Done && string(b) != "content"
	}
	return f
}

func TestStates(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		want         found
	}{
		{"write_in_place", `printf content >final; sync final; sync .`, found{old: true, whole: true, torn: true}},
		{"rename", `printf content >tmp; mv tmp final`, found{old: true, whole: true, torn: true, doneNotWhole: true}},
		{"rename_of_synced", `printf content >tmp; sync tmp; mv tmp final`, found{old: true, whole: true, doneNotWhole: true}},
		{"all", `printf content >tmp; sync tmp; mv tmp final; sync .`, found{old: true, whole: true}},
		{"sync_too_late", `printf content >tmp; mv tmp final; sync final; sync .`, found{old: true, whole: true, torn: true}},
		{"remove_first", `printf content >tmp; sync tmp; rm final; ln tmp final; rm tmp; sync .`, found{old: true, whole: true, gone: true}},
		{"two_writes", `{ printf con; printf tent; } >tmp; sync tmp; mv tmp final; sync .`, found{old: true, whole: true}},
		{"another_folder", `mkdir d; printf content >d/tmp; sync d/tmp; mv d/tmp final; sync .`, found{old: true, whole: true, doneNotWhole: true}},
		{"another_folder_synced", `mkdir d; printf content >d/tmp; sync d/tmp; sync d; mv d/tmp final; sync .; sync d`, found{old: true, whole: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := look(t, tc.script)
			require.Greater(t, got.states, 4)
			got.states = 0
			require.Equal(t, tc.want, got)
		})
	}
}

// What the model does not know is an error, and so is a file that comes from elsewhere.
func TestRecord_refuses(t *testing.T) {
	if !powerloss.Available() {
		localpg.Missing(t, "no strace on PATH")
	}
	for _, script := range []string{`ln -s x y`, `echo x >>final`, `touch /tmp/$$ && mv /tmp/$$ final`} {
		folder := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
		cmd.Dir = folder
		_, err := powerloss.Record(cmd, folder)
		require.Error(t, err, script)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "exit 3")
	trace, err := powerloss.Record(cmd, t.TempDir())
	require.NoError(t, err)
	require.Equal(t, 3, trace.Exit)
}
