package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/understudy-ha/understudy/topology"
)

type showCommand struct {
	source
	observing
	Format string    `enum:"tree,table,json,dot,mermaid" default:"tree" help:"How to show it: ${enum}."`
	Color  string    `enum:"auto,always,never" default:"auto" help:"Colours in the tree: ${enum}. auto means on a terminal, unless NO_COLOR is set."`
	Watch  watchFlag `placeholder:"TIME" help:"Show it again and again, every 2s or as often as is said: --watch or --watch=TIME."`
}

// watchFlag is a flag with or without a value.
type watchFlag time.Duration

// IsBool tells kong that the flag needs no value.
func (*watchFlag) IsBool() bool { return true }

// Decode reads the flag.
func (w *watchFlag) Decode(ctx *kong.DecodeContext) error {
	*w = watchFlag(2 * time.Second)
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	text, _ := ctx.Scan.Pop().Value.(string)
	every, err := time.ParseDuration(text)
	if err == nil && every < 100*time.Millisecond {
		err = fmt.Errorf("%v is less than 100ms", every)
	}
	*w = watchFlag(every)
	return err
}

// Run shows the cluster once, or until it is interrupted.
func (k *showCommand) Run(ctx context.Context, out *streams) error {
	if k.Watch != 0 && (k.Format == "dot" || k.Format == "mermaid") {
		return codeError{exitUsage, errors.New("--watch does not go with pictures: use --format tree, table or json")}
	}
	c, err := k.load(out)
	if err != nil {
		return err
	}
	o, err := k.open(ctx, c)
	if err != nil {
		return err
	}
	defer o.close(ctx)
	if k.Watch != 0 {
		return k.watch(ctx, o, out)
	}
	r := o.report(ctx)
	if ctx.Err() != nil {
		return codeError{exitInterrupted, errors.New("interrupted while the servers were asked")}
	}
	text, err := k.draw(r, out.Out)
	if err == nil {
		_, err = io.WriteString(out.Out, text)
	}
	return cmp.Or(err, outcome(r))
}

// draw writes a report in the form that was asked for.
func (k *showCommand) draw(r topology.Report, to io.Writer) (string, error) {
	switch k.Format {
	case "table":
		return r.Table(), nil
	case "json":
		text, err := r.JSON()
		return string(text), err
	case "dot":
		return r.DOT(), nil
	case "mermaid":
		return r.Mermaid(), nil
	default:
		return r.Text(textOptions(to, k.Color)), nil
	}
}

// textOptions are those for where the text goes.
func textOptions(to io.Writer, color string) topology.TextOptions {
	width, _, isTerminal := screenOf(to)
	pretty := isTerminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return topology.TextOptions{Color: color == "always" || color == "auto" && pretty, Width: width}
}

// screenOf returns the size of the terminal that is written to, if it is one.
func screenOf(to io.Writer) (width, height int, ok bool) {
	f, isFile := to.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 || height <= 0 { // a terminal that does not say, such as a serial line
		return 80, 24, true
	}
	return width, height, true
}

func printJSON(to io.Writer, value any) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
