package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// check reads a figure as XML, and looks for what only some viewers know.
func check(t *testing.T, figure string) {
	t.Helper()
	for _, word := range []string{"<style", "class=", "var(", "foreignObject", "NaN", "Inf"} {
		if strings.Contains(figure, word) {
			t.Errorf("the figure holds %s:\n%s", word, figure)
		}
	}
	for decoder := xml.NewDecoder(strings.NewReader(figure)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		painted := slices.ContainsFunc(element.Attr, func(a xml.Attr) bool { return a.Name.Local == "fill" || a.Name.Local == "stroke" })
		if name := element.Name.Local; name != "svg" && name != "title" && !painted {
			t.Errorf("<%s> has no colour", name)
		}
	}
}

func TestBars(t *testing.T) {
	figure := Bars{Title: "Cost & more", Subtitle: strings.Repeat("many words ", 20), Unit: "ms of CPU", Groups: []Group{
		{"first", []Bar{{Value: 2, Least: 1, Most: 3, Label: "2.00 <ms>", Tone: Ours}}},
		{"second", []Bar{{Value: 1, Tone: Other}, {Value: 0.5, Tone: Ours}}},
	}}.SVG()
	check(t, figure)
	for _, want := range []string{"Cost &amp; more", "2.00 &lt;ms&gt;", ">ms of CPU<", ">first<", ">3<"} {
		if !strings.Contains(figure, want) {
			t.Errorf("the figure lacks %q:\n%s", want, figure)
		}
	}
	check(t, Bars{}.SVG())
}

func TestTimeline(t *testing.T) {
	figure := Timeline{Title: "Rate", Unit: "operations a second", Values: []int{10, 50, 0}, Long: []Event{{1, "4.5 s"}}, Short: []Event{{2, ""}}}.SVG()
	check(t, figure)
	for _, want := range []string{">operations a second<", ">seconds<", ">4.5 s<", alarm} {
		if !strings.Contains(figure, want) {
			t.Errorf("the figure lacks %q:\n%s", want, figure)
		}
	}
	check(t, Timeline{}.SVG())
}

func TestTicks(t *testing.T) {
	for most, want := range map[float64][]float64{
		0: {0, 1}, 4.91: {0, 1, 2, 3, 4, 5}, 0.3: {0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3}, 1234: {0, 500, 1000, 1500},
	} {
		if got := ticks(most); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", most, got, want)
		}
	}
}

func TestCurves(t *testing.T) {
	figure := Curves{Title: "Load & more", Subtitle: "words", Unit: "%", Places: []float64{10, 50, 100}, Panels: []Panel{
		{Unit: "ms", Log: true, Goals: []Goal{{100, "goal"}}, Curves: []Curve{{"p50", []float64{1, 2, 0}, Other}, {"p99", []float64{5, 50, 5000}, Ours}}},
		{Unit: "a second", Curves: []Curve{{"good", []float64{10, 50, 80}, Ours}, {"none", []float64{0, 0, 0}, Other}}},
		{Unit: "nothing", Log: true},
	}}.SVG()
	check(t, figure)
	if got := strings.Count(figure, "<circle"); got != 8 {
		t.Errorf("%d points, want 8: a value of 0 is none", got)
	}
	if strings.Contains(figure, ">none<") || !strings.Contains(figure, ">10000<") {
		t.Errorf("the axis goes up to a power of ten, and an empty curve has no name:\n%s", figure)
	}
}

// TestScale: a logarithmic axis has equal steps between powers of ten, and another one begins at 0.
func TestScale(t *testing.T) {
	p := Panel{Log: true, Curves: []Curve{{Values: []float64{2, 200}}}}
	marks, up := p.scale(0, 300)
	if !slices.Equal(marks, []float64{1, 10, 100, 1000}) || up(1) != 300 || up(1000) != 0 || up(10) < 199.9 || up(10) > 200.1 {
		t.Errorf("marks %v, 10 at %v", marks, up(10))
	}
	p.Log = false
	if marks, up = p.scale(0, 300); marks[0] != 0 || up(0) != 300 || up(marks[len(marks)-1]) != 0 {
		t.Errorf("marks %v", marks)
	}
}
