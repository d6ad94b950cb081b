package fapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi"
)

// formInteractor is an Interactor that decides as the form says, as a page with two buttons does.
type formInteractor struct{}

func (formInteractor) Interact(w http.ResponseWriter, r *http.Request, turn *fapi.Turn) {
	switch decision := turn.Form.Get("decision"); {
	case decision == "" && turn.SignedIn == nil:
		turn.SignIn(w, r, fapi.Authentication{Subject: "sub-alice", ACR: byPassword, AMR: []string{"pwd"}})
	case decision == "allow":
		turn.Allow(w, r)
	case decision == "deny":
		turn.Deny(w, r)
	default:
		_, _ = fmt.Fprint(w, turn.FormToken)
	}
}

func (formInteractor) Fail(w http.ResponseWriter, _ *http.Request, failure fapi.Failure) {
	w.WriteHeader(failure.Status)
	_, _ = fmt.Fprintf(w, "%s: %s", failure.Code, failure.Description)
}

// press sends the form of a page with a decision and gives where the browser is sent.
func (b *browser) press(interaction, token, decision string) (int, *url.URL, error) {
	form := url.Values{"form_token": {token}, "decision": {decision}}
	response, err := noRedirects(b).Post(interaction, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
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

// Covers: ATTACK-36, ATTACK-37, RULE-24. A form that is sent many times at once, on two nodes and with both answers, is one
// decision; and nobody decides in the place of the person who signed in.
func TestAttack36DoubleSubmit(t *testing.T) {
	w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.Interactor = formInteractor{} })
	c := w.register("client-1", wide)
	n := w.node(nil)
	const rounds = 12
	allowed, denied, decided := 0, 0, 0
	for range rounds {
		b := w.browser()
		interaction, token := b.begin(t, w.authorizeURL(c.id, c.push(set("prompt", "consent")).text("request_uri")))
		press := func(at *browser, decision string) func() reply {
			return func() reply {
				status, to, err := at.press(interaction, token, decision)
				if err != nil || to == nil {
					return reply{status: status, raw: fmt.Sprint(err)}
				}
				return reply{status: status, raw: to.Query().Get("code"), body: map[string]any{"error": to.Query().Get("error")}}
			}
		}
		there := n.browser(b)
		var codes []string
		outcomes := 0
		for _, r := range atOnce(press(b, "allow"), press(there, "allow"), press(b, "deny"), press(there, "deny"), press(there, "allow"), press(b, "allow")) {
			switch {
			case r.status == http.StatusSeeOther && r.text("error") == "":
				codes, outcomes = append(codes, r.raw), outcomes+1
				allowed++
			case r.status == http.StatusSeeOther && r.text("error") == "access_denied":
				outcomes++
				denied++
			case r.status != http.StatusBadRequest:
				t.Errorf("answered %d %s", r.status, r.raw)
			}
		}
		if outcomes == 1 {
			decided++
		}
		for _, code := range codes {
			wantActive(t, c.redeem(code, nil))
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
	w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.Interactor = formInteractor{} })
	c := w.register("client-1", wide)
	at := mustURL(t, w.issuer)
	// The attacker begins, and has the victim's browser go on with the attacker's cookies (as a sibling host might, if
	// there were no __Host- prefix).
	attacker := w.browser()
	pushed := c.push(set("prompt", "consent")).text("request_uri")
	response, err := noRedirects(attacker).Get(w.authorizeURL(c.id, pushed))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	interaction := response.Header.Get("Location")
	victim := w.browser()
	victim.http.Jar.SetCookies(at, attacker.http.Jar.Cookies(at))
	page, token := victim.begin(t, interaction) // signs in
	t.Run("accepts the victim's decision in the victim's browser", func(t *testing.T) {
		other, otherToken := victim.begin(t, w.authorizeURL(c.id, c.push(set("prompt", "consent")).text("request_uri")))
		if status, to, err := victim.press(other, otherToken, "allow"); err != nil || to == nil || to.Query().Get("code") == "" {
			t.Errorf("%d, sent to %v, %v", status, to, err)
		}
	})
	t.Run("refuses the attacker the victim's sign-in", func(t *testing.T) {
		// The attacker has the address, the browser cookie and with them the form token, but not the session's cookie.
		if status, to, err := attacker.press(page, token, "allow"); err != nil || to != nil || status != http.StatusForbidden {
			t.Errorf("%d, sent to %v, %v", status, to, err)
		}
		q := url.Values{}
		if _, _, to := attacker.visit(w.authorizeURL(c.id, c.push(set("prompt", "none")).text("request_uri"))); to != nil {
			q = to.Query()
		}
		wantSent(t, q, "login_required")
	})
	t.Run("refuses the attacker a page of the victim", func(t *testing.T) {
		fresh := w.browser()
		own, ownToken := fresh.begin(t, w.authorizeURL(c.id, c.push(set("prompt", "consent")).text("request_uri")))
		for _, b := range []*browser{attacker, w.browser()} {
			for _, form := range []string{ownToken, token, ""} {
				if status, to, err := b.press(own, form, "allow"); err != nil || to != nil || status < 400 {
					t.Errorf("%d, sent to %v, %v", status, to, err)
				}
			}
		}
		if status, to, err := fresh.press(own, ownToken, "allow"); err != nil || to == nil || to.Query().Get("code") == "" {
			t.Errorf("the person itself: %d, sent to %v, %v", status, to, err)
		}
	})
}
