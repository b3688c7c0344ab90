package pitr_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/pitr"
)

var errStart = errors.New("no server today")

// nobody starts no server. It notes whether one could have been started.
type nobody struct{ args []string }

func (n *nobody) Start(args []string, _ string) (pitr.Process, error) {
	n.args = args
	return nil, errStart
}

// write makes files, with folders.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
}

func backupFiles() map[string]string {
	return map[string]string{
		"PG_VERSION": "17\n", "backup_label": "START WAL LOCATION\n", "postgresql.conf": "port = 1\n", "global/pg_control": "control", "pg_wal/x": "wal",
		"postmaster.pid": "1\n", "postmaster.opts": "x\n", "standby.signal": "", "postgresql.auto.conf": "recovery_target_name = 'old'\nwork_mem = '1MB'\n",
	}
}

func writeTar(t *testing.T, name string, headers []tar.Header, contents ...string) {
	t.Helper()
	f, err := os.Create(name)
	require.NoError(t, err)
	w := tar.NewWriter(f)
	for i, h := range headers {
		h.Size, h.Mode = int64(len(contents[i])), 0o600
		require.NoError(t, w.WriteHeader(&h))
		_, err = w.Write([]byte(contents[i]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
}

func restore(t *testing.T, backup string) (string, error) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	_, err := pitr.Run(t.Context(), pitr.Options{Backup: backup, DataDir: data, RestoreCommand: "cp /a/%f %p", Target: recovery.TargetName{Name: "here"}, Runner: &nobody{}})
	return data, err
}

// What is restored has all that the backup has, but for what another server left there, and asks for the recovery that is wanted.
func TestRestore(t *testing.T) {
	plain, packed, linked := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, plain, backupFiles())
	var headers []tar.Header
	var contents []string
	for name, text := range backupFiles() {
		headers, contents = append(headers, tar.Header{Name: name, Typeflag: tar.TypeReg}), append(contents, text)
	}
	folders := []tar.Header{{Name: "./global/", Typeflag: tar.TypeDir}, {Name: "pg_wal", Typeflag: tar.TypeDir}, {Name: "pg_tblspc/7", Typeflag: tar.TypeSymlink, Linkname: "/nowhere"}}
	writeTar(t, filepath.Join(packed, "base.tar"), append(folders, headers...), append([]string{"", "", ""}, contents...)...)
	files := backupFiles()
	delete(files, "pg_wal/x")
	write(t, linked, files)
	wal := t.TempDir()
	write(t, wal, map[string]string{"x": "wal"})
	require.NoError(t, os.Symlink(wal, filepath.Join(linked, "pg_wal")))
	for _, backup := range []string{plain, packed, linked} {
		data, err := restore(t, backup)
		require.ErrorIs(t, err, errStart)
		start, err := recovery.Read(t.Context(), recovery.Disk{}, recovery.Server{DataDir: data})
		require.NoError(t, err)
		require.Equal(t, recovery.StartsRecovery, start.Outcome, "%v", start)
		require.Equal(t, recovery.TargetName{Name: "here"}, start.Config.Target)
		for name, want := range map[string]string{"global/pg_control": "control", "pg_wal/x": "wal", "backup_label": "START WAL LOCATION\n"} {
			got, err := os.ReadFile(filepath.Join(data, name))
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		}
		for _, name := range []string{"postmaster.pid", "postmaster.opts", "standby.signal", "recovery.conf"} {
			require.NoFileExists(t, filepath.Join(data, name))
		}
	}
}

func TestRestore_refused(t *testing.T) {
	change := func(change func(files map[string]string)) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			files := backupFiles()
			change(files)
			write(t, dir, files)
		}
	}
	member := func(h tar.Header) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			headers := []tar.Header{{Name: "backup_label"}, {Name: "PG_VERSION"}, {Name: "postgresql.conf"}, h}
			writeTar(t, filepath.Join(dir, "base.tar"), headers, "x", "17\n", "", "")
		}
	}
	for name, tc := range map[string]struct {
		make func(t *testing.T, dir string)
		says string
	}{
		"empty":         {func(*testing.T, string) {}, "no base backup"},
		"started_since": {change(func(f map[string]string) { delete(f, "backup_label") }), "a server was started in it"},
		"no_version":    {change(func(f map[string]string) { delete(f, "PG_VERSION") }), "PG_VERSION"},
		"no_control":    {change(func(f map[string]string) { delete(f, "global/pg_control") }), "global/pg_control"},
		"too_old":       {change(func(f map[string]string) { f["PG_VERSION"] = "9.6\n" }), "from 10 on"},
		"a_link": {func(t *testing.T, dir string) {
			t.Helper()
			write(t, dir, backupFiles())
			require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
		}, "symbolic link"},
		"a_tablespace": {func(t *testing.T, dir string) {
			t.Helper()
			write(t, dir, backupFiles())
			require.NoError(t, os.Mkdir(filepath.Join(dir, "pg_tblspc"), 0o700))
			require.NoError(t, os.Symlink("/space", filepath.Join(dir, "pg_tblspc", "16384")))
		}, "tablespace at /space"},
		"tar_leads_out":       {member(tar.Header{Name: "../x"}), "leads out"},
		"tar_absolute":        {member(tar.Header{Name: "/x"}), "leads out"},
		"tar_link":            {member(tar.Header{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc"}), "neither a file nor a folder"},
		"tar_device":          {member(tar.Header{Name: "x", Typeflag: tar.TypeChar}), "neither a file nor a folder"},
		"tar_tablespace_map":  {member(tar.Header{Name: "tablespace_map"}), "pg_control"},
		"tar_twice_the_same":  {member(tar.Header{Name: "PG_VERSION"}), "exists"},
		"tar_without_control": {member(tar.Header{Name: "x"}), "pg_control"},
		"tar_cut_off_between_members": {func(t *testing.T, dir string) {
			t.Helper()
			member(tar.Header{Name: "x"})(t, dir)
			require.NoError(t, os.Truncate(filepath.Join(dir, "base.tar"), 2048))
		}, "unexpected EOF"},
		"tar_cut_off": {func(t *testing.T, dir string) {
			t.Helper()
			member(tar.Header{Name: "x"})(t, dir)
			require.NoError(t, os.Truncate(filepath.Join(dir, "base.tar"), 1024+700))
		}, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tc.make(t, dir)
			data, err := restore(t, dir)
			require.ErrorContains(t, err, tc.says)
			left, err := os.ReadDir(filepath.Dir(data))
			require.NoError(t, err)
			require.Empty(t, left, "what was made is removed")
		})
	}
	data, err := restore(t, "/nonexistent")
	require.Error(t, err)
	require.NoDirExists(t, data)
}

func TestRun_options(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, backupFiles())
	good := pitr.Options{Backup: dir, DataDir: filepath.Join(t.TempDir(), "data"), RestoreCommand: "x", Runner: &nobody{}}
	for _, change := range []func(o *pitr.Options){
		func(o *pitr.Options) { o.Runner = nil }, func(o *pitr.Options) { o.DataDir = "data" }, func(o *pitr.Options) { o.Backup = "" },
	} {
		o := good
		change(&o)
		_, err := pitr.Run(t.Context(), o)
		require.ErrorContains(t, err, "options")
	}
	for _, data := range []string{filepath.Join(dir, "data"), filepath.Join(dir, "base", "data"), dir + "/."} {
		o := good
		o.DataDir = data
		_, err := pitr.Run(t.Context(), o)
		require.ErrorContains(t, err, "must not be inside the backup")
	}
	o := good
	o.DataDir += "/"
	_, err := pitr.Run(t.Context(), o)
	require.ErrorIs(t, err, errStart)
	require.NoError(t, os.RemoveAll(good.DataDir))
	o = good
	o.RestoreCommand = ""
	_, err = pitr.Run(t.Context(), o)
	require.ErrorAs(t, err, new(*recovery.FieldError))
	o = good
	o.DataDir = t.TempDir()
	_, err = pitr.Run(t.Context(), o)
	require.ErrorIs(t, err, fs.ErrExist)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = pitr.Run(ctx, good)
	require.ErrorIs(t, err, context.Canceled)
	require.NoDirExists(t, good.DataDir+".restoring")
}

func ExampleRun() {
	_, err := pitr.Run(context.Background(), pitr.Options{
		Backup:         "/nonexistent/sunday",
		DataDir:        "/var/lib/postgresql/17/restored",
		RestoreCommand: `cp /mnt/wal/%f "%p"`,
		Target:         recovery.TargetName{Name: "before the release"},
		Action:         recovery.ActionPause,
		Runner:         pitr.Local{BinDir: "/usr/lib/postgresql/17/bin"},
	})
	var bad *pitr.BackupError
	fmt.Println(errors.As(err, &bad), err)
	// Output:
	// true /nonexistent/sunday: there is no backup_label in it, so it is no base backup, or a server was started in it
}
