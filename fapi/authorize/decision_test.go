package authorize_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
)

// formInteractor is an Interactor that decides as the form says, as a page with two buttons does.
type formInteractor struct{}

func (formInteractor) Interact(w http.ResponseWriter, r *http.Request, in authorize.Interaction, actions authorize.Actions) {
	switch decision := in.Form.Get("decision"); {
	case decision == "" && in.SignedIn == nil:
		actions.SignIn(w, r, browser.Authentication{Subject: "sub-alice", ACR: fapitest.ACRPassword, AMR: []string{"pwd"}})
	case decision == "allow":
		actions.Allow(w, r)
	case decision == "deny":
		actions.Deny(w, r)
	case decision == "leave":
		actions.Leave(w, r)
	default:
		_, _ = fmt.Fprint(w, in.FormToken)
	}
}

func (formInteractor) Fail(w http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	w.WriteHeader(failure.Status)
	_, _ = fmt.Fprintf(w, "%s: %s", failure.Code, failure.Description)
}

// Covers: ATTACK-36, ATTACK-37, RULE-24. A form that is sent many times at once, on two nodes and with both answers, is one
// decision; and nobody decides in the place of the user who signed in.
func TestAttack36DoubleSubmit(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) { c.Interactor = formInteractor{} })
	c := w.Register("client-1", fapitest.AllScopes)
	n := w.Node(nil)
	const rounds = 12
	allowed, denied, decided := 0, 0, 0
	for range rounds {
		b := w.Browser()
		interaction, token := begin(t, b, w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "consent")).Text("request_uri")))
		press := func(at *fapitest.Browser, decision string) func() fapitest.Reply {
			return func() fapitest.Reply {
				status, to, err := press(at, interaction, token, decision)
				if err != nil || to == nil {
					return fapitest.Reply{Status: status, Raw: fmt.Sprint(err)}
				}
				return fapitest.Reply{Status: status, Raw: to.Query().Get("code"), Body: map[string]any{"error": to.Query().Get("error")}}
			}
		}
		there := n.Browser(b)
		var codes []string
		outcomes := 0
		for _, r := range fapitest.Concurrently(press(b, "allow"), press(there, "allow"), press(b, "deny"), press(there, "deny"), press(there, "allow"), press(b, "allow")) {
			switch {
			case r.Status == http.StatusSeeOther && r.Text("error") == "":
				codes, outcomes = append(codes, r.Raw), outcomes+1
				allowed++
			case r.Status == http.StatusSeeOther && r.Text("error") == "access_denied":
				outcomes++
				denied++
			case r.Status != http.StatusBadRequest:
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		}
		if outcomes == 1 {
			decided++
		}
		for _, code := range codes {
			fapitest.WantOK(t, c.Redeem(code, nil))
		}
	}
	t.Run("accepts one of the answers", func(t *testing.T) {
		if decided != rounds {
			t.Errorf("%d of %d requests were decided once", decided, rounds)
		}
	})
	t.Run("refuses the others", func(t *testing.T) {
		if allowed+denied != rounds {
			t.Errorf("%d allowed and %d denied of %d", allowed, denied, rounds)
		}
	})
}

// Covers: ATTACK-36, ATTACK-06. A cookie that the attacker planted before the sign-in is worth nothing after it, and the
// page of a victim cannot be finished by the attacker who knows its address.
func TestAttack36PlantedCookies(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) { c.Interactor = formInteractor{} })
	c := w.Register("client-1", fapitest.AllScopes)
	at := fapitest.MustURL(t, w.Issuer)
	// The attacker begins, and has the victim's browser go on with the attacker's cookies (as a sibling host might, if
	// there were no __Host- prefix).
	attacker := w.Browser()
	pushed := c.Push(fapitest.Set("prompt", "consent")).Text("request_uri")
	response, err := fapitest.NoRedirects(attacker).Get(w.AuthorizeURL(c.ID, pushed))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	interaction := response.Header.Get("Location")
	victim := w.Browser()
	victim.HTTP.Jar.SetCookies(at, attacker.HTTP.Jar.Cookies(at))
	page, token := begin(t, victim, interaction) // signs in
	t.Run("accepts the victim's decision in the victim's browser", func(t *testing.T) {
		other, otherToken := begin(t, victim, w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "consent")).Text("request_uri")))
		if status, to, err := press(victim, other, otherToken, "allow"); err != nil || to == nil || to.Query().Get("code") == "" {
			t.Errorf("%d, sent to %v, %v", status, to, err)
		}
	})
	t.Run("refuses the attacker the victim's sign-in", func(t *testing.T) {
		// The attacker has the address, the browser cookie and with them the form token, but not the session's cookie.
		if status, to, err := press(attacker, page, token, "allow"); err != nil || to != nil || status != http.StatusForbidden {
			t.Errorf("%d, sent to %v, %v", status, to, err)
		}
		q := url.Values{}
		if _, _, to := attacker.Visit(w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "none")).Text("request_uri"))); to != nil {
			q = to.Query()
		}
		fapitest.WantRedirectError(t, q, "login_required")
	})
	t.Run("refuses the attacker a page of the victim", func(t *testing.T) {
		fresh := w.Browser()
		own, ownToken := begin(t, fresh, w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "consent")).Text("request_uri")))
		for _, b := range []*fapitest.Browser{attacker, w.Browser()} {
			for _, form := range []string{ownToken, token, ""} {
				if status, to, err := press(b, own, form, "allow"); err != nil || to != nil || status < 400 {
					t.Errorf("%d, sent to %v, %v", status, to, err)
				}
			}
		}
		if status, to, err := press(fresh, own, ownToken, "allow"); err != nil || to == nil || to.Query().Get("code") == "" {
			t.Errorf("the user: %d, sent to %v, %v", status, to, err)
		}
	})
}

// press sends the form of a page with a decision and gives where the browser is sent.
func press(b *fapitest.Browser, interaction, token, decision string) (int, *url.URL, error) {
	form := url.Values{"form_token": {token}, "decision": {decision}}
	response, err := fapitest.NoRedirects(b).Post(interaction, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, nil, err
	}
	to, err := response.Location()
	if err != nil {
		return response.StatusCode, nil, nil // a page
	}
	return response.StatusCode, to, nil
}
