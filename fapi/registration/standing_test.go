package registration_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/fapi/scope"
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

// Covers: LX-07. A key that the directory lists as revoked signs nothing, though it is at jwks_uri still; one that it does not list does.
func TestLX07RevokedKeys(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.UK, "uk-openbanking")
	c := e.registered(e.register(e.applicant, e.signedRequest(nil)))
	revoke := func(keys ...jose.PrivateKey) {
		listed := []any{}
		for _, key := range keys {
			listed = append(listed, json.RawMessage(key.PublicJWK()))
		}
		e.software.Revoked = json.RawMessage(fapitest.JSON(map[string]any{"keys": listed}))
		e.directory.SetSoftware(e.software)
		e.Clock.Advance(6 * time.Minute)
	}
	t.Run("accepts it while another one is listed", func(t *testing.T) {
		revoke(fapitest.NewKey(t, jose.PS256))
		fapitest.WantOK(t, c.ClientCredentials(nil))
	})
	t.Run("refuses it when it is listed", func(t *testing.T) {
		revoke(e.key)
		fapitest.WantError(t, c.ClientCredentials(nil), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("refuses a registration that it signed", func(t *testing.T) {
		e.refusesSigned(t, e.signedRequest(nil), "invalid_client_metadata")
	})
}

// Covers: LX-08. A role of a participant that its list has as inactive allows no scope any more, while the others do; tokens that are
// got afterwards have none, and it comes back with the role.
func TestLX08RolesOfTheList(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.Brazil, brazil, func(c *fapitest.Config) {
		c.Scopes = append(c.Scopes, scope.Scope{Name: "payments", Description: "Pay"}, scope.Scope{Name: "consents", Description: "Create consents"})
	})
	e.software.Roles = []string{"DADOS", "PAGTO"}
	e.directory.SetSoftware(e.software)
	c := e.registered(e.applicant.RegisterSelf("", e.brazilian(func(m map[string]any) { m["scope"] = "openid consents accounts payments" })))
	set := func(statuses map[string]string) {
		e.directory.SetRoles(participant, statuses)
		e.Clock.Advance(refresh)
		e.Server.RefreshDirectories(t.Context())
		c.Certificate = e.Applicant(e.certificate(application, "OFBBR-"+participant)).Certificate // its certificate is short-lived
		c.HTTP = e.Transport(c)
	}
	ask := func(name string) fapitest.Reply {
		return c.ClientCredentials(func(form url.Values, _ http.Header) { form.Set("scope", name) })
	}
	t.Run("accepts what the statement says while the list says nothing", func(t *testing.T) { fapitest.WantOK(t, ask("payments")) })
	set(map[string]string{"DADOS": "Active", "PAGTO": "Inactive"})
	t.Run("refuses the scope of a role that is not active", func(t *testing.T) {
		fapitest.WantError(t, ask("payments"), http.StatusBadRequest, "invalid_scope")
	})
	t.Run("accepts the scope of another role, of both too", func(t *testing.T) {
		fapitest.WantOK(t, ask("consents"))
	})
	set(map[string]string{"DADOS": "Active", "PAGTO": "Active"})
	t.Run("accepts it when the role is active again", func(t *testing.T) { fapitest.WantOK(t, ask("payments")) })
}
