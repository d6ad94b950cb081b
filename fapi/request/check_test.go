package request

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace/noop"
	"pgregory.net/rapid"

	"countersign/fapi/client"
	"countersign/fapi/rar"
	"countersign/fapi/scope"
	"countersign/fapi/tokens"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/signer"
)

// endpoints are the columns of the table.
var endpoints = map[Endpoint]string{
	Pushed: "pushed", ByValue: "by value", Backchannel: "backchannel", ClientCredentials: "client credentials",
}

// TestTableColumns: each endpoint checks the parameters that its specification gives it, in this order. A parameter that an
// endpoint does not have is not read there (RFC 6749 §3.1: unrecognized parameters are ignored).
func TestTableColumns(t *testing.T) {
	t.Parallel()
	// OpenID Connect Core §3.1.2.1, RFC 7636 §4.3, RFC 8707 §2, RFC 9101, RFC 9126 §2.1, RFC 9396 §2, RFC 9449 §10.
	authorization := []string{
		"parameters of the profile", "redirect_uri", "response_type, response_mode", "code_challenge", "state, nonce, login_hint", "ui_locales", "authorization_details", "scope",
		"binding of the answer", "dpop_jkt", "prompt", "max_age", "resource", "claims", "acr_values", "consent", "id_token_hint",
		"grant_management_action, grant_id", // Grant Management for OAuth 2.0 §5.2
	}
	want := map[Endpoint][]string{
		Pushed: authorization, ByValue: authorization,
		// CIBA Core §7.1, but for the hints, binding_message, user_code and requested_expiry: those are the endpoint's own.
		Backchannel: {"parameters of the profile", "authorization_details", "scope", "resource", "claims", "acr_values", "consent", "grant_management_action, grant_id"},
		// RFC 6749 §4.4.2, RFC 8707 §2.2, RFC 9396 §6.
		ClientCredentials: {"authorization_details", "scope of the client", "resource"},
	}
	for at, name := range endpoints {
		var got []string
		for _, row := range table() {
			if row.at&at != 0 {
				got = append(got, row.name)
			}
		}
		if diff := cmp.Diff(want[at], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// oneKey is a catalogue of one key for ID tokens.
type oneKey struct{ record signer.Record }

// Keys implements [signer.Catalogue].
func (k oneKey) Keys(context.Context) ([]signer.Record, error) { return []signer.Record{k.record}, nil }

const issuer = "https://id.example"

// newChecker makes a checker that knows a resource server, a type of authorization details and two authentication context
// classes, with the key that its ID tokens are signed with.
func newChecker(t *testing.T) (*Checker, jose.PrivateKey) {
	t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := signer.ParsePublicJWK(key.PublicJWK())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signer.New(t.Context(), signer.Config{Catalogue: oneKey{signer.Record{
		ID: key.ID(), Algorithm: signer.ES256, Public: public, State: signer.Active, Uses: []signer.Use{signer.UseIDToken},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	scopes, err := scope.New(issuer, []scope.Scope{{Name: "accounts"}, {Name: "payments"}}, nil,
		[]scope.ResourceServer{{Identifier: "https://ledger.example", Scopes: []string{"accounts"}}})
	if err != nil {
		t.Fatal(err)
	}
	types, err := rar.NewTypes([]rar.Type{{Type: "payment", Schema: json.RawMessage(`{
		"x-display": {"kind": "other", "times": "once", "heading": {"en": "Pay?"}}, "type": "object",
		"properties": {"type": {"const": "payment"}, "locations": {"type": "array", "items": {"type": "string"}, "x-display": {"label": {"en": "Where"}}}},
		"required": ["type"], "additionalProperties": false
	}`)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	made := &tokens.Issuer{ID: issuer, Signer: keys, Scopes: scopes, Details: types, Now: time.Now}
	return NewChecker(made, []string{"urn:strong", "urn:weak"}, nil, nil, noop.NewTracerProvider().Tracer("")), key
}

const redirect = "https://client.example/callback"

// registered are clients of every profile, and one that acts for itself.
func registered(t *testing.T) []*client.Client {
	t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var clients []*client.Client
	add := func(profile string, change map[string]any) {
		metadata := map[string]any{
			"client_name": "Example", "redirect_uris": []string{redirect}, "scope": "openid profile accounts payments",
			"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true,
			"jwks": json.RawMessage(`{"keys":[` + string(key.PublicJWK()) + `]}`), "authorization_details_types": []string{"payment"},
		}
		for name, value := range change {
			if metadata[name] = value; value == nil {
				delete(metadata, name)
			}
		}
		body, err := json.Marshal(metadata)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.Parse("client-1", profile, body)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	add("fapi2-security", nil)
	add("fapi2-message-signing", map[string]any{"default_max_age": 60, "default_acr_values": []string{"urn:weak"}})
	add("fapi1-advanced", map[string]any{
		"dpop_bound_access_tokens": nil, "tls_client_certificate_bound_access_tokens": true, "response_types": []string{"code id_token"},
	})
	add("fapi2-security", map[string]any{
		"redirect_uris": nil, "grant_types": []string{"client_credentials"}, "response_types": []string{}, "scope": "accounts",
		"default_authorization_details": json.RawMessage(`[{"type":"payment"}]`),
	})
	return clients
}

// values are values of each parameter that go far, and some that do not.
func values(t *testing.T, key jose.PrivateKey) map[string][]string {
	t.Helper()
	hint, err := jose.Sign(t.Context(), key.SigningKey(), "JWT", map[string]any{"iss": issuer, "aud": "client-1", "sub": "sub-alice"})
	if err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("A", 43)
	return map[string][]string{
		"redirect_uri": {redirect, redirect + "/"}, "response_type": {"code", "code id_token", "id_token code", "token"},
		"response_mode": {"jwt", "query", "fragment.jwt", "form_post.jwt"}, "code_challenge": {digest, digest + "\n", "short"},
		"code_challenge_method": {"S256", "plain"}, "state": {"state", "é", strings.Repeat("s", maxState+1)},
		"nonce": {"nonce", strings.Repeat("n", maxNonce+1)}, "login_hint": {"alice", strings.Repeat("h", maxHint+1)},
		"authorization_details": {`[{"type":"payment"}]`, `[{"type":"payment","locations":["https://ledger.example"]}]`, `[]`, `[null]`, `{}`, `[{"type":"x"}]`},
		"scope":                 {"openid", "openid profile accounts", "accounts", "payments", "unknown", " "},
		"dpop_jkt":              {digest, "short"}, "prompt": {"none", "login consent", "none login", "create"},
		"max_age": {"0", "60", "-1", "1e3", "99999999999999999999"}, "resource": {"https://ledger.example", issuer, "https://other.example"},
		"claims": {
			`{"id_token":{"acr":{"essential":true,"values":["urn:strong"]}}}`, `{"id_token":{"acr":{"essential":true}}}`,
			`{"id_token":{"sub":{"value":"sub-alice"}}}`, `{"id_token":{"sub":{"value":"sub-bob"}},"userinfo":{"email":null}}`,
			`{"id_token":{"acr":{"essential":true,"value":"urn:none"}}}`, `{"id_token":[]}`, `null`, `{`,
		},
		"acr_values": {"urn:strong urn:weak", "urn:none", strings.Repeat("a ", maxACRs+1)}, "id_token_hint": {hint, hint[:len(hint)-4], "a.b.c"},
	}
}

// TestCheck: whatever a client sends to whichever endpoint, Check does not panic and refuses with an OAuth error, and what it
// accepts keeps the bounds that later steps rely on.
func TestCheck(t *testing.T) {
	t.Parallel()
	checker, key := newChecker(t)
	clients, dictionary := registered(t), values(t, key)
	names := make([]string, 0, len(dictionary))
	for name := range dictionary {
		names = append(names, name)
	}
	slices.Sort(names)
	accepted := map[Endpoint]int{}
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.SampledFrom([]Endpoint{Pushed, ByValue, Backchannel, ClientCredentials}).Draw(t, "endpoint")
		caller := clients[rapid.IntRange(0, len(clients)-1).Draw(t, "client")]
		// A good request, of which some parameters are other ones.
		kind := "code"
		if !slices.Contains(caller.Profile.ResponseTypes, kind) {
			kind = "code id_token"
		}
		raw := url.Values{
			"redirect_uri": {redirect}, "response_type": {kind}, "code_challenge": {strings.Repeat("A", 43)},
			"code_challenge_method": {"S256"}, "scope": {"openid accounts"}, "nonce": {"nonce"}, "state": {"state"},
		}
		if at == ClientCredentials {
			raw.Set("scope", "accounts")
		}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 5, rapid.ID[string]).Draw(t, "parameters") {
			value := rapid.OneOf(rapid.SampledFrom(dictionary[name]), rapid.SampledFrom(dictionary[name]), rapid.String()).Draw(t, name)
			raw[name] = []string{value}
			if name == "resource" && rapid.Bool().Draw(t, "twice") {
				raw.Add(name, rapid.SampledFrom(dictionary[name]).Draw(t, "the second"))
			}
		}
		form, err := oauth.NewForm(raw)
		if err != nil {
			return
		}
		read, err := checker.Check(context.Background(), at, caller, form)
		if err != nil {
			if refusal, ok := errors.AsType[*oauth.Error](err); !ok || refusal.Description == "" || refusal.HTTPStatus() >= 500 {
				t.Fatalf("%s refused with %v", endpoints[at], err)
			}
			return
		}
		accepted[at]++
		holdsBounds(t, at, caller, form, read)
	})
	for at, name := range endpoints {
		if accepted[at] == 0 {
			t.Errorf("%s: nothing was accepted, so nothing was shown", name)
		}
	}
}

// holdsBounds checks what every accepted request has.
func holdsBounds(t *rapid.T, at Endpoint, caller *client.Client, form oauth.Form, read *Request) {
	if read.Pushed != (at == Pushed) {
		t.Errorf("pushed is %v", read.Pushed)
	}
	if len(read.Scopes) == 0 && len(read.Details) == 0 {
		t.Error("it asks for nothing")
	}
	for _, name := range read.Scopes {
		if !slices.Contains(caller.Scopes, name) {
			t.Errorf("the scope %q is not registered", name)
		}
	}
	if at == Pushed || at == ByValue {
		if read.RedirectURI != redirect || !slices.Contains(caller.Profile.ResponseTypes, read.ResponseType) {
			t.Errorf("answers go to %q as %q", read.RedirectURI, read.ResponseType)
		}
		if read.Challenge == "" && at == Pushed {
			t.Error("pushed without PKCE")
		}
		if read.MaxAge != nil && *read.MaxAge < 0 {
			t.Errorf("max_age %d", *read.MaxAge)
		}
		return
	}
	// No browser: nothing of one is kept, whatever the form holds.
	rest := *read
	rest.Profile, rest.Scopes, rest.Details, rest.Resources, rest.ACRs, rest.EssentialACRs, rest.ACRNames = "", nil, nil, nil, nil, nil, nil
	if diff := cmp.Diff(Request{}, rest); diff != "" {
		t.Errorf("%v read what its endpoint does not have:\n%s", form.Values(), diff)
	}
}
