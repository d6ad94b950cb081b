package fapitest

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
	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/resource"
	"countersign/fapi/scope"
	"countersign/internal/jose"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
	"countersign/store/sqlite"
)

// clock is the one clock of a test; it stands still unless moved.
type Clock struct {
	mu   sync.Mutex
	Time time.Time
}

func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Time
}

func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Time = c.Time.Add(d)
}

// world is a running server with real keys in SoftHSM2 and a real database.
type World struct {
	T          *testing.T
	Clock      *Clock
	Store      store.Store
	Server     *fapi.Server
	Issuer     string
	MTLSIssuer string
	Roots      *x509.CertPool
	ClientCA   Authority
	Logs       *LogBuffer
	Spans      *tracetest.InMemoryExporter
	Backend    *Backend
	open       func(now func() time.Time) store.Store
	file       string      // the database, where it is one
	Config     fapi.Config // of server
}

// autoInteractor plays the person: it signs in and does what decision says.
type AutoInteractor struct {
	Mu       sync.Mutex
	Decision string // "allow", "deny" or "wait"
	failures []browser.Failure
}

func (a *AutoInteractor) Interact(w http.ResponseWriter, r *http.Request, in authorize.Interaction, actions authorize.Actions) {
	a.Mu.Lock()
	decision := a.Decision
	a.Mu.Unlock()
	switch {
	case decision == "deny":
		actions.Deny(w, r)
	case decision == "wait":
		fmt.Fprint(w, in.FormToken)
	case in.SignedIn == nil:
		actions.SignIn(w, r, browser.Authentication{Subject: "sub-alice", ACR: "urn:example:pwd", AMR: []string{"pwd"}})
	default:
		actions.Allow(w, r)
	}
}

func (a *AutoInteractor) Fail(w http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	a.Mu.Lock()
	a.failures = append(a.failures, failure)
	a.Mu.Unlock()
	w.WriteHeader(failure.Status)
	fmt.Fprintf(w, "%s: %s", failure.Code, failure.Description)
}

type Option func(*Config, *AutoInteractor)

type Config = fapi.Config

func NewWorld(t *testing.T, options ...Option) *World {
	t.Helper()
	file := filepath.Join(t.TempDir(), "countersign.db")
	w := newWorldOn(t, func(now func() time.Time) store.Store { return openStore(t, file, now) }, options...)
	w.file = file
	return w
}

// newWorldOn makes a world on a store of its own; open opens it, once for each node.
func newWorldOn(t *testing.T, open func(now func() time.Time) store.Store, options ...Option) *World {
	t.Helper()
	w := &World{T: t, open: open, Clock: &Clock{Time: time.Now().Truncate(time.Second)}, Logs: &LogBuffer{}, Spans: tracetest.NewInMemoryExporter()}
	provider := trace.NewTracerProvider(trace.WithSyncer(w.Spans))
	ctx := context.Background()
	w.Store = open(w.Clock.Now)
	w.Backend = &Backend{Backend: SharedBackend(t)}
	for _, record := range SharedKeys(t) {
		AddKey(t, w.Store, record)
	}
	keys, err := signer.New(ctx, signer.Config{Catalogue: Catalogue{Store: w.Store}, Replicas: []signer.Replica{{Backend: w.Backend}}, Now: w.Clock.Now, TracerProvider: provider})
	if err != nil {
		t.Fatal(err)
	}
	w.ClientCA = NewAuthority(t, "Client CA", w.Clock.Now())
	roots := x509.NewCertPool()
	roots.AddCert(w.ClientCA.Certificate)

	certificate, pool := ServerCertificate(t)
	w.Roots = pool
	front, back := httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	front.TLS, back.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false), mtls.ServerConfig([]tls.Certificate{certificate}, true)
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	front.Config.ErrorLog, back.Config.ErrorLog = quiet, quiet
	interactor := &AutoInteractor{Decision: "allow"}
	config := fapi.Config{
		Issuer: "https://" + front.Listener.Addr().String(), MTLSIssuer: "https://" + back.Listener.Addr().String(),
		Store: w.Store, Signer: keys, Interactor: interactor,
		Certificates: mtls.Direct(), ClientTrust: mtls.Trust{Roots: roots, Now: w.Clock.Now},
		Scopes: []scope.Scope{{Name: "accounts", Description: "See your accounts"}, {Name: "payments", Description: "Pay"}},
		Resources: []resource.Resource{{Path: "/accounts", Scope: "accounts", Answer: func(_ context.Context, a resource.Access) (any, error) {
			return map[string]any{"owner": a.Subject}, nil
		}}},
		Now: w.Clock.Now, Logger: slog.New(slog.NewJSONHandler(w.Logs, nil)), TracerProvider: provider,
	}
	for _, change := range options {
		change(&config, interactor)
	}
	if w.Server, err = fapi.New(ctx, config); err != nil {
		t.Fatal(err)
	}
	front.Config.Handler, back.Config.Handler = w.Server.Handler(), w.Server.MTLSHandler()
	front.StartTLS()
	back.StartTLS()
	t.Cleanup(front.Close)
	t.Cleanup(back.Close)
	w.Issuer, w.MTLSIssuer, w.Config = config.Issuer, config.MTLSIssuer, config
	if err := w.Store.PutUser(ctx, store.User{Subject: "sub-alice", Username: "alice", Claims: json.RawMessage(`{"name":"Alice Example","email":"alice@example.com","email_verified":true}`), CreatedAt: w.Clock.Now(), UpdatedAt: w.Clock.Now()}); err != nil {
		t.Fatal(err)
	}
	return w
}

func Deciding(decision string) Option {
	return func(_ *Config, a *AutoInteractor) { a.Decision = decision }
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
type LogBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *LogBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *LogBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// authority is a certification authority.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

func NewAuthority(t *testing.T, name string, now time.Time) Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return Authority{SignCertificate(t, template, template, key.Public(), key), key}
}

func (a Authority) Issue(t *testing.T, name string, now time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	parent, signer := a.Certificate, a.Key
	if parent == nil {
		parent, signer = template, key
	}
	leaf := SignCertificate(t, template, parent, key.Public(), signer)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func SignCertificate(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
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

func ServerCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
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
type Client struct {
	World       *World
	ID          string
	RedirectURI string
	Scope       string
	Key         jose.PrivateKey // for private_key_jwt
	ProofKey    jose.PrivateKey // for DPoP
	Certificate *tls.Certificate
	DPoP        bool
	AtMTLS      bool // uses the mTLS listener even without a certificate
	Assertion   bool
	messages    bool // may sign its requests
	HTTP        *http.Client
}

// register registers a client; change may alter its metadata.
func (w *World) Register(id string, change func(c *Client, metadata map[string]any)) *Client {
	w.T.Helper()
	c := &Client{
		World: w, ID: id, RedirectURI: "https://client.example/callback", Scope: "openid profile email accounts offline_access",
		Key: NewKey(w.T, jose.ES256), ProofKey: NewKey(w.T, jose.ES256), DPoP: true, Assertion: true,
	}
	metadata := map[string]any{
		"client_name": "Example " + id, "redirect_uris": []string{c.RedirectURI}, "scope": c.Scope,
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(`{"keys":[` + string(c.Key.PublicJWK()) + `]}`),
		"dpop_bound_access_tokens": true,
	}
	if change != nil {
		change(c, metadata)
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		w.T.Fatal(err)
	}
	profile, ok := metadata["profile"].(string)
	if !ok {
		profile = "fapi2-security"
	}
	if _, err := client.Parse(id, profile, body); err != nil {
		w.T.Fatal(err)
	}
	if err := w.Store.PutClient(context.Background(), store.Client{ID: id, Profile: profile, Metadata: body, Version: 1, CreatedAt: w.Clock.Now(), UpdatedAt: w.Clock.Now()}); err != nil {
		w.T.Fatal(err)
	}
	c.HTTP = w.Transport(c)
	return c
}

// transport gives an HTTP client that shows c's certificate, if there is one.
func (w *World) Transport(c *Client) *http.Client {
	config := &tls.Config{RootCAs: w.Roots}
	if c.Certificate != nil {
		config.Certificates = []tls.Certificate{*c.Certificate}
	}
	transport := &http.Transport{TLSClientConfig: config}
	w.T.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// withCertificate makes the client one of mutual TLS, with an issued certificate.
func TLSClientAuth(c *Client, metadata map[string]any) {
	certificate := c.World.ClientCA.Issue(c.World.T, c.ID, c.World.Clock.Now())
	c.Certificate, c.DPoP, c.Assertion = &certificate, false, false
	delete(metadata, "dpop_bound_access_tokens")
	delete(metadata, "jwks")
	metadata["tls_client_certificate_bound_access_tokens"] = true
	metadata["token_endpoint_auth_method"] = "tls_client_auth"
	metadata["tls_client_auth_subject_dn"] = "CN=" + c.ID
}

func NewKey(t *testing.T, alg string) jose.PrivateKey {
	t.Helper()
	key, err := jose.NewPrivateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// base is the listener that the client uses for its back-channel requests.
func (c *Client) Base() string {
	if c.Certificate != nil || c.AtMTLS {
		return c.World.MTLSIssuer
	}
	return c.World.Issuer
}

// claims changes the claims of a JWT before it is signed.
type Claims = map[string]any

func (c *Client) ClientAssertion(change func(Claims)) string {
	now := c.World.Clock.Now()
	body := Claims{"iss": c.ID, "sub": c.ID, "aud": c.World.Issuer, "jti": RandomString(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	if change != nil {
		change(body)
	}
	return c.Sign(c.Key, "", body)
}

func (c *Client) Sign(key jose.PrivateKey, typ string, body Claims) string {
	token, err := jose.Sign(context.Background(), key.SigningKey(), typ, body)
	if err != nil {
		c.World.T.Fatal(err)
	}
	return token
}

// proof makes a DPoP proof; accessToken is "" at the authorization server.
func (c *Client) Proof(method, address, accessToken string, change func(Claims)) string {
	body := Claims{"jti": RandomString(), "htm": method, "htu": address, "iat": c.World.Clock.Now().Unix()}
	if accessToken != "" {
		digest := sha256.Sum256([]byte(accessToken))
		body["ath"] = base64.RawURLEncoding.EncodeToString(digest[:])
	}
	if change != nil {
		change(body)
	}
	return dpopProof(c.World.T, c.ProofKey, body)
}

// dpopProof signs with the public key in the header.
func dpopProof(t *testing.T, key jose.PrivateKey, body Claims) string {
	t.Helper()
	proof, err := key.SignEmbedded(context.Background(), "dpop+jwt", body)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func RandomString() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// reply is an answer, decoded.
type Reply struct {
	Status int
	Header http.Header
	Body   map[string]any
	Raw    string
}

func (r Reply) Text(name string) string {
	text, _ := r.Body[name].(string)
	return text
}

// post sends a back-channel request with the client's proofs; change may alter it before it leaves.
func (c *Client) Post(path string, form url.Values, change func(form url.Values, header http.Header)) Reply {
	c.World.T.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if c.Assertion {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", c.ClientAssertion(nil))
	} else {
		form.Set("client_id", c.ID)
	}
	if c.DPoP {
		header.Set("DPoP", c.Proof("POST", c.Base()+path, "", nil))
	}
	if change != nil {
		change(form, header)
	}
	request, err := http.NewRequest(http.MethodPost, c.Base()+path, strings.NewReader(form.Encode()))
	if err != nil {
		c.World.T.Fatal(err)
	}
	request.Header = header
	return c.Do(request)
}

func (c *Client) Do(request *http.Request) Reply {
	c.World.T.Helper()
	response, err := c.HTTP.Do(request)
	if err != nil {
		c.World.T.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		c.World.T.Fatal(err)
	}
	r := Reply{Status: response.StatusCode, Header: response.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &r.Body) // pages are not JSON
	return r
}

const CodeVerifier = "verifier-verifier-verifier-verifier-verifier-123"

func CodeChallenge(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// request gives the parameters of an authorization request.
func (c *Client) AuthorizationForm() url.Values {
	return url.Values{
		"response_type": {"code"}, "redirect_uri": {c.RedirectURI}, "scope": {c.Scope}, "state": {"state-1"}, "nonce": {"nonce-1"},
		"code_challenge": {CodeChallenge(CodeVerifier)}, "code_challenge_method": {"S256"}, "client_id": {c.ID},
	}
}

func (c *Client) Push(change func(form url.Values, header http.Header)) Reply {
	c.World.T.Helper()
	return c.Post("/par", c.AuthorizationForm(), change)
}

// browser is a person's browser: it keeps cookies and follows redirects within the server.
type Browser struct {
	w    *World
	HTTP *http.Client
}

func (w *World) Browser() *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.T.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.Roots}}
	w.T.Cleanup(transport.CloseIdleConnections)
	return &Browser{w, &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.Issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// visit opens an address and gives the page, or where the browser was sent.
func (b *Browser) Visit(address string) (status int, body string, sentTo *url.URL) {
	b.w.T.Helper()
	response, err := b.HTTP.Get(address)
	if err != nil {
		b.w.T.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		b.w.T.Fatal(err)
	}
	if location := response.Header.Get("Location"); location != "" {
		if sentTo, err = url.Parse(location); err != nil {
			b.w.T.Fatal(err)
		}
	}
	return response.StatusCode, string(raw), sentTo
}

func (w *World) AuthorizeURL(clientID, requestURI string) string {
	return w.Issuer + "/authorize?" + url.Values{"client_id": {clientID}, "request_uri": {requestURI}}.Encode()
}

// authorize goes from the push to the code.
func (c *Client) Authorize() string {
	c.World.T.Helper()
	pushed := c.Push(nil)
	if pushed.Status != http.StatusCreated {
		c.World.T.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	status, body, sentTo := c.World.Browser().Visit(c.World.AuthorizeURL(c.ID, pushed.Text("request_uri")))
	if sentTo == nil || sentTo.Query().Get("code") == "" {
		c.World.T.Fatalf("authorize: %d %s %v", status, body, sentTo)
	}
	return sentTo.Query().Get("code")
}

func (c *Client) Redeem(code string, change func(form url.Values, header http.Header)) Reply {
	c.World.T.Helper()
	return c.Post("/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURI}, "code_verifier": {CodeVerifier},
	}, change)
}

func (c *Client) Refresh(token string, change func(form url.Values, header http.Header)) Reply {
	c.World.T.Helper()
	return c.Post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, change)
}

// get calls a resource with an access token; change may alter the header.
func (c *Client) Get(path, accessToken string, change func(http.Header)) Reply {
	c.World.T.Helper()
	header := http.Header{}
	if c.DPoP {
		header.Set("Authorization", "DPoP "+accessToken)
		header.Set("DPoP", c.Proof("GET", c.Base()+path, accessToken, nil))
	} else {
		header.Set("Authorization", "Bearer "+accessToken)
	}
	if change != nil {
		change(header)
	}
	request, err := http.NewRequest(http.MethodGet, c.Base()+path, nil)
	if err != nil {
		c.World.T.Fatal(err)
	}
	request.Header = header
	return c.Do(request)
}

// tokens goes through the whole flow.
func (c *Client) Tokens() Reply {
	c.World.T.Helper()
	r := c.Redeem(c.Authorize(), nil)
	if r.Status != http.StatusOK {
		c.World.T.Fatalf("token: %d %s", r.Status, r.Raw)
	}
	return r
}

// wantError checks a refusal.
func WantError(t *testing.T, r Reply, status int, code string) {
	t.Helper()
	if r.Status != status || r.Text("error") != code {
		t.Fatalf("answered %d %s, want %d %s", r.Status, r.Raw, status, code)
	}
	id := r.Header.Get("X-Correlation-Id")
	if r.Text("error_description") == "" || id == "" || r.Text("correlation_id") != id && !strings.HasSuffix(r.Text("error_description"), "(correlation id "+id+")") {
		t.Errorf("the error does not help: %s", r.Raw)
	}
}
