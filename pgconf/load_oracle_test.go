package pgconf_test

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// row is one of pg_file_settings, without applied, which package guc is asked for.
type row struct {
	File, Name, Value string
	Line              int
	Bad               bool
}

func (r row) String() string {
	if r.Bad {
		return fmt.Sprintf("%s:%d !", r.File, r.Line)
	}
	return fmt.Sprintf("%s:%d %s=%q", r.File, r.Line, r.Name, r.Value)
}

// rows asks the server for those of files.
func (j *judge) rows(t *testing.T) []row {
	t.Helper()
	rows, err := j.conn.Query(t.Context(), `select sourcefile, coalesce(name, ''), coalesce(setting, ''), sourceline, name is null
		from pg_file_settings where sourcefile is not null order by seqno`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	require.NoError(t, err)
	return all
}

// disk makes files in a data directory, relative to it, for the length of a test. A content that begins with "-> " is a link, a
// name that ends in / a folder.
func disk(t *testing.T, s *oracle.Server, files map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path, top := s.Path(strings.TrimSuffix(name, "/")), strings.Split(name, "/")[0]
		if was, err := os.ReadFile(s.Path(top)); err == nil {
			require.NoError(t, os.Remove(s.Path(top)))
			t.Cleanup(func() { s.Write(t, top, was) })
		}
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(s.Path(top))) })
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		target, link := strings.CutPrefix(files[name], "-> ")
		switch {
		case name[len(name)-1] == '/':
			require.NoError(t, os.MkdirAll(path, 0o755))
		case link:
			require.NoError(t, os.Symlink(target, path))
		default:
			s.Write(t, name, []byte(files[name]))
		}
	}
}

// compareTrees fails the test if the server and Load differ over the rows of the view.
func (j *judge) compareTrees(t *testing.T, files map[string]string, fsys fs.FS) {
	t.Helper()
	disk(t, j.server, files)
	want := j.rows(t)
	c, err := pgconf.Load(fsys, j.server.Path("postgresql.conf"), pgconf.Options{Major: pgconf.Major(j.server.Major)})
	require.NotNil(t, c)
	got := []row{}
	bad := false
	for _, s := range c.FileSettings() {
		got = append(got, row{s.File, s.Spelling, s.Value, s.Line, s.Err != nil})
		bad = bad || s.Err != nil
	}
	require.Equal(t, want, got, "%v", files)
	require.Equal(t, bad, err != nil)
}

// ownView are the cases of loads that a server sees in another way, with the reason.
var ownView = map[string]string{
	"relative_data_directory":            "a server that runs knows its data directory",
	"hostile_bytes":                      "byte order marks and NUL bytes are errors here",
	"no_main_file":                       "the server gives no place for this error",
	"long_name":                          "the server cuts the path off",
	"recursion":                          "names differ until 14, see the next test",
	"missing":                            "a dangling link is absent here, see below",
	"no_auto_conf_before_9.4":            "no such server",
	"directives_of_their_time":           "no such server",
	"data_directory_by_option":           "of paths elsewhere",
	"data_directory_by_argument":         "of paths elsewhere",
	"data_directory_elsewhere":           "of paths elsewhere",
	"data_directory_on_the_command_line": "of paths elsewhere",
}

// views are more trees, of paths in all spellings and links above all.
var views = map[string]map[string]string{
	"paths": {
		"postgresql.conf": "include './/x//i.conf'\ninclude 'x/./i.conf'\ninclude 'x/../x/i.conf'\ninclude_dir './x/.'\ninclude_dir 'x//'\n" +
			"include_dir 'x/y/..'\ninclude 'x/y/up.conf'\ninclude 'x/../x/y/up.conf'\ninclude_dir 'x/y/../../x/y/.././y/.'",
		"x/i.conf": "a.b=1\n", "x/y/up.conf": "a.c=2\ninclude '../i.conf'\ninclude './../i.conf'\ninclude '.././i.conf'\n",
	},
	"absolute_paths": {
		"postgresql.conf": "include '$D/x/i.conf'\ninclude '$D//x/./i.conf'\ninclude_dir '$D//x/../x//'\n",
		"x/i.conf":        "a.b=1\ninclude 'k'\n", "x/k": "a.k=1",
	},
	"recursion": {
		"postgresql.conf": "include 'postgresql.conf'\ninclude './postgresql.conf'\ninclude 'r.conf'\na.x=1\n", "r.conf": "a.r=1\nInclude_Dir 'd'\na.r=2",
		"d/1.conf": "a.d=1\n", "d/2.conf": "a.d=2\ninclude_dir '../d'\na.d=3\n", "d/3.conf": "a.d=4",
	},
	"missing": {
		"postgresql.conf": "a.a=1\ninclude no\ninclude_if_exists no\ninclude_dir no\ninclude_if_exists 'x/y'\ninclude 'dangling'\n" +
			"include_if_exists dangling\ninclude_dir d\na.a=2", "x": "b=1", "dangling": "-> no", "d/z.conf": "-> no", "d/a.conf": "a.a=3",
	},
	"links": {
		"postgresql.conf": "include_dir d\ninclude_dir 'e'\n", "d/a.conf": "-> ../x", "x": "a.x=1\ninclude y", "d/y": "a.y=1", "y": "a.y=2",
		"d/b.conf": "-> ../e", "e": "-> d",
	},
	"link_loop": {"postgresql.conf": "include_if_exists l\ninclude l\na.x=1", "l": "-> m", "m": "-> l"},
	"auto_conf": {
		"postgresql.conf": "a.x=1\na.X=2\na.x=3\nPORT=7\nport = 8\nno_such_thing = 1\n", "postgresql.auto.conf": "a.x='4'\ninclude_dir d\n", "d/x.conf": "a.x=5",
	},
	"auto_conf_not_after_an_error": {"postgresql.conf": "a.x=1\ninclude x\n", "x": "x x x", "postgresql.auto.conf": "a.x='4'"},
	"auto_conf_with_an_error":      {"postgresql.conf": "a.x=1\n", "postgresql.auto.conf": "a.x='4'\na\n\na.x=5"},
	"auto_conf_is_a_folder":        {"postgresql.conf": "a.x=1\n", "postgresql.auto.conf/x": ""},
	"errors_in_a_folder":           {"postgresql.conf": "a.x=1\ninclude_dir d\na.x=2", "d/1.conf": "a.x=3\nx x x\na.x=4", "d/2.conf": "a.x=5"},
	"empty_files":                  {"postgresql.conf": "include x\ninclude_dir d\ninclude y", "x": "", "d/": "", "y": "\n\n# x"},
	"crlf":                         {"postgresql.conf": "include x\r\nInclude 'x'\r\n\r\na.x=1\r\n", "x": "a.x=2\r\n"},
}

// chain returns files that include each other up to that depth.
func chain(depth int) map[string]string {
	files := map[string]string{"postgresql.conf": "a.x=0\ninclude d1\na.x=100\n"}
	for i := 1; i <= depth; i++ {
		files[fmt.Sprintf("d%d", i)] = fmt.Sprintf("a.x=%d\ninclude_dir 'none'\ninclude d%d\na.x=%d", i, i+1, 100+i)
	}
	files[fmt.Sprintf("d%d", depth)] = "a.x=last"
	files["none/"] = ""
	return files
}

func TestOracleLoad(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		for _, test := range loads {
			if ownView[test.name] == "" {
				t.Run(test.name, func(t *testing.T) { j.compareTrees(t, test.files, os.DirFS("/")) })
			}
		}
		for name, files := range views {
			here := map[string]string{}
			for path, text := range files {
				here[path] = strings.ReplaceAll(text, "$D", s.Data)
			}
			t.Run("view/"+name, func(t *testing.T) { j.compareTrees(t, here, os.DirFS("/")) })
		}
		for _, depth := range []int{10, 11, 12} {
			t.Run(fmt.Sprintf("depth_%d", depth), func(t *testing.T) { j.compareTrees(t, chain(depth), os.DirFS("/")) })
		}
		t.Run("unreadable", func(t *testing.T) {
			files := map[string]string{"postgresql.conf": "a.x=1\ninclude 'secret'\ninclude_dir d\na.x=2", "secret": "a.x=3", "d/x.conf": "a.x=4", "d/y.conf": "a.x=5"}
			disk(t, s, files)
			locked := map[string]bool{}
			for _, name := range []string{"secret", "d/x.conf"} {
				require.NoError(t, os.Chmod(s.Path(name), 0))
				locked[s.Path(name)[1:]] = true
			}
			delete(files, "secret")
			delete(files, "d/x.conf")
			j.compareTrees(t, files, lockedFS{os.DirFS("/"), locked})
		})
	})
}

// lockedFS keeps even root from reading some files.
type lockedFS struct {
	fs.FS
	locked map[string]bool
}

func (l lockedFS) Open(name string) (fs.File, error) {
	if l.locked[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.FS.Open(name)
}

func (l lockedFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(l.FS, name) }

// randomTree makes some files that include each other.
func randomTree(r *rand.Rand) map[string]string {
	names := []string{"postgresql.conf", "i", "d/a.conf", "d/b.conf", "d/e/c.conf", "postgresql.auto.conf"}
	paths := []string{"i", "d/a.conf", "a.conf", "../i", "d", ".", "..", "e", "e/c.conf", "d/e", "./i", "d/../i", "no", "", "../d/b.conf", "../../i", "postgresql.conf"}
	files := map[string]string{}
	for _, name := range names {
		if r.IntN(6) == 0 && name != "postgresql.conf" {
			continue
		}
		var b strings.Builder
		for range r.IntN(5) {
			switch r.IntN(7) {
			case 0, 1:
				word := []string{"include", "include_if_exists", "include_dir", "INCLUDE"}[r.IntN(4)]
				fmt.Fprintf(&b, "%s '%s'\n", word, paths[r.IntN(len(paths))])
			case 2:
				if r.IntN(4) == 0 {
					b.WriteString("bad bad bad\n")
				}
			case 3:
				b.WriteString("# \n")
			default:
				fmt.Fprintf(&b, "a.%c = %d\n", "xyX"[r.IntN(3)], r.IntN(10))
			}
		}
		files[name] = b.String()
	}
	return files
}

// TestOracleLoadRandom: whatever files include each other, we read what the server reads. The seed is fixed.
func TestOracleLoadRandom(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		r := rand.New(rand.NewPCG(5, 6))
		for i := range 150 {
			files := randomTree(r)
			t.Run(fmt.Sprint(i), func(t *testing.T) { j.compareTrees(t, files, os.DirFS("/")) })
		}
	})
}
