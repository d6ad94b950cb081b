package brand

import (
	"strings"
	"testing"
)

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
	for name, body := range map[string]string{
		"a script": svg + `<script>1</script></svg>`, "a handler": svg + `<path onload="1"/></svg>`, "HTML": `<html></html>`, "nothing": "",
		"another host": svg + `<image href="https://evil.example/x.png"/></svg>`, "half a PNG": "\x89PNG\r\n\x1a\n0",
		"a DOCTYPE": `<!DOCTYPE svg [<!ENTITY a "b">]>` + svg + `</svg>`, "too much": svg + strings.Repeat(" ", MaxImage) + `</svg>`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := ParseImage([]byte(body)); err == nil {
				t.Error("it is an image")
			}
		})
	}
}
