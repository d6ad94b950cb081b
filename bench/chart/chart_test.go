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
