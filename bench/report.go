package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// results are all samples, by server and step.
type results struct {
	workers, rounds int
	servers         []string
	samples         map[string]map[string][]sample
}

func (r *results) add(server, step string, s sample) {
	if r.samples == nil {
		r.samples = map[string]map[string][]sample{}
	}
	if r.samples[server] == nil {
		r.samples[server] = map[string][]sample{}
		r.servers = append(r.servers, server)
	}
	r.samples[server][step] = append(r.samples[server][step], s)
}

// median of a figure over the rounds.
func (r *results) median(server, step string, figure func(sample) float64) float64 {
	var values []float64
	for _, s := range r.samples[server][step] {
		values = append(values, figure(s))
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (r *results) cpu(server, step string) float64 {
	return r.median(server, step, func(s sample) float64 { return s.cpu })
}

// spread is the least and the most CPU time of a step over the rounds.
func (r *results) spread(server, step string) (least, most float64) {
	for i, s := range r.samples[server][step] {
		if i == 0 || s.cpu < least {
			least = s.cpu
		}
		most = max(most, s.cpu)
	}
	return least, most
}

// memory is the most that a server had resident.
func (r *results) memory(server string) float64 {
	var most float64
	for _, step := range steps() {
		for _, s := range r.samples[server][step.name] {
			most = max(most, s.memory)
		}
	}
	return most
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

// costs is CPU time for each server and step.
func (r *results) costs() table {
	head := []string{"ms of server CPU"}
	for _, step := range steps() {
		head = append(head, step.name)
	}
	t := table{append(head, "flow p50, p99 ms", "flows a second", "resident MiB")}
	for _, server := range r.servers {
		row := []string{server}
		for _, step := range steps() {
			least, most := r.spread(server, step.name)
			row = append(row, fmt.Sprintf("%.2f (%.2f to %.2f)", r.cpu(server, step.name), least, most))
		}
		t = append(t, append(row,
			fmt.Sprintf("%.0f, %.0f", r.median(server, "flow", func(s sample) float64 { return s.p50 }), r.median(server, "flow", func(s sample) float64 { return s.p99 })),
			fmt.Sprintf("%.0f", r.median(server, "flow", func(s sample) float64 { return s.rate })),
			fmt.Sprintf("%.0f", r.memory(server))))
	}
	return t
}

// ratios are the goals with what was measured.
func (r *results) ratios() table {
	t := table{{"against " + reference, "step", "goal", "measured", ""}}
	for _, g := range goals() {
		ours, theirs := r.cpu(g.server, g.step), r.cpu(reference, g.step)
		if ours == 0 || theirs == 0 {
			continue
		}
		t = append(t, []string{g.server, g.step, fmt.Sprintf("%.2f", g.ratio), fmt.Sprintf("%.2f", ours/theirs), verdict(ours/theirs <= g.ratio)})
	}
	if used := r.memory("countersign sqlite PS256"); used > 0 {
		t = append(t, []string{"countersign sqlite PS256", "resident MiB", fmt.Sprint(maxMemory), fmt.Sprintf("%.0f", used), verdict(used <= maxMemory)})
	}
	return t
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "missed"
}

func (r *results) text() string { return "\n" + r.costs().text() + "\n" + r.ratios().text() }

// markdown is the part of the page that is measured.
func (r *results) markdown() string {
	return fmt.Sprintf("Medians over %d rounds (least to most), %d clients at once.\n\n%s\n%s", r.rounds, r.workers, r.costs().markdown(), r.ratios().markdown())
}

const begin, end = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"

// writeBetween replaces the measured part of a page.
func writeBetween(file, text string) error {
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
