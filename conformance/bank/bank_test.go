package bank

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// world is a bank with a server that knows a few tokens.
type world struct {
	*testing.T
	bank     *Bank
	issuer   string
	client   *http.Client
	shown    string // thumbprint of the certificate that the client shows
	key      jose.PrivateKey
	proofKey jose.PrivateKey
	scopes   map[string]string
}

const (
	bankOrganisation   = "0f0e5e0c-0000-4000-8000-000000000001"
	clientOrganisation = "0f0e5e0c-0000-4000-8000-000000000002"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, scopes: map[string]string{
		"uk": "openid accounts", "brazil": "openid accounts consent:urn:bank:1", "without": "openid accounts", "consents": "consents",
		"ksa": "accounts:1 openid", "payments": "payments", "pays": "openid payments consent:urn:bank:1", "cdr": "openid bank:accounts.basic:read",
	}}
	var err error
	if w.key, err = jose.NewPrivateKey(jose.PS256); err != nil {
		t.Fatal(err)
	}
	if w.proofKey, err = jose.NewPrivateKey(jose.ES256); err != nil {
		t.Fatal(err)
	}
	thumbprint, err := jose.Thumbprint(w.proofKey.Signer().Public())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		name, bound, _ := strings.Cut(r.PostFormValue("token"), ".")
		scope, ok := w.scopes[name]
		confirmation, client := map[string]string{"x5t#S256": w.shown}, "client-1"
		if bound == "self" { // one that registered itself with a directory's statement
			client = "client-9"
		}
		if bound == "dpop" {
			confirmation = map[string]string{"jkt": thumbprint}
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{"active": ok, "client_id": client, "scope": scope, "cnf": confirmation})
	}))
	t.Cleanup(server.Close)
	w.issuer = server.URL
	if w.bank, err = Listen(time.Now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.bank.Stop)
	caller := flowclient.New(flowclient.Config{Issuer: w.issuer, HTTP: server.Client(), ID: "bank", Key: w.key})
	caller.Endpoints.Introspection = server.URL + "/introspect"
	bankKey, err := jose.NewPrivateKey(jose.PS256)
	if err != nil {
		t.Fatal(err)
	}
	w.bank.Open(Config{Server: caller, Organisation: bankOrganisation, Key: bankKey})
	if err := w.bank.Know("client-1", clientOrganisation, json.RawMessage(`{"keys":[`+string(w.key.PublicJWK())+`]}`)); err != nil {
		t.Fatal(err)
	}
	mine, err := selfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(mine.Certificate[0])
	w.shown = base64.RawURLEncoding.EncodeToString(sum[:])
	w.client = w.over(mine)
	return w
}

// over is a client that shows a certificate, or none. It trusts the bank alone.
func (w *world) over(shown ...tls.Certificate) *http.Client {
	roots, err := rootsOf(w.bank.Authority())
	if err != nil {
		w.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: shown}}
	w.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// call makes a request and returns what came.
func (w *world) call(method, path, token, body string, headers ...string) (int, http.Header, string) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, w.bank.Base()+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := w.client.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return response.StatusCode, response.Header, string(content)
}

// TestResources: an API answers who holds a token with its scope and the token's key, and nobody else.
func TestResources(t *testing.T) {
	w := newWorld(t)
	tests := map[string]struct {
		path, token string
		headers     []string
		status      int
		says        string
	}{
		"accepts an account list of the UK":               {ukAccounts, "uk", nil, 200, "AccountId"},
		"accepts one of Brazil":                           {brazilAccounts, "brazil", nil, 200, "accountId"},
		"refuses Brazil's without the consent in a scope": {brazilAccounts, "without", nil, 403, "insufficient_scope"},
		"accepts one of Saudi Arabia":                     {ksaAccounts, "ksa", nil, 200, "AccountId"},
		"refuses Saudi Arabia's without its consent":      {ksaAccounts, "uk", nil, 403, "insufficient_scope"},
		"accepts one of Australia":                        {cdrAccounts, "cdr", []string{"x-v", "1"}, 200, "accountId"},
		"refuses Australia's without a version":           {cdrAccounts, "cdr", nil, 400, "x-v is missing"},
		"refuses Australia's with a wrong version":        {cdrAccounts, "cdr", []string{"x-v", "0"}, 400, "positive number"},
		"refuses a token in the query":                    {ukAccounts + "?access_token=uk", "", nil, 400, "invalid_request"},
		"refuses no token":                                {ukAccounts, "", nil, 401, "invalid_token"},
		"refuses an unknown token":                        {ukAccounts, "other", nil, 401, "invalid_token"},
		"refuses the other scheme":                        {ukAccounts, "", []string{"Authorization", "DPoP uk"}, 401, "invalid_token"},
		"refuses a token bound by DPoP without a proof":   {ukAccounts, "", []string{"Authorization", "DPoP uk.dpop"}, 401, "invalid_dpop_proof"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, header, body := w.call("GET", test.path, test.token, "", test.headers...)
			if status != test.status || !strings.Contains(body, test.says) || header.Get(interactionID) == "" {
				t.Errorf("%d %s, %v", status, body, header)
			}
		})
	}
	if _, header, _ := w.call("GET", ukAccounts, "uk", "", interactionID, "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"); header.Get(interactionID) != "c770aef3-6784-41f7-8e0e-ff5f97bddb3a" {
		t.Errorf("the identifier does not come back: %v", header)
	}
	other, err := selfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]*http.Client{"no certificate": w.over(), "another certificate": w.over(other)} {
		w.client = client
		if status, _, body := w.call("GET", ukAccounts, "uk", ""); status != 401 || !strings.Contains(body, "certificate") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// TestProof: a token that is bound by DPoP needs a new proof each time.
func TestProof(t *testing.T) {
	w := newWorld(t)
	caller := flowclient.New(flowclient.Config{Issuer: w.issuer, ProofKey: w.proofKey})
	proof := func(method string) string {
		made, err := caller.Proof(t.Context(), method, w.bank.Base()+ukAccounts, "uk.dpop", nil)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	good := proof("GET")
	for i, test := range []struct {
		proof  string
		status int
	}{{good, 200}, {good, 401}, {proof("GET"), 200}, {proof("POST"), 401}} {
		if status, _, body := w.call("GET", ukAccounts, "", "", "Authorization", "DPoP uk.dpop", "DPoP", test.proof); status != test.status {
			t.Errorf("%d: %d %s, want %d", i, status, body, test.status)
		}
	}
}

// TestConsents: an application makes, reads and ends its consents.
func TestConsents(t *testing.T) {
	w := newWorld(t)
	for path, test := range map[string]struct{ token, data, id, status string }{
		ukConsents: {"uk", "Data", "ConsentId", `"Status":"AwaitingAuthorisation"`}, brazilConsents: {"consents", "data", "consentId", `"status":"AWAITING_AUTHORISATION"`},
	} {
		status, _, body := w.call("POST", path, test.token, `{"`+test.data+`":{"permissions":["a"]}}`)
		var made map[string]map[string]any
		if err := json.Unmarshal([]byte(body), &made); status != 201 || err != nil || !strings.Contains(body, test.status) {
			t.Fatalf("%d %s, %v", status, body, err)
		}
		id, _ := made[test.data][test.id].(string)
		for i, step := range []struct {
			method string
			status int
		}{{"GET", 200}, {"DELETE", 204}, {"GET", 404}, {"DELETE", 404}} {
			if status, _, body := w.call(step.method, path+"/"+id, test.token, ""); status != step.status || id == "" {
				t.Errorf("%s %d: %d %s", path, i, status, body)
			}
		}
		for _, bad := range []string{"{}", "[]", "x"} {
			if status, _, _ := w.call("POST", path, test.token, bad); status != 400 {
				t.Errorf("%s: %d", bad, status)
			}
		}
	}
}

// message signs what the application sends.
func (w *world) message(key jose.PrivateKey, claims map[string]any) string {
	w.Helper()
	made, err := jose.Sign(w.Context(), key.SigningKey(), "JWT", claims)
	if err != nil {
		w.Fatal(err)
	}
	return made
}

// TestSigned: messages of payments and of Saudi consents are verified, and answered with signed ones.
func TestSigned(t *testing.T) {
	w := newWorld(t)
	other, err := jose.NewPrivateKey(jose.PS256)
	if err != nil {
		t.Fatal(err)
	}
	order := func(change map[string]any) map[string]any {
		claims := map[string]any{"iss": clientOrganisation, "aud": w.bank.Base() + paymentConsents, "jti": newUUID(), "iat": time.Now().Unix(), "data": map[string]any{"payment": "1"}}
		for name, value := range change {
			claims[name] = value
		}
		return claims
	}
	good := order(nil)
	tests := []struct {
		name, path, token, body, key string
		status                       int
		says                         string
	}{
		{"accepts an order", paymentConsents, "payments", w.message(w.key, good), "k1", 201, ""},
		{"accepts it again under its key", paymentConsents, "payments", w.message(w.key, order(nil)), "k1", 201, ""},
		{"refuses another under that key", paymentConsents, "payments", w.message(w.key, order(map[string]any{"data": map[string]any{"payment": "2"}})), "k1", 422, "ERRO_IDEMPOTENCIA"},
		{"refuses one without a key", paymentConsents, "payments", w.message(w.key, good), "", 400, "x-idempotency-key"},
		{"refuses a signature of others", paymentConsents, "payments", w.message(other, good), "k2", 400, "BAD_SIGNATURE"},
		{"refuses what is for others", paymentConsents, "payments", w.message(w.key, order(map[string]any{"aud": "https://other.example"})), "k3", 400, "aud is"},
		{"refuses what is of others", paymentConsents, "payments", w.message(w.key, order(map[string]any{"iss": bankOrganisation})), "k4", 400, "iss is"},
		{"accepts one of a client that registered itself, by its organisation", paymentConsents, "payments.self", w.message(w.key, good), "k6", 201, ""},
		{"refuses one of no organisation that is known", paymentConsents, "payments.self", w.message(w.key, order(map[string]any{"iss": "other"})), "k7", 400, "no keys are known"},
		{"refuses an unsigned order", paymentConsents, "payments", "{}", "k5", 415, "UNSUPPORTED"},
		{"accepts a payment", payments, "pays", w.message(w.key, order(map[string]any{"aud": w.bank.Base() + payments, "data": []any{map[string]any{"amount": "1"}}})), "p1", 201, ""},
		{"refuses an empty payment", payments, "pays", w.message(w.key, order(map[string]any{"aud": w.bank.Base() + payments, "data": []any{}})), "p2", 422, "data is missing"},
		{"refuses a payment without a consent", payments, "payments", w.message(w.key, good), "p3", 403, "insufficient_scope"},
		{"accepts a consent of Saudi Arabia", ksaConsents, "uk", w.message(w.key, map[string]any{"iss": "client-1", "aud": []string{w.issuer}, "message": map[string]any{"Data": map[string]any{}}}), "", 201, ""},
		{"refuses one without a message", ksaConsents, "uk", w.message(w.key, map[string]any{"iss": "client-1", "aud": []string{w.issuer}}), "", 400, "message is missing"},
	}
	keys, err := jose.ParseKeySet(w.bank.KeySet())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			headers := []string{"Content-Type", "application/jwt"}
			if test.body == "{}" {
				headers[1] = "application/json"
			}
			if test.key != "" {
				headers = append(headers, "x-idempotency-key", test.key)
			}
			status, header, body := w.call("POST", test.path, test.token, test.body, headers...)
			if status != test.status || !strings.Contains(body, test.says) {
				t.Fatalf("%d %s", status, body)
			}
			if status != 201 {
				return
			}
			token, err := jose.Parse(body, jose.ParseOptions{Algorithms: []string{jose.PS256}})
			if err == nil {
				err = token.VerifyWith(keys)
			}
			var claims map[string]any
			if err == nil {
				err = token.Claims(&claims)
			}
			audience := clientOrganisation
			if test.path == ksaConsents {
				audience = "client-1"
			}
			if err != nil || claims["iss"] != bankOrganisation || claims["aud"] != audience || header.Get("Content-Type") != "application/jwt" {
				t.Errorf("%v, %v, %v", err, claims, header)
			}
		})
	}
}

// TestAddresses: each ecosystem with an API has its resource at the bank, and consents at the server where that keeps them.
func TestAddresses(t *testing.T) {
	w := newWorld(t)
	for ecosystem, consents := range map[string]string{
		"openbanking_uk": ukConsents, "openbanking_ksa": ksaPlainConsents, "ksa": ksaConsents, "openbanking_brazil": brazilConsents,
		"openinsurance_brazil": insuranceConsents, "consumerdataright_au": "", "cbuae": "",
	} {
		for server, at := range map[string]string{"": w.bank.Base(), "https://as.example": "https://as.example"} {
			found, ok := w.bank.Addresses(ecosystem, false, server)
			if want := at + consents; !ok || consents != "" && found.Consents != want || consents == "" && found.Consents != "" || !strings.HasPrefix(found.Resource, w.bank.Base()+"/") {
				t.Errorf("%s: %+v", ecosystem, found)
			}
		}
	}
	if _, ok := w.bank.Addresses("connectid_au", false, ""); ok {
		t.Error("ConnectID has no API but UserInfo")
	}
	if found, _ := w.bank.Addresses("openbanking_brazil", true, ""); found != (Addresses{w.bank.Base() + paymentConsents, w.bank.Base() + payments}) {
		t.Errorf("%+v", found)
	}
}

// TestClientKeys: the bank publishes the keys of clients that it knows.
func TestClientKeys(t *testing.T) {
	w := newWorld(t)
	response, err := w.client.Get(w.bank.ClientKeys("client-1"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Contains(content, []byte(fmt.Sprintf("%q", w.key.ID()))) {
		t.Errorf("%s, %v", content, err)
	}
	if status, _, _ := w.call("GET", "/clients/other/application.jwks", "", ""); status != 404 {
		t.Errorf("%d for a client that is not known", status)
	}
}

func rootsOf(authority []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("no certificate")
	}
	return roots, nil
}
