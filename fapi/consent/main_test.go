package consent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/fapi/rar"
	"countersign/fapi/rar/ready"
	"countersign/fapi/scope"
	"countersign/internal/jose"
	"countersign/store"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// kind is that of the consents of the tests.
const kind = "account-access"

// withConsents offers two presets: one names a consent by a claim, the other by a scope.
func withConsents(c *fapitest.Config) {
	c.Profiles = []string{"uk-openbanking/fapi2-security", "brazil-openfinance/fapi2-security", "fapi2-security"}
	c.Scopes = append(c.Scopes, scope.Scope{Name: "consents", Description: "Create consents"})
	c.Consents.Types = []rar.Type{{Type: kind, Schema: schema("uk-accounts", kind)}}
}

func schema(name, typeName string) json.RawMessage {
	raw, err := ready.Schema(name, typeName)
	if err != nil {
		panic(err)
	}
	return raw
}

// ecosystem is a world with consents and a client of each preset.
type ecosystem struct {
	*fapitest.World
	uk, brazil *fapitest.Client
	serial     int
}

func newEcosystem(t *testing.T, more ...fapitest.Option) *ecosystem {
	t.Helper()
	return ecosystemOf(fapitest.NewWorld(t, append([]fapitest.Option{withConsents}, more...)...))
}

func ecosystemOf(w *fapitest.World) *ecosystem {
	w.AddUser("sub-alice", "alice", `{"name":"Alice Example","cpf":"12345678901","cnpj":["11111111111111","22222222222222"]}`)
	w.AddUser("sub-bob", "bob", `{"name":"Bob Example","cpf":"10987654321"}`)
	return &ecosystem{World: w, uk: w.Register("uk", inUK), brazil: w.Register("brazil", inBrazil)}
}

func inUK(c *fapitest.Client, m map[string]any) {
	fapitest.CertificateBound(c, m)
	c.AtMTLS, m["profile"] = true, "uk-openbanking/fapi2-security"
	c.Scope, m["scope"] = "openid accounts", "openid accounts payments"
}

func inBrazil(c *fapitest.Client, m map[string]any) {
	fapitest.CertificateBound(c, m)
	c.AtMTLS, m["profile"] = true, "brazil-openfinance/fapi2-security"
	c.Key = fapitest.NewKey(c.World.T, jose.PS256)
	m["jwks"] = fapitest.KeySet(c.Key.PublicJWK())
	c.Scope, m["scope"] = "openid accounts", "openid accounts consents payments"
}

// lodge stores a consent of a client, as the API of its ecosystem does.
func (e *ecosystem) lodge(c *fapitest.Client, change ...func(*consent.Consent)) consent.Consent {
	e.T.Helper()
	e.serial++
	now := e.Clock.Now()
	lodged := consent.Consent{
		ID: fmt.Sprintf("urn:bank:%d", e.serial), ClientID: c.ID, Kind: kind, Scopes: []string{"accounts"},
		Content: json.RawMessage(`{"Permissions":["ReadBalances"]}`), Shown: json.RawMessage(`{"Permissions":["ReadBalances"],"type":"account-access"}`),
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	for _, each := range change {
		each(&lodged)
	}
	own := consent.Own{Store: e.Store, Notify: e.Config.Consents.Webhook != nil}
	if err := own.Lodge(e.T.Context(), lodged); err != nil {
		e.T.Fatal(err)
	}
	return lodged
}

// naming has a request name a consent, in the way of its client's ecosystem.
func (e *ecosystem) naming(c *fapitest.Client, id string) fapitest.Change {
	if c.ID == e.brazil.ID {
		return fapitest.Set("scope", c.Scope+" consent:"+id)
	}
	return fapitest.Set("claims", `{"id_token":{"openbanking_intent_id":{"essential":true,"value":`+fapitest.JSON(id)+`}}}`)
}

// now reads a consent.
func (e *ecosystem) now(id string) consent.Consent {
	e.T.Helper()
	c, err := e.Store.LodgedConsent(e.T.Context(), "", id)
	if err != nil {
		e.T.Fatal(err)
	}
	return c
}

// wantStatus demands a status of a consent.
func (e *ecosystem) wantStatus(t *testing.T, id string, want store.ConsentStatus) {
	t.Helper()
	if got := e.now(id); got.Status != want {
		t.Errorf("the consent is %s, want %s", got.Status, want)
	}
}

// end ends a consent as its client does.
func (e *ecosystem) end(id string) {
	e.T.Helper()
	if _, err := (consent.Own{Store: e.Store}).Revoke(e.T.Context(), consent.Revocation{ID: id, By: store.EndedByClient}); err != nil {
		e.T.Fatal(err)
	}
}

// open pushes a request, which must be accepted, and opens it in a browser: the parameters that come back to the client.
func (e *ecosystem) open(t *testing.T, c *fapitest.Client, b *fapitest.Browser, change fapitest.Change) url.Values {
	t.Helper()
	pushed := c.Push(change)
	if pushed.Status != http.StatusCreated {
		t.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	status, body, sentTo := b.Visit(e.AuthorizeURL(c.ID, pushed.Text("request_uri")))
	if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.RedirectURI) {
		t.Fatalf("the browser was not sent back: %d %s, %v", status, body, sentTo)
	}
	return sentTo.Query()
}
