package main

import (
	"fmt"

	"countersign/bench/measure"
)

// goal is a ratio of CPU time that we promised ourselves.
type goal struct {
	server, step string
	// atOnce is how many clients at once; 0 is as many as for everything else.
	atOnce int
	ratio  float64
}

// goals are ratios to node-oidc-provider with PS256.
func goals() []goal {
	var all []goal
	for _, row := range []struct {
		server string
		ratios [4]float64
	}{
		{"sqlite PS256", [4]float64{0.75, 0.85, 0.40, 0.65}},
		{"sqlite ES256", [4]float64{0.38, 0.38, 0.38, 0.28}},
		{"postgres PS256", [4]float64{0.82, 0.90, 0.50, 0.75}},
		{"postgres ES256", [4]float64{0.42, 0.45, 0.50, 0.36}},
	} {
		for i, step := range steps() {
			all = append(all, goal{server: ours + row.server, step: step.name, ratio: row.ratios[i]})
		}
	}
	return append(all, goal{server: ours + "sqlite ES256", step: "flow", atOnce: 1, ratio: 0.65})
}

const (
	// maxOpencryptoki is the goal for a flow with PS256 by opencryptoki, whose token belongs to the machine: it is run where that is
	// installed and nobody has it.
	maxOpencryptoki = 0.58
	// maxOfFloor is the goal for a flow apart from the token's own time, to the floor.
	maxOfFloor = 1.5
	// The goals for a server on SQLite, in MiB of PSS: idle, under load, and with 64 sign-ins at once.
	maxIdle, maxLoaded, maxSignIns = 60, 80, 180
)

// verdicts are the goals with what was measured.
func (r *results) verdicts() measure.Table {
	t := measure.Table{{"goal", "", "at most", "measured", ""}}
	row := func(what, of string, most float64, form, measured string, value float64) {
		t = append(t, []string{what, of, fmt.Sprintf(form, most), measured, measure.Verdict(value <= most)})
	}
	for _, g := range goals() {
		atOnce := g.atOnce
		if atOnce == 0 {
			atOnce = r.workers
		}
		if e := r.ratio(key{g.server, g.step, atOnce}, reference); e.Pairs > 0 {
			row(fmt.Sprintf("%s, %d at once", g.step, atOnce), g.server+" to "+reference, g.ratio, "%.2f", e.String(), e.Mean)
		}
	}
	if e := r.ratio(key{cryptoki, "flow", r.workers}, reference); e.Pairs > 0 {
		row(fmt.Sprintf("flow, %d at once", r.workers), cryptoki+" to "+reference, maxOpencryptoki, "%.2f", e.String(), e.Mean)
	} else if len(r.samples[key{ours + "sqlite PS256", "flow", r.workers}]) > 0 {
		t = append(t, []string{fmt.Sprintf("flow, %d at once", r.workers), cryptoki + " to " + reference, fmt.Sprintf("%.2f", maxOpencryptoki), "", "not run"})
	}
	for _, server := range r.servers {
		if e := r.apart(key{server, "flow", r.workers}); e.Pairs > 0 {
			row(fmt.Sprintf("flow, %d at once, apart from the token's own time", r.workers), server+" to the floor", maxOfFloor, "%.2f", e.String(), e.Mean)
		}
	}
	for _, server := range []string{ours + "sqlite PS256", ours + "sqlite ES256"} {
		m, ok := r.memories[server]
		if !ok {
			continue
		}
		for _, one := range []struct {
			what string
			most float64
			used float64
		}{
			{"idle", maxIdle, m.Idle}, {"under load", maxLoaded, r.most(server, func(s sample) float64 { return s.Proportional })},
			{fmt.Sprintf("with %d sign-ins at once", signInsAtOnce), maxSignIns, m.SignIns},
		} {
			if one.used > 0 {
				row("MiB of PSS "+one.what, server, one.most, "%.0f", fmt.Sprintf("%.0f", one.used), one.used)
			}
		}
	}
	return t
}
