package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"countersign/bench/measure"
	"countersign/internal/chart"
)

// publish writes the figures into their place in docs/reliability.md, and a picture of the run beside it.
func (r *report) publish(folder, section string) error {
	if err := os.WriteFile(filepath.Join(folder, "reliability-"+section+".svg"), []byte(r.picture()), 0o644); err != nil {
		return err
	}
	return measure.WritePart(filepath.Join(folder, "reliability.md"), section, r.markdown())
}

// markdown is the table for the page.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, on %d processors, load generator and database included:\n\n| | |\n|---|---|\n", r.ended.UTC().Format("2006-01-02"), runtime.NumCPU())
	for _, row := range r.rows() {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	if len(r.outages) > 0 {
		b.WriteString("\n| failure | no write acknowledged for | of it after the database took writes again |\n|---|--:|--:|\n")
		for _, o := range r.outages {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", o.what, seconds(o.total()), seconds(o.recovery()))
		}
	}
	return b.String()
}

// picture draws how many operations were answered in each second, with the moments of the kills and failures.
func (r *report) picture() string {
	figure := chart.Timeline{
		Title: "Operations answered in each second, while processes and the database are killed",
		Subtitle: fmt.Sprintf("Red lines: the database (%d times), with the time until the next write was acknowledged. Ticks below: a process (%d times). "+
			"Nothing was used twice or lost: the table says how that is known.", len(r.outages), len(r.kills)),
		Unit:   "operations a second",
		Values: r.rate,
	}
	for _, at := range r.kills {
		figure.Short = append(figure.Short, chart.Event{At: at.Sub(r.began).Seconds()})
	}
	for _, o := range r.outages {
		figure.Long = append(figure.Long, chart.Event{At: o.at.Sub(r.began).Seconds(), Label: seconds(o.total())})
	}
	return figure.SVG()
}
