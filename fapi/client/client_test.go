package client

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"countersign/fapi/profile"
	"countersign/internal/jose"
)

func registration(t *testing.T, change func(map[string]any)) []byte {
	t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	metadata := map[string]any{
		"client_name": "Example", "redirect_uris": []string{"https://client.example/callback"}, "scope": "openid",
		"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true,
		"jwks": json.RawMessage(`{"keys":[` + string(key.PublicJWK()) + `]}`),
	}
	if change != nil {
		change(metadata)
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestParseClient(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	unset := func(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }
	tests := map[string]struct {
		change func(map[string]any)
		wrong  string // part of the problem, or "" if the registration is good
	}{
		"as it is":                    {nil, ""},
		"unknown members are ignored": {set("nonsense", 1), ""},
		"a native app on loopback":    {set("redirect_uris", []string{"http://127.0.0.1:1234/callback"}), ""},
		"http elsewhere":              {set("redirect_uris", []string{"http://client.example/callback"}), "redirect_uris"},
		"http on the name localhost":  {set("redirect_uris", []string{"http://localhost/callback"}), "redirect_uris"},
		"a scheme of its own":         {set("redirect_uris", []string{"com.example:/callback"}), "redirect_uris"},
		"javascript":                  {set("redirect_uris", []string{"javascript:alert(1)"}), "redirect_uris"},
		"a fragment":                  {set("redirect_uris", []string{"https://client.example/#a"}), "redirect_uris"},
		"user information":            {set("redirect_uris", []string{"https://a@client.example/"}), "redirect_uris"},
		"no redirect_uris":            {unset("redirect_uris"), "redirect_uris"},
		"no name":                     {unset("client_name"), "client_name"},
		"a name with control signs":   {set("client_name", "a\nb"), "client_name"},
		"no scope":                    {unset("scope"), "scope"},
		"a secret":                    {set("token_endpoint_auth_method", "client_secret_basic"), "token_endpoint_auth_method"},
		"a public client":             {set("token_endpoint_auth_method", "none"), "token_endpoint_auth_method"},
		"the password grant":          {set("grant_types", []string{"password"}), "grant_types"},
		"the implicit response":       {set("response_types", []string{"token"}), "response_types"},
		"RS256":                       {set("id_token_signed_response_alg", "RS256"), "id_token_signed_response_alg"},
		"none":                        {set("token_endpoint_auth_signing_alg", "none"), "token_endpoint_auth_signing_alg"},
		"bound to nothing":            {unset("dpop_bound_access_tokens"), "dpop_bound_access_tokens"},
		"bound twice":                 {set("tls_client_certificate_bound_access_tokens", true), "dpop_bound_access_tokens"},
		"no keys":                     {unset("jwks"), "jwks"},
		"keys by address":             {set("jwks_uri", "https://client.example/jwks"), "jwks_uri"},
		"a secret key":                {set("jwks", json.RawMessage(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)), "jwks"},
		"no certificate subject":      {set("token_endpoint_auth_method", "tls_client_auth"), "tls_client_auth_subject_dn"},
		"a subject without use":       {set("tls_client_auth_subject_dn", "CN=a"), ""},
		"a logo over http":            {set("logo_uri", "http://client.example/logo.png"), "logo_uri"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client, err := Parse("client-1", "fapi2-security", registration(t, test.change))
			switch {
			case test.wrong == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.wrong == "" && client.AuthMethod() != profile.PrivateKeyJWT:
				t.Errorf("authenticates with %s", client.AuthMethod())
			case test.wrong != "" && err == nil:
				t.Error("accepted")
			case test.wrong != "" && !strings.HasPrefix(err.Error(), test.wrong):
				t.Errorf("%q does not name %s", err, test.wrong)
			}
		})
	}
	for _, bad := range []struct{ id, profile, metadata string }{
		{"", "fapi2-security", string(registration(t, nil))},
		{"a b\n", "fapi2-security", string(registration(t, nil))},
		{"a", "fapi3", string(registration(t, nil))},
		{"a", "fapi2-security", `{"client_name":"a","client_name":"b"}`},
		{"a", "fapi2-security", `[]`},
	} {
		if _, err := Parse(bad.id, bad.profile, []byte(bad.metadata)); err == nil {
			t.Errorf("accepted %+v", bad)
		}
	}
}

// TestProblemsAreReportedTogether: an operator sees all of them at once.
func TestProblemsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := Parse("client-1", "fapi2-security", registration(t, func(m map[string]any) {
		delete(m, "client_name")
		delete(m, "scope")
		delete(m, "dpop_bound_access_tokens")
	}))
	for _, member := range []string{"client_name", "scope", "dpop_bound_access_tokens"} {
		if err == nil || !strings.Contains(err.Error(), member) {
			t.Errorf("%q does not name %s", err, member)
		}
	}
}

// TestRestrict: no registration widens a profile.
func TestRestrict(t *testing.T) {
	t.Parallel()
	words := []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "none", "client_secret_basic",
		"authorization_code", "refresh_token", "password", "implicit", "code", "token", "code id_token",
		"query", "fragment", "jwt", "query.jwt", "form_post.jwt"}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOf(rapid.SampledFrom(words))
		m := Metadata{
			TokenEndpointAuthMethod: rapid.SampledFrom(words).Draw(t, "method"),
			GrantTypes:              some.Draw(t, "grants"), ResponseTypes: some.Draw(t, "responses"),
			DPoPBoundAccessTokens:                 rapid.Bool().Draw(t, "dpop"),
			TLSClientCertificateBoundAccessTokens: rapid.Bool().Draw(t, "mtls"),
			ResponseModes:                         some.Draw(t, "response modes"),
			RequirePushedAuthorizationRequests:    rapid.Bool().Draw(t, "pushed"),
		}
		if rapid.Bool().Draw(t, "says whether its requests are signed") {
			m.RequireSignedRequestObject = new(rapid.Bool().Draw(t, "signed"))
		}
		p, ok := profile.Lookup(rapid.SampledFrom(profile.Names()).Draw(t, "profile"))
		if !ok {
			t.Fatal("a profile that is listed is not known")
		}
		n := p.Restrict(m.restriction())
		within(t, "auth methods", n.ClientAuthMethods, p.ClientAuthMethods)
		within(t, "algorithms", n.Algorithms, p.Algorithms)
		within(t, "constraints", n.SenderConstraints, p.SenderConstraints)
		within(t, "grant types", n.GrantTypes, p.GrantTypes)
		within(t, "response types", n.ResponseTypes, p.ResponseTypes)
		for kind, modes := range n.ResponseModes {
			within(t, "response modes", modes, p.ResponseModes[kind])
		}
		if n.MaxCodeLifetime > p.MaxCodeLifetime || n.MaxAccessTokenLifetime > p.MaxAccessTokenLifetime ||
			n.MaxRequestURILifetime > p.MaxRequestURILifetime || n.MaxAhead > p.MaxAhead ||
			p.RequirePushed && !n.RequirePushed || p.RequireNonce && !n.RequireNonce || n.PKCE != p.PKCE ||
			p.RequestObjects == profile.RequestObjectsRefused && n.RequestObjects != p.RequestObjects ||
			p.RequestObjects == profile.RequestObjectsRequired && n.RequestObjects != p.RequestObjects ||
			n.MaxRequestObjectAge > p.MaxRequestObjectAge || n.MaxRequestObjectLifetime > p.MaxRequestObjectLifetime || n.AssertionAudience != p.AssertionAudience {
			t.Fatalf("%+v is wider than %+v", n, p)
		}
	})
}

func within[T comparable](t *rapid.T, what string, restricted, allowed []T) {
	for _, value := range restricted {
		if !slices.Contains(allowed, value) {
			t.Fatalf("%s: %v is not in the profile", what, value)
		}
	}
}

func FuzzParseClient(f *testing.F) {
	f.Add([]byte(`{"client_name":"a","redirect_uris":["https://a.example/"],"scope":"openid","dpop_bound_access_tokens":true,"jwks":{"keys":[]}}`))
	f.Add([]byte(`{"redirect_uris":["javascript:alert(1)"]}`))
	f.Fuzz(func(t *testing.T, metadata []byte) {
		client, err := Parse("a", "fapi2-security", metadata)
		if err != nil {
			return
		}
		if len(client.Profile.ClientAuthMethods) != 1 || len(client.Profile.SenderConstraints) != 1 {
			t.Fatalf("%s: an accepted client without one way to authenticate and one way to bind", metadata)
		}
		for _, address := range client.Metadata.RedirectURIs {
			if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://127.") && !strings.HasPrefix(address, "http://[") && !strings.HasPrefix(strings.ToLower(address), "http") {
				t.Fatalf("accepted the redirect URI %q", address)
			}
		}
	})
}
