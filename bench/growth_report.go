package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	const width, left, right, bar, gap, top = 760, 190, 150, 18, 20, 76
	var drawn []string
	var longest float64
	for _, step := range steps() {
		if len(r.samples[step.name]) > 0 {
			drawn = append(drawn, step.name)
			longest = max(longest, r.of(step.name, func(p [2]grownSample) float64 { return max(p[0].CPU, p[1].CPU) }).median)
		}
	}
	height := top + len(drawn)*(2*bar+gap) + 8
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title" font-family="system-ui, sans-serif">
<title id="title">Server CPU time of each step, with %[3]s and with %[4]s grants in the database</title>
<style>
.surface { fill: #ffffff } .ink { fill: #18212b } .muted { fill: #525d69 } .many { fill: #105748 } .few { fill: #8a93a0 }
@media (prefers-color-scheme: dark) { .surface { fill: #171d21 } .ink { fill: #e8ecee } .muted { fill: #a6b0b8 } .many { fill: #74d0b7 } .few { fill: #727a84 } }
</style>
<rect class="surface" width="%[1]d" height="%[2]d" rx="8"/>
<text class="ink" x="20" y="30" font-size="17" font-weight="650">What growth costs: ms of CPU, server and PostgreSQL</text>
<text class="muted" x="20" y="51" font-size="13">Grey with %[3]s grants in the database, green with %[4]s. Less is better.</text>
`, width, height, count(r.few), count(r.many))
	for i, step := range drawn {
		y := top + i*(2*bar+gap)
		fmt.Fprintf(&out, "<text class=\"ink\" x=\"%d\" y=\"%d\" font-size=\"14\" text-anchor=\"end\">%s</text>\n", left-12, y+bar+5, step)
		for j, class := range []string{"few", "many"} {
			cpu := r.of(step, func(p [2]grownSample) float64 { return p[j].CPU }).median
			length := cpu / longest * (width - left - right)
			label := fmt.Sprintf("%.2f", cpu)
			if j == 1 {
				label += fmt.Sprintf(" (×%.2f)", r.growth(step).median)
			}
			fmt.Fprintf(&out, "<rect class=%q x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"3\"/>\n", class, left, y+j*bar, length, bar-2)
			fmt.Fprintf(&out, "<text class=\"ink\" x=\"%.1f\" y=\"%d\" font-size=\"13\">%s</text>\n", float64(left)+length+8, y+j*bar+13, label)
		}
	}
	out.WriteString("</svg>\n")
	return out.String()
}
