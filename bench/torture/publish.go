package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// publish writes the figures into their place in docs/reliability.md, and a picture of the run beside it.
func (r *report) publish(folder, section string) error {
	if err := os.WriteFile(filepath.Join(folder, "reliability-"+section+".svg"), []byte(r.picture()), 0o644); err != nil {
		return err
	}
	return writeBetween(filepath.Join(folder, "reliability.md"), section, r.markdown())
}

// markdown is the table for the page.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, on %d processors, load generator and database included:\n\n| | |\n|---|---|\n", r.ended.UTC().Format("2006-01-02"), runtime.NumCPU())
	for _, row := range r.rows() {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	if len(r.outages) > 0 {
		b.WriteString("\n| failure | no write acknowledged for | of it after the database took writes again |\n|---|--:|--:|\n")
		for _, o := range r.outages {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", o.what, seconds(o.total()), seconds(o.recovery()))
		}
	}
	return b.String()
}

// writeBetween replaces one measured part of a page.
func writeBetween(file, section, text string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := "<!-- begin "+section+" -->", "<!-- end "+section+" -->"
	before, rest, begins := strings.Cut(string(raw), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has lost the marks of its part %s", file, section)
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}

// picture draws how many operations were answered in each second, with the moments of the kills and failures, for light
// and dark pages.
func (r *report) picture() string {
	const width, height, left, right, top, bottom = 860, 290, 60, 20, 76, 40
	most := 1
	for _, n := range r.rate {
		most = max(most, n)
	}
	across := func(second float64) float64 {
		return left + second/float64(max(1, len(r.rate)))*(width-left-right)
	}
	up := func(n int) float64 { return height - bottom - float64(n)/float64(most)*(height-top-bottom) }
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title" font-family="system-ui, sans-serif">
<title id="title">Operations answered in each second of the run, with the moments at which nodes and the database were killed</title>
<style>
.surface { fill: #ffffff } .ink { fill: #18212b } .muted { fill: #525d69 } .rate { fill: #105748 } .axis { stroke: #8a93a0 } .kill { stroke: #8a93a0; stroke-width: 1.5 } .failure { stroke: #b3261e; stroke-width: 2 } .failed { fill: #b3261e }
@media (prefers-color-scheme: dark) { .surface { fill: #171d21 } .ink { fill: #e8ecee } .muted { fill: #a6b0b8 } .rate { fill: #74d0b7 } .failure { stroke: #ff8a80 } .failed { fill: #ff8a80 } }
</style>
<rect class="surface" width="%[1]d" height="%[2]d" rx="8"/>
<text class="ink" x="20" y="30" font-size="17" font-weight="650">Operations answered in each second, while nodes and the database are killed</text>
<text class="muted" x="20" y="51" font-size="13">Long lines: the database (%d times). Short lines below: a node (%d times). Nothing was used twice or lost: the table says how that is known.</text>
`, width, height, len(r.outages), len(r.kills))
	step := across(1) - across(0)
	for second, n := range r.rate {
		fmt.Fprintf(&out, "<rect class=\"rate\" x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"/>\n", across(float64(second)), up(n), max(0.5, step*0.9), up(0)-up(n))
	}
	for _, n := range []int{0, most / 2, most} {
		fmt.Fprintf(&out, "<text class=\"muted\" x=\"%d\" y=\"%.1f\" font-size=\"12\" text-anchor=\"end\">%d</text>\n", left-8, up(n)+4, n)
	}
	fmt.Fprintf(&out, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%[3]d\" y2=\"%[3]d\"/>\n", left, width-right, height-bottom)
	fmt.Fprintf(&out, "<text class=\"muted\" x=\"%d\" y=\"%d\" font-size=\"12\" text-anchor=\"end\">%d s</text>\n", width-right, height-8, len(r.rate))
	for _, at := range r.kills {
		fmt.Fprintf(&out, "<line class=\"kill\" x1=\"%.1f\" x2=\"%.1[1]f\" y1=\"%d\" y2=\"%d\"/>\n", across(at.Sub(r.began).Seconds()), height-bottom+2, height-bottom+10)
	}
	for _, o := range r.outages {
		fmt.Fprintf(&out, "<line class=\"failure\" x1=\"%.1f\" x2=\"%.1[1]f\" y1=\"%d\" y2=\"%d\"/>\n", across(o.at.Sub(r.began).Seconds()), top-8, height-bottom)
		fmt.Fprintf(&out, "<text class=\"failed\" x=\"%.1f\" y=\"%d\" font-size=\"11\">%s</text>\n", across(o.at.Sub(r.began).Seconds())+3, top, seconds(o.total()))
	}
	out.WriteString("</svg>\n")
	return out.String()
}
