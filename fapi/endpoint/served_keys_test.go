package endpoint_test

import (
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/mtls"
)

// keyHost serves key sets; its answer is a handler that may be changed.
type keyHost struct {
	address string
	roots   *x509.CertPool
	answer  atomic.Pointer[http.HandlerFunc]
}

func newKeyHost(t *testing.T) *keyHost {
	t.Helper()
	host := &keyHost{}
	certificate, roots := fapitest.ServerCertificate(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*host.answer.Load())(w, r) }))
	server.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	server.StartTLS()
	t.Cleanup(server.Close)
	host.address, host.roots = server.URL+"/jwks", roots
	return host
}

func (h *keyHost) serve(answer http.HandlerFunc) { h.answer.Store(&answer) }

func (h *keyHost) publish(keys ...string) {
	h.serve(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[`+strings.Join(keys, ",")+`]}`)
	})
}

// Covers: FD-49, FD-43, FD-46. What a client's key server answers is used, or told to the client that wants a key of it.
func TestFD49ServedKeys(t *testing.T) {
	host := newKeyHost(t)
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.OutboundRoots = host.roots })
	byAddress := func(id string) *fapitest.Client {
		return w.Register(id, func(_ *fapitest.Client, m map[string]any) {
			delete(m, "jwks")
			m["jwks_uri"] = host.address
		})
	}
	c := byAddress("client-1")
	next := fapitest.NewKey(t, jose.ES256)
	own, symmetric := string(c.Key.PublicJWK()), `{"kty":"oct","kid":"mac","k":"AAAA"}`
	with := func(key jose.PrivateKey, kid string) fapitest.Change {
		return fapitest.Set("client_assertion", fapitest.HandSigned(t, map[string]any{"alg": "ES256", "kid": kid}, fapitest.Claims{
			"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": w.Clock.Now().Add(time.Minute).Unix()}, fapitest.ES256(t, key)))
	}
	answers := func(key jose.PrivateKey, kid, text string) {
		t.Helper()
		t.Run("refuses, and says: "+text, func(t *testing.T) {
			r := c.Push(with(key, kid))
			if r.Status != 401 || r.Text("error") != "invalid_client" || !strings.Contains(r.Text("error_description"), text) {
				t.Errorf("%d %s, want %q", r.Status, r.Raw, text)
			}
		})
	}
	host.publish(own, symmetric)
	fapitest.TryAll(t, c.Push, fapitest.Good("the key beside a symmetric one", with(c.Key, c.Key.ID())))
	answers(next, "mac", `no ES256 key with kid 'mac': key 2 (kid 'mac'): symmetric keys are not accepted`)
	t.Run("accepts, and logs the key that is left out once", func(t *testing.T) {
		if count := strings.Count(w.Logs.String(), `"msg":"client key left out"`); count != 1 {
			t.Errorf("%d lines", count)
		}
	})
	w.Clock.Advance(time.Minute)
	host.publish(own, string(next.PublicJWK()), `{"kty":"RSA","kid":"java","e":"AAEAAQ","n":"AA"}`)
	fapitest.TryAll(t, c.Push, fapitest.Good("a new key beside a wrong one", with(next, next.ID())), fapitest.Good("the one before", with(c.Key, c.Key.ID())))
	for text, answer := range map[string]http.HandlerFunc{
		"it answered with a redirect (301), which is not followed": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusMovedPermanently)
		},
		"it answered with status 503, not 200": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"it sent a compressed body":            func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "br") },
		"private members":                      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"keys":[%s]}`, next.PrivateJWK()) },
		"not a JSON object":                    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
	} {
		w.Clock.Advance(time.Minute)
		host.serve(answer)
		answers(next, "newer", "; the client's keys cannot be read: ")
		answers(next, "newer", text)
		fapitest.TryAll(t, c.Push, fapitest.Good("the known key while the host fails: "+text, with(c.Key, c.Key.ID())))
	}
	w.Clock.Advance(time.Minute)
	host.serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		packer := gzip.NewWriter(w)
		defer packer.Close()
		fmt.Fprintf(packer, "\xef\xbb\xbf{\"keys\":[%s%s]}", strings.Repeat(symmetric+",", 1500), strings.Replace(own, c.Key.ID(), "packed", 1))
	})
	fapitest.TryAll(t, c.Push, fapitest.Good("a large set with a byte order mark in gzip", with(c.Key, "packed")))
	host.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	w.Clock.Advance(48 * time.Hour)
	answers(c.Key, "packed", "the client's keys cannot be read: the key set could not be fetched from jwks_uri: it answered with status 404, not 200")
}

// selfSigned is a certificate on a curve, and the JWK of its key.
func selfSigned(t *testing.T, curve elliptic.Curve, now time.Time, use string) (*tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	leaf := fapitest.SignCertificate(t, template, template, key.Public(), key)
	raw, err := jose.Key{ID: curve.Params().Name, Use: use, Public: key.Public()}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, string(raw)
}

// Covers: FD-45, MT-03. A self-signed certificate on P-384, and one whose key has use tls, is the client's; that of a stranger
// is not, and the answer names the keys that are of no use.
func TestFD45SelfSignedCertificates(t *testing.T) {
	w := fapitest.NewWorld(t)
	for name, test := range map[string]struct {
		curve elliptic.Curve
		use   string
	}{"P-384": {elliptic.P384(), "sig"}, "P-521 of use tls": {elliptic.P521(), "tls"}, "P-256 of use tls": {elliptic.P256(), "tls"}} {
		certificate, jwk := selfSigned(t, test.curve, w.Clock.Now(), test.use)
		stranger, _ := selfSigned(t, test.curve, w.Clock.Now(), test.use)
		c := w.Register("client of "+name, func(c *fapitest.Client, m map[string]any) {
			fapitest.SelfSignedTLSClientAuth(c, m)
			c.Certificate = certificate
			m["jwks"] = json.RawMessage(`{"keys":[` + jwk + `,{"kty":"oct","kid":"mac"}]}`)
		})
		fapitest.TryAll(t, c.Push, fapitest.Good("a certificate on "+name, nil))
		fapitest.TryAll(t, c.WithCertificate(stranger).Push, fapitest.Bad("another certificate on "+name, nil, 401, "invalid_client"))
		if r := c.WithCertificate(stranger).Push(nil); !strings.Contains(r.Raw, `not usable: key 2 (kid 'mac')`) {
			t.Errorf("the answer names no key: %s", r.Raw)
		}
	}
}

// Covers: FD-47. Certificates and thumbprints in the header of an assertion choose no key, and refuse nothing.
func TestFD47CertificatesInHeaders(t *testing.T) {
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	attacker := fapitest.NewKey(t, jose.ES256)
	for name, header := range map[string]map[string]any{
		"an x5c": {"x5c": []string{"MIIB..."}}, "an x5c of one string": {"x5c": "AAAA"}, "an x5t": {"x5t": "AAAA"}, "an x5t#S256": {"x5t#S256": attacker.ID()},
		"all of them": {"x5c": []string{}, "x5t": "AAAA", "x5t#S256": "AAAA"},
	} {
		signing := func(key jose.PrivateKey, kid string) fapitest.Change {
			header["alg"], header["kid"] = "ES256", kid
			return fapitest.Set("client_assertion", fapitest.HandSigned(t, header, fapitest.Claims{
				"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": w.Clock.Now().Add(time.Minute).Unix()}, fapitest.ES256(t, key)))
		}
		fapitest.TryAll(t, c.Push, fapitest.Good(name+" beside the kid", signing(c.Key, c.Key.ID())),
			fapitest.Bad(name+" of another key", signing(attacker, c.Key.ID()), 401, "invalid_client"),
			fapitest.Bad(name+" and its kid", signing(attacker, attacker.ID()), 401, "invalid_client"))
	}
}
