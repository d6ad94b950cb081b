package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"countersign/bench/measure"
)

// key says what was measured.
type key struct {
	server, step string
	atOnce       int
}

// results are all samples, by round.
type results struct {
	workers, rounds, processors int
	// servers are in the order of the tables.
	servers  []string
	samples  map[key]map[int]sample
	memories map[string]memory
	// alike is a server against itself, and alikeOf which one at which step. noise says what others did meanwhile.
	alike   measure.Estimate
	alikeOf string
	noise   string
}

// memory is what a server has resident, in MiB of PSS and of RSS: while it does nothing, and with many sign-ins.
type memory struct {
	Idle            float64 `json:"idle_pss_mib"`
	IdleResident    float64 `json:"idle_rss_mib"`
	SignIns         float64 `json:"sign_ins_pss_mib"`
	SignInsResident float64 `json:"sign_ins_rss_mib"`
}

func (r *results) add(k key, round int, s sample) {
	if r.samples[k] == nil {
		r.samples[k] = map[int]sample{}
	}
	r.samples[k][round] = s
}

// over is the median of a figure over the rounds.
func (r *results) over(k key, figure func(sample) float64) float64 {
	var values []float64
	for _, s := range r.samples[k] {
		values = append(values, figure(s))
	}
	return measure.Median(values)
}

func cpu(s sample) float64 { return s.CPU }

// ratio is CPU time against another server's of the same round: whatever else the machine was doing then met both.
func (r *results) ratio(k key, to string) measure.Estimate {
	theirs := r.samples[key{to, k.step, k.atOnce}]
	var ratios []float64
	for round, s := range r.samples[k] {
		if other, ok := theirs[round]; ok && other.CPU > 0 {
			ratios = append(ratios, s.CPU/other.CPU)
		}
	}
	return measure.Geometric(ratios)
}

// algorithm is that of a server's tokens: the last word of its name.
func algorithm(server string) string { return server[strings.LastIndexByte(server, ' ')+1:] }

// apart is a step of a server of ours against the floor, both without the token's own time: what the floor takes more with
// the token than without it, of the same round.
func (r *results) apart(k key) measure.Estimate {
	if !strings.HasPrefix(k.server, ours) {
		return measure.Estimate{}
	}
	signed, bare := r.samples[key{floorName(algorithm(k.server)), k.step, k.atOnce}], r.samples[key{unsigned, k.step, k.atOnce}]
	var ratios []float64
	for round, s := range r.samples[k] {
		with, signs := signed[round]
		without, leaves := bare[round]
		if signs && leaves && without.CPU > 0 {
			ratios = append(ratios, (s.CPU-(with.CPU-without.CPU))/without.CPU)
		}
	}
	return measure.Geometric(ratios)
}

// most of a figure over all that was measured of a server.
func (r *results) most(server string, figure func(sample) float64) float64 {
	var most float64
	for k, rounds := range r.samples {
		for _, s := range rounds {
			if k.server == server {
				most = max(most, figure(s))
			}
		}
	}
	return most
}

// save writes every measurement.
func (r *results) save(file string) error {
	all := map[string]map[int]sample{}
	for k, rounds := range r.samples {
		all[fmt.Sprintf("%s, %s, %d at once", k.server, k.step, k.atOnce)] = rounds
	}
	raw, err := json.MarshalIndent(map[string]any{"rounds": r.rounds, "samples": all, "memory": r.memories}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

// mostUnlike is by how much a server may differ from itself.
const mostUnlike = 0.05

// trusted is an error when a server that was measured against itself differs too much from itself.
func (r *results) trusted() error {
	if r.alike.Pairs > 0 && (r.alike.Low > 1+mostUnlike || r.alike.High < 1-mostUnlike) {
		return errors.New("a server differs from itself: " + r.alikeText())
	}
	return nil
}

func (r *results) alikeText() string {
	return fmt.Sprintf("A/A: %s against itself, %d pairs: %.3f (%.3f to %.3f); one pair is off by a factor of %.3f, typically.",
		r.alikeOf, r.alike.Pairs, r.alike.Mean, r.alike.Low, r.alike.High, r.alike.Spread)
}

// ownFloor is the floor that a server stands beside: that of its algorithm.
func ownFloor(server string) string { return floorName(algorithm(server)) }

// byStep is a table with a cell for each server and step.
func (r *results) byStep(head string, cell func(key) string) measure.Table {
	t := measure.Table{{head}}
	for _, step := range steps() {
		t[0] = append(t[0], step.name)
	}
	for _, server := range r.servers {
		row := []string{server}
		for _, step := range steps() {
			row = append(row, r.cell(key{server, step.name, r.workers}, cell))
		}
		t = append(t, row)
	}
	return t
}

// cell is empty for what was not measured.
func (r *results) cell(k key, cell func(key) string) string {
	if len(r.samples[k]) == 0 {
		return ""
	}
	return cell(k)
}

func (r *results) costs() measure.Table {
	return r.byStep("ms of server CPU", func(k key) string { return fmt.Sprintf("%.2f", r.over(k, cpu)) })
}

// toOthers are the ratios to the reference, or each to its own floor.
func (r *results) toOthers(head string, to func(server string) string) measure.Table {
	return r.byStep(head, func(k key) string { return ratioCell(k, r.ratio(k, to(k.server)), to(k.server)) })
}

func ratioCell(k key, e measure.Estimate, to string) string {
	switch {
	case k.server == to:
		return "1"
	case e.Pairs == 0:
		return ""
	}
	return e.String()
}

// crowds is a flow with fewer and with more clients at once.
func (r *results) crowds() measure.Table {
	var all []int
	for k := range r.samples {
		if k.step == "flow" && !slices.Contains(all, k.atOnce) {
			all = append(all, k.atOnce)
		}
	}
	slices.Sort(all)
	t := measure.Table{{"flow: ms of CPU, to node, to the floor"}}
	for _, atOnce := range all {
		t[0] = append(t[0], fmt.Sprintf("%d at once", atOnce))
	}
	for _, server := range r.servers {
		row := []string{server}
		for _, atOnce := range all {
			row = append(row, r.cell(key{server, "flow", atOnce}, func(k key) string {
				return fmt.Sprintf("%.2f, %s, %s", r.over(k, cpu), plain(r.ratio(k, reference)), plain(r.ratio(k, ownFloor(server))))
			}))
		}
		t = append(t, row)
	}
	return t
}

func plain(e measure.Estimate) string {
	if e.Pairs == 0 {
		return "–"
	}
	return fmt.Sprintf("×%.2f", e.Mean)
}

// times are what a client sees: how long an operation takes, and how many are done.
func (r *results) times() measure.Table {
	return r.byStep("p50 / p95 / p99 ms, and how many a second", func(k key) string {
		return fmt.Sprintf("%.0f / %.0f / %.0f, %.0f",
			r.over(k, func(s sample) float64 { return s.P50 }), r.over(k, func(s sample) float64 { return s.P95 }),
			r.over(k, func(s sample) float64 { return s.P99 }), r.over(k, func(s sample) float64 { return s.Rate }))
	})
}

// resident is the memory of each server.
func (r *results) resident() measure.Table {
	t := measure.Table{{"MiB: PSS (RSS)", "idle", "under load, the most after a slice", fmt.Sprintf("%d sign-ins at once", signInsAtOnce), "peak (RSS)"}}
	both := func(proportional, resident float64) string {
		if proportional == 0 {
			return ""
		}
		return fmt.Sprintf("%.0f (%.0f)", proportional, resident)
	}
	for _, server := range r.servers {
		m := r.memories[server]
		t = append(t, []string{server, both(m.Idle, m.IdleResident),
			both(r.most(server, func(s sample) float64 { return s.Proportional }), r.most(server, func(s sample) float64 { return s.Memory })),
			both(m.SignIns, m.SignInsResident), fmt.Sprintf("%.0f", r.most(server, func(s sample) float64 { return s.Peak }))})
	}
	return t
}

// named is a table with what is said above it.
type named struct {
	text  string
	table measure.Table
}

func (r *results) tables() []named {
	return []named{
		{fmt.Sprintf("CPU time, medians of %d rounds, %d clients at once, %d processors.", r.rounds, r.workers, r.processors), r.costs()},
		{"Each to " + reference + ": geometric mean of the ratios of each round (95 % interval).", r.toOthers("to node-oidc-provider", func(string) string { return reference })},
		{"Each to the floor with tokens of the same algorithm.", r.toOthers("to the floor", ownFloor)},
		{"A flow with fewer and with more clients at once.", r.crowds()},
		{"The goals.", r.verdicts()},
		{"Memory.", r.resident()},
		{"What a client sees: medians of the rounds.", r.times()},
	}
}

func (r *results) text() string {
	var out strings.Builder
	for _, t := range r.tables() {
		out.WriteString("\n" + t.text + "\n" + t.table.Text())
	}
	return out.String() + "\n" + r.alikeText() + "\n" + r.refusals() + "\n" + r.noise
}

// refusals says where a server had too much to do, and how often.
func (r *results) refusals() string {
	var all []string
	for k, rounds := range r.samples {
		refused, done := 0, 0
		for _, s := range rounds {
			refused, done = refused+s.Refused, done+s.Operations
		}
		if refused > 0 {
			all = append(all, fmt.Sprintf("%s, %s, %d at once: %d beside %d that succeeded", k.server, k.step, k.atOnce, refused, done))
		}
	}
	if all == nil {
		return "No request was refused for too much load."
	}
	slices.Sort(all)
	return "Refused for too much load, and tried again (the CPU time counts): " + strings.Join(all, "; ") + "."
}

// markdown is the part of the page that is measured.
func (r *results) markdown() string {
	var out strings.Builder
	for _, t := range r.tables() {
		out.WriteString(t.text + "\n\n" + t.table.Markdown() + "\n")
	}
	return out.String() + r.alikeText() + "\n" + r.refusals() + "\n" + r.noise
}
