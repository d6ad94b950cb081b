package adminconsole

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"countersign/internal/browsertest"
)

// Covers: NM-67. Every page of the console is read by screen readers, on narrow and wide screens, light and dark: axe-core finds nothing,
// nothing sticks out, and nothing on it is loaded or run.
func TestNM67Accessible(t *testing.T) {
	w := newWorld(t)
	w.fill()
	for operator, dark := range map[string]bool{"sample.officer": false, "sample.reader": true} {
		t.Run("accepts what "+operator+" sees", func(t *testing.T) {
			site := w.proxied(operator)
			b := browsertest.Open(t, site.Certificate())
			for name, path := range everyPage(w) {
				// A reader sees other pages than the officer only where persons are on them.
				if operator == "sample.reader" && !slices.Contains([]string{"person", "consent_payment", "grant", "entry", "audit_person"}, name) {
					continue
				}
				b.Visit(site.URL + path)
				if got := b.Eval(`document.documentElement.lang + " " + [...document.querySelectorAll("script, img, iframe, object")].length`); got != "en 0" {
					t.Errorf("%s: %s", name, got)
				}
				for _, look := range looks(dark) {
					b.Look(look.width, 900, look.dark)
					keep(t, fmt.Sprintf("%s_%s_%d_%v", name, operator, look.width, look.dark), b)
					b.CheckAccessibility()
					b.CheckAxe()
				}
			}
			for _, complaint := range b.Complaints() { // Chromium notes the status of error pages
				if !strings.Contains(complaint, "the server responded with a status of") {
					t.Errorf("the browser complains: %s", complaint)
				}
			}
		})
	}
	t.Run("accepts a search from the keyboard", func(t *testing.T) {
		site := w.proxied("sample.officer")
		b := browsertest.Open(t, site.Certificate())
		b.Visit(site.URL + "/console/")
		b.Type("#q", "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55")
		b.PressAndFollow("\r")
		if got := b.Text("h1"); got != "The redirect URI is not registered" {
			t.Errorf("%q", got)
		}
		b.Done()
	})
	t.Run("refuses a page to a stranger, readably", func(t *testing.T) {
		site := w.proxied("a.stranger")
		b := browsertest.Open(t, site.Certificate())
		b.Visit(site.URL + "/console/")
		b.CheckAccessibility()
		b.CheckAxe()
		if got := b.Text("h1"); got != "You may not look at this console" {
			t.Errorf("%q", got)
		}
	})
}

// pageLook is a size and a scheme in which pages are looked at.
type pageLook struct {
	width int64
	dark  bool
}

// looks are a narrow and a wide one, of different schemes; all of them where screenshots are made.
func looks(dark bool) []pageLook {
	if os.Getenv("COUNTERSIGN_SCREENSHOTS") == "" {
		return []pageLook{{320, dark}, {1280, !dark}}
	}
	return []pageLook{{390, false}, {390, true}, {1280, false}, {1280, true}, {320, false}}
}

// keep writes a screenshot where COUNTERSIGN_SCREENSHOTS says.
func keep(t *testing.T, name string, b *browsertest.Browser) {
	t.Helper()
	folder := os.Getenv("COUNTERSIGN_SCREENSHOTS")
	if folder == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), b.Screenshot(), 0o600); err != nil {
		t.Fatal(err)
	}
}
