package rp_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/browsertest"
	"countersign/rp"
)

// Covers: RP-72. In Chromium, the application on another site than the server: a login, a stronger one where a page requires it, two tabs, the back button, a form
// of another site, and the end. COUNTERSIGN_SCREENSHOTS names the directory to write pictures of the pages to.
func TestRP72Browser(t *testing.T) {
	w := world(t)
	unready, serve := unstarted(t)
	atLocalhost(unready)
	s := unready.of(w, serve)
	s.page("/pay", rp.ACR(fapitest.ACRKey))
	evil, serveEvil := unstarted(t) // 127.0.0.1: another site
	evil.mux.HandleFunc("/attack", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = rw.Write([]byte(`<!DOCTYPE html><html lang="en"><title>Attack</title><link rel="icon" href="data:,"><form method="post" action="` + s.url + `/auth/logout"><button id="go">Win</button></form>`))
	})
	evil.of(w, serveEvil)
	certificate, _ := fapitest.ServerCertificate(t)
	b := browsertest.Open(t, certificate.Leaf)
	b.Visit("about:blank")

	t.Run("accepts a login, and a stronger one where that is required", func(t *testing.T) {
		b.Visit(s.url + "/page?a=b")
		b.AwaitText("body", "sub-alice at /page?a=b")
		b.Visit(s.url + "/auth/callback?state=old&code=x")
		b.AwaitText("body", "sub-alice at /")
		w.User.Is("sub-alice", fapitest.ACRKey)
		b.Visit(s.url + "/pay")
		b.AwaitText("body", "sub-alice at /pay")
		if cookies := b.Eval("document.cookie"); cookies != "" {
			t.Errorf("scripts see %s", cookies)
		}
		b.Complaints() // reading document.cookie is an issue of performance

	})
	t.Run("accepts the back button, and a second tab", func(t *testing.T) {
		b.Eval("history.back(), ''")
		b.AwaitText("body", "sub-alice at /")
		tab := b.Tab()
		tab.Visit(s.url + "/open")
		tab.AwaitText("body", "sub-alice at /open")
		done(t, tab)
	})
	t.Run("refuses another site's form", func(t *testing.T) {
		b.Visit(evil.url + "/attack")
		b.Click("#go")
		b.AwaitText("h1", "Not allowed")
		b.Complaints() // Chromium notes the page's status 403 in the console
		b.Visit(s.url + "/open")
		b.AwaitText("body", "sub-alice at /open")
	})
	t.Run("accepts the end: by the page, here and at the server", func(t *testing.T) {
		b.Visit(s.url + "/auth/logout")
		b.AwaitText("h1", "Sign out?")
		checkPage(t, b, "sign-out")
		b.Click(".action")
		b.AwaitText("body", "nobody at /open")
		w.User.Asked()
		b.Visit(s.url + "/")
		b.AwaitText("body", "sub-alice at /")
		if signIns, _ := w.User.Asked(); signIns != 1 {
			t.Errorf("%d sign-ins, want 1", signIns)
		}
		done(t, b)
	})
	t.Run("refuses what cannot go on, by a page that everybody can read", func(t *testing.T) {
		other := browsertest.Open(t, certificate.Leaf)
		other.Visit(s.url + "/auth/callback?state=old&code=x&iss=" + w.Issuer)
		other.AwaitText("h1", "This sign-in cannot go on")
		checkPage(t, other, "cannot-go-on")
		other.Complaints() // the status 400
		other.Click(".action")
		other.AwaitText("body", "sub-alice at /")
		w.Clock.Advance(time.Hour)
	})
}

// done fails for what the browser complains of, but that the server, whose user needs no page here, is passed through without a click.
func done(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	for _, complaint := range b.Complaints() {
		if !strings.Contains(complaint, "BounceTrackingIssue") {
			t.Errorf("the browser complains: %s", complaint)
		}
	}
}

// checkPage looks at a page in light and dark, wide and narrow.
func checkPage(t *testing.T, b *browsertest.Browser, name string) {
	t.Helper()
	for _, look := range []struct {
		name          string
		width, height int64
		dark          bool
	}{{"wide", 1280, 800, false}, {"narrow", 320, 640, false}, {"dark", 1280, 800, true}} {
		b.Look(look.width, look.height, look.dark)
		b.CheckAccessibility()
		b.CheckAxe()
		if folder := os.Getenv("COUNTERSIGN_SCREENSHOTS"); folder != "" {
			if err := os.WriteFile(filepath.Join(folder, "rp-"+name+"-"+look.name+".png"), b.Screenshot(), 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	b.Look(1280, 800, false)
	if scripts := b.Eval("String(document.scripts.length)"); strings.TrimSpace(scripts) != "0" {
		t.Errorf("%s scripts", scripts)
	}
}
