package fapi_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"countersign/fapi"
	"countersign/internal/jose"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
	"countersign/store/sqlite"
)

// clock is the one clock of a test; it stands still unless moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a running server with real keys in SoftHSM2 and a real database.
type world struct {
	t        *testing.T
	clock    *clock
	store    store.Store
	server   *fapi.Server
	issuer   string
	mtls     string
	roots    *x509.CertPool
	clientCA authority
	logs     *lockedBuffer
	spans    *tracetest.InMemoryExporter
	backend  *switchableBackend
	open     func(now func() time.Time) store.Store
	file     string      // the database, where it is one
	config   fapi.Config // of server
}

// autoInteractor plays the person: it signs in and does what decision says.
type autoInteractor struct {
	mu       sync.Mutex
	decision string // "allow", "deny" or "wait"
	failures []fapi.Failure
}

func (a *autoInteractor) Interact(w http.ResponseWriter, r *http.Request, turn *fapi.Turn) {
	a.mu.Lock()
	decision := a.decision
	a.mu.Unlock()
	switch {
	case decision == "deny":
		turn.Deny(w, r)
	case decision == "wait":
		fmt.Fprint(w, turn.FormToken)
	case turn.SignedIn == nil:
		turn.SignIn(w, r, fapi.Authentication{Subject: "sub-alice", ACR: "urn:example:pwd", AMR: []string{"pwd"}})
	default:
		turn.Allow(w, r)
	}
}

func (a *autoInteractor) Fail(w http.ResponseWriter, _ *http.Request, failure fapi.Failure) {
	a.mu.Lock()
	a.failures = append(a.failures, failure)
	a.mu.Unlock()
	w.WriteHeader(failure.Status)
	fmt.Fprintf(w, "%s: %s", failure.Code, failure.Description)
}

type option func(*fapiConfig, *autoInteractor)

type fapiConfig = fapi.Config

func newWorld(t *testing.T, options ...option) *world {
	t.Helper()
	file := filepath.Join(t.TempDir(), "countersign.db")
	w := newWorldOn(t, func(now func() time.Time) store.Store { return openStore(t, file, now) }, options...)
	w.file = file
	return w
}

// newWorldOn makes a world on a store of its own; open opens it, once for each node.
func newWorldOn(t *testing.T, open func(now func() time.Time) store.Store, options ...option) *world {
	t.Helper()
	w := &world{t: t, open: open, clock: &clock{now: time.Now().Truncate(time.Second)}, logs: &lockedBuffer{}, spans: tracetest.NewInMemoryExporter()}
	provider := trace.NewTracerProvider(trace.WithSyncer(w.spans))
	ctx := context.Background()
	w.store = open(w.clock.Now)
	w.backend = &switchableBackend{Backend: sharedBackend(t)}
	for _, record := range sharedKeys(t) {
		addKey(t, w.store, record)
	}
	keys, err := signer.New(ctx, signer.Config{Catalogue: catalogue{w.store}, Replicas: []signer.Replica{{Backend: w.backend}}, Now: w.clock.Now, TracerProvider: provider})
	if err != nil {
		t.Fatal(err)
	}
	w.clientCA = newAuthority(t, "Client CA", w.clock.Now())
	roots := x509.NewCertPool()
	roots.AddCert(w.clientCA.certificate)

	certificate, pool := serverCertificate(t)
	w.roots = pool
	front, back := httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	front.TLS, back.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false), mtls.ServerConfig([]tls.Certificate{certificate}, true)
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	front.Config.ErrorLog, back.Config.ErrorLog = quiet, quiet
	interactor := &autoInteractor{decision: "allow"}
	config := fapi.Config{
		Issuer: "https://" + front.Listener.Addr().String(), MTLSIssuer: "https://" + back.Listener.Addr().String(),
		Store: w.store, Signer: keys, Interactor: interactor,
		Certificates: mtls.Direct(), ClientTrust: mtls.Trust{Roots: roots, Now: w.clock.Now},
		Scopes: []fapi.Scope{{Name: "accounts", Description: "See your accounts"}, {Name: "payments", Description: "Pay"}},
		Resources: []fapi.Resource{{Path: "/accounts", Scope: "accounts", Answer: func(_ context.Context, a fapi.Access) (any, error) {
			return map[string]any{"owner": a.Subject}, nil
		}}},
		Now: w.clock.Now, Logger: slog.New(slog.NewJSONHandler(w.logs, nil)), TracerProvider: provider,
	}
	for _, change := range options {
		change(&config, interactor)
	}
	if w.server, err = fapi.New(ctx, config); err != nil {
		t.Fatal(err)
	}
	front.Config.Handler, back.Config.Handler = w.server.Handler(), w.server.MTLSHandler()
	front.StartTLS()
	back.StartTLS()
	t.Cleanup(front.Close)
	t.Cleanup(back.Close)
	w.issuer, w.mtls, w.config = config.Issuer, config.MTLSIssuer, config
	if err := w.store.PutUser(ctx, store.User{Subject: "sub-alice", Username: "alice", Claims: json.RawMessage(`{"name":"Alice Example","email":"alice@example.com","email_verified":true}`), CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now()}); err != nil {
		t.Fatal(err)
	}
	return w
}

func deciding(decision string) option {
	return func(_ *fapiConfig, a *autoInteractor) { a.decision = decision }
}

func openStore(t *testing.T, file string, now func() time.Time) store.Store {
	t.Helper()
	config := sqlite.Config{File: file, Now: now}
	if _, err := sqlite.Migrate(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	opened, err := sqlite.Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened
}

// lockedBuffer is a log that several goroutines write to.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// authority is a certification authority.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(t *testing.T, name string, now time.Time) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return authority{parse(t, template, template, key.Public(), key), key}
}

func (a authority) issue(t *testing.T, name string, now time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	leaf := parse(t, template, parent, key.Public(), signer)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func parse(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

var serverTLS = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		IPAddresses: loopbacks(), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
})

func serverCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	certificate, err := serverTLS()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Leaf)
	return certificate, pool
}

// client is a client application of the tests.
type client struct {
	w           *world
	id          string
	redirectURI string
	scope       string
	key         jose.PrivateKey // for private_key_jwt
	proofKey    jose.PrivateKey // for DPoP
	certificate *tls.Certificate
	dpop        bool
	atMTLS      bool // uses the mTLS listener even without a certificate
	assertion   bool
	messages    bool // may sign its requests
	http        *http.Client
}

// register registers a client; change may alter its metadata.
func (w *world) register(id string, change func(c *client, metadata map[string]any)) *client {
	w.t.Helper()
	c := &client{
		w: w, id: id, redirectURI: "https://client.example/callback", scope: "openid profile email accounts offline_access",
		key: newKey(w.t, jose.ES256), proofKey: newKey(w.t, jose.ES256), dpop: true, assertion: true,
	}
	metadata := map[string]any{
		"client_name": "Example " + id, "redirect_uris": []string{c.redirectURI}, "scope": c.scope,
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(`{"keys":[` + string(c.key.PublicJWK()) + `]}`),
		"dpop_bound_access_tokens": true,
	}
	if change != nil {
		change(c, metadata)
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		w.t.Fatal(err)
	}
	profile, ok := metadata["profile"].(string)
	if !ok {
		profile = "fapi2-security"
	}
	if _, err := fapi.ParseClient(id, profile, body); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.PutClient(context.Background(), store.Client{ID: id, Profile: profile, Metadata: body, Version: 1, CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now()}); err != nil {
		w.t.Fatal(err)
	}
	c.http = w.transport(c)
	return c
}

// transport gives an HTTP client that shows c's certificate, if there is one.
func (w *world) transport(c *client) *http.Client {
	config := &tls.Config{RootCAs: w.roots}
	if c.certificate != nil {
		config.Certificates = []tls.Certificate{*c.certificate}
	}
	transport := &http.Transport{TLSClientConfig: config}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// withCertificate makes the client one of mutual TLS, with an issued certificate.
func withCertificate(c *client, metadata map[string]any) {
	certificate := c.w.clientCA.issue(c.w.t, c.id, c.w.clock.Now())
	c.certificate, c.dpop, c.assertion = &certificate, false, false
	delete(metadata, "dpop_bound_access_tokens")
	delete(metadata, "jwks")
	metadata["tls_client_certificate_bound_access_tokens"] = true
	metadata["token_endpoint_auth_method"] = "tls_client_auth"
	metadata["tls_client_auth_subject_dn"] = "CN=" + c.id
}

func newKey(t *testing.T, alg string) jose.PrivateKey {
	t.Helper()
	key, err := jose.NewPrivateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// base is the listener that the client uses for its back-channel requests.
func (c *client) base() string {
	if c.certificate != nil || c.atMTLS {
		return c.w.mtls
	}
	return c.w.issuer
}

// claims changes the claims of a JWT before it is signed.
type claims = map[string]any

func (c *client) clientAssertion(change func(claims)) string {
	now := c.w.clock.Now()
	body := claims{"iss": c.id, "sub": c.id, "aud": c.w.issuer, "jti": random(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	if change != nil {
		change(body)
	}
	return c.signed(c.key, "", body)
}

func (c *client) signed(key jose.PrivateKey, typ string, body claims) string {
	token, err := jose.Sign(context.Background(), key.SigningKey(), typ, body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return token
}

// proof makes a DPoP proof; accessToken is "" at the authorization server.
func (c *client) proof(method, address, accessToken string, change func(claims)) string {
	body := claims{"jti": random(), "htm": method, "htu": address, "iat": c.w.clock.Now().Unix()}
	if accessToken != "" {
		digest := sha256.Sum256([]byte(accessToken))
		body["ath"] = base64.RawURLEncoding.EncodeToString(digest[:])
	}
	if change != nil {
		change(body)
	}
	return dpopProof(c.w.t, c.proofKey, body)
}

// dpopProof signs with the public key in the header.
func dpopProof(t *testing.T, key jose.PrivateKey, body claims) string {
	t.Helper()
	proof, err := key.SignEmbedded(context.Background(), "dpop+jwt", body)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func random() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// reply is an answer, decoded.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func (r reply) text(name string) string {
	text, _ := r.body[name].(string)
	return text
}

// post sends a back-channel request with the client's proofs; change may alter it before it leaves.
func (c *client) post(path string, form url.Values, change func(form url.Values, header http.Header)) reply {
	c.w.t.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if c.assertion {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", c.clientAssertion(nil))
	} else {
		form.Set("client_id", c.id)
	}
	if c.dpop {
		header.Set("DPoP", c.proof("POST", c.base()+path, "", nil))
	}
	if change != nil {
		change(form, header)
	}
	request, err := http.NewRequest(http.MethodPost, c.base()+path, strings.NewReader(form.Encode()))
	if err != nil {
		c.w.t.Fatal(err)
	}
	request.Header = header
	return c.do(request)
}

func (c *client) do(request *http.Request) reply {
	c.w.t.Helper()
	response, err := c.http.Do(request)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	r := reply{status: response.StatusCode, header: response.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &r.body) // pages are not JSON
	return r
}

const verifier = "verifier-verifier-verifier-verifier-verifier-123"

func challenge(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// request gives the parameters of an authorization request.
func (c *client) request() url.Values {
	return url.Values{
		"response_type": {"code"}, "redirect_uri": {c.redirectURI}, "scope": {c.scope}, "state": {"state-1"}, "nonce": {"nonce-1"},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}, "client_id": {c.id},
	}
}

func (c *client) push(change func(form url.Values, header http.Header)) reply {
	c.w.t.Helper()
	return c.post("/par", c.request(), change)
}

// browser is a person's browser: it keeps cookies and follows redirects within the server.
type browser struct {
	w    *world
	http *http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &browser{w, &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// visit opens an address and gives the page, or where the browser was sent.
func (b *browser) visit(address string) (status int, body string, sentTo *url.URL) {
	b.w.t.Helper()
	response, err := b.http.Get(address)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	if location := response.Header.Get("Location"); location != "" {
		if sentTo, err = url.Parse(location); err != nil {
			b.w.t.Fatal(err)
		}
	}
	return response.StatusCode, string(raw), sentTo
}

func (w *world) authorizeURL(clientID, requestURI string) string {
	return w.issuer + "/authorize?" + url.Values{"client_id": {clientID}, "request_uri": {requestURI}}.Encode()
}

// authorize goes from the push to the code.
func (c *client) authorize() string {
	c.w.t.Helper()
	pushed := c.push(nil)
	if pushed.status != http.StatusCreated {
		c.w.t.Fatalf("push: %d %s", pushed.status, pushed.raw)
	}
	status, body, sentTo := c.w.browser().visit(c.w.authorizeURL(c.id, pushed.text("request_uri")))
	if sentTo == nil || sentTo.Query().Get("code") == "" {
		c.w.t.Fatalf("authorize: %d %s %v", status, body, sentTo)
	}
	return sentTo.Query().Get("code")
}

func (c *client) redeem(code string, change func(form url.Values, header http.Header)) reply {
	c.w.t.Helper()
	return c.post("/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.redirectURI}, "code_verifier": {verifier},
	}, change)
}

func (c *client) refresh(token string, change func(form url.Values, header http.Header)) reply {
	c.w.t.Helper()
	return c.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, change)
}

// get calls a resource with an access token; change may alter the header.
func (c *client) get(path, accessToken string, change func(http.Header)) reply {
	c.w.t.Helper()
	header := http.Header{}
	if c.dpop {
		header.Set("Authorization", "DPoP "+accessToken)
		header.Set("DPoP", c.proof("GET", c.base()+path, accessToken, nil))
	} else {
		header.Set("Authorization", "Bearer "+accessToken)
	}
	if change != nil {
		change(header)
	}
	request, err := http.NewRequest(http.MethodGet, c.base()+path, nil)
	if err != nil {
		c.w.t.Fatal(err)
	}
	request.Header = header
	return c.do(request)
}

// tokens goes through the whole flow.
func (c *client) tokens() reply {
	c.w.t.Helper()
	r := c.redeem(c.authorize(), nil)
	if r.status != http.StatusOK {
		c.w.t.Fatalf("token: %d %s", r.status, r.raw)
	}
	return r
}

// wantError checks a refusal.
func wantError(t *testing.T, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.text("error") != code {
		t.Fatalf("answered %d %s, want %d %s", r.status, r.raw, status, code)
	}
	id := r.header.Get("X-Correlation-Id")
	if r.text("error_description") == "" || id == "" || r.text("correlation_id") != id && !strings.HasSuffix(r.text("error_description"), "(correlation id "+id+")") {
		t.Errorf("the error does not help: %s", r.raw)
	}
}
