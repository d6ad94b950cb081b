package login_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// newConfirming starts a world in which users confirm backchannel requests in the bank's application, and a client that asks.
func newConfirming(t *testing.T) (*fapitest.World, *bank, *fapitest.Client) {
	t.Helper()
	w, b := newBank(t, true, true, fapitest.WithBackchannel(), func(c *fapitest.Config) { c.Login.Confirmations = true })
	return w, b, w.Register("asker", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("authorization_details_types", []string{"payment_initiation"})))
}

const confirmationsAt = "/login/v1/confirmations"

// confirmation reads one of alice's.
func (b *bank) confirmation(reference string) fapitest.Reply {
	b.w.T.Helper()
	return b.caller.SendJSON(http.MethodGet, b.w.MTLSIssuer+confirmationsAt+"/"+reference+"?subject=sub-alice", "", nil, nil)
}

func (b *bank) confirm(reference string, message any) fapitest.Reply {
	b.w.T.Helper()
	return b.caller.SendJSON(http.MethodPost, b.w.MTLSIssuer+confirmationsAt+"/"+reference, "", message, nil)
}

// allowed is a decision of alice about what is waiting.
func (b *bank) allowed(t *testing.T, reference string) fapitest.Claims {
	t.Helper()
	r := b.confirmation(reference)
	if r.Status != http.StatusOK || r.Text("state") != "waiting" {
		t.Fatalf("read %d %s", r.Status, r.Raw)
	}
	return fapitest.Claims{
		"request_digest": r.Text("request_digest"), "subject": "sub-alice", "decision": "allow", "acr": acrSCA, "amr": []string{"hwk", "face"},
		"auth_time": b.w.Clock.Now().Unix(),
	}
}

// Covers: KE-20. What waits for a user without a browser is read and decided by the login's backend.
func TestKE20Confirmations(t *testing.T) {
	t.Parallel()
	w, b, c := newConfirming(t)
	ask := func() string {
		return c.AuthReqID(fapitest.Changes(fapitest.Set("scope", "openid accounts"), fapitest.Set("binding_message", "W4SCT"),
			fapitest.Set("authorization_details", "["+fapitest.OnePayment+"]")))
	}
	t.Run("accepts a decision, of which the client gets the tokens", func(t *testing.T) {
		id := ask()
		reference := fapitest.Reference(id)
		list := b.caller.SendJSON(http.MethodGet, w.MTLSIssuer+confirmationsAt+"?subject=sub-alice", "", nil, nil)
		all, _ := list.Body["confirmations"].([]any)
		if list.Status != http.StatusOK || len(all) != 1 || !reflect.DeepEqual(all[0], any(b.confirmation(reference).Body)) {
			t.Fatalf("%d %s", list.Status, list.Raw)
		}
		one := all[0].(map[string]any)
		detail := one["authorization_details"].([]any)[0].(map[string]any)
		raw, _ := json.Marshal(detail["value"])
		if one["confirmation_id"] != reference || one["binding_message"] != "W4SCT" || one["state"] != "waiting" || one["expires_in"] != 120.0 ||
			one["client"].(map[string]any)["client_id"] != "asker" || len(one["scopes"].([]any)) != 2 || !strings.Contains(string(raw), "123.50") {
			t.Errorf("%v", one)
		}
		var answered fapitest.Reply
		events := w.NewEvents(t, func() { answered = b.confirm(reference, b.allowed(t, reference)) })
		if answered.Status != http.StatusOK || answered.Text("state") != "approved" || b.confirmation(reference).Text("state") != "approved" {
			t.Errorf("%d %s", answered.Status, answered.Raw)
		}
		if len(events) == 0 || events[0].Detail["event"] != "backchannel_decided" || events[0].Detail["device"] != "login" ||
			events[0].Detail["shown"] != one["request_digest"] || events[0].Detail["allowed"] != "true" || events[0].Detail["acr"] != acrSCA {
			t.Errorf("%v", events)
		}
		issued := c.Poll(id, nil)
		fapitest.WantOK(t, issued)
		if claims := fapitest.UnverifiedClaims(t, issued.Text("id_token")); claims["sub"] != "sub-alice" || claims["acr"] != acrSCA {
			t.Errorf("%v", claims)
		}
		if !strings.Contains(issued.Raw, "123.50") {
			t.Errorf("%s", issued.Raw)
		}
	})
	t.Run("accepts a denial, with how the user authenticated and without", func(t *testing.T) {
		for _, change := range []fapitest.Claims{{"decision": "deny"}, {"decision": "deny", "acr": nil, "amr": nil, "auth_time": nil}} {
			id := ask()
			reference := fapitest.Reference(id)
			if r := b.confirm(reference, with(b.allowed(t, reference), change)); r.Text("state") != "denied" {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
			fapitest.WantError(t, c.Poll(id, nil), http.StatusBadRequest, "access_denied")
		}
	})
	t.Run("accepts what the user chose, and nothing without a choice", func(t *testing.T) {
		id := c.AuthReqID(fapitest.Changes(fapitest.Set("scope", "openid"), fapitest.Set("authorization_details", "["+fapitest.TwoToPayFrom+"]")))
		reference := fapitest.Reference(id)
		message := b.allowed(t, reference)
		for _, chosen := range []any{nil, map[string]any{}, map[string]any{"choose.0./debtorAccounts": []string{"7"}}, map[string]any{"choose.1./x": []string{"0"}}} {
			nothingGranted(t, w, func() {
				refused(t, b.confirm(reference, with(message, fapitest.Claims{"chosen": chosen})), http.StatusBadRequest, "")
			})
		}
		r := b.confirm(reference, with(message, fapitest.Claims{"chosen": map[string]any{"choose.0./debtorAccounts": []string{"1"}}}))
		if r.Text("state") != "approved" {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		if issued := c.Poll(id, nil); !strings.Contains(issued.Raw, "7730") || strings.Count(issued.Raw, `"number"`) != 1 {
			t.Errorf("%s", issued.Raw)
		}
	})
	id := ask()
	reference := fapitest.Reference(id)
	message := b.allowed(t, reference)
	for name, wrong := range map[string]struct {
		change fapitest.Claims
		status int
	}{
		"another user":                     {fapitest.Claims{"subject": "sub-bob"}, http.StatusNotFound},
		"no user":                          {fapitest.Claims{"subject": nil}, http.StatusNotFound},
		"another digest":                   {fapitest.Claims{"request_digest": strings.Repeat("A", 43)}, http.StatusBadRequest},
		"another decision":                 {fapitest.Claims{"decision": "perhaps"}, http.StatusBadRequest},
		"a class that it may not claim":    {fapitest.Claims{"acr": fapitest.ACRKey}, http.StatusBadRequest},
		"no method":                        {fapitest.Claims{"amr": nil}, http.StatusBadRequest},
		"an authentication before it":      {fapitest.Claims{"auth_time": w.Clock.Now().Add(-time.Hour).Unix()}, http.StatusBadRequest},
		"no time":                          {fapitest.Claims{"auth_time": nil}, http.StatusBadRequest},
		"a denial in a class it may not":   {fapitest.Claims{"decision": "deny", "acr": "urn:bank:gold"}, http.StatusBadRequest},
		"a member that is not known":       {fapitest.Claims{"scopes": []string{"openid"}}, http.StatusBadRequest},
		"a time that is not one":           {fapitest.Claims{"auth_time": 0}, http.StatusBadRequest},
		"null in place of an absent value": {fapitest.Claims{"acr": json.RawMessage("null")}, http.StatusBadRequest},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			nothingGranted(t, w, func() { refused(t, b.confirm(reference, with(message, wrong.change)), wrong.status, "") })
		})
	}
	t.Run("refuses a second decision, and one that is late", func(t *testing.T) {
		if r := b.confirm(reference, message); r.Text("state") != "approved" {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		refused(t, b.confirm(reference, with(message, fapitest.Claims{"decision": "deny"})), http.StatusConflict, "decided already")
		late := fapitest.Reference(ask())
		decision := b.allowed(t, late)
		w.Clock.Advance(3 * time.Minute)
		refused(t, b.confirm(late, with(decision, fapitest.Claims{"auth_time": w.Clock.Now().Unix()})), http.StatusGone, "over")
		if r := b.confirmation(late); r.Text("state") != "expired" || r.Body["expires_in"] != 0.0 {
			t.Errorf("%s", r.Raw)
		}
	})
	t.Run("refuses requests that there are not, and whose nobody says", func(t *testing.T) {
		refused(t, b.confirmation("x"), http.StatusNotFound, "no such request")
		refused(t, b.confirmation(fapitest.Reference("unknown")), http.StatusNotFound, "no such request")
		for _, at := range []string{confirmationsAt, confirmationsAt + "/" + reference, confirmationsAt + "?subject="} {
			refused(t, b.caller.SendJSON(http.MethodGet, w.MTLSIssuer+at, "", nil, nil), http.StatusBadRequest, "subject is missing")
		}
	})
	t.Run("refuses everybody but the login", func(t *testing.T) {
		other := &bank{w, withCertificate(t, w, "asker")}
		refused(t, other.confirmation(reference), http.StatusUnauthorized, "certificate")
		refused(t, other.confirm(reference, message), http.StatusUnauthorized, "certificate")
		refused(t, other.caller.SendJSON(http.MethodGet, w.MTLSIssuer+confirmationsAt+"?subject=sub-alice", "", nil, nil), http.StatusUnauthorized, "certificate")
	})
}

// Covers: KE-21. Each class is of the place where it can be reached: in a browser, or on a device.
func TestKE21WhereClassesAreReached(t *testing.T) {
	t.Parallel()
	supported := func(w *fapitest.World) any { return w.Document()["acr_values_supported"] }
	t.Run("accepts the login's on a device where it has users confirm", func(t *testing.T) {
		w, b, c := newConfirming(t)
		if got := supported(w); !reflect.DeepEqual(got, []any{acrSCA, acrPassword}) {
			t.Errorf("%v", got)
		}
		id := c.AuthReqID(fapitest.Set("acr_values", acrSCA))
		reference := fapitest.Reference(id)
		message := b.allowed(t, reference)
		refused(t, b.confirm(reference, with(message, fapitest.Claims{"acr": acrPassword})), http.StatusBadRequest, "one of acr_values")
		if r := b.confirm(reference, message); r.Text("state") != "approved" {
			t.Errorf("%s", r.Raw)
		}
	})
	t.Run("refuses to be decided on the device's own pages there", func(t *testing.T) {
		for confirmations, want := range map[bool]bool{true: false, false: true} {
			w, _ := newBank(t, true, true, fapitest.WithDevices, func(c *fapitest.Config) { c.Login.Confirmations = confirmations })
			for _, at := range []string{"/device", "/device/api/requests"} {
				response, _ := w.Request(t, http.MethodGet, w.Issuer+at, nil, "")
				if served := response.StatusCode != http.StatusNotFound; served != want {
					t.Errorf("confirmations %v: %s is answered %d", confirmations, at, response.StatusCode)
				}
			}
		}
	})
	t.Run("accepts those of the pages on a device where it does not", func(t *testing.T) {
		w, _ := newBank(t, true, true, fapitest.WithBackchannel())
		if got := supported(w); !reflect.DeepEqual(got, []any{acrSCA, acrPassword, fapitest.ACRKey, fapitest.ACRPassword}) {
			t.Errorf("%v", got)
		}
		c := w.Register("asker", fapitest.CIBAPoll)
		id := c.AuthReqID(fapitest.Set("acr_values", fapitest.ACRKey))
		w.Decide(id, true)
		fapitest.WantOK(t, c.Poll(id, nil))
		response, _ := w.Request(t, http.MethodGet, w.Issuer+confirmationsAt+"?"+url.Values{"subject": {"sub-alice"}}.Encode(), nil, "")
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%d", response.StatusCode)
		}
	})
	t.Run("refuses those of the pages in a browser", func(t *testing.T) {
		w, b := newBank(t, true, true, fapitest.WithBackchannel())
		c := everybody(w, "client-1")
		handle := arrive(t, c, w.Browser(), fapitest.Set("acr_values", fapitest.ACRKey))
		refused(t, b.answer(handle, with(b.message(t, handle), fapitest.Claims{"acr": fapitest.ACRKey})), http.StatusBadRequest, "may claim")
	})
}

// A confirmation says what the request does to a grant that the user allowed before.
func TestConfirmationOfChange(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true, fapitest.WithBackchannel(), func(c *fapitest.Config) { c.Login.Confirmations = true })
	c := w.Register("asker", fapitest.All(fapitest.AllScopes, fapitest.CIBAPoll))
	asking := func(action, id, scope string) fapitest.Change {
		return fapitest.Changes(fapitest.Set("grant_management_action", action), fapitest.Set("grant_id", id), fapitest.Set("scope", scope),
			fapitest.Set("binding_message", "W4SCT"))
	}
	first := c.AuthReqID(fapitest.Changes(asking("create", "", "openid accounts"), fapitest.Unset("grant_id")))
	if r := b.confirm(fapitest.Reference(first), b.allowed(t, fapitest.Reference(first))); r.Status != http.StatusOK {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	made := c.Poll(first, nil)
	fapitest.WantOK(t, made)
	if r := b.confirmation(fapitest.Reference(first)); r.Body["grant_change"] != nil || r.Body["grant_until"] != nil {
		t.Errorf("nothing is changed: %s", r.Raw)
	}
	r := b.confirmation(fapitest.Reference(c.AuthReqID(asking("merge", made.Text("grant_id"), "openid payments"))))
	want := map[string]any{"added": []any{"Pay"}, "kept": []any{"Know who you are: a stable identifier of your account", "See your accounts"}, "ended": []any{}}
	if diff := cmp.Diff(want, r.Body["grant_change"]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
