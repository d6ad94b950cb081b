package backchannel_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
)

// TestBackchannel goes the whole way, with clients of each profile: asked, pending, allowed, fetched, used, refreshed.
func TestBackchannel(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	for name, one := range map[string]struct {
		register func(*fapitest.Client, map[string]any)
		signed   bool
	}{
		"fapi2 dpop":        {fapitest.CIBAPoll, false},
		"fapi2 certificate": {fapitest.All(fapitest.TLSClientAuth, fapitest.CIBAPoll), false},
		"message signing":   {fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.CIBAPoll), true},
		"advanced":          {fapitest.CIBAAdvanced, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.Register("client "+name, one.register)
			send := func() fapitest.Reply { return c.Backchannel(nil) }
			if one.signed {
				send = func() fapitest.Reply { return c.BackchannelSigned(nil) }
			}
			r := send()
			id := r.Text("auth_req_id")
			if r.Status != http.StatusOK || len(id) != 43 || r.Body["expires_in"] != 120.0 || r.Body["interval"] != 5.0 || r.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("answered %d %s", r.Status, r.Raw)
			}
			fapitest.WantError(t, c.Poll(id, nil), 400, "authorization_pending")
			w.Decide(id, true)
			r = c.Poll(id, nil)
			fapitest.WantOK(t, r)
			sub, acr := fapitest.UnverifiedClaims(t, r.Text("id_token"))["sub"], fapitest.UnverifiedClaims(t, r.Text("id_token"))["acr"]
			if sub != "sub-alice" || acr != fapitest.ACRKey || r.Text("refresh_token") == "" {
				t.Errorf("got %s", r.Raw)
			}
			fapitest.WantOK(t, c.Get("/accounts", r.Text("access_token"), nil))
			fapitest.WantOK(t, c.Refresh(r.Text("refresh_token"), nil))
			fapitest.WantError(t, c.Poll(id, nil), 400, "invalid_grant")
			fapitest.WantOK(t, c.Get("/accounts", r.Text("access_token"), nil)) // nothing was revoked
		})
	}
}

// TestBackchannelDenied: a refusal is final, and an expired request is told apart from an unknown one.
func TestBackchannelDenied(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c := w.Register("client-1", fapitest.CIBAPoll)
	denied, late := c.AuthReqID(nil), c.AuthReqID(fapitest.Set("requested_expiry", "10"))
	w.Decide(denied, false)
	fapitest.WantError(t, c.Poll(denied, nil), 400, "access_denied")
	if err := w.Server.Backchannel().Decide(t.Context(), w.ByAlice(denied, true)); !errors.Is(err, backchannel.ErrDecided) {
		t.Errorf("got %v", err)
	}
	w.Clock.Advance(10 * time.Second)
	if err := w.Server.Backchannel().Decide(t.Context(), w.ByAlice(late, true)); !errors.Is(err, backchannel.ErrExpired) {
		t.Errorf("got %v", err)
	}
	fapitest.WantError(t, c.Poll(late, nil), 400, "expired_token")
	w.Clock.Advance(time.Hour)
	fapitest.WantError(t, c.Poll(late, nil), 400, "expired_token")
	fapitest.WantError(t, c.Poll("unknown", nil), 400, "invalid_grant")
	fapitest.WantError(t, c.Poll("", nil), 400, "invalid_request")
}

// TestBackchannelErrorMembers: an authentication error has no members beside those of CIBA Core §13, whoever makes it; the
// correlation id is in the words.
func TestBackchannelErrorMembers(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c := w.Register("client-1", fapitest.CIBAPoll)
	for name, r := range map[string]fapitest.Reply{
		"of the request": c.Backchannel(fapitest.Set("login_hint", "")), "of the client": c.Backchannel(fapitest.Set("client_assertion", "x")), "of the form": c.Backchannel(fapitest.Set("scope", "")),
	} {
		text := r.Text("error_description")
		if r.Status < 400 || len(r.Body) != 2 || r.Text("error") == "" || !strings.HasSuffix(text, ")") || !strings.Contains(text, "(correlation id ") {
			t.Errorf("%s: %d %s", name, r.Status, r.Raw)
		}
	}
	if r := c.Poll("unknown", nil); r.Text("correlation_id") == "" || len(r.Body) != 3 {
		t.Errorf("the token endpoint's errors are as ever: %s", r.Raw)
	}
}

// TestBackchannelView: what a user is shown is what was asked, and what the token then grants.
func TestBackchannelView(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.WithBackchannelOfAllProfiles(), func(c *fapitest.Config) {
		c.AuthorizationDetailTypes = fapitest.DetailTypes()
	})
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.CIBAPoll))
	id := c.AuthReqID(func(form url.Values, _ http.Header) {
		form.Set("scope", "openid payments")
		form.Set("binding_message", "W4-K2")
		form.Set("authorization_details", "["+fapitest.ExampleDetail(t, "payment_initiation")+"]")
		form.Set("acr_values", fapitest.ACRKey+" "+fapitest.ACRPassword)
		form.Set("request_context", `{"user_agent":"x"}`)
	})
	views := pendingOf(w, "sub-alice")
	if len(views) != 1 || views[0].Message != "W4-K2" || views[0].Client.Name != "Example client-1" || len(views[0].Details) != 1 ||
		len(views[0].Scopes) != 2 || views[0].Reference != fapitest.Reference(id) || len(views[0].ACRs) != 2 || views[0].ExpiresAt.Sub(views[0].CreatedAt) != 2*time.Minute {
		t.Fatalf("shown %+v", views)
	}
	if others := pendingOf(w, "sub-bob"); len(others) != 0 {
		t.Errorf("bob is shown %+v", others)
	}
	w.Decide(id, true)
	r := c.Poll(id, nil)
	granted, _ := r.Body["authorization_details"].([]any)
	if len(granted) != 1 || !strings.Contains(r.Raw, "Merchant A") || r.Text("scope") != "openid payments" {
		t.Errorf("granted %s", r.Raw)
	}
	if left := pendingOf(w, "sub-alice"); len(left) != 0 {
		t.Errorf("still shown %+v", left)
	}
}

// TestDecideBackchannelRefused: only who is asked decides, for this request, and strongly enough.
func TestDecideBackchannelRefused(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c := w.Register("client-1", fapitest.CIBAPoll)
	strong, any, more := c.AuthReqID(fapitest.Set("acr_values", fapitest.ACRKey)), c.AuthReqID(nil), c.AuthReqID(fapitest.Set("scope", "openid accounts"))
	for name, one := range map[string]struct {
		id    string
		alter func(*backchannel.Decision)
		want  error
	}{
		"another person":    {any, func(a *backchannel.Decision) { a.Authentication.Subject = "sub-bob" }, backchannel.ErrNotFound},
		"nobody":            {any, func(a *backchannel.Decision) { a.Authentication.Subject = "" }, backchannel.ErrNotFound},
		"no reference":      {any, func(a *backchannel.Decision) { a.Reference = "x" }, backchannel.ErrNotFound},
		"the auth_req_id":   {any, func(a *backchannel.Decision) { a.Reference = any }, backchannel.ErrNotFound},
		"an unknown one":    {"unknown", func(*backchannel.Decision) {}, backchannel.ErrNotFound},
		"proven before":     {any, func(a *backchannel.Decision) { a.AuthTime = a.AuthTime.Add(-time.Minute) }, backchannel.ErrStepUp},
		"proven hereafter":  {any, func(a *backchannel.Decision) { a.AuthTime = a.AuthTime.Add(time.Minute) }, backchannel.ErrStepUp},
		"not strongly":      {strong, func(a *backchannel.Decision) { a.Authentication.ACR = fapitest.ACRPassword }, backchannel.ErrStepUp},
		"nothing shown":     {any, func(a *backchannel.Decision) { a.Digest = "" }, backchannel.ErrChanged},
		"another one shown": {any, func(a *backchannel.Decision) { a.Digest = w.ByAlice(more, true).Digest }, backchannel.ErrChanged},
		"in an unknown way": {strong, func(a *backchannel.Decision) { a.Authentication.ACR = "" }, backchannel.ErrStepUp},
	} {
		t.Run(name, func(t *testing.T) {
			answer := w.ByAlice(one.id, true)
			one.alter(&answer)
			if err := w.Server.Backchannel().Decide(t.Context(), answer); !errors.Is(err, one.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	fapitest.WantError(t, c.Poll(any, nil), 400, "authorization_pending")
	answer := w.ByAlice(strong, false)
	answer.AuthTime, answer.Authentication.ACR = time.Time{}, ""
	if err := w.Server.Backchannel().Decide(t.Context(), answer); err != nil { // to deny, it is enough to be the user
		t.Error(err)
	}
	w.Decide(any, true)
	fapitest.WantOK(t, c.Poll(any, nil))
}

// TestBackchannelIsAnOffer: without it there is no endpoint, no grant and no word of it.
func TestBackchannelIsAnOffer(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	c := w.Register("client-1", nil)
	if r := c.Post("/backchannel", url.Values{"scope": {"openid"}, "login_hint": {"alice"}}, nil); r.Status != http.StatusNotFound {
		t.Errorf("answered %d %s", r.Status, r.Raw)
	}
	fapitest.WantError(t, c.Poll("x", nil), 400, "unsupported_grant_type")
	for name := range w.Document() {
		if strings.HasPrefix(name, "backchannel") && !strings.HasPrefix(name, "backchannel_logout") {
			t.Errorf("%s is advertised", name)
		}
	}
	r := w.Applicant(nil).RegisterSelf(w.InitialToken("bank", 1), fapitest.RegistrationRequest(fapitest.NewKey(t, "ES256"), func(m map[string]any) { fapitest.CIBAPoll(nil, m) }))
	fapitest.WantError(t, r, 400, "invalid_client_metadata")
}
