package fapitest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"testing"

	"countersign/fapi/client"
	"countersign/internal/jose"
	"countersign/store"
)

// ClientOption changes what is registered of a client before it is registered. metadata is its RFC 7591 metadata, with the
// additional member "profile".
type ClientOption = func(c *Client, metadata map[string]any)

// Client is a client application.
type Client struct {
	World         *World
	ID            string
	RedirectURI   string
	Scope         string
	Key           jose.PrivateKey // for private_key_jwt
	ProofKey      jose.PrivateKey // for DPoP
	Certificate   *tls.Certificate
	DPoP          bool // proves ProofKey with every request
	AtMTLS        bool // uses the mTLS listener even without a certificate
	Assertion     bool // authenticates with private_key_jwt
	SignsRequests bool // its profile may have it sign its requests
	HTTP          *http.Client
}

// Register registers a client of the code flow with private_key_jwt and DPoP; change, if it is not nil, alters it.
func (w *World) Register(id string, change ClientOption) *Client {
	w.T.Helper()
	c := &Client{
		World: w, ID: id, RedirectURI: "https://client.example/callback", Scope: "openid profile email accounts offline_access",
		Key: NewKey(w.T, jose.ES256), ProofKey: NewKey(w.T, jose.ES256), DPoP: true, Assertion: true,
	}
	metadata := map[string]any{
		"client_name": "Example " + id, "redirect_uris": []string{c.RedirectURI}, "scope": c.Scope,
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": KeySet(c.Key.PublicJWK()),
		"dpop_bound_access_tokens": true,
	}
	if change != nil {
		change(c, metadata)
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		w.T.Fatal(err)
	}
	profile, ok := metadata["profile"].(string)
	if !ok {
		profile = "fapi2-security"
	}
	if _, err := client.Parse(id, profile, body); err != nil {
		w.T.Fatal(err)
	}
	if err := w.Store.PutClient(context.Background(), store.Client{ID: id, Profile: profile, Metadata: body, Version: 1, CreatedAt: w.Clock.Now(), UpdatedAt: w.Clock.Now()}); err != nil {
		w.T.Fatal(err)
	}
	c.HTTP = w.Transport(c)
	return c
}

// RegisterFor registers a client as the holder of an initial access token would.
func (w *World) RegisterFor(organisation, id string, change ClientOption) *Client {
	w.T.Helper()
	c := w.Register(id, change)
	record, err := w.Store.Client(context.Background(), id)
	if err != nil {
		w.T.Fatal(err)
	}
	record.Organisation, record.Version = organisation, record.Version+1
	if err := w.Store.PutClient(context.Background(), record); err != nil {
		w.T.Fatal(err)
	}
	return c
}

// ResourceServer registers a resource server, which may introspect and nothing else.
func (w *World) ResourceServer(id string, identifiers ...string) *Client {
	w.T.Helper()
	return w.Register(id, func(c *Client, m map[string]any) {
		c.DPoP = false
		m["resource_identifiers"], m["grant_types"] = identifiers, []string{}
		for _, name := range []string{"redirect_uris", "response_types", "dpop_bound_access_tokens", "scope"} {
			delete(m, name)
		}
	})
}

// Transport makes an HTTP client that shows c's certificate, if it has one.
func (w *World) Transport(c *Client) *http.Client {
	config := &tls.Config{RootCAs: w.Roots}
	if c.Certificate != nil {
		config.Certificates = []tls.Certificate{*c.Certificate}
	}
	transport := &http.Transport{TLSClientConfig: config}
	w.T.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Base is the base URL of the listener that the client uses.
func (c *Client) Base() string {
	if c.Certificate != nil || c.AtMTLS {
		return c.World.MTLSIssuer
	}
	return c.World.Issuer
}

// WithCertificate is the client with another certificate, or with none, at the mTLS listener.
func (c *Client) WithCertificate(certificate *tls.Certificate) *Client {
	other := *c
	other.Certificate, other.AtMTLS = certificate, true
	other.HTTP = c.World.Transport(&other)
	return &other
}

// NewKey makes a private key for an algorithm.
func NewKey(t *testing.T, alg string) jose.PrivateKey {
	t.Helper()
	key, err := jose.NewPrivateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// All makes several changes.
func All(changes ...ClientOption) ClientOption {
	return func(c *Client, m map[string]any) {
		for _, change := range changes {
			if change != nil {
				change(c, m)
			}
		}
	}
}

// SetMember changes one member of the metadata; nil removes it.
func SetMember(name string, value any) ClientOption {
	return func(_ *Client, m map[string]any) { SetClaim(name, value)(m) }
}

// OfProfile registers for a profile.
func OfProfile(name string) ClientOption {
	return func(c *Client, m map[string]any) { c.SignsRequests, m["profile"] = name != "fapi2-security", name }
}

// AllScopes lets a client ask for every scope and every type of authorization_details.
func AllScopes(c *Client, m map[string]any) {
	c.Scope = "openid profile email accounts payments offline_access"
	m["scope"] = c.Scope
	m["authorization_details_types"] = []string{"payment_initiation", "account_information"}
}

// PlainOpenID is a client that asks for the scope openid only, and may ask for every claim by name.
func PlainOpenID(c *Client, m map[string]any) {
	c.Scope, m["scope"] = "openid", "openid profile email phone address"
}

// ClientCredentialsOnly is a client that only acts for itself.
func ClientCredentialsOnly(c *Client, m map[string]any) {
	c.Scope = "accounts payments"
	m["scope"], m["grant_types"] = c.Scope, []string{"client_credentials"}
	delete(m, "redirect_uris")
	delete(m, "response_types")
}

// TLSClientAuth makes the client one of mutual TLS, with an issued certificate (RFC 8705 §2.1).
func TLSClientAuth(c *Client, metadata map[string]any) {
	CertificateBound(c, metadata)
	c.Assertion = false
	delete(metadata, "jwks")
	metadata["token_endpoint_auth_method"] = "tls_client_auth"
	metadata["tls_client_auth_subject_dn"] = "CN=" + c.ID
}

// SelfSignedTLSClientAuth makes the client one of mutual TLS with a self-signed certificate (RFC 8705 §2.2).
func SelfSignedTLSClientAuth(c *Client, m map[string]any) {
	TLSClientAuth(c, m)
	certificate := Authority{}.Issue(c.World.T, c.ID, c.World.Clock.Now())
	c.Certificate = &certificate
	key, err := jose.NewKey("own", jose.ES256, certificate.Leaf.PublicKey)
	if err != nil {
		c.World.T.Fatal(err)
	}
	m["jwks"] = jose.NewKeySet(key)
	m["token_endpoint_auth_method"] = "self_signed_tls_client_auth"
	delete(m, "tls_client_auth_subject_dn")
}

// CertificateBound binds a client's tokens to its certificate, however it authenticates.
func CertificateBound(c *Client, m map[string]any) {
	certificate := c.World.ClientCA.Issue(c.World.T, c.ID, c.World.Clock.Now())
	c.Certificate, c.DPoP = &certificate, false
	delete(m, "dpop_bound_access_tokens")
	m["tls_client_certificate_bound_access_tokens"] = true
}

// OptionalSigning registers a client of FAPI 2.0 Message Signing that also sends unsigned requests.
func OptionalSigning(c *Client, m map[string]any) {
	OfProfile("fapi2-message-signing")(c, m)
	m["require_signed_request_object"] = false
}

// FAPI1Advanced registers a client of FAPI 1.0 Advanced for response_type "code id_token", with private_key_jwt and tokens bound
// to a certificate.
func FAPI1Advanced(c *Client, m map[string]any) {
	CertificateBound(c, m)
	m["profile"], m["response_types"] = "fapi1-advanced", []string{"code id_token"}
}

// SignedUserInfo registers for JWTs from UserInfo.
func SignedUserInfo(_ *Client, m map[string]any) { m["userinfo_signed_response_alg"] = "PS256" }

// HTTPSigning registers a client that signs its requests to resources.
func HTTPSigning(_ *Client, m map[string]any) { m["http_message_signatures"] = true }

// AllProfiles has a server offer every profile.
func AllProfiles(c *Config) {
	c.Profiles = []string{"fapi2-security", "fapi2-message-signing", "fapi1-advanced"}
}
