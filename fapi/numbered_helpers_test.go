package fapi_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi"
	"countersign/internal/jose"
	"countersign/store"
)

// change alters a back-channel request before it is sent.
type change = func(form url.Values, header http.Header)

// attempt is one case of a numbered test. With a code the server has to refuse it, without one it has to go on.
type attempt struct {
	name   string
	change change
	status int
	code   string
}

// good is an attempt that has to succeed.
func good(name string, change change) attempt { return attempt{name: name, change: change} }

// bad is an attempt that has to be refused.
func bad(name string, change change, status int, code string) attempt {
	return attempt{name, change, status, code}
}

// tryAll sends every attempt and holds the answers against what the attempts say.
func tryAll(t *testing.T, send func(change) reply, attempts ...attempt) {
	t.Helper()
	for _, one := range attempts {
		t.Run(one.title(), func(t *testing.T) { one.check(t, send(one.change)) })
	}
}

// title is the name of the subtest, by which the checklist counts.
func (a attempt) title() string {
	if a.code == "" {
		return "accepts " + a.name
	}
	return "refuses " + a.name
}

func (a attempt) check(t *testing.T, r reply) {
	t.Helper()
	if a.code != "" {
		wantError(t, r, a.status, a.code)
		return
	}
	if r.status != http.StatusOK && r.status != http.StatusCreated {
		t.Fatalf("answered %d %s", r.status, r.raw)
	}
}

// set gives a parameter a value; set to "" it counts as omitted.
func set(name, value string) change {
	return func(form url.Values, _ http.Header) { form.Set(name, value) }
}

// unset takes a parameter away.
func unset(name string) change { return func(form url.Values, _ http.Header) { form.Del(name) } }

// setHeader sets a header.
func setHeader(name, value string) change {
	return func(_ url.Values, h http.Header) { h.Set(name, value) }
}

// both makes one change after the other.
func both(first, second change) change {
	return func(form url.Values, header http.Header) { first(form, header); second(form, header) }
}

// asserting replaces the client assertion by one with changed claims.
func (c *client) asserting(alter func(claims)) change {
	return func(form url.Values, _ http.Header) { form.Set("client_assertion", c.clientAssertion(alter)) }
}

// claim changes one claim; nil takes it away.
func claim(name string, value any) func(claims) {
	return func(body claims) {
		if value == nil {
			delete(body, name)
			return
		}
		body[name] = value
	}
}

// member changes one member of a registration; nil takes it away.
func member(name string, value any) func(*client, map[string]any) {
	return func(_ *client, m map[string]any) { claim(name, value)(m) }
}

// registration is the metadata of a client that could be registered.
func registration(t *testing.T, alter func(map[string]any)) []byte {
	t.Helper()
	metadata := map[string]any{
		"client_name": "Example", "redirect_uris": []string{"https://client.example/callback"}, "scope": "openid",
		"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true,
		"jwks": json.RawMessage(`{"keys":[` + string(newKey(t, jose.ES256).PublicJWK()) + `]}`),
	}
	if alter != nil {
		alter(metadata)
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// registering tries to register a client; wrong is the member that the refusal has to name, or "".
func registering(t *testing.T, name string, alter func(map[string]any), wrong string) {
	t.Helper()
	title := "accepts " + name
	if wrong != "" {
		title = "refuses " + name
	}
	t.Run(title, func(t *testing.T) {
		_, err := fapi.ParseClient("client-1", "fapi2-security", registration(t, alter))
		switch {
		case wrong == "" && err != nil:
			t.Errorf("refused: %v", err)
		case wrong != "" && err == nil:
			t.Error("accepted")
		case wrong != "" && !strings.Contains("\n"+err.Error(), "\n"+wrong+":"):
			t.Errorf("%q does not name %s", err, wrong)
		}
	})
}

// handSigned makes a JWS with any header, so that what the header says is its only fault.
func handSigned(t *testing.T, header, body map[string]any, sign func(input []byte) []byte) string {
	t.Helper()
	encode := func(value any) string {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	input := encode(header) + "." + encode(body)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

// es256 signs as the algorithm ES256 does.
func es256(t *testing.T, key jose.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		signature, err := key.SigningKey().Sign(context.Background(), input)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

// rs256 signs as the algorithm RS256 does.
func rs256(t *testing.T, key *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		digest := sha256.Sum256(input)
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

// keySet is a JWKS of some public keys.
func keySet(keys ...[]byte) json.RawMessage {
	set := []byte(`{"keys":[`)
	for i, key := range keys {
		if i > 0 {
			set = append(set, ',')
		}
		set = append(set, key...)
	}
	return append(set, `]}`...)
}

// document is the discovery document.
func (w *world) document() map[string]any {
	w.t.Helper()
	_, body, _ := w.browser().visit(w.issuer + "/.well-known/openid-configuration")
	var document map[string]any
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		w.t.Fatal(err)
	}
	return document
}

// opened goes from a push, which must succeed, to where the browser is sent.
func (c *client) opened(t *testing.T, alter change) *url.URL {
	t.Helper()
	pushed := c.push(alter)
	if pushed.status != http.StatusCreated {
		t.Fatalf("push: %d %s", pushed.status, pushed.raw)
	}
	status, body, sentTo := c.w.browser().visit(c.w.authorizeURL(c.id, pushed.text("request_uri")))
	if sentTo == nil {
		t.Fatalf("the browser was not sent back: %d %s", status, body)
	}
	return sentTo
}

// jwkWith is a public JWK with changed members.
func jwkWith(t *testing.T, key jose.PrivateKey, alter func(map[string]any)) []byte {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(key.PublicJWK(), &members); err != nil {
		t.Fatal(err)
	}
	alter(members)
	raw, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// revokeGrantOf ends the grant behind an access token, as another node might.
func (w *world) revokeGrantOf(t *testing.T, accessToken string) {
	t.Helper()
	_, body := w.decode(accessToken)
	grant, err := w.store.AccessGrant(t.Context(), store.DigestOf(body["jti"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.RevokeGrant(t.Context(), grant.ID); err != nil {
		t.Fatal(err)
	}
}
