package authorize_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/event"
	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	builtin "countersign/internal/pages"
	"countersign/internal/repeat"
)

// wrongOf is the refusal of a directory that says whose it is, and why.
type wrongOf struct{ subject, reason string }

func (wrongOf) Error() string        { return errRefused.Error() }
func (wrongOf) Is(target error) bool { return target == errRefused }
func (w wrongOf) Subject() string    { return w.subject }
func (w wrongOf) Reason() string     { return w.reason }

// strict is a directory.
type strict struct{}

func (strict) Authenticate(_ context.Context, a browser.Attempt) (browser.Proven, error) {
	switch {
	case a.Password == "busy":
		return browser.Proven{}, errThrottled
	case a.Username == "nobody":
		return browser.Proven{}, wrongOf{"", "no such user"}
	case a.Password != "right":
		return browser.Proven{}, wrongOf{"sub-" + a.Username, "wrong password"}
	}
	return browser.Proven{Subject: "sub-" + a.Username}, nil
}

// withPages serves the real pages over the directory.
func withPages(c *fapitest.Config) {
	fapitest.WithAuditChain(c)
	fapitest.WithDevices(c)
	shown, err := builtin.New(builtin.Config{Issuer: c.Issuer, Now: c.Now})
	if err != nil {
		panic(err)
	}
	c.Passwords = browser.Passwords{Directory: strict{}, Refused: errRefused, Throttled: errThrottled}
	if c.Interactor, err = authorize.NewForms(shown, c.Passwords, slog.New(slog.DiscardHandler)); err != nil {
		panic(err)
	}
}

// beginIn opens a new request of a client in a browser.
func beginIn(t *testing.T, w *fapitest.World, c *fapitest.Client, b *fapitest.DeviceBrowser) fapitest.Page {
	t.Helper()
	pushed := c.Push(nil)
	if pushed.Status != http.StatusCreated {
		t.Fatalf("pushed: %d %s", pushed.Status, pushed.Raw)
	}
	return b.Visit(strings.TrimPrefix(w.AuthorizeURL(c.ID, pushed.Text("request_uri")), w.Issuer))
}

// stays has a browser not go to the client, where nobody listens.
func stays(w *fapitest.World, b *fapitest.DeviceBrowser) {
	b.HTTP.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.Issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}
}

// Covers: KA-07. The consent page is in the log before it is sent, once for what it shows, with the digest that is decided on.
func TestConsentShownIsAudited(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, withPages)
	c := w.Register("client-1", nil)
	b := w.DeviceBrowser(t)
	stays(w, b)
	var consent fapitest.Page
	t.Run("accepts the page after the sign-in", func(t *testing.T) {
		on := beginIn(t, w, c, b)
		events := w.NewEvents(t, func() {
			consent = b.Send(on, on.Path, "sign-in", "username", "alice", "password", "right")
			consent.Has(t, http.StatusOK, `value="allow"`)
		})
		wantNames(t, events, event.SignedIn, event.ConsentShown)
		if got := events[1].Detail; got["subject"] != "sub-alice" || got["shown"] == "" || got["language"] != "en" || got["scope"] == "" || got["interaction"] != events[0].Detail["interaction"] {
			t.Errorf("recorded %v", got)
		}
	})
	t.Run("refuses to record it again and again", func(t *testing.T) {
		wantNames(t, w.NewEvents(t, func() {
			for range 5 {
				b.Visit(consent.Path).Has(t, http.StatusOK, `value="allow"`)
			}
		}))
	})
	t.Run("accepts what changed as another page", func(t *testing.T) {
		registered, err := w.Store.Client(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		registered.Version++
		if err := w.Store.PutClient(t.Context(), registered); err != nil {
			t.Fatal(err)
		}
		wantNames(t, w.NewEvents(t, func() { consent = b.Visit(consent.Path) }), event.ConsentShown)
	})
	t.Run("accepts the decision about what was shown last", func(t *testing.T) {
		shown := ""
		for _, e := range w.Events(t) {
			if e.Detail["event"] == event.ConsentShown {
				shown = e.Detail["shown"]
			}
		}
		events := w.NewEvents(t, func() {
			b.Send(consent, consent.Path, "allow", "signed_in_as", "sub-alice").Has(t, http.StatusSeeOther)
		})
		wantNames(t, events, event.ConsentDecided, event.GrantMade)
		if got := events[0].Detail; got["shown"] != shown || got["language"] != "en" || got["shown_at"] == "" || got["allowed"] != "true" {
			t.Errorf("recorded %v, shown was %s", got, shown)
		}
	})
}

// Covers: KA-07. A page that cannot be recorded is not shown.
func TestConsentIsNotShownUnrecorded(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, withPages, func(c *fapitest.Config) { c.Store = fapitest.FailingAudit{Store: c.Store} })
	c := w.Register("client-1", nil)
	b := w.DeviceBrowser(t)
	on := beginIn(t, w, c, b)
	t.Run("refuses the page", func(t *testing.T) {
		page := b.Send(on, on.Path, "sign-in", "username", "alice", "password", "right")
		page.Has(t, http.StatusInternalServerError)
		if strings.Contains(page.Body, `value="allow"`) {
			t.Error("the page was shown")
		}
	})
}

// Covers: KA-10. A failed sign-in has the true reason and whose it was, and never what was typed.
func TestFailedSignInsNameTheUser(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, withPages)
	c := w.Register("client-1", nil)
	for _, test := range []struct{ name, username, subject, reason string }{
		{"accepts a wrong password of a user", "alice", "sub-alice", "wrong password"},
		{"accepts a name that nobody has", "nobody", "", "no such user"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := w.DeviceBrowser(t)
			on := beginIn(t, w, c, b)
			events := w.NewEvents(t, func() {
				b.Send(on, on.Path, "sign-in", "username", test.username, "password", "typed-by-mistake").Has(t, http.StatusOK, "do not belong together")
			})
			wantNames(t, events, event.SignInFailed)
			got := events[0].Detail
			if got["subject"] != test.subject || got["reason"] != test.reason || strings.Contains(fmt.Sprint(got), "typed-by-mistake") {
				t.Errorf("recorded %v", got)
			}
		})
	}
	t.Run("refuses to call empty fields a failed sign-in", func(t *testing.T) {
		b := w.DeviceBrowser(t)
		on := beginIn(t, w, c, b)
		wantNames(t, w.NewEvents(t, func() { b.Send(on, on.Path, "sign-in", "username", "alice", "password", "") }))
	})
}

// Covers: KA-11. Sign-ins that are not looked at because there were too many are in the log, and not one by one.
func TestThrottledSignInsAreBounded(t *testing.T) {
	t.Parallel()
	var lines *repeat.Lines
	w := fapitest.NewWorld(t, withPages, func(c *fapitest.Config) {
		lines = repeat.New(repeat.Options{Now: c.Now, Period: 10 * time.Second, Kinds: 100, More: func(int) {}})
		c.Lines = lines
	})
	c := w.Register("client-1", nil)
	b := w.DeviceBrowser(t)
	on := beginIn(t, w, c, b)
	flood := func(count int) []audit.Event {
		return w.NewEvents(t, func() {
			for range count {
				b.Send(on, on.Path, "sign-in", "username", "alice", "password", "busy").Has(t, http.StatusTooManyRequests)
			}
		})
	}
	t.Run("accepts the first", func(t *testing.T) {
		events := flood(1)
		wantNames(t, events, event.SignInThrottled)
		if got := events[0].Detail; got["reason"] != string(browser.TooManyAttempts) || got["repeated"] != "" {
			t.Errorf("recorded %v", got)
		}
	})
	t.Run("refuses the rest, and counts them", func(t *testing.T) {
		wantNames(t, flood(30))
		w.Clock.Advance(10 * time.Second)
		events := w.NewEvents(t, func() { lines.Flush(false) })
		wantNames(t, events, event.SignInThrottled)
		if got := events[0].Detail; got["repeated"] != "30" {
			t.Errorf("recorded %v", got)
		}
	})
}

// Covers: KA-12. A decision on a device, the grant that it makes, failed sign-ins there, and what is refused, are in the log with the
// address.
func TestBackchannelIsAudited(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t, fapitest.WithAuditChain)
	b := w.DeviceBrowser(t)
	t.Run("accepts failed sign-ins on the device page", func(t *testing.T) {
		events := w.NewEvents(t, func() {
			b.Send(b.Visit("/device"), "/device", "sign-in", "username", "alice", "password", "wrong")
			b.Send(b.Visit("/device"), "/device", "sign-in", "username", "alice", "password", "busy")
			b.SignIn("alice")
		})
		var got []string
		for _, e := range events {
			got = append(got, e.Detail["event"]+" "+e.Detail["reason"]+" "+e.Detail["page"]+" "+e.Detail["address"])
		}
		want := []string{
			event.SignInFailed + " wrong password device 127.0.0.1", event.SignInThrottled + " too many attempts device 127.0.0.1",
			event.SignedIn + "  device 127.0.0.1",
		}
		if strings.Join(got, "; ") != strings.Join(want, "; ") {
			t.Errorf("recorded %q", got)
		}
	})
	decide := func(t *testing.T, action string, more ...string) (string, []audit.Event) {
		t.Helper()
		id := c.AuthReqID(nil)
		path := "/device/requests/" + fapitest.Reference(id)
		on := b.Visit(path)
		return id, w.NewEvents(t, func() { b.Send(on, path, action, more...) })
	}
	t.Run("accepts an approval with its grant, and the tokens", func(t *testing.T) {
		id, events := decide(t, "approve", "password", "right")
		if len(events) != 2 || events[0].Detail["event"] != event.BackchannelDecided || events[1].Detail["event"] != event.GrantMade {
			t.Fatalf("recorded %v", names(events))
		}
		decided, made := events[0].Detail, events[1].Detail
		if decided["subject"] != "sub-alice" || decided["allowed"] != "true" || decided["shown"] == "" || decided["address"] != "127.0.0.1" {
			t.Errorf("recorded %v", decided)
		}
		if made["grant"] == "" || made["subject"] != "sub-alice" || made["request"] != decided["request"] || made["address"] != "127.0.0.1" {
			t.Errorf("recorded %v", made)
		}
		w.Clock.Advance(10 * time.Second)
		issued := w.NewEvents(t, func() { fapitest.WantOK(t, c.Poll(id, nil)) })
		if len(issued) != 1 || issued[0].Detail["event"] != event.TokensIssued || issued[0].Detail["grant"] != made["grant"] {
			t.Errorf("recorded %v", issued)
		}
	})
	t.Run("accepts a denial, which makes no grant", func(t *testing.T) {
		_, events := decide(t, "deny")
		if len(events) != 1 || events[0].Detail["allowed"] != "false" {
			t.Errorf("recorded %v", events)
		}
	})
	t.Run("refuses an approval with a wrong password, and says so", func(t *testing.T) {
		_, events := decide(t, "approve", "password", "wrong")
		if len(events) != 1 || events[0].Detail["event"] != event.SignInFailed || events[0].Detail["reason"] != "wrong password" {
			t.Errorf("recorded %v", events)
		}
	})
	t.Run("refuses a decision that was made before, and records nothing", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		before := len(w.Events(t))
		if err := w.Server.Backchannel().Decide(t.Context(), w.ByAlice(id, true)); err == nil {
			t.Error("decided twice")
		}
		if after := len(w.Events(t)); after != before {
			t.Errorf("%d events more", after-before)
		}
	})
	t.Run("refuses a class that is too low, and records the step-up", func(t *testing.T) {
		id := c.AuthReqID(func(form url.Values, _ http.Header) { form.Set("acr_values", browser.PasskeyACR) })
		path := "/device/requests/" + fapitest.Reference(id)
		on := b.Visit(path)
		events := w.NewEvents(t, func() { b.Send(on, path, "approve", "password", "right").Has(t, http.StatusForbidden) })
		if len(events) != 1 || events[0].Detail["event"] != event.StepUpRequired || events[0].Detail["subject"] != "sub-alice" {
			t.Errorf("recorded %v", events)
		}
	})
}
