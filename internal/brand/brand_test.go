package brand

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"testing"
)

// wide is a PNG that is twice as wide as high.
func wide(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 8, 4))); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Covers: KD-11. TestKD11Tones: a colour of the program gives the tones of the sheet, and what is no colour is refused.
func TestKD11Tones(t *testing.T) {
	light, dark, err := Derive(Accent)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"accent": "#12594a"} {
		t.Run("accepts "+name, func(t *testing.T) {
			if light[name] != want {
				t.Errorf("%s, want %s", light[name], want)
			}
		})
	}
	t.Run("accepts lighter tones on dark ground", func(t *testing.T) {
		if dark["accent"] <= "#7" || dark["paper"] >= "#2" {
			t.Errorf("%v", dark)
		}
	})
	for _, colour := range []string{"", "red", "#12345", "#1234567", "12594a", "#12594g", "#fff;}"} {
		t.Run("refuses "+colour, func(t *testing.T) {
			if _, _, err := Derive(colour); err == nil {
				t.Error("it is a colour")
			}
		})
	}
}

// Covers: KD-13. TestKD13Images: a logo is an SVG or PNG, bounded, and complete in itself.
func TestKD13Images(t *testing.T) {
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">`
	t.Run("accepts an SVG", func(t *testing.T) {
		if image, err := ParseImage([]byte(svg + `<path d="M0 0"/></svg>`)); err != nil || image.ContentType != "image/svg+xml" {
			t.Errorf("%v", err)
		}
	})
	for name, one := range map[string]struct {
		body  string
		ratio float64
	}{
		"a gradient of its own":  {svg + `<linearGradient id="g"/><rect fill="url(#g)" style="stroke:url('#g')"/><style>.a{fill:url(#g)}</style></svg>`, 1},
		"an image in it":         {svg + `<image href="data:image/png;base64,AAAA"/></svg>`, 1},
		"a transformation":       {`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64,32"><g transform="matrix(1 0 0 1 0 0)"/></svg>`, 2},
		"its size in pixels":     {`<svg xmlns="http://www.w3.org/2000/svg" width="300px" height="100"></svg>`, 3},
		"its size in percent":    {`<svg xmlns="http://www.w3.org/2000/svg" width="100%" height="100%" viewBox="0 0 5 2"></svg>`, 2.5},
		"a size that is none":    {`<svg xmlns="http://www.w3.org/2000/svg" width="1e999" height="-1"></svg>`, 0},
		"an XML declaration":     {`<?xml version="1.0"?><!-- ours -->` + svg + `</svg>`, 1},
		"a PNG, by its own size": {wide(t), 2},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if image, err := ParseImage([]byte(one.body)); err != nil || image.Ratio != one.ratio {
				t.Errorf("%v, %v", image, err)
			}
		})
	}
	for name, body := range map[string]string{
		"a script": svg + `<script>1</script></svg>`, "a handler": svg + `<path onload="1"/></svg>`, "HTML": `<html></html>`, "nothing": "",
		"another host": svg + `<image href="https://evil.example/x.png"/></svg>`, "half a PNG": "\x89PNG\r\n\x1a\n0",
		"a DOCTYPE": `<!DOCTYPE svg [<!ENTITY a "b">]>` + svg + `</svg>`, "too much": svg + strings.Repeat(" ", MaxImage) + `</svg>`,
		"a script elsewhere": svg + `<script href="#x"/></svg>`, "a script of another namespace": svg + `<h:script xmlns:h="http://www.w3.org/1999/xhtml"/></svg>`,
		"HTML in it": svg + `<foreignObject><p xmlns="http://www.w3.org/1999/xhtml"/></foreignObject></svg>`, "a script as address": svg + `<a href="javascript:alert(1)"/></svg>`,
		"an address of XLink": `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><use xlink:href="https://evil.example/#x"/></svg>`,
		"a style sheet":       `<?xml-stylesheet href="https://evil.example/x.css"?>` + svg + `</svg>`, "another base": svg + `<g xml:base="https://evil.example/"/></svg>`,
		"an import": svg + `<style>@import "https://evil.example/x.css";</style></svg>`, "an address in its style": svg + `<style>rect{fill:url("https://evil.example/x")}</style></svg>`,
		"an address in an attribute": svg + `<rect fill="url(https://evil.example/x#y)"/></svg>`, "a style in an attribute": svg + `<rect style="background:URL( '//evil.example/x')"/></svg>`,
		"an escape in its style": svg + `<style>rect{fill:u\72l(https://evil.example)}</style></svg>`, "half an SVG": svg + `<g>`, "no SVG's namespace": `<svg></svg>`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := ParseImage([]byte(body)); err == nil {
				t.Error("it is an image")
			}
		})
	}
}
