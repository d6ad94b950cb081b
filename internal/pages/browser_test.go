package pages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
	"countersign/internal/browsertest"
)

// site is a small server that plays the handler of package authorize: interactions in memory, forms checked as the real one
// checks them, and a client that the browser is sent back to.
type site struct {
	t     *testing.T
	forms *authorize.Forms
	// issuer, client and elsewhere are three origins.
	issuer, client, elsewhere *httptest.Server
	// redirectURI is where decisions go.
	redirectURI string

	mu     sync.Mutex
	states map[string]*state
}

// state is one interaction.
type state struct {
	signedIn *browser.SignedIn
	failures int
}

var (
	errRefused   = errors.New("users: no")
	errThrottled = errors.New("users: too many")
)

// users is a directory of two users with one password.
type users struct{}

func (users) Authenticate(_ context.Context, attempt browser.Attempt) (browser.Proven, error) {
	if (attempt.Username == "alice" || attempt.Username == "bob") && attempt.Password == "right" {
		return browser.Proven{Subject: "sub-" + attempt.Username}, nil
	}
	return browser.Proven{}, errRefused
}

func newSite(t *testing.T) *site {
	t.Helper()
	p := newPages(t)
	forms, err := authorize.NewForms(p, browser.Passwords{Directory: users{}, Refused: errRefused, Throttled: errThrottled}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, forms: forms, states: map[string]*state{}}

	mux := http.NewServeMux()
	mux.Handle("/interaction/{handle}", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.interact)))
	mux.HandleFunc("GET /failure", func(w http.ResponseWriter, r *http.Request) {
		p.Fail(w, r, browser.Failure{
			Status: http.StatusNotFound, Code: "invalid_request", CorrelationID: "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55",
			Description: "this page belongs to another browser, or it is too old; go back to the application and start again",
		})
	})
	mux.HandleFunc("GET /payment", func(w http.ResponseWriter, r *http.Request) {
		in := payment()
		in.Details = []display.View{paying("Merchant A", "en")}
		p.Consent(w, r, in)
	})
	choosingPages(p, mux)
	offeringPages(p, mux)
	mux.HandleFunc("GET /hostile", func(w http.ResponseWriter, r *http.Request) {
		in := signedIn()
		in.Client.Name = "Your Bank \u202egninrael-enihcam ylbissop\u202c " + strings.Repeat("W", 300)
		in.Client.ID = strings.Repeat("client.example/", 40)
		in.Client.RedirectHost = strings.Repeat("very-long-label.", 14) + "example"
		in.SignedIn.Username = strings.Repeat("alice-the-", 18)
		in.Details = []display.View{paying(strings.Repeat("W", 140), "en"), paying("1\u202e00.1", "en")}
		in.Scopes = append(in.Scopes, scope.Scope{Name: strings.Repeat("s", 100), Description: strings.Repeat("Everything", 50)})
		p.Consent(w, r, in)
	})
	s.issuer = s.start(mux)

	callback := http.NewServeMux()
	callback.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) { answer(w, "back: "+r.URL.RawQuery) })
	callback.HandleFunc("GET /onward", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.elsewhere.URL+"/home?"+r.URL.RawQuery, http.StatusSeeOther)
	})
	callback.HandleFunc("GET /frame", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, fmt.Sprintf(`<iframe id="frame" src="%s/interaction/framed" width="800" height="600"></iframe>`, s.issuer.URL))
	})
	s.client = s.start(callback)
	// The same machine under another name is another site.
	s.client.URL = strings.Replace(s.client.URL, "127.0.0.1", "localhost", 1)

	home := http.NewServeMux()
	home.HandleFunc("GET /home", func(w http.ResponseWriter, r *http.Request) { answer(w, "home: "+r.URL.RawQuery) })
	s.elsewhere = s.start(home)
	s.redirectURI = s.client.URL + "/callback"
	return s
}

func (s *site) start(handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	s.t.Cleanup(server.Close)
	return server
}

// answer is a page of the client.
func answer(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, `<!DOCTYPE html><html lang="en"><title>Client</title><link rel="icon" href="data:,"><body>`+text)
}

func (s *site) address(handle string) string { return s.issuer.URL + "/interaction/" + handle }

func (s *site) interact(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	handle := r.PathValue("handle")
	if s.states[handle] == nil {
		s.states[handle] = &state{}
	}
	current := s.states[handle]
	in := newInteraction()
	in.FormToken = "token-of-" + handle
	in.SignedIn, in.SignInFailures = current.signedIn, current.failures
	_, in.Client.RedirectHost, _ = strings.Cut(s.redirectURI, "://")
	in.Client.RedirectHost, _, _ = strings.Cut(in.Client.RedirectHost, "/")
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("form_token") != in.FormToken {
			s.t.Errorf("a form without its token: %v, %v", r.PostForm, err)
			return
		}
		in.Form = r.PostForm
	}
	s.forms.Interact(w, r, in, siteActions{s, current})
}

// siteActions answers as package authorize does: 303 to the same page, or to the client.
type siteActions struct {
	site  *site
	state *state
}

func (e siteActions) SignIn(w http.ResponseWriter, r *http.Request, a browser.Authentication) {
	e.state.signedIn = &browser.SignedIn{Subject: a.Subject, Username: strings.TrimPrefix(a.Subject, "sub-")}
	http.Redirect(w, r, e.site.issuer.URL+r.URL.Path, http.StatusSeeOther)
}

func (e siteActions) SignInThrottled(context.Context, browser.Problem) {}

func (e siteActions) ConsentShown(context.Context) error { return nil }

func (e siteActions) SignInFailed(context.Context, browser.Problem) (int, error) {
	e.state.failures++
	return e.state.failures, nil
}

func (e siteActions) SignInWithPasskey(http.ResponseWriter, *http.Request) error {
	return browser.ErrPasskeyRefused // this site has none
}

func (e siteActions) Allow(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, e.site.redirectURI+"?code=the-code", http.StatusSeeOther)
}

func (e siteActions) Leave(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, e.site.redirectURI+"?error=temporarily_unavailable", http.StatusSeeOther)
}

func (e siteActions) HandOff(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "nothing is handed off here", http.StatusInternalServerError)
}

func (e siteActions) Deny(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, e.site.redirectURI+"?error=access_denied", http.StatusSeeOther)
}

func (s *site) open() *browsertest.Browser {
	s.t.Helper()
	return browsertest.Open(s.t, s.issuer.Certificate())
}

func TestBrowserSignInAndAllow(t *testing.T) {
	s := newSite(t)
	b := s.open()
	b.Visit(s.address("one"))
	if title := b.Title(); title != "Sign in – Countersign" {
		t.Errorf("the title is %q", title)
	}
	b.AwaitFocus("username")
	b.CheckAccessibility()

	b.SignIn("alice", "wrong")
	if text := b.Text("[role=alert]"); !strings.Contains(text, "do not belong together") {
		t.Errorf("the alert says %q", text)
	}
	if title := b.Title(); title != "Problem: Sign in – Countersign" {
		t.Errorf("the title is %q", title)
	}
	b.AwaitFocus("password")
	if username := b.Value("#username"); username != "alice" {
		t.Errorf("the user name is %q after a wrong password", username)
	}
	if password := b.Value("#password"); password != "" {
		t.Errorf("the password came back: %q", password)
	}
	b.CheckAccessibility()
	for _, name := range []string{"User name", "Password"} {
		field := find(t, b, "textbox", name)
		if field.Properties["invalid"] != "true" || !strings.Contains(field.Description, "do not belong together") {
			t.Errorf("a screen reader is told of %s: %+v", name, field)
		}
	}

	b.SignIn("alice", "right")
	if heading := b.Text("h1"); heading != "Allow access for Orchid Payments?" {
		t.Fatalf("the heading is %q", heading)
	}
	text := b.Text("main")
	host := strings.TrimPrefix(s.client.URL, "https://")
	for _, want := range []string{"Orchid Payments", "orchid.example", "alice", "See your accounts and their balances", "Until 27 February 2027, which is 90 days", host} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	b.CheckAccessibility()
	b.Click("#allow")
	if got, want := b.Location(), s.redirectURI+"?code=the-code"; got != want {
		t.Errorf("ended at %s, want %s", got, want)
	}
	b.Done()
}

func find(t *testing.T, b *browsertest.Browser, role, name string) browsertest.Node {
	t.Helper()
	for _, node := range b.AccessibilityTree() {
		if node.Role == role && node.Name == name {
			return node
		}
	}
	t.Fatalf("a screen reader finds no %s with the name %q", role, name)
	return browsertest.Node{}
}

func TestBrowserRefusals(t *testing.T) {
	s := newSite(t)
	b := s.open()
	b.Look(390, 844, false)
	denied := s.redirectURI + "?error=access_denied"

	b.Visit(s.address("cancel"))
	b.Click("#cancel") // with empty fields
	if got := b.Location(); got != denied {
		t.Errorf("cancel ended at %s", got)
	}

	b.Visit(s.address("deny"))
	b.SignIn("alice", "right")
	b.Click("#deny")
	if got := b.Location(); got != denied {
		t.Errorf("deny ended at %s", got)
	}

	b.Visit(s.address("guess"))
	for range authorize.MaxSignInFailures {
		b.SignIn("alice", "wrong")
	}
	if got := b.Location(); got != denied {
		t.Errorf("guessing ended at %s", got)
	}
	b.Done()
}

func TestBrowserSwitchPerson(t *testing.T) {
	s := newSite(t)
	b := s.open()
	b.Look(390, 844, false)
	b.Visit(s.address("switch"))
	b.SignIn("alice", "right")
	b.Click("#switch")
	if text := b.Text("main"); !strings.Contains(text, "You are signed in as alice.") {
		t.Errorf("the page says %q", text)
	}
	b.CheckAccessibility()
	b.Click("main .lead a") // back without signing in
	if who := b.Text(".who bdi"); who != "alice" {
		t.Errorf("signed in as %q", who)
	}
	b.Click("#switch")
	b.SignIn("bob", "right")
	if who := b.Text(".who bdi"); who != "bob" {
		t.Errorf("signed in as %q", who)
	}
	b.Done()
}

// TestBrowserKeyboard goes the whole way without a pointer.
func TestBrowserKeyboard(t *testing.T) {
	s := newSite(t)
	b := s.open()
	b.Visit(s.address("keys"))
	b.AwaitFocus("username")
	b.Press("alice")
	b.Press(kb.Tab)
	b.Press("wrong")
	b.PressAndFollow(kb.Enter) // in a field, Enter means the first button
	b.AwaitFocus("password")
	b.Press("right")
	var path []string
	for range 2 {
		b.Press(kb.Tab)
		path = append(path, b.Focused())
	}
	if !slices.Equal(path, []string{"sign-in", "cancel"}) {
		t.Errorf("Tab leads to %v", path)
	}
	b.PressAndFollow(kb.Enter) // on Cancel
	if got, want := b.Location(), s.redirectURI+"?error=access_denied"; got != want {
		t.Errorf("cancel by key ended at %s", got)
	}

	b.Visit(s.address("keys"))
	b.AwaitFocus("username")
	b.Press("alice" + kb.Tab + "right")
	b.PressAndFollow(kb.Enter)
	path = nil
	for focused := ""; focused != "allow" && len(path) < 20; {
		b.Press(kb.Tab)
		focused = b.Focused()
		path = append(path, focused)
	}
	if want := []string{"A", "SUMMARY", "switch", "account", "A", "A", "A", "allow"}; !slices.Equal(path, want) {
		t.Errorf("Tab leads to %v, want %v", path, want)
	}
	b.PressAndFollow(" ")
	if got, want := b.Location(), s.redirectURI+"?code=the-code"; got != want {
		t.Errorf("allow by key ended at %s", got)
	}
	b.Done()
}

// TestBrowserRedirects: form-action of the policy must not stop a browser on its way to the client, nor on the way
// that the client sends it.
func TestBrowserRedirects(t *testing.T) {
	s := newSite(t)
	plain := httptest.NewServer(s.client.Config.Handler)
	t.Cleanup(plain.Close)
	for name, test := range map[string]struct{ redirectURI, want string }{
		"the client sends on to another host": {s.client.URL + "/onward", s.elsewhere.URL + "/home?code=the-code"},
		"a native app on loopback":            {plain.URL + "/callback", plain.URL + "/callback?code=the-code"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t, s.redirectURI = t, test.redirectURI
			b := s.open()
			b.Visit(s.address(t.Name()[len("TestBrowserRedirects/"):]))
			b.SignIn("alice", "right")
			b.Click("#allow")
			if got := b.Location(); got != test.want {
				t.Errorf("ended at %s, want %s", got, test.want)
			}
			b.Done()
		})
	}
}

// TestBrowserFrame: no other site can show a page of ours in a frame (RFC 9700 §4.16).
func TestBrowserFrame(t *testing.T) {
	s := newSite(t)
	b := s.open()
	b.Visit(s.client.URL + "/frame")
	complaints := strings.Join(b.Complaints(), "\n")
	if !strings.Contains(complaints, "frame-ancestors") && !strings.Contains(complaints, "X-Frame-Options") {
		t.Errorf("the frame was not refused; complaints: %q", complaints)
	}
}

// TestBrowserHostileTexts: texts without end do not move the buttons away or make the page scroll to the side.
func TestBrowserHostileTexts(t *testing.T) {
	s := newSite(t)
	b := s.open()
	for _, width := range []int64{320, 390, 1280} {
		b.Look(width, 844, false)
		b.Visit(s.issuer.URL + "/hostile")
		b.CheckAccessibility()
	}
	b.Done()
}

// TestScreenshots draws the pages that the documentation shows. COUNTERSIGN_SCREENSHOTS names the directory to write
// them to.
func TestScreenshots(t *testing.T) {
	s := newSite(t)
	s.redirectURI = "https://app.orchid.example/callback" // shown, never gone to
	b := s.open()
	for _, look := range []struct {
		name          string
		width, height int64
		dark          bool
	}{{"390", 390, 844, false}, {"390-dark", 390, 844, true}, {"1280", 1280, 900, false}, {"1280-dark", 1280, 900, true}} {
		b.Look(look.width, look.height, look.dark)
		b.Visit(s.address("screenshot-" + look.name))
		save(t, "sign-in-"+look.name, b.Screenshot())
		b.SignIn("alice", "wrong")
		b.CheckAccessibility()
		if !look.dark {
			save(t, "sign-in-problem-"+look.name, b.Screenshot())
		}
		b.SignIn("alice", "right")
		save(t, "consent-"+look.name, b.Screenshot())
		b.Done()
		b.Visit(s.issuer.URL + "/payment")
		b.CheckAccessibility()
		save(t, "consent-payment-"+look.name, b.Screenshot())
		b.Visit(s.issuer.URL + "/failure")
		b.CheckAccessibility()
		if !look.dark {
			save(t, "error-"+look.name, b.Screenshot())
		}
		// Chromium notes the page's own status 404 in the console; nothing else may be there.
		for _, complaint := range b.Complaints() {
			if !strings.Contains(complaint, "404") {
				t.Errorf("the browser complains: %s", complaint)
			}
		}
	}
}

// save writes a screenshot.
func save(t *testing.T, name string, png []byte) {
	t.Helper()
	directory := os.Getenv("COUNTERSIGN_SCREENSHOTS")
	if directory == "" {
		directory = t.TempDir()
	}
	if err := os.WriteFile(filepath.Join(directory, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
