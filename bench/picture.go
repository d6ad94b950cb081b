package main

import (
	"fmt"
	"html"
	"strings"
)

// picture draws the CPU time of a flow as bars, with the least and the most as a line, for light and dark pages.
func (r *results) picture() string {
	const width, left, right, bar, gap, top = 760, 230, 130, 24, 14, 72
	height := top + len(r.servers)*(bar+gap) + 12
	var longest float64
	for _, server := range r.servers {
		longest = max(longest, r.cpu(server, "flow").most)
	}
	across := func(value float64) float64 {
		if longest == 0 {
			return left
		}
		return left + value/longest*(width-left-right)
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title" font-family="system-ui, sans-serif">
<title id="title">Server CPU time of one flow, in milliseconds, for each server</title>
<style>
.surface { fill: #ffffff } .ink { fill: #18212b } .muted { fill: #525d69 } .ours { fill: #105748 } .peer { fill: #8a93a0 } .spread { stroke: #18212b; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { .surface { fill: #171d21 } .ink { fill: #e8ecee } .muted { fill: #a6b0b8 } .ours { fill: #74d0b7 } .peer { fill: #727a84 } .spread { stroke: #e8ecee } }
</style>
<rect class="surface" width="%[1]d" height="%[2]d" rx="8"/>
<text class="ink" x="20" y="30" font-size="17" font-weight="650">What one flow costs a server, in ms of CPU</text>
<text class="muted" x="20" y="51" font-size="13">Pushed request, authorization with a session, code exchange with private_key_jwt and DPoP. Less is better.</text>
`, width, height)
	for i, server := range r.servers {
		y, cpu, class := top+i*(bar+gap), r.cpu(server, "flow"), "peer"
		if strings.HasPrefix(server, "countersign") {
			class = "ours"
		}
		label := fmt.Sprintf("%.2f", cpu.median)
		if ratio := r.ratio(server, "flow").median; ratio > 0 && server != reference {
			label += fmt.Sprintf(" (×%.2f)", ratio)
		}
		name, length, line, middle := html.EscapeString(server), across(cpu.median)-left, y+bar-7, y+bar/2
		fmt.Fprintf(&out, "<text class=\"ink\" x=\"%d\" y=\"%d\" font-size=\"14\" text-anchor=\"end\">%s</text>\n", left-12, line, name)
		fmt.Fprintf(&out, "<rect class=%q x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"3\"/>\n", class, left, y, length, bar)
		fmt.Fprintf(&out, "<line class=\"spread\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", across(cpu.least), across(cpu.most), middle, middle)
		fmt.Fprintf(&out, "<text class=\"ink\" x=\"%.1f\" y=\"%d\" font-size=\"14\">%s</text>\n", across(cpu.most)+8, line, label)
	}
	out.WriteString("</svg>\n")
	return out.String()
}
