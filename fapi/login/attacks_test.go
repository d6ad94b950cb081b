package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: KE-05. One answer counts, and the address to come back to works once.
func TestKE05Replay(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	t.Run("accepts one answer, and to come back once", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		issued := c.Redeem(wantCode(t, browser, b.done(t, handle, b.message(t, handle))), nil)
		if claims := w.VerifyType(t, issued.Text("id_token"), "JWT"); claims["sub"] != "sub-alice" {
			t.Errorf("%v", claims)
		}
	})
	t.Run("refuses a second answer, and the first one stays", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		message := b.message(t, handle)
		returnTo := b.done(t, handle, message)
		for _, second := range []fapitest.Claims{
			message, with(message, fapitest.Claims{"subject": "sub-bob"}),
			{"request_digest": message["request_digest"], "error": "access_denied"},
		} {
			refused(t, b.answer(handle, second), http.StatusConflict, "answered already")
		}
		refused(t, b.read(handle), http.StatusConflict, "answered already")
		issued := c.Redeem(wantCode(t, browser, returnTo), nil)
		if claims := w.VerifyType(t, issued.Text("id_token"), "JWT"); claims["sub"] != "sub-alice" {
			t.Errorf("%v", claims)
		}
	})
	t.Run("refuses to come back twice, by reload or the back button", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		returnTo := b.done(t, handle, b.message(t, handle))
		wantCode(t, browser, returnTo)
		nothingGranted(t, w, func() {
			for _, at := range []string{returnTo, returnTo, interactionOf(w, handle)} {
				wantPage(t, browser, at, http.StatusBadRequest, "answered already")
			}
		})
	})
	t.Run("refuses the old handle after the back button to the client and a new request", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		message := b.message(t, handle)
		other := arrive(t, c, browser, fapitest.Set("state", "state-2"))
		refused(t, b.answer(other, message), http.StatusBadRequest, "request_digest")
		wantCode(t, browser, b.done(t, other, b.message(t, other)))
	})
}

// Covers: KE-06. The address to come back to works in the browser that began, and in no other: who sends the victim to the
// login with a handle of his own gets nothing, nor does who steals the address.
func TestKE06AnotherBrowser(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	t.Run("accepts the browser that began", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		issued := c.Redeem(wantCode(t, browser, b.done(t, handle, b.message(t, handle))), nil)
		if claims := w.VerifyType(t, issued.Text("id_token"), "JWT"); claims["sub"] != "sub-alice" {
			t.Errorf("%v", claims)
		}
	})
	t.Run("refuses a handle that was begun elsewhere (session fixation)", func(t *testing.T) {
		attacker, victim := w.Browser(), w.Browser()
		handle := arrive(t, c, attacker, nil)
		arrive(t, c, victim, nil) // has cookies of its own
		returnTo := b.done(t, handle, b.message(t, handle))
		nothingGranted(t, w, func() {
			wantPage(t, victim, returnTo, http.StatusNotFound, "another browser")
			wantPage(t, w.Browser(), returnTo, http.StatusBadRequest, "another browser")
		})
		wantCode(t, attacker, returnTo) // it was not used up, and whoever has it was at the login
	})
	t.Run("refuses the attacker to go on without the address that the victim has", func(t *testing.T) {
		attacker := w.Browser()
		handle := arrive(t, c, attacker, nil)
		returnTo := b.done(t, handle, b.message(t, handle))
		nothingGranted(t, w, func() {
			if again := handleOf(t, attacker, interactionOf(w, handle)); again == handle {
				t.Error("the answered handle again")
			}
			at := strings.LastIndex(returnTo, "/")
			for _, guess := range []string{"x", strings.Repeat("A", 43), returnTo[at+2:], returnTo[at+1:] + "A", handle} {
				wantPage(t, attacker, returnTo[:at+1]+url.PathEscape(guess), http.StatusNotFound, "")
			}
		})
	})
	t.Run("refuses the address of another interaction of the same browser (two tabs)", func(t *testing.T) {
		browser := w.Browser()
		one, two := arrive(t, c, browser, nil), arrive(t, c, browser, fapitest.Set("scope", "openid payments"))
		returnOne, returnTwo := b.done(t, one, b.message(t, one)), b.done(t, two, b.message(t, two))
		swapped := interactionOf(w, two) + "/return/" + returnOne[strings.LastIndex(returnOne, "/")+1:]
		nothingGranted(t, w, func() { wantPage(t, browser, swapped, http.StatusNotFound, "") })
		for returnTo, scope := range map[string]string{returnOne: "accounts", returnTwo: "payments"} {
			issued := c.Redeem(wantCode(t, browser, returnTo), nil)
			if !strings.Contains(issued.Text("scope"), scope) {
				t.Errorf("%s, want %s", issued.Raw, scope)
			}
		}
	})
	t.Run("refuses HEAD to come back", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		returnTo := b.done(t, handle, b.message(t, handle))
		nothingGranted(t, w, func() {
			response, err := browser.HTTP.Head(returnTo)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatal(response, err)
			}
			_ = response.Body.Close()
		})
		wantCode(t, browser, returnTo)
	})
}

// Covers: KE-09. A login that does not answer, or whose browser does not come back in time, leaves nobody waiting.
func TestKE09NoAnswer(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	t.Run("refuses a late answer, and the client is told once the browser is back", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		message := b.message(t, handle)
		w.Clock.Advance(5 * time.Minute)
		refused(t, b.read(handle), http.StatusGone, "start again")
		refused(t, b.answer(handle, message), http.StatusGone, "start again")
		wantError(t, browser, interactionOf(w, handle), "access_denied")
		wantPage(t, browser, interactionOf(w, handle), http.StatusBadRequest, "answered already")
	})
	t.Run("accepts an answer at the last moment", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		w.Clock.Advance(5*time.Minute - time.Second)
		wantCode(t, browser, b.done(t, handle, b.message(t, handle)))
	})
	t.Run("refuses a browser that comes back too late, and the client is told", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		returnTo := b.done(t, handle, b.message(t, handle))
		w.Clock.Advance(time.Minute)
		wantError(t, browser, returnTo, "access_denied")
	})
	t.Run("refuses with a page once the interaction is over", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		w.Clock.Advance(10 * time.Minute)
		wantPage(t, browser, interactionOf(w, handle), http.StatusBadRequest, "took too long")
		refused(t, b.read(handle), http.StatusGone, "start again")
	})
	t.Run("refuses to hand off without end", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		for range 7 {
			b.done(t, handle, b.message(t, handle))
			handle = handleOf(t, browser, interactionOf(w, handle))
		}
		b.done(t, handle, b.message(t, handle))
		wantError(t, browser, interactionOf(w, handle), "access_denied")
	})
}

// Covers: KE-10. Nobody but the login reads and answers.
func TestKE10Forged(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	browser := w.Browser()
	handle := arrive(t, c, browser, nil)
	message := b.message(t, handle)
	self := fapitest.Authority{}.Issue(t, "the-login", w.Clock.Now())
	forger := &fapitest.Client{World: w, Certificate: &self}
	forger.HTTP = w.Transport(forger)
	nobody := &fapitest.Client{World: w}
	nobody.HTTP = w.Transport(nobody)
	for name, from := range map[string]struct {
		caller *fapitest.Client
		base   string
	}{
		"another certificate":                  {withCertificate(t, w, "client-1"), w.MTLSIssuer},
		"a certificate of its own name":        {forger, w.MTLSIssuer},
		"no certificate":                       {nobody, w.MTLSIssuer},
		"the listener without certificates":    {b.caller, w.Issuer},
		"a client that is no login":            {c, w.Issuer},
		"no certificate and a bearer token of": {nobody, w.Issuer},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				r := from.caller.SendJSON(method, from.base+path(handle), "token", message, nil)
				refused(t, r, http.StatusUnauthorized, "certificate")
			}
		})
	}
	t.Run("refuses a handle that nobody was given", func(t *testing.T) {
		of, rest, _ := strings.Cut(handle, ".")
		for _, wrong := range []string{"x", of, of + ".", rest, of + "." + strings.Repeat("A", 43), handle + "A", handle + "." + rest} {
			refused(t, b.read(wrong), http.StatusNotFound, "no interaction has this handle")
			refused(t, b.answer(wrong, message), http.StatusNotFound, "no interaction has this handle")
		}
	})
	t.Run("refuses other methods", func(t *testing.T) {
		refused(t, b.caller.SendJSON(http.MethodPut, w.MTLSIssuer+path(handle), "", message, nil), http.StatusMethodNotAllowed, "GET, POST")
	})
	t.Run("accepts the login", func(t *testing.T) { wantCode(t, browser, b.done(t, handle, message)) })
}

// Covers: KE-11. What is asked for may change while the user is at the login: then nothing is granted that was not shown.
func TestKE11Changed(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	t.Run("accepts an answer while nothing has changed", func(t *testing.T) {
		c, browser := everybody(w, "client-0"), w.Browser()
		handle := arrive(t, c, browser, nil)
		wantCode(t, browser, b.done(t, handle, b.message(t, handle)))
	})
	t.Run("refuses an answer to what was shown before, and accepts one to what is asked now", func(t *testing.T) {
		c, browser := everybody(w, "client-1"), w.Browser()
		handle := arrive(t, c, browser, nil)
		message := b.message(t, handle)
		w.ChangeMember(c, "client_name", "Another name")
		refused(t, b.answer(handle, message), http.StatusBadRequest, "read it again")
		wantCode(t, browser, b.done(t, handle, b.message(t, handle)))
	})
	t.Run("refuses to grant what changed after the answer: the user is asked again", func(t *testing.T) {
		c, browser := everybody(w, "client-2"), w.Browser()
		handle := arrive(t, c, browser, nil)
		returnTo := b.done(t, handle, b.message(t, handle))
		w.ChangeMember(c, "client_name", "Another name")
		nothingGranted(t, w, func() { handle = handleOf(t, browser, returnTo) })
		wantCode(t, browser, b.done(t, handle, b.message(t, handle)))
	})
	t.Run("refuses what the client may not ask for any more", func(t *testing.T) {
		c, browser := everybody(w, "client-3"), w.Browser()
		handle := arrive(t, c, browser, nil)
		message := b.message(t, handle)
		w.ChangeMember(c, "scope", "openid")
		refused(t, b.read(handle), http.StatusConflict, "may not ask for this any more")
		refused(t, b.answer(handle, message), http.StatusConflict, "may not ask for this any more")
		wantError(t, browser, interactionOf(w, handle), "invalid_scope")
	})
	t.Run("refuses a client that is gone", func(t *testing.T) {
		c, browser := everybody(w, "client-4"), w.Browser()
		handle := arrive(t, c, browser, nil)
		message := b.message(t, handle)
		returnTo := b.done(t, handle, message)
		if err := w.Store.DeleteClient(t.Context(), c.ID, "operator"); err != nil {
			t.Fatal(err)
		}
		nothingGranted(t, w, func() { wantPage(t, browser, returnTo, http.StatusUnauthorized, "no longer registered") })
	})
	t.Run("refuses a user who was disabled after the answer", func(t *testing.T) {
		c, browser := everybody(w, "client-5"), w.Browser()
		handle := arrive(t, c, browser, nil)
		returnTo := b.done(t, handle, b.message(t, handle))
		w.Disable("sub-alice", true)
		nothingGranted(t, w, func() { wantError(t, browser, returnTo, "access_denied") })
	})
}

// Covers: KE-12. Where the login signs users in and asks them, no form of the server does, whoever sends one.
func TestKE12OneDoor(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c, browser := everybody(w, "client-1"), w.Browser()
	handle := arrive(t, c, browser, nil)
	for _, action := range []string{"sign-in", "passkey", "switch", "allow", "deny", "cancel", ""} {
		t.Run("refuses the form "+action, func(t *testing.T) {
			nothingGranted(t, w, func() {
				request, err := http.NewRequest(http.MethodPost, interactionOf(w, handle),
					strings.NewReader(url.Values{"action": {action}, "username": {"alice"}, "password": {"password"}}.Encode()))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				request.Header.Set("Origin", w.Issuer)
				response, err := browser.HTTP.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusForbidden { // there was no page that could have had its token
					t.Errorf("answered %d, to %s", response.StatusCode, response.Header.Get("Location"))
				}
			})
		})
	}
	t.Run("accepts the login", func(t *testing.T) { wantCode(t, browser, b.done(t, handle, b.message(t, handle))) })
}
