package client_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// TestResources: what the client for resources sends, and where to.
//
// Covers: RP-26.
func TestResources(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := against(t, p)
	tokens, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	last := func() providertest.Request {
		all := p.Requests("/resource")
		return all[len(all)-1]
	}
	t.Run("accepts a request with a proof for it alone", func(t *testing.T) {
		response, err := c.HTTP(tokens).Get(p.Issuer + "/resource?account=1#part")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		sent := last()
		if sent.Header.Get("Authorization") != "DPoP "+tokens.AccessToken || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(sent.Header.Get("X-Fapi-Interaction-Id")) {
			t.Errorf("%v", sent.Header)
		}
		var proof struct{ HTM, HTU, ATH, JTI string }
		claimsOf(t, sent.Header.Get("DPoP"), &proof)
		if proof.HTM != "GET" || proof.HTU != p.Issuer+"/resource" || proof.ATH == "" || proof.JTI == "" {
			t.Errorf("%+v", proof)
		}
	})
	t.Run("accepts an interaction id of each request to the provider", func(t *testing.T) {
		seen := map[string]bool{}
		for _, path := range []string{"/par", "/token"} {
			for _, sent := range p.Requests(path) {
				id := sent.Header.Get("X-Fapi-Interaction-Id")
				if id == "" || seen[id] {
					t.Errorf("%s had %q", path, id)
				}
				seen[id] = true
			}
		}
	})
	t.Run("accepts the caller's own interaction id, and changes nothing of the caller's", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Issuer+"/resource", strings.NewReader("amount=1"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Fapi-Interaction-Id", "mine")
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := c.HTTP(tokens).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if sent := last(); sent.Header.Get("X-Fapi-Interaction-Id") != "mine" || sent.Form.Get("amount") != "1" {
			t.Errorf("%+v", sent)
		}
		if len(request.Header) != 2 {
			t.Errorf("the request has now %v", request.Header)
		}
	})
	t.Run("accepts nonces, with the body again", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Nonce: "nonce-1"})
		defer p.Behave(providertest.Behaviour{})
		for range 2 { // the second time the nonce is known
			before := len(p.Requests("/resource"))
			response, err := c.HTTP(tokens).Post(p.Issuer+"/resource", "application/x-www-form-urlencoded", strings.NewReader("amount=2"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"amount":["2"]`) {
				t.Errorf("%d %s %v", response.StatusCode, body, err)
			}
			if sent := len(p.Requests("/resource")) - before; sent > 2 {
				t.Errorf("%d requests", sent)
			}
		}
	})
	t.Run("refuses to send again what cannot be read again", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Nonce: "nonce-2"})
		defer p.Behave(providertest.Behaviour{})
		response, err := c.HTTP(tokens).Post(p.Issuer+"/resource", "text/plain", io.MultiReader(bytes.NewReader([]byte("once"))))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", response.StatusCode)
		}
	})
	t.Run("refuses to ask for ever", func(t *testing.T) {
		var asked atomic.Int32
		p.Behave(providertest.Behaviour{Handle: at("/resource", func(w http.ResponseWriter) {
			w.Header().Set("DPoP-Nonce", fmt.Sprint("n", asked.Add(1)))
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
		})})
		defer p.Behave(providertest.Behaviour{})
		response, err := c.HTTP(tokens).Get(p.Issuer + "/resource")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if asked.Load() != 2 {
			t.Errorf("%d requests", asked.Load())
		}
	})
	t.Run("refuses to follow a redirect with the token", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Handle: at("/resource", func(w http.ResponseWriter) {
			w.Header().Set("Location", p.Issuer+"/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		})})
		defer p.Behave(providertest.Behaviour{})
		response, err := c.HTTP(tokens).Get(p.Issuer + "/resource")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusTemporaryRedirect || len(p.Requests("/elsewhere")) > 0 {
			t.Errorf("status %d", response.StatusCode)
		}
	})
	t.Run("refuses http", func(t *testing.T) {
		reached := false
		plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
		defer plain.Close()
		_, err := c.HTTP(tokens).Get(plain.URL)
		if _, ok := errors.AsType[*client.ConfigError](err); !ok || reached {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses without a token", func(t *testing.T) {
		for _, none := range []*client.Tokens{nil, {}} {
			_, err := c.HTTP(none).Get(p.Issuer + "/resource")
			if _, ok := errors.AsType[*client.ConfigError](err); !ok {
				t.Errorf("%v", err)
			}
		}
	})
	t.Run("accepts a certificate in place of proofs", func(t *testing.T) {
		certificate := p.Certificate()
		c := against(t, p, func(c *client.Config) { c.Binding = client.MTLSBoundWith(certificate) })
		tokens, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.HTTP(tokens).Get(p.Issuer + "/resource")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		sent := last()
		if sent.Header.Get("Authorization") != "Bearer "+tokens.AccessToken || sent.Header.Get("DPoP") != "" || sent.Certificate == nil || !bytes.Equal(sent.Certificate.Raw, certificate.Certificate[0]) {
			t.Errorf("%+v", sent)
		}
	})
}

// claimsOf reads the payload of a JWT.
func claimsOf(t *testing.T, token string, into any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// TestMetadataRenewed: metadata are read again in time, and only what is as good is taken.
//
// Covers: RP-27.
func TestMetadataRenewed(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	said := lines(make(chan string, 8))
	c := against(t, p, func(c *client.Config) { c.Logger = slog.New(slog.NewTextHandler(said, nil)) })
	renew := func(t *testing.T) {
		t.Helper()
		p.Advance(11 * time.Minute)
		if _, _, err := c.Authorize(t.Context(), client.AuthorizeOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("accepts an endpoint that moved", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Metadata: set("userinfo_endpoint", p.Issuer+"/moved")})
		renew(t)
		for deadline := time.Now().Add(10 * time.Second); c.Metadata().UserInfoEndpoint != p.Issuer+"/moved"; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it is still at %s", c.Metadata().UserInfoEndpoint)
			}
		}
	})
	for name, b := range map[string]providertest.Behaviour{
		"what has become weaker": {Metadata: func(m map[string]any) {
			m["userinfo_endpoint"] = p.Issuer + "/weaker"
			delete(m, "authorization_response_iss_parameter_supported")
		}},
		"another issuer's": {Metadata: func(m map[string]any) {
			m["userinfo_endpoint"] = "https://attacker.example/"
			m["issuer"] = "https://attacker.example"
		}},
		"what cannot be read": {Handle: at("/.well-known/openid-configuration", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			p.Behave(b)
			renew(t)
			select {
			case line := <-said:
				if !strings.Contains(line, "provider metadata not renewed; keeping previous metadata") {
					t.Errorf("it said %s", line)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("nothing was said")
			}
			if at := c.Metadata().UserInfoEndpoint; at != p.Issuer+"/moved" {
				t.Errorf("it is at %s now", at)
			}
		})
	}
}

// lines is a log whose lines can be waited for.
type lines chan string

// Write implements io.Writer.
func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}
