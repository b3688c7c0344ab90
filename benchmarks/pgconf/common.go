package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

//go:embed common.pl
var commonScript string

// common is PgCommon.pm of Debian's package postgresql-common, with which pg_conftool edits.
type common struct{}

func (common) Name() string { return "postgresql-common" }

func (common) Missing() string {
	if err := exec.Command("perl", "-MPgCommon", "-MJSON::PP", "-e", "1").Run(); err != nil { //nolint:noctx // it ends at once
		return "no Perl with PgCommon.pm, which is in Debian's package postgresql-common"
	}
	return ""
}

func (common) perl(ctx context.Context, args ...string) ([]byte, error) {
	return exec.CommandContext(ctx, "perl", append([]string{"-e", commonScript}, args...)...).Output()
}

func (c common) Conf(ctx context.Context, path string) (string, error) {
	out, err := c.perl(ctx, "conf", path)
	if err != nil {
		return "", err
	}
	values := map[string]string{}
	err = json.Unmarshal(out, &values)
	return normalConf(values), err
}

func (c common) HBA(ctx context.Context, path string) (string, error) {
	out, err := c.perl(ctx, "hba", path)
	if err != nil {
		return "", err
	}
	var read []struct{ Type, DB, User, IP, Mask, Method string }
	if err := json.Unmarshal(out, &read); err != nil {
		return "", err
	}
	var all []rule
	for _, r := range read {
		method, options, _ := strings.Cut(r.Method, " ")
		all = append(all, rule{r.Type, []string{r.DB}, []string{r.User}, r.IP, r.Mask, method, strings.Fields(options)})
	}
	return normalHBA(all), nil
}

func (c common) Time(ctx context.Context, op operation, path string, about time.Duration) (time.Duration, error) {
	out, err := c.perl(ctx, string(op), path, strconv.FormatFloat(about.Seconds(), 'f', -1, 64))
	if err != nil {
		return 0, err
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return time.Duration(seconds * float64(time.Second)), err
}
