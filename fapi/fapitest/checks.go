package fapitest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/client"
	"countersign/internal/jose"
	"countersign/store"
)

// change alters a back-channel request before it is sent.
type Change = func(form url.Values, header http.Header)

// attempt is one case of a numbered test. With a code the server has to refuse it, without one it has to go on.
type Attempt struct {
	Name   string
	change Change
	Status int
	Code   string
}

// good is an attempt that has to succeed.
func Good(name string, change Change) Attempt { return Attempt{Name: name, change: change} }

// bad is an attempt that has to be refused.
func Bad(name string, change Change, status int, code string) Attempt {
	return Attempt{name, change, status, code}
}

// tryAll sends every attempt and holds the answers against what the attempts say.
func TryAll(t *testing.T, send func(Change) Reply, attempts ...Attempt) {
	t.Helper()
	for _, one := range attempts {
		t.Run(one.title(), func(t *testing.T) { one.Check(t, send(one.change)) })
	}
}

// title is the name of the subtest, by which the checklist counts.
func (a Attempt) title() string {
	if a.Code == "" {
		return "accepts " + a.Name
	}
	return "refuses " + a.Name
}

func (a Attempt) Check(t *testing.T, r Reply) {
	t.Helper()
	if a.Code != "" {
		WantError(t, r, a.Status, a.Code)
		return
	}
	if r.Status != http.StatusOK && r.Status != http.StatusCreated {
		t.Fatalf("answered %d %s", r.Status, r.Raw)
	}
}

// set gives a parameter a value; set to "" it counts as omitted.
func Set(name, value string) Change {
	return func(form url.Values, _ http.Header) { form.Set(name, value) }
}

// unset takes a parameter away.
func Unset(name string) Change { return func(form url.Values, _ http.Header) { form.Del(name) } }

// setHeader sets a header.
func SetHeader(name, value string) Change {
	return func(_ url.Values, h http.Header) { h.Set(name, value) }
}

// asserting replaces the client assertion by one with changed claims.
func (c *Client) ReplaceAssertion(alter func(Claims)) Change {
	return func(form url.Values, _ http.Header) { form.Set("client_assertion", c.ClientAssertion(alter)) }
}

// claim changes one claim; nil takes it away.
func SetClaim(name string, value any) func(Claims) {
	return func(body Claims) {
		if value == nil {
			delete(body, name)
			return
		}
		body[name] = value
	}
}

// member changes one member of a registration; nil takes it away.
func SetMember(name string, value any) func(*Client, map[string]any) {
	return func(_ *Client, m map[string]any) { SetClaim(name, value)(m) }
}

// registration is the metadata of a client that could be registered.
func ClientMetadata(t *testing.T, alter func(map[string]any)) []byte {
	t.Helper()
	metadata := map[string]any{
		"client_name": "Example", "redirect_uris": []string{"https://client.example/callback"}, "scope": "openid",
		"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true,
		"jwks": json.RawMessage(`{"keys":[` + string(NewKey(t, jose.ES256).PublicJWK()) + `]}`),
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
func TryRegistration(t *testing.T, name string, alter func(map[string]any), wrong string) {
	t.Helper()
	title := "accepts " + name
	if wrong != "" {
		title = "refuses " + name
	}
	t.Run(title, func(t *testing.T) {
		_, err := client.Parse("client-1", "fapi2-security", ClientMetadata(t, alter))
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
func HandSigned(t *testing.T, header, body map[string]any, sign func(input []byte) []byte) string {
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
func ES256(t *testing.T, key jose.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		signature, err := key.SigningKey().Sign(context.Background(), input)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

// keySet is a JWKS of some public keys.
func KeySet(keys ...[]byte) json.RawMessage {
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
func (w *World) Document() map[string]any {
	w.T.Helper()
	_, body, _ := w.Browser().Visit(w.Issuer + "/.well-known/openid-configuration")
	var document map[string]any
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		w.T.Fatal(err)
	}
	return document
}

// opened goes from a push, which must succeed, to where the browser is sent.
func (c *Client) Redirected(t *testing.T, alter Change) *url.URL {
	t.Helper()
	pushed := c.Push(alter)
	if pushed.Status != http.StatusCreated {
		t.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	status, body, sentTo := c.World.Browser().Visit(c.World.AuthorizeURL(c.ID, pushed.Text("request_uri")))
	if sentTo == nil {
		t.Fatalf("the browser was not sent back: %d %s", status, body)
	}
	return sentTo
}

// jwkWith is a public JWK with changed members.
func JWKWith(t *testing.T, key jose.PrivateKey, alter func(map[string]any)) []byte {
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
func (w *World) RevokeGrantOf(t *testing.T, accessToken string) {
	t.Helper()
	_, body := w.Verify(accessToken)
	grant, err := w.Store.AccessGrant(t.Context(), store.DigestOf(body["jti"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Store.RevokeGrant(t.Context(), grant.ID); err != nil {
		t.Fatal(err)
	}
}
