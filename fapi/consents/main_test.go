package consents_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/consents"
	"countersign/fapi/fapitest"
	"countersign/fapi/scope"
	"countersign/internal/jose"
	"countersign/internal/random"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// Organisations of the server and of the applications, as directories name them.
const (
	ours   = "9a2f8d3b-6c1e-4b57-8a90-1f2e3d4c5b6a"
	theirs = "74e929d9-33b6-4d85-8ba7-c146c867a817"
)

// Addresses of the APIs, below the issuer.
const (
	uk3      = "/open-banking/v3.1/aisp/account-access-consents"
	uk4      = "/open-banking/v4.0/aisp/account-access-consents"
	brazil   = "/open-banking/consents/v3/consents"
	payments = "/open-banking/payments/v4/consents"
	insurers = "/open-insurance/consents/v3/consents"
	ksa      = "/open-banking/account-information/2024.09.01-final-errata1/account-access-consents"
	ksaJSON  = "/open-banking/account-information/json/account-access-consents"
)

// Profiles of the applications.
const (
	ofUK        = "uk-openbanking/fapi2-security"
	ofBrazil    = "brazil-openfinance/fapi2-security"
	ofInsurance = "brazil-openinsurance"
	ofKSA       = "ksa-sama"
	ofKSAJSON   = "ksa-sama/fapi1-advanced"
	ofAustralia = "au-cdr/fapi2-security"
)

// Requests that the APIs accept.
const (
	ukBody     = `{"Data":{"Permissions":["ReadAccountsBasic"],"ExpirationDateTime":"2099-05-02T00:00:00+00:00"},"Risk":{}}`
	user       = `"loggedUser":{"document":{"identification":"11111111111","rel":"CPF"}}`
	brazilBody = `{"data":{"permissions":["ACCOUNTS_READ","ACCOUNTS_BALANCES_READ","RESOURCES_READ"],` + user + `}}`
	payBody    = `{"data":{` + user + `,"creditor":{"personType":"PESSOA_NATURAL","cpfCnpj":"58764789000","name":"Marco"},"payment":{"type":"PIX","date":"2026-11-30",` +
		`"currency":"BRL","amount":"100.12","details":{"localInstrument":"DICT","proxy":"12345678901","creditorAccount":{"ispb":"12345678","number":"1234567890","accountType":"CACC"}}}}}`
	insuranceBody = `{"data":{"permissions":["CUSTOMERS_PERSONAL_IDENTIFICATIONS_READ","RESOURCES_READ"],` + user + `,"expirationDateTime":"2099-02-01T23:59:59Z"}}`
	ksaBody       = `{"Data":{"Permissions":["ReadAccountsBasic"],"ConsentPurpose":["E-Statement"],"NationalIdentificationNumber":"1111111111","ExpirationDateTime":"2099-01-28T15:27:13+03:00"},` +
		`"Risk":{"PSUIndicators":{},"DeviceIndicators":{},"RequestIndicators":{}}}`
)

// fundsScope is the scope of confirmations of funds in the United Kingdom.
var fundsScope = scope.Scope{Name: "fundsconfirmations", Description: "Ask whether there is enough money"}

// newWorld is a world that offers the ecosystems.
func newWorld(t *testing.T, more ...fapitest.Option) *fapitest.World {
	t.Helper()
	return fapitest.NewWorld(t, append([]fapitest.Option{offer}, more...)...)
}

func offer(c *fapitest.Config) {
	c.Profiles = []string{"fapi2-security", ofUK, ofBrazil, ofInsurance, ofKSA, ofKSAJSON, ofAustralia}
	c.ConsentAPIs = consents.Settings{Namespace: "bank", Organisation: ours}
	c.Scopes = append(c.Scopes, scope.Scope{Name: "consents", Description: "Prepare consents"}, scope.Scope{Name: "resources", Description: "See products"})
}

// app is an application that calls a consent API.
type app struct {
	*fapitest.Client
	t     *testing.T
	token string
}

// register registers an application of an ecosystem, whose certificate names its organisation, and gets it a token.
func register(t *testing.T, w *fapitest.World, id, profile, scopes string, more ...fapitest.ClientOption) *app {
	t.Helper()
	a := &app{Client: w.Register(id, func(c *fapitest.Client, m map[string]any) {
		certificate := w.ClientCA.IssueAs(t, w.Clock.Now(), func(template *x509.Certificate) {
			template.Subject = pkix.Name{CommonName: id, OrganizationalUnit: []string{theirs}, ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "OFBBR-" + theirs},
			}}
		})
		c.Certificate, c.DPoP, c.Scope = &certificate, false, scopes
		c.Key = fapitest.NewKey(t, jose.PS256)
		delete(m, "dpop_bound_access_tokens")
		m["tls_client_certificate_bound_access_tokens"], m["profile"], m["scope"] = true, profile, scopes
		m["jwks"], m["grant_types"] = fapitest.KeySet(c.Key.PublicJWK()), []string{"client_credentials"}
		if profile == ofInsurance || profile == ofAustralia { // their ID tokens are encrypted
			recipient := fapitest.NewRecipient(t, jose.RSAOAEP)
			m["jwks"] = fapitest.KeySet(c.Key.PublicJWK(), recipient.Public)
			m["id_token_encrypted_response_alg"], m["id_token_encrypted_response_enc"] = jose.RSAOAEP, "A256GCM"
		}
		delete(m, "redirect_uris")
		delete(m, "response_types")
		for _, change := range more {
			change(c, m)
		}
	}), t: t}
	a.token = a.newToken()
	return a
}

func (a *app) newToken() string {
	a.t.Helper()
	r := a.ClientCredentials(nil)
	fapitest.WantOK(a.t, r)
	return r.Text("access_token")
}

// at is the application at another node.
func (a *app) at(n *fapitest.Node) *app {
	return &app{Client: n.Client(a.Client), t: a.t, token: a.token}
}

// call calls an API; the header has what all need, and change alters it.
func (a *app) call(method, path, body string, change func(http.Header)) fapitest.Reply {
	a.t.Helper()
	request, err := http.NewRequest(method, a.Base()+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("x-fapi-interaction-id", random.UUID())
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
		if strings.Count(body, ".") == 2 && !strings.HasPrefix(body, "{") {
			request.Header.Set("Content-Type", "application/jwt")
		}
	}
	if change != nil {
		change(request.Header)
	}
	return a.Do(request)
}

func keyed(key string) func(http.Header) {
	return func(h http.Header) { h.Set("x-idempotency-key", key) }
}

// message signs a request as its ecosystem wants it.
func (a *app) message(path, body string, alter func(fapitest.Claims)) string {
	a.t.Helper()
	claims := fapitest.Claims{}
	if err := json.Unmarshal([]byte(body), &claims); err != nil {
		a.t.Fatal(err)
	}
	now := a.World.Clock.Now().Unix()
	if path == ksa || strings.HasPrefix(path, ksa+"/") {
		claims = fapitest.Claims{"iss": a.ID, "aud": []string{a.World.Issuer}, "nbf": now, "iat": now, "exp": now + 3600, "message": map[string]any(claims)}
	} else {
		claims["iss"], claims["aud"], claims["iat"], claims["jti"] = theirs, a.Base()+path, now, random.UUID()
	}
	if alter != nil {
		alter(claims)
	}
	return a.Sign(a.Key, "JWT", claims)
}

// answer is the body of an answer, out of its signature if it has one.
func (a *app) answer(r fapitest.Reply) map[string]any {
	a.t.Helper()
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/jwt") {
		return r.Body
	}
	_, claims := a.World.Verify(r.Raw)
	if message, ok := claims["message"].(map[string]any); ok {
		return message
	}
	return claims
}

// member finds a member of an answer.
func member(body map[string]any, path string) any {
	var value any = body
	for name := range strings.SplitSeq(path, ".") {
		switch inner := value.(type) {
		case map[string]any:
			value = inner[name]
		case []any:
			value = inner[0].(map[string]any)[name]
		default:
			return nil
		}
	}
	return value
}

// created creates a consent and returns its name.
func (a *app) created(path, body string, change func(http.Header)) string {
	a.t.Helper()
	if path == ksa || path == payments {
		body = a.message(path, body, nil)
	}
	r := a.call("POST", path, body, change)
	if r.Status != http.StatusCreated {
		a.t.Fatalf("%d %s", r.Status, r.Raw)
	}
	answer := a.answer(r)
	for _, name := range []string{"Data.ConsentId", "data.consentId"} {
		if id, ok := member(answer, name).(string); ok {
			return id
		}
	}
	a.t.Fatalf("no name in %v", answer)
	return ""
}

// below is the address of a consent.
func below(path, id string) string { return path + "/" + url.PathEscape(id) }

// want checks a refusal: the status, and the code where the ecosystem has a body.
func (a *app) want(r fapitest.Reply, status int, code string) {
	a.t.Helper()
	var got any
	body := a.answer(r)
	for _, path := range []string{"Errors.ErrorCode", "Errors.Code", "errors.code"} {
		if found := member(body, path); found != nil {
			got = found
		}
	}
	if code == "" && r.Raw != "" || code != "" && got != code || r.Status != status {
		a.t.Errorf("%d %s, want %d %s", r.Status, r.Raw, status, code)
	}
	if r.Header.Get("x-fapi-interaction-id") == "" {
		a.t.Error("no x-fapi-interaction-id")
	}
}
