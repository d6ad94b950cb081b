package main

import (
	"fmt"
	"strings"

	"countersign/bench/measure"
	"countersign/internal/chart"
)

// The goals: so many operations a second with these latencies, and how much of the most that succeeded still succeeds past
// saturation.
const (
	goalRate         = 300
	goalP95, goalP99 = 100, 250
	goalPast         = 0.9
	// sustained is how many of the operations of the goal's rate must succeed.
	sustained = 0.99
)

// past is what succeeds past saturation, at the worst: to the most that succeeded at any rate, or to what arrived where that is
// less. It is said at which share of the capacity; 0 when nothing was past saturation, since all that arrived succeeded.
func (r *results) past() (share float64, at int) {
	var most float64
	for _, p := range r.points {
		most = max(most, p.Good)
	}
	share = 1
	saturated := false
	for _, p := range r.points {
		if p.percent <= 100 || p.Offered <= 0 || most <= 0 {
			continue
		}
		saturated = saturated || p.Good < sustained*p.Offered
		if worse := p.Good / min(most, p.Offered); worse <= share {
			share, at = worse, p.percent
		}
	}
	if !saturated {
		return share, 0
	}
	return share, at
}

// pastText says what past found.
func pastText(share float64, at int) string {
	if at == 0 {
		return "nothing was past saturation"
	}
	return fmt.Sprintf("%.0f %%, at %d %% of the capacity", 100*share, at)
}

// latency says that people wait for as long as they have patience, where that is what was measured.
func (r *results) latency(ms float64) string {
	if patience := measure.Milliseconds(r.settings.patience); ms >= patience {
		return fmt.Sprintf("≥ %.0f", patience)
	}
	return fmt.Sprintf("%.0f", ms)
}

func (r *results) row(name string, f figures) []string {
	return []string{name, fmt.Sprintf("%.0f", f.Offered), fmt.Sprintf("%.0f", f.Good), r.latency(f.P50), r.latency(f.P95), r.latency(f.P99),
		fmt.Sprint(f.Refused), fmt.Sprint(f.Late), fmt.Sprint(f.Failed), fmt.Sprintf("%.2f", f.CPU), fmt.Sprintf("%.0f %%", 100*f.Busy), fmt.Sprintf("%.0f", f.Lag)}
}

func (r *results) table() measure.Table {
	t := measure.Table{{"of the capacity", "arrive a second", "succeed a second", "p50 ms", "p95 ms", "p99 ms", "refused", "late", "failed",
		"ms of server CPU each", "machine in use", "generator late, p99 ms"}}
	for _, p := range r.points {
		t = append(t, r.row(fmt.Sprintf("%d %%", p.percent), p.figures))
	}
	return append(t, r.row("goal's rate", r.atGoal))
}

func (r *results) verdicts() measure.Table {
	f := r.atGoal
	share, at := r.past()
	rate := fmt.Sprintf("at %.0f a second: ", r.settings.rate)
	return measure.Table{
		{"goal", "", "measured", ""},
		{rate + "succeed", fmt.Sprintf("≥ %.0f %%", 100*sustained), fmt.Sprintf("%.1f %%", 100*f.Good/max(f.Offered, 1e-9)),
			measure.Verdict(f.Offered > 0 && f.Good >= sustained*f.Offered)},
		{rate + "p95", fmt.Sprintf("≤ %d ms", goalP95), r.latency(f.P95) + " ms", measure.Verdict(f.Arrivals > 0 && f.P95 <= goalP95)},
		{rate + "p99", fmt.Sprintf("≤ %d ms", goalP99), r.latency(f.P99) + " ms", measure.Verdict(f.Arrivals > 0 && f.P99 <= goalP99)},
		{"past saturation succeed, of the most at any rate", fmt.Sprintf("≥ %.0f %%", 100*goalPast),
			pastText(share, at), measure.Verdict(at > 0 && share >= goalPast)},
	}
}

func (r *results) head() string {
	return fmt.Sprintf("Capacity (100 %%): %.0f operations a second, the most that were answered by any of the rates with which it was looked for. %d processors, for the nodes, PostgreSQL and the "+
		"generator. Each rate for %s, of which the first %s do not count; clients hang up after %s.",
		r.capacity, r.processors, r.settings.each, r.settings.settle, r.settings.patience)
}

func (r *results) text() string {
	return "\n" + r.head() + "\n\n" + r.table().Text() + "\n" + r.verdicts().Text() + "\n" + r.noise
}

// markdown is the part of the page that is measured.
func (r *results) markdown() string {
	text := r.head() + "\n\n" + r.table().Markdown() + "\n" + r.verdicts().Markdown() + "\n"
	var firsts []string
	for _, p := range r.points {
		if p.First != "" {
			firsts = append(firsts, fmt.Sprintf("at %d %%: %s", p.percent, p.First))
		}
	}
	if firsts != nil {
		text += "The first failures that were neither refused nor late, " + strings.Join(firsts, "; ") + ".\n\n"
	}
	return text + r.noise
}

// picture draws latency and what succeeds by what arrives.
func (r *results) picture() string {
	figure := chart.Curves{
		Title: "Two nodes and PostgreSQL in an open loop",
		Subtitle: fmt.Sprintf("Mixed traffic that arrives by the clock; latency counts from the arrival, and who failed as %s, when clients hang up. "+
			"100 %% are %.0f operations a second.", r.settings.patience, r.capacity),
		Unit: "arrivals, % of the capacity",
	}
	var p50, p95, p99, good, offered []float64
	for _, p := range r.points {
		figure.Places = append(figure.Places, float64(p.percent))
		p50, p95, p99 = append(p50, p.P50), append(p95, p.P95), append(p99, p.P99)
		good, offered = append(good, p.Good), append(offered, p.Offered)
	}
	figure.Panels = []chart.Panel{
		{Unit: "ms", Log: true, Curves: []chart.Curve{{Name: "p50", Values: p50, Tone: chart.Other}, {Name: "p95", Values: p95, Tone: chart.Limit}, {Name: "p99", Values: p99, Tone: chart.Ours}},
			Goals: []chart.Goal{{Value: goalP95, Label: "goal for p95"}, {Value: goalP99, Label: "goal for p99"}}},
		{Unit: "operations a second", Curves: []chart.Curve{{Name: "arrive", Values: offered, Tone: chart.Other}, {Name: "succeed", Values: good, Tone: chart.Ours}}},
	}
	return figure.SVG()
}
