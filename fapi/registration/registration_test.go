package registration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
	"countersign/fapi/endpoint"
	"countersign/fapi/fapitest"
	"countersign/fapi/registration"
	"countersign/internal/jose"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// TestDR01RegistrationIsProtected: who registers has to show an initial access token or a trusted certificate
// (RFC 7591 §3).
func TestDR01RegistrationIsProtected(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	token := w.InitialToken("Bank", 100)
	key := fapitest.NewKey(t, jose.ES256)
	body := fapitest.RegistrationRequest(key, nil)
	anybody := w.Applicant(nil)

	t.Run("accepts an initial access token", func(t *testing.T) {
		r := anybody.RegisteredSelf(token, body)
		id := r.Text("client_id")
		if id == "" || r.Text("registration_access_token") == "" || r.Text("registration_client_uri") != w.Issuer+"/register/"+id {
			t.Errorf("the answer is not complete: %s", r.Raw)
		}
		if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", r.Header)
		}
		if r.Body["client_id_issued_at"] != float64(w.Clock.Now().Unix()) {
			t.Errorf("client_id_issued_at %v", r.Body["client_id_issued_at"])
		}
		record, err := w.Store.Client(t.Context(), id)
		if err != nil || record.Organisation != "Bank" || record.AccessToken != store.DigestOf(r.Text("registration_access_token")) {
			t.Errorf("stored %+v, %v", record, err)
		}
		if again := anybody.RegisteredSelf(token, body); again.Text("client_id") == id || again.Text("registration_access_token") == r.Text("registration_access_token") {
			t.Error("two registrations got the same client")
		}
	})
	t.Run("accepts an initial access token on the mTLS listener", func(t *testing.T) {
		c := w.Applicant(nil)
		c.AtMTLS = true
		if r := c.RegisteredSelf(token, body); !strings.HasPrefix(r.Text("registration_client_uri"), w.Issuer) {
			t.Errorf("to be managed at %s", r.Text("registration_client_uri"))
		}
	})
	t.Run("accepts a certificate on the mTLS listener", func(t *testing.T) {
		r := organisation(w, "Insurance").RegisteredSelf("", body)
		record, err := w.Store.Client(t.Context(), r.Text("client_id"))
		if err != nil || record.Organisation != "x509:CN=Insurance" {
			t.Errorf("stored %+v, %v", record, err)
		}
		if !strings.HasPrefix(r.Text("registration_client_uri"), w.MTLSIssuer+"/register/") {
			t.Errorf("to be managed at %s, where no certificate can be shown", r.Text("registration_client_uri"))
		}
	})
	t.Run("accepts what the registered client then does", func(t *testing.T) {
		c := played(w, anybody.RegisteredSelf(token, body), key)
		if r := c.Get("/accounts", c.Tokens().Text("access_token"), nil); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})

	t.Run("refuses nobody in particular", func(t *testing.T) {
		r := anybody.RegisterSelf("", body)
		fapitest.WantUnauthorized(t, r)
		if r.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("challenged with %q though nothing was shown (RFC 6750 §3.1)", r.Header.Get("WWW-Authenticate"))
		}
	})
	t.Run("refuses an unknown token", func(t *testing.T) { fapitest.WantUnauthorized(t, anybody.RegisterSelf(fapitest.RandomString(), body)) })
	t.Run("refuses the token in the address", func(t *testing.T) {
		fapitest.WantUnauthorized(t, anybody.SendJSON(http.MethodPost, w.Issuer+"/register?access_token="+token, "", body, nil))
	})
	for name, header := range map[string][]string{
		"another scheme":         {"DPoP " + token},
		"no token in the header": {"Bearer "},
		"two headers":            {"Bearer " + token, "Bearer " + token},
		"an endless token":       {"Bearer " + strings.Repeat("a", 600)},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			fapitest.WantUnauthorized(t, anybody.SendJSON(http.MethodPost, w.Issuer+"/register", "", body, func(r *http.Request) { r.Header["Authorization"] = header }))
		})
	}
	t.Run("refuses a wrong token beside a good certificate", func(t *testing.T) {
		fapitest.WantUnauthorized(t, organisation(w, "Insurance").RegisterSelf(fapitest.RandomString(), body))
	})
	t.Run("refuses the mTLS listener without a certificate", func(t *testing.T) {
		c := w.Applicant(nil)
		c.AtMTLS = true
		fapitest.WantUnauthorized(t, c.RegisterSelf("", body))
	})
	t.Run("refuses a certificate of an authority that is not trusted", func(t *testing.T) {
		certificate := fapitest.NewAuthority(t, "Other CA", w.Clock.Now()).Issue(t, "Insurance", w.Clock.Now())
		fapitest.WantUnauthorized(t, w.Applicant(&certificate).RegisterSelf("", body))
	})
	t.Run("refuses a certificate that names nobody", func(t *testing.T) {
		certificate := nameless(t, w)
		fapitest.WantUnauthorized(t, w.Applicant(&certificate).RegisterSelf("", body))
	})
	t.Run("refuses a registration access token", func(t *testing.T) {
		r := anybody.RegisteredSelf(token, body)
		fapitest.WantUnauthorized(t, anybody.RegisterSelf(r.Text("registration_access_token"), body))
	})
	t.Run("refuses an expired token", func(t *testing.T) {
		w.Clock.Advance(time.Hour)
		fapitest.WantUnauthorized(t, anybody.RegisterSelf(token, body))
	})
	if strings.Contains(w.Logs.String(), token) {
		t.Error("the initial access token is in the log")
	}
}

// nameless is a trusted certificate with an empty subject.
func nameless(t *testing.T, w *fapitest.World) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := fapitest.SignCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: w.Clock.Now().Add(-time.Hour), NotAfter: w.Clock.Now().Add(time.Hour), DNSNames: []string{"nobody.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}, w.ClientCA.Certificate, key.Public(), w.ClientCA.Key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// TestDR01RegistrationIsAnOffer: without it the endpoints do not exist; with it they are advertised.
func TestDR01RegistrationIsAnOffer(t *testing.T) {
	t.Parallel()
	t.Run("refuses where it is not offered", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t)
		c := w.Applicant(nil)
		for _, path := range []string{"/register", "/register/6ba7b810-9dad-41d1-80b4-00c04fd430c8"} {
			fapitest.WantError(t, c.SendJSON(http.MethodPost, w.Issuer+path, fapitest.RandomString(), fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil), nil), http.StatusNotFound, "invalid_request")
		}
		if r := c.SendJSON(http.MethodGet, w.Issuer+"/.well-known/openid-configuration", "", nil, nil); r.Status != http.StatusOK || strings.Contains(r.Raw, "registration_endpoint") {
			t.Errorf("advertised: %s", r.Raw)
		}
	})
	t.Run("accepts where it is offered", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, fapitest.WithRegistration)
		r := w.Applicant(nil).SendJSON(http.MethodGet, w.Issuer+"/.well-known/openid-configuration", "", nil, nil)
		aliases, _ := r.Body["mtls_endpoint_aliases"].(map[string]any)
		if r.Text("registration_endpoint") != w.Issuer+"/register" || aliases["registration_endpoint"] != w.MTLSIssuer+"/register" {
			t.Errorf("advertised: %s", r.Raw)
		}
	})
	t.Run("refuses certificates where only tokens are offered", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.Registration = &registration.Settings{} })
		fapitest.WantUnauthorized(t, organisation(w, "Insurance").RegisterSelf("", fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil)))
		w.Applicant(nil).RegisteredSelf(w.InitialToken("Bank", 1), fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil))
	})
	t.Run("accepts certificates of an authority of their own", func(t *testing.T) {
		t.Parallel()
		var w *fapitest.World
		other := fapitest.NewAuthority(t, "Organisations", time.Now())
		w = fapitest.NewWorld(t, func(c *fapitest.Config) {
			trust := c.ClientTrust
			trust.Roots = x509.NewCertPool()
			trust.Roots.AddCert(other.Certificate)
			c.Registration = &registration.Settings{CertificateQuota: 1, CertificateTrust: &trust}
		})
		certificate := other.Issue(t, "Insurance", w.Clock.Now())
		w.Applicant(&certificate).RegisteredSelf("", fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil))
		fapitest.WantUnauthorized(t, organisation(w, "Insurance").RegisterSelf("", fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil)))
	})
}

// TestRegistrationSettings: a server that is set up wrongly does not start.
func TestRegistrationSettings(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	keys, err := signer.New(t.Context(), signer.Config{Catalogue: fapitest.Catalogue{Store: w.Store}, Replicas: []signer.Replica{{Backend: w.Backend}}, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		settings registration.Settings
		mtls     string
		wrong    string
	}{
		"all defaults":                {registration.Settings{}, "", ""},
		"certificates":                {registration.Settings{CertificateQuota: 1}, "https://mtls.example", ""},
		"an unknown profile":          {registration.Settings{Profile: "fapi3"}, "", "Registration.Profile"},
		"an unknown scope":            {registration.Settings{Scopes: []string{"openid", "nothing"}}, "", `no scope "nothing"`},
		"an unknown type":             {registration.Settings{AuthorizationDetailsTypes: []string{"payment"}}, "", `no type "payment"`},
		"a negative quota":            {registration.Settings{CertificateQuota: -1}, "", "CertificateQuota"},
		"certificates and no address": {registration.Settings{CertificateQuota: 1}, "", "MTLSIssuer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fapi.New(t.Context(), fapi.Config{
				Issuer: "https://id.example", MTLSIssuer: test.mtls, Certificates: mtls.Direct(),
				Store: w.Store, Signer: keys, Interactor: &fapitest.User{}, Registration: &test.settings,
			})
			switch {
			case test.wrong == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
				t.Errorf("%v does not name %s", err, test.wrong)
			}
		})
	}
}

// TestDR08Quotas: each organisation registers as many clients as it may, however it asks.
func TestDR08Quotas(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	body := fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil)
	quota := func(t *testing.T, r fapitest.Reply) {
		t.Helper()
		fapitest.WantError(t, r, http.StatusForbidden, "access_denied")
	}
	t.Run("accepts as many as an initial access token allows and refuses the next", func(t *testing.T) {
		token, c := w.InitialToken("Bank", 2), w.Applicant(nil)
		c.RegisteredSelf(token, body)
		c.RegisteredSelf(token, body)
		quota(t, c.RegisterSelf(token, body))
		c.RegisteredSelf(w.InitialToken("Other", 1), body)
	})
	t.Run("accepts a correct request after a refused one, which costs nothing", func(t *testing.T) {
		token, c := w.InitialToken("Careless", 1), w.Applicant(nil)
		fapitest.WantError(t, c.RegisterSelf(token, `{}`), http.StatusBadRequest, "invalid_client_metadata")
		c.RegisteredSelf(token, body)
	})
	t.Run("accepts as many of those that come at once", func(t *testing.T) {
		token, c := w.InitialToken("Racer", 3), w.Applicant(nil)
		var wait sync.WaitGroup
		statuses := make([]int, 12)
		for i := range statuses {
			wait.Go(func() { statuses[i] = c.RegisterSelf(token, body).Status })
		}
		wait.Wait()
		slices.Sort(statuses)
		if diff := cmp.Diff(append(slices.Repeat([]int{201}, 3), slices.Repeat([]int{403}, 9)...), statuses); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("accepts as many as a certificate allows and refuses the next", func(t *testing.T) {
		c := organisation(w, "Insurance")
		first := c.RegisteredSelf("", body)
		c.RegisteredSelf("", body)
		quota(t, c.RegisterSelf("", body))
		quota(t, organisation(w, "Insurance").RegisterSelf("", body)) // with another certificate
		organisation(w, "Broker").RegisteredSelf("", body)
		if r := c.SendJSON(http.MethodDelete, first.Text("registration_client_uri"), first.Text("registration_access_token"), nil, nil); r.Status != http.StatusNoContent {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		c.RegisteredSelf("", body)
	})
}

// TestDR08Limits: who guesses tokens, or registers too fast, has to wait.
func TestDR08Limits(t *testing.T) {
	t.Parallel()
	limited := func(limits endpoint.Limits) *fapitest.World {
		return fapitest.NewWorld(t, fapitest.WithRegistration, func(c *fapitest.Config) { c.Limits = limits })
	}
	body := fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil)
	wantWait := func(t *testing.T, r fapitest.Reply) {
		t.Helper()
		fapitest.WantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
		if r.Header.Get("Retry-After") == "" {
			t.Error("does not say how long to wait")
		}
	}
	t.Run("refuses an address that guesses, and accepts who has a token there", func(t *testing.T) {
		w := limited(endpoint.Limits{AddressFailuresPerSecond: 1, AddressFailureBurst: 3})
		token, c := w.InitialToken("Bank", 10), w.Applicant(nil)
		m := manages(c, token, body)
		fapitest.WantUnauthorized(t, c.RegisterSelf(fapitest.RandomString(), body))
		fapitest.WantUnauthorized(t, c.RegisterSelf("", body))
		fapitest.WantUnauthorized(t, c.SendJSON(http.MethodGet, m.address, fapitest.RandomString(), nil, nil))
		wantWait(t, c.RegisterSelf(fapitest.RandomString(), body))
		wantWait(t, c.SendJSON(http.MethodGet, m.address, fapitest.RandomString(), nil, nil))
		if r := m.read(); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		c.RegisteredSelf(token, body)
		w.Clock.Advance(time.Second)
		fapitest.WantUnauthorized(t, c.RegisterSelf(fapitest.RandomString(), body))
	})
	t.Run("refuses an organisation that is too fast, and accepts the others", func(t *testing.T) {
		w := limited(endpoint.Limits{ClientPerSecond: 1, ClientBurst: 2})
		token, c := w.InitialToken("Bank", 10), w.Applicant(nil)
		m := manages(c, token, body)
		c.RegisteredSelf(token, body)
		wantWait(t, c.RegisterSelf(token, body))
		c.RegisteredSelf(w.InitialToken("Other", 1), body)
		for range 2 {
			if r := m.read(); r.Status != http.StatusOK {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
		}
		wantWait(t, m.read())
		w.Clock.Advance(time.Second)
		c.RegisteredSelf(token, body)
	})
}
