package fapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// Resource servers and classes of authentication of the tests.
const (
	ledgerAPI  = "https://ledger.example/api"
	paymentAPI = "urn:example:payments"

	byPassword = "urn:example:pwd"
	byKey      = "urn:example:key"
)

// detailTypes are the authorization_details of the tests.
func detailTypes() []fapi.DetailType {
	return []fapi.DetailType{
		{Type: "payment_initiation", Title: "Make one payment", Schema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"type": {"const": "payment_initiation"},
				"locations": {"type": "array", "items": {"type": "string"}},
				"actions": {"type": "array", "items": {"enum": ["initiate", "status"]}},
				"instructedAmount": {
					"type": "object",
					"properties": {"currency": {"type": "string", "minLength": 3, "maxLength": 3}, "amount": {"type": "string"}},
					"required": ["currency", "amount"], "additionalProperties": false
				},
				"creditorName": {"type": "string", "maxLength": 70}
			},
			"required": ["type", "instructedAmount", "creditorName"], "additionalProperties": false
		}`)},
		{Type: "account_information", Title: "See accounts", Schema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"type": {"const": "account_information"},
				"locations": {"type": "array", "items": {"type": "string"}},
				"actions": {"type": "array", "items": {"enum": ["list_accounts", "read_balances", "read_transactions"]}},
				"datatypes": {"type": "array", "items": {"type": "string"}}
			},
			"required": ["type", "actions"], "additionalProperties": false
		}`)},
	}
}

// wholeWorld is a server with everything turned on, and the person who sits before every browser.
func wholeWorld(t *testing.T, more ...option) (*world, *person) {
	t.Helper()
	p := &person{subject: "sub-alice", reaches: byPassword, decision: "allow"}
	w := newWorld(t, append([]option{func(c *fapiConfig, _ *autoInteractor) {
		c.Interactor = p
		c.ResourceServers = []fapi.ResourceServer{
			{Identifier: ledgerAPI, Scopes: []string{"accounts"}}, {Identifier: paymentAPI, Scopes: []string{"payments"}},
		}
		c.ACRValues = []string{byKey, byPassword}
		c.AuthorizationDetailTypes = detailTypes()
	}}, more...)...)
	w.addUser("sub-bob", "bob", `{"name":"Bob Example","email":"bob@example.com"}`)
	return w, p
}

// addUser adds or replaces a person.
func (w *world) addUser(subject, username, known string) {
	w.t.Helper()
	now := w.clock.Now()
	user := store.User{Subject: subject, Username: username, Claims: json.RawMessage(known), CreatedAt: now, UpdatedAt: now}
	if err := w.store.PutUser(context.Background(), user); err != nil {
		w.t.Fatal(err)
	}
}

// disable ends what a person may do.
func (w *world) disable(subject string, disabled bool) {
	w.t.Helper()
	user, err := w.store.User(context.Background(), subject)
	if err == nil {
		user.Disabled = disabled
		err = w.store.PutUser(context.Background(), user)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// wide lets a client ask for every scope and every type of authorization_details.
func wide(c *client, m map[string]any) {
	c.scope = "openid profile email accounts payments offline_access"
	m["scope"] = c.scope
	m["authorization_details_types"] = []string{"payment_initiation", "account_information"}
}

// all makes several changes to a registration.
func all(changes ...func(*client, map[string]any)) func(*client, map[string]any) {
	return func(c *client, m map[string]any) {
		for _, change := range changes {
			if change != nil {
				change(c, m)
			}
		}
	}
}

// machine is a client that only acts for itself.
func machine(c *client, m map[string]any) {
	c.scope = "accounts payments"
	m["scope"], m["grant_types"] = c.scope, []string{"client_credentials"}
	delete(m, "redirect_uris")
	delete(m, "response_types")
}

// resourceServer registers a resource server, which may introspect and nothing else.
func (w *world) resourceServer(id string, identifiers ...string) *client {
	w.t.Helper()
	return w.register(id, func(c *client, m map[string]any) {
		c.dpop = false
		m["resource_identifiers"], m["grant_types"] = identifiers, []string{}
		for _, name := range []string{"redirect_uris", "response_types", "dpop_bound_access_tokens", "scope"} {
			delete(m, name)
		}
	})
}

func (c *client) introspect(token string, alter change) reply {
	c.w.t.Helper()
	return c.post("/introspect", url.Values{"token": {token}}, alter)
}

func (c *client) revoke(token string, alter change) reply {
	c.w.t.Helper()
	return c.post("/revoke", url.Values{"token": {token}}, alter)
}

func (c *client) clientCredentials(alter change) reply {
	c.w.t.Helper()
	return c.post("/token", url.Values{"grant_type": {"client_credentials"}}, alter)
}

// wantInactive checks that nothing is told of a token (RFC 7662 §2.2).
func wantInactive(t *testing.T, r reply) {
	t.Helper()
	if r.status != http.StatusOK || strings.TrimSpace(r.raw) != `{"active":false}` {
		t.Fatalf("answered %d %s, want 200 and nothing but active false", r.status, r.raw)
	}
}

// through opens a pushed request in a browser and gives what comes back with it, to the client.
func (c *client) through(b *browser, alter change) url.Values {
	c.w.t.Helper()
	pushed := c.push(alter)
	if pushed.status != http.StatusCreated {
		c.w.t.Fatalf("push: %d %s", pushed.status, pushed.raw)
	}
	status, body, sentTo := b.visit(c.w.authorizeURL(c.id, pushed.text("request_uri")))
	if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.redirectURI) {
		c.w.t.Fatalf("the browser was not sent back to the client: %d %s, %v", status, body, sentTo)
	}
	return sentTo.Query()
}

// tokensFor goes through the whole flow with a changed request.
func (c *client) tokensFor(alter change) reply {
	c.w.t.Helper()
	return c.granted(c.w.browser(), alter)
}

// granted goes through the whole flow in one browser.
func (c *client) granted(b *browser, alter change) reply {
	c.w.t.Helper()
	q := c.through(b, alter)
	if q.Get("code") == "" {
		c.w.t.Fatalf("no code but %v", q)
	}
	r := c.redeem(q.Get("code"), nil)
	if r.status != http.StatusOK {
		c.w.t.Fatalf("token: %d %s", r.status, r.raw)
	}
	return r
}

// wantSent checks the error that a browser brings back to the client.
func wantSent(t *testing.T, q url.Values, code string) {
	t.Helper()
	if q.Get("error") != code || q.Has("code") || q.Get("error_description") == "" {
		t.Fatalf("the client got %v, want the error %s", q, code)
	}
}

// wantActive checks that a resource lets a token through.
func wantActive(t *testing.T, r reply) {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("answered %d %s", r.status, r.raw)
	}
}

// ownSignature signs claims with a key of the server itself, as nobody outside can. What is refused then is refused
// for what it says, and not for its signature.
func (w *world) ownSignature(alg, typ string, body claims) string {
	w.t.Helper()
	records := sharedKeys(w.t)
	i := slices.IndexFunc(records, func(r signer.Record) bool { return string(r.Algorithm) == alg })
	if i < 0 {
		w.t.Fatalf("no key for %s", alg)
	}
	key := jose.SigningKey{ID: records[i].ID, Algorithm: alg, Sign: func(ctx context.Context, message []byte) ([]byte, error) {
		return w.backend.Sign(ctx, records[i], message)
	}}
	token, err := jose.Sign(context.Background(), key, typ, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// claimsIn reads the claims of a JWT without believing it.
func claimsIn(t *testing.T, token string) claims {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var body claims
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

// jsonText is a value as JSON.
func jsonText(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// inOrder goes through a table in the order of its names.
func inOrder[V any](table map[string]V) func(func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, name := range slices.Sorted(maps.Keys(table)) {
			if !yield(name, table[name]) {
				return
			}
		}
	}
}

// parsed is a JSON object.
func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return object
}

// short is text that fits into the name of a test.
func short(text string) string {
	if len(text) > 30 {
		return text[:30] + "..."
	}
	return "\"" + text + "\""
}
