package main

import (
	"fmt"
	"strings"

	"countersign/bench/chart"
)

// picture draws the CPU time of a flow, with the least and the most as a line.
func (r *results) picture() string {
	figure := chart.Bars{
		Title: "What one flow costs a server",
		Subtitle: "Pushed request, authorization with a session, code exchange with private_key_jwt and DPoP. Medians; the lines go from the " +
			"least to the most; (×) is against " + reference + ". Less is better.",
		Unit: "ms of CPU",
	}
	for _, server := range r.servers {
		cpu := r.cpu(server, "flow")
		bar := chart.Bar{Value: cpu.median, Least: cpu.least, Most: cpu.most, Label: fmt.Sprintf("%.2f", cpu.median), Tone: chart.Other}
		if strings.HasPrefix(server, "countersign") {
			bar.Tone = chart.Ours
		}
		if ratio := r.ratio(server, "flow").median; ratio > 0 && server != reference {
			bar.Label += fmt.Sprintf(" (×%.2f)", ratio)
		}
		figure.Groups = append(figure.Groups, chart.Group{Name: server, Bars: []chart.Bar{bar}})
	}
	return figure.SVG()
}
