package consent_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/store"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

const kind = fapitest.ConsentKind

// ecosystem is a world with consents and a client of each preset.
type ecosystem struct {
	*fapitest.World
	uk, brazil *fapitest.Client
}

func newEcosystem(t *testing.T, more ...fapitest.Option) *ecosystem {
	t.Helper()
	return ecosystemOf(fapitest.NewWorld(t, append([]fapitest.Option{fapitest.WithConsents}, more...)...))
}

func ecosystemOf(w *fapitest.World) *ecosystem {
	w.AddUser("sub-alice", "alice", `{"name":"Alice Example","cpf":"12345678901","cnpj":["11111111111111","22222222222222"]}`)
	w.AddUser("sub-bob", "bob", `{"name":"Bob Example","cpf":"10987654321"}`)
	return &ecosystem{World: w, uk: w.Register("uk", fapitest.InUK), brazil: w.Register("brazil", fapitest.InBrazil)}
}

// lodge stores a consent of a client.
func (e *ecosystem) lodge(c *fapitest.Client, change ...func(*consent.Consent)) consent.Consent {
	e.T.Helper()
	if c.ID != e.uk.ID { // in Brazil a consent says whose it is
		change = append([]func(*consent.Consent){func(c *consent.Consent) { c.Hints = map[string]string{"cpf": "12345678901"} }}, change...)
	}
	return e.Lodge(c, change...)
}

// naming has a request name a consent, in the way of its client's ecosystem.
func (e *ecosystem) naming(c *fapitest.Client, id string) fapitest.Change {
	if c.ID == e.brazil.ID {
		return fapitest.Set("scope", c.Scope+" consent:"+id)
	}
	return fapitest.NamingByClaim(id)
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
