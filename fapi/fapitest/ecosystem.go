package fapitest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"countersign/internal/jose"
	"countersign/mtls"
)

// Offering has a server offer profiles by name, and trust the servers of the tests.
func Offering(names ...string) Option {
	return func(c *Config) {
		c.Profiles = names
		if certificate, err := serverTLS(); err == nil {
			c.OutboundRoots = x509.NewCertPool()
			c.OutboundRoots.AddCert(certificate.Leaf)
		}
	}
}

// KeysAt moves the keys of a client to a jwks_uri, which serves them until the test ends.
func KeysAt(t *testing.T) ClientOption {
	return func(_ *Client, m map[string]any) {
		set, ok := m["jwks"].(json.RawMessage)
		if !ok {
			t.Fatal("there are no keys to move")
		}
		host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(set) // the client has gone: ignored
		}))
		certificate, _ := ServerCertificate(t)
		host.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
		host.StartTLS()
		t.Cleanup(host.Close)
		delete(m, "jwks")
		m["jwks_uri"] = host.URL + "/jwks"
	}
}

// OfEcosystem registers a client as the ecosystems have it: with private_key_jwt and PS256, tokens bound to a certificate, and the
// scope openid alone.
func OfEcosystem(name string) ClientOption {
	return func(c *Client, m map[string]any) {
		CertificateBound(c, m)
		OfProfile(name)(c, m)
		c.Key = NewKey(c.World.T, jose.PS256)
		c.Scope, m["scope"], m["jwks"] = "openid", "openid", KeySet(c.Key.PublicJWK())
	}
}

// EncryptedTo registers for ID tokens that are encrypted to a recipient, beside the client's own keys.
func EncryptedTo(r Recipient, alg string) ClientOption {
	return func(c *Client, m map[string]any) {
		m["jwks"] = KeySet(c.Key.PublicJWK(), r.Public)
		m["id_token_encrypted_response_alg"], m["id_token_encrypted_response_enc"] = alg, jose.A256GCM
	}
}

// InteractionID names a call to a resource as ecosystems demand.
func InteractionID(header http.Header) {
	header.Set("x-fapi-interaction-id", "01234567-89ab-4cde-8f01-23456789abcd")
}

// Asking sends the claims parameter.
func Asking(claims string) Change {
	return func(form url.Values, _ http.Header) { form.Set("claims", claims) }
}

// Signed makes changes to a pushed request and signs it then.
func (c *Client) Signed(changes ...Change) Change {
	return func(form url.Values, header http.Header) {
		Changes(changes...)(form, header)
		c.Signing(nil)(form, header)
	}
}
