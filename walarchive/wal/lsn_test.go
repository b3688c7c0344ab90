package wal_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestParseLSN(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     wal.LSN
		text     string
	}{
		{"zero", "0/0", 0, "0/0"},
		{"typical", "16/B374D848", 0x16_B374D848, "16/B374D848"},
		{"lower_case", "a/ff", 0xA_000000FF, "A/FF"},
		{"leading_zeros", "00000001/0000000A", 0x1_0000000A, "1/A"},
		{"largest", "FFFFFFFF/FFFFFFFF", 1<<64 - 1, "FFFFFFFF/FFFFFFFF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := wal.ParseLSN(tc.in)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.text, got.String())
		})
	}
}

func TestParseLSN_refused(t *testing.T) {
	for name, in := range map[string]string{
		"empty": "", "no_low_half": "0/", "no_high_half": "/0", "no_slash": "0", "overflow_low_half": "0/123456789",
		"overflow_high_half": "123456789/0", "blank_before": " 0/1", "blank_after": "0/1 ", "blank_inside": "0/ 1",
		"prefix": "0x1/2", "sign": "-1/0", "plus": "+1/0", "two_slashes": "0/1/2", "underscore": "0/1_0",
		"newline": "0/1\n", "not_hex": "G/0", "not_ascii": "0/１",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wal.ParseLSN(in)
			var syntax *wal.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, in, syntax.Text)
		})
	}
}

func TestLSN_text(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := wal.LSN(rapid.Uint64().Draw(t, "lsn"))
		b, err := json.Marshal(in)
		require.NoError(t, err)
		var out wal.LSN
		require.NoError(t, json.Unmarshal(b, &out))
		require.Equal(t, in, out)
	})
}

func TestLSN_unmarshal_error_keeps_value(t *testing.T) {
	l := wal.LSN(7)
	require.Error(t, l.UnmarshalText([]byte("junk")))
	require.Equal(t, wal.LSN(7), l)
}

func TestLSN_Compare(t *testing.T) {
	require.Negative(t, wal.LSN(1).Compare(2))
	require.Zero(t, wal.LSN(2).Compare(2))
	require.Positive(t, wal.LSN(1<<63).Compare(2))
}

func TestParseSystemID(t *testing.T) {
	id, err := wal.ParseSystemID("7439128734098123456")
	require.NoError(t, err)
	require.Equal(t, wal.SystemID(7439128734098123456), id)
	b, err := id.MarshalText()
	require.NoError(t, err)
	var back wal.SystemID
	require.NoError(t, back.UnmarshalText(b))
	require.Equal(t, id, back)

	for _, bad := range []string{"", "-1", "+1", " 1", "1_0", "0x1", "18446744073709551616"} {
		_, err := wal.ParseSystemID(bad)
		var syntax *wal.SyntaxError
		require.ErrorAs(t, err, &syntax, "%q", bad)
	}
}
