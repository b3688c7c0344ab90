package basebackup

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// newUnpacker unpacks into a folder with a tablespace beside it.
func newUnpacker(t *testing.T, tar bool) (u *unpacker, dir, spaceDir string) {
	t.Helper()
	dir, spaceDir = t.TempDir(), t.TempDir()
	open := func(dir string) *os.Root {
		root, err := os.OpenRoot(dir)
		require.NoError(t, err)
		t.Cleanup(func() { _ = root.Close() })
		return root
	}
	u = &unpacker{
		tar: tar, dir: open(dir), roots: map[uint32]*os.Root{16384: open(spaceDir)}, hash: CRC32C.newHash(), track: &tracker{},
		walFile: newSegmentChecker(wal.DefaultSegmentSize, 1), files: map[string]fileSum{}, links: map[uint32]string{}, kept: map[string][]byte{},
	}
	t.Cleanup(u.close)
	return u, dir, spaceDir
}

// unpack runs an unpacker over archives.
func unpack(u *unpacker, pieces ...piece) error {
	in, free := make(chan piece, len(pieces)), make(chan []byte, len(pieces))
	for _, p := range pieces {
		in <- p
	}
	close(in)
	return u.run(context.Background(), in, free)
}

func TestUnpacker(t *testing.T) {
	base := pack(t, false, file("backup_label", "label"), file("PG_VERSION", "15\n"), folderEntry("global"), file("global/pg_control", "control"),
		folderEntry("pg_tblspc"), entry{tar.Header{Name: "pg_tblspc/16384", Typeflag: tar.TypeSymlink, Linkname: "/srv/a"}, ""})
	extra := pack(t, false, folderEntry("PG_15_1"), file("PG_15_1/1", "x"), file("PG_VERSION", "y"))
	inPlace := pack(t, false, folderEntry("PG_15_1"), file("PG_15_1/2", "z"))
	pieces := []piece{
		{space: &space{oid: 16384}}, {data: extra}, {space: &space{}}, {data: base},
		{manifest: true}, {data: []byte("{}")},
	}

	u, dir, spaceDir := newUnpacker(t, false)
	require.NoError(t, unpack(u, pieces...))
	require.Equal(t, []string{
		dir, dir + "/PG_VERSION.incoming", dir + "/backup_label", dir + "/backup_manifest", dir + "/global", dir + "/global/pg_control.incoming", dir + "/pg_tblspc",
	}, names(t, dir))
	require.Equal(t, []string{spaceDir, spaceDir + "/PG_15_1", spaceDir + "/PG_15_1/1", spaceDir + "/PG_VERSION"}, names(t, spaceDir))
	require.Equal(t, map[uint32]string{16384: "/srv/a"}, u.links)
	require.Contains(t, u.files, "pg_tblspc/16384/PG_15_1/1")
	require.Equal(t, "control", string(u.kept["global/pg_control"]))
	require.EqualValues(t, len(base)+len(extra), u.bytes)

	require.NoError(t, os.Mkdir(dir+"/pg_tblspc/16385", 0o700))
	require.NoError(t, unpack(u, piece{space: &space{oid: 16385, inPlace: true}}, piece{data: inPlace}))
	require.FileExists(t, dir+"/pg_tblspc/16385/PG_15_1/2")

	u, dir, _ = newUnpacker(t, true)
	require.NoError(t, unpack(u, pieces...))
	require.Equal(t, []string{dir, dir + "/16384.tar", dir + "/backup_manifest", dir + "/base.tar"}, names(t, dir))
	content, err := os.ReadFile(dir + "/base.tar")
	require.NoError(t, err)
	require.Equal(t, string(base)+segmentText(0, 1024), string(content), "servers before 15 leave the end to us")
	u, dir, _ = newUnpacker(t, true)
	whole := pack(t, true, file("a", "b"))
	require.NoError(t, unpack(u, piece{space: &space{}}, piece{data: whole}))
	content, err = os.ReadFile(dir + "/base.tar")
	require.NoError(t, err)
	require.Equal(t, string(whole), string(content))
}

func TestUnpacker_modes(t *testing.T) {
	for group, want := range map[bool][3]os.FileMode{false: {0o600, 0o700, 0o700}, true: {0o640, 0o750, 0o750}} {
		u, dir, _ := newUnpacker(t, false)
		u.group = group
		archive := pack(t, false, folderEntry("d"), file("f", ""), file("x", ""))
		copy(archive[2*tarBlock+tarMode:], "0100777")
		fixSum(archive[2*tarBlock:])
		require.NoError(t, unpack(u, piece{space: &space{}}, piece{data: archive}))
		for i, name := range []string{"f", "d", "x"} {
			info, err := os.Stat(filepath.Join(dir, name))
			require.NoError(t, err)
			require.Equal(t, want[i], info.Mode().Perm(), name)
		}
	}
}

func TestUnpacker_refuses(t *testing.T) {
	link := func(name, to string) entry {
		return entry{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}, ""}
	}
	for name, tc := range map[string]struct {
		oid     uint32
		entries []entry
	}{
		"manifest":           {0, []entry{file("backup_manifest", "")}},
		"hidden_control":     {0, []entry{folderEntry("global"), file("global/pg_control.incoming", "")}},
		"hidden_version":     {0, []entry{file("PG_VERSION.incoming", "")}},
		"file_twice":         {0, []entry{file("a", ""), file("a", "")}},
		"link_elsewhere":     {0, []entry{link("base", "/etc")}},
		"link_with_a_name":   {0, []entry{link("pg_tblspc/evil", "/etc")}},
		"link_twice":         {0, []entry{link("pg_tblspc/1", "/etc"), link("pg_tblspc/1", "/etc")}},
		"link_in_tablespace": {16384, []entry{link("pg_tblspc/1", "/etc")}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, asTar := range []bool{false, true} {
				u, _, _ := newUnpacker(t, asTar)
				err := unpack(u, piece{space: &space{oid: tc.oid}}, piece{data: pack(t, true, tc.entries...)})
				var fault *ArchiveError
				require.ErrorAs(t, err, &fault)
			}
		})
	}
	u, _, _ := newUnpacker(t, false)
	require.Error(t, unpack(u, piece{space: &space{}}, piece{data: pack(t, true, file("a", ""), folderEntry("a"))}), "a folder over a file")
	u, _, _ = newUnpacker(t, false)
	require.Error(t, unpack(u, piece{space: &space{}}, piece{data: pack(t, true, file("a", "b"))[:513]}), "cut off")
}

// The marker that a source may have kept does not take the place of ours.
func TestUnpacker_marker(t *testing.T) {
	u, dir, spaceDir := newUnpacker(t, false)
	archive := pack(t, false, file("understudy-incoming", "theirs"))
	require.NoError(t, unpack(u, piece{space: &space{oid: 16384}}, piece{data: archive}, piece{space: &space{}}, piece{data: archive}))
	require.Equal(t, []string{dir}, names(t, dir))
	require.Equal(t, []string{spaceDir}, names(t, spaceDir))
	require.EqualValues(t, 6, u.files["understudy-incoming"].size, "it is in the manifest")
}

// A link that somebody put into the folder is not followed.
func TestUnpacker_does_not_follow_links(t *testing.T) {
	u, dir, _ := newUnpacker(t, false)
	outside := t.TempDir()
	require.NoError(t, os.Symlink(outside, dir+"/base"))
	require.Error(t, unpack(u, piece{space: &space{}}, piece{data: pack(t, true, file("base/1", "x"))}))
	require.Equal(t, []string{outside}, names(t, outside))
}

func TestUnpacker_complete(t *testing.T) {
	label := "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000080\nBACKUP METHOD: streamed\n" +
		"BACKUP FROM: primary\nSTART TIME: 2026-11-21 03:26:44 UTC\nLABEL: x\nSTART TIMELINE: 1\n"
	control, err := os.ReadFile("../datadir/testdata/control/15_backup.bin")
	require.NoError(t, err)
	facts, err := datadir.ParseControl("pg_control", control)
	require.NoError(t, err)
	r := Result{Major: 15, SystemID: facts.SystemID, Start: 0x2000028, StartTimeline: 1}
	damaged := bytes.Clone(control)
	damaged[100] ^= 1
	for name, tc := range map[string]struct {
		change func(kept map[string][]byte)
		want   string
	}{
		"no_label":      {func(k map[string][]byte) { delete(k, "backup_label") }, "is missing"},
		"no_control":    {func(k map[string][]byte) { delete(k, "global/pg_control") }, "is missing"},
		"no_version":    {func(k map[string][]byte) { delete(k, "PG_VERSION") }, "is missing"},
		"other_version": {func(k map[string][]byte) { k["PG_VERSION"] = []byte("14\n") }, "the server is PostgreSQL 15"},
		"bad_control":   {func(k map[string][]byte) { k["global/pg_control"] = damaged }, "pg_control"},
		"no_backup":     {func(k map[string][]byte) { k["backup_label"] = []byte("x") }, "want START WAL LOCATION"},
		"other_start": {func(k map[string][]byte) {
			k["backup_label"] = bytes.ReplaceAll(k["backup_label"], []byte("2000028"), []byte("2000030"))
		}, "the server said 0/2000028 of 1"},
		"other_timeline": {func(k map[string][]byte) {
			k["backup_label"] = bytes.ReplaceAll(bytes.ReplaceAll(k["backup_label"], []byte("00000001"), []byte("00000002")), []byte("LINE: 1"), []byte("LINE: 2"))
		}, "the server said 0/2000028 of 1"},
		"as_it_should_be": {func(map[string][]byte) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := &unpacker{files: map[string]fileSum{}, kept: map[string][]byte{
				"backup_label": []byte(label), "PG_VERSION": []byte("15\n"), "global/pg_control": control,
			}}
			tc.change(u.kept)
			for name := range u.kept {
				u.files[name] = fileSum{}
			}
			err := u.complete(r)
			if tc.want == "" {
				require.NoError(t, err)
				other := r
				other.SystemID++
				err, tc.want = u.complete(other), "is of system"
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}
