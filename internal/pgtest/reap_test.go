package pgtest

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOwnerGone(t *testing.T) {
	ended := exec.Command("true")
	require.NoError(t, ended.Run())
	me := self()
	now := time.Now()
	for name, tt := range map[string]struct {
		change func(*owner)
		age    time.Duration
		want   bool
	}{
		"this_process":             {func(*owner) {}, 24 * time.Hour, false},
		"parent_process":           {func(o *owner) { o.pid, o.started = os.Getppid(), startTime(os.Getppid()) }, 0, false},
		"ended_process":            {func(o *owner) { o.pid = ended.Process.Pid }, 0, true},
		"pid_used_again":           {func(o *owner) { o.started = "1" }, 0, true},
		"start_not_known":          {func(o *owner) { o.started = "" }, 24 * time.Hour, false},
		"other_boot_young":         {func(o *owner) { o.boot, o.pid = "x", ended.Process.Pid }, time.Hour, false},
		"other_boot_old":           {func(o *owner) { o.boot = "x" }, 7 * time.Hour, true},
		"other_namespace_young":    {func(o *owner) { o.pidns, o.pid = "x", ended.Process.Pid }, time.Hour, false},
		"other_namespace_very_old": {func(o *owner) { o.pidns = "x" }, 7 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			o, ok := ownerOf(me.labels("c"))
			require.True(t, ok)
			require.Equal(t, me, o, "labels hold the owner")
			tt.change(&o)
			require.Equal(t, tt.want, o.gone(me, now.Add(-tt.age), now))
		})
	}
	for name, labels := range map[string]map[string]string{
		"none":        {},
		"an_image":    {labelTest: "test-image", labelPID: "1"},
		"pid_missing": {labelTest: "test"},
		"pid_zero":    {labelTest: "test", labelPID: "0"},
	} {
		_, ok := ownerOf(labels)
		require.False(t, ok, name)
	}
}

func TestStartTime(t *testing.T) {
	got := startTime(os.Getpid())
	require.Regexp(t, `^[0-9]+$`, got)
	require.Equal(t, got, startTime(os.Getpid()))
	require.Empty(t, startTime(-1))
}
