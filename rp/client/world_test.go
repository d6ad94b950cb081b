package client_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/rp/client"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// keyOf is a key of a client of the world's.
func keyOf(t *testing.T, key jose.PrivateKey) client.Key {
	t.Helper()
	made, err := client.NewKey(key.Signer(), key.ID(), key.Algorithm())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// configOf configures a client of the world's as it is registered.
func configOf(t *testing.T, c *fapitest.Client) client.Config {
	t.Helper()
	config := client.Config{
		Issuer: c.World.Issuer, ClientID: c.ID, RedirectURI: c.RedirectURI, Scopes: strings.Fields(c.Scope),
		Roots: c.World.Roots, Now: c.World.Clock.Now,
	}
	if c.Assertion {
		config.Auth = client.PrivateKeyJWT(keyOf(t, c.Key))
	} else {
		config.Auth = client.MTLS(*c.Certificate)
	}
	switch {
	case c.DPoP:
		config.Binding = client.DPoP(keyOf(t, c.ProofKey))
	case c.Assertion:
		config.Binding = client.MTLSBoundWith(*c.Certificate)
	default:
		config.Binding = client.MTLSBound()
	}
	return config
}

// newClient makes one, with changes.
func newClient(t *testing.T, config client.Config, changes ...func(*client.Config)) *client.Client {
	t.Helper()
	for _, change := range changes {
		change(&config)
	}
	c, err := client.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answer goes to an address as a browser would, and gives what the client's callback gets.
func answer(t *testing.T, w *fapitest.World, address string) url.Values {
	t.Helper()
	status, body, sentTo := w.Browser().Visit(address)
	if sentTo == nil {
		t.Fatalf("the browser stayed, with status %d: %s", status, body)
	}
	if sentTo.Fragment != "" {
		return fapitest.Fragment(t, sentTo)
	}
	return sentTo.Query()
}

// login goes through an authorization.
func login(t *testing.T, w *fapitest.World, c *client.Client, options client.AuthorizeOptions) *client.Tokens {
	t.Helper()
	address, transaction, err := c.Authorize(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := c.Callback(t.Context(), stored(t, transaction), answer(t, w, address))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// stored is a value that was kept as JSON.
func stored[T any](t *testing.T, value T) T {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var read T
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// accounts calls the world's resource.
func accounts(t *testing.T, base string, c *client.Client, tokens *client.Tokens) {
	t.Helper()
	response, err := c.HTTP(tokens).Get(base + "/accounts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || !strings.Contains(string(body), "sub-") {
		t.Errorf("the resource answered %d %s", response.StatusCode, body)
	}
	if response.Header.Get("X-Fapi-Interaction-Id") == "" {
		t.Error("the resource got no x-fapi-interaction-id")
	}
}

// TestFAPI2Security goes through everything with the real server, authenticated and bound in each way.
//
// Covers: RP-01.
func TestFAPI2Security(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]fapitest.ClientOption{
		"accepts private_key_jwt with DPoP":              nil,
		"accepts tls_client_auth with mTLS":              fapitest.TLSClientAuth,
		"accepts self_signed_tls_client_auth with mTLS":  fapitest.SelfSignedTLSClientAuth,
		"accepts private_key_jwt with certificate bound": fapitest.CertificateBound,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := fapitest.NewFullWorld(t)
			registered := w.Register("client-1", change)
			c := newClient(t, configOf(t, registered))
			tokens := stored(t, *login(t, w, c, client.AuthorizeOptions{}))
			if tokens.Identity.Subject != "sub-alice" || tokens.Identity.SessionID == "" || tokens.RefreshToken == "" || tokens.Expired(w.Clock.Now(), 0) {
				t.Errorf("tokens %+v of %+v", tokens, tokens.Identity)
			}
			accounts(t, registered.Base(), c, &tokens)
			info, err := c.UserInfo(t.Context(), &tokens)
			if err != nil || info.Subject != "sub-alice" || !strings.Contains(string(info.Raw), "alice@example.com") {
				t.Errorf("UserInfo %+v, %v", info, err)
			}
			w.Clock.Advance(time.Hour)
			if !tokens.Expired(w.Clock.Now(), 0) {
				t.Error("the access token has not expired after an hour")
			}
			refreshed, err := c.Refresh(t.Context(), &tokens, client.RefreshOptions{})
			if err != nil {
				t.Fatal(err)
			}
			accounts(t, registered.Base(), c, refreshed)
			if refreshed.Identity == nil || refreshed.Identity.Subject != "sub-alice" || refreshed.RefreshToken == "" {
				t.Errorf("refreshed %+v", refreshed)
			}
			if err := c.Revoke(t.Context(), refreshed.RefreshToken, "refresh_token"); err != nil {
				t.Fatal(err)
			}
			_, err = c.Refresh(t.Context(), refreshed, client.RefreshOptions{})
			refused, ok := errors.AsType[*client.ProviderError](err)
			if !ok || refused.Code != "invalid_grant" || refused.Temporary() {
				t.Errorf("a revoked refresh token: %v", err)
			}
		})
	}
}
