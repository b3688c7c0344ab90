package pgconf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
)

func TestSet(t *testing.T) {
	for name, c := range map[string]struct{ before, name, value, after string }{
		"bare_stays_bare":          {"port = 5432\n", "port", "5433", "port = 5433\n"},
		"bare_word":                {"wal_level=minimal\n", "wal_level", "replica", "wal_level=replica\n"},
		"bare_with_unit":           {"work_mem 4MB\n", "work_mem", "64MB", "work_mem 64MB\n"},
		"bare_to_quoted":           {"x = a\n", "x", "a b", "x = 'a b'\n"},
		"bare_hex_to_quoted":       {"x = 1\n", "x", "0x1F", "x = '0x1F'\n"},
		"bare_to_empty":            {"x = 1\n", "x", "", "x = ''\n"},
		"quoted_stays_quoted":      {"port = '5432'\n", "port", "5433", "port = '5433'\n"},
		"no_blank_before_string":   {"a'b'\n", "a", "c", "a'c'\n"},
		"no_blank_before_number":   {"a+1\n", "a", "2", "a'2'\n"},
		"escapes":                  {"a = ''\n", "a", "it's\\\n\r\tx", "a = 'it''s\\\\\\n\\r\tx'\n"},
		"same_value_other_style":   {"a = '\\101'\n", "a", "A", "a = '\\101'\n"},
		"spelling_kept":            {"Port = 1\n", "PORT", "2", "Port = 2\n"},
		"last_line_wins":           {"a = 1\nA = 2\nb = 3\n", "a", "9", "a = 1\nA = 9\nb = 3\n"},
		"same_value_in_lost_line":  {"a = 9\na = 2\n", "a", "9", "a = 9\na = 9\n"},
		"line_end_kept":            {"a = 1\r\nb = 2\r\n", "a", "9", "a = 9\r\nb = 2\r\n"},
		"open_last_line":           {"a = 1", "a", "9", "a = 9"},
		"comment_touches_value":    {"a = 1#x\n", "a", "22", "a = 22#x\n"},
		"comment_keeps_column":     {"a = 1    # x\n", "a", "123", "a = 123  # x\n"},
		"comment_column_shorter":   {"a = 123  # x\n", "a", "1", "a = 1    # x\n"},
		"comment_pushed":           {"a = 1  # x\n", "a", "1234567", "a = 1234567 # x\n"},
		"comment_after_tabs":       {"a = 1\t\t# x\n", "a", "123456789", "a = 123456789\t# x\n"},
		"comment_after_tabs_short": {"a = 123456789\t# x\n", "a", "1", "a = 1\t\t# x\n"},
		"comment_pushed_by_tab":    {"a = 1\t# x\n", "a", "1234567890", "a = 1234567890\t# x\n"},
		"comment_column_utf8":      {"a = 'é'   # x\n", "a", "éé", "a = 'éé'  # x\n"},
		"trailing_blanks":          {"a = 1   \r\n", "a", "123", "a = 123   \r\n"},
		"same_width":               {"a = 1 \t # x\n", "a", "2", "a = 2 \t # x\n"},
		"indented":                 {"\t a=1\n", "a", "2", "\t a=2\n"},
		"dotted":                   {"x.y = 1\n", "X.y", "2", "x.y = 2\n"},

		"uncomment":               {"#port = 5432\t\t\t# (change requires restart)\n", "port", "6543", "port = 6543\t\t\t# (change requires restart)\n"},
		"uncomment_quoted":        {"#listen_addresses = 'localhost'\t# what\n", "listen_addresses", "*", "listen_addresses = '*'\t\t# what\n"},
		"uncomment_same":          {"x = 1\r\n#port = 5432\r\n", "port", "5432", "x = 1\r\nport = 5432\r\n"},
		"uncomment_indented":      {"  #port = 5432", "port", "5432", "  port = 5432"},
		"uncomment_underscore":    {"#_x.y = 1\n", "_x.y", "2", "_x.y = 2\n"},
		"uncomment_other_letters": {"#é = 1\n", "é", "2", "é = 2\n"},
		"uncomment_other_case":    {"#DateStyle = 'iso'\n", "datestyle", "sql", "DateStyle = 'sql'\n"},
		"not_if_set":              {"#a = 1\na = 2\n", "a", "1", "#a = 1\na = 1\n"},
		"not_prose":               {"#a = 1 is the default\n", "a", "2", "#a = 1 is the default\na = '2'\n"},
		"not_without_equals":      {"#a lot\n", "a", "2", "#a lot\na = '2'\n"},
		"not_after_blank":         {"# a = 1\n", "a", "2", "# a = 1\na = '2'\n"},
		"not_twice_commented":     {"##a = 1\n", "a", "2", "##a = 1\na = '2'\n"},
		"not_other_name":          {"#ab = 1\n#a.b = 1\n", "a", "2", "#ab = 1\n#a.b = 1\na = '2'\n"},
		"not_one_of_two":          {"#a = 1\n#a = 2\n", "a", "3", "#a = 1\n#a = 2\na = '3'\n"},
		"one_of_two_has_value":    {"#a = 1\n#a = 2\n", "a", "2", "#a = 1\na = 2\n"},
		"one_of_three_has_value":  {"#a = 2\n#a = 3\n#a = 4\n", "a", "2", "a = 2\n#a = 3\n#a = 4\n"},
		"first_of_two_same_value": {"#a = 2\n#a = '2'\n", "a", "2", "a = 2\n#a = '2'\n"},

		"append":                 {"b = 1\n", "a", "x", "b = 1\na = 'x'\n"},
		"append_as_spelled":      {"", "DateStyle", "iso", "DateStyle = 'iso'\n"},
		"append_after_open_line": {"b = 1", "a", "x", "b = 1\na = 'x'\n"},
		"append_crlf":            {"b = 1\r\n", "a", "x", "b = 1\r\na = 'x'\r\n"},
		"append_crlf_open_line":  {"b = 1\r\nc = 2", "a", "x", "b = 1\r\nc = 2\r\na = 'x'\r\n"},
		"append_after_bad_line":  {"b = 'open", "a", "x", "b = 'open\na = 'x'\n"},
		"bad_line_is_no_setting": {"a = *\n", "a", "x", "a = *\na = 'x'\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := pgconf.Parse("f", []byte(c.before))
			for _, step := range []string{"first", "again", "parsed"} {
				require.NoError(t, f.Set(c.name, c.value))
				require.Equal(t, c.after, string(f.Bytes()), step)
				got, ok := f.Get(c.name)
				require.True(t, ok)
				require.Equal(t, c.value, got.Value)
				if step == "again" {
					f, _ = pgconf.Parse("f", f.Bytes())
				}
			}
		})
	}
}

func TestSetRefuses(t *testing.T) {
	const before = "a = 1\ninclude 'x.conf'\n"
	f, err := pgconf.Parse("f", []byte(before))
	require.NoError(t, err)
	for _, name := range []string{
		"", "x.y.z", "x-y", "1x", "x y", " x", "x ", "x=", "x\n", "x\x00", "#x", "'x'", ".x", "x.",
		"include", "Include_Dir", "include_if_exists",
	} {
		require.ErrorIs(t, f.Set(name, "v"), pgconf.ErrName, "%q", name)
		require.ErrorIs(t, f.Unset(name), pgconf.ErrName, "%q", name)
	}
	require.ErrorIs(t, f.Set("a", "x\x00"), pgconf.ErrValue)
	require.ErrorIs(t, f.Set("n", "\x00"), pgconf.ErrValue)
	require.Equal(t, before, string(f.Bytes()))
}

func TestSetAll(t *testing.T) {
	f := pgconf.New("f")
	require.NoError(t, f.SetAll(map[string]string{"b": "2", "a": "1", "C": "3"}))
	require.Equal(t, "C = '3'\na = '1'\nb = '2'\n", string(f.Bytes()))

	for name, values := range map[string]map[string]string{
		"bad_name":  {"a": "9", "z z": "1"},
		"bad_value": {"a": "9", "z": "\x00"},
		"same_name": {"a": "9", "A": "1"},
	} {
		require.Error(t, f.SetAll(values), name)
		require.Equal(t, "C = '3'\na = '1'\nb = '2'\n", string(f.Bytes()), "all or nothing")
	}
}

func TestUnset(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"one":         {"b = 1\n  a = 'x' # why\r\n", "b = 1\n  #a = 'x' # why\r\n"},
		"all_of_them": {"a = 1\nA 2\nb = 1\na = 3", "#a = 1\n#A 2\nb = 1\n#a = 3"},
		"none":        {"#a = 1\nb = 1\nx.a = 1\n", "#a = 1\nb = 1\nx.a = 1\n"},
		"bad_line":    {"a = *\n", "a = *\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := pgconf.Parse("f", []byte(c.before))
			for range 2 {
				require.NoError(t, f.Unset("A"))
				require.Equal(t, c.after, string(f.Bytes()))
				_, ok := f.Get("a")
				require.False(t, ok)
			}
		})
	}
}

func TestSetAllPlaces(t *testing.T) {
	f, err := pgconf.Parse("f", []byte("#a = 1\nb = 1\nB = 2\n#c = 1\n#c = 2\n#d = 1\n#d = 3\n#b = 5\n#e = 1"))
	require.NoError(t, err)
	require.NoError(t, f.SetAll(map[string]string{"A": "2", "b": "3", "c": "3", "D": "3", "e": "1", "f": "x"}))
	require.Equal(t, "a = 2\nb = 1\nB = 3\n#c = 1\n#c = 2\n#d = 1\nd = 3\n#b = 5\ne = 1\nc = '3'\nf = 'x'\n", string(f.Bytes()))
}

func TestSetKeeping(t *testing.T) {
	for name, c := range map[string]struct{ before, value, after string }{
		"set":               {"b = 1\n a = 1 # c\n", "22", "b = 1\n #a = 1\n a = 22 # c\n"},
		"set_bare_crlf":     {"a=on\r\n", "off", "#a=on\r\na=off\r\n"},
		"same_value":        {"a = 1\n", "1", "a = 1\n"},
		"open_line":         {"a = 1", "2", "#a = 1\na = 2"},
		"kept_already":      {"#a = '1' # c\n#A = 5\na = 1\n", "2", "#a = '1' # c\n#A = 5\na = 2\n"},
		"kept_elsewhere":    {"#a = 1\n\na = 1\n", "2", "#a = 1\n\n#a = 1\na = 2\n"},
		"prose_above":       {"#a lot = 1\na = 1\n", "2", "#a lot = 1\n#a = 1\na = 2\n"},
		"last_line_wins":    {"a = 1\na = 2\n", "3", "a = 1\n#a = 2\na = 3\n"},
		"commented":         {"#a = 1   # c\nb = 1\n", "2", "#a = 1   # c\na = 2\nb = 1\n"},
		"commented_open":    {" #a = 1", "2", " #a = 1\n a = 2\n"},
		"commented_same":    {"#a = 1 # c\n", "1", "a = 1  # c\n"},
		"commented_several": {"#a = 1\n#a = 2\n", "3", "#a = 1\n#a = 2\na = '3'\n"},
		"absent":            {"b = 1\n", "2", "b = 1\na = '2'\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := pgconf.Parse("f", []byte(c.before))
			require.NoError(t, err)
			for range 2 {
				require.NoError(t, f.SetKeeping("a", c.value))
				require.Equal(t, c.after, string(f.Bytes()))
			}
		})
	}
	f := pgconf.New("f")
	require.ErrorIs(t, f.SetKeeping("a b", "1"), pgconf.ErrName)
	require.ErrorIs(t, f.SetKeeping("a", "\x00"), pgconf.ErrValue)
}

func TestSetKeepingInTurn(t *testing.T) {
	f, err := pgconf.Parse("f", []byte("a = 1\n"))
	require.NoError(t, err)
	for range 5 {
		for _, v := range []string{"2", "3", "1"} {
			require.NoError(t, f.SetKeeping("a", v))
		}
	}
	require.Equal(t, "#a = 1\n#a = 2\n#a = 3\na = 1\n", string(f.Bytes()))
}

func TestInsertAfter(t *testing.T) {
	for name, c := range map[string]struct{ before, anchor, after string }{
		"below":            {"x = 'y' # c\nb = 1\n", "X", "x = 'y' # c\na = '2'\nb = 1\n"},
		"style":            {"\tlong   = 1\nb = 1\n", "long", "\tlong   = 1\n\ta      = 2\nb = 1\n"},
		"no_equals":        {"x 1\r\n", "x", "x 1\r\na 2\r\n"},
		"no_blank":         {"x'1'\n", "x", "x'1'\na'2'\n"},
		"no_blank_number":  {"x+1\n", "x", "x+1\na'2'\n"},
		"last_of_many":     {"x = 1\nb = 1\nx = 2\n#x = 3\n", "x", "x = 1\nb = 1\nx = 2\na = 2\n#x = 3\n"},
		"commented_anchor": {"#x = 1\n#x = 2 # c\n#x is\nb = 1\n", "x", "#x = 1\n#x = 2 # c\na = 2\n#x is\nb = 1\n"},
		"open_anchor":      {"x = 1", "x", "x = 1\na = 2\n"},
		"include":          {"include_dir 'conf.d'\nb = 1\n", "include_dir", "include_dir 'conf.d'\na '2'\nb = 1\n"},
		"no_anchor":        {"b = 1\n", "x", "b = 1\na = '2'\n"},
		"is_set":           {"x = 1\na = 1\n", "x", "x = 1\na = 2\n"},
		"is_set_above":     {"a = 2\nx = 1\n", "x", "a = 2\nx = 1\n"},
		"is_commented":     {"x = 1\n#a = 1\n", "x", "x = 1\na = 2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := pgconf.Parse("f", []byte(c.before))
			require.NoError(t, err)
			for range 2 {
				require.NoError(t, f.InsertAfter(c.anchor, "a", "2"))
				require.Equal(t, c.after, string(f.Bytes()))
			}
		})
	}
	f := pgconf.New("f")
	require.ErrorIs(t, f.InsertAfter("", "a", "1"), pgconf.ErrName)
	require.ErrorIs(t, f.InsertAfter("x", "include", "1"), pgconf.ErrName)
	require.ErrorIs(t, f.InsertAfter("x", "a", "\x00"), pgconf.ErrValue)
}

func TestComment(t *testing.T) {
	for name, c := range map[string]struct{ before, remark, after string }{
		"remark":         {" a = 1\n", "gone in 13", " #a = 1 # gone in 13\n"},
		"after_remark":   {"a = 1   # c \r\n", "gone", "#a = 1  # c # gone \r\n"},
		"all":            {"a = 1\nb = 2\nA 3", "gone", "#a = 1 # gone\nb = 2\n#A 3 # gone"},
		"no_remark":      {"a = 1 # c\n", " ", "#a = 1 # c\n"},
		"control_bytes":  {"a = 1\n", "x\ny\r\x00z\x7f\té\n", "#a = 1 # x y  z  é\n"},
		"nothing_to_say": {"#a = 1\n", "gone", "#a = 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := pgconf.Parse("f", []byte(c.before))
			require.NoError(t, err)
			for range 2 {
				require.NoError(t, f.Comment("A", c.remark))
				require.Equal(t, c.after, string(f.Bytes()))
			}
		})
	}
	require.ErrorIs(t, pgconf.New("f").Comment("include", "x"), pgconf.ErrName)
}

func TestRename(t *testing.T) {
	for name, c := range map[string]struct{ before, old, name, after string }{
		"plain":             {"b = 1\na = 'x' # c\r\n", "A", "Abc.D", "b = 1\nAbc.D = 'x' # c\r\n"},
		"comment_column":    {"abc = 1    # c\n", "abc", "a", "a = 1      # c\n"},
		"aligned":           {"ab   = 1  # c\n", "ab", "abcd", "abcd = 1  # c\n"},
		"aligned_short":     {"abcd  = 1  # c\n", "abcd", "a", "a     = 1  # c\n"},
		"aligned_pushed":    {"ab  = 1  # c\n", "ab", "abcdef", "abcdef = 1 # c\n"},
		"aligned_tab":       {"ab\t= 1\n", "ab", "abcdefgh", "abcdefgh\t= 1\n"},
		"aligned_short_tab": {"abcdefghij\t= 1\n", "abcdefghij", "ab", "ab\t\t= 1\n"},
		"one_blank":         {"ab 1\n", "ab", "a", "a 1\n"},
		"no_blank":          {"ab'x'\n", "ab", "a", "a'x'\n"},
		"equals_alone":      {"ab=1\n", "ab", "abc", "abc=1\n"},
		"every_line":        {"a = 1\nA=2\n", "a", "b", "b = 1\nb=2\n"},
		"spelling":          {"a = 1\n", "a", "A", "A = 1\n"},
		"absent":            {"#a = 1\nc = 2\n", "a", "c", "#a = 1\nc = 2\n"},
		"open_line":         {"a = 1", "a", "b", "b = 1"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := pgconf.Parse("f", []byte(c.before))
			require.NoError(t, err)
			for range 2 {
				require.NoError(t, f.Rename(c.old, c.name))
				require.Equal(t, c.after, string(f.Bytes()))
			}
		})
	}
	f, err := pgconf.Parse("f", []byte("a = 1\nb = 2\ninclude 'x'\n"))
	require.NoError(t, err)
	require.ErrorIs(t, f.Rename("a", "B"), pgconf.ErrSet)
	require.ErrorIs(t, f.Rename("a", "include"), pgconf.ErrName)
	require.ErrorIs(t, f.Rename("include", "a"), pgconf.ErrName)
	require.ErrorIs(t, f.Rename("", "c"), pgconf.ErrName)
	require.Equal(t, "a = 1\nb = 2\ninclude 'x'\n", string(f.Bytes()))
}

// TestSetAndUnsetInTurn is what a node does that changes its role again and again.
func TestSetAndUnsetInTurn(t *testing.T) {
	f, err := pgconf.Parse("f", []byte("#a = ''\n# or maybe\n#a = 'never'\n"))
	require.NoError(t, err)
	var size int
	for i := range 10 {
		for _, v := range []string{"one", "two"} {
			require.NoError(t, f.Set("a", v))
			require.NoError(t, f.Unset("a"))
		}
		if i == 0 {
			size = len(f.Bytes())
		}
	}
	require.Len(t, f.Bytes(), size, "the file must not grow each time")
}

func TestQuote(t *testing.T) {
	for value, want := range map[string]string{
		"":             `''`,
		"plain":        `'plain'`,
		`it's`:         `'it''s'`,
		`a\b`:          `'a\\b'`,
		"a\nb\rc\td":   "'a\\nb\\rc\td'",
		"\x01\xff é\f": "'\x01\xff é\f'",
	} {
		got, err := pgconf.Quote(value)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := pgconf.Quote("a\x00b")
	require.ErrorIs(t, err, pgconf.ErrValue)
}
