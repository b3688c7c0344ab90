package gocd_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/gocd"
)

func TestParseVersion(t *testing.T) {
	for _, c := range []struct {
		in, out string // out empty: refused
	}{
		{"21.2.0", "21.2.0"},
		{"21.2", "21.2.0"},
		{"20.4.0-11749", "20.4.0-11749"},
		{"3.0.10", "3.0.10"},
		{"", ""},
		{"21", ""},
		{"21.2.0.1", ""},
		{"21.2-11749", ""},
		{"21.2.0-", ""},
		{"21.2.0-x", ""},
		{"v21.2.0", ""},
		{"21.2.0 ", ""},
		{"21..0", ""},
		{"+21.2.0", ""},
		{"-1.2.0", ""},
		{"0.0.0", ""},
		{"21.99999999999999999999.0", ""},
	} {
		t.Run(c.in, func(t *testing.T) {
			v, err := gocd.ParseVersion(c.in)
			if c.out == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.out, v.String())
			var again gocd.Version
			require.NoError(t, again.UnmarshalText([]byte(c.out)))
			require.Equal(t, v, again)
		})
	}
}

func TestVersionCompare(t *testing.T) {
	sorted := []string{"3.5.0", "18.7.0", "19.12.0", "20.4.0", "20.4.0-11749", "20.4.1", "20.10.0", "21.2.0", "23.1.0"}
	for i, a := range sorted {
		for j, b := range sorted {
			va, err := gocd.ParseVersion(a)
			require.NoError(t, err)
			vb, err := gocd.ParseVersion(b)
			require.NoError(t, err)
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			require.Equal(t, want, va.Compare(vb), "%s and %s", a, b)
		}
	}
}

// What standby means by release (facts of the source at each tag).
func TestStandbyByRelease(t *testing.T) {
	const (
		addOn     = gocd.WarningAddOn
		openAPI   = gocd.WarningOpenAPI
		migration = gocd.WarningMigration
		noSync    = gocd.WarningNoSync
	)
	for _, c := range []struct {
		version     string
		unsupported bool
		warnings    []gocd.WarningKind
	}{
		{version: "17.3.0", warnings: []gocd.WarningKind{addOn}},
		{version: "20.5.0", warnings: []gocd.WarningKind{addOn}},
		{version: "20.6.0", warnings: []gocd.WarningKind{openAPI, migration}},
		{version: "20.8.0", warnings: []gocd.WarningKind{openAPI, migration}},
		{version: "20.9.0", warnings: []gocd.WarningKind{openAPI}},
		{version: "20.10.0", warnings: []gocd.WarningKind{openAPI}},
		{version: "21.2.0", warnings: []gocd.WarningKind{openAPI}},
		{version: "21.3.0", warnings: []gocd.WarningKind{noSync}},
		{version: "22.3.0", warnings: []gocd.WarningKind{noSync}},
		{version: "23.1.0", unsupported: true},
		{version: "23.1.0-16079", unsupported: true},
		{version: "25.1.0", unsupported: true},
	} {
		t.Run(c.version, func(t *testing.T) {
			v, err := gocd.ParseVersion(c.version)
			require.NoError(t, err)
			target, warnings, err := gocd.Standby(v, "http://primarygo:8153")
			if c.unsupported {
				var unsupported *gocd.UnsupportedError
				require.ErrorAs(t, err, &unsupported)
				require.Equal(t, v, unsupported.Version)
				require.Equal(t, gocd.ModePrimary, target.Mode(), "the target of a refusal must not be a standby")
				return
			}
			require.NoError(t, err)
			require.Equal(t, gocd.ModeStandby, target.Mode())
			require.Equal(t, c.warnings, kinds(warnings))
		})
	}
}

func kinds(warnings []gocd.Warning) (kinds []gocd.WarningKind) {
	for _, w := range warnings {
		kinds = append(kinds, w.Kind)
	}
	return kinds
}

func TestStandbyPort8154(t *testing.T) {
	for version, warned := range map[string]bool{"20.1.0": false, "20.2.0": true, "21.2.0": true} {
		v, err := gocd.ParseVersion(version)
		require.NoError(t, err)
		_, warnings, err := gocd.Standby(v, "https://primarygo:8154")
		require.NoError(t, err)
		require.Equal(t, warned, kinds(warnings)[len(warnings)-1] == gocd.WarningClosedPort, version)
		_, again, err := gocd.Standby(v, "https://primarygo:8154")
		require.NoError(t, err)
		require.Equal(t, warnings, again, "the table of warnings must not grow")
	}
}

func TestStandbyVersionNotGiven(t *testing.T) {
	_, _, err := gocd.Standby(gocd.Version{}, "http://primarygo:8153")
	require.ErrorContains(t, err, "version")
}

func TestStandbyURL(t *testing.T) {
	v, err := gocd.ParseVersion("19.5.0")
	require.NoError(t, err)
	for url, valid := range map[string]bool{
		"https://primarygo:8154":      true,
		"http://10.0.0.1:8153/":       true,
		"https://ci.example.com/base": true,
		"http://[::1]:8153":           true,
		"":                            false,
		"primarygo:8154":              false,
		"//primarygo":                 false,
		"ftp://primarygo":             false,
		"https://":                    false,
		"https://:8154":               false,
		"https://primarygo:8154/go":   false,
		"https://primarygo:8154/go/":  false,
		"https://h/?q=1":              false,
		"https://h/#f":                false,
		"https://h/%41":               false,
		"https://h/a b":               false,
		"https://h/$x":                false,
		"https://h/`x`":               false,
		"https://h/\"":                false,
		"https://h/;x":                false,
		"https://h/\nx":               false,
		"https://us:marker-pw@h:8154": false,
	} {
		_, _, err := gocd.Standby(v, url)
		require.Equal(t, valid, err == nil, "%q: %v", url, err)
		if err != nil {
			require.NotContains(t, err.Error(), "marker-pw")
		}
	}
}

// A file that a release does not read must not be taken for its standby setting.
func TestEditFileOfOtherRelease(t *testing.T) {
	for _, c := range []struct {
		version string
		format  gocd.Format
		windows bool
		read    bool
	}{
		{"19.5.0", gocd.FormatShell, false, true},
		{"19.6.0", gocd.FormatShell, false, false},
		{"21.2.0", gocd.FormatShell, false, false},
		{"19.5.0", gocd.FormatWrapper, false, false},
		{"19.5.0", gocd.FormatWrapper, true, true},
		{"19.6.0", gocd.FormatWrapper, false, true},
		{"21.2.0", gocd.FormatWrapper, true, true},
	} {
		v, err := gocd.ParseVersion(c.version)
		require.NoError(t, err)
		target, _, err := gocd.Standby(v, primaryURL)
		require.NoError(t, err)
		_, err = gocd.Edit("f", nil, target, gocd.Options{Format: c.format, Windows: c.windows})
		var unsupported *gocd.UnsupportedError
		require.Equal(t, !c.read, err != nil, "%+v: %v", c, err)
		if !c.read {
			require.ErrorAs(t, err, &unsupported)
		}
	}
}
