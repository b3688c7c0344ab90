// Package walsender is how the packages that speak the replication protocol connect to a server.
package walsender

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// Config is how pgconn connects to the source: to the database, or as source says if that is empty, with these parameters and the
// source's options. A replication connection has no database, but libpq looks for the password of "replication" (manual: "The
// Password File"). Of several hosts hostaddr must name as many. What pgx would take for a parameter of the server, though libpq keeps it to
// itself, is left out. Errors hold nothing of the connection string: pgx hides what it takes for a password, which is not always all.
func Config(source conninfo.Info, database string, params map[string]string) (*pgconn.Config, error) {
	addr, _ := source.Get("hostaddr")
	if host, _ := source.Get("host"); host == "" && addr != "" {
		source = source.With("host", addr)
	}
	if database != "" {
		source = source.With("dbname", database)
	}
	cfg, err := pgconn.ParseConfig(source.Text())
	if err != nil {
		return nil, hideText(err)
	}
	if addr != "" && !strings.Contains(addr, ",") {
		cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{addr}, nil }
	}
	if options, ok := source.Get("options"); ok {
		params["options"] = options
	}
	cfg.RuntimeParams = params
	return cfg, nil
}

func hideText(err error) error {
	var parse *pgconn.ParseConfigError
	if !errors.As(err, &parse) {
		return err
	}
	if cause := errors.Unwrap(parse); cause != nil {
		return fmt.Errorf("connection string of the source: %w", cause)
	}
	return errors.New("connection string of the source: pgx does not understand it")
}
