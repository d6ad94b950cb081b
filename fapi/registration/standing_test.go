package registration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/fapi/consent"
	"countersign/fapi/consents"
	"countersign/fapi/fapitest"
	"countersign/fapi/scope"
	"countersign/internal/jose"
	"countersign/internal/random"
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

// Covers: LX-13. An order of a payment is signed with a key that the directory publishes for the organisation, which is not one of the
// software's; one of another organisation is refused, and the organisation's does not authenticate the client.
func TestLX13OrganisationKeys(t *testing.T) {
	t.Parallel()
	organisation := fapitest.NewKey(t, jose.PS256)
	var e *ecosystem
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := map[string]jose.PrivateKey{
			"/keys/" + participant + "/" + application + "/application.jwks": e.key, "/keys/" + participant + "/application.jwks": organisation,
		}[r.URL.Path]
		w.Header().Set("Content-Type", "application/json")
		if _, err := io.WriteString(w, `{"keys":[`+string(key.PublicJWK())+`]}`); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(site.Close)
	e = newEcosystem(t, standin.Brazil, brazil, func(c *fapitest.Config) {
		c.OutboundRoots = c.OutboundRoots.Clone()
		c.OutboundRoots.AddCert(site.Certificate())
		c.Scopes = append(c.Scopes, scope.Scope{Name: "payments", Description: "Pay"})
		c.ConsentAPIs = consents.Settings{Namespace: "bank", Organisation: "9a2f8d3b-6c1e-4b57-8a90-1f2e3d4c5b6a"}
	})
	address := site.URL + "/keys/" + participant + "/" + application + "/application.jwks"
	e.software.Roles = []string{"DADOS", "PAGTO"}
	e.directory.SetSoftware(e.software)
	c := e.registered(e.applicant.RegisterSelf("", e.brazilian(func(m map[string]any) {
		m["scope"], m["jwks_uri"] = "openid payments", address
		m["software_statement"] = e.statement(with(map[string]any{"software_jwks_uri": address}))
	})))
	token := tokenFor(t, c, "payments")
	const path = "/open-banking/payments/v4/consents"
	order := func(key jose.PrivateKey) fapitest.Reply {
		t.Helper()
		claims := fapitest.Claims{}
		if err := json.Unmarshal([]byte(`{"data":{"loggedUser":{"document":{"identification":"11111111111","rel":"CPF"}},"creditor":{"personType":"PESSOA_NATURAL","cpfCnpj":"58764789000","name":"Marco"},"payment":{"type":"PIX","date":"2026-11-30","currency":"BRL","amount":"100.12","details":{"localInstrument":"DICT","proxy":"12345678901","creditorAccount":{"ispb":"12345678","number":"1234567890","accountType":"CACC"}}}}}`), &claims); err != nil {
			t.Fatal(err)
		}
		claims["iss"], claims["aud"], claims["iat"], claims["jti"] = participant, c.Base()+path, e.Clock.Now().Unix(), random.UUID()
		request, err := http.NewRequest(http.MethodPost, c.Base()+path, strings.NewReader(c.Sign(key, "JWT", claims)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{
			"Authorization": {"Bearer " + token}, "X-Fapi-Interaction-Id": {random.UUID()}, "X-Idempotency-Key": {random.UUID()}, "Content-Type": {"application/jwt"},
		}
		return c.Do(request)
	}
	t.Run("accepts one of the organisation", func(t *testing.T) {
		if r := order(organisation); r.Status != http.StatusCreated {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("accepts one of the software", func(t *testing.T) {
		if r := order(e.key); r.Status != http.StatusCreated {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses one of somebody else", func(t *testing.T) {
		if r := order(fapitest.NewKey(t, jose.PS256)); r.Status != http.StatusBadRequest || !strings.Contains(r.Raw, "BAD_SIGNATURE") {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses the organisation's to authenticate the client", func(t *testing.T) {
		other := *c
		other.Key = organisation
		fapitest.WantError(t, other.ClientCredentials(nil), http.StatusUnauthorized, "invalid_client")
	})
}
