package guc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// refused stands for a value that the server does not take.
const refused = "refused"

// numberVectors are values and what they are in base units: in 10, in 11, and from 12 on. One column is for all, two are
// before 12 and from 12 on.
var numberVectors = []struct {
	name, value string
	want        []string
}{
	{"work_mem", "64", []string{"64"}},
	{"work_mem", "64kB", []string{"64"}},
	{"work_mem", "64 kB", []string{"64"}},
	{"work_mem", " 64kB", []string{"64"}},
	{"work_mem", "64kB\t\v\f\r\n ", []string{"64"}},
	{"work_mem", "64KB", []string{refused}},
	{"work_mem", "64kb", []string{refused}},
	{"work_mem", "64k", []string{refused}},
	{"work_mem", "64Mb", []string{refused}},
	{"work_mem", "64ms", []string{refused}},
	{"work_mem", "65536B", []string{refused, "64", "64"}},
	{"work_mem", "66048B", []string{refused, "64", "64"}},
	{"work_mem", "67000B", []string{refused, "65", "65"}},
	{"work_mem", "1.5MB", []string{refused, "1536"}},
	{"work_mem", "100.5", []string{refused, "100"}},
	{"work_mem", "101.5", []string{refused, "102"}},
	{"work_mem", "102.5", []string{refused, "102"}},
	{"work_mem", "1e3kB", []string{refused, "1000"}},
	{"work_mem", "0.001GB", []string{refused, "1024"}},
	{"work_mem", "0x100", []string{"256"}},
	{"work_mem", "0X100", []string{"256"}},
	{"work_mem", "0x100kB", []string{"256"}},
	{"work_mem", "0100", []string{"64"}},
	{"work_mem", "0100.5", []string{refused, "100"}},
	{"work_mem", "0900", []string{refused}},
	{"work_mem", "0x", []string{refused}},
	{"work_mem", "0b1000000", []string{refused}},
	{"work_mem", "+64", []string{"64"}},
	{"work_mem", "-64", []string{refused}},
	{"work_mem", "- 64", []string{refused}},
	{"work_mem", "1TB", []string{"1073741824"}},
	{"work_mem", "2TB", []string{refused}},
	{"work_mem", "1099511627776B", []string{refused, refused, "1073741824"}},
	{"work_mem", "2147483647", []string{"2147483647"}},
	{"work_mem", "2147483648", []string{refused}},
	{"work_mem", "99999999999999999999", []string{refused}},
	{"work_mem", "1_000", []string{refused}},
	{"work_mem", "", []string{refused}},
	{"work_mem", "kB", []string{refused}},
	{"work_mem", "64kB kB", []string{refused}},
	{"work_mem", "64kBkB", []string{refused}},
	{"work_mem", "nan", []string{refused}},
	{"work_mem", "inf", []string{refused}},
	{"work_mem", "1e3", []string{refused, "1000"}},
	{"work_mem", "1E3kB", []string{refused, "1000"}},
	{"work_mem", "1e+3", []string{refused, "1000"}},
	{"work_mem", "64000000e-6MB", []string{refused, "65536"}},
	{"work_mem", "1e400", []string{refused}},
	{"work_mem", "1e", []string{refused}},
	{"work_mem", "64e0", []string{refused, "64"}},
	{"work_mem", "0x4p5", []string{refused}},
	{"work_mem", "0x40.8", []string{refused, "64"}},
	{"work_mem", "0x40.8p1", []string{refused, "129"}},
	{"geqo_generations", ".7", []string{refused, "1"}},
	{"geqo_generations", " .7", []string{refused}},
	{"geqo_generations", "+.7", []string{refused}},
	{"geqo_generations", "1.", []string{refused, "1"}},
	{"geqo_generations", "1e-400", []string{refused}},
	{"geqo_generations", "5kB", []string{refused}},
	{"geqo_generations", "5s", []string{refused}},
	{"temp_buffers", "805kB", []string{"100", "101"}},
	{"temp_buffers", "804kB", []string{"100"}},
	{"temp_buffers", "900kB", []string{"112"}},
	{"temp_buffers", "799kB", []string{refused, "100"}},
	{"temp_buffers", "1GB", []string{"131072"}},
	{"temp_buffers", "1024MB", []string{"131072"}},
	{"statement_timeout", "500us", []string{refused, "0"}},
	{"statement_timeout", "501us", []string{refused, "1"}},
	{"statement_timeout", "1500us", []string{refused, "2"}},
	{"statement_timeout", "1min", []string{"60000"}},
	{"statement_timeout", "1 h", []string{"3600000"}},
	{"statement_timeout", "24d", []string{"2073600000"}},
	{"statement_timeout", "25d", []string{refused}},
	{"statement_timeout", "1m", []string{refused}},
	{"statement_timeout", "1M", []string{refused}},
	{"statement_timeout", "10sec", []string{refused}},
	{"statement_timeout", "1hour", []string{refused}},
	{"statement_timeout", "0.5min", []string{refused, "30000"}},
	{"statement_timeout", "-1", []string{refused}},
	{"log_rotation_age", "90s", []string{"1", "2"}},
	{"log_rotation_age", "59999ms", []string{"0", "1"}},
	{"log_rotation_age", "150s", []string{"2"}},
	{"vacuum_cost_delay", "0.5ms", []string{refused, "0.5"}},
	{"vacuum_cost_delay", "500us", []string{refused, "0.5"}},
	{"vacuum_cost_delay", "0.0001s", []string{refused, "0"}},
	{"vacuum_cost_delay", "0.0501s", []string{refused, "50"}},
	{"max_wal_size", "64", []string{"64"}},
	{"max_wal_size", "100MB", []string{"100"}},
	{"geqo_seed", "0x.8", []string{"0.5"}},
	{"geqo_seed", "0x1p-1", []string{"0.5"}},
	{"geqo_seed", " .5 ", []string{"0.5"}},
	{"geqo_seed", "nan", []string{refused}},
	{"geqo_seed", "inf", []string{refused}},
	{"geqo_seed", "1e-400", []string{refused}},
	{"geqo_seed", "0e-400", []string{"0"}},
	{"geqo_seed", "0.5ms", []string{refused}},
	{"geqo_seed", "-0", []string{"-0"}},
	{"cpu_tuple_cost", "1e300", []string{"1e+300"}},
}

func wantOf(want []string, m pgconf.Major) string {
	switch {
	case len(want) == 1 || m < 11:
		return want[0]
	case m < 12:
		return want[len(want)-2]
	}
	return want[len(want)-1]
}

func TestParseNumbers(t *testing.T) {
	for m := pgconf.Major(10); m <= pgconf.Newest; m++ {
		for _, v := range numberVectors {
			got := refused
			if value, err := guc.Parse(m, v.name, v.value); err == nil {
				got = value.Setting()
			}
			require.Equal(t, wantOf(v.want, m), got, "%s: %s = %q", m, v.name, v.value)
		}
	}
}

// TestParseOldNumbers: majors that no server judges here.
func TestParseOldNumbers(t *testing.T) {
	for _, v := range []struct {
		major             pgconf.Major
		name, value, want string
	}{
		{pgconf.V9_6, "max_wal_size", "64", "64"}, // segments of 16 MB
		{pgconf.V9_6, "max_wal_size", "100MB", "6"},
		{pgconf.V9_6, "max_wal_size", "33MB", "2"},
		{pgconf.V9_6, "max_wal_size", "15MB", refused},
		{pgconf.V9_5, "max_wal_size", "1GB", "64"},
		{pgconf.V9_5, "max_wal_size", "1TB", "65536"},
		{pgconf.V9_5, "max_wal_size", "32768kB", "2"},
		{pgconf.V9_4, "work_mem", "1TB", "1073741824"},
		{pgconf.V9_3, "work_mem", "1TB", refused},
		{pgconf.V9_0, "work_mem", "1GB", "1048576"},
		{pgconf.V9_0, "work_mem", "65536B", refused},
		{pgconf.V9_0, "work_mem", "100.5", refused},
		{pgconf.V9_0, "statement_timeout", "1d", "86400000"},
		{pgconf.V9_0, "statement_timeout", "1000us", refused},
		{pgconf.V9_0, "archive_mode", "always", refused},
		{pgconf.V9_4, "archive_mode", "on", "on"},
		{pgconf.V9_1, "synchronous_commit", "remote_write", refused},
		{pgconf.V9_1, "synchronous_commit", "yes", "on"},
		{pgconf.V9_5, "wal_level", "replica", refused},
		{pgconf.V9_6, "wal_level", "archive", "replica"},
		{pgconf.V9_6, "password_encryption", "on", "on"},
		{pgconf.V9_4, "autovacuum_work_mem", "64", "1024"},
		{pgconf.V9_1, "wal_buffers", "0", "4"},
		{pgconf.V9_0, "wal_buffers", "0", refused},
		{pgconf.V9_6, "application_name", "é", "??"},
	} {
		got := refused
		if value, err := guc.Parse(v.major, v.name, v.value); err == nil {
			got = value.Setting()
		}
		require.Equal(t, v.want, got, "%s: %s = %q", v.major, v.name, v.value)
	}
	v, err := guc.Parse(pgconf.V9_6, "max_wal_size", "100MB")
	require.NoError(t, err)
	require.Equal(t, "96MB", v.String())
}

func TestValue(t *testing.T) {
	v, err := guc.Parse(17, "work_mem", "1GB")
	require.NoError(t, err)
	same, err := guc.Parse(17, "WORK_MEM", " 1024 MB ")
	require.NoError(t, err)
	require.Equal(t, v, same)
	n, ok := v.Number()
	require.True(t, ok)
	require.InEpsilon(t, 1<<20, n, 0)
	_, ok = v.Bool()
	require.False(t, ok)
	v, err = guc.Parse(17, "fsync", "TRUE")
	require.NoError(t, err)
	on, ok := v.Bool()
	require.True(t, on && ok)
	_, ok = v.Number()
	require.False(t, ok)
	v, err = guc.Parse(17, "log_file_mode", "0640")
	require.NoError(t, err)
	require.Equal(t, "0640", v.String())
	require.Equal(t, "416", v.Setting())
	v, err = guc.Parse(17, "unix_socket_permissions", "8")
	require.NoError(t, err)
	require.Equal(t, "0010", v.String())
	require.Equal(t, "off", guc.Value{}.String())
	v, err = guc.Parse(17, "random_page_cost", "1.23456789")
	require.NoError(t, err)
	require.Equal(t, "1.23457", v.String())
	require.Equal(t, "1.23456789", v.Setting())
}

// TestErrorsKeepSecrets: no error says what was written.
func TestErrorsKeepSecrets(t *testing.T) {
	const secret = "s3cr3t"
	refusals := map[guc.Refusal]bool{}
	for _, p := range guc.Params(17) {
		for _, value := range []string{secret, "1 " + secret, "'" + secret, secret + ",", "1.5", "-99999999999"} {
			_, err := p.Parse(value)
			if err == nil {
				continue
			}
			require.NotContains(t, err.Error(), secret)
			var refused *guc.ValueError
			require.ErrorAs(t, err, &refused)
			require.NotEmpty(t, refused.Hint)
			require.Equal(t, p, refused.Param)
			refusals[refused.Kind] = true
		}
	}
	for kind := guc.NotBool; kind <= guc.OwnRule; kind++ {
		require.Equal(t, kind != guc.NotWhole, refusals[kind], "%d", kind)
	}
}

func TestHints(t *testing.T) {
	for _, c := range []struct {
		major             pgconf.Major
		name, value, want string
	}{
		{17, "work_mem", "1gb", "unknown unit; takes TB, GB, MB, kB, B (upper and lower case matter), or a bare number of kB"},
		{10, "statement_timeout", "1us", "unknown unit; takes d, h, min, s, ms (upper and lower case matter), or a bare number of ms"},
		{17, "work_mem", "1kB", "out of range; takes 64kB to 2147483647kB"},
		{17, "port", "0", "out of range; takes 1 to 65535"},
		{17, "port", "1kB", "takes a number without unit"},
		{17, "seq_page_cost", "-1", "out of range; takes 0 to the largest number"},
		{11, "work_mem", "1.5GB", "takes whole numbers only, before 12"},
		{17, "fsync", "o", "not a boolean; use on or off"},
		{17, "block_size", "8192", "no file can set it; remove the line"},
		{17, "DateStyle", "iso, sql", "the words contradict each other"},
		{17, "notify_buffers", "17", "takes multiples of 16 blocks, which are 128kB"},
		{17, "port", "many", "not a number"},
	} {
		require.EqualError(t, guc.Validate(c.major, c.name, c.value), c.name+": "+c.want)
	}
}
