package client_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// TestMetadata: whose they are, and where they come from.
//
// Covers: RP-21.
func TestMetadata(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	for name, test := range map[string]struct {
		check string
		alter func(map[string]any)
	}{
		"another issuer":                      {"iss", set("issuer", "https://attacker.example")},
		"an issuer with a slash more":         {"iss", set("issuer", p.Issuer+"/")},
		"no issuer":                           {"iss", set("issuer", nil)},
		"a token endpoint by http":            {"token_endpoint", set("token_endpoint", "http://127.0.0.1/token")},
		"a token endpoint with credentials":   {"token_endpoint", set("token_endpoint", "https://user@as.example/token")},
		"a token endpoint with a fragment":    {"token_endpoint", set("token_endpoint", "https://as.example/token#x")},
		"an authorization endpoint of script": {"authorization_endpoint", set("authorization_endpoint", "javascript:alert(1)")},
		"a key set by file":                   {"jwks_uri", set("jwks_uri", "file:///etc/passwd")},
		"an alias by http":                    {"mtls_endpoint_aliases.token_endpoint", set("mtls_endpoint_aliases", map[string]string{"token_endpoint": "http://as.example/token"})},
		"members of the wrong type":           {"malformed", set("response_types_supported", "code")},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			p.Behave(providertest.Behaviour{Metadata: test.alter})
			_, err := client.New(t.Context(), fakeConfig(t, p))
			wantCheck(t, nil, err, test.check)
		})
	}
	t.Run("refuses a member twice", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Handle: at("/.well-known/openid-configuration", func(w http.ResponseWriter) {
			fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"https://a.example","token_endpoint":"https://b.example"}`, p.Issuer)
		})})
		_, err := client.New(t.Context(), fakeConfig(t, p))
		wantCheck(t, nil, err, "malformed")
	})
	t.Run("refuses a redirect", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Handle: at("/.well-known/openid-configuration", func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://attacker.example/")
			w.WriteHeader(http.StatusFound)
		})})
		_, err := client.New(t.Context(), fakeConfig(t, p))
		if _, ok := errors.AsType[*client.UnavailableError](err); !ok {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses a provider without any", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Handle: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusNotFound); return true }})
		_, err := client.New(t.Context(), fakeConfig(t, p))
		if refused, ok := errors.AsType[*client.ProviderError](err); !ok || refused.Status != http.StatusNotFound {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts those of RFC 8414 where there are no others", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Handle: func(w http.ResponseWriter, r *http.Request) bool {
			switch r.URL.Path {
			case "/.well-known/openid-configuration":
				w.WriteHeader(http.StatusNotFound)
				return true
			case "/.well-known/oauth-authorization-server":
				fmt.Fprint(w, documentOf(t, p))
				return true
			}
			return false
		}})
		if c := against(t, p); c.Metadata().TokenEndpoint != p.Issuer+"/token" {
			t.Errorf("%+v", c.Metadata())
		}
	})
}

// documentOf is the provider's metadata as it publishes them.
func documentOf(t *testing.T, p *providertest.Provider) string {
	t.Helper()
	raw, err := json.Marshal(p.Metadata())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestWeakProvider: the start fails with all that is missing.
//
// Covers: RP-22.
func TestWeakProvider(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	certificate := p.Certificate()
	signing := func(c *client.Config) { c.Profile = client.FAPI2MessageSigning }
	advanced := func(c *client.Config) { c.Profile, c.Binding = client.FAPI1Advanced, client.MTLSBoundWith(certificate) }
	mtls := func(c *client.Config) { c.Binding = client.MTLSBoundWith(certificate) }
	for name, test := range map[string]struct {
		change func(*client.Config)
		alter  func(map[string]any)
		lacks  string
	}{
		"no PAR":                      {nil, set("pushed_authorization_request_endpoint", nil), "pushed_authorization_request_endpoint (Weak.NoPAR)"},
		"no iss":                      {nil, set("authorization_response_iss_parameter_supported", nil), "authorization_response_iss_parameter_supported (Weak.NoIss)"},
		"no PKCE":                     {nil, set("code_challenge_methods_supported", nil), "code_challenge_methods_supported with S256 (Weak.UnannouncedPKCE, or NoPKCE)"},
		"PKCE of plain":               {nil, set("code_challenge_methods_supported", []string{"plain"}), "code_challenge_methods_supported with S256 (Weak.UnannouncedPKCE, or NoPKCE)"},
		"no DPoP":                     {nil, set("dpop_signing_alg_values_supported", nil), "access tokens that are bound to a key: DPoP, or mTLS with a certificate of the client (Weak.Bearer)"},
		"no DPoP with the key's alg":  {func(c *client.Config) { c.Binding = client.DPoP(generated(t)) }, set("dpop_signing_alg_values_supported", []string{"RS256"}), "dpop_signing_alg_values_supported with ES256 (Weak.Bearer)"},
		"no certificate-bound tokens": {mtls, set("tls_client_certificate_bound_access_tokens", nil), "tls_client_certificate_bound_access_tokens (Weak.Bearer)"},
		"no private_key_jwt":          {nil, set("token_endpoint_auth_methods_supported", []string{"client_secret_basic"}), "token_endpoint_auth_methods_supported with private_key_jwt"},
		"no methods at all":           {nil, set("token_endpoint_auth_methods_supported", nil), "token_endpoint_auth_methods_supported with private_key_jwt"},
		"no assertions by ES256":      {nil, set("token_endpoint_auth_signing_alg_values_supported", []string{"RS256"}), "token_endpoint_auth_signing_alg_values_supported with ES256"},
		"ID tokens by RS256 alone":    {nil, set("id_token_signing_alg_values_supported", []string{"RS256"}), "id_token_signing_alg_values_supported with PS256, ES256, EdDSA (Weak.RS256)"},
		"ID tokens by HS256 alone":    {nil, set("id_token_signing_alg_values_supported", []string{"HS256", "none"}), "id_token_signing_alg_values_supported with PS256, ES256, EdDSA"},
		"no keys":                     {nil, set("jwks_uri", nil), "jwks_uri"},
		"no token endpoint":           {nil, set("token_endpoint", nil), "token_endpoint"},
		"no authorization endpoint": {nil, func(m map[string]any) {
			delete(m, "authorization_endpoint")
			delete(m, "backchannel_authentication_endpoint")
		}, "authorization_endpoint"},
		"no JARM":                     {signing, set("response_modes_supported", []string{"query"}), "response_modes_supported with jwt"},
		"JARM by RS256 alone":         {signing, set("authorization_signing_alg_values_supported", []string{"RS256"}), "authorization_signing_alg_values_supported with PS256, ES256, EdDSA"},
		"no signed requests by ES256": {signing, set("request_object_signing_alg_values_supported", []string{"RS256"}), "request_object_signing_alg_values_supported with ES256"},
		"no code id_token":            {advanced, set("response_types_supported", []string{"code"}), "response_types_supported with code id_token"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			p.Behave(providertest.Behaviour{Metadata: test.alter})
			config := fakeConfig(t, p)
			if test.change != nil {
				test.change(&config)
			}
			_, err := client.New(t.Context(), config)
			weak, ok := errors.AsType[*client.WeakProviderError](err)
			if !ok || !slices.Equal(weak.Lacks, []string{test.lacks}) {
				t.Errorf("%v, want that it lacks %s", err, test.lacks)
			}
		})
	}
	t.Run("refuses with all that is missing", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Metadata: func(m map[string]any) {
			for name := range m {
				if name != "issuer" {
					delete(m, name)
				}
			}
		}})
		_, err := client.New(t.Context(), fakeConfig(t, p))
		weak, ok := errors.AsType[*client.WeakProviderError](err)
		if !ok || len(weak.Lacks) != 8 || !strings.Contains(err.Error(), "FAPI 2.0 Security Profile") {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts a provider without users for a client of its own", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Metadata: func(m map[string]any) {
			for _, name := range []string{"authorization_endpoint", "pushed_authorization_request_endpoint", "jwks_uri", "authorization_response_iss_parameter_supported"} {
				delete(m, name)
			}
		}})
		c := against(t, p, func(c *client.Config) { c.RedirectURI, c.Scopes = "", nil })
		if _, err := c.ClientCredentials(t.Context(), client.TokenOptions{Scopes: []string{"accounts"}}); err != nil {
			t.Error(err)
		}
		for what, call := range map[string]func() error{
			"authorization": func() error { _, _, err := c.Authorize(t.Context(), client.AuthorizeOptions{}); return err },
			"logout token":  func() error { _, err := c.VerifyLogoutToken(t.Context(), "x"); return err },
		} {
			if call() == nil {
				t.Errorf("%s works", what)
			}
		}
	})
	t.Run("accepts a provider of the backchannel alone", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Metadata: func(m map[string]any) {
			delete(m, "authorization_endpoint")
			delete(m, "pushed_authorization_request_endpoint")
		}})
		c := against(t, p)
		if _, _, err := c.Authorize(t.Context(), client.AuthorizeOptions{}); err == nil {
			t.Error("there is an authorization endpoint")
		}
		request, err := c.Backchannel(t.Context(), client.BackchannelOptions{LoginHint: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		if tokens, err := c.Poll(t.Context(), request); err != nil || tokens.Identity.Subject != p.Subject {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts endpoints of its own for a client that shows a certificate", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Metadata: set("mtls_endpoint_aliases", map[string]string{"token_endpoint": p.Issuer + "/mtls/token"})})
		if c := against(t, p, mtls); c.Metadata().TokenEndpoint != p.Issuer+"/mtls/token" || c.Metadata().PAREndpoint != p.Issuer+"/par" {
			t.Errorf("%+v", c.Metadata())
		}
		if c := against(t, p); c.Metadata().TokenEndpoint != p.Issuer+"/token" {
			t.Errorf("%+v", c.Metadata())
		}
	})
}

// TestConfig: what a profile forbids, or cannot work, is refused before anything is sent.
//
// Covers: RP-23.
func TestConfig(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	certificate, other := p.Certificate(), p.Certificate()
	rs256, err := client.NewKey(newRSA(t, 2048), "", "RS256")
	if err != nil {
		t.Fatal(err)
	}
	eddsa, err := client.GenerateKey("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		field  string
		change func(*client.Config)
	}{
		"no issuer":              {"Issuer", func(c *client.Config) { c.Issuer = "" }},
		"an issuer by http":      {"Issuer", func(c *client.Config) { c.Issuer = "http://127.0.0.1:1" }},
		"an issuer with a query": {"Issuer", func(c *client.Config) { c.Issuer += "?x" }},
		"no client":              {"ClientID", func(c *client.Config) { c.ClientID = "" }},
		"a redirect URI by http": {"RedirectURI", func(c *client.Config) { c.RedirectURI = "http://client.example/" }},
		"an unknown profile":     {"Profile", func(c *client.Config) { c.Profile = 99 }},
		"no authentication":      {"Auth", func(c *client.Config) { c.Auth = client.Auth{} }},
		"no key":                 {"Auth", func(c *client.Config) { c.Auth = client.PrivateKeyJWT(client.Key{}) }},
		"no certificate":         {"Auth", func(c *client.Config) { c.Auth = client.MTLS(tls.Certificate{}) }},
		"a secret":               {"Auth", func(c *client.Config) { c.Auth = client.ClientSecretBasic("secret") }},
		"a secret in the body":   {"Auth", func(c *client.Config) { c.Auth = client.ClientSecretPost("secret") }},
		"an empty secret": {"Auth", func(c *client.Config) {
			c.Profile, c.Weak.ClientSecret, c.Auth = client.Plain, true, client.ClientSecretBasic("")
		}},
		"a public client": {"Auth", func(c *client.Config) { c.Auth = client.NoAuth() }},
		"a key for RS256": {"Auth", func(c *client.Config) { c.Auth = client.PrivateKeyJWT(rs256) }},
		"EdDSA in FAPI 1": {"Auth", func(c *client.Config) {
			c.Profile, c.Binding, c.Auth = client.FAPI1Advanced, client.MTLSBoundWith(certificate), client.PrivateKeyJWT(eddsa)
		}},
		"a weak setting":               {"Weak.NoPAR", func(c *client.Config) { c.Weak.NoPAR = true }},
		"a weak setting of FAPI 1":     {"Weak.Bearer", func(c *client.Config) { c.Profile, c.Weak.Bearer = client.FAPI1Advanced, true }},
		"DPoP in FAPI 1":               {"Binding", func(c *client.Config) { c.Profile, c.Binding = client.FAPI1Advanced, client.DPoP(generated(t)) }},
		"FAPI 1 without a certificate": {"Binding", func(c *client.Config) { c.Profile = client.FAPI1Advanced }},
		"DPoP without a key":           {"Binding", func(c *client.Config) { c.Binding = client.DPoP(client.Key{}) }},
		"mTLS without a certificate":   {"Binding", func(c *client.Config) { c.Binding = client.MTLSBound() }},
		"two certificates":             {"Certificate", func(c *client.Config) { c.Auth, c.Binding = client.MTLS(certificate), client.MTLSBoundWith(other) }},
		"an unknown response mode":     {"ResponseMode", func(c *client.Config) { c.ResponseMode = "web_message" }},
		"an implicit response type":    {"ResponseType", func(c *client.Config) { c.ResponseType = "id_token" }},
		"code id_token in FAPI 2":      {"ResponseType", func(c *client.Config) { c.ResponseType = "code id_token" }},
		"plain code in FAPI 1": {"ResponseMode", func(c *client.Config) {
			c.Profile, c.Binding, c.ResponseType = client.FAPI1Advanced, client.MTLSBoundWith(certificate), "code"
		}},
		"code id_token without openid": {"Scopes", func(c *client.Config) {
			c.Profile, c.Binding, c.Scopes = client.FAPI1Advanced, client.MTLSBoundWith(certificate), []string{"accounts"}
		}},
		"signed requests without a key": {"RequestKey", func(c *client.Config) { c.Profile, c.Auth = client.FAPI2MessageSigning, client.MTLS(certificate) }},
		"ID tokens by RS256":            {"IDTokenAlgorithms", func(c *client.Config) { c.IDTokenAlgorithms = []string{"RS256"} }},
		"ID tokens by nothing":          {"IDTokenAlgorithms", func(c *client.Config) { c.IDTokenAlgorithms = []string{} }},
		"encryption without a key":      {"Decrypt", func(c *client.Config) { c.RequireIDTokenEncryption = true }},
		"an empty key to decrypt with":  {"Decrypt", func(c *client.Config) { c.Decrypt = []client.Decrypter{{}} }},
		"a tolerance of an hour":        {"ClockTolerance", func(c *client.Config) { c.ClockTolerance = time.Hour }},
		"a transport that trusts anybody": {"Transport", func(c *client.Config) {
			c.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		}},
		"a transport that dials TLS": {"Transport", func(c *client.Config) { c.Transport = &http.Transport{DialTLSContext: (&tls.Dialer{}).DialContext} }},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			config := fakeConfig(t, p)
			test.change(&config)
			_, err := client.New(t.Context(), config)
			if wrong, ok := errors.AsType[*client.ConfigError](err); !ok || wrong.Field != test.field {
				t.Errorf("%v, want a ConfigError of %s", err, test.field)
			}
		})
	}
	if asked := p.Requests("/.well-known/openid-configuration"); len(asked) > 0 {
		t.Errorf("the provider was asked %d times", len(asked))
	}
	t.Run("accepts the rest", func(t *testing.T) { against(t, p) })
}

// TestPlain: plain providers, each with what is named.
//
// Covers: RP-24.
func TestPlain(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	bare := func(m map[string]any) {
		for _, name := range []string{
			"pushed_authorization_request_endpoint", "authorization_response_iss_parameter_supported", "dpop_signing_alg_values_supported",
			"tls_client_certificate_bound_access_tokens", "code_challenge_methods_supported",
		} {
			delete(m, name)
		}
		m["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic", "client_secret_post"}
		m["id_token_signing_alg_values_supported"] = []string{"RS256"}
	}
	plain := func(c *client.Config) {
		c.Profile, c.Auth = client.Plain, client.ClientSecretBasic("secret+/ %")
		c.Weak = client.Weak{ClientSecret: true, NoPAR: true, NoIss: true, Bearer: true, UnannouncedPKCE: true, RS256: true}
	}
	rsaKey := newRSA(t, 2048)
	p.UseRS256(rsaKey)
	p.Behave(providertest.Behaviour{Metadata: bare})
	t.Run("accepts what is named", func(t *testing.T) {
		c := newClient(t, fakeConfig(t, p), plain)
		p.Behave(providertest.Behaviour{Metadata: bare, Answer: func(v url.Values) { v.Del("iss") }})
		address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if q := parsed.Query(); q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("client_id") != providertest.ClientID || q.Get("redirect_uri") == "" {
			t.Errorf("the request is %v", q)
		}
		tokens, err := c.Callback(t.Context(), transaction, p.Login(address))
		if err != nil {
			t.Fatal(err)
		}
		if tokens.TokenType != "Bearer" || tokens.JKT != "" || tokens.Identity == nil {
			t.Errorf("%+v", tokens)
		}
		asked := p.Requests("/token")
		user, password, ok := (&http.Request{Header: asked[len(asked)-1].Header}).BasicAuth()
		if !ok || user != providertest.ClientID || password != url.QueryEscape("secret+/ %") {
			t.Errorf("the client authenticated as %q with %q", user, password)
		}
		if c := newClient(t, fakeConfig(t, p), plain, func(c *client.Config) { c.Auth = client.ClientSecretPost("secret") }); c == nil {
			t.Error("no client")
		}
	})
	for _, name := range []string{"NoPAR", "NoIss", "Bearer", "UnannouncedPKCE", "RS256"} {
		t.Run("refuses it without "+name, func(t *testing.T) {
			config := fakeConfig(t, p)
			plain(&config)
			switch name {
			case "NoPAR":
				config.Weak.NoPAR = false
			case "NoIss":
				config.Weak.NoIss = false
			case "Bearer":
				config.Weak.Bearer = false
			case "UnannouncedPKCE":
				config.Weak.UnannouncedPKCE = false
			case "RS256":
				config.Weak.RS256 = false
			}
			p.Behave(providertest.Behaviour{Metadata: bare})
			_, err := client.New(t.Context(), config)
			weak, ok := errors.AsType[*client.WeakProviderError](err)
			if !ok || len(weak.Lacks) != 1 || !strings.Contains(weak.Lacks[0], "Weak."+name) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("refuses what is wrong all the same", func(t *testing.T) {
		c := newClient(t, fakeConfig(t, p), plain)
		for check, b := range map[string]providertest.Behaviour{
			"iss":        {Metadata: bare, Answer: func(v url.Values) { v.Set("iss", "https://attacker.example") }},
			"nonce":      {Metadata: bare, IDToken: set("nonce", "x")},
			"token_type": {Metadata: bare, Tokens: set("token_type", "mac")},
			"alg": {Metadata: bare, Signed: func(_, token string) string {
				return resign(token, map[string]any{"alg": "none"}, func(string) []byte { return nil })
			}},
		} {
			tokens, err := through(t, p, c, b, client.AuthorizeOptions{})
			wantCheck(t, tokens, err, check)
		}
	})
	t.Run("accepts a public client, whose refresh needs its DPoP key", func(t *testing.T) {
		full := providertest.New(t)
		public := func(c *client.Config) {
			c.Profile, c.Auth, c.Weak = client.Plain, client.NoAuth(), client.Weak{PublicClient: true}
		}
		c := against(t, full, public)
		tokens, err := through(t, full, c, providertest.Behaviour{}, client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Refresh(t.Context(), tokens, client.RefreshOptions{}); err != nil {
			t.Error(err)
		}
		if _, err := against(t, full, public).Refresh(t.Context(), tokens, client.RefreshOptions{}); err == nil {
			t.Error("another key refreshed")
		}
		if _, err := c.ClientCredentials(t.Context(), client.TokenOptions{}); err == nil {
			t.Error("a public client got a token for itself")
		}
	})
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// opaque is a signer that is nothing else, like one of an HSM.
type opaque struct{ crypto.Signer }

// TestKeys: where keys come from, and what of them is published.
//
// Covers: RP-25.
func TestKeys(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	rsaKey := newRSA(t, 2048)
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	made, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		raw       []byte
		algorithm string
	}{
		"PKCS#8 with RSA":     {pkcs8(rsaKey), "PS256"},
		"PKCS#8 with P-256":   {pkcs8(ec), "ES256"},
		"PKCS#8 with Ed25519": {pkcs8(ed), "EdDSA"},
		"PKCS#1":              {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}), "PS256"},
		"SEC 1":               {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), "ES256"},
		"a JWK":               {made.PrivateJWK(), "ES256"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, test.raw, 0o600); err != nil {
				t.Fatal(err)
			}
			key, err := client.LoadKey(path)
			if err != nil || key.Algorithm() != test.algorithm || key.ID() == "" {
				t.Errorf("%v, %v", key, err)
			}
		})
	}
	for name, raw := range map[string][]byte{
		"nothing": nil, "words": []byte("key"), "P-384": pkcs8(big),
		"a certificate":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
		"an encrypted key": pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}),
		"a damaged key":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
		"a public JWK":     made.PublicJWK(),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			key, err := client.ParseKey(raw)
			if _, ok := errors.AsType[*client.ConfigError](err); !ok || !key.IsZero() {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("accepts signers and functions", func(t *testing.T) {
		p := providertest.New(t)
		for _, private := range []crypto.Signer{opaque{rsaKey}, opaque{ec}, opaque{ed}} {
			key, err := client.NewKey(private, "kid-1", "")
			if err != nil {
				t.Fatal(err)
			}
			against(t, p, func(c *client.Config) { c.Auth = client.PrivateKeyJWT(key) })
			if text := fmt.Sprintf("%v %#v", key, key); !strings.Contains(text, "kid-1") || len(text) > 100 {
				t.Errorf("a key is shown as %s", text)
			}
		}
		function, err := client.KeyFunc(made.ID(), made.Algorithm(), made.Signer().Public(), made.SigningKey().Sign)
		if err != nil {
			t.Fatal(err)
		}
		c := against(t, p, func(c *client.Config) { c.Auth, c.Binding = client.PrivateKeyJWT(function), client.DPoP(function) })
		if _, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses keys that do not fit", func(t *testing.T) {
		for name, err := range map[string]error{
			"an algorithm of another kind": second(client.NewKey(ec, "", "PS256")),
			"no key":                       second(client.NewKey(nil, "", "")),
			"P-384":                        second(client.NewKey(big, "", "")),
			"a kid that is too long":       second(client.NewKey(ec, strings.Repeat("k", 300), "")),
			"no function":                  second(client.KeyFunc("", "", ec.Public(), nil)),
			"an unknown algorithm":         second(client.GenerateKey("HS256")),
			"ECDH on P-384":                second(client.NewDecrypter(big, "")),
			"X25519":                       second(client.NewDecrypter(newX25519(t), "")),
			"Ed25519 to decrypt":           second(client.NewDecrypter(ed, "")),
		} {
			if _, ok := errors.AsType[*client.ConfigError](err); !ok {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("accepts a key set with previous and next keys, without private halves", func(t *testing.T) {
		p := providertest.New(t)
		auth, request, retired, upcoming, dpop := generated(t), generated(t), generated(t), generated(t), generated(t)
		one, err := client.NewDecrypter(ec, "ec-1")
		if err != nil {
			t.Fatal(err)
		}
		two, err := client.NewDecrypter(rsaKey, "rsa-1")
		if err != nil {
			t.Fatal(err)
		}
		c := against(t, p, func(c *client.Config) {
			c.Auth, c.RequestKey, c.RetiredKeys, c.UpcomingKeys = client.PrivateKeyJWT(auth), request, []client.Key{retired}, []client.Key{upcoming, auth}
			c.Binding, c.Decrypt = client.DPoP(dpop), []client.Decrypter{one, two}
		})
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(c.Keys(), &set); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, key := range set.Keys {
			ids = append(ids, key["kid"].(string))
			if key["d"] != nil || key["p"] != nil || (key["use"] == "enc") != (key["kid"] == "ec-1" || key["kid"] == "rsa-1") {
				t.Errorf("%v is published", key)
			}
		}
		if want := []string{auth.ID(), request.ID(), upcoming.ID(), retired.ID(), "ec-1", "rsa-1"}; !slices.Equal(ids, want) {
			t.Errorf("%v are published, want %v", ids, want)
		}
		if parsed, err := jose.ParseKeySet(c.Keys()); err != nil || !parsed.Receive(jose.ECDHES) || !parsed.Receive(jose.RSAOAEP256) || len(parsed.LeftOut(false)) > 0 {
			t.Errorf("what is published cannot be used: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func newX25519(t *testing.T) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
