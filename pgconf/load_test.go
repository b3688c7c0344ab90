package pgconf_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
)

// tree makes a file system of paths and contents. A content that begins with "-> " is a link.
func tree(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		f := &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			f = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
		}
		if strings.HasSuffix(name, "/") {
			f = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		}
		m[strings.Trim(name, "/")] = f
	}
	return m
}

// shown renders settings as "name=value file:line", without the folder that all share.
func shown(settings []pgconf.Setting) []string {
	all := []string{}
	for _, s := range settings {
		all = append(all, fmt.Sprintf("%s=%s %s:%d", s.Spelling, s.Value, strings.TrimPrefix(s.File, "/d/"), s.Line))
	}
	return all
}

// problems renders problems as "file:line:col: first words", without the folder that all share.
func problems(t *testing.T, err error) []string {
	t.Helper()
	all := []string{}
	if err == nil {
		return all
	}
	var list pgconf.LoadErrors
	require.ErrorAs(t, err, &list)
	for _, p := range list {
		all = append(all, strings.ReplaceAll(p.Error(), "/d/", ""))
	}
	return all
}

var loads = []struct {
	name    string
	opt     pgconf.Options
	files   map[string]string
	entries []string // of /d/postgresql.conf
	errs    []string
}{
	{
		name:  "includes_stand_for_their_content",
		files: map[string]string{"postgresql.conf": "a=1\ninclude 'x/one.conf'\na=4\n", "x/one.conf": "a=2\ninclude 'two.conf'\n", "x/two.conf": "A=3"},
		entries: []string{
			"a=1 postgresql.conf:1", "a=2 x/one.conf:1", "A=3 x/two.conf:1", "a=4 postgresql.conf:3",
		},
	},
	{
		name: "folder_order_and_choice",
		files: map[string]string{
			"postgresql.conf": "INCLUDE_DIR = 'conf.d'", "conf.d/b.conf": "a=b", "conf.d/Z.conf": "a=Z", "conf.d/9.conf": "a=9",
			"conf.d/10.conf": "a=10", "conf.d/.x.conf": "a=0", "conf.d/.conf": "a=0", "conf.d/x.CONF": "a=0", "conf.d/x.conf~": "a=0",
			"conf.d/sub.conf/y.conf": "a=0", "conf.d/é.conf": "a=é", "conf.d/l.conf": "-> ../elsewhere", "elsewhere": "a=l",
			"conf.d/m.conf": "-> ../conf.d",
		},
		entries: []string{
			"a=10 conf.d/10.conf:1", "a=9 conf.d/9.conf:1", "a=Z conf.d/Z.conf:1", "a=b conf.d/b.conf:1", "a=l conf.d/l.conf:1", "a=é conf.d/é.conf:1",
		},
	},
	{
		name:    "empty_folder",
		files:   map[string]string{"postgresql.conf": "include_dir 'e'\na=1", "e/": ""},
		entries: []string{"a=1 postgresql.conf:2"},
	},
	{
		name:    "auto_conf_comes_last",
		files:   map[string]string{"postgresql.conf": "a=1", "postgresql.auto.conf": "a=2\ninclude 'y.conf'\n", "y.conf": "b=3"},
		entries: []string{"a=1 postgresql.conf:1", "a=2 postgresql.auto.conf:1", "b=3 y.conf:1"},
	},
	{
		name:    "no_auto_conf_before_9.4",
		opt:     pgconf.Options{Major: pgconf.V9_3},
		files:   map[string]string{"postgresql.conf": "a=1", "postgresql.auto.conf": "a=2"},
		entries: []string{"a=1 postgresql.conf:1"},
	},
	{
		name: "directives_of_their_time",
		opt:  pgconf.Options{Major: pgconf.V9_1},
		files: map[string]string{
			"postgresql.conf": "include_if_exists 'x'\ninclude_dir 'y'\ninclude z\n", "z": "a=1",
		},
		entries: []string{"a=1 z:1"},
		errs: []string{
			"postgresql.conf:1:1: include_if_exists exists from 9.2 on, the server is a 9.1; write include",
			"postgresql.conf:2:1: include_dir exists from 9.3 on, the server is a 9.1; write include",
		},
	},
	{
		name: "data_directory_elsewhere",
		files: map[string]string{
			"postgresql.conf": "data_directory '/wrong'\ninclude 'x'\nDATA_DIRECTORY='/wrong'\n", "x": "data_directory='/var//lib/'",
			"/var/lib/postgresql.auto.conf": "a=1", "postgresql.auto.conf": "a=2", "/wrong/postgresql.auto.conf": "a=3",
		},
		entries: []string{
			"data_directory=/wrong postgresql.conf:1", "data_directory=/var//lib/ x:1", "DATA_DIRECTORY=/wrong postgresql.conf:3", "a=1 /var/lib/postgresql.auto.conf:1",
		},
	},
	{
		name:    "data_directory_on_the_command_line",
		opt:     pgconf.Options{Args: []string{"-D", "/other", "-c", "data-directory=/var/lib"}},
		files:   map[string]string{"postgresql.conf": "data_directory '/wrong'", "/var/lib/postgresql.auto.conf": "a=1"},
		entries: []string{"data_directory=/wrong postgresql.conf:1", "a=1 /var/lib/postgresql.auto.conf:1"},
	},
	{
		name:    "data_directory_by_option",
		opt:     pgconf.Options{DataDir: "/var/lib"},
		files:   map[string]string{"postgresql.conf": "", "/var/lib/postgresql.auto.conf": "a=1", "postgresql.auto.conf": "a=2"},
		entries: []string{"a=1 /var/lib/postgresql.auto.conf:1"},
	},
	{
		name:    "data_directory_by_argument",
		opt:     pgconf.Options{DataDir: "/wrong", Args: []string{"-D/var/lib"}},
		files:   map[string]string{"postgresql.conf": "", "/var/lib/postgresql.auto.conf": "a=1"},
		entries: []string{"a=1 /var/lib/postgresql.auto.conf:1"},
	},
	{
		name:    "relative_data_directory",
		files:   map[string]string{"postgresql.conf": "data_directory = data\na=1"},
		entries: []string{"data_directory=data postgresql.conf:1", "a=1 postgresql.conf:2"},
		errs:    []string{"postgresql.conf:1:1: data_directory is relative to the folder the server is started in, which no file tells; write an absolute path"},
	},
	{
		name: "missing",
		files: map[string]string{
			"postgresql.conf": "include 'no'\ninclude_if_exists 'no'\ninclude_dir 'no'\ninclude_if_exists 'x/y'\ninclude 'dangling'\ninclude_dir d\na=1", "x": "b=1",
			"dangling": "-> /no", "d/z.conf": "-> /no",
		},
		entries: []string{"a=1 postgresql.conf:7"},
		errs: []string{
			`postgresql.conf:1:1: there is no file "no"; create it, or write include_if_exists if it may be missing`,
			`postgresql.conf:3:1: cannot read the folder "no": file does not exist`,
			`postgresql.conf:5:1: there is no file "dangling"; create it, or write include_if_exists if it may be missing`,
			`postgresql.conf:6:1: cannot read the folder "d": z.conf in it: file does not exist`,
		},
	},
	{
		name: "folder_for_a_file_and_file_for_a_folder",
		files: map[string]string{
			"postgresql.conf": "include x\ninclude_if_exists x\ninclude_dir 'x/y'\na=1", "x/y": "b=1",
		},
		entries: []string{"a=1 postgresql.conf:4"},
		errs: []string{
			"x:1: is a directory (included from postgresql.conf:1)",
			`postgresql.conf:3:1: cannot read the folder "x/y": not implemented`,
		},
	},
	{
		name:    "empty_names",
		files:   map[string]string{"postgresql.conf": "include ''\ninclude_dir ' \\t'\ninclude_if_exists '\\n'\na=1"},
		entries: []string{"a=1 postgresql.conf:4"},
		errs: []string{
			"postgresql.conf:1:1: no file is named; name one, or put a # before the line",
			"postgresql.conf:2:1: no file is named; name one, or put a # before the line",
			"postgresql.conf:3:1: no file is named; name one, or put a # before the line",
		},
	},
	{
		name: "recursion",
		files: map[string]string{
			"postgresql.conf": "include './postgresql.conf'\ninclude_dir '.'\ninclude 'x/../postgresql.conf'\na=1", "x/y": "",
		},
		entries: []string{"a=1 postgresql.conf:4"},
		errs: []string{
			"postgresql.conf:1:1: a file includes itself; remove the line, or the file from the folder",
			"postgresql.conf:2:1: a file includes itself; remove the line, or the file from the folder",
			"postgresql.conf:3:1: a file includes itself; remove the line, or the file from the folder",
		},
	},
	{
		name:  "recursion_by_a_detour",
		files: map[string]string{"postgresql.conf": "include x", "x": "  include y\na=1", "y": "include x"},
		entries: []string{
			"a=1 x:2", "a=1 x:2", "a=1 x:2", "a=1 x:2", "a=1 x:2",
		},
		errs: []string{
			"y:1:1: files are included more than 10 levels deep, which no server follows; a file may include itself by a detour" +
				" (included from x:1, from y:1, from x:1, 6 more, from postgresql.conf:1)",
		},
	},
	{
		name: "syntax_errors_of_all_files",
		files: map[string]string{
			"postgresql.conf": "a=1\n\n b b b\ninclude x\ninclude x\n=\n", "x": "a=2\n c = c.c\n", "postgresql.auto.conf": "a=",
		},
		entries: []string{"a=1 postgresql.conf:1", "a=2 x:1", "a=2 x:1"},
		errs: []string{
			"postgresql.conf:3:6: more than one value; put the whole value in single quotes, or a # before a remark",
			"x:2:6: a value of two words with a dot between needs single quotes (included from postgresql.conf:4)",
			"postgresql.conf:6:1: a line must begin with a parameter name or #",
			"postgresql.auto.conf:1:3: no value; write '' for an empty one",
		},
	},
	{
		name:    "hostile_bytes",
		files:   map[string]string{"postgresql.conf": "\uFEFFa=1\nb='x\x00y'\n\xff='\xff'\rc\nd\x00=1\n" + strings.Repeat("e", 1000) + "=" + strings.Repeat("f", 1000)},
		entries: []string{strings.Repeat("e", 1000) + "=" + strings.Repeat("f", 1000) + " postgresql.conf:5"},
		errs: []string{
			"postgresql.conf:1:1: the file starts with a UTF-8 byte order mark, which the server takes as part of a name; save it without",
			"postgresql.conf:2:5: NUL byte in a value, where the server would cut it off; remove it",
			"postgresql.conf:3:7: more than one value; put the whole value in single quotes, or a # before a remark",
			`postgresql.conf:4:2: a value cannot begin with '\x00' unless it is in single quotes`,
		},
	},
	{
		name:  "no_main_file",
		files: map[string]string{"postgresql.auto.conf": "a=1"},
		entries: []string{
			"a=1 postgresql.auto.conf:1",
		},
		errs: []string{"postgresql.conf: cannot read the file: file does not exist"},
	},
	{
		name:  "long_name",
		files: map[string]string{"postgresql.conf": "include_if_exists '" + strings.Repeat("x", 2000) + "'"},
		errs: []string{
			`postgresql.conf:1:1: cannot read the file "` + strings.Repeat("x", 2000) + `": is not a path: invalid argument`,
		},
	},
}

// mount puts files into the folder /d, unless their path is absolute.
func mount(files map[string]string) fstest.MapFS {
	all := map[string]string{}
	for name, text := range files {
		if !strings.HasPrefix(name, "/") {
			name = "/d/" + name
		}
		all[name] = text
	}
	return tree(all)
}

func TestLoad(t *testing.T) {
	for _, test := range loads {
		t.Run(test.name, func(t *testing.T) {
			c, err := pgconf.Load(mount(test.files), "/d/postgresql.conf", test.opt)
			require.NotNil(t, c)
			require.Equal(t, append([]string{}, test.errs...), problems(t, err))
			require.Equal(t, append([]string{}, test.entries...), shown(c.Entries()))
			require.Equal(t, err, c.Err())
		})
	}
}

func TestDataDir(t *testing.T) {
	for text, want := range map[string]string{"": "/d", "data_directory = '/x//y/'": "/x/y", "Data_Directory = '/x'": "/d", "data_directory = x": ""} {
		c, _ := pgconf.Load(mount(map[string]string{"postgresql.conf": text}), "/d/postgresql.conf", pgconf.Options{})
		require.Equal(t, want, c.DataDir(), text)
	}
	c := load(t, pgconf.Options{Major: pgconf.V9_3}, map[string]string{"postgresql.conf": "Data_Directory = '/x'"})
	require.Equal(t, "/x", c.DataDir())
}

// TestLoadKinds: each kind of problem can be told from the others.
func TestLoadKinds(t *testing.T) {
	c, err := pgconf.Load(mount(map[string]string{
		"postgresql.conf": "include 'no'\ninclude ''\ninclude 'postgresql.conf'\ninclude 'x'\nb b b\ninclude '/elsewhere/y'\n", "x": "include y", "y": "include x",
	}), "/d/postgresql.conf", pgconf.Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, err, pgconf.ErrIncludeEmpty)
	require.ErrorIs(t, err, pgconf.ErrIncludeRecursion)
	require.ErrorIs(t, err, pgconf.ErrIncludeDepth)
	require.NotErrorIs(t, err, pgconf.ErrTooBig)
	var syntax *pgconf.SyntaxError
	require.ErrorAs(t, err, &syntax)
	require.Equal(t, pgconf.SyntaxError{File: "/d/postgresql.conf", Line: 5, Col: 5, Msg: syntax.Msg}, *syntax)
	require.NotNil(t, c)
}

// TestLoadRoot: a file system may be a part of the disk.
func TestLoadRoot(t *testing.T) {
	files := tree(map[string]string{"main/postgresql.conf": "include 'x'\ninclude '/etc/pg/main/x'\n", "main/x": "a=1"})
	for _, main := range []string{"main/postgresql.conf", "/etc/pg/main/postgresql.conf"} {
		c, err := pgconf.Load(files, main, pgconf.Options{Root: "/etc/pg/"})
		require.NoError(t, err)
		require.Equal(t, []string{"a=1 /etc/pg/main/x:1", "a=1 /etc/pg/main/x:1"}, shown(c.Entries()))
		require.Equal(t, "/etc/pg/main/postgresql.conf", c.Main())
		require.Equal(t, "/etc/pg/main", c.DataDir())
	}
	_, err := pgconf.Load(files, "main/postgresql.conf", pgconf.Options{Root: "/etc/p"})
	require.Equal(t, []string{`/etc/p/main/postgresql.conf:2:1: cannot read the file "/etc/pg/main/x": is outside of the folder that can be read /etc/p`},
		problems(t, err))
}

// TestLoadTooMuch: no tree of includes and links keeps Load busy for long.
func TestLoadTooMuch(t *testing.T) {
	const fan = 10
	loop := map[string]string{}
	var text strings.Builder
	for i := range fan {
		loop[fmt.Sprintf("/d/l%d", i)] = "-> ."
		fmt.Fprintf(&text, "include 'l%d/postgresql.conf'\n", i)
	}
	loop["/d/postgresql.conf"] = text.String()
	_, err := pgconf.Load(tree(loop), "/d/postgresql.conf", pgconf.Options{})
	require.ErrorIs(t, err, pgconf.ErrTooBig)

	laughs := map[string]string{"/d/10": "a=1\n"}
	for i := range 10 {
		laughs[fmt.Sprintf("/d/%d", i)] = strings.Repeat(fmt.Sprintf("include '%d'\n", i+1), fan)
	}
	_, err = pgconf.Load(tree(laughs), "/d/0", pgconf.Options{})
	require.ErrorIs(t, err, pgconf.ErrTooBig)
}

// TestLoadManyFiles: a folder may be huge.
func TestLoadManyFiles(t *testing.T) {
	files := map[string]string{"/d/postgresql.conf": "include_dir d"}
	for i := range 5000 {
		files[fmt.Sprintf("/d/d/%05d.conf", i)] = fmt.Sprintf("a=%d\n", i)
	}
	c, err := pgconf.Load(tree(files), "/d/postgresql.conf", pgconf.Options{})
	require.NoError(t, err)
	s, _ := c.Get("a")
	require.Equal(t, "4999", s.Value)
	require.Len(t, s.Overruled, 4999)
	require.Len(t, c.Files(), 5001)
}

// TestLoadReads: each file is read once, and nothing that is no file.
func TestLoadReads(t *testing.T) {
	reads := counting{FS: mount(map[string]string{"postgresql.conf": "include_dir d\ninclude_dir d", "d/x.conf": "a=1", "d/y.conf": "a=2"}), opened: map[string]int{}}
	c, err := pgconf.Load(reads, "/d/postgresql.conf", pgconf.Options{})
	require.NoError(t, err)
	c.Entries()
	_, _ = c.Get("a")
	require.Equal(t, map[string]int{"d/postgresql.conf": 1, "d/d": 1, "d/d/x.conf": 1, "d/d/y.conf": 1, "d/postgresql.auto.conf": 0}, reads.opened)
}

type counting struct {
	fs.FS
	opened map[string]int
}

func (c counting) Open(name string) (fs.File, error) {
	c.opened[name]++
	return c.FS.Open(name)
}

func (c counting) Stat(name string) (fs.FileInfo, error) {
	c.opened[name] += 0
	return fs.Stat(c.FS, name)
}

// TestLoadFailingDisk: what is there and cannot be read is never passed over.
func TestLoadFailingDisk(t *testing.T) {
	files := mount(map[string]string{
		"postgresql.conf": "include_if_exists x\ninclude_dir d\ninclude pipe", "x": "a=1", "d/y.conf": "", "pipe": "", "postgresql.auto.conf": "",
	})
	files["d/pipe"].Mode = fs.ModeNamedPipe | 0o644
	_, err := pgconf.Load(failing{files}, "/d/postgresql.conf", pgconf.Options{})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Equal(t, []string{
		`postgresql.conf:1:1: cannot read the file "x": permission denied`,
		`postgresql.conf:2:1: cannot read the file "d/y.conf": permission denied`,
		`pipe:1: is not a regular file (included from postgresql.conf:3)`,
		`postgresql.auto.conf: cannot read the file: permission denied`,
	}, problems(t, err))
}

type failing struct{ fs.FS }

func (f failing) Open(name string) (fs.File, error) {
	if name == "d/postgresql.conf" || name == "d/d" {
		return f.FS.Open(name)
	}
	if name == "d/pipe" {
		return nil, errors.New("a pipe must not be opened")
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func (f failing) Stat(name string) (fs.FileInfo, error) { return fs.Stat(f.FS, name) }

// TestLoadPaths: a server shows paths as it joined them. Real servers judge this, too.
func TestLoadPaths(t *testing.T) {
	files := map[string]string{
		"postgresql.conf": "include './/x//i'\ninclude 'x/./i'\ninclude 'x/../x/i'\ninclude '/d//x/../x/i'\ninclude_dir 'x/.'\ninclude_dir 'y/../x/y/..'\n" +
			"include_dir '/d//x/y/../'\n",
		"x/i": "a=1", "x/i.conf": "a=1", "x/y/z": "",
	}
	for major, want := range map[pgconf.Major][]string{
		15: {"x/i", "x/i", "x/i", "/d//x/../x/i", "x/i.conf", "x/i.conf", "x/i.conf"},
		14: {"x/i", "x/./i", "x/../x/i", "/d//x/../x/i", "x/i.conf", "y/../x/i.conf", "x/y/../i.conf"},
	} {
		var got []string
		for _, s := range load(t, pgconf.Options{Major: major}, files).Entries() {
			if !strings.Contains(s.File, "//") {
				s.File = strings.TrimPrefix(s.File, "/d/")
			}
			got = append(got, s.File)
		}
		require.Equal(t, want, got)
	}
}
