package verifier_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/pgconf/role/verifier"
)

// prepared are passwords and what is hashed of them. The servers say the same, see TestOracleSameVerifier. Each holds marker in some form
// if it can, so that a log can be searched for it.
var prepared = map[string]struct{ password, want string }{
	"ascii":                      {"marker ~", "marker ~"},
	"ascii_control":              {"mar\tker\r\n\x7f", "mar\tker\r\n\x7f"},
	"umlaut":                     {"Schlüssel-marker", "Schlüssel-marker"},
	"umlaut_decomposed":          {"Schlu\u0308ssel-marker", "Schlüssel-marker"},
	"full_width":                 {"ＭＡＲＫＥＲmarker", "MARKERmarker"},
	"ligature":                   {"marker\ufb01n²", "markerfin2"},
	"soft_hyphen_goes":           {"mar\u00adker", "marker"},
	"only_soft_hyphens":          {"\u00ad\u00ad", "\u00ad\u00ad"},
	"no_break_space":             {"mar\u00a0ker", "mar ker"},
	"zero_width_space_is_blank":  {"mar\u200bker", "mar ker"},
	"ideographic_space":          {"mar\u3000ker", "mar ker"},
	"joiners_go":                 {"mar\u200d\u2060\ufeffker", "marker"},
	"prohibited_control":         {"marker\u0085ﬁ", "marker\u0085ﬁ"},
	"ascii_control_beside_other": {"marker\tﬁ", "marker\tﬁ"},
	"prohibited_private_use":     {"marker\ue000ﬁ", "marker\ue000ﬁ"},
	"replacement_character":      {"marker\ufffdﬁ", "marker\ufffdﬁ"},
	"emoji_of_3_2_is_unassigned": {"marker🔑ﬁ", "marker🔑ﬁ"},
	"emoji_that_3_2_knows":       {"marker☎ﬁ", "marker☎fi"},
	"euro":                       {"marker€", "marker€"},
	"right_to_left":              {"\u0627\u0031\u0628", "\u0627\u0031\u0628"},
	"right_to_left_form":         {"\ufe8f", "\u0628"},
	"right_to_left_after_digit":  {"\u0031\u0627\ufe8f", "\u0031\u0627\ufe8f"},
	"right_to_left_then_digit":   {"\u0627\ufe8f\u0031", "\u0627\ufe8f\u0031"},
	"both_ways":                  {"\u0627marker\u0628ﬁ", "\u0627marker\u0628ﬁ"},
	"hangul":                     {"\u1112\u1161\u11ab", "한"},
	"marks_are_ordered":          {"a\u0301\u0323ﬁ", "\u1ea1\u0301fi"},
	"prohibited_after_nfkc":      {"marker\u2a74", "marker::="},
	"unassigned_yet_nothing":     {"marker\ufe00", "marker"},
	"invalid":                    {"marker\xff\u00ad", "marker\xff\u00ad"},
	"latin1":                     {"mark\xe9r", "mark\xe9r"},
	"surrogate":                  {"marker\xed\xa0\x80ﬁ", "marker\xed\xa0\x80ﬁ"},
	"overlong":                   {"marker\xc0\xafﬁ", "marker\xc0\xafﬁ"},
	"beyond_unicode":             {"marker\xf4\x90\x80\x80ﬁ", "marker\xf4\x90\x80\x80ﬁ"},
	"last_character":             {"marker\U0010ffffﬁ", "marker\U0010ffffﬁ"},
	"thirty_marks":               {"marker" + strings.Repeat("\u0316", 30), "marker" + strings.Repeat("\u0316", 30)},
}

func TestPrepare(t *testing.T) {
	for name, c := range prepared {
		t.Run(name, func(t *testing.T) {
			got, err := verifier.Prepare(c.password)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// What is prepared is prepared, in UTF-8 if it was before, and ASCII stays as it is.
func TestPrepareTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := anyText.Draw(t, "password")
		once, err := verifier.Prepare(password)
		if err != nil {
			return
		}
		require.Equal(t, utf8.ValidString(password), utf8.ValidString(once))
		if len(password) == utf8.RuneCountInString(password) && utf8.ValidString(password) {
			require.Equal(t, password, once)
		}
		if twice, err := verifier.Prepare(once); err == nil {
			require.Equal(t, once, twice)
		}
	})
}
