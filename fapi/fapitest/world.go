// Package fapitest is what the tests of fapi's rooms share: a [World] is a running server with real TLS, a real database and
// keys in SoftHSM2, whose clock only the test moves; a [Client] is a client application of it with its keys; a [Browser] is a
// browser, and [User] the user in front of it. A test registers a client, goes through a flow, and checks what comes back:
//
//	func TestMain(m *testing.M) { fapitest.Main(m) }
//
//	func TestRefresh(t *testing.T) {
//		t.Parallel()
//		w := fapitest.NewWorld(t)
//		c := w.Register("client-1", nil)
//		issued := c.Tokens()
//		w.Clock.Advance(time.Hour)
//		fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil))
//	}
//
// Options change the server's configuration, a [ClientOption] changes what is registered, and a [Change] alters one request.
// A numbered test sends [Attempt]s, good ones and bad ones, from which docs/conformance.md counts what is proven.
package fapitest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"countersign/fapi"
	"countersign/fapi/resource"
	"countersign/fapi/scope"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// Config is the server's configuration, which an [Option] changes.
type Config = fapi.Config

// Option changes the configuration of a world before it starts.
type Option = func(*Config)

// Clock is the one clock of a test. It moves only by Advance.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that shows a time.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now is the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward, or back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// LogBuffer keeps what the server logs.
type LogBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements [io.Writer].
func (b *LogBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

// String is everything that was logged, one JSON object a line.
func (b *LogBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// World is a running server with real keys in SoftHSM2 and a real database. The user alice is in it.
type World struct {
	T     *testing.T
	Clock *Clock
	// Store is the server's database, and Server the server.
	Store  store.Store
	Server *fapi.Server
	// Config is the configuration of Server.
	Config Config
	// Issuer and MTLSIssuer are the addresses of the listeners without and with mutual TLS, and Roots trusts them.
	Issuer, MTLSIssuer string
	Roots              *x509.CertPool
	// ClientCA issues the certificates of clients that the server trusts.
	ClientCA Authority
	// User is in front of every browser, unless Config has another interactor.
	User *User
	// Logs and Spans are what the server logs and traces.
	Logs  *LogBuffer
	Spans *tracetest.InMemoryExporter
	// Backend signs for the server.
	Backend *Backend
	// File is the SQLite database, or empty.
	File string
	open func(now func() time.Time) store.Store
}

// NewWorld starts a world on SQLite. It ends with the test.
func NewWorld(t *testing.T, options ...Option) *World {
	t.Helper()
	file := newDatabase(t)
	w := newWorldOn(t, func(now func() time.Time) store.Store { return openSQLite(t, file, now) }, options...)
	w.File = file
	return w
}

// newWorldOn starts a world on a database; open opens it, once for each node.
func newWorldOn(t *testing.T, open func(now func() time.Time) store.Store, options ...Option) *World {
	t.Helper()
	w := &World{
		T: t, open: open, Clock: NewClock(time.Now().Truncate(time.Second)), Logs: &LogBuffer{}, Spans: tracetest.NewInMemoryExporter(),
	}
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

	var certificate tls.Certificate
	certificate, w.Roots = ServerCertificate(t)
	front, back := httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	front.TLS, back.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false), mtls.ServerConfig([]tls.Certificate{certificate}, true)
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	front.Config.ErrorLog, back.Config.ErrorLog = quiet, quiet
	w.User = &User{subject: "sub-alice", reaches: ACRPassword, decision: "allow"}
	config := fapi.Config{
		Issuer: "https://" + front.Listener.Addr().String(), MTLSIssuer: "https://" + back.Listener.Addr().String(),
		Store: w.Store, Signer: keys, Interactor: w.User,
		Certificates: mtls.Direct(), ClientTrust: mtls.Trust{Roots: roots, Now: w.Clock.Now},
		Scopes: []scope.Scope{{Name: "accounts", Description: "See your accounts"}, {Name: "payments", Description: "Pay"}},
		Resources: []resource.Resource{{Path: "/accounts", Scope: "accounts", Answer: func(_ context.Context, a resource.Access) (any, error) {
			return map[string]any{"owner": a.Subject}, nil
		}}},
		Now: w.Clock.Now, Logger: slog.New(slog.NewJSONHandler(w.Logs, nil)), TracerProvider: provider,
	}
	for _, change := range options {
		change(&config)
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
	w.AddUser("sub-alice", "alice", `{"name":"Alice Example","email":"alice@example.com","email_verified":true}`)
	return w
}

// NewFullWorld starts a world with resource servers, authorization details and authentication contexts, and a second user,
// bob. It also returns the user in front of every browser.
func NewFullWorld(t *testing.T, more ...Option) (*World, *User) {
	t.Helper()
	w := NewWorld(t, append([]Option{func(c *Config) {
		c.ResourceServers = []scope.ResourceServer{
			{Identifier: LedgerAPI, Scopes: []string{"accounts"}}, {Identifier: PaymentAPI, Scopes: []string{"payments"}},
		}
		c.ACRValues = []string{ACRKey, ACRPassword}
		c.AuthorizationDetailTypes = DetailTypes()
		WithLogout(c)
	}}, more...)...)
	w.AddUser("sub-bob", "bob", `{"name":"Bob Example","email":"bob@example.com"}`)
	return w, w.User
}

// AddUser adds or replaces a user; known are the user's claims as JSON.
func (w *World) AddUser(subject, username, known string) {
	w.T.Helper()
	now := w.Clock.Now()
	user := store.User{Subject: subject, Username: username, Claims: json.RawMessage(known), CreatedAt: now, UpdatedAt: now}
	if err := w.Store.PutUser(context.Background(), user); err != nil {
		w.T.Fatal(err)
	}
}

// Disable sets whether a user is disabled.
func (w *World) Disable(subject string, disabled bool) {
	w.T.Helper()
	user, err := w.Store.User(context.Background(), subject)
	if err != nil {
		w.T.Fatal(err)
	}
	user.Disabled = disabled
	if err := w.Store.PutUser(context.Background(), user); err != nil {
		w.T.Fatal(err)
	}
}

// ChangeMember changes one member of a client's registration in the store.
func (w *World) ChangeMember(c *Client, name string, value any) {
	w.T.Helper()
	record, err := w.Store.Client(w.T.Context(), c.ID)
	if err != nil {
		w.T.Fatal(err)
	}
	var metadata map[string]any
	if err := json.Unmarshal(record.Metadata, &metadata); err != nil {
		w.T.Fatal(err)
	}
	metadata[name] = value
	if record.Metadata, err = json.Marshal(metadata); err != nil {
		w.T.Fatal(err)
	}
	record.Version++
	if err := w.Store.PutClient(w.T.Context(), record); err != nil {
		w.T.Fatal(err)
	}
}

// RevokeGrantOf revokes the grant of an access token in the store, as another node might.
func (w *World) RevokeGrantOf(t *testing.T, accessToken string) {
	t.Helper()
	_, body := w.Verify(accessToken)
	grant, err := w.Store.AccessGrant(t.Context(), store.IssuedDigest(body["jti"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Store.RevokeGrant(t.Context(), grant.ID, store.RevokedByOperator, nil); err != nil {
		t.Fatal(err)
	}
}

// Document is the discovery document.
func (w *World) Document() map[string]any {
	w.T.Helper()
	_, body, _ := w.Browser().Visit(w.Issuer + "/.well-known/openid-configuration")
	var document map[string]any
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		w.T.Fatal(err)
	}
	return document
}

// Request sends any request to the server, as somebody without cookies, and does not follow redirects.
func (w *World) Request(t *testing.T, method, address string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	b := w.Browser()
	b.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := b.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(raw)
}
