package conninfo

import "github.com/understudy-ha/understudy/pgconf"

// TargetSessionAttrs says which of several servers a connection is for: the value of target_session_attrs. Set it with
// info.With("target_session_attrs", string(conninfo.TargetPrimary)).
type TargetSessionAttrs string

// The values that libpq knows (manual: "Parameter Key Words", target_session_attrs).
const (
	TargetAny           TargetSessionAttrs = "any"            // the first that lets one in; the default
	TargetReadWrite     TargetSessionAttrs = "read-write"     // one whose sessions can write: 10+
	TargetReadOnly      TargetSessionAttrs = "read-only"      // one whose sessions cannot: 14+
	TargetPrimary       TargetSessionAttrs = "primary"        // one that is not in recovery: 14+
	TargetStandby       TargetSessionAttrs = "standby"        // one that is: 14+
	TargetPreferStandby TargetSessionAttrs = "prefer-standby" // a standby if there is any, else whichever: 14+
)

// Since returns the first major whose libpq knows the value, or 0 if none does.
func (t TargetSessionAttrs) Since() pgconf.Major {
	k, _ := LookupKeyword("target_session_attrs")
	for _, c := range k.values {
		if c.text == string(t) {
			return c.since
		}
	}
	return 0
}

// TargetSessionAttrs returns the value of target_session_attrs, [TargetAny] if it is not there. The error, an
// [*OptionError], is for a value that no libpq knows.
func (i Info) TargetSessionAttrs() (TargetSessionAttrs, error) {
	value, ok := i.Get("target_session_attrs")
	if !ok {
		return TargetAny, nil
	}
	if t := TargetSessionAttrs(value); t.Since() > 0 {
		return t, nil
	}
	return "", pair{"target_session_attrs", value}.judge(pgconf.Newest)
}

// LoadBalanceHosts reports whether the servers, and the addresses of each, are tried in random order (load_balance_hosts=random,
// 16+). The error, an [*OptionError], is for a value that libpq does not know.
func (i Info) LoadBalanceHosts() (bool, error) {
	value, ok := i.Get("load_balance_hosts")
	if !ok {
		return false, nil
	}
	if err := (pair{"load_balance_hosts", value}).judge(pgconf.Newest); err != nil {
		return false, err
	}
	return value == "random", nil
}
