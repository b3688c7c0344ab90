package gocd_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/gocd"
)

func TestDetectFormat(t *testing.T) {
	for _, c := range []struct {
		name, content string
		want          gocd.Format // FormatUnknown: refused
	}{
		{"/etc/default/go-server", "", gocd.FormatShell},
		{"wrapper-properties.conf", "", gocd.FormatWrapper},
		{`C:\Go Server\config\Wrapper-Properties.conf`, "", gocd.FormatWrapper},
		{"x", "# c\nGO_SERVER_PORT=8153\n", gocd.FormatShell},
		{"x", "#!/bin/bash\nif true; then :; fi\n", gocd.FormatShell},
		{"x", "@encoding=UTF-8\n", gocd.FormatWrapper},
		{"x", "wrapper.java.additional.100=-Xmx1G\n", gocd.FormatWrapper},
		{"go-server.conf", "set.A=b\n", gocd.FormatWrapper},
		{"x", "", gocd.FormatUnknown},
		{"x", "# only a comment\n", gocd.FormatUnknown},
	} {
		got, err := gocd.DetectFormat(c.name, []byte(c.content))
		require.Equal(t, c.want, got, "%q %q", c.name, c.content)
		if c.want == gocd.FormatUnknown {
			require.ErrorIs(t, err, gocd.ErrUnknownFormat)
		} else {
			require.NoError(t, err)
		}
	}
}

func TestTextRoundTrip(t *testing.T) {
	for _, m := range []gocd.Mode{gocd.ModeUnknown, gocd.ModePrimary, gocd.ModeStandby} {
		var got gocd.Mode
		text, err := m.MarshalText()
		require.NoError(t, err)
		require.NoError(t, got.UnmarshalText(text))
		require.Equal(t, m, got)
	}
	for _, f := range []gocd.Format{gocd.FormatUnknown, gocd.FormatShell, gocd.FormatWrapper} {
		var got gocd.Format
		text, err := f.MarshalText()
		require.NoError(t, err)
		require.NoError(t, got.UnmarshalText(text))
		require.Equal(t, f, got)
	}
	var m gocd.Mode
	require.Error(t, m.UnmarshalText([]byte("Standby")))
	require.Error(t, m.UnmarshalText(nil))
	require.Equal(t, "invalid (9)", gocd.Mode(9).String())
}

func TestReportJSON(t *testing.T) {
	r, err := gocd.Inspect("go-server", nil, gocd.Options{})
	require.NoError(t, err)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	require.JSONEq(t, `{"file":"go-server","format":"shell","mode":"primary","read_by":"plain reading","managed":false,
		"go.server.mode":{"value":"","set":false,"line":0},"bc.primary.url":{"value":"","set":false,"line":0},
		"findings":[]}`, string(text))
}

func TestInspectShell(t *testing.T) {
	const v = "GO_SERVER_SYSTEM_PROPERTIES"
	for _, c := range []struct {
		name, content string
		mode          gocd.Mode
		url           string
	}{
		{"append", v + `="-Da=1"` + "\n" + v + `+=" -Dgo.server.mode=standby -Dbc.primary.url=http://p"` + "\n", gocd.ModeStandby, "http://p"},
		{"own_variable", `URL=http://p` + "\n" + v + `="-Dgo.server.mode=standby -Dbc.primary.url=${URL}"`, gocd.ModeStandby, "http://p"},
		{"escaped_blank", v + `=-Dgo.server.mode=standby\ -Dbc.primary.url=http://p`, gocd.ModeStandby, "http://p"},
		{"single_quotes", v + `='-Dgo.server.mode=standby -Dbc.primary.url="http://p"'`, gocd.ModeStandby, "http://p"},
		{"joined_lines", v + "=\"-Dgo.server.mode=standby \\\n-Dbc.primary.url=http://p\"\n", gocd.ModeStandby, "http://p"},
		{"two_on_a_line", v + `="-Dgo.server.mode=standby -Dbc.primary.url=http://p"; export ` + v + ` # both`, gocd.ModeStandby, "http://p"},
		{"comment_in_value", v + `="-Da=1 # -Dgo.server.mode=standby"`, gocd.ModePrimary, ""},
		{"comment", `# ` + v + `="-Dgo.server.mode=standby"`, gocd.ModePrimary, ""},
		{"later_word_wins", v + `="-Dgo.server.mode=standby -Dgo.server.mode=production"`, gocd.ModePrimary, ""},
		{"later_assignment_wins", v + `="-Dgo.server.mode=standby"` + "\n" + v + `=-Da=1`, gocd.ModePrimary, ""},
		{"export_expands_first", `export A=-Dgo.server.mode=standby ` + v + `=$A`, gocd.ModeUnknown, ""},
		{"assignments_one_by_one", `A=-Dgo.server.mode=standby ` + v + `=$A`, gocd.ModeStandby, ""},
		{"export_of_variable", "B=" + v + "=-Dgo.server.mode=standby; export A=1 $B", gocd.ModeUnknown, ""},
		{"export_of_pattern", "export A=1 *", gocd.ModeUnknown, ""},
		{"no_value", v + `=-Dgo.server.mode`, gocd.ModePrimary, ""},
		{"other_property", v + `=-Dgo.server.modes=standby`, gocd.ModePrimary, ""},
		{"unknown_variable", v + `="$HOME -Da=1"`, gocd.ModeUnknown, ""},
		{"bash_variable", `IFS=,` + "\n" + v + `=-Da=1`, gocd.ModeUnknown, ""},
		{"command", `echo hello`, gocd.ModeUnknown, ""},
		{"substitution", v + `="$(cat /etc/go/opts)"`, gocd.ModeUnknown, ""},
		{"default_value", v + `="${X:-y}"`, gocd.ModeUnknown, ""},
		{"tilde", v + `=~/x`, gocd.ModeUnknown, ""},
		{"glob_in_value", v + `="-Da=*"`, gocd.ModeUnknown, ""},
		{"semicolon_in_value", v + `="-Da=1;x"`, gocd.ModeUnknown, ""},
		{"newline_in_value", v + "=\"-Da=1\n-Dgo.server.mode=standby\"", gocd.ModeUnknown, ""},
		{"empty_command", ";", gocd.ModeUnknown, ""},
		{"zero_byte", v + "=a\x00b", gocd.ModeUnknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := gocd.Inspect("go-server", []byte(c.content), gocd.Options{})
			require.NoError(t, err)
			require.Equal(t, c.mode, r.Mode, "%v", r.Findings)
			require.Equal(t, c.url, r.PrimaryURL.Value)
			require.Equal(t, c.mode == gocd.ModeUnknown, r.ReadBy == gocd.ReadByNobody)
		})
	}
}

func TestInspectWrapper(t *testing.T) {
	const a = "wrapper.java.additional."
	for _, c := range []struct {
		name, content string
		windows       bool
		mode          gocd.Mode
		url           string
	}{
		{name: "blanks", content: " " + a + "1 =  -Dgo.server.mode=standby \t# why", mode: gocd.ModeStandby},
		{name: "any_case", content: "WRAPPER.Java.Additional.1=-Dgo.server.mode=STANDBY", mode: gocd.ModeStandby},
		{name: "comment", content: "#" + a + "1=-Dgo.server.mode=standby", mode: gocd.ModePrimary},
		{name: "carriage_return_ends_line", content: a + "1=-Dgo.server.mode=standby\rjunk\n", mode: gocd.ModeStandby},
		{name: "later_line_wins", content: a + "1=-Dgo.server.mode=standby\n" + a + "1=-Dx=1", mode: gocd.ModePrimary},
		{name: "later_number_wins", content: a + "20=-Dgo.server.mode=standby\n" + a + "3=-Dgo.server.mode=production", mode: gocd.ModeStandby},
		{name: "name_with_blank", content: "x " + a + "1=-Dgo.server.mode=standby", mode: gocd.ModePrimary},
		{name: "not_a_number", content: a + "1x=-Dgo.server.mode=standby", mode: gocd.ModePrimary},
		{name: "include_without_sign", content: "include=" + a + "1=-Dgo.server.mode=standby", mode: gocd.ModePrimary},
		{name: "byte_order_mark", content: "\xef\xbb\xbf" + a + "1=-Dgo.server.mode=standby", mode: gocd.ModeStandby},
		{name: "doubled_hash", content: a + "1=-Dgo.server.mode=standby\n" + a + "2=-Dbc.primary.url=http://p/##x", mode: gocd.ModeStandby, url: "http://p/#x"},
		{name: "hash_in_quotes", content: a + `2=-Dbc.primary.url="http://p/#x" # why`, windows: true, mode: gocd.ModePrimary, url: "http://p/#x"},
		{name: "variable_above", content: "set.M=standby\n" + a + "1=-Dgo.server.mode=%M%", mode: gocd.ModeStandby},
		{name: "variable_below", content: a + "1=-Dgo.server.mode=%M%\nset.M=standby", mode: gocd.ModeStandby},
		{name: "variable_in_variable", content: "set.L=by\nset.M=stand%L%\n" + a + "1=-Dgo.server.mode=%M%", mode: gocd.ModeStandby},
		{name: "variable_unset", content: a + "1=-Dgo.server.mode=%M%", mode: gocd.ModeUnknown},
		{name: "variable_default", content: "set.default.M=standby\n" + a + "1=-Dgo.server.mode=%M%", mode: gocd.ModeUnknown},
		{name: "variable_could_be_anything", content: a + "1=%M%", mode: gocd.ModeUnknown},
		{name: "variable_overruled", content: a + "1=%M%\n" + a + "2=-Dgo.server.mode=standby", mode: gocd.ModeStandby},
		{name: "variable_elsewhere", content: a + "1=-Dx=%M%\n" + a + "2=-javaagent:%M%", mode: gocd.ModePrimary},
		{name: "not_expanding", content: "@variables.expand=FALSE\n" + a + "1=-Dgo.server.mode=%M%\nset.M=standby", mode: gocd.ModePrimary},
		{name: "single_percent", content: a + "1=-Dgo.server.mode=standby\n" + a + "2=-Dx=5%", mode: gocd.ModeStandby},
		{name: "quotes_unix", content: a + `1=-Dgo.server.mode="standby"`, mode: gocd.ModePrimary},
		{name: "quotes_windows", content: a + `1=-Dgo.server.mode="standby"`, windows: true, mode: gocd.ModeStandby},
		{name: "stripquotes_unix", content: a + "1=\"-Dgo.server.mode=standby\"\n" + a + "1.stripquotes=true", mode: gocd.ModeStandby},
		{name: "quotable", content: a + "1=\"-Dgo.server.mode=standby\"\n" + a + "1.quotable=TRUE", mode: gocd.ModeStandby},
		{name: "two_arguments_windows", content: a + "1=-Dx=1 -Dgo.server.mode=standby", windows: true, mode: gocd.ModeStandby},
		{name: "two_arguments_unix", content: a + "1=-Dx=1 -Dgo.server.mode=standby", mode: gocd.ModePrimary},
		{name: "not_an_argument", content: a + "1='-Dgo.server.mode=standby'", mode: gocd.ModePrimary},
		{name: "utf_16", content: "\xff\xfew\x00", mode: gocd.ModeUnknown},
		{name: "gaps_ignored_for_nothing", content: "wrapper.ignore_sequence_gaps=false\n", mode: gocd.ModePrimary},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := gocd.Inspect("wrapper.conf", []byte(c.content), gocd.Options{Windows: c.windows})
			require.NoError(t, err)
			require.Equal(t, c.mode, r.Mode, "%v", r.Findings)
			require.Equal(t, c.url, r.PrimaryURL.Value)
		})
	}
}

// The wrapper drops control characters from a value, so they hide no definition from an edit.
func TestEditWrapperControlCharacter(t *testing.T) {
	after, err := gocd.Edit("wrapper.conf", []byte("wrapper.java.additional.3=-Dgo.ser\x01ver.mode=standby\n#\n"), gocd.Primary(), gocd.Options{})
	require.NoError(t, err)
	require.Equal(t, "#\n", string(after))
}

// A definition that a variable puts together is not edited: the error says where it is.
func TestEditWrapperDefinedByVariable(t *testing.T) {
	_, err := gocd.Edit("wrapper.conf", []byte("set.A=er.mode\nwrapper.java.additional.3=-Dgo.serv%A%=x\n"), gocd.Primary(), gocd.Options{})
	require.EqualError(t, err, "wrapper.conf:2: go.server.mode is still set here, in a way that is not edited; remove that by hand")
}

// A here-document holds text: what looks like an assignment there is not edited.
func TestEditHereDocument(t *testing.T) {
	content := "cat >/dev/null <<E\nGO_SERVER_SYSTEM_PROPERTIES=\"-Dgo.server.mode=standby\"\nE\n"
	_, err := gocd.Edit("go-server", []byte(content), gocd.Primary(), gocd.Options{})
	var edit *gocd.EditError
	require.ErrorAs(t, err, &edit)
	require.Equal(t, 2, edit.Line)
}

// What would join an appended block to the last line is refused.
func TestEditContinuedEnd(t *testing.T) {
	for _, content := range []string{"A=1\\", "A=1\\\n", "A=1 \\\n", "echo x \\\n", "echo \\"} {
		_, err := gocd.Edit("go-server", []byte(content), standbyFor(t, gocd.FormatShell), gocd.Options{})
		var edit *gocd.EditError
		require.ErrorAs(t, err, &edit, "%q", content)
	}
	for _, content := range []string{"# A=1\\\n", "A='1\\'\n", "A=1\\\\\n", "echo \\x"} {
		_, err := gocd.Edit("go-server", []byte(content), standbyFor(t, gocd.FormatShell), gocd.Options{})
		require.NoError(t, err, "%q", content)
	}
}

// Words that look alike but are not: each came from a law that failed.
func TestEditWords(t *testing.T) {
	const v = "GO_SERVER_SYSTEM_PROPERTIES="
	for _, c := range []struct{ name, before, primary string }{
		{"escaped_blank_belongs_to_word", v + `"\\  -Dgo.server.mode=standby"`, v + `"\\ "`},
		{"blank_of_the_word_before", v + `"-Da=\\  -Dgo.server.mode=standby"`, v + `"-Da=\\ "`},
		{"two_of_ours_in_front", v + `"-Dgo.server.mode=standby -Dbc.primary.url=x -Da=1"`, v + `"-Da=1"`},
		{"ours_around", v + `"-Dgo.server.mode=standby -Da=1 -Dbc.primary.url=x"`, v + `"-Da=1"`},
		{"only_ours", v + `'-Dgo.server.mode=standby'`, v + `''`},
		{"across_quotes", v + `-Da=1' -Dgo.server.'"mode=standby"`, v + `-Da=1''""`},
		{"other_property", v + `"-Dgo.server.modes=standby"`, "error"},
		{"glued_to_a_variable", v + `"$A-Dgo.server.mode=standby"`, "error"},
		{"value_in_a_variable", v + `"-Dgo.server.mode=$MODE"`, "error"},
		{"joined_in_the_value", v + "'-Dgo.server.mode=standby\\\n'", "error"},
		{"in_a_command", `echo -Dgo.server.mode=standby`, "error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			after, err := gocd.Edit("go-server", []byte(c.before), gocd.Primary(), gocd.Options{})
			if c.primary == "error" {
				var edit *gocd.EditError
				require.ErrorAs(t, err, &edit)
				require.Equal(t, 1, edit.Line)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.primary, string(after))
		})
	}
}

// A comment in the value would swallow what is appended to it.
func TestEditCommentInValue(t *testing.T) {
	_, err := gocd.Edit("go-server", []byte(`GO_SERVER_SYSTEM_PROPERTIES="-Da=1 # why"`), standbyFor(t, gocd.FormatShell), gocd.Options{})
	var edit *gocd.EditError
	require.ErrorAs(t, err, &edit)
}

func TestEditIPv6(t *testing.T) {
	v, err := gocd.ParseVersion("19.5.0")
	require.NoError(t, err)
	target, _, err := gocd.Standby(v, "http://[2001:db8::1]:8153")
	require.NoError(t, err)
	after, err := gocd.Edit("go-server", nil, target, gocd.Options{})
	require.NoError(t, err)
	r, err := gocd.Inspect("go-server", after, gocd.Options{})
	require.NoError(t, err)
	require.Equal(t, "http://[2001:db8::1]:8153", r.PrimaryURL.Value)
	require.Equal(t, gocd.ModeStandby, r.Mode)
}
