package login_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: LC-20. A login of the operator's own reads the consent that a client lodged, beside authorization_details, and decides about it
// with the rest: an answer to what has changed since, or about another user than it is for, grants nothing.
func TestLodgedConsents(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true, fapitest.WithConsents)
	w.AddUser("sub-alice", "alice", `{"cpf":"12345678901"}`)
	c := w.Register("orchid", fapitest.InUK)
	status := func(t *testing.T, id string, want store.ConsentStatus) {
		t.Helper()
		now, err := w.Store.LodgedConsent(t.Context(), c.ID, id)
		if err != nil || now.Status != want {
			t.Errorf("the consent is %s (%v), want %s", now.Status, err, want)
		}
	}
	arrived := func(t *testing.T, lodged consent.Consent) (*fapitest.Browser, string) {
		t.Helper()
		in := w.Browser()
		return in, arrive(t, c, in, fapitest.NamingByClaim(lodged.ID))
	}
	t.Run("accepts what it read and allowed", func(t *testing.T) {
		lodged := w.Lodge(c, func(c *consent.Consent) { c.Hints = map[string]string{"cpf": "12345678901"} })
		in, handle := arrived(t, lodged)
		asked := b.asked(t, handle)
		consents, _ := asked["consents"].([]any)
		if len(consents) != 1 || !strings.Contains(fapitest.JSON(consents), "ReadBalances") || len(asked["authorization_details"].([]any)) != 0 {
			t.Errorf("it read %s", fapitest.JSON(asked))
		}
		wantCode(t, in, b.done(t, handle, b.message(t, handle)))
		status(t, lodged.ID, store.ConsentAuthorised)
	})
	t.Run("accepts its denial", func(t *testing.T) {
		lodged := w.Lodge(c)
		in, handle := arrived(t, lodged)
		to := b.done(t, handle, fapitest.Claims{"request_digest": b.asked(t, handle)["request_digest"], "error": "access_denied"})
		wantError(t, in, to, "access_denied")
		status(t, lodged.ID, store.ConsentRejected)
	})
	t.Run("refuses another user than it is for", func(t *testing.T) {
		lodged := w.Lodge(c, func(c *consent.Consent) { c.Hints = map[string]string{"cpf": "00000000000"} })
		in, handle := arrived(t, lodged)
		to := b.done(t, handle, b.message(t, handle))
		wantError(t, in, to, "access_denied")
		status(t, lodged.ID, store.ConsentAwaiting)
	})
	t.Run("refuses an answer about one that ended", func(t *testing.T) {
		lodged := w.Lodge(c)
		_, handle := arrived(t, lodged)
		message := b.message(t, handle)
		if _, err := w.Store.EndConsent(t.Context(), store.ConsentEnding{ID: lodged.ID, By: store.EndedByClient}); err != nil {
			t.Fatal(err)
		}
		r := b.answer(handle, message)
		if r.Status != http.StatusConflict {
			t.Errorf("answered %d %s", r.Status, r.Raw)
		}
		status(t, lodged.ID, store.ConsentRejected)
	})
}

// Of two interactions about one consent the one that was shown it last decides: an answer about the other is not taken, and the login
// is asked once more.
func TestLodgedConsentShownLast(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true, fapitest.WithConsents)
	w.AddUser("sub-alice", "alice", `{}`)
	c := w.Register("orchid", fapitest.InUK)
	lodged := w.Lodge(c)
	first, second := w.Browser(), w.Browser()
	handle := arrive(t, c, first, fapitest.NamingByClaim(lodged.ID))
	back := b.done(t, handle, b.message(t, handle))
	later := arrive(t, c, second, fapitest.NamingByClaim(lodged.ID))
	again := handleOf(t, first, back)
	if now, err := w.Store.LodgedConsent(t.Context(), c.ID, lodged.ID); err != nil || now.Status != store.ConsentAwaiting {
		t.Fatalf("the consent is %s (%v)", now.Status, err)
	}
	if again == handle {
		t.Error("the login is asked by the handle that it has answered")
	}
	wantCode(t, first, b.done(t, again, b.message(t, again)))
	if r := b.answer(later, b.message(t, later)); r.Status != http.StatusOK {
		t.Errorf("the other one, which is shown what is authorised now: %d %s", r.Status, r.Raw)
	}
}
