package main

import (
	"fmt"
	"strings"

	"countersign/internal/chart"
)

// picture draws the CPU time of a flow.
func (r *results) picture() string {
	figure := chart.Bars{
		Title: "What one flow costs a server",
		Subtitle: fmt.Sprintf("Pushed request, authorization with a session, code exchange with private_key_jwt and DPoP; %d clients at once. Medians; (×) is "+
			"against %s, geometric mean. The floor is the least that a durable server with its keys in SoftHSM2 can do. Less is better.", r.workers, reference),
		Unit: "ms of CPU",
	}
	for _, server := range r.servers {
		k := key{server, "flow", r.workers}
		value := r.over(k, cpu)
		bar := chart.Bar{Value: value, Label: fmt.Sprintf("%.2f", value), Tone: chart.Other}
		switch {
		case strings.HasPrefix(server, ours):
			bar.Tone = chart.Ours
		case strings.HasPrefix(server, "floor"):
			bar.Tone = chart.Limit
		}
		if ratio := r.ratio(k, reference); ratio.Pairs > 0 && server != reference {
			bar.Label += fmt.Sprintf(" (×%.2f)", ratio.Mean)
		}
		figure.Groups = append(figure.Groups, chart.Group{Name: server, Bars: []chart.Bar{bar}})
	}
	return figure.SVG()
}
