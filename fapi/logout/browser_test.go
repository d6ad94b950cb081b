package logout_test

import (
	"crypto/tls"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"countersign/fapi/fapitest"
	"countersign/internal/browsertest"
)

// application is the site of a client, on another site than the server's. Its page /leave posts a form to the server, as one that
// does not want an ID token in addresses.
type application struct {
	*httptest.Server
	mu   sync.Mutex
	form url.Values
	to   string
}

func newApplication(t *testing.T) *application {
	t.Helper()
	a := &application{}
	page := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!DOCTYPE html><html lang="en"><title>Application</title><link rel="icon" href="data:,"><body>`+text)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) { page(w, "signed in") })
	mux.HandleFunc("GET /signed-out", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/home?"+r.URL.RawQuery, http.StatusSeeOther) // as applications do
	})
	mux.HandleFunc("GET /home", func(w http.ResponseWriter, r *http.Request) { page(w, "signed out") })
	mux.HandleFunc("GET /leave", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		inputs := ""
		for name := range a.form {
			inputs += fmt.Sprintf(`<input type="hidden" name="%s" value="%s">`, name, html.EscapeString(a.form.Get(name)))
		}
		page(w, `<form method="post" action="`+a.to+`">`+inputs+`<button id="leave">Sign out</button></form>`)
	})
	a.Server = httptest.NewUnstartedServer(mux)
	certificate, _ := fapitest.ServerCertificate(t)
	a.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	a.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	a.StartTLS()
	t.Cleanup(a.Close)
	return a
}

// Covers: LO-01, LO-02. The whole way in Chromium, where a form of another site brings no cookies: at once with an ID token of the
// session, and by the page without one, which can be answered by keyboard in every language and size. COUNTERSIGN_SCREENSHOTS
// names the directory to write its pictures to.
func TestLO01Browser(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.WithDevices)
	w.AddUser("sub-bob", "bob", `{}`)
	a := newApplication(t)
	certificate, _ := fapitest.ServerCertificate(t)
	c := w.Register("client-1", fapitest.All(func(c *fapitest.Client, m map[string]any) {
		c.RedirectURI = a.URL + "/callback"
		m["redirect_uris"], m["client_name"] = []string{c.RedirectURI}, "Quillmere Ledger"
	}, fapitest.Told("https://client.example/out", a.URL+"/signed-out")))
	other := w.Register("client-2", fapitest.All(func(c *fapitest.Client, m map[string]any) {
		c.RedirectURI = a.URL + "/callback"
		m["redirect_uris"], m["client_name"] = []string{c.RedirectURI}, "Orchid Budget"
	}, fapitest.Told("https://orchid.example/out")))
	b := browsertest.Open(t, certificate.Leaf)
	// signIn goes to the application and comes back with an ID token, signing in if nobody is.
	signIn := func(t *testing.T, c *fapitest.Client) string {
		t.Helper()
		b.Visit(w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
		if strings.Contains(b.Text("main"), "Password") {
			b.SignIn("alice", "right")
		}
		if strings.HasPrefix(b.Location(), w.Issuer) {
			b.Click("#allow")
		}
		back := fapitest.MustURL(t, b.Location())
		issued := c.Redeem(back.Query().Get("code"), nil)
		fapitest.WantOK(t, issued)
		return issued.Text("id_token")
	}
	isSignedOut := func(t *testing.T) bool {
		t.Helper()
		b.Visit(w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "none")).Text("request_uri")))
		return strings.Contains(b.Location(), "error=login_required")
	}
	leave := func(t *testing.T, form url.Values) {
		t.Helper()
		a.mu.Lock()
		a.form, a.to = form, w.Issuer+"/end-session"
		a.mu.Unlock()
		b.Visit(a.URL + "/leave")
		b.Click("#leave")
	}
	t.Run("accepts a form of another site with an ID token of the session", func(t *testing.T) {
		hint := signIn(t, c)
		leave(t, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {a.URL + "/signed-out"}, "state": {"x y"}})
		if got := b.Location(); got != a.URL+"/home?state=x+y" || !isSignedOut(t) {
			t.Errorf("ended at %s", got)
		}
	})
	t.Run("accepts an answer by keyboard, in each language and size", func(t *testing.T) {
		signIn(t, c)
		signIn(t, other)
		for _, language := range []string{"en", "pt-BR", "ar"} {
			for _, width := range []int64{320, 390, 1280} {
				for _, dark := range []bool{false, true} {
					b.Look(width, 844, dark)
					leave(t, url.Values{"client_id": {c.ID}, "post_logout_redirect_uri": {a.URL + "/signed-out"}, "ui_locales": {language}})
					check(b)
					picture(t, b, fmt.Sprintf("sign-out-%s-%d", language, width), dark)
					if filled := b.Primary(); len(filled) != 1 {
						t.Errorf("%s: filled are %q", language, filled)
					}
					var path []string
					for focused := ""; focused != "stay" && len(path) < 12; {
						b.Press(kb.Tab)
						focused = b.Focused()
						path = append(path, focused)
					}
					if !slices.Equal(path, []string{"A", "SUMMARY", "sign-out", "stay"}) {
						t.Errorf("Tab leads to %v", path)
					}
					b.PressAndFollow(kb.Enter)
					check(b)
					picture(t, b, fmt.Sprintf("stayed-%s-%d", language, width), dark)
				}
			}
		}
		if isSignedOut(t) {
			t.Fatal("staying has ended the session")
		}
		for _, language := range []string{"en", "pt-BR", "ar"} {
			b.Look(390, 844, false)
			leave(t, url.Values{"client_id": {c.ID}, "ui_locales": {language}})
			asked := b.Location()
			b.Click("#stay")
			b.Visit(asked) // the back button
			b.Click("#sign-out")
			check(b)
			picture(t, b, "answered-"+language+"-390", false)
			if filled := b.Primary(); len(filled) != 0 || b.Location() != asked {
				t.Errorf("%s: at %s, filled are %q", language, b.Location(), filled)
			}
		}
		leave(t, url.Values{"client_id": {c.ID}, "post_logout_redirect_uri": {a.URL + "/signed-out"}, "state": {"s"}})
		if text := b.Text("main"); !strings.Contains(text, "Quillmere Ledger asks us to sign you out") || !strings.Contains(text, "Orchid Budget") || !strings.Contains(text, "Signed in as alice") {
			t.Errorf("it says %s", text)
		}
		for range 3 {
			b.Press(kb.Tab)
		}
		b.PressAndFollow(" ")
		if got := b.Location(); got != a.URL+"/home?state=s" || !isSignedOut(t) {
			t.Errorf("ended at %s", got)
		}
	})
	t.Run("accepts nobody who is signed in, with a way back", func(t *testing.T) {
		for _, language := range []string{"en", "pt-BR", "ar"} {
			for _, width := range []int64{390, 1280} {
				b.Look(width, 844, false)
				leave(t, url.Values{"client_id": {c.ID}, "post_logout_redirect_uri": {a.URL + "/signed-out"}, "ui_locales": {language}})
				check(b)
				picture(t, b, fmt.Sprintf("signed-out-%s-%d", language, width), false)
			}
		}
		b.Click("#back")
		if got := b.Location(); got != a.URL+"/home?" {
			t.Errorf("ended at %s", got)
		}
	})
	t.Run("refuses another session than the one that the page was about", func(t *testing.T) {
		signIn(t, c)
		leave(t, url.Values{"client_id": {c.ID}, "ui_locales": {"en"}})
		tab := b.Tab()
		tab.Visit(w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "login")).Text("request_uri")))
		tab.SignIn("bob", "right")
		b.Click("#sign-out")
		if text := b.Text("main"); !strings.Contains(text, "Somebody else has signed in") || !strings.Contains(text, "Signed in as bob") || isSignedOut(t) {
			t.Errorf("it says %s", text)
		}
	})
	t.Run("accepts to sign out without an application that asks wrongly", func(t *testing.T) {
		tab := b.Tab() // Chromium notes the page's status 400 in the console
		for _, language := range []string{"en", "pt-BR", "ar"} {
			tab.Look(390, 844, false)
			asked := url.Values{"client_id": {c.ID}, "post_logout_redirect_uri": {a.URL + "/elsewhere"}, "ui_locales": {language}}
			tab.Visit(w.Issuer + "/end-session?" + asked.Encode())
			check(tab)
			picture(t, tab, "not-signed-out-"+language+"-390", false)
		}
		tab.Click("#sign-out")
		if !strings.HasPrefix(tab.Location(), w.Issuer+"/end-session/") || isSignedOut(t) {
			t.Errorf("at %s", tab.Location())
		}
		tab.Click("#sign-out")
		if !isSignedOut(t) {
			t.Error("the session goes on")
		}
	})
	b.Done()
}

// picture writes a screenshot where COUNTERSIGN_SCREENSHOTS says.
func picture(t *testing.T, b *browsertest.Browser, name string, dark bool) {
	t.Helper()
	directory := os.Getenv("COUNTERSIGN_SCREENSHOTS")
	if directory == "" {
		return
	}
	if dark {
		name += "-dark"
	}
	if err := os.WriteFile(filepath.Join(directory, name+".png"), b.Screenshot(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// check looks at the page in the tree of accessibility, and by axe-core.
func check(b *browsertest.Browser) {
	b.CheckAccessibility()
	b.CheckAxe()
}
