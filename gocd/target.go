package gocd

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Target is the state that an edit brings a file to. The zero value is [Primary]. A standby target comes only
// from [Standby], so that none exists for a release that would ignore it.
type Target struct {
	mode       Mode
	primaryURL string
	version    Version
}

// Primary is the target of a server that starts ACTIVE: neither property is set.
func Primary() Target { return Target{} }

// Standby is the target of a server of release v that starts passive and follows the primary at primaryURL, an
// absolute http or https URL without user, query and the /go of the web application. One slash at the end
// is dropped, as the server does.
//
// The warnings tell what a standby of that release does not do. From 23.1.0 on the error is an [*UnsupportedError]:
// the property is ignored there, and a second server would start ACTIVE.
func Standby(v Version, primaryURL string) (Target, []Warning, error) {
	if v == (Version{}) {
		return Target{}, nil, errors.New("the GoCD version is not given: what a standby does depends on it")
	}
	warnings, err := standbyWarnings(v)
	if err != nil {
		return Target{}, nil, err
	}
	u, err := checkURL(primaryURL)
	if err != nil {
		return Target{}, nil, err
	}
	if u.Port() == "8154" && !v.before(20, 2) {
		warnings = append(warnings[:len(warnings):len(warnings)], Warning{WarningClosedPort,
			"from 20.2.0 on GoCD does not open port 8154 by default; unless a proxy listens there, use http and 8153"})
	}
	return Target{mode: ModeStandby, primaryURL: strings.TrimSuffix(primaryURL, "/"), version: v}, warnings, nil
}

// checkURL accepts what bash, the wrapper on every system and the JVM all read as it stands, without quotes.
func checkURL(s string) (*url.URL, error) {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:/[]"
	bad := func(why string) (*url.URL, error) {
		return nil, fmt.Errorf("primary URL: %s, want for example https://primarygo:8154", why)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil: // its text repeats the URL, and that may hold a password
		return bad("not a URL")
	case u.User != nil:
		return bad("holds a user or password, which every user of the host could read in the process list")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return bad(fmt.Sprintf("%q is not an absolute http or https URL", s))
	case strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(safe, r) }):
		return bad(fmt.Sprintf("%q has a character other than letters, digits and -._:/[]", s))
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/go"):
		return bad(fmt.Sprintf("%q ends in /go, which the server adds itself", s))
	}
	return u, nil
}

// Mode is ModePrimary or ModeStandby.
func (t Target) Mode() Mode {
	if t.mode == ModeStandby {
		return ModeStandby
	}
	return ModePrimary
}

// reachedBy reports whether a server that starts as r says is in the state t. A primary must not have
// go.server.mode at all.
func (t Target) reachedBy(r Report) bool {
	if t.Mode() == ModePrimary {
		return r.Mode == ModePrimary && !r.ServerMode.Set
	}
	return r.Mode == ModeStandby && r.PrimaryURL.Value == t.primaryURL
}
