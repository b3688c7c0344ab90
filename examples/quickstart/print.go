package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/understudy-ha/understudy/examples/internal/story"
)

// printer shows the events of a story: as JSON lines, as plain lines, or on a terminal as lines above a progress bar.
type printer struct {
	out  io.Writer // lines go here; above the bar if there is one
	json *json.Encoder
	bars *mpb.Progress
	bar  *mpb.Bar
	rows rowsText
}

// rowsText is what the bar says about the client, read by the bar's own goroutine.
type rowsText struct {
	mu   sync.Mutex
	text string
}

func (r *rowsText) set(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = text
}

func (r *rowsText) get(decor.Statistics) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text
}

func newPrinter(out io.Writer, asJSON bool) *printer {
	p := &printer{out: out}
	if asJSON {
		p.json = json.NewEncoder(out)
		return p
	}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
		p.bar = p.bars.AddBar(0,
			mpb.PrependDecorators(decor.CountersNoUnit("step %d of %d")),
			mpb.AppendDecorators(decor.Any(p.rows.get)), mpb.BarRemoveOnComplete())
		p.out = p.bars
	}
	return p
}

// close ends the bar, also an unfinished one.
func (p *printer) close() {
	if p.bars != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}

// begin says where the story plays.
func (p *printer) begin(cfg story.Config, at *place) {
	if p.json != nil {
		return
	}
	where := "in " + at.dir
	if at.docker != nil {
		where = "in containers " + at.docker.run + "-*"
	}
	if at.owner != "" {
		where += ", servers as user " + at.owner
	}
	p.line("PostgreSQL %d from %s, %s", cfg.Major, cfg.BinDir, where)
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// event prints one event.
func (p *printer) event(e story.Event) {
	if p.json != nil {
		_ = p.json.Encode(e) // if nobody reads, the exit code still tells
		return
	}
	switch e.Kind {
	case story.KindStep:
		p.line("[%2d/%d] %s", e.Step, e.Steps, e.Message)
	case story.KindDone:
		p.advance(e)
	case story.KindRows:
		p.rows.set(fmt.Sprintf(" %d rows acknowledged", e.Rows))
	case story.KindTree:
		p.line("%s", indent(e.Drawing))
	case story.KindDecision:
		p.line("        %s → %s (%s)", e.From, e.To, strings.Join(e.Reasons, "; "))
	case story.KindProof:
		p.line("        PROVEN: %s", e.Message)
	case story.KindTiming:
		p.timing(*e.Timing)
	case story.KindReport:
		p.report(*e.Report)
	case story.KindError:
		p.line("FAILED in step %d of %d", e.Step, e.Steps) // the error itself goes to standard error
	default:
		p.line("        %s", e.Message)
	}
}

// advance moves the bar after a step.
func (p *printer) advance(e story.Event) {
	if p.bar != nil {
		p.bar.SetTotal(int64(e.Steps), false)
		p.bar.SetCurrent(int64(e.Step))
	}
}

// timing prints how long no write was accepted, phase by phase.
func (p *printer) timing(t story.Timing) {
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	p.line("        no write was accepted for %v: detect %v, fence %v, elect %v, promote %v, first write %v",
		round(t.Outage), round(t.Detect), round(t.Fence), round(t.Elect), round(t.Promote), round(t.First))
}

// report prints the end.
func (p *printer) report(r story.Report) {
	p.line("PROVEN: all %d acknowledged rows are on all three nodes, none is missing (%d in doubt, of which %d exist)",
		r.Acked, r.Doubtful, r.Rescued)
	p.line("PROVEN: the old master is back as a standby, by %s", r.Rejoin)
}

// indent moves a drawing to the right and leaves out its last line end.
func indent(s string) string {
	return "        " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n        ")
}
