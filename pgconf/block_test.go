package pgconf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
)

const (
	begin = "# BEGIN managed block m"
	end   = "# END managed block m"
)

func settings(namesAndValues ...string) (all []pgconf.Setting) {
	for i := 0; i < len(namesAndValues); i += 2 {
		all = append(all, pgconf.Setting{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return all
}

func TestSetBlock(t *testing.T) {
	for name, c := range map[string]struct {
		before   string
		settings []pgconf.Setting
		after    string
	}{
		"appended":       {"a = 1\n", settings("b", "it's", "A", "2"), "a = 1\n" + begin + "\nb = 'it''s'\nA = '2'\n" + end + "\n"},
		"empty_file":     {"", settings("b", "1"), begin + "\nb = '1'\n" + end + "\n"},
		"crlf":           {"a = 1\r\n", settings("b", "1"), "a = 1\r\n" + begin + "\r\nb = '1'\r\n" + end + "\r\n"},
		"open_file":      {"x = 1\r\na = 1", settings("b", "1"), "x = 1\r\na = 1\r\n" + begin + "\r\nb = '1'\r\n" + end},
		"nothing_in_it":  {"a = 1\n", nil, "a = 1\n" + begin + "\n" + end + "\n"},
		"kept_in_place":  {begin + "\nb = '2'\nold = 1\n" + end + "\nz = 1\n", settings("b", "1"), begin + "\nb = '1'\n" + end + "\nz = 1\n"},
		"emptied":        {begin + "\nb = '2'\n" + end, nil, begin + "\n" + end},
		"remarks_vanish": {" " + begin + " \n# mine\nb = 1\n" + end + "\r\n", settings("b", "1"), " " + begin + " \nb = '1'\n" + end + "\r\n"},
		"other_block":    {"# BEGIN managed block x\n# END managed block x\n", settings("b", "1"), "# BEGIN managed block x\n# END managed block x\n" + begin + "\nb = '1'\n" + end + "\n"},
		"prose":          {"# BEGIN managed block\n#" + begin + "\n", nil, "# BEGIN managed block\n#" + begin + "\n" + begin + "\n" + end + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := pgconf.Parse("f", []byte(c.before))
			require.NoError(t, err)
			for _, step := range []string{"first", "again", "parsed"} {
				later, err := f.SetBlock("m", c.settings)
				require.NoError(t, err)
				require.Empty(t, later)
				require.Equal(t, c.after, string(f.Bytes()), step)
				got, ok, err := f.Block("m")
				require.NoError(t, err)
				require.True(t, ok)
				require.Len(t, got, len(c.settings))
				for i, s := range c.settings {
					require.Equal(t, s.Value, got[i].Value)
				}
				if step == "again" {
					f, err = pgconf.Parse("f", f.Bytes())
					require.NoError(t, err)
				}
			}
		})
	}
}

func TestSetBlockTouchesOnlyWhatDiffers(t *testing.T) {
	f, err := pgconf.Parse("f", []byte("a = 1\n"+begin+"\nb = '1'\nc = '1'\nd = '1'\n"+end+"\nz = 1\n"))
	require.NoError(t, err)
	_, err = f.SetBlock("m", settings("b", "1", "c", "2", "x", "3", "d", "1"))
	require.NoError(t, err)
	require.Equal(t, "--- f\n+++ f\n@@ -1,7 +1,8 @@\n a = 1\n "+begin+"\n b = '1'\n-c = '1'\n+c = '2'\n+x = '3'\n d = '1'\n "+end+"\n z = 1\n", f.Diff())
}

func TestSetBlockTellsWhatOverrules(t *testing.T) {
	f, err := pgconf.Parse("f", []byte("b = 0\n"+begin+"\n"+end+"\nB = 7\nc = 1\ninclude_dir 'x'\n"))
	require.NoError(t, err)
	later, err := f.SetBlock("m", settings("b", "1", "d", "2"))
	require.NoError(t, err)
	require.Equal(t, []pgconf.Setting{
		{Name: "b", Spelling: "B", Value: "7", File: "f", Line: 6, Col: 1},
		{Name: "include_dir", Spelling: "include_dir", Value: "x", File: "f", Line: 8, Col: 1},
	}, later)
	require.NoError(t, f.RemoveBlock("m"))
	later, err = f.SetBlock("m", settings("b", "1", "d", "2"))
	require.NoError(t, err)
	require.Empty(t, later, "it is at the end now")
	got, _ := f.Get("b")
	require.Equal(t, "1", got.Value)
}

func TestRemoveBlock(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "one": "a = 1\n", "open": "a = 1", "crlf": "a = 1\r\n", "crlf_open": "a = 1\r\nb = 1",
		"cr": "a = 1\r", "crlf_cr": "a = 1\r\nb = 1\r", "blank": "\n", "bad": "a = 'x",
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := pgconf.Parse("f", []byte(text))
			require.NoError(t, f.RemoveBlock("m"))
			_, err := f.SetBlock("m", settings("x", "1"))
			require.NoError(t, err)
			again, _ := pgconf.Parse("f", f.Bytes())
			for _, f := range []*pgconf.File{f, again} {
				require.NoError(t, f.RemoveBlock("m"))
				require.Equal(t, text, string(f.Bytes()))
				_, ok, err := f.Block("m")
				require.NoError(t, err)
				require.False(t, ok)
			}
			require.Empty(t, f.Diff())
		})
	}
	f, err := pgconf.Parse("f", []byte("a = 1\n"+begin+"\nb = 1\n"+end+"\nz = 1"))
	require.NoError(t, err)
	require.NoError(t, f.RemoveBlock("m"))
	require.Equal(t, "a = 1\nz = 1", string(f.Bytes()))
}

// TestByteOrderMarkStaysBad: in the first line it is an error, further down a part of a name, wherever edits move it.
func TestByteOrderMarkStaysBad(t *testing.T) {
	const mark = "\uFEFFa = 1"
	f, err := pgconf.Parse("f", []byte(mark))
	require.Error(t, err)
	require.NoError(t, f.Set("b", "1"))
	require.Len(t, f.Settings(), 1)

	f, err = pgconf.Parse("f", []byte(begin+"\n"+end+"\n"+mark+"\n"))
	require.NoError(t, err)
	require.Len(t, f.Settings(), 1)
	require.NoError(t, f.RemoveBlock("m"))
	require.Empty(t, f.Settings())
}

func TestDamagedBlock(t *testing.T) {
	const other, otherEnd = "# BEGIN managed block x", "# END managed block x"
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"no_end":         {"a = 1\n" + begin + "\nb = 1\n", 2},
		"no_begin":       {"a = 1\n" + end + "\n", 2},
		"nested":         {begin + "\n" + begin + "\n" + end + "\n" + end + "\n", 2},
		"other_in_it":    {begin + "\n" + other + "\n" + otherEnd + "\n" + end + "\n", 2},
		"overlapping":    {begin + "\n" + otherEnd + "\n" + end + "\n", 2},
		"twice":          {begin + "\n" + end + "\n" + begin + "\n" + end + "\n", 3},
		"other_damaged":  {begin + "\n" + end + "\n" + other + "\n", 3},
		"end_twice":      {begin + "\n" + end + "\n" + end + "\n", 3},
		"end_after_gone": {other + "\n" + otherEnd + "\n" + end + "\n", 3},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := pgconf.Parse("my.conf", []byte(c.text))
			require.NoError(t, err)
			_, setErr := f.SetBlock("m", settings("a", "1"))
			_, _, getErr := f.Block("m")
			for _, err := range []error{setErr, getErr, f.RemoveBlock("m")} {
				require.ErrorIs(t, err, pgconf.ErrBlock)
				var syntax *pgconf.SyntaxError
				require.ErrorAs(t, err, &syntax)
				require.Equal(t, pgconf.SyntaxError{File: "my.conf", Line: c.line, Col: 1, Msg: syntax.Msg}, *syntax)
			}
			require.Equal(t, c.text, string(f.Bytes()))
		})
	}
}

func TestSetBlockRefuses(t *testing.T) {
	f := pgconf.New("f")
	for _, marker := range []string{"", " ", " m", "m ", "a\nb", "a\x00", "a\r"} {
		_, err := f.SetBlock(marker, nil)
		require.ErrorIs(t, err, pgconf.ErrBlock, "%q", marker)
		require.ErrorIs(t, f.RemoveBlock(marker), pgconf.ErrBlock)
	}
	for name, c := range map[string]struct {
		settings []pgconf.Setting
		want     error
	}{
		"name":    {settings("a", "1", "x y", "1"), pgconf.ErrName},
		"value":   {settings("a", "1", "x", "\x00"), pgconf.ErrValue},
		"include": {settings("include", "1"), pgconf.ErrName},
		"twice":   {settings("a", "1", "A", "1"), pgconf.ErrName},
	} {
		_, err := f.SetBlock("m", c.settings)
		require.ErrorIs(t, err, c.want, name)
	}
	require.Empty(t, f.Bytes())
}
