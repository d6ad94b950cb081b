package consents_test

import (
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: LC-67. Whichever node it comes to: a consent of another client, one that there is not and one that has ended on the other
// node are refused as the ecosystem says, and of what is refused nothing is kept or changed.
func TestLC67Strangers(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewPostgresWorld(t, nil, offer)
	there := w.Node(nil)
	codeFlow := func(c *fapitest.Client, m map[string]any) {
		c.AtMTLS, m["grant_types"] = true, []string{"authorization_code", "refresh_token", "client_credentials"}
		m["redirect_uris"], m["response_types"] = []string{c.RedirectURI}, []string{"code"}
	}
	a := register(t, w, "one", ofUK, "openid accounts", codeFlow)
	thief := register(t, w, "thief", ofUK, "openid accounts", codeFlow)
	id := a.created(uk4, ukBody, nil)
	for name, at := range map[string]func(*app) *app{
		"here":  func(of *app) *app { return of },
		"there": func(of *app) *app { return of.at(there) },
	} {
		mine, theirs := at(a), at(thief)
		t.Run("refuses another client's "+name, func(t *testing.T) {
			theirs.want(theirs.call("GET", below(uk4, id), "", nil), 403, "")
			theirs.want(theirs.call("DELETE", below(uk4, id), "", nil), 403, "")
			fapitest.WantError(t, theirs.Push(fapitest.NamingByClaim(id)), 400, "invalid_request")
		})
		t.Run("refuses one that there is not "+name, func(t *testing.T) {
			fapitest.WantError(t, mine.Push(fapitest.NamingByClaim(id+"0")), 400, "invalid_request")
		})
		t.Run("refuses to keep what is malformed "+name, func(t *testing.T) {
			if r := mine.call("POST", uk4, strings.Replace(ukBody, "Permissions", "Permission", 1), nil); r.Status != 400 {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
		t.Run("accepts the client's own "+name+", as it was", func(t *testing.T) {
			r := mine.call("GET", below(uk4, id), "", nil)
			if r.Status != 200 || member(r.Body, "Data.Status") != "AWAU" {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
			if r := mine.Push(fapitest.NamingByClaim(id)); r.Status != 201 {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
	}
	for client, want := range map[string]int{"one": 1, "thief": 0} {
		lodged, err := w.Store.ListLodgedConsents(t.Context(), store.ConsentFilter{ClientID: client}, store.Page{Limit: 100})
		if err != nil || len(lodged) != want {
			t.Errorf("%s has %d consents, %v", client, len(lodged), err)
		}
	}
	t.Run("refuses here what has ended there", func(t *testing.T) {
		if r := a.at(there).call("DELETE", below(uk4, id), "", nil); r.Status != 204 {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		fapitest.WantError(t, a.Push(fapitest.NamingByClaim(id)), 400, "invalid_request")
	})
}
