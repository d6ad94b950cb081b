package pages

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"countersign/internal/brand"
)

// pairs are the colours that meet on a page, with the contrast that WCAG 2.2 AA asks for: 4.5 for text (SC 1.4.3),
// 3 for the borders of inputs and buttons and for the focus ring (SC 1.4.11); 7 for what people read most is ours.
var pairs = []struct {
	front, back string
	least       float64
}{
	{"ink", "surface", 7}, {"ink", "paper", 7}, {"ink", "tint", 7}, {"ink", "alarm-tint", 7}, {"ink", "ok-tint", 7}, {"ink", "warn-tint", 7},
	{"muted", "surface", 4.5}, {"muted", "paper", 4.5}, {"muted", "tint", 4.5},
	{"accent", "surface", 4.5}, {"accent", "paper", 4.5}, {"accent", "tint", 4.5}, {"accent", "warn-tint", 4.5},
	{"accent-strong", "surface", 4.5}, {"accent-strong", "tint", 4.5},
	{"on-accent", "accent", 4.5}, {"on-accent", "accent-strong", 4.5},
	{"alarm", "surface", 4.5}, {"alarm", "alarm-tint", 4.5}, {"ok", "surface", 4.5}, {"ok", "ok-tint", 4.5}, {"ok", "tint", 4.5},
	{"warn", "surface", 4.5}, {"warn", "warn-tint", 4.5}, {"warn", "tint", 4.5},
	{"field", "surface", 3}, {"field", "tint", 3},
	{"focus", "surface", 3}, {"focus", "paper", 3}, {"focus", "tint", 3}, {"focus", "alarm-tint", 3},
}

// Covers: KD-12. TestContrast holds every pair of colours of the sheet, for each brand colour of a grid: each channel in steps of
// 15, with white, black and yellow among them.
func TestContrast(t *testing.T) {
	style, err := styleSheet(brand.Accent)
	if err != nil {
		t.Fatal(err)
	}
	light, rest, found := strings.Cut(string(style), "@media (prefers-color-scheme: dark)")
	dark, body, closed := strings.Cut(rest, "\n}\n}\n")
	if !found || !closed {
		t.Fatal("the style sheet has no dark colours")
	}
	var count int
	for name, text := range map[string]string{"light": light, "dark": dark} {
		t.Run("accepts every colour on "+name+" ground", func(t *testing.T) {
			fixed := variables(t, text)
			met := map[string]bool{"line": true, "brand-accent": true} // both only decorate: nothing depends on seeing them
			for _, pair := range pairs {
				met[pair.front], met[pair.back] = true, true
			}
			for colour := range fixed {
				if !met[colour] {
					t.Errorf("--%s is in no pair", colour)
				}
			}
			luminances := map[string]float64{}
			for colour, value := range fixed {
				luminances[colour] = luminance(t, value)
			}
			for r := 0; r < 256; r += 15 {
				for g := 0; g < 256; g += 15 {
					for b := 0; b < 256; b += 15 {
						accent := fmt.Sprintf("#%02x%02x%02x", r, g, b)
						onLight, onDark, err := brand.Derive(accent)
						if err != nil {
							t.Fatal(err)
						}
						tones := map[string]brand.Tones{"light": onLight, "dark": onDark}[name]
						for colour, value := range tones {
							luminances[colour] = luminance(t, value)
						}
						for _, pair := range pairs {
							if got := ratio(luminances[pair.front], luminances[pair.back]); got < pair.least {
								t.Errorf("%s: %s on %s: %.2f, want %.1f", accent, pair.front, pair.back, got, pair.least)
							}
						}
						count++
					}
				}
			}
		})
	}
	if count != 2*18*18*18 {
		t.Errorf("looked at %d colours", count)
	}
	_, body, _ = strings.Cut(body, "/* 2. Ground */")
	body, _, _ = strings.Cut(body, "@media print")
	if found := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(|opacity`).FindString(body); found != "" {
		t.Errorf("the style sheet uses %q beside its variables", found)
	}
}

var variable = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)

func variables(t *testing.T, style string) map[string]string {
	t.Helper()
	colours := map[string]string{}
	for _, match := range variable.FindAllStringSubmatch(style, -1) {
		colours[match[1]] = match[2]
	}
	if len(colours) < 10 {
		t.Fatalf("found only the colours %v", colours)
	}
	return colours
}

// contrast is the contrast ratio of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	return ratio(luminance(t, a), luminance(t, b))
}

func ratio(a, b float64) float64 { return (max(a, b) + 0.05) / (min(a, b) + 0.05) }

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	value, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil || len(colour) != 7 {
		t.Fatalf("%q is no colour", colour)
	}
	channel := func(shift uint) float64 {
		c := float64(value>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}

func TestContrastFormula(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#767676", "#ffffff", 4.54}, {"#123456", "#123456", 1}} {
		if got := contrast(t, test.a, test.b); math.Abs(got-test.want) > 0.005 {
			t.Errorf("%s on %s: %.3f, want %.2f", test.a, test.b, got, test.want)
		}
	}
}
