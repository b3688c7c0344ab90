package gocd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/understudy-ha/understudy/gocd"
)

// The line as it is often printed, without quotes: bash assigns nothing, and the server would start ACTIVE.
func ExampleInspect() {
	file := []byte("GO_SERVER_PORT=8153\n" +
		"GO_SERVER_SYSTEM_PROPERTIES=$GO_SERVER_SYSTEM_PROPERTIES -Dgo.server.mode=standby\n")
	report, err := gocd.Inspect("/etc/default/go-server", file, gocd.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Mode)
	for _, f := range report.Findings {
		fmt.Println(f.Line, f.Kind, "-", f.Advice)
	}
	// Output:
	// primary
	// 2 bare-words - put the whole right side in double quotes
}

// The number 16 is taken twice: the standby line hides the database provider.
func ExampleEdit() {
	file := []byte("wrapper.java.additional.16=-Dgo.database.provider=com.thoughtworks.go.postgresql.PostgresqlDatabase\n" +
		"wrapper.java.additional.16=-Dgo.server.mode=standby\n")
	version, err := gocd.ParseVersion("20.4.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	standby, _, err := gocd.Standby(version, "http://primarygo:8153")
	if err != nil {
		fmt.Println(err)
		return
	}
	after, err := gocd.Edit("wrapper-properties.conf", file, standby, gocd.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(after))
	// Output:
	// wrapper.java.additional.16=-Dgo.database.provider=com.thoughtworks.go.postgresql.PostgresqlDatabase
	// # BEGIN understudy gocd mode (managed block, do not edit)
	// wrapper.java.additional.1000=-Dgo.server.mode=standby
	// wrapper.java.additional.1001=-Dbc.primary.url=http://primarygo:8153
	// # END understudy gocd mode
}

func ExampleStandby() {
	for _, release := range []string{"21.2.0", "22.3.0", "23.1.0"} {
		version, err := gocd.ParseVersion(release)
		if err != nil {
			fmt.Println(err)
			return
		}
		standby, warnings, err := gocd.Standby(version, "http://primarygo:8153")
		var unsupported *gocd.UnsupportedError
		if errors.As(err, &unsupported) {
			fmt.Println(unsupported.Version, "refused")
			continue
		}
		fmt.Println(version, standby.Mode(), warnings[0].Kind)
	}
	// Output:
	// 21.2.0 standby unprotected-api
	// 22.3.0 standby no-sync
	// 23.1.0 refused
}

func ExampleApply() {
	dir, err := os.MkdirTemp("", "gocd")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "wrapper-properties.conf")
	version, err := gocd.ParseVersion("21.2.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	standby, _, err := gocd.Standby(version, "http://primarygo:8153")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for _, target := range []gocd.Target{standby, gocd.Primary()} {
		change, err := gocd.Prepare(path, target, gocd.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		// change.Diff() shows what is about to happen.
		report, err := gocd.Apply(ctx, change, gocd.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(report.Mode, report.ServerMode.Value, report.PrimaryURL.Value)
	}
	// Output:
	// standby standby http://primarygo:8153
	// primary
}

func ExampleDetectFormat() {
	format, err := gocd.DetectFormat("settings", []byte("wrapper.java.additional.100=-Xmx2G\n"))
	fmt.Println(format, err)
	// Output: wrapper <nil>
}
