package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// results are all samples, by server and step.
type results struct {
	workers, rounds, processors int
	// servers are in the order of the tables.
	servers []string
	samples map[string]map[string][]sample
}

func (r *results) add(server, step string, s sample) {
	if r.samples == nil {
		r.samples = map[string]map[string][]sample{}
	}
	if r.samples[server] == nil {
		r.samples[server] = map[string][]sample{}
	}
	r.samples[server][step] = append(r.samples[server][step], s)
}

// summary is what several measurements come to.
type summary struct{ median, least, most float64 }

// summarise takes the mean of the two in the middle when they are even in number; nothing comes to 0.
func summarise(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	slices.Sort(values)
	last := len(values) - 1
	return summary{(values[last/2] + values[len(values)/2]) / 2, values[0], values[last]}
}

// over summarises a figure of a step over the rounds.
func (r *results) over(server, step string, figure func(sample) float64) summary {
	var values []float64
	for _, s := range r.samples[server][step] {
		values = append(values, figure(s))
	}
	return summarise(values)
}

// cpu is the CPU time of a step.
func (r *results) cpu(server, step string) summary {
	return r.over(server, step, func(s sample) float64 { return s.CPU })
}

// ratio is CPU time against the reference's of the same round: whatever else the machine was doing then met both.
func (r *results) ratio(server, step string) summary {
	var values []float64
	theirs := r.samples[reference][step]
	for round, s := range r.samples[server][step] {
		if round < len(theirs) && theirs[round].CPU > 0 {
			values = append(values, s.CPU/theirs[round].CPU)
		}
	}
	return summarise(values)
}

// most of a figure over all steps and rounds.
func (r *results) most(server string, figure func(sample) float64) float64 {
	var most float64
	for _, step := range steps() {
		for _, s := range r.samples[server][step.name] {
			most = max(most, figure(s))
		}
	}
	return most
}

// memory is the most that a server had resident after a step.
func (r *results) memory(server string) float64 {
	return r.most(server, func(s sample) float64 { return s.Memory })
}

// save writes every measurement.
func (r *results) save(file string) error {
	raw, err := json.MarshalIndent(map[string]any{"clients": r.workers, "rounds": r.rounds, "samples": r.samples}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

// goal is a ratio of CPU time to the reference's that we promised ourselves.
type goal struct {
	server, step string
	ratio        float64
}

func goals() []goal {
	return []goal{
		{"countersign sqlite PS256", "flow", 0.6},
		{"countersign sqlite ES256", "flow", 0.3},
		{"countersign postgres PS256", "flow", 0.8},
		{"countersign postgres ES256", "flow", 0.5},
		{"countersign sqlite PS256", "client_credentials", 0.6},
		{"countersign sqlite ES256", "client_credentials", 0.6},
		{"countersign sqlite PS256", "PAR", 0.5},
	}
}

// maxMemory is the goal for a server on SQLite, in MiB.
const maxMemory = 100

// table writes rows with a separator.
type table [][]string

func (t table) markdown() string {
	var out strings.Builder
	for i, row := range t {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			out.WriteString("|---" + strings.Repeat("|--:", len(row)-1) + "|\n")
		}
	}
	return out.String()
}

func (t table) text() string {
	var width []int
	for _, row := range t {
		for i, cell := range row {
			if len(width) <= i {
				width = append(width, 0)
			}
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var out strings.Builder
	for _, row := range t {
		for i, cell := range row {
			fmt.Fprintf(&out, "%-*s  ", width[i], cell)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// costs is CPU time for each server and step, and memory.
func (r *results) costs() table {
	head := []string{"ms of server CPU"}
	for _, step := range steps() {
		head = append(head, step.name)
	}
	t := table{append(head, "resident MiB", "peak MiB")}
	for _, server := range r.servers {
		row := []string{server}
		for _, step := range steps() {
			if len(r.samples[server][step.name]) == 0 {
				row = append(row, "")
				continue
			}
			cpu := r.cpu(server, step.name)
			row = append(row, fmt.Sprintf("%.2f (%.2f to %.2f)", cpu.median, cpu.least, cpu.most))
		}
		t = append(t, append(row, fmt.Sprintf("%.0f", r.memory(server)),
			fmt.Sprintf("%.0f", r.most(server, func(s sample) float64 { return s.Peak }))))
	}
	return t
}

// times are what a client sees: how long an operation takes, and how many are done.
func (r *results) times() table {
	head := []string{"p50 / p95 / p99 ms, and how many a second"}
	for _, step := range steps() {
		head = append(head, step.name)
	}
	t := table{head}
	for _, server := range r.servers {
		row := []string{server}
		for _, step := range steps() {
			of := func(figure func(sample) float64) float64 { return r.over(server, step.name, figure).median }
			if len(r.samples[server][step.name]) == 0 {
				row = append(row, "")
				continue
			}
			row = append(row, fmt.Sprintf("%.0f / %.0f / %.0f, %.0f",
				of(func(s sample) float64 { return s.P50 }), of(func(s sample) float64 { return s.P95 }),
				of(func(s sample) float64 { return s.P99 }), of(func(s sample) float64 { return s.Rate })))
		}
		t = append(t, row)
	}
	return t
}

// ratios are the goals with what was measured.
func (r *results) ratios() table {
	t := table{{"against " + reference, "step", "goal", "measured", ""}}
	for _, g := range goals() {
		ratio := r.ratio(g.server, g.step)
		if ratio.median == 0 {
			continue
		}
		t = append(t, []string{g.server, g.step, fmt.Sprintf("%.2f", g.ratio),
			fmt.Sprintf("%.2f (%.2f to %.2f)", ratio.median, ratio.least, ratio.most), verdict(ratio.median <= g.ratio)})
	}
	for _, server := range []string{"countersign sqlite PS256", "countersign sqlite ES256"} {
		if used := r.memory(server); used > 0 {
			t = append(t, []string{server, "resident MiB", fmt.Sprint(maxMemory), fmt.Sprintf("%.0f", used), verdict(used <= maxMemory)})
		}
	}
	return t
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "missed"
}

func (r *results) text() string {
	return "\n" + r.costs().text() + "\n" + r.times().text() + "\n" + r.ratios().text()
}

// markdown is the part of the page that is measured.
func (r *results) markdown() string {
	return fmt.Sprintf("Medians over %d rounds (least to most), %d clients at once, %d processors.\n\n%s\n%s\n%s",
		r.rounds, r.workers, r.processors, r.costs().markdown(), r.ratios().markdown(), r.times().markdown())
}

const begin, end = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"

// writeBetween replaces a part of a page between two marks.
func writeBetween(file, begin, end, text string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has lost the marks of its measured part", file)
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}
