package fapi_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
)

// TestBackchannel goes the whole way, with clients of each profile: asked, pending, allowed, fetched, used, refreshed.
func TestBackchannel(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	for name, one := range map[string]struct {
		register func(*client, map[string]any)
		signed   bool
	}{
		"fapi2 dpop":        {asks, false},
		"fapi2 certificate": {all(withCertificate, asks), false},
		"message signing":   {all(ofProfile("fapi2-message-signing"), asks), true},
		"advanced":          {asksAdvanced, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.register("client "+name, one.register)
			send := func() reply { return c.ask(nil) }
			if one.signed {
				send = func() reply { return c.askSigned(nil) }
			}
			r := send()
			id := r.text("auth_req_id")
			if r.status != http.StatusOK || len(id) != 43 || r.body["expires_in"] != 120.0 || r.body["interval"] != 5.0 || r.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("answered %d %s", r.status, r.raw)
			}
			wantError(t, c.fetch(id, nil), 400, "authorization_pending")
			w.decide(id, true)
			r = c.fetch(id, nil)
			wantActive(t, r)
			sub, acr := claimsIn(t, r.text("id_token"))["sub"], claimsIn(t, r.text("id_token"))["acr"]
			if sub != "sub-alice" || acr != byKey || r.text("refresh_token") == "" {
				t.Errorf("got %s", r.raw)
			}
			wantActive(t, c.get("/accounts", r.text("access_token"), nil))
			wantActive(t, c.refresh(r.text("refresh_token"), nil))
			wantError(t, c.fetch(id, nil), 400, "invalid_grant")
			wantActive(t, c.get("/accounts", r.text("access_token"), nil)) // nothing was revoked
		})
	}
}

// TestBackchannelDenied: a refusal is final, and an expired request is told apart from an unknown one.
func TestBackchannelDenied(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	c := w.register("client-1", asks)
	denied, late := c.asked(nil), c.asked(set("requested_expiry", "10"))
	w.decide(denied, false)
	wantError(t, c.fetch(denied, nil), 400, "access_denied")
	if err := w.server.DecideBackchannel(t.Context(), w.byAlice(denied, true)); !errors.Is(err, fapi.ErrDecided) {
		t.Errorf("got %v", err)
	}
	w.clock.Advance(10 * time.Second)
	if err := w.server.DecideBackchannel(t.Context(), w.byAlice(late, true)); !errors.Is(err, fapi.ErrTooLate) {
		t.Errorf("got %v", err)
	}
	wantError(t, c.fetch(late, nil), 400, "expired_token")
	w.clock.Advance(time.Hour)
	wantError(t, c.fetch(late, nil), 400, "expired_token")
	wantError(t, c.fetch("unknown", nil), 400, "invalid_grant")
	wantError(t, c.fetch("", nil), 400, "invalid_request")
}

// TestBackchannelErrorMembers: an authentication error has no members beside those of CIBA Core §13, whoever makes it; the
// correlation id is in the words.
func TestBackchannelErrorMembers(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	c := w.register("client-1", asks)
	for name, r := range map[string]reply{
		"of the request": c.ask(set("login_hint", "")), "of the client": c.ask(set("client_assertion", "x")), "of the form": c.ask(set("scope", "")),
	} {
		text := r.text("error_description")
		if r.status < 400 || len(r.body) != 2 || r.text("error") == "" || !strings.HasSuffix(text, ")") || !strings.Contains(text, "(correlation id ") {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
	}
	if r := c.fetch("unknown", nil); r.text("correlation_id") == "" || len(r.body) != 3 {
		t.Errorf("the token endpoint's errors are as ever: %s", r.raw)
	}
}

// TestBackchannelView: what a person is shown is what was asked, and what the token then stands for.
func TestBackchannelView(t *testing.T) {
	w, _ := wholeWorld(t, offersBackchannel(), func(c *fapiConfig, _ *autoInteractor) { c.AuthorizationDetailTypes = detailTypes() })
	c := w.register("client-1", all(wide, asks))
	id := c.asked(func(form url.Values, _ http.Header) {
		form.Set("scope", "openid payments")
		form.Set("binding_message", "W4-K2")
		form.Set("authorization_details", "["+exampleDetail(t, "payment_initiation")+"]")
		form.Set("acr_values", byKey+" "+byPassword)
		form.Set("request_context", `{"user_agent":"x"}`)
	})
	views := w.pendingOf("sub-alice")
	if len(views) != 1 || views[0].Message != "W4-K2" || views[0].Client.Name != "Example client-1" || len(views[0].Details) != 1 ||
		len(views[0].Scopes) != 2 || views[0].Reference != fapi.BackchannelReference(id) || len(views[0].ACRs) != 2 || views[0].ExpiresAt.Sub(views[0].CreatedAt) != 2*time.Minute {
		t.Fatalf("shown %+v", views)
	}
	if others := w.pendingOf("sub-bob"); len(others) != 0 {
		t.Errorf("bob is shown %+v", others)
	}
	w.decide(id, true)
	r := c.fetch(id, nil)
	granted, _ := r.body["authorization_details"].([]any)
	if len(granted) != 1 || !strings.Contains(r.raw, "Merchant A") || r.text("scope") != "openid payments" {
		t.Errorf("granted %s", r.raw)
	}
	if left := w.pendingOf("sub-alice"); len(left) != 0 {
		t.Errorf("still shown %+v", left)
	}
}

// TestDecideBackchannelRefused: only who is asked decides, for this request, and strongly enough.
func TestDecideBackchannelRefused(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	c := w.register("client-1", asks)
	strong, any := c.asked(set("acr_values", byKey)), c.asked(nil)
	for name, one := range map[string]struct {
		id    string
		alter func(*fapi.BackchannelAnswer)
		want  error
	}{
		"another person":    {any, func(a *fapi.BackchannelAnswer) { a.Authentication.Subject = "sub-bob" }, fapi.ErrNotAsked},
		"nobody":            {any, func(a *fapi.BackchannelAnswer) { a.Authentication.Subject = "" }, fapi.ErrNotAsked},
		"no reference":      {any, func(a *fapi.BackchannelAnswer) { a.Reference = "x" }, fapi.ErrNotAsked},
		"the auth_req_id":   {any, func(a *fapi.BackchannelAnswer) { a.Reference = any }, fapi.ErrNotAsked},
		"an unknown one":    {"unknown", func(*fapi.BackchannelAnswer) {}, fapi.ErrNotAsked},
		"proven before":     {any, func(a *fapi.BackchannelAnswer) { a.AuthTime = a.AuthTime.Add(-time.Minute) }, fapi.ErrStepUp},
		"proven hereafter":  {any, func(a *fapi.BackchannelAnswer) { a.AuthTime = a.AuthTime.Add(time.Minute) }, fapi.ErrStepUp},
		"not strongly":      {strong, func(a *fapi.BackchannelAnswer) { a.Authentication.ACR = byPassword }, fapi.ErrStepUp},
		"in an unknown way": {strong, func(a *fapi.BackchannelAnswer) { a.Authentication.ACR = "" }, fapi.ErrStepUp},
	} {
		t.Run(name, func(t *testing.T) {
			answer := w.byAlice(one.id, true)
			one.alter(&answer)
			if err := w.server.DecideBackchannel(t.Context(), answer); !errors.Is(err, one.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	wantError(t, c.fetch(any, nil), 400, "authorization_pending")
	answer := w.byAlice(strong, false)
	answer.AuthTime, answer.Authentication.ACR = time.Time{}, ""
	if err := w.server.DecideBackchannel(t.Context(), answer); err != nil { // to deny, it is enough to be the person
		t.Error(err)
	}
	w.decide(any, true)
	wantActive(t, c.fetch(any, nil))
}

// TestBackchannelIsAnOffer: without it there is no endpoint, no grant and no word of it.
func TestBackchannelIsAnOffer(t *testing.T) {
	w := newWorld(t, offersRegistration)
	c := w.register("client-1", nil)
	if r := c.post("/backchannel", url.Values{"scope": {"openid"}, "login_hint": {"alice"}}, nil); r.status != http.StatusNotFound {
		t.Errorf("answered %d %s", r.status, r.raw)
	}
	wantError(t, c.fetch("x", nil), 400, "unsupported_grant_type")
	for name := range w.document() {
		if strings.HasPrefix(name, "backchannel") {
			t.Errorf("%s is advertised", name)
		}
	}
	r := w.applicant(nil).enrol(w.initialToken("bank", 1), enrolment(newKey(t, "ES256"), func(m map[string]any) { asks(nil, m) }))
	wantError(t, r, 400, "invalid_client_metadata")
}
