package gocd

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is a GoCD release such as 21.2.0 or, with its build number, 20.4.0-11749. The zero value is no release.
type Version struct {
	Major, Minor, Patch int
	Build               int // 0: not given
}

// ParseVersion reads MAJOR.MINOR, MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCH-BUILD in decimal digits, as the server's
// About page and the package names print it. A missing patch is 0.
func ParseVersion(s string) (Version, error) {
	bad := func(why string) (Version, error) {
		return Version{}, fmt.Errorf("GoCD version %q: %s, want for example 21.2.0", s, why)
	}
	release, build, hasBuild := strings.Cut(s, "-")
	fields := strings.Split(release, ".")
	if len(fields) < 2 || len(fields) > 3 || hasBuild && len(fields) != 3 {
		return bad("not MAJOR.MINOR.PATCH")
	}
	if hasBuild {
		fields = append(fields, build)
	}
	var numbers [4]int
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 31)
		if err != nil {
			return bad(fmt.Sprintf("%q is not a number", field))
		}
		numbers[i] = int(n)
	}
	v := Version{Major: numbers[0], Minor: numbers[1], Patch: numbers[2], Build: numbers[3]}
	if v.Major == 0 {
		return bad("there was no such release")
	}
	return v, nil
}

// String returns MAJOR.MINOR.PATCH, with -BUILD if the build is known.
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Build != 0 {
		s += "-" + strconv.Itoa(v.Build)
	}
	return s
}

// MarshalText returns the bytes of [Version.String].
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the text with [ParseVersion].
func (v *Version) UnmarshalText(text []byte) (err error) {
	*v, err = ParseVersion(string(text))
	return err
}

// Compare returns -1, 0 or +1 as v is older than, the same as or newer than w. A version without a build comes
// before the same version with one.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor),
		cmp.Compare(v.Patch, w.Patch), cmp.Compare(v.Build, w.Build))
}

// before reports whether v is older than MAJOR.MINOR.0.
func (v Version) before(major, minor int) bool {
	return v.Compare(Version{Major: major, Minor: minor}) < 0
}

// UnsupportedError says that a release would not do what is asked: it would start ACTIVE.
type UnsupportedError struct {
	Version Version
	Reason  string // what the release does instead, and what to do
}

func (e *UnsupportedError) Error() string { return fmt.Sprintf("GoCD %s: %s", e.Version, e.Reason) }

// WarningKind names a warning for programs.
type WarningKind string

// The warnings, with the releases they are about.
const (
	WarningAddOn      WarningKind = "add-on-needed"    // up to 20.5: passive only with the add-on jar
	WarningMigration  WarningKind = "migration-runs"   // 20.6 to 20.8: start-up fails on a read-only database
	WarningOpenAPI    WarningKind = "unprotected-api"  // 20.6 to 21.2: anyone can read the primary's secrets
	WarningNoSync     WarningKind = "no-sync"          // 21.3 to 22.3: passive, but files are never synced
	WarningClosedPort WarningKind = "port-8154-closed" // from 20.2: the primary URL names a port not open by default
)

// Warning says what a release's standby does not do, though it starts passive.
type Warning struct {
	Kind WarningKind `json:"kind"`
	Text string      `json:"text"`
}

// standbyRanges lists what go.server.mode=standby means by release, oldest first. A range ends before its release.
var standbyRanges = []struct {
	major, minor int
	warnings     []Warning
}{
	{20, 6, []Warning{{WarningAddOn,
		"the server starts passive only with the business continuity add-on jar of the same release in its addons " +
			"folder; without it it starts ACTIVE"}}},
	{20, 9, []Warning{warnOpenAPI, {WarningMigration,
		"the database migration runs at start even on a standby and cannot succeed on a read-only database; " +
			"use 20.9.0 to 21.2.0, or keep the standby stopped"}}},
	{21, 3, []Warning{warnOpenAPI}},
	{23, 1, []Warning{{WarningNoSync,
		"the server starts passive, but the primary's synchronisation API is gone: configuration and plugins " +
			"are never copied, so copy them yourself"}}},
}

var warnOpenAPI = Warning{WarningOpenAPI,
	"all of /go/add-on on the primary is open to anyone, cipher and configuration included (CVE-2021-43287); " +
		"let only the standby reach it"}

// standbyWarnings tells what a standby of release v lacks, or why there is none.
func standbyWarnings(v Version) ([]Warning, error) {
	for _, r := range standbyRanges {
		if v.before(r.major, r.minor) {
			return r.warnings, nil
		}
	}
	return nil, &UnsupportedError{Version: v, Reason: "go.server.mode=standby is ignored from 23.1.0 on and the " +
		"server would start ACTIVE; keep the second server stopped and start it at failover"}
}

// checkFormat tells whether a server of release v reads files of this format at all.
func checkFormat(v Version, f Format, windows bool) error {
	old := v.before(19, 6)
	switch {
	case f == FormatShell && !old:
		return &UnsupportedError{Version: v, Reason: "/etc/default/go-server is not read from 19.6 on and the server " +
			"would start ACTIVE; edit wrapper-config/wrapper-properties.conf"}
	case f == FormatWrapper && old && !windows:
		return &UnsupportedError{Version: v, Reason: "before 19.6 only Windows reads wrapper-properties.conf and the " +
			"server would start ACTIVE; edit /etc/default/go-server"}
	}
	return nil
}
