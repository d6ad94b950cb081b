package registration_test

import (
	"net/http"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/store"
)

// Covers: LX-04. What a directory says again counts from then on: a node that read its list before, and comes late, takes nothing back.
func TestLX04SaidAgain(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.CDR, "au-cdr")
	r := e.register(e.applicant, e.signedRequest(with(map[string]any{"scope": "openid bank:accounts.basic:read"})))
	c := e.registered(r)
	first := e.Clock.Now()
	e.directory.SetSoftwareStatus(application, "INACTIVE")
	for range 2 {
		e.Clock.Advance(refresh)
		e.Server.RefreshDirectories(t.Context())
	}
	put := func(at time.Time) bool {
		t.Helper()
		changed, err := e.Store.PutStanding(t.Context(), store.Standing{ClientID: c.ID, At: at})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	t.Run("refuses to restore it by a list from between", func(t *testing.T) {
		if put(first.Add(refresh + time.Second)) {
			t.Error("restored")
		}
		if r := c.ClientCredentials(nil); r.Status == http.StatusOK {
			t.Errorf("served: %s", r.Raw)
		}
	})
	t.Run("accepts a newer list", func(t *testing.T) {
		if !put(e.Clock.Now().Add(time.Second)) {
			t.Error("not restored")
		}
	})
}

// Covers: LX-06. A client that deletes its registration ends its consents itself, and its bank is told so.
func TestLX06DeletesItself(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithConsents, fapitest.WithRegistration, fapitest.Offering("fapi2-security"))
	key := fapitest.NewKey(t, jose.ES256)
	m := manages(w.Applicant(nil), w.InitialToken("Bank", 10), fapitest.RegistrationRequest(key, nil))
	c := played(w, m.read(), key)
	lodged := w.Lodge(c)
	if r := m.delete(); r.Status != http.StatusNoContent {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	found, err := consent.Own{Store: w.Store}.Read(t.Context(), c.ID, lodged.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts that it was the client", func(t *testing.T) {
		if found.Status != store.ConsentRejected || found.EndedBy != store.EndedByClient {
			t.Errorf("%s by %q", found.Status, found.EndedBy)
		}
	})
}
