// Package chart draws the figures of the documentation as SVG, all in one style: a title, what is shown, axes with units.
// Everything is written out in each element, colours and fonts too, and the background is white: a figure looks the same
// in every viewer, on light and on dark pages.
package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Tone is the colour of a bar.
type Tone string

// The tones.
const (
	Ours  Tone = "#105748"
	Other Tone = "#8a93a0"
	Limit Tone = "#c98a1b"
)

const (
	paper  = "#ffffff"
	border = "#cfd8d5"
	grid   = "#e3e8e6"
	ink    = "#18212b"
	muted  = "#525d69"
	alarm  = "#b3261e"

	width = 860
	font  = "Helvetica, Arial, sans-serif"
	// lineLength is how many characters of a subtitle fit in a line.
	lineLength = 118
)

// canvas is a figure that is being drawn.
type canvas struct {
	strings.Builder
	height int
}

// begin writes the frame, the title and the subtitle, and gives where the rest begins.
func begin(title, subtitle string, body int) (*canvas, int) {
	lines := wrap(subtitle, lineLength)
	top := 44 + 18*len(lines)
	c := &canvas{height: top + body}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title" font-family="%s">
<title id="title">%s</title>
<rect x="0.5" y="0.5" width="%d" height="%d" rx="8" fill="%s" stroke="%s"/>
`, width, c.height, font, html.EscapeString(title), width-1, c.height-1, paper, border)
	c.text(20, 30, 17, ink, "start", title, ` font-weight="bold"`)
	for i, line := range lines {
		c.text(20, float64(51+18*i), 13, muted, "start", line, "")
	}
	return c, top
}

func (c *canvas) text(x, y float64, size int, fill, anchor, text, more string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" font-size="%d" fill="%s" text-anchor="%s"%s>%s</text>`+"\n", x, y, size, fill, anchor, more, html.EscapeString(text))
}

func (c *canvas) bar(x, y, wide, high float64, fill string) {
	fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.2f" height="%.1f" fill="%s"/>`+"\n", x, y, wide, high, fill)
}

func (c *canvas) line(x1, y1, x2, y2, wide float64, stroke string) {
	fmt.Fprintf(c, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>`+"\n", x1, y1, x2, y2, stroke, wide)
}

func (c *canvas) end() string {
	c.WriteString("</svg>\n")
	return c.String()
}

// wrap breaks a text into lines at its spaces.
func wrap(text string, most int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > most {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// ticks gives round numbers from 0 to the first that is not below most: about five.
func ticks(most float64) []float64 {
	if most <= 0 {
		return []float64{0, 1}
	}
	power := math.Pow(10, math.Floor(math.Log10(most/5)))
	step := power
	for _, factor := range []float64{1, 2, 5, 10} {
		if step = power * factor; most/step <= 6 {
			break
		}
	}
	all := []float64{0}
	for i := 1; all[len(all)-1] < most; i++ {
		all = append(all, math.Round(float64(i)*step*1e9)/1e9)
	}
	return all
}

// Bar is one value, drawn to the right.
type Bar struct {
	Value float64
	// Least and Most are drawn as a line over the bar, if Most is not 0.
	Least, Most float64
	// Label is written behind it.
	Label string
	Tone  Tone
}

// Group is bars with one name.
type Group struct {
	Name string
	Bars []Bar
}

// Bars is a figure of horizontal bars.
type Bars struct {
	Title, Subtitle string
	// Unit is that of all values, as it is written at the axis.
	Unit   string
	Groups []Group
}

// SVG draws the figure.
func (b Bars) SVG() string {
	const left, right, thick, gap, axis = 240, 130, 20, 14, 48
	body := axis
	var most float64
	for _, g := range b.Groups {
		body += len(g.Bars)*thick + gap
		for _, bar := range g.Bars {
			most = max(most, bar.Value, bar.Most)
		}
	}
	marks := ticks(most)
	across := func(value float64) float64 { return left + value/marks[len(marks)-1]*(width-left-right) }
	c, top := begin(b.Title, b.Subtitle, body)
	bottom := float64(top + body - axis)
	for _, mark := range marks {
		c.line(across(mark), float64(top), across(mark), bottom, 1, grid)
		c.text(across(mark), bottom+16, 12, muted, "middle", fmt.Sprintf("%g", mark), "")
	}
	c.text((left+width-right)/2, bottom+34, 12, muted, "middle", b.Unit, "")
	y := float64(top) + gap/2
	for _, g := range b.Groups {
		c.text(left-12, y+float64(len(g.Bars)*thick)/2+5, 14, ink, "end", g.Name, "")
		for _, bar := range g.Bars {
			c.bar(left, y, across(bar.Value)-left, thick-2, string(bar.Tone))
			if bar.Most > 0 {
				c.line(across(bar.Least), y+thick/2-1, across(bar.Most), y+thick/2-1, 1.5, ink)
			}
			c.text(across(max(bar.Value, bar.Most))+8, y+thick/2+4, 13, ink, "start", bar.Label, "")
			y += thick
		}
		y += gap
	}
	c.line(left, float64(top), left, bottom, 1, muted)
	return c.end()
}

// Event is a moment of a timeline.
type Event struct {
	// At is in seconds from the beginning.
	At    float64
	Label string
}

// Timeline is a figure of one value for each second.
type Timeline struct {
	Title, Subtitle string
	// Unit is that of the values.
	Unit   string
	Values []int
	// Long are drawn over all values with their labels, Short as ticks below them.
	Long, Short []Event
}

// SVG draws the figure.
func (t Timeline) SVG() string {
	const left, right, plot, above, axis = 70, 24, 190, 18, 60
	most := 0
	for _, value := range t.Values {
		most = max(most, value)
	}
	c, top := begin(t.Title, t.Subtitle, above+plot+axis)
	upper, bottom := float64(top+above), float64(top+above+plot)
	marks := ticks(float64(most))
	seconds := float64(max(1, len(t.Values)))
	across := func(second float64) float64 { return left + second/seconds*(width-left-right) }
	up := func(value float64) float64 { return bottom - value/marks[len(marks)-1]*plot }
	for _, mark := range marks {
		c.line(left, up(mark), width-right, up(mark), 1, grid)
		c.text(left-8, up(mark)+4, 12, muted, "end", fmt.Sprintf("%g", mark), "")
	}
	c.text(16, (upper+bottom)/2, 12, muted, "middle", t.Unit, fmt.Sprintf(` transform="rotate(-90 16 %.1f)"`, (upper+bottom)/2))
	step := across(1) - across(0)
	for second, value := range t.Values {
		c.bar(across(float64(second)), up(float64(value)), max(0.5, step*0.9), bottom-up(float64(value)), string(Ours))
	}
	for _, mark := range ticks(seconds) {
		if mark <= seconds {
			c.text(across(mark), bottom+28, 12, muted, "middle", fmt.Sprintf("%g", mark), "")
		}
	}
	c.text((left+width-right)/2, bottom+46, 12, muted, "middle", "seconds", "")
	c.line(left, bottom, width-right, bottom, 1, muted)
	for _, e := range t.Short {
		c.line(across(e.At), bottom+3, across(e.At), bottom+11, 1.5, string(Other))
	}
	for _, e := range t.Long {
		c.line(across(e.At), upper-8, across(e.At), bottom, 2, alarm)
		c.text(across(e.At)+4, upper-2, 11, alarm, "start", e.Label, "")
	}
	return c.end()
}
