package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// ours is this module.
type ours struct{ major pgconf.Major }

func (ours) Name() string    { return "understudy" }
func (ours) Missing() string { return "" }

func (ours) Conf(_ context.Context, path string) (string, error) {
	settings, err := settingsOf(path)
	if err != nil {
		return "", err
	}
	values := map[string]string{}
	for _, s := range settings {
		values[s.Name] = s.Value
	}
	return normalConf(values), nil
}

func settingsOf(path string) ([]pgconf.Setting, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := pgconf.Parse(path, text)
	if err != nil {
		return nil, err
	}
	return f.Settings(), nil
}

func (o ours) HBA(_ context.Context, path string) (string, error) {
	loaded, err := hba.Load(os.DirFS(filepath.Dir(path)), filepath.Base(path), o.major)
	if err != nil {
		return "", err
	}
	var all []rule
	for _, row := range loaded.View() {
		r := rule{databases: texts(row, "database"), users: texts(row, "user_name"), options: texts(row, "options")}
		r.kind, r.address, r.mask, r.method = text(row, "type"), text(row, "address"), text(row, "netmask"), text(row, "auth_method")
		all = append(all, r)
	}
	return normalHBA(all), nil
}

func text(row hba.Row, column string) string {
	s, _ := row.Get(column).(string) // nil is NULL
	return s
}

func texts(row hba.Row, column string) []string {
	s, _ := row.Get(column).([]string)
	return s
}

func (o ours) Time(_ context.Context, op operation, path string, about time.Duration) (time.Duration, error) {
	run := map[operation]func() error{
		readConf: func() error { _, err := settingsOf(path); return err },
		editConf: func() error { return edit(path) },
		readHBA: func() error {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f, err := hba.ParseFor(path, text, o.major)
			if err == nil && len(f.Records()) != rules {
				err = fmt.Errorf("%d records", len(f.Records()))
			}
			return err
		},
	}[op]
	return measure(run, about)
}

var values = []string{"64MB", "32MB"}

// edit sets another value each time, as the others do: a new file takes the old one's place.
func edit(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f, err := pgconf.Parse(path, text)
	if err != nil {
		return err
	}
	values[0], values[1] = values[1], values[0]
	if err := f.Set("work_mem", values[0]); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", f.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// measure returns the time of one run, the mean of those that fit into the time.
func measure(run func() error, about time.Duration) (time.Duration, error) {
	if err := run(); err != nil {
		return 0, err
	}
	runs, began := 0, time.Now()
	for time.Since(began) < about {
		if err := run(); err != nil {
			return 0, err
		}
		runs++
	}
	return time.Since(began) / time.Duration(runs), nil
}

// timeMatch returns how long it takes to pass one rule in search of the last.
func timeMatch(path string, major pgconf.Major, about time.Duration) (time.Duration, error) {
	loaded, err := hba.Load(os.DirFS(filepath.Dir(path)), filepath.Base(path), major)
	if err != nil {
		return 0, err
	}
	m := hba.NewMatcher(loaded, hba.Server{Member: hba.Memberships{}.Member})
	last := rules - 1
	conn := hba.Conn{
		Transport: hba.OverTCP,
		Client:    netip.AddrFrom4([4]byte{10, byte(last >> 8), byte(last), 1}),
		Database:  fmt.Sprintf("app%d", last%100), User: fmt.Sprintf("user%d", last),
	}
	took, err := measure(func() error {
		if got := m.Match(conn); got.Index != last {
			return fmt.Errorf("the rule found is %d: %s", got.Index, got.Why())
		}
		return nil
	}, about)
	return took / rules, err
}
