package fapi_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
	"countersign/internal/jose"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// offersRegistration offers dynamic registration, with initial access tokens and with certificates.
func offersRegistration(c *fapiConfig, _ *autoInteractor) {
	c.Registration = &fapi.Registration{Scopes: []string{"openid", "offline_access", "profile", "accounts"}, CertificateQuota: 2}
}

// initialToken gives an organisation an initial access token for a number of clients.
func (w *world) initialToken(organisation string, clients int) string {
	w.t.Helper()
	token := random() + random()
	err := w.store.PutInitialToken(context.Background(), store.InitialToken{
		ID: store.DigestOf(token), Organisation: organisation, Remaining: clients, CreatedAt: w.clock.Now(), ExpiresAt: w.clock.Now().Add(time.Hour),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// applicant is somebody who wants to register clients; with a certificate it uses the mTLS listener.
func (w *world) applicant(certificate *tls.Certificate) *client {
	w.t.Helper()
	c := &client{w: w, certificate: certificate}
	c.http = w.transport(c)
	return c
}

// organisation is an applicant with a certificate of the client CA.
func (w *world) organisation(name string) *client {
	certificate := w.clientCA.issue(w.t, name, w.clock.Now())
	return w.applicant(&certificate)
}

// enrolment is a registration request for a client that authenticates with key; change may alter it.
func enrolment(key jose.PrivateKey, change func(map[string]any)) map[string]any {
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
func (c *client) send(method, address, bearer string, body any, change func(*http.Request)) reply {
	c.w.t.Helper()
	var content []byte
	switch body := body.(type) {
	case nil:
	case string:
		content = []byte(body)
	default:
		var err error
		if content, err = json.Marshal(body); err != nil {
			c.w.t.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, address, bytes.NewReader(content))
	if err != nil {
		c.w.t.Fatal(err)
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
	return c.do(request)
}

// enrol sends a registration request.
func (c *client) enrol(bearer string, body any) reply {
	c.w.t.Helper()
	return c.send(http.MethodPost, c.base()+"/register", bearer, body, nil)
}

// enrolled is a client that registered itself.
func (c *client) enrolled(bearer string, body map[string]any) reply {
	c.w.t.Helper()
	r := c.enrol(bearer, body)
	if r.status != http.StatusCreated {
		c.w.t.Fatalf("register: %d %s", r.status, r.raw)
	}
	return r
}

// played is the client application behind a registration.
func (w *world) played(r reply, key jose.PrivateKey) *client {
	c := &client{
		w: w, id: r.text("client_id"), redirectURI: "https://client.example/callback", scope: "openid profile accounts offline_access",
		key: key, proofKey: newKey(w.t, jose.ES256), dpop: true, assertion: true,
	}
	c.http = w.transport(c)
	return c
}

func wantUnauthorised(t *testing.T, r reply) {
	t.Helper()
	wantError(t, r, http.StatusUnauthorized, "invalid_token")
	if !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("challenged with %q", r.header.Get("WWW-Authenticate"))
	}
}

// TestDR01RegistrationIsProtected: who registers has to show an initial access token or a trusted certificate
// (RFC 7591 §3).
func TestDR01RegistrationIsProtected(t *testing.T) {
	w := newWorld(t, offersRegistration)
	token := w.initialToken("Bank", 100)
	key := newKey(t, jose.ES256)
	body := enrolment(key, nil)
	anybody := w.applicant(nil)

	t.Run("accepts an initial access token", func(t *testing.T) {
		r := anybody.enrolled(token, body)
		id := r.text("client_id")
		if id == "" || r.text("registration_access_token") == "" || r.text("registration_client_uri") != w.issuer+"/register/"+id {
			t.Errorf("the answer is not complete: %s", r.raw)
		}
		if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", r.header)
		}
		if r.body["client_id_issued_at"] != float64(w.clock.Now().Unix()) {
			t.Errorf("client_id_issued_at %v", r.body["client_id_issued_at"])
		}
		record, err := w.store.Client(t.Context(), id)
		if err != nil || record.Organisation != "Bank" || record.AccessToken != store.DigestOf(r.text("registration_access_token")) {
			t.Errorf("stored %+v, %v", record, err)
		}
		if again := anybody.enrolled(token, body); again.text("client_id") == id || again.text("registration_access_token") == r.text("registration_access_token") {
			t.Error("two registrations got the same client")
		}
	})
	t.Run("accepts an initial access token on the mTLS listener", func(t *testing.T) {
		c := w.applicant(nil)
		c.atMTLS = true
		if r := c.enrolled(token, body); !strings.HasPrefix(r.text("registration_client_uri"), w.issuer) {
			t.Errorf("to be managed at %s", r.text("registration_client_uri"))
		}
	})
	t.Run("accepts a certificate on the mTLS listener", func(t *testing.T) {
		r := w.organisation("Insurance").enrolled("", body)
		record, err := w.store.Client(t.Context(), r.text("client_id"))
		if err != nil || record.Organisation != "x509:CN=Insurance" {
			t.Errorf("stored %+v, %v", record, err)
		}
		if !strings.HasPrefix(r.text("registration_client_uri"), w.mtls+"/register/") {
			t.Errorf("to be managed at %s, where no certificate can be shown", r.text("registration_client_uri"))
		}
	})
	t.Run("accepts what the registered client then does", func(t *testing.T) {
		c := w.played(anybody.enrolled(token, body), key)
		if r := c.get("/accounts", c.tokens().text("access_token"), nil); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})

	t.Run("refuses nobody in particular", func(t *testing.T) {
		r := anybody.enrol("", body)
		wantUnauthorised(t, r)
		if r.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("challenged with %q though nothing was shown (RFC 6750 §3.1)", r.header.Get("WWW-Authenticate"))
		}
	})
	t.Run("refuses an unknown token", func(t *testing.T) { wantUnauthorised(t, anybody.enrol(random(), body)) })
	t.Run("refuses the token in the address", func(t *testing.T) {
		wantUnauthorised(t, anybody.send(http.MethodPost, w.issuer+"/register?access_token="+token, "", body, nil))
	})
	for name, header := range map[string][]string{
		"another scheme":         {"DPoP " + token},
		"no token in the header": {"Bearer "},
		"two headers":            {"Bearer " + token, "Bearer " + token},
		"an endless token":       {"Bearer " + strings.Repeat("a", 600)},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			wantUnauthorised(t, anybody.send(http.MethodPost, w.issuer+"/register", "", body, func(r *http.Request) { r.Header["Authorization"] = header }))
		})
	}
	t.Run("refuses a wrong token beside a good certificate", func(t *testing.T) {
		wantUnauthorised(t, w.organisation("Insurance").enrol(random(), body))
	})
	t.Run("refuses the mTLS listener without a certificate", func(t *testing.T) {
		c := w.applicant(nil)
		c.atMTLS = true
		wantUnauthorised(t, c.enrol("", body))
	})
	t.Run("refuses a certificate of an authority that is not trusted", func(t *testing.T) {
		certificate := newAuthority(t, "Other CA", w.clock.Now()).issue(t, "Insurance", w.clock.Now())
		wantUnauthorised(t, w.applicant(&certificate).enrol("", body))
	})
	t.Run("refuses a certificate that names nobody", func(t *testing.T) {
		certificate := nameless(t, w)
		wantUnauthorised(t, w.applicant(&certificate).enrol("", body))
	})
	t.Run("refuses a registration access token", func(t *testing.T) {
		r := anybody.enrolled(token, body)
		wantUnauthorised(t, anybody.enrol(r.text("registration_access_token"), body))
	})
	t.Run("refuses an expired token", func(t *testing.T) {
		w.clock.Advance(time.Hour)
		wantUnauthorised(t, anybody.enrol(token, body))
	})
	if strings.Contains(w.logs.String(), token) {
		t.Error("the initial access token is in the log")
	}
}

// nameless is a trusted certificate with an empty subject.
func nameless(t *testing.T, w *world) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := parse(t, &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: w.clock.Now().Add(-time.Hour), NotAfter: w.clock.Now().Add(time.Hour), DNSNames: []string{"nobody.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}, w.clientCA.certificate, key.Public(), w.clientCA.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// TestDR01RegistrationIsAnOffer: without it the endpoints do not exist; with it they are advertised.
func TestDR01RegistrationIsAnOffer(t *testing.T) {
	t.Run("refuses where it is not offered", func(t *testing.T) {
		w := newWorld(t)
		c := w.applicant(nil)
		for _, path := range []string{"/register", "/register/6ba7b810-9dad-41d1-80b4-00c04fd430c8"} {
			wantError(t, c.send(http.MethodPost, w.issuer+path, random(), enrolment(newKey(t, jose.ES256), nil), nil), http.StatusNotFound, "invalid_request")
		}
		if r := c.send(http.MethodGet, w.issuer+"/.well-known/openid-configuration", "", nil, nil); r.status != http.StatusOK || strings.Contains(r.raw, "registration_endpoint") {
			t.Errorf("advertised: %s", r.raw)
		}
	})
	t.Run("accepts where it is offered", func(t *testing.T) {
		w := newWorld(t, offersRegistration)
		r := w.applicant(nil).send(http.MethodGet, w.issuer+"/.well-known/openid-configuration", "", nil, nil)
		aliases, _ := r.body["mtls_endpoint_aliases"].(map[string]any)
		if r.text("registration_endpoint") != w.issuer+"/register" || aliases["registration_endpoint"] != w.mtls+"/register" {
			t.Errorf("advertised: %s", r.raw)
		}
	})
	t.Run("refuses certificates where only tokens are offered", func(t *testing.T) {
		w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.Registration = &fapi.Registration{} })
		wantUnauthorised(t, w.organisation("Insurance").enrol("", enrolment(newKey(t, jose.ES256), nil)))
		w.applicant(nil).enrolled(w.initialToken("Bank", 1), enrolment(newKey(t, jose.ES256), nil))
	})
	t.Run("accepts certificates of an authority of their own", func(t *testing.T) {
		var w *world
		other := newAuthority(t, "Organisations", time.Now())
		w = newWorld(t, func(c *fapiConfig, _ *autoInteractor) {
			trust := c.ClientTrust
			trust.Roots = x509.NewCertPool()
			trust.Roots.AddCert(other.certificate)
			c.Registration = &fapi.Registration{CertificateQuota: 1, CertificateTrust: &trust}
		})
		certificate := other.issue(t, "Insurance", w.clock.Now())
		w.applicant(&certificate).enrolled("", enrolment(newKey(t, jose.ES256), nil))
		wantUnauthorised(t, w.organisation("Insurance").enrol("", enrolment(newKey(t, jose.ES256), nil)))
	})
}

// TestRegistrationSettings: a server that is set up wrongly does not start.
func TestRegistrationSettings(t *testing.T) {
	w := newWorld(t)
	keys, err := signer.New(t.Context(), signer.Config{Catalogue: catalogue{w.store}, Replicas: []signer.Replica{{Backend: w.backend}}, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		settings fapi.Registration
		mtls     string
		wrong    string
	}{
		"all defaults":                {fapi.Registration{}, "", ""},
		"certificates":                {fapi.Registration{CertificateQuota: 1}, "https://mtls.example", ""},
		"an unknown profile":          {fapi.Registration{Profile: "fapi3"}, "", "Registration.Profile"},
		"an unknown scope":            {fapi.Registration{Scopes: []string{"openid", "nothing"}}, "", `no scope "nothing"`},
		"an unknown type":             {fapi.Registration{AuthorizationDetailsTypes: []string{"payment"}}, "", `no type "payment"`},
		"a negative quota":            {fapi.Registration{CertificateQuota: -1}, "", "CertificateQuota"},
		"certificates and no address": {fapi.Registration{CertificateQuota: 1}, "", "MTLSIssuer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fapi.New(t.Context(), fapi.Config{
				Issuer: "https://id.example", MTLSIssuer: test.mtls, Certificates: mtls.Direct(),
				Store: w.store, Signer: keys, Interactor: &autoInteractor{}, Registration: &test.settings,
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

// TestDR03Mistakes: each wrong request is refused with the code of RFC 7591 §3.2.2 and says what is wrong.
func TestDR03Mistakes(t *testing.T) {
	w := newWorld(t, offersRegistration)
	token := w.initialToken("Bank", 100)
	c := w.applicant(nil)
	key := newKey(t, jose.ES256)
	set := func(name string, value any) map[string]any {
		return enrolment(key, func(m map[string]any) { m[name] = value })
	}
	unset := func(name string) map[string]any {
		return enrolment(key, func(m map[string]any) { delete(m, name) })
	}
	for name, test := range map[string]struct {
		body any
		code string // "" if it is accepted
		says string
	}{
		"accepts it as it is":                            {enrolment(key, nil), "", ""},
		"accepts members that it does not know":          {set("flavour", "vanilla"), "", ""},
		"accepts a client_id and chooses another":        {set("client_id", "mine"), "", ""},
		"accepts null as nothing":                        {set("software_statement", nil), "", ""},
		"refuses redirect_uris over http":                {set("redirect_uris", []string{"http://client.example/"}), "invalid_redirect_uri", "not https"},
		"refuses one wrong of two redirect_uris":         {set("redirect_uris", []string{"https://client.example/", "https://client.example/#a"}), "invalid_redirect_uri", "fragment"},
		"refuses no redirect_uris":                       {unset("redirect_uris"), "invalid_redirect_uri", "missing"},
		"refuses redirect_uris of another type":          {set("redirect_uris", "https://client.example/"), "invalid_redirect_uri", "JSON type"},
		"refuses a secret":                               {set("token_endpoint_auth_method", "client_secret_basic"), "invalid_client_metadata", "token_endpoint_auth_method"},
		"refuses a public client":                        {set("token_endpoint_auth_method", "none"), "invalid_client_metadata", "token_endpoint_auth_method"},
		"refuses the implicit grant":                     {set("grant_types", []string{"implicit"}), "invalid_client_metadata", "grant_types"},
		"refuses the password grant":                     {set("grant_types", []string{"password", "authorization_code"}), "invalid_client_metadata", "grant_types"},
		"refuses response type token":                    {set("response_types", []string{"token"}), "invalid_client_metadata", "response_types"},
		"refuses a client for no grant":                  {set("grant_types", []string{}), "invalid_client_metadata", "grant_types"},
		"refuses RS256":                                  {set("id_token_signed_response_alg", "RS256"), "invalid_client_metadata", "id_token_signed_response_alg"},
		"refuses tokens that are bound to nothing":       {unset("dpop_bound_access_tokens"), "invalid_client_metadata", "dpop_bound_access_tokens"},
		"refuses a scope of the wrong type":              {set("scope", []string{"openid"}), "invalid_client_metadata", "scope: has the wrong JSON type"},
		"refuses standing authorization_details":         {set("default_authorization_details", []any{map[string]any{"type": "x"}}), "invalid_client_metadata", "default_authorization_details"},
		"refuses a resource server":                      {set("resource_identifiers", []string{"https://api.example"}), "invalid_client_metadata", "resource_identifiers"},
		"refuses no name":                                {unset("client_name"), "invalid_client_metadata", "client_name"},
		"refuses no JSON":                                {`{"client_name":`, "invalid_client_metadata", "JSON"},
		"refuses a list":                                 {`[]`, "invalid_client_metadata", "JSON"},
		"refuses null":                                   {`null`, "invalid_client_metadata", "JSON object"},
		"refuses nothing at all":                         {``, "invalid_client_metadata", "JSON"},
		"refuses a member twice":                         {`{"client_name":"a","client_name":"b"}`, "invalid_client_metadata", "repeats"},
		"refuses more after the object":                  {`{} {}`, "invalid_client_metadata", "JSON"},
		"refuses both a redirect URI and a name at once": {enrolment(key, func(m map[string]any) { delete(m, "client_name"); m["redirect_uris"] = []string{"x"} }), "invalid_client_metadata", "redirect_uris"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.enrol(token, test.body)
			if test.code == "" {
				if r.status != http.StatusCreated {
					t.Fatalf("%d %s", r.status, r.raw)
				}
				if strings.Contains(r.raw, "vanilla") || r.text("client_id") == "mine" {
					t.Errorf("registered what was not understood: %s", r.raw)
				}
				return
			}
			wantError(t, r, http.StatusBadRequest, test.code)
			if !strings.Contains(r.text("error_description"), test.says) {
				t.Errorf("%q does not name %q", r.text("error_description"), test.says)
			}
		})
	}
	t.Run("refuses with all mistakes at once", func(t *testing.T) {
		r := c.enrol(token, enrolment(key, func(m map[string]any) {
			delete(m, "client_name")
			m["scope"], m["redirect_uris"] = "openid payments", []string{"http://client.example/"}
			m["resource_identifiers"] = []string{"https://api.example"}
		}))
		wantError(t, r, http.StatusBadRequest, "invalid_client_metadata")
		for _, member := range []string{"client_name: ", "scope: ", "redirect_uris: ", "resource_identifiers: "} {
			if !strings.Contains(r.text("error_description"), member) {
				t.Errorf("%q does not name %s", r.text("error_description"), member)
			}
		}
	})
	t.Run("refuses without repeating a whole request", func(t *testing.T) {
		r := c.enrol(token, set("redirect_uris", slices.Repeat([]string{"http://client.example/" + strings.Repeat("a", 100)}, 300)))
		wantError(t, r, http.StatusBadRequest, "invalid_redirect_uri")
		if len(r.raw) > 5000 {
			t.Errorf("answered with %d bytes", len(r.raw))
		}
	})
	t.Run("accepts defaults and tells them", func(t *testing.T) {
		r := c.enrolled(token, enrolment(key, func(m map[string]any) { delete(m, "grant_types"); delete(m, "token_endpoint_auth_method") }))
		if diff := cmp.Diff([]any{"authorization_code"}, r.body["grant_types"]); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]any{"code"}, r.body["response_types"]); diff != "" {
			t.Error(diff)
		}
		if r.text("token_endpoint_auth_method") != "private_key_jwt" {
			t.Errorf("%s", r.raw)
		}
	})
}

// TestDR03Form: the request is one JSON document of bounded size.
func TestDR03Form(t *testing.T) {
	w := newWorld(t, offersRegistration)
	token := w.initialToken("Bank", 100)
	c := w.applicant(nil)
	body := enrolment(newKey(t, jose.ES256), nil)
	typed := func(kind string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Content-Type", kind) }
	}
	padded := func(size int) string {
		content, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return string(content) + strings.Repeat(" ", size-len(content))
	}
	for name, test := range map[string]struct {
		path   string
		body   any
		change func(*http.Request)
		status int
	}{
		"accepts UTF-8 by name":         {"/register", body, typed("application/json; charset=UTF-8"), http.StatusCreated},
		"accepts 64 KiB":                {"/register", padded(64 << 10), nil, http.StatusCreated},
		"refuses more than 64 KiB":      {"/register", padded(64<<10 + 1), nil, http.StatusRequestEntityTooLarge},
		"refuses a form":                {"/register", body, typed("application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType},
		"refuses text":                  {"/register", body, typed("text/plain"), http.StatusUnsupportedMediaType},
		"refuses no type":               {"/register", body, func(r *http.Request) { r.Header.Del("Content-Type") }, http.StatusUnsupportedMediaType},
		"refuses another charset":       {"/register", body, typed("application/json; charset=latin1"), http.StatusUnsupportedMediaType},
		"refuses metadata in a query":   {"/register?client_name=a", body, nil, http.StatusBadRequest},
		"refuses another method":        {"/register", body, func(r *http.Request) { r.Method = http.MethodPut }, http.StatusMethodNotAllowed},
		"refuses what is not UTF-8":     {"/register", "{\"client_name\":\"\xff\"}", nil, http.StatusBadRequest},
		"refuses nesting without limit": {"/register", `{"x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, nil, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.send(http.MethodPost, w.issuer+test.path, token, test.body, test.change)
			if r.status != test.status {
				t.Errorf("%d %s, want %d", r.status, r.raw, test.status)
			}
		})
	}
}

// TestDR03SoftwareStatement: none is approved, and none is passed over in silence (RFC 7591 §3.2.2).
func TestDR03SoftwareStatement(t *testing.T) {
	w := newWorld(t, offersRegistration)
	token := w.initialToken("Bank", 100)
	c := w.applicant(nil)
	key := newKey(t, jose.ES256)
	statement, err := jose.Sign(t.Context(), key.SigningKey(), "JWT", map[string]any{"iss": "https://directory.example", "software_id": "1"})
	if err != nil {
		t.Fatal(err)
	}
	header, rest, _ := strings.Cut(statement, ".")
	claims, _, _ := strings.Cut(rest, ".")
	for name, test := range map[string]struct {
		statement any
		code      string
	}{
		"refuses one of an issuer that is not approved": {statement, "unapproved_software_statement"},
		"refuses one that is not a string":              {42, "invalid_software_statement"},
		"refuses one that is no JWT":                    {"statement", "invalid_software_statement"},
		"refuses one that is empty":                     {"", "invalid_software_statement"},
		"refuses one without a signature":               {header + "." + claims + ".", "invalid_software_statement"},
		"refuses one that says alg none":                {"eyJhbGciOiJub25lIn0." + claims + ".", "invalid_software_statement"},
		"refuses one of a secret key":                   {"eyJhbGciOiJIUzI1NiJ9." + claims + ".AAAA", "invalid_software_statement"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, c.enrol(token, enrolment(key, func(m map[string]any) { m["software_statement"] = test.statement })), http.StatusBadRequest, test.code)
		})
	}
	t.Run("accepts the same request without one", func(t *testing.T) { c.enrolled(token, enrolment(key, nil)) })
}

// TestDR04Keys: keys come by value or by address, and are of a kind, size and use that signatures need.
func TestDR04Keys(t *testing.T) {
	w := newWorld(t, offersRegistration)
	token := w.initialToken("Bank", 100)
	c := w.applicant(nil)
	key := newKey(t, jose.ES256)
	public := string(key.PublicJWK())
	with := func(member string) string { return strings.TrimSuffix(public, "}") + "," + member + "}" }
	keys := func(list ...string) func(map[string]any) {
		return func(m map[string]any) { m["jwks"] = json.RawMessage(`{"keys":[` + strings.Join(list, ",") + `]}`) }
	}
	const small = `{"kty":"RSA","e":"AQAB","n":"` // 1024 bits
	for name, test := range map[string]struct {
		change func(map[string]any)
		wrong  string // the member, or "" if it is accepted
	}{
		"accepts keys by value":                   {keys(public), ""},
		"accepts keys by address":                 {func(m map[string]any) { delete(m, "jwks"); m["jwks_uri"] = "https://client.example/jwks" }, ""},
		"accepts a null beside":                   {func(m map[string]any) { m["jwks_uri"] = nil }, ""},
		"accepts an encryption key beside":        {keys(public, `{"kty":"EC","crv":"P-256","use":"enc","kid":"e","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`), ""},
		"refuses both":                            {func(m map[string]any) { m["jwks_uri"] = "https://client.example/jwks" }, "jwks_uri"},
		"refuses neither":                         {func(m map[string]any) { delete(m, "jwks") }, "jwks"},
		"refuses an http address":                 {func(m map[string]any) { delete(m, "jwks"); m["jwks_uri"] = "http://client.example/jwks" }, "jwks_uri"},
		"refuses an address of the inner network": {func(m map[string]any) { delete(m, "jwks"); m["jwks_uri"] = "https://169.254.169.254/jwks" }, "jwks_uri"},
		"refuses a private key":                   {keys(string(key.PrivateJWK())), "jwks"},
		"refuses a symmetric key":                 {keys(`{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`), "jwks"},
		"refuses RSA of 1024 bits":                {keys(small + strings.Repeat("_", 170) + `8"}`), "jwks"},
		"refuses a point off its curve":           {keys(`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}`), "jwks"},
		"refuses keys for encryption only":        {keys(`{"kty":"EC","crv":"P-256","use":"enc","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`), "jwks"},
		"refuses an empty set":                    {keys(), "jwks"},
		"refuses a member that repeats":           {keys(with(`"kty":"EC"`)), "jwks"},
		"refuses what is no set":                  {func(m map[string]any) { m["jwks"] = []string{} }, "jwks"},
		"refuses a set as text":                   {func(m map[string]any) { m["jwks"] = `{"keys":[]}` }, "jwks"},
		"refuses a flood of keys":                 {keys(slices.Repeat([]string{public}, 200)...), "jwks"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.enrol(token, enrolment(key, test.change))
			if test.wrong == "" {
				if r.status != http.StatusCreated {
					t.Errorf("%d %s", r.status, r.raw)
				}
				return
			}
			wantError(t, r, http.StatusBadRequest, "invalid_client_metadata")
			if said := r.text("error_description"); !strings.HasPrefix(said, test.wrong+": ") && !strings.Contains(said, "repeats") {
				t.Errorf("%q does not name %s", said, test.wrong)
			}
		})
	}
}

// TestDR08Quotas: each organisation registers as many clients as it may, however it asks.
func TestDR08Quotas(t *testing.T) {
	w := newWorld(t, offersRegistration)
	body := enrolment(newKey(t, jose.ES256), nil)
	quota := func(t *testing.T, r reply) {
		t.Helper()
		wantError(t, r, http.StatusForbidden, "access_denied")
	}
	t.Run("accepts as many as an initial access token allows and refuses the next", func(t *testing.T) {
		token, c := w.initialToken("Bank", 2), w.applicant(nil)
		c.enrolled(token, body)
		c.enrolled(token, body)
		quota(t, c.enrol(token, body))
		c.enrolled(w.initialToken("Other", 1), body)
	})
	t.Run("accepts a correct request after a refused one, which costs nothing", func(t *testing.T) {
		token, c := w.initialToken("Careless", 1), w.applicant(nil)
		wantError(t, c.enrol(token, `{}`), http.StatusBadRequest, "invalid_client_metadata")
		c.enrolled(token, body)
	})
	t.Run("accepts as many of those that come at once", func(t *testing.T) {
		token, c := w.initialToken("Racer", 3), w.applicant(nil)
		var wait sync.WaitGroup
		statuses := make([]int, 12)
		for i := range statuses {
			wait.Go(func() { statuses[i] = c.enrol(token, body).status })
		}
		wait.Wait()
		slices.Sort(statuses)
		if diff := cmp.Diff(append(slices.Repeat([]int{201}, 3), slices.Repeat([]int{403}, 9)...), statuses); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("accepts as many as a certificate allows and refuses the next", func(t *testing.T) {
		c := w.organisation("Insurance")
		first := c.enrolled("", body)
		c.enrolled("", body)
		quota(t, c.enrol("", body))
		quota(t, w.organisation("Insurance").enrol("", body)) // with another certificate
		w.organisation("Broker").enrolled("", body)
		if r := c.send(http.MethodDelete, first.text("registration_client_uri"), first.text("registration_access_token"), nil, nil); r.status != http.StatusNoContent {
			t.Fatalf("%d %s", r.status, r.raw)
		}
		c.enrolled("", body)
	})
}

// TestDR08Limits: who guesses tokens, or registers too fast, has to wait.
func TestDR08Limits(t *testing.T) {
	limited := func(limits fapi.Limits) *world {
		return newWorld(t, offersRegistration, func(c *fapiConfig, _ *autoInteractor) { c.Limits = limits })
	}
	body := enrolment(newKey(t, jose.ES256), nil)
	wantWait := func(t *testing.T, r reply) {
		t.Helper()
		wantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
		if r.header.Get("Retry-After") == "" {
			t.Error("does not say how long to wait")
		}
	}
	t.Run("refuses an address that guesses, and accepts who has a token there", func(t *testing.T) {
		w := limited(fapi.Limits{AddressFailuresPerSecond: 1, AddressFailureBurst: 3})
		token, c := w.initialToken("Bank", 10), w.applicant(nil)
		m := c.manages(token, body)
		wantUnauthorised(t, c.enrol(random(), body))
		wantUnauthorised(t, c.enrol("", body))
		wantUnauthorised(t, c.send(http.MethodGet, m.address, random(), nil, nil))
		wantWait(t, c.enrol(random(), body))
		wantWait(t, c.send(http.MethodGet, m.address, random(), nil, nil))
		if r := m.read(); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.raw)
		}
		c.enrolled(token, body)
		w.clock.Advance(time.Second)
		wantUnauthorised(t, c.enrol(random(), body))
	})
	t.Run("refuses an organisation that is too fast, and accepts the others", func(t *testing.T) {
		w := limited(fapi.Limits{ClientPerSecond: 1, ClientBurst: 2})
		token, c := w.initialToken("Bank", 10), w.applicant(nil)
		m := c.manages(token, body)
		c.enrolled(token, body)
		wantWait(t, c.enrol(token, body))
		c.enrolled(w.initialToken("Other", 1), body)
		for range 2 {
			if r := m.read(); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.raw)
			}
		}
		wantWait(t, m.read())
		w.clock.Advance(time.Second)
		c.enrolled(token, body)
	})
}
