package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"countersign/bench/measure"
	"countersign/internal/chart"
)

// of is the median of a figure of a step over the rounds.
func (r *growthResults) of(step string, figure func([2]grownSample) float64) float64 {
	var values []float64
	for _, pair := range r.samples[step] {
		values = append(values, figure(pair))
	}
	return measure.Median(values)
}

// growth is what a step costs with many grants against few, of the same round.
func (r *growthResults) growth(step string) measure.Estimate {
	var ratios []float64
	for _, pair := range r.samples[step] {
		ratios = append(ratios, pair[1].CPU/pair[0].CPU)
	}
	return measure.Geometric(ratios)
}

func (r *growthResults) table() measure.Table {
	t := measure.Table{{"step", fmt.Sprintf("ms of CPU with %s %s", count(r.few), r.kind.name), fmt.Sprintf("with %s", count(r.many)), "ratio", "goal", ""}}
	if !r.sqlite {
		t[0] = append(t[0], "round trips", "goal", "")
	}
	for _, step := range steps() {
		if len(r.samples[step.name]) == 0 {
			continue
		}
		growth := r.growth(step.name)
		row := []string{step.name,
			fmt.Sprintf("%.2f", r.of(step.name, func(p [2]grownSample) float64 { return p[0].CPU })),
			fmt.Sprintf("%.2f", r.of(step.name, func(p [2]grownSample) float64 { return p[1].CPU })),
			growth.String(), fmt.Sprintf("%.2f", maxGrowth), measure.Verdict(growth.Mean <= maxGrowth)}
		if !r.sqlite {
			trips := r.of(step.name, func(p [2]grownSample) float64 { return max(p[0].Trips, p[1].Trips) })
			row = append(row, fmt.Sprintf("%.2f", trips), fmt.Sprint(maxTrips), measure.Verdict(trips <= maxTrips))
		}
		t = append(t, row)
	}
	start := []string{"start", fmt.Sprintf("%.0f", measure.Milliseconds(r.started[0])), fmt.Sprintf("%.0f", measure.Milliseconds(r.started[1])),
		fmt.Sprintf("%.2f", r.started[1].Seconds()/r.started[0].Seconds()), fmt.Sprintf("%.2f", maxStart), measure.Verdict(r.started[1].Seconds() <= maxStart*r.started[0].Seconds())}
	if !r.sqlite {
		start = append(start, "", "", "")
	}
	return append(t, start)
}

// maxStart is how much more it may cost to be ready with many. It is measured once, and so wider than maxGrowth.
const maxStart = 1.3

// count writes a number as a power of ten, where it is one.
func count(n int) string {
	digits := fmt.Sprint(n)
	if strings.Trim(digits[1:], "0") == "" && digits[0] == '1' {
		return fmt.Sprintf("10^%d", len(digits)-1)
	}
	return digits
}

func (r *growthResults) markdown() string {
	size := func(i int) string { return fmt.Sprintf("%.0f MB", float64(r.sizes[i])/1e6) }
	return fmt.Sprintf("Medians of %d rounds, and the geometric mean of the ratios of each (95 %% interval). The database has %s on the disk with %s %s and %s "+
		"with %s. While this was measured it grew by %.0f and by %.0f bytes for each operation.\n\n%s\n%s",
		r.rounds, size(0), count(r.few), r.kind.name, size(1), count(r.many), r.grew[0], r.grew[1], r.table().Markdown(), r.noise)
}

//go:embed pages/performance-store.md
var growthPage string

// write writes the page and its picture.
func (r *growthResults) write(folder string) error {
	part, picture := "measured: PostgreSQL", "performance-store.svg"
	if r.sqlite {
		part, picture = "measured: SQLite", "performance-store-sqlite.svg"
	}
	if r.kind.fill != nil { // a table is enough
		return measure.WritePage(filepath.Join(folder, "performance-store.md"), growthPage, part+", "+r.kind.name, r.markdown())
	}
	return errors.Join(
		measure.WritePage(filepath.Join(folder, "performance-store.md"), growthPage, part, r.markdown()),
		os.WriteFile(filepath.Join(folder, picture), []byte(r.picture()), 0o644))
}

// picture draws each step with few and with many grants, side by side.
func (r *growthResults) picture() string {
	database := "PostgreSQL"
	if r.sqlite {
		database = "SQLite"
	}
	figure := chart.Bars{
		Title:    "What growth costs a server and its " + database,
		Subtitle: fmt.Sprintf("Grey with %s %s in the database, green with %s; (×) is what they differ by. Medians. Less is better.", count(r.few), r.kind.name, count(r.many)),
		Unit:     "ms of CPU",
	}
	for _, step := range steps() {
		if len(r.samples[step.name]) == 0 {
			continue
		}
		few := r.of(step.name, func(p [2]grownSample) float64 { return p[0].CPU })
		many := r.of(step.name, func(p [2]grownSample) float64 { return p[1].CPU })
		figure.Groups = append(figure.Groups, chart.Group{Name: step.name, Bars: []chart.Bar{
			{Value: few, Label: fmt.Sprintf("%.2f", few), Tone: chart.Other},
			{Value: many, Label: fmt.Sprintf("%.2f (×%.2f)", many, r.growth(step.name).Mean), Tone: chart.Ours},
		}})
	}
	return figure.SVG()
}
