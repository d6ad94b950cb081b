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

// managed is a registration that its client looks after.
type managed struct {
	*Client
	Token, Address, ID string
	// body is what was registered.
	body map[string]any
}

func (c *Client) Manages(bearer string, body map[string]any) managed {
	c.W.T.Helper()
	r := c.Enrolled(bearer, body)
	return managed{c, r.Text("registration_access_token"), r.Text("registration_client_uri"), r.Text("client_id"), body}
}

func (m managed) Read() Reply { return m.Send(http.MethodGet, m.Address, m.Token, nil, nil) }

func (m managed) Delete() Reply { return m.Send(http.MethodDelete, m.Address, m.Token, nil, nil) }

// replace sends what was registered with the client_id; change may alter it.
func (m managed) Replace(change func(map[string]any)) Reply {
	m.W.T.Helper()
	body := map[string]any{"client_id": m.ID}
	for name, value := range m.body {
		body[name] = value
	}
	if change != nil {
		change(body)
	}
	return m.Send(http.MethodPut, m.Address, m.Token, body, nil)
}

// offersRegistration offers dynamic registration, with initial access tokens and with certificates.
func OffersRegistration(c *FapiConfig, _ *AutoInteractor) {
	c.Registration = &registration.Settings{Scopes: []string{"openid", "offline_access", "profile", "accounts"}, CertificateQuota: 2}
}

// initialToken gives an organisation an initial access token for a number of clients.
func (w *World) InitialToken(organisation string, clients int) string {
	w.T.Helper()
	token := Random() + Random()
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
	c := &Client{W: w, Certificate: certificate}
	c.HTTP = w.Transport(c)
	return c
}

// organisation is an applicant with a certificate of the client CA.
func (w *World) Organisation(name string) *Client {
	certificate := w.ClientCA.Issue(w.T, name, w.Clock.Now())
	return w.Applicant(&certificate)
}

// enrolment is a registration request for a client that authenticates with key; change may alter it.
func Enrolment(key jose.PrivateKey, change func(map[string]any)) map[string]any {
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
func (c *Client) Send(method, address, bearer string, body any, change func(*http.Request)) Reply {
	c.W.T.Helper()
	var content []byte
	switch body := body.(type) {
	case nil:
	case string:
		content = []byte(body)
	default:
		var err error
		if content, err = json.Marshal(body); err != nil {
			c.W.T.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, address, bytes.NewReader(content))
	if err != nil {
		c.W.T.Fatal(err)
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
func (c *Client) Enrol(bearer string, body any) Reply {
	c.W.T.Helper()
	return c.Send(http.MethodPost, c.Base()+"/register", bearer, body, nil)
}

// enrolled is a client that registered itself.
func (c *Client) Enrolled(bearer string, body map[string]any) Reply {
	c.W.T.Helper()
	r := c.Enrol(bearer, body)
	if r.Status != http.StatusCreated {
		c.W.T.Fatalf("register: %d %s", r.Status, r.Raw)
	}
	return r
}

// played is the client application behind a registration.
func (w *World) Played(r Reply, key jose.PrivateKey) *Client {
	c := &Client{
		W: w, ID: r.Text("client_id"), RedirectURI: "https://client.example/callback", Scope: "openid profile accounts offline_access",
		Key: key, ProofKey: NewKey(w.T, jose.ES256), DPoP: true, Assertion: true,
	}
	c.HTTP = w.Transport(c)
	return c
}

func WantUnauthorised(t *testing.T, r Reply) {
	t.Helper()
	WantError(t, r, http.StatusUnauthorized, "invalid_token")
	if !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("challenged with %q", r.Header.Get("WWW-Authenticate"))
	}
}
