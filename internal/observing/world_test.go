package observing_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tracespb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/internal/devsetup"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/flowclient"
	"countersign/internal/logbuffer"
	"countersign/internal/postgrestest"
	"countersign/internal/serve"
	_ "countersign/signer/pkcs11/selfworker"
	"countersign/store"
)

var cluster postgrestest.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 1200 {
		if so() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// traces is a collector of traces: it has the names of the spans of each trace.
type traces struct {
	mu    sync.Mutex
	spans map[string]map[string]bool
}

func (c *traces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	unzip, err := gzip.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, _ := io.ReadAll(unzip)
	var request tracespb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				id := hex.EncodeToString(span.GetTraceId())
				if c.spans[id] == nil {
					c.spans[id] = map[string]bool{}
				}
				c.spans[id][span.GetName()] = true
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// has reports whether a trace has a span of a name.
func (c *traces) has(id, name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans[id][name]
}

// world is a server on PostgreSQL and SoftHSM2, with a standby, a collector, and a client.
type world struct {
	t      *testing.T
	folder string
	config *config.Config
	demo   devsetup.Demo
	client *flowclient.Client
	traces *traces
	log    *logbuffer.Buffer
}

// newWorld starts a server whose metrics are at an address of its own.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), traces: &traces{spans: map[string]map[string]bool{}}, log: new(logbuffer.Buffer)}
	ports, err := setuptest.FreePorts(4)
	w.must(err)
	made, err := devsetup.Make(t.Context(), devsetup.Options{
		Folder: filepath.Join(w.folder, "local"), Port: ports[0], MTLSPort: ports[1], DemoPort: ports[2], Now: time.Now,
	})
	w.must(err)
	c := made.Config
	address := cluster.Database(t)
	cluster.Standby(t)
	_, err = database.Copy(t.Context(), c.Store.File.Path(), address, time.Now, database.Progress{
		Migrated: func(int) {}, Copied: nil,
	})
	w.must(err)
	secret := filepath.Join(w.folder, "url")
	w.must(os.WriteFile(secret, []byte(address), 0o600))
	collector := httptest.NewServer(w.traces)
	t.Cleanup(collector.Close)
	c.Store.Driver, c.Store.URL, c.Store.MaxConnections = "postgres", config.Secret(secret), 4
	c.Audit.Node, c.Audit.CheckpointEvery, c.Audit.CheckpointEntries = "node-1", config.Duration(2*time.Second), 5
	c.Telemetry.OTLPEndpoint, c.Limits.ClientPerSecond = collector.URL, 100_000
	c.Metrics.Listen, c.Metrics.OtherClients = fmt.Sprintf("127.0.0.1:%d", ports[3]), 50
	w.config = c
	w.demo, err = devsetup.LoadDemo(c)
	w.must(err)
	w.serve()
	w.client = flowclient.New(flowclient.Config{
		Issuer: c.Issuer, HTTP: flowclient.NewHTTP(&tls.Config{RootCAs: w.demo.Roots}), ID: w.demo.ClientID, RedirectURI: w.demo.RedirectURI,
		Scope: w.demo.Scope, Key: w.demo.ClientKey, ProofKey: w.demo.ProofKey,
	})
	w.must(w.client.Discover(t.Context()))
	return w
}

// serve runs the server until the test ends.
func (w *world) serve() {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- serve.Run(ctx, serve.Options{Config: w.config, Now: time.Now, Log: w.log, Version: "v1.2.3"})
	}()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Errorf("the server ended with %v", err)
		}
	})
	for range 1200 {
		if strings.Contains(w.log.String(), "msg=ready") {
			return
		}
		select {
		case err := <-ended:
			ended <- nil
			w.t.Fatalf("the server ended: %v\n%s", err, w.log)
		case <-time.After(50 * time.Millisecond):
		}
	}
	w.t.Fatalf("the server is not ready:\n%s", w.log)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// browser is one of a user.
func (w *world) browser(password string) *flowclient.Browser {
	w.t.Helper()
	b, err := flowclient.NewBrowser(w.client.HTTP.Transport)
	w.must(err)
	b.Username, b.Password = "alice", password
	return b
}

// flow goes through a whole flow, and what comes after.
func (w *world) flow(b *flowclient.Browser) flowclient.Tokens {
	w.t.Helper()
	tokens, err := w.client.Flow(w.t.Context(), b)
	w.must(err)
	refreshed, err := w.client.Refresh(w.t.Context(), tokens.RefreshToken)
	w.must(err)
	w.must(refreshed.Expect(http.StatusOK))
	return tokens
}

// faults makes what queries for faults look for: a replay, a wrong password, a forged header, a code that is used twice, and a client
// that is refused.
func (w *world) faults() {
	w.t.Helper()
	ctx := w.t.Context()
	var assertion string
	first, err := w.client.Push(ctx, w.client.NewTransaction(), func(form url.Values, _ http.Header) { assertion = form.Get("client_assertion") })
	w.must(err)
	w.must(first.Expect(http.StatusCreated))
	again, err := w.client.Push(ctx, w.client.NewTransaction(), func(form url.Values, _ http.Header) { form.Set("client_assertion", assertion) })
	w.must(err)
	if again.Status < 400 {
		w.t.Errorf("a replayed assertion is answered %d", again.Status)
	}
	transaction := w.client.NewTransaction()
	code, err := w.client.Authorize(ctx, w.browser(w.demo.Password), transaction)
	w.must(err)
	for range 2 {
		_, err = w.client.Redeem(ctx, transaction, code)
		w.must(err)
	}
	if _, err := w.client.Flow(ctx, w.browser("wrong")); err == nil {
		w.t.Error("a wrong password signs in")
	}
	forged, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.Issuer+"/token", nil)
	w.must(err)
	forged.Header.Set("Client-Cert", ":AAAA:")
	refused, err := w.client.HTTP.Do(forged)
	w.must(err)
	w.must(refused.Body.Close())
	if refused.StatusCode != http.StatusBadRequest {
		w.t.Errorf("a forged header is answered %d", refused.StatusCode)
	}
}

// prometheus is a real one that reads the server.
type prometheus struct {
	t       *testing.T
	address string
}

// program finds a program, or says what to install.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: apt-get install prometheus", name)
	}
	return path
}

// rules are our alerts.
func rules(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("..", "..", "deploy", "prometheus", "countersign.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// read starts a Prometheus that reads the server each second.
func (w *world) read() *prometheus {
	w.t.Helper()
	ports, err := setuptest.FreePorts(1)
	w.must(err)
	file := filepath.Join(w.folder, "prometheus.yml")
	w.must(os.WriteFile(file, fmt.Appendf(nil, `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: countersign
    static_configs: [{targets: [%q]}]
`, rules(w.t), w.config.Metrics.Listen), 0o600))
	p := &prometheus{w.t, fmt.Sprintf("127.0.0.1:%d", ports[0])}
	said := new(logbuffer.Buffer)
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, program(w.t, "prometheus"), "--config.file="+file, "--storage.tsdb.path="+filepath.Join(w.folder, "data"),
		"--web.listen-address="+p.address, "--enable-feature=exemplar-storage", "--log.level=warn")
	server.Stdout, server.Stderr = said, said
	w.must(server.Start())
	w.t.Cleanup(func() {
		stop()
		_ = server.Wait() // it was killed
	})
	eventually(w.t, "Prometheus is ready", func() bool {
		response, err := (&http.Client{Timeout: time.Second}).Get("http://" + p.address + "/-/ready")
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
	return p
}

// ask asks its API, and decodes what is in data.
func (p *prometheus) ask(path string, parameters url.Values, data any) error {
	response, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + p.address + path + "?" + parameters.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// value is one value that a query found.
type value struct {
	Metric map[string]string
	Value  [2]any
}

// query runs a query now.
func (p *prometheus) query(expr string) ([]value, error) {
	var found struct{ Result []value }
	err := p.ask("/api/v1/query", url.Values{"query": {expr}}, &found)
	return found.Result, err
}

// open opens the server's store.
func (w *world) open(t *testing.T) store.Store {
	t.Helper()
	chosen, err := database.New(w.config, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := chosen.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return opened
}
