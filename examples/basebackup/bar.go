package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/understudy-ha/understudy/recovery/basebackup"
)

// printer shows progress: on a terminal as a bar, else as a line for each phase and now and then one more.
type printer struct {
	out  io.Writer
	bars *mpb.Progress
	bar  *mpb.Bar

	phase basebackup.Phase // of the last line
	at    time.Duration    // of the phase

	mu   sync.Mutex // text is read by the bar's own goroutine
	text string
}

// lineEvery is how often a long phase gets another line.
const lineEvery = 10 * time.Second

func newPrinter(out io.Writer) *printer {
	p := &printer{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
		p.bar = p.bars.AddBar(0, mpb.AppendDecorators(decor.Any(p.shown)), mpb.BarRemoveOnComplete())
	}
	return p
}

// shown is what stands behind the bar.
func (p *printer) shown(decor.Statistics) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

// progress shows how far the copy is.
func (p *printer) progress(now basebackup.Progress) {
	text := now.String()
	if now.Tablespace != "" {
		text += " (tablespace " + now.Tablespace + ")"
	}
	if p.bar != nil {
		p.mu.Lock()
		p.text = " " + text
		p.mu.Unlock()
		p.bar.SetTotal(max(now.Total, now.Done, 1), false)
		p.bar.SetCurrent(now.Done)
		return
	}
	if now.Phase != p.phase || now.Elapsed-p.at >= lineEvery {
		p.phase, p.at = now.Phase, now.Elapsed
		fmt.Fprintln(p.out, text)
	}
}

// close ends the bar.
func (p *printer) close() {
	if p.bars != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}
