package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
)

// Curve is one value for each place on the axis, with its name at its end. A value that is not above 0 is left out.
type Curve struct {
	Name   string
	Values []float64
	Tone   Tone
}

// Panel is curves over one axis.
type Panel struct {
	// Unit is that of all values.
	Unit   string
	Curves []Curve
	// Log has the axis be logarithmic.
	Log bool
	// Goals are drawn as lines across.
	Goals []Goal
}

// Goal is a value that should be kept.
type Goal struct {
	Value float64
	Label string
}

// Curves is a figure of panels above each other, over the same places.
type Curves struct {
	Title, Subtitle string
	// Places are where values are, on an axis with this unit.
	Places []float64
	Unit   string
	Panels []Panel
}

// SVG draws the figure.
func (f Curves) SVG() string {
	const left, right, plot, gap, axis = 70, 110, 200, 34, 44
	c, top := begin(f.Title, f.Subtitle, len(f.Panels)*(plot+gap)+axis)
	var farthest float64
	for _, place := range f.Places {
		farthest = max(farthest, place)
	}
	across := func(place float64) float64 { return left + place/max(farthest, 1e-9)*(width-left-right) }
	for i, p := range f.Panels {
		upper := float64(top + gap/2 + i*(plot+gap))
		bottom := upper + plot
		marks, up := p.scale(upper, bottom)
		for _, mark := range marks {
			c.line(left, up(mark), width-right, up(mark), 1, grid)
			c.text(left-8, up(mark)+4, 12, muted, "end", strconv.FormatFloat(mark, 'f', -1, 64), "")
		}
		c.text(16, (upper+bottom)/2, 12, muted, "middle", p.Unit, fmt.Sprintf(` transform="rotate(-90 16 %.1f)"`, (upper+bottom)/2))
		for _, g := range p.Goals {
			c.line(left, up(g.Value), width-right, up(g.Value), 1, alarm)
			c.text(left+6, up(g.Value)-4, 11, alarm, "start", g.Label, "")
		}
		for _, curve := range p.Curves {
			c.curve(curve, f.Places, across, up)
		}
		for _, place := range f.Places {
			c.line(across(place), bottom, across(place), bottom+4, 1, muted)
			c.text(across(place), bottom+17, 11, muted, "middle", strconv.FormatFloat(place, 'f', -1, 64), "")
		}
		c.line(left, bottom, width-right, bottom, 1, muted)
	}
	c.text((left+width-right)/2, float64(top+len(f.Panels)*(plot+gap))+26, 12, muted, "middle", f.Unit, "")
	return c.end()
}

// curve draws a line through points, with a name behind the last.
func (c *canvas) curve(curve Curve, places []float64, across, up func(float64) float64) {
	points, x, y := "", 0.0, 0.0
	for i, value := range curve.Values {
		if i >= len(places) || value <= 0 {
			continue
		}
		x, y = across(places[i]), up(value)
		points += fmt.Sprintf("%.1f,%.1f ", x, y)
		fmt.Fprintf(c, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x, y, string(curve.Tone))
	}
	if points == "" {
		return
	}
	fmt.Fprintf(c, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", html.EscapeString(points), string(curve.Tone))
	c.text(x+8, y+4, 12, string(curve.Tone), "start", curve.Name, "")
}

// scale gives the marks of the axis, and where a value is.
func (p Panel) scale(upper, bottom float64) ([]float64, func(float64) float64) {
	var most float64
	least := math.Inf(1)
	for _, curve := range p.Curves {
		for _, value := range curve.Values {
			most = max(most, value)
			if value > 0 {
				least = min(least, value)
			}
		}
	}
	for _, g := range p.Goals {
		most, least = max(most, g.Value), min(least, g.Value)
	}
	if !p.Log || math.IsInf(least, 1) {
		marks := ticks(most)
		return marks, func(value float64) float64 { return bottom - value/marks[len(marks)-1]*(bottom-upper) }
	}
	first, last := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	last = max(last, first+1)
	var marks []float64
	for power := first; power <= last; power++ {
		marks = append(marks, math.Pow(10, power))
	}
	return marks, func(value float64) float64 { return bottom - (math.Log10(value)-first)/(last-first)*(bottom-upper) }
}
