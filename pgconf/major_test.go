package pgconf_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
)

func TestParseMajor(t *testing.T) {
	for text, want := range map[string]pgconf.Major{
		"9.0": pgconf.V9_0, "9.1.24": pgconf.V9_1, "9.5": pgconf.V9_5, "9.6\n": pgconf.V9_6, "10": 10, "10.23": 10, "18beta1": 18,
		"17.2 (Debian 17.2-1)": 17, "18.4": 18,
	} {
		got, err := pgconf.ParseMajor(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "9", "9.", "9.7", "9.-1", "9.06", "8.4", "3", "19", "-15", "+15", "x", "0x10", "99999999999999999999"} {
		_, err := pgconf.ParseMajor(text)
		require.ErrorIs(t, err, pgconf.ErrMajor, text)
	}
}

func TestMajorText(t *testing.T) {
	for m := pgconf.Oldest; m <= pgconf.Newest; m++ {
		b, err := json.Marshal(m)
		require.NoError(t, err)
		var back pgconf.Major
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, m, back)
	}
	require.Less(t, pgconf.V9_6, pgconf.Major(10))
}

func ExampleParseMajor() {
	m, err := pgconf.ParseMajor("9.6.24")
	fmt.Println(m, m < 10, err)
	_, err = pgconf.ParseMajor("8.4")
	fmt.Println(err)
	// Output:
	// 9.6 true <nil>
	// not a known major version of PostgreSQL: "8.4" (known are 9.0 to 18)
}
