package fapitest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/registration"
	"countersign/internal/jose"
	"countersign/store"
)

// offersRegistration offers dynamic registration, with initial access tokens and with certificates.
func WithRegistration(c *Config, _ *AutoInteractor) {
	c.Registration = &registration.Settings{Scopes: []string{"openid", "offline_access", "profile", "accounts"}, CertificateQuota: 2}
}

// initialToken gives an organisation an initial access token for a number of clients.
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

// applicant is somebody who wants to register clients; with a certificate it uses the mTLS listener.
func (w *World) Applicant(certificate *tls.Certificate) *Client {
	w.T.Helper()
	c := &Client{World: w, Certificate: certificate}
	c.HTTP = w.Transport(c)
	return c
}

// enrolment is a registration request for a client that authenticates with key; change may alter it.
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

// send sends JSON with a bearer token, if it is not empty; body is nil, text, or what is to be encoded.
func (c *Client) SendJSON(method, address, bearer string, body any, change func(*http.Request)) Reply {
	c.World.T.Helper()
	var content []byte
	switch body := body.(type) {
	case nil:
	case string:
		content = []byte(body)
	default:
		var err error
		if content, err = json.Marshal(body); err != nil {
			c.World.T.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, address, bytes.NewReader(content))
	if err != nil {
		c.World.T.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	if change != nil {
		change(request)
	}
	return c.Do(request)
}

// enrol sends a registration request.
func (c *Client) RegisterSelf(bearer string, body any) Reply {
	c.World.T.Helper()
	return c.SendJSON(http.MethodPost, c.Base()+"/register", bearer, body, nil)
}

// enrolled is a client that registered itself.
func (c *Client) RegisteredSelf(bearer string, body map[string]any) Reply {
	c.World.T.Helper()
	r := c.RegisterSelf(bearer, body)
	if r.Status != http.StatusCreated {
		c.World.T.Fatalf("register: %d %s", r.Status, r.Raw)
	}
	return r
}

func WantUnauthorized(t *testing.T, r Reply) {
	t.Helper()
	WantError(t, r, http.StatusUnauthorized, "invalid_token")
	if !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("challenged with %q", r.Header.Get("WWW-Authenticate"))
	}
}
