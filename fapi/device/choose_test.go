package device_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
)

const (
	first  = "DE02 1001 0010 9307 1186 03"
	second = "DE19 9999 9999 0000 1234 56"
	third  = "GB33 BUKB 2020 1555 5555 55"
)

// sharer is a client that asks on the device which of three accounts it may see.
func sharer(t *testing.T) (w *fapitest.World, ask func() (authReqID, path string), accounts func(authReqID string) string) {
	t.Helper()
	w, _ = fapitest.NewDeviceWorld(t, func(c *fapitest.Config) { c.AuthorizationDetailTypes = fapitest.DetailTypes() })
	c := w.Register("sharer", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("authorization_details_types", []string{"account_information"})))
	ask = func() (string, string) {
		id := c.AuthReqID(fapitest.Changes(fapitest.Set("authorization_details", "["+fapitest.ThreeAccounts+"]"), fapitest.Set("scope", "openid")))
		return id, "/device/requests/" + fapitest.Reference(id)
	}
	return w, ask, func(authReqID string) string {
		issued := c.Poll(authReqID, nil)
		fapitest.WantOK(t, issued)
		detail := fapitest.UnverifiedClaims(t, issued.Text("access_token"))["authorization_details"].([]any)[0].(map[string]any)
		return fapitest.JSON(detail["accounts"])
	}
}

// Covers: KC-18. On the device the accounts are chosen first; what is read then, and what the passkey signs, are those alone.
func TestKC18ChosenOnTheDevice(t *testing.T) {
	t.Parallel()
	w, ask, accounts := sharer(t)
	alice := w.PasskeyOwner(t, "alice")
	chosen := []string{"choose.0./accounts.1", "1"}
	t.Run("accepts the accounts that were chosen", func(t *testing.T) {
		id, path := ask()
		on := alice.Visit(path)
		on.Has(t, http.StatusOK, first, second, third, `id="choose"`)
		if strings.Contains(on.Body, `id="approve"`) {
			t.Fatal("it can be approved before anything is chosen")
		}
		again := alice.Send(on, path, "choose", chosen...)
		again.Has(t, http.StatusOK, second, `id="approve"`, `id="choose-again"`)
		if strings.Contains(again.Body, first) || strings.Contains(again.Body, third) {
			t.Fatalf("shows what was not chosen: %s", again.Body)
		}
		again.Has(t, http.StatusOK, `name="choose.0./accounts.1" value="1"`)
		done := alice.Send(again, path, "approve", append(chosen, "passkey", alice.Passkey.Get(t, again.Options(t, "approve")))...)
		done.Has(t, http.StatusOK, "Approved", second)
		if strings.Contains(done.Body, first) {
			t.Errorf("shows what was not granted: %s", done.Body)
		}
		if got := accounts(id); got != `["DE19999999990000123456"]` {
			t.Errorf("the token has %s", got)
		}
		// When the client has taken it, the page still says what was granted.
		if taken := alice.Visit(path); !strings.Contains(taken.Body, second) || strings.Contains(taken.Body, first) {
			t.Errorf("%s", taken.Body)
		}
	})
	t.Run("refuses nothing chosen", func(t *testing.T) {
		_, path := ask()
		on := alice.Visit(path)
		alice.Send(on, path, "choose").Has(t, http.StatusOK, "Choose at least one", `id="choose"`)
		alice.Send(on, path, "approve").Has(t, http.StatusOK, "Choose at least one", `id="choose"`)
	})
	t.Run("refuses the passkey's answer for another choice", func(t *testing.T) {
		_, path := ask()
		narrow := alice.Send(alice.Visit(path), path, "choose", chosen...)
		wide := alice.Send(alice.Visit(path), path, "choose", "choose.0./accounts.0", "0", "choose.0./accounts.1", "1")
		answer := alice.Passkey.Get(t, narrow.Options(t, "approve"))
		for _, on := range []fapitest.Page{narrow, wide} {
			page := alice.Send(on, path, "approve", "choose.0./accounts.0", "0", "choose.0./accounts.1", "1", "passkey", answer)
			if !strings.Contains(page.Body, `id="approve"`) {
				t.Errorf("%d %s", page.Status, page.Body)
			}
		}
	})
	t.Run("refuses an account that was not asked for", func(t *testing.T) {
		_, path := ask()
		if page := alice.Send(alice.Visit(path), path, "choose", "choose.0./accounts.3", "3"); page.Status != http.StatusBadRequest {
			t.Errorf("%d", page.Status)
		}
	})
	t.Run("accepts to deny without choosing", func(t *testing.T) {
		_, path := ask()
		alice.Send(alice.Visit(path), path, "deny").Has(t, http.StatusOK, "Denied")
	})
}

// Covers: KC-19. An application says what was chosen in the body that its proof signs, and nothing is granted without.
func TestKC19ChosenInAnApplication(t *testing.T) {
	t.Parallel()
	w, ask, accounts := sharer(t)
	app := enrolledApp(t, w, "alice")
	read := func() (string, fapitest.Reply) {
		id, _ := ask()
		reply := app.get("/requests/" + fapitest.Reference(id))
		fapitest.WantOK(t, reply)
		return id, reply
	}
	decide := func(reply fapitest.Reply, pairs ...string) fapitest.Reply {
		form := url.Values{"acr": {browser.PasskeyACR}, "amr": {"hwk fpt"}}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return app.post(reply.Text("approve"), form)
	}
	id, reply := read()
	t.Run("accepts the list to choose from in what it reads", func(t *testing.T) {
		lines := reply.Body["authorization_details"].([]any)[0].(map[string]any)["lines"].([]any)
		line := lines[0].(map[string]any)
		if line["choose"] != "some" || line["at"] != "/accounts" || len(line["items"].([]any)) != 3 || reply.Text("request_digest") == "" {
			t.Errorf("%s", reply.Raw)
		}
	})
	t.Run("refuses to approve without a choice, and what was not offered", func(t *testing.T) {
		fapitest.WantError(t, decide(reply), 400, "invalid_request")
		fapitest.WantError(t, decide(reply, "choose.0./accounts.9", "9"), 400, "invalid_request")
	})
	t.Run("accepts what was chosen, with its digest in the audit log", func(t *testing.T) {
		var done fapitest.Reply
		events := w.NewEvidence(t, func() { done = decide(reply, "choose.0./accounts.0", "0", "choose.0./accounts.2", "2") })
		fapitest.WantOK(t, done)
		if done.Text("state") != "approved" || done.Text("request_digest") == reply.Text("request_digest") ||
			len(events) == 0 || events[len(events)-1].Detail["request_digest"] != done.Text("request_digest") {
			t.Errorf("%s, kept %+v", done.Raw, events)
		}
		if got := accounts(id); got != `["DE02100100109307118603","GB33BUKB20201555555555"]` {
			t.Errorf("the token has %s", got)
		}
	})
}
