// Package providertest is a small provider of FAPI 2.0, FAPI 1.0 Advanced and plain OpenID Connect in the test's own process, with real TLS,
// that can be made to attack its clients: every answer can be altered before it is signed, after it is signed, or replaced. It checks no
// more of requests than that they can be answered, and remembers them all. It is for tests of relying parties only.
//
//	p := providertest.New(t)
//	c, err := client.New(ctx, client.Config{Issuer: p.Issuer, Roots: p.Roots, Now: p.Now, …})
//	address, transaction, err := c.Authorize(ctx, client.AuthorizeOptions{})
//	p.Behave(providertest.Behaviour{IDToken: func(claims map[string]any) { claims["nonce"] = "another" }})
//	tokens, err := c.Callback(ctx, transaction, p.Login(address)) // is refused
package providertest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/jose"
)

// Request is one that a client made.
type Request struct {
	Path   string
	Method string
	Header http.Header
	Form   url.Values
	// Certificate is the client's, or nil.
	Certificate *x509.Certificate
}

// Provider is one.
type Provider struct {
	t      testing.TB
	server *httptest.Server

	// Issuer is its issuer identifier, and Roots what verifies its certificate.
	Issuer string
	Roots  *x509.CertPool
	// Subject and ACR are the user's.
	Subject, ACR string

	mu sync.Mutex
	// now is what its clock shows.
	now      time.Time
	signing  jose.SigningKey
	public   json.RawMessage
	issued   map[string]url.Values
	requests []Request
	behave   Behaviour
}

// Behaviour is what a provider does otherwise than it should.
type Behaviour struct {
	// Metadata alters the metadata.
	Metadata func(metadata map[string]any)
	// Answer alters the parameters of an authorization response, before they are signed by JARM.
	Answer func(answer url.Values)
	// Response alters the claims of JARM, FrontIDToken those of an ID token of the front channel, IDToken those of the token endpoint's, each
	// before it is signed.
	Response, FrontIDToken, IDToken func(claims map[string]any)
	// Signed alters a JWT of a kind after it is signed: "response", "id_token", "userinfo", "introspection".
	Signed func(kind, token string) string
	// Tokens alters a token response.
	Tokens func(answer map[string]any)
	// UserInfo alters the claims of UserInfo.
	UserInfo func(claims map[string]any)
	// Introspection alters what introspection answers.
	Introspection func(claims map[string]any)
	// SignedAnswers signs UserInfo and introspection.
	SignedAnswers bool
	// Nonce is what DPoP proofs have to hold; empty for no nonce.
	Nonce string
	// Handle answers in place of the provider where it returns true.
	Handle func(w http.ResponseWriter, r *http.Request) bool
}

// New starts a provider. It ends with the test.
func New(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{t: t, Subject: "sub-alice", ACR: "urn:example:high", now: time.Now().Truncate(time.Second), issued: map[string]url.Values{}}
	p.Rotate(jose.PS256)
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	p.Issuer = p.server.URL
	p.Roots = x509.NewCertPool()
	p.Roots.AddCert(p.server.Certificate())
	return p
}

// AuthorityPEM is Roots in PEM form, for programs that read a file.
func (p *Provider) AuthorityPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

// Close makes the provider unreachable.
func (p *Provider) Close() { p.server.Close() }

// Now is its clock, and the client's.
func (p *Provider) Now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// Advance moves the clock.
func (p *Provider) Advance(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

// Behave changes what the provider does; the zero value is as it should be.
func (p *Provider) Behave(b Behaviour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behave = b
}

func (p *Provider) behaviour() Behaviour {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behave
}

// Rotate replaces the key that signs by a new one for an algorithm: PS256, ES256 or EdDSA. The previous ones are not published any more.
func (p *Provider) Rotate(algorithm string) {
	key, err := jose.NewPrivateKey(algorithm)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signing, p.public = key.SigningKey(), key.PublicJWK()
}

func (p *Provider) key() (jose.SigningKey, json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signing, p.public
}

// PublicKey is the key set, as it is published.
func (p *Provider) PublicKey() []byte {
	_, public := p.key()
	return []byte(`{"keys":[` + string(public) + `]}`)
}

// Sign signs claims with the provider's key.
func (p *Provider) Sign(typ string, claims map[string]any) string {
	signing, _ := p.key()
	token, err := jose.Sign(context.Background(), signing, typ, claims)
	if err != nil {
		p.t.Error(err)
	}
	return token
}

// UseRS256 has the provider sign by RSASSA-PKCS1-v1_5, as plain ones do.
func (p *Provider) UseRS256(private *rsa.PrivateKey) {
	key, err := jose.NewKey("rs256", jose.RS256, private.Public())
	if err != nil {
		p.t.Fatal(err)
	}
	signing, err := jose.NewSigningKey("rs256", jose.RS256, private)
	if err != nil {
		p.t.Fatal(err)
	}
	public, err := key.MarshalJSON()
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signing, p.public = signing, public
}

// Certificate makes a client's, signed by itself.
func (p *Provider) Certificate() tls.Certificate {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ClientID}, NotBefore: p.Now().Add(-time.Hour), NotAfter: p.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Signer().Public(), key.Signer())
	if err != nil {
		p.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key.Signer()}
}

// Requests are those to a path so far.
func (p *Provider) Requests(path string) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.requests), func(r Request) bool { return r.Path != path })
}

// Login is the browser and the user: it opens an address of the authorization endpoint and gives the parameters that come back.
func (p *Provider) Login(address string) url.Values {
	p.t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		p.t.Fatal(err)
	}
	request := parsed.Query()
	if pushed := request.Get("request_uri"); pushed != "" {
		p.mu.Lock()
		request = p.issued[pushed]
		p.mu.Unlock()
	}
	return p.authorize(opened(p.t, request))
}

// opened takes the parameters out of a request object, if there is one.
func opened(t testing.TB, request url.Values) url.Values {
	t.Helper()
	object := request.Get("request")
	if object == "" {
		return request
	}
	parts := strings.Split(object, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	inside := url.Values{}
	for name, value := range claims {
		if text, ok := value.(string); ok {
			inside.Set(name, text)
		}
	}
	return inside
}

// authorize issues a code.
func (p *Provider) authorize(request url.Values) url.Values {
	b := p.behaviour()
	code := rand.Text()
	p.mu.Lock()
	p.issued[code] = request
	p.mu.Unlock()
	answer := url.Values{"code": {code}, "state": {request.Get("state")}, "iss": {p.Issuer}}
	if request.Get("response_type") == "code id_token" {
		claims := p.idToken(request)
		claims["c_hash"], claims["s_hash"] = halfHash(code), halfHash(request.Get("state"))
		alter(b.FrontIDToken, claims)
		answer.Set("id_token", p.signed("id_token", "", claims))
		answer.Del("iss")
	}
	if b.Answer != nil {
		b.Answer(answer)
	}
	if !strings.HasSuffix(request.Get("response_mode"), "jwt") {
		return answer
	}
	claims := map[string]any{"iss": p.Issuer, "aud": request.Get("client_id"), "exp": p.Now().Add(time.Minute).Unix()}
	for name := range answer {
		claims[name] = answer.Get(name)
	}
	alter(b.Response, claims)
	return url.Values{"response": {p.signed("response", "", claims)}}
}

// idToken are the claims of an ID token for a request.
func (p *Provider) idToken(request url.Values) map[string]any {
	now := p.Now()
	claims := map[string]any{
		"iss": p.Issuer, "sub": p.Subject, "aud": request.Get("client_id"), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"auth_time": now.Unix(), "acr": p.ACR, "sid": "session-1",
	}
	if nonce := request.Get("nonce"); nonce != "" {
		claims["nonce"] = nonce
	}
	return claims
}

// signed signs claims, and lets them be altered.
func (p *Provider) signed(kind, typ string, claims map[string]any) string {
	token := p.Sign(typ, claims)
	if b := p.behaviour(); b.Signed != nil {
		return b.Signed(kind, token)
	}
	return token
}

// halfHash is at_hash of PS256 and ES256 (OpenID Connect Core §3.1.3.6).
func halfHash(value string) string {
	digest := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

func alter(change func(map[string]any), claims map[string]any) {
	if change != nil {
		change(claims)
	}
}

// Metadata are the provider's, with everything that there is.
func (p *Provider) Metadata() map[string]any {
	algorithms := []string{"PS256", "ES256", "EdDSA"}
	m := map[string]any{
		"issuer": p.Issuer, "response_types_supported": []string{"code", "code id_token"}, "code_challenge_methods_supported": []string{"S256"},
		"response_modes_supported":              []string{"query", "fragment", "form_post", "jwt", "query.jwt"},
		"token_endpoint_auth_methods_supported": []string{"private_key_jwt", "tls_client_auth", "client_secret_basic", "client_secret_post", "none"},
		"dpop_signing_alg_values_supported":     algorithms, "authorization_response_iss_parameter_supported": true,
		"tls_client_certificate_bound_access_tokens": true, "jwks_uri": p.Issuer + "/jwks", "end_session_endpoint": p.Issuer + "/logout",
	}
	for _, name := range []string{"id_token", "authorization", "request_object", "token_endpoint_auth", "introspection", "backchannel_authentication_request"} {
		m[name+"_signing_alg_values_supported"] = algorithms
	}
	for name, path := range map[string]string{
		"authorization": "/authorize", "token": "/token", "pushed_authorization_request": "/par", "userinfo": "/userinfo", "introspection": "/introspect",
		"revocation": "/revoke", "backchannel_authentication": "/backchannel", "grant_management": "/grants",
	} {
		m[name+"_endpoint"] = p.Issuer + path
	}
	return m
}

// serve answers a request.
func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	b := p.behaviour()
	if r.ParseForm() != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	seen := Request{Path: r.URL.Path, Method: r.Method, Header: r.Header.Clone(), Form: maps.Clone(r.Form)}
	if len(r.TLS.PeerCertificates) > 0 {
		seen.Certificate = r.TLS.PeerCertificates[0]
	}
	p.mu.Lock()
	p.requests = append(p.requests, seen)
	p.mu.Unlock()
	if b.Handle != nil && b.Handle(w, r) {
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		metadata := p.Metadata()
		alter(b.Metadata, metadata)
		Write(w, http.StatusOK, metadata)
	case "/jwks":
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(p.PublicKey())
	case "/par":
		reference := "urn:ietf:params:oauth:request_uri:" + rand.Text()
		p.mu.Lock()
		p.issued[reference] = maps.Clone(r.PostForm)
		p.mu.Unlock()
		Write(w, http.StatusCreated, map[string]any{"request_uri": reference, "expires_in": 60})
	case "/token":
		p.token(w, r, b)
	case "/backchannel":
		reference := rand.Text()
		p.mu.Lock()
		p.issued[reference] = url.Values{"client_id": {ClientID}}
		p.mu.Unlock()
		Write(w, http.StatusOK, map[string]any{"auth_req_id": reference, "expires_in": 120, "interval": 1})
	case "/userinfo":
		if p.challenged(w, r, b, http.StatusUnauthorized) {
			return
		}
		claims := map[string]any{"sub": p.Subject, "email": "alice@example.com"}
		if b.SignedAnswers {
			claims["iss"], claims["aud"] = p.Issuer, ClientID
		}
		alter(b.UserInfo, claims)
		p.answer(w, b, "userinfo", "", "application/jwt", claims)
	case "/introspect":
		claims := map[string]any{"active": true, "scope": "accounts"}
		if b.SignedAnswers {
			claims = map[string]any{"iss": p.Issuer, "aud": ClientID, "iat": p.Now().Unix(), "token_introspection": claims}
		}
		alter(b.Introspection, claims)
		p.answer(w, b, "introspection", "token-introspection+jwt", "application/token-introspection+jwt", claims)
	case "/revoke":
	case "/resource":
		if !p.challenged(w, r, b, http.StatusUnauthorized) {
			Write(w, http.StatusOK, map[string]any{"method": r.Method, "form": r.Form})
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// ClientID is the client's where the provider cannot know it.
const ClientID = "client-1"

// answer writes claims, signed or not.
func (p *Provider) answer(w http.ResponseWriter, b Behaviour, kind, typ, media string, claims map[string]any) {
	if !b.SignedAnswers {
		Write(w, http.StatusOK, claims)
		return
	}
	w.Header().Set("Content-Type", media)
	_, _ = io.WriteString(w, p.signed(kind, typ, claims))
}

// Write writes JSON.
func Write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// challenged asks for a nonce where the proof has not the right one.
func (p *Provider) challenged(w http.ResponseWriter, r *http.Request, b Behaviour, status int) bool {
	if b.Nonce == "" {
		return false
	}
	var claims struct{ Nonce string }
	if parts := strings.Split(r.Header.Get("DPoP"), "."); len(parts) == 3 {
		if raw, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(raw, &claims) // what is none has no nonce
		}
	}
	w.Header().Set("DPoP-Nonce", b.Nonce)
	if claims.Nonce == b.Nonce {
		return false
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce", error_description="a nonce is needed"`)
		w.WriteHeader(status)
		return true
	}
	Write(w, status, map[string]any{"error": "use_dpop_nonce"})
	return true
}

// token answers the token endpoint.
func (p *Provider) token(w http.ResponseWriter, r *http.Request, b Behaviour) {
	if p.challenged(w, r, b, http.StatusBadRequest) {
		return
	}
	p.mu.Lock()
	request, known := p.issued[r.PostForm.Get("code")]
	delete(p.issued, r.PostForm.Get("code"))
	p.mu.Unlock()
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		verifier := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		challenge := request.Get("code_challenge")
		if !known || challenge != "" && challenge != base64.RawURLEncoding.EncodeToString(verifier[:]) {
			Write(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "the code is not known, or the verifier is wrong"})
			return
		}
	case "urn:openid:params:grant-type:ciba":
		request = url.Values{"client_id": {ClientID}}
	case "refresh_token":
		request = url.Values{"client_id": {ClientID}, "scope": {""}}
	default:
		request = nil
	}
	access := rand.Text()
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "refresh_token": rand.Text()}
	if r.Header.Get("DPoP") != "" {
		answer["token_type"] = "DPoP"
	}
	if r.PostForm.Get("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange" {
		answer["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
	}
	if request != nil && (!request.Has("scope") || slices.Contains(strings.Fields(request.Get("scope")), "openid") || r.PostForm.Get("grant_type") == "refresh_token") {
		claims := p.idToken(request)
		claims["at_hash"] = halfHash(access)
		alter(b.IDToken, claims)
		answer["id_token"] = p.signed("id_token", "", claims)
	}
	alter(b.Tokens, answer)
	Write(w, http.StatusOK, answer)
}
