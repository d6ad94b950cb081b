package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// began is when the flow of the tests begins.
var began = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// fakeServer answers just enough of the flow, holds the client to the rules, and has at most one fault.
type fakeServer struct {
	t      *testing.T
	fault  string
	issuer string
	key    jose.PrivateKey
	// client is the client's side; its keys are registered here.
	client Config
	// pushed is what the client asked for.
	pushed url.Values
	// used are the jti that came, and given the secrets that went out.
	used  map[string]bool
	given []string
}

// secret makes a secret, always the same ones in the same order.
func (f *fakeServer) secret(name string) string {
	made := fmt.Sprintf("%s-%02d-%s", name, len(f.given), strings.Repeat("x", 32))
	f.given = append(f.given, made)
	return made
}

func (f *fakeServer) sign(key jose.PrivateKey, typ string, claims any) string {
	token, err := jose.Sign(context.Background(), key.SigningKey(), typ, claims)
	if err != nil {
		f.t.Error(err)
	}
	f.given = append(f.given, token)
	return token
}

func (f *fakeServer) json(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		f.t.Error(err)
	}
}

// refuse answers with an OAuth error.
func (f *fakeServer) refuse(w http.ResponseWriter, status int, code, description string) {
	f.json(w, status, flowclient.OAuthError{Code: code, Description: description, CorrelationID: "c-17"})
}

func (f *fakeServer) redirect(w http.ResponseWriter, status int, address string) {
	w.Header().Set("Location", address)
	w.WriteHeader(status)
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		f.t.Error(err)
	}
	if r.Method == http.MethodPost && r.URL.Path != "/interaction/1" && !f.backChannel(w, r) {
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /.well-known/openid-configuration":
		f.discovery(w)
	case "POST /par":
		f.push(w, r)
	case "GET /authorize":
		f.authorize(w)
	case "GET /interaction/1", "POST /interaction/1":
		f.interact(w, r)
	case "POST /token":
		f.token(w, r)
	case "GET /jwks":
		f.jwks(w)
	case "GET /accounts":
		f.accounts(w, r)
	default:
		f.t.Errorf("unexpected request %s %s", r.Method, r.URL)
	}
}

func (f *fakeServer) discovery(w http.ResponseWriter) {
	document := map[string]any{
		"issuer": f.issuer, "authorization_endpoint": f.issuer + "/authorize", "token_endpoint": f.issuer + "/token",
		"pushed_authorization_request_endpoint": f.issuer + "/par", "jwks_uri": f.issuer + "/jwks",
		"require_pushed_authorization_requests": true, "token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		"dpop_signing_alg_values_supported": []string{"ES256"}, "code_challenge_methods_supported": []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	}
	switch f.fault {
	case "another issuer":
		document["issuer"] = "https://elsewhere.example"
	case "an endpoint without TLS":
		document["token_endpoint"] = "http://example.com/token"
	case "a weaker server":
		delete(document, "authorization_response_iss_parameter_supported")
	case "no JSON":
		fmt.Fprint(w, "<!DOCTYPE html>")
		return
	case "an endless answer":
		fmt.Fprint(w, strings.Repeat(" ", flowclient.MaxAnswer+1))
		return
	}
	f.json(w, http.StatusOK, document)
}

// backChannel verifies the client assertion and the DPoP proof. It answers itself if the proof needs a nonce.
func (f *fakeServer) backChannel(w http.ResponseWriter, r *http.Request) bool {
	var assertion struct {
		Issuer   string           `json:"iss"`
		Subject  string           `json:"sub"`
		Audience jose.Audience    `json:"aud"`
		ID       string           `json:"jti"`
		Expires  jose.NumericDate `json:"exp"`
	}
	parsed, err := jose.Parse(r.PostForm.Get("client_assertion"), jose.ParseOptions{Algorithms: []string{jose.ES256}})
	if err == nil {
		err = parsed.Verify(f.client.ClientKey.Key().Public)
	}
	if err == nil {
		err = parsed.Claims(&assertion)
	}
	if err != nil || r.PostForm.Get("client_assertion_type") != flowclient.AssertionFormat {
		f.t.Errorf("client assertion: %v", err)
	}
	if assertion.Issuer != f.client.ClientID || assertion.Subject != f.client.ClientID || !assertion.Audience.Single ||
		!assertion.Audience.Contains(f.issuer) || !assertion.Expires.Time().After(began) {
		f.t.Errorf("client assertion: %+v", assertion)
	}
	f.once(assertion.ID)
	return r.URL.Path == "/par" || f.proof(w, r, "")
}

// proof verifies a DPoP proof. It answers itself if the proof needs a nonce.
func (f *fakeServer) proof(w http.ResponseWriter, r *http.Request, accessToken string) bool {
	var claims struct {
		ID      string `json:"jti"`
		Method  string `json:"htm"`
		Address string `json:"htu"`
		Token   string `json:"ath"`
		Nonce   string `json:"nonce"`
	}
	parsed, err := jose.Parse(r.Header.Get("DPoP"), jose.ParseOptions{Algorithms: []string{jose.ES256}, AllowJWK: true})
	if err == nil {
		_, err = parsed.VerifyEmbedded()
	}
	if err == nil {
		err = parsed.Claims(&claims)
	}
	if err != nil || !parsed.Header.HasType("dpop+jwt") {
		f.t.Errorf("DPoP proof: %v", err)
		return true
	}
	ath := ""
	if accessToken != "" {
		ath = flowclient.Digest(accessToken)
	}
	if claims.Method != r.Method || claims.Address != f.issuer+r.URL.Path || claims.Token != ath {
		f.t.Errorf("DPoP proof for %s %s: %+v", r.Method, r.URL.Path, claims)
	}
	f.once(claims.ID)
	nonce := "server-nonce"
	if accessToken != "" {
		nonce = "resource-nonce"
	}
	if f.fault == "a nonce, twice" || f.fault == "a nonce" && claims.Nonce != nonce {
		w.Header().Set("DPoP-Nonce", nonce)
		if accessToken == "" {
			f.refuse(w, http.StatusBadRequest, "use_dpop_nonce", "the proof needs a nonce")
			return false
		}
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	if f.fault == "" && claims.Nonce != "" {
		f.t.Errorf("a nonce that nobody asked for: %q", claims.Nonce)
	}
	return true
}

// once refuses a jti that came before.
func (f *fakeServer) once(id string) {
	if id == "" || f.used[id] {
		f.t.Errorf("the jti %q is not new", id)
	}
	f.used[id] = true
}

func (f *fakeServer) push(w http.ResponseWriter, r *http.Request) {
	f.pushed = r.PostForm
	for name, want := range map[string]string{
		"response_type": "code", "client_id": f.client.ClientID, "redirect_uri": f.client.RedirectURI,
		"scope": f.client.Scope, "code_challenge_method": "S256", "dpop_jkt": f.client.ProofKey.Key().Thumbprint(),
	} {
		if got := r.PostForm[name]; !slices.Equal(got, []string{want}) {
			f.t.Errorf("pushed %s %q, want %q", name, got, want)
		}
	}
	switch f.fault {
	case "the push is refused":
		f.refuse(w, http.StatusBadRequest, "invalid_scope", "no such\x1b[31m scope")
	case "a proxy's error":
		w.Header().Set("X-Correlation-Id", "c-18")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<h1>Bad gateway</h1>")
	case "no request_uri":
		f.json(w, http.StatusCreated, map[string]any{"expires_in": 60})
	default:
		f.json(w, http.StatusCreated, struct {
			RequestURI string `json:"request_uri"`
			ExpiresIn  int    `json:"expires_in"`
		}{"urn:ietf:params:oauth:request_uri:" + f.secret("request"), 60})
	}
}

func (f *fakeServer) jwks(w http.ResponseWriter) {
	if f.fault == "no keys" {
		f.refuse(w, http.StatusServiceUnavailable, "temporarily_unavailable", "no HSM")
		return
	}
	f.json(w, http.StatusOK, map[string]any{"keys": []json.RawMessage{f.key.PublicJWK()}})
}
