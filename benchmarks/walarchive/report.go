package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what is printed.
type report struct {
	out         io.Writer
	met, missed []string
	absent      []string
}

// missing notes that a peer is not measured, and why; once.
func (r *report) missing(name string, why error) {
	line := fmt.Sprintf("%s: %s", name, strings.Join(strings.Fields(why.Error()), " "))
	if !slices.Contains(r.absent, line) {
		r.absent = append(r.absent, line)
	}
}

// limit is a target: a value of at most so much. Zero is none.
type limit float64

// judge says whether a value keeps to its limit, and remembers it for the end.
func (r *report) judge(what string, value float64, most limit, unit string) string {
	if most == 0 {
		return ""
	}
	text := fmt.Sprintf("at most %v%s", float64(most), unit)
	verdict, list := "met", &r.met
	if value > float64(most) {
		verdict, list = "MISSED", &r.missed
	}
	*list = append(*list, fmt.Sprintf("%s: %.3g%s, %s", what, value, unit, text))
	return text + ": " + verdict
}

// table is one of the tables.
type table struct {
	*report
	title string
	w     *tabwriter.Writer
}

func (r *report) table(title string, columns ...string) *table {
	fmt.Fprintf(r.out, "\n%s\n", title)
	t := &table{report: r, title: title, w: tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)}
	t.row(columns...)
	return t
}

func (t *table) row(cells ...string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

func (t *table) end() error { return t.w.Flush() }

// end prints what was not measured, and the targets in short.
func (r *report) end() error {
	r.list("not measured", r.absent)
	r.list("targets missed", r.missed)
	_, err := fmt.Fprintf(r.out, "\n%d of %d targets met\n", len(r.met), len(r.met)+len(r.missed))
	return err
}

func (r *report) list(title string, lines []string) {
	if len(lines) > 0 {
		fmt.Fprintf(r.out, "\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
	}
}

// spread is what repeated measurements came to.
type spread struct {
	median, from, to float64
	n                int
}

// ratios divides pair by pair.
func ratios(ours, theirs []time.Duration) spread {
	var all []float64
	for i := range ours {
		all = append(all, float64(ours[i])/float64(theirs[i]))
	}
	slices.Sort(all)
	return spread{median: middle(all), from: all[0], to: all[len(all)-1], n: len(all)}
}

// middle is the median of a sorted list.
func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// quantile is the smallest value that this share of all does not exceed.
func quantile(all []time.Duration, share float64) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[min(len(all)-1, int(share*float64(len(all))))]
}

func median(all []time.Duration) time.Duration { return quantile(all, 0.5) }

func each(samples []sample, of func(sample) time.Duration) []time.Duration {
	var all []time.Duration
	for _, s := range samples {
		all = append(all, of(s))
	}
	return all
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1e3) }

func inMS(d time.Duration) float64 { return d.Seconds() * 1e3 }

// targets are the limits of a comparison.
type targets struct {
	ratio       map[string]limit // of ours to a peer, by the peer's name
	median, p95 limit            // of ours, in ms
}

// compare prints what tools took, ours first, and compares ours with the others pair by pair. More cells follow for each tool.
func (r *report) compare(title string, tools []*tool, of func(sample) time.Duration, want targets, more map[string]string) error {
	t := r.table(title, "by", "median", "95 of 100", "ours/theirs", "from", "to", "pairs", "", "")
	ours := tools[0]
	for i, tool := range tools {
		calls := each(tool.calls, of)
		cells := []string{tool.name, ms(median(calls)), ms(quantile(calls, 0.95))}
		if i == 0 {
			verdicts := []string{
				r.judge(title+": median", inMS(median(calls)), want.median, " ms"),
				r.judge(title+": 95 of 100", inMS(quantile(calls, 0.95)), want.p95, " ms"),
			}
			cells = append(cells, "", "", "", "", strings.TrimSpace(strings.Join(verdicts, "  ")))
		} else {
			s := ratios(each(ours.passes, of), each(tool.passes, of))
			cells = append(cells, fmt.Sprintf("%.2f", s.median), fmt.Sprintf("%.2f", s.from), fmt.Sprintf("%.2f", s.to), fmt.Sprint(s.n),
				r.judge(title+": ours/"+tool.name, s.median, want.ratio[tool.name], ""))
		}
		t.row(append(cells, more[tool.name])...)
	}
	return t.end()
}
