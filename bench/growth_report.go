package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"countersign/bench/chart"
)

// of summarises a figure of a step over the rounds.
func (r *growthResults) of(step string, figure func([2]grownSample) float64) summary {
	var values []float64
	for _, pair := range r.samples[step] {
		values = append(values, figure(pair))
	}
	return summarise(values)
}

// growth is what a step costs with many grants against few, of the same round.
func (r *growthResults) growth(step string) summary {
	return r.of(step, func(p [2]grownSample) float64 { return p[1].CPU / p[0].CPU })
}

func (r *growthResults) table() table {
	t := table{{"step", fmt.Sprintf("ms of CPU with %s grants", count(r.few)), fmt.Sprintf("with %s", count(r.many)), "ratio", "goal", "round trips", "goal", ""}}
	spread := func(s summary) string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.least, s.most) }
	for _, step := range steps() {
		if len(r.samples[step.name]) == 0 {
			continue
		}
		growth := r.growth(step.name)
		trips := r.of(step.name, func(p [2]grownSample) float64 { return max(p[0].Trips, p[1].Trips) })
		t = append(t, []string{step.name,
			spread(r.of(step.name, func(p [2]grownSample) float64 { return p[0].CPU })),
			spread(r.of(step.name, func(p [2]grownSample) float64 { return p[1].CPU })),
			spread(growth), fmt.Sprintf("%.2f", maxGrowth), fmt.Sprintf("%.2f", trips.median), fmt.Sprint(maxTrips),
			verdict(growth.median <= maxGrowth && trips.median <= maxTrips)})
	}
	return t
}

// count writes a number as a power of ten, where it is one.
func count(n int) string {
	digits := fmt.Sprint(n)
	if strings.Trim(digits[1:], "0") == "" && digits[0] == '1' {
		return fmt.Sprintf("10^%d", len(digits)-1)
	}
	return digits
}

func (r *growthResults) markdown() string {
	return fmt.Sprintf("Medians over %d rounds (least to most). The database has %s on the disk with %s grants, %s with %s.\n\n%s",
		r.rounds, r.fewSize, count(r.few), r.manySize, count(r.many), r.table().markdown())
}

// write writes the page and its picture.
func (r *growthResults) write(folder string) error {
	if err := writeBetween(filepath.Join(folder, "performance-store.md"), begin, end, r.markdown()); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "performance-store.svg"), []byte(r.picture()), 0o644)
}

// picture draws each step with few and with many grants, side by side.
func (r *growthResults) picture() string {
	figure := chart.Bars{
		Title:    "What growth costs a server and its PostgreSQL",
		Subtitle: fmt.Sprintf("Grey with %s grants in the database, green with %s; (×) is what they differ by. Medians. Less is better.", count(r.few), count(r.many)),
		Unit:     "ms of CPU",
	}
	for _, step := range steps() {
		if len(r.samples[step.name]) == 0 {
			continue
		}
		few := r.of(step.name, func(p [2]grownSample) float64 { return p[0].CPU }).median
		many := r.of(step.name, func(p [2]grownSample) float64 { return p[1].CPU }).median
		figure.Groups = append(figure.Groups, chart.Group{Name: step.name, Bars: []chart.Bar{
			{Value: few, Label: fmt.Sprintf("%.2f", few), Tone: chart.Other},
			{Value: many, Label: fmt.Sprintf("%.2f (×%.2f)", many, r.growth(step.name).median), Tone: chart.Ours},
		}})
	}
	return figure.SVG()
}
