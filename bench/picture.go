package main

import (
	"fmt"
	"html"
	"strings"
)

// picture draws the CPU time of a flow as bars, for light and dark pages.
func (r *results) picture() string {
	const width, left, right, bar, gap, top = 760, 220, 90, 26, 14, 64
	height := top + len(r.servers)*(bar+gap) + 24
	var longest float64
	for _, server := range r.servers {
		longest = max(longest, r.cpu(server, "flow"))
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title" font-family="system-ui, sans-serif">
<title id="title">Server CPU time of one flow, in milliseconds, for each server</title>
<style>
.surface { fill: #ffffff } .ink { fill: #18212b } .muted { fill: #525d69 } .ours { fill: #105748 } .peer { fill: #8a93a0 }
@media (prefers-color-scheme: dark) { .surface { fill: #171d21 } .ink { fill: #e8ecee } .muted { fill: #a6b0b8 } .ours { fill: #74d0b7 } .peer { fill: #727a84 } }
</style>
<rect class="surface" width="%[1]d" height="%[2]d" rx="8"/>
<text class="ink" x="20" y="30" font-size="17" font-weight="650">What one flow costs a server, in ms of CPU</text>
<text class="muted" x="20" y="50" font-size="13">Pushed request, authorization with a session, code exchange with private_key_jwt and DPoP. Less is better.</text>
`, width, height)
	for i, server := range r.servers {
		y, value := top+i*(bar+gap), r.cpu(server, "flow")
		length, class := 0.0, "peer"
		if longest > 0 {
			length = value / longest * (width - left - right)
		}
		if strings.HasPrefix(server, "countersign") {
			class = "ours"
		}
		fmt.Fprintf(&out, `<text class="ink" x="%d" y="%d" font-size="14" text-anchor="end">%s</text>
<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="3"/>
<text class="ink" x="%.1f" y="%d" font-size="14">%.2f</text>
`, left-12, y+bar-8, html.EscapeString(server), class, left, y, length, bar, left+length+8, y+bar-8, value)
	}
	out.WriteString("</svg>\n")
	return out.String()
}
