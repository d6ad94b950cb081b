package registration_test

import (
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
	w := fapitest.NewWorld(t, fapitest.OffersRegistration)
	token := w.InitialToken("Bank", 100)
	key := fapitest.NewKey(t, jose.ES256)
	body := fapitest.Enrolment(key, nil)
	anybody := w.Applicant(nil)

	t.Run("accepts an initial access token", func(t *testing.T) {
		r := anybody.Enrolled(token, body)
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
		if again := anybody.Enrolled(token, body); again.Text("client_id") == id || again.Text("registration_access_token") == r.Text("registration_access_token") {
			t.Error("two registrations got the same client")
		}
	})
	t.Run("accepts an initial access token on the mTLS listener", func(t *testing.T) {
		c := w.Applicant(nil)
		c.AtMTLS = true
		if r := c.Enrolled(token, body); !strings.HasPrefix(r.Text("registration_client_uri"), w.Issuer) {
			t.Errorf("to be managed at %s", r.Text("registration_client_uri"))
		}
	})
	t.Run("accepts a certificate on the mTLS listener", func(t *testing.T) {
		r := w.Organisation("Insurance").Enrolled("", body)
		record, err := w.Store.Client(t.Context(), r.Text("client_id"))
		if err != nil || record.Organisation != "x509:CN=Insurance" {
			t.Errorf("stored %+v, %v", record, err)
		}
		if !strings.HasPrefix(r.Text("registration_client_uri"), w.MTLS+"/register/") {
			t.Errorf("to be managed at %s, where no certificate can be shown", r.Text("registration_client_uri"))
		}
	})
	t.Run("accepts what the registered client then does", func(t *testing.T) {
		c := w.Played(anybody.Enrolled(token, body), key)
		if r := c.Get("/accounts", c.Tokens().Text("access_token"), nil); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})

	t.Run("refuses nobody in particular", func(t *testing.T) {
		r := anybody.Enrol("", body)
		fapitest.WantUnauthorised(t, r)
		if r.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("challenged with %q though nothing was shown (RFC 6750 §3.1)", r.Header.Get("WWW-Authenticate"))
		}
	})
	t.Run("refuses an unknown token", func(t *testing.T) { fapitest.WantUnauthorised(t, anybody.Enrol(fapitest.Random(), body)) })
	t.Run("refuses the token in the address", func(t *testing.T) {
		fapitest.WantUnauthorised(t, anybody.Send(http.MethodPost, w.Issuer+"/register?access_token="+token, "", body, nil))
	})
	for name, header := range map[string][]string{
		"another scheme":         {"DPoP " + token},
		"no token in the header": {"Bearer "},
		"two headers":            {"Bearer " + token, "Bearer " + token},
		"an endless token":       {"Bearer " + strings.Repeat("a", 600)},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			fapitest.WantUnauthorised(t, anybody.Send(http.MethodPost, w.Issuer+"/register", "", body, func(r *http.Request) { r.Header["Authorization"] = header }))
		})
	}
	t.Run("refuses a wrong token beside a good certificate", func(t *testing.T) {
		fapitest.WantUnauthorised(t, w.Organisation("Insurance").Enrol(fapitest.Random(), body))
	})
	t.Run("refuses the mTLS listener without a certificate", func(t *testing.T) {
		c := w.Applicant(nil)
		c.AtMTLS = true
		fapitest.WantUnauthorised(t, c.Enrol("", body))
	})
	t.Run("refuses a certificate of an authority that is not trusted", func(t *testing.T) {
		certificate := fapitest.NewAuthority(t, "Other CA", w.Clock.Now()).Issue(t, "Insurance", w.Clock.Now())
		fapitest.WantUnauthorised(t, w.Applicant(&certificate).Enrol("", body))
	})
	t.Run("refuses a certificate that names nobody", func(t *testing.T) {
		certificate := nameless(t, w)
		fapitest.WantUnauthorised(t, w.Applicant(&certificate).Enrol("", body))
	})
	t.Run("refuses a registration access token", func(t *testing.T) {
		r := anybody.Enrolled(token, body)
		fapitest.WantUnauthorised(t, anybody.Enrol(r.Text("registration_access_token"), body))
	})
	t.Run("refuses an expired token", func(t *testing.T) {
		w.Clock.Advance(time.Hour)
		fapitest.WantUnauthorised(t, anybody.Enrol(token, body))
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
	leaf := fapitest.Parse(t, &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: w.Clock.Now().Add(-time.Hour), NotAfter: w.Clock.Now().Add(time.Hour), DNSNames: []string{"nobody.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}, w.ClientCA.Certificate, key.Public(), w.ClientCA.Key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// TestDR01RegistrationIsAnOffer: without it the endpoints do not exist; with it they are advertised.
func TestDR01RegistrationIsAnOffer(t *testing.T) {
	t.Run("refuses where it is not offered", func(t *testing.T) {
		w := fapitest.NewWorld(t)
		c := w.Applicant(nil)
		for _, path := range []string{"/register", "/register/6ba7b810-9dad-41d1-80b4-00c04fd430c8"} {
			fapitest.WantError(t, c.Send(http.MethodPost, w.Issuer+path, fapitest.Random(), fapitest.Enrolment(fapitest.NewKey(t, jose.ES256), nil), nil), http.StatusNotFound, "invalid_request")
		}
		if r := c.Send(http.MethodGet, w.Issuer+"/.well-known/openid-configuration", "", nil, nil); r.Status != http.StatusOK || strings.Contains(r.Raw, "registration_endpoint") {
			t.Errorf("advertised: %s", r.Raw)
		}
	})
	t.Run("accepts where it is offered", func(t *testing.T) {
		w := fapitest.NewWorld(t, fapitest.OffersRegistration)
		r := w.Applicant(nil).Send(http.MethodGet, w.Issuer+"/.well-known/openid-configuration", "", nil, nil)
		aliases, _ := r.Body["mtls_endpoint_aliases"].(map[string]any)
		if r.Text("registration_endpoint") != w.Issuer+"/register" || aliases["registration_endpoint"] != w.MTLS+"/register" {
			t.Errorf("advertised: %s", r.Raw)
		}
	})
	t.Run("refuses certificates where only tokens are offered", func(t *testing.T) {
		w := fapitest.NewWorld(t, func(c *fapitest.FapiConfig, _ *fapitest.AutoInteractor) { c.Registration = &registration.Settings{} })
		fapitest.WantUnauthorised(t, w.Organisation("Insurance").Enrol("", fapitest.Enrolment(fapitest.NewKey(t, jose.ES256), nil)))
		w.Applicant(nil).Enrolled(w.InitialToken("Bank", 1), fapitest.Enrolment(fapitest.NewKey(t, jose.ES256), nil))
	})
	t.Run("accepts certificates of an authority of their own", func(t *testing.T) {
		var w *fapitest.World
		other := fapitest.NewAuthority(t, "Organisations", time.Now())
		w = fapitest.NewWorld(t, func(c *fapitest.FapiConfig, _ *fapitest.AutoInteractor) {
			trust := c.ClientTrust
			trust.Roots = x509.NewCertPool()
			trust.Roots.AddCert(other.Certificate)
			c.Registration = &registration.Settings{CertificateQuota: 1, CertificateTrust: &trust}
		})
		certificate := other.Issue(t, "Insurance", w.Clock.Now())
		w.Applicant(&certificate).Enrolled("", fapitest.Enrolment(fapitest.NewKey(t, jose.ES256), nil))
		fapitest.WantUnauthorised(t, w.Organisation("Insurance").Enrol("", fapitest.Enrolment(fapitest.NewKey(t, jose.ES256), nil)))
	})
}

// TestRegistrationSettings: a server that is set up wrongly does not start.
func TestRegistrationSettings(t *testing.T) {
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
				Store: w.Store, Signer: keys, Interactor: &fapitest.AutoInteractor{}, Registration: &test.settings,
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
	w := fapitest.NewWorld(t, fapitest.OffersRegistration)
	token := w.InitialToken("Bank", 100)
	c := w.Applicant(nil)
	key := fapitest.NewKey(t, jose.ES256)
	set := func(name string, value any) map[string]any {
		return fapitest.Enrolment(key, func(m map[string]any) { m[name] = value })
	}
	unset := func(name string) map[string]any {
		return fapitest.Enrolment(key, func(m map[string]any) { delete(m, name) })
	}
	for name, test := range map[string]struct {
		body any
		code string // "" if it is accepted
		says string
	}{
		"accepts it as it is":                            {fapitest.Enrolment(key, nil), "", ""},
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
		"refuses both a redirect URI and a name at once": {fapitest.Enrolment(key, func(m map[string]any) { delete(m, "client_name"); m["redirect_uris"] = []string{"x"} }), "invalid_client_metadata", "redirect_uris"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.Enrol(token, test.body)
			if test.code == "" {
				if r.Status != http.StatusCreated {
					t.Fatalf("%d %s", r.Status, r.Raw)
				}
				if strings.Contains(r.Raw, "vanilla") || r.Text("client_id") == "mine" {
					t.Errorf("registered what was not understood: %s", r.Raw)
				}
				return
			}
			fapitest.WantError(t, r, http.StatusBadRequest, test.code)
			if !strings.Contains(r.Text("error_description"), test.says) {
				t.Errorf("%q does not name %q", r.Text("error_description"), test.says)
			}
		})
	}
	t.Run("refuses with all mistakes at once", func(t *testing.T) {
		r := c.Enrol(token, fapitest.Enrolment(key, func(m map[string]any) {
			delete(m, "client_name")
			m["scope"], m["redirect_uris"] = "openid payments", []string{"http://client.example/"}
			m["resource_identifiers"] = []string{"https://api.example"}
		}))
		fapitest.WantError(t, r, http.StatusBadRequest, "invalid_client_metadata")
		for _, member := range []string{"client_name: ", "scope: ", "redirect_uris: ", "resource_identifiers: "} {
			if !strings.Contains(r.Text("error_description"), member) {
				t.Errorf("%q does not name %s", r.Text("error_description"), member)
			}
		}
	})
	t.Run("refuses without repeating a whole request", func(t *testing.T) {
		r := c.Enrol(token, set("redirect_uris", slices.Repeat([]string{"http://client.example/" + strings.Repeat("a", 100)}, 300)))
		fapitest.WantError(t, r, http.StatusBadRequest, "invalid_redirect_uri")
		if len(r.Raw) > 5000 {
			t.Errorf("answered with %d bytes", len(r.Raw))
		}
	})
	t.Run("accepts defaults and tells them", func(t *testing.T) {
		r := c.Enrolled(token, fapitest.Enrolment(key, func(m map[string]any) { delete(m, "grant_types"); delete(m, "token_endpoint_auth_method") }))
		if diff := cmp.Diff([]any{"authorization_code"}, r.Body["grant_types"]); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]any{"code"}, r.Body["response_types"]); diff != "" {
			t.Error(diff)
		}
		if r.Text("token_endpoint_auth_method") != "private_key_jwt" {
			t.Errorf("%s", r.Raw)
		}
	})
}

// TestDR03Form: the request is one JSON document of bounded size.
func TestDR03Form(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersRegistration)
	token := w.InitialToken("Bank", 100)
	c := w.Applicant(nil)
	body := fapitest.Enrolment(fapitest.NewKey(t, jose.ES256), nil)
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
		"refuses more than 64 KiB":      {"/register", padded(65 << 10), nil, http.StatusRequestEntityTooLarge},
		"refuses more than keys need":   {"/register", padded(3 << 20), nil, http.StatusRequestEntityTooLarge},
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
			r := c.Send(http.MethodPost, w.Issuer+test.path, token, test.body, test.change)
			if r.Status != test.status {
				t.Errorf("%d %s, want %d", r.Status, r.Raw, test.status)
			}
		})
	}
}

// TestDR03SoftwareStatement: none is approved, and none is passed over in silence (RFC 7591 §3.2.2).
func TestDR03SoftwareStatement(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersRegistration)
	token := w.InitialToken("Bank", 100)
	c := w.Applicant(nil)
	key := fapitest.NewKey(t, jose.ES256)
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
			fapitest.WantError(t, c.Enrol(token, fapitest.Enrolment(key, func(m map[string]any) { m["software_statement"] = test.statement })), http.StatusBadRequest, test.code)
		})
	}
	t.Run("accepts the same request without one", func(t *testing.T) { c.Enrolled(token, fapitest.Enrolment(key, nil)) })
}

// TestDR04Keys: keys come by value or by address, and are of a kind, size and use that signatures need.
func TestDR04Keys(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersRegistration)
	token := w.InitialToken("Bank", 100)
	c := w.Applicant(nil)
	key := fapitest.NewKey(t, jose.ES256)
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
		"accepts keys of another use or kind":     {keys(public, `{"kty":"oct","k":"AAAA"}`, `{"kty":"AKP"}`, `{}`, small+`AA"}`), ""},
		"accepts a thousand keys, of 1 MiB":       {keys(slices.Repeat([]string{with(`"z":"` + strings.Repeat("z", 900) + `"`)}, 1000)...), ""},
		"refuses a private key beside a good one": {keys(public, string(key.PrivateJWK())), "jwks"},
		"refuses a flood of keys":                 {keys(slices.Repeat([]string{public}, jose.MaxKeys+1)...), "jwks"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.Enrol(token, fapitest.Enrolment(key, test.change))
			if test.wrong == "" {
				if r.Status != http.StatusCreated {
					t.Errorf("%d %s", r.Status, r.Raw)
				}
				return
			}
			fapitest.WantError(t, r, http.StatusBadRequest, "invalid_client_metadata")
			if said := r.Text("error_description"); !strings.HasPrefix(said, test.wrong+": ") && !strings.Contains(said, "repeats") {
				t.Errorf("%q does not name %s", said, test.wrong)
			}
		})
	}
}

// TestDR08Quotas: each organisation registers as many clients as it may, however it asks.
func TestDR08Quotas(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersRegistration)
	body := fapitest.Enrolment(fapitest.NewKey(t, jose.ES256), nil)
	quota := func(t *testing.T, r fapitest.Reply) {
		t.Helper()
		fapitest.WantError(t, r, http.StatusForbidden, "access_denied")
	}
	t.Run("accepts as many as an initial access token allows and refuses the next", func(t *testing.T) {
		token, c := w.InitialToken("Bank", 2), w.Applicant(nil)
		c.Enrolled(token, body)
		c.Enrolled(token, body)
		quota(t, c.Enrol(token, body))
		c.Enrolled(w.InitialToken("Other", 1), body)
	})
	t.Run("accepts a correct request after a refused one, which costs nothing", func(t *testing.T) {
		token, c := w.InitialToken("Careless", 1), w.Applicant(nil)
		fapitest.WantError(t, c.Enrol(token, `{}`), http.StatusBadRequest, "invalid_client_metadata")
		c.Enrolled(token, body)
	})
	t.Run("accepts as many of those that come at once", func(t *testing.T) {
		token, c := w.InitialToken("Racer", 3), w.Applicant(nil)
		var wait sync.WaitGroup
		statuses := make([]int, 12)
		for i := range statuses {
			wait.Go(func() { statuses[i] = c.Enrol(token, body).Status })
		}
		wait.Wait()
		slices.Sort(statuses)
		if diff := cmp.Diff(append(slices.Repeat([]int{201}, 3), slices.Repeat([]int{403}, 9)...), statuses); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("accepts as many as a certificate allows and refuses the next", func(t *testing.T) {
		c := w.Organisation("Insurance")
		first := c.Enrolled("", body)
		c.Enrolled("", body)
		quota(t, c.Enrol("", body))
		quota(t, w.Organisation("Insurance").Enrol("", body)) // with another certificate
		w.Organisation("Broker").Enrolled("", body)
		if r := c.Send(http.MethodDelete, first.Text("registration_client_uri"), first.Text("registration_access_token"), nil, nil); r.Status != http.StatusNoContent {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		c.Enrolled("", body)
	})
}

// TestDR08Limits: who guesses tokens, or registers too fast, has to wait.
func TestDR08Limits(t *testing.T) {
	limited := func(limits endpoint.Limits) *fapitest.World {
		return fapitest.NewWorld(t, fapitest.OffersRegistration, func(c *fapitest.FapiConfig, _ *fapitest.AutoInteractor) { c.Limits = limits })
	}
	body := fapitest.Enrolment(fapitest.NewKey(t, jose.ES256), nil)
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
		m := c.Manages(token, body)
		fapitest.WantUnauthorised(t, c.Enrol(fapitest.Random(), body))
		fapitest.WantUnauthorised(t, c.Enrol("", body))
		fapitest.WantUnauthorised(t, c.Send(http.MethodGet, m.Address, fapitest.Random(), nil, nil))
		wantWait(t, c.Enrol(fapitest.Random(), body))
		wantWait(t, c.Send(http.MethodGet, m.Address, fapitest.Random(), nil, nil))
		if r := m.Read(); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		c.Enrolled(token, body)
		w.Clock.Advance(time.Second)
		fapitest.WantUnauthorised(t, c.Enrol(fapitest.Random(), body))
	})
	t.Run("refuses an organisation that is too fast, and accepts the others", func(t *testing.T) {
		w := limited(endpoint.Limits{ClientPerSecond: 1, ClientBurst: 2})
		token, c := w.InitialToken("Bank", 10), w.Applicant(nil)
		m := c.Manages(token, body)
		c.Enrolled(token, body)
		wantWait(t, c.Enrol(token, body))
		c.Enrolled(w.InitialToken("Other", 1), body)
		for range 2 {
			if r := m.Read(); r.Status != http.StatusOK {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
		}
		wantWait(t, m.Read())
		w.Clock.Advance(time.Second)
		c.Enrolled(token, body)
	})
}
