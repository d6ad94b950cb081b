package adminapi_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/adminlistener"
	"countersign/internal/config"
	"countersign/internal/config/operators"
	"countersign/internal/database"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/logbuffer"
	"countersign/internal/postgrestest"
	"countersign/internal/serve"
	"countersign/store"
)

var cluster postgrestest.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// world is an admin API with operators: ada and bob are security officers, cleo manages clients, rita reads.
type world struct {
	*testing.T
	config    *config.Config
	store     store.Store
	authority fapitest.Authority
	folder    string
	base      string
	roots     *x509.CertPool
	shown     map[string]tls.Certificate
	log       *logbuffer.Buffer

	lock sync.Mutex
	late time.Duration
}

// now is the clock, which [world.advance] moves.
func (w *world) now() time.Time {
	w.lock.Lock()
	defer w.lock.Unlock()
	return time.Now().Add(w.late)
}

func (w *world) advance(by time.Duration) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.late += by
}

func newWorld(t *testing.T, changes ...func(*config.Config)) *world {
	t.Helper()
	i := setuptest.New(t)
	w := &world{
		T: t, config: i.Config, authority: fapitest.NewAuthority(t, "Operators", time.Now()), folder: t.TempDir(), shown: map[string]tls.Certificate{}, log: &logbuffer.Buffer{},
	}
	server, roots := fapitest.ServerCertificate(t)
	w.roots = roots
	for _, name := range []string{"ada", "bob", "cleo", "rita", "nobody"} {
		w.shown[name] = w.authority.Issue(t, name, time.Now())
	}
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	w.config.Admin = operators.Admin{
		Listen: "127.0.0.1:0", CertificateFile: config.File(w.file("server.crt", "CERTIFICATE", server.Certificate[0])), KeyFile: config.Secret(w.file("server.key", "PRIVATE KEY", key)),
		ClientCAFile: config.File(w.file("ca.crt", "CERTIFICATE", w.authority.Certificate.Raw)), PerMinute: 60_000, ApprovalsLast: config.Duration(time.Hour),
		Operators: []operators.Operator{
			{Name: "Ada", CertificateDN: "CN=ada", Roles: "security_officer"},
			{Name: "Bob", CertificateFile: config.File(w.file("bob.crt", "CERTIFICATE", w.shown["bob"].Certificate[0])), Roles: "security_officer reader"},
			{Name: "Cleo", CertificateDN: "CN=cleo", Roles: "client_manager"},
			{Name: "Rita", CertificateDN: "CN=rita", Roles: "reader"},
		},
	}
	for _, change := range changes {
		change(w.config)
	}
	d, err := database.New(w.config, w.now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.store, err = d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	w.base = w.node()
	return w
}

// node starts a listener, until the test ends.
func (w *world) node() string {
	w.Helper()
	log := slog.New(slog.NewTextHandler(w.log, nil))
	api, err := adminlistener.New(adminlistener.Options{
		Config: w.config, Store: w.store, Rates: serve.PasswordRates(w.config.Limits), Version: "v1", Now: w.now, Log: log,
	})
	if err != nil {
		w.Fatal(err)
	}
	current := func() *adminlistener.API { return api }
	server := adminlistener.Server(current, api.Handler, log)
	opened, err := new(net.ListenConfig).Listen(w.Context(), "tcp", w.config.Admin.Listen)
	if err != nil {
		w.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(opened, "", "") }()
	w.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			w.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			w.Error(err)
		}
	})
	return "https://" + opened.Addr().String()
}

// file writes a PEM file.
func (w *world) file(name, kind string, der ...[]byte) string {
	w.Helper()
	var text []byte
	for _, one := range der {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: one})...)
	}
	path := filepath.Join(w.folder, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// client is one who shows a certificate, or none.
func (w *world) client(shown ...tls.Certificate) *http.Client {
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: w.roots, Certificates: shown}}
	w.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is what came back.
type answer struct {
	*testing.T
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// ask sends a request as an operator. The body is JSON, or nil; headers are pairs of name and value.
func (w *world) ask(t *testing.T, name, method, path string, body any, headers ...string) answer {
	t.Helper()
	got, err := w.send(w.client(w.shown[name]), w.base+path, method, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	got.T = t
	if method != http.MethodHead {
		got.documented(method, path)
	}
	return got
}

func (w *world) send(c *http.Client, address, method string, body any, headers ...string) (got answer, err error) {
	var content io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(body)
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			return got, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, address, content)
	if err != nil {
		return got, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.Do(request)
	if err != nil {
		return got, err
	}
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return got, err
	}
	got = answer{status: response.StatusCode, header: response.Header, raw: string(raw)}
	if strings.Contains(response.Header.Get("Content-Type"), "json") && len(raw) > 0 {
		err = json.Unmarshal(raw, &got.body)
	}
	return got, errors.Join(err, response.Body.Close())
}

// want demands a status, and returns the answer.
func (a answer) want(status int) answer {
	a.Helper()
	if a.status != status {
		a.Fatalf("%d, want %d: %s", a.status, status, a.raw)
	}
	return a
}

// problem demands a problem document.
func (a answer) problem(status int, code string) {
	a.Helper()
	a.want(status)
	if a.header.Get("Content-Type") != "application/problem+json" || a.body["type"] != "urn:countersign:problem:"+code || a.body["status"] != float64(status) ||
		a.body["title"] == "" || a.body["detail"] == "" || a.body["correlation_id"] != a.header.Get("X-Correlation-Id") || len(a.header.Get("X-Correlation-Id")) != 36 {
		a.Errorf("want the problem %s: %s %v", code, a.raw, a.header)
	}
}

func (a answer) tag() string { return a.header.Get("ETag") }

// text is a member of the answer that is text.
func (a answer) text(name string) string {
	a.Helper()
	value, ok := a.body[name].(string)
	if !ok {
		a.Fatalf("no text %s in %s", name, a.raw)
	}
	return value
}

func (a answer) items() []map[string]any {
	a.Helper()
	var list struct {
		Items []map[string]any `json:"items"`
	}
	if err := json.Unmarshal([]byte(a.raw), &list); err != nil {
		a.Fatal(err)
	}
	return list.Items
}

// events are the records of an event in the audit log, with what they say.
func (w *world) events(t *testing.T, event string) (found []map[string]string) {
	t.Helper()
	waiting, err := w.store.WaitingEvidence(t.Context(), "", time.Now().Add(1000*time.Hour), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range waiting {
		var said struct {
			CorrelationID string            `json:"correlation_id"`
			Detail        map[string]string `json:"detail"`
		}
		if err := json.Unmarshal(one.Body, &said); err != nil {
			t.Fatal(err)
		}
		if said.Detail["event"] == event {
			said.Detail["correlation_id"] = said.CorrelationID
			found = append(found, said.Detail)
		}
	}
	return found
}

// audited demands that the last record of an event names who did it, and from where.
func (w *world) audited(a answer, event, by string) map[string]string {
	a.Helper()
	found := w.events(a.T, event)
	if len(found) == 0 {
		a.Fatalf("there is no record of %s", event)
	}
	last := found[len(found)-1]
	if last["by"] != by || last["address"] != "127.0.0.1" || last["correlation_id"] != a.header.Get("X-Correlation-Id") {
		a.Errorf("%s is recorded as %v, want by %s with %s", event, last, by, a.header.Get("X-Correlation-Id"))
	}
	return last
}

const metadata = `{"client_name":"App","redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code"],"scope":"openid",
	"token_endpoint_auth_method":"private_key_jwt","dpop_bound_access_tokens":true,
	"jwks":{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}}`

// body is metadata with another name, as what a client is to be.
func body(name string) map[string]any {
	return map[string]any{"metadata": json.RawMessage(strings.Replace(metadata, `"App"`, fmt.Sprintf("%q", name), 1))}
}

// added registers a client, and returns its entity tag.
func (w *world) added(t *testing.T, id string) string {
	t.Helper()
	return w.ask(t, "cleo", "PUT", "/admin/v1/clients/"+id, body("App"), "If-None-Match", "*").want(http.StatusCreated).tag()
}
