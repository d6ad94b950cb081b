package fapitest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"time"

	"countersign/fapi/registration"
	"countersign/internal/jose"
	"countersign/store"
)

// WithRegistration has a server offer dynamic registration, with initial access tokens and with certificates.
func WithRegistration(c *Config) {
	c.Registration = &registration.Settings{Scopes: []string{"openid", "offline_access", "profile", "accounts"}, CertificateQuota: 2}
}

// InitialToken issues an organisation an initial access token for a number of clients.
func (w *World) InitialToken(organisation string, clients int) string {
	w.T.Helper()
	token := RandomString() + RandomString()
	err := w.Store.PutInitialToken(context.Background(), store.InitialToken{
		ID: store.DigestOf(token), Organisation: organisation, Remaining: clients, CreatedAt: w.Clock.Now(), ExpiresAt: w.Clock.Now().Add(time.Hour),
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return token
}

// Applicant is an HTTP client that wants to register clients; with a certificate it uses the mTLS listener.
func (w *World) Applicant(certificate *tls.Certificate) *Client {
	w.T.Helper()
	c := &Client{World: w, Certificate: certificate}
	c.HTTP = w.Transport(c)
	return c
}

// RegistrationRequest is a good registration request (RFC 7591) for a client that authenticates with key; change, if it is not
// nil, alters it.
func RegistrationRequest(key jose.PrivateKey, change func(map[string]any)) map[string]any {
	body := map[string]any{
		"client_name": "Example", "redirect_uris": []string{"https://client.example/callback"}, "scope": "openid profile accounts offline_access",
		"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "private_key_jwt",
		"jwks": json.RawMessage(`{"keys":[` + string(key.PublicJWK()) + `]}`), "dpop_bound_access_tokens": true,
	}
	if change != nil {
		change(body)
	}
	return body
}

// RegisterSelf sends a registration request.
func (c *Client) RegisterSelf(bearer string, body any) Reply {
	c.World.T.Helper()
	return c.SendJSON(http.MethodPost, c.Base()+"/register", bearer, body, nil)
}

// RegisteredSelf sends one that must succeed.
func (c *Client) RegisteredSelf(bearer string, body map[string]any) Reply {
	c.World.T.Helper()
	r := c.RegisterSelf(bearer, body)
	if r.Status != http.StatusCreated {
		c.World.T.Fatalf("register: %d %s", r.Status, r.Raw)
	}
	return r
}
