package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology"
)

// Sequences of ECMA-48 and xterm.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // the alternate screen, without a cursor, and long lines are cut
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// watch shows the cluster until it is interrupted: on a terminal each picture takes the place of the one before, and the last one stays;
// elsewhere they follow each other, each under its time. It ends as the last picture does.
func (k *showCommand) watch(ctx context.Context, o *observer, out *streams) error {
	show := k.append
	if _, _, ok := screenOf(out.Out); ok && k.Format != "json" {
		if _, err := io.WriteString(out.Out, enterScreen); err != nil {
			return err
		}
		show = k.redraw
	}
	ticker := time.NewTicker(time.Duration(k.Watch))
	defer ticker.Stop()
	var last topology.Report
	var err error
	for {
		r := o.report(ctx)
		if ctx.Err() != nil {
			break
		}
		last = r
		if err = show(r, out.Out); err != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
			continue
		}
		break
	}
	return cmp.Or(err, k.endWatch(last, out.Out), watched(last))
}

// endWatch gives the terminal back, with the last picture on it.
func (k *showCommand) endWatch(last topology.Report, to io.Writer) error {
	if _, _, ok := screenOf(to); !ok || k.Format == "json" {
		return nil
	}
	text := ""
	if len(last.Tree.Roots) > 0 {
		text, _ = k.draw(last, to) // only json fails
	}
	_, err := io.WriteString(to, leaveScreen+text)
	return err
}

// watched is how watching ends: with the last picture's code, or as interrupted if there was none.
func watched(last topology.Report) error {
	if len(last.Tree.Roots) == 0 {
		return codeError{code: exitInterrupted}
	}
	if last.Level() <= topology.Notice {
		return nil
	}
	return outcome(last)
}

// append writes one picture after the other.
func (k *showCommand) append(r topology.Report, to io.Writer) error {
	text, err := k.draw(r, to)
	if err == nil && k.Format == "tree" {
		text = r.At.Format("2006-01-02 15:04:05 MST") + "\n" + text + "\n"
	}
	if err == nil {
		_, err = io.WriteString(to, text)
	}
	return err
}

// redraw puts a picture over the one before. Nothing is cleared before it is overwritten, so that the screen does not flicker.
func (k *showCommand) redraw(r topology.Report, to io.Writer) error {
	text, err := k.draw(r, to)
	if err != nil {
		return err
	}
	_, height, _ := screenOf(to)
	heading := fmt.Sprintf("%s  %s  every %v, ctrl-C ends", r.Cluster, r.At.Format("2006-01-02 15:04:05 MST"), time.Duration(k.Watch))
	lines := append([]string{heading, ""}, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	if len(lines) > height {
		hidden := len(lines) - height + 1
		lines = append(lines[:height-1], fmt.Sprintf("… %d more lines", hidden))
	}
	_, err = io.WriteString(to, home+strings.Join(lines, clearLine+"\r\n")+clearLine+clearBelow)
	return err
}
