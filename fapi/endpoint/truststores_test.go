package endpoint_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/mtls"
)

// Covers: MT-03, MT-08. A client that publishes its keys at an address changes its certificate on the day that it likes, and keeps
// what it was granted; a certificate whose key nobody publishes is not let in by asking often.
func TestMT03SelfSignedByAddress(t *testing.T) {
	t.Parallel()
	var published atomic.Pointer[jose.KeySet]
	var fetched atomic.Int32
	certificate, roots := fapitest.ServerCertificate(t)
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		if err := json.NewEncoder(w).Encode(published.Load()); err != nil {
			t.Error(err)
		}
	}))
	host.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	host.StartTLS()
	t.Cleanup(host.Close)
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.OutboundRoots = roots })
	own := func(certificate tls.Certificate) jose.Key {
		key, err := jose.NewKey("own-"+certificate.Leaf.SerialNumber.String(), jose.ES256, certificate.Leaf.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	publish := func(keys ...jose.Key) {
		set := jose.NewKeySet(keys...)
		published.Store(&set)
	}
	c := w.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		fapitest.SelfSignedTLSClientAuth(c, m)
		delete(m, "jwks")
		m["jwks_uri"] = host.URL + "/jwks"
	})
	publish(own(*c.Certificate))
	issued := c.Tokens()
	next, foreign := fapitest.Authority{}.Issue(t, c.ID, w.Clock.Now()), fapitest.Authority{}.Issue(t, c.ID, w.Clock.Now())
	w.Clock.Advance(time.Minute / 2)
	before := fetched.Load()
	for range 5 {
		fapitest.TryAll(t, c.WithCertificate(&foreign).Push, fapitest.Bad("a key that is published nowhere", nil, 401, "invalid_client"))
	}
	if more := fetched.Load() - before; more != 1 {
		t.Errorf("five strangers caused %d fetches, want 1", more)
	}
	publish(own(*c.Certificate), own(next))
	fapitest.TryAll(t, c.WithCertificate(&next).Push, fapitest.Bad("the next certificate within the interval", nil, 401, "invalid_client"))
	w.Clock.Advance(time.Minute / 2)
	renewed := c.WithCertificate(&next)
	fapitest.TryAll(t, renewed.Push, fapitest.Good("the next certificate", nil))
	fapitest.TryAll(t, c.Push, fapitest.Good("the one before, while both are published", nil))
	if r := renewed.Refresh(issued.Text("refresh_token"), nil); r.Status != http.StatusOK {
		t.Errorf("refresh with the next certificate: %d %s", r.Status, r.Raw)
	}
}

// Covers: MT-01. Two ecosystems give one subject to two clients: a client is held to the trust store that it names, to no
// other.
func TestMT01TrustStores(t *testing.T) {
	t.Parallel()
	other := fapitest.NewAuthority(t, "Other ecosystem", time.Now())
	w := fapitest.NewWorld(t, fapitest.WithRegistration, func(c *fapitest.Config) {
		trust := c.ClientTrust
		trust.Roots = x509.NewCertPool()
		trust.Roots.AddCert(other.Certificate)
		c.TrustStores = map[string]mtls.Trust{"other": trust}
	})
	now := w.Clock.Now()
	theirs, ours := issueAs(t, other, now, nil), issueAs(t, w.ClientCA, now, nil)
	naming := func(store string) *fapitest.Client {
		return w.Register("client of "+store, func(c *fapitest.Client, m map[string]any) {
			fapitest.TLSClientAuth(c, m)
			m["tls_client_auth_subject_dn"] = "CN=client"
			if store != "" {
				m["tls_client_auth_trust_store"] = store
			}
		})
	}
	plain, named, gone := naming(""), naming("other"), naming("gone")
	fapitest.TryAll(t, named.WithCertificate(theirs).Push, fapitest.Good("the store that the client names", nil))
	fapitest.TryAll(t, plain.WithCertificate(ours).Push, fapitest.Good("the store of those who name none", nil))
	fapitest.TryAll(t, named.WithCertificate(ours).Push, fapitest.Bad("the store of others, with the same subject", nil, 401, "invalid_client"))
	fapitest.TryAll(t, plain.WithCertificate(theirs).Push, fapitest.Bad("a store that the client does not name, with the same subject", nil, 401, "invalid_client"))
	for _, certificate := range []*tls.Certificate{ours, theirs, nil} {
		fapitest.TryAll(t, gone.WithCertificate(certificate).Push, fapitest.Bad("a store that is not there any more", nil, 401, "invalid_client"))
	}
	token, c := w.InitialToken("Bank", 4), w.Applicant(nil)
	enrolling := func(store string) map[string]any {
		return fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), func(m map[string]any) {
			delete(m, "jwks")
			m["token_endpoint_auth_method"], m["tls_client_auth_subject_dn"], m["tls_client_auth_trust_store"] = "tls_client_auth", "CN=client", store
		})
	}
	t.Run("accepts to register with a store", func(t *testing.T) {
		if r := c.RegisteredSelf(token, enrolling("other")); r.Text("tls_client_auth_trust_store") != "other" {
			t.Errorf("%s", r.Raw)
		}
	})
	t.Run("refuses to register with a store that is not there", func(t *testing.T) {
		fapitest.WantError(t, c.RegisterSelf(token, enrolling("gone")), http.StatusBadRequest, "invalid_client_metadata")
	})
	fapitest.TryRegistration(t, "a store without a certificate", fapitest.SetClaim("tls_client_auth_trust_store", "other"), "tls_client_auth_trust_store")
}

// issueAs makes a client certificate that alter may change.
func issueAs(t *testing.T, a fapitest.Authority, now time.Time, alter func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	certificate := a.IssueAs(t, now, alter)
	return &certificate
}
