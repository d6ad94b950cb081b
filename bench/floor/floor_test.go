package floor

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

func TestMain(m *testing.M) {
	if code, ok := Child(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// served is a floor server with a client and a browser.
func served(t *testing.T, signed bool) (*flowclient.Client, *flowclient.Browser, *server) {
	t.Helper()
	folder := t.TempDir()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{alg: "ES256", once: newMemory(), now: time.Now}
	if s.client, err = parseKey(key.PublicJWK()); err != nil {
		t.Fatal(err)
	}
	if s.sign, err = signing(t.Context(), folder, "ES256", signed); err != nil {
		t.Fatal(err)
	}
	if s.journal, err = openJournal(filepath.Join(folder, "journal")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.journal.close() })
	listening := httptest.NewTLSServer(s.routes())
	t.Cleanup(listening.Close)
	s.issuer = listening.URL
	proof, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	reached := flowclient.NewHTTP(nil)
	reached.Transport = listening.Client().Transport
	browser, err := flowclient.NewBrowser(reached.Transport)
	if err != nil {
		t.Fatal(err)
	}
	return flowclient.New(flowclient.Config{
		Issuer: s.issuer, HTTP: reached, ID: "bench", RedirectURI: "https://client.example/callback", Scope: "openid accounts",
		Endpoints: flowclient.Endpoints{PAR: s.issuer + "/par", Authorization: s.issuer + "/authorize", Token: s.issuer + "/token"},
		Key:       key, ProofKey: proof, ProofForTokensOnly: true, Before: flowclient.Set("client_id", "bench"),
	}), browser, s
}

// TestFloor: it does the work of the row, in every step, with real signatures of its token. A process opens one token.
func TestFloor(t *testing.T) {
	client, browser, s := served(t, true)
	tokens, err := client.Flow(t.Context(), browser)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.CheckBinding(tokens); err != nil {
		t.Error(err)
	}
	if tokens.RefreshToken == "" || tokens.IDToken == "" {
		t.Errorf("%+v lacks something", tokens)
	}
	for _, ask := range []func() (flowclient.Reply, error){
		func() (flowclient.Reply, error) { return client.Refresh(t.Context(), tokens.RefreshToken) },
		func() (flowclient.Reply, error) { return client.Refresh(t.Context(), tokens.RefreshToken) },
		func() (flowclient.Reply, error) { return client.ClientCredentials(t.Context(), "accounts") },
	} {
		reply, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		issued, err := reply.Tokens()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.CheckBinding(issued); err != nil {
			t.Error(err)
		}
		signature := issued.AccessToken[strings.LastIndexByte(issued.AccessToken, '.')+1:]
		if raw, err := decode(signature); err != nil || len(raw) != 64 || string(raw) == string(make([]byte, 64)) {
			t.Errorf("no signature of ES256: %q", signature)
		}
	}
	lines, err := os.ReadFile(s.journal.file.(*os.File).Name())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(lines), "\n"); got != 6 {
		t.Errorf("%d lines for six requests:\n%s", got, lines)
	}
}

// TestFloorRefuses: what it accepts it has verified. A floor that did not would be too low.
func TestFloorRefuses(t *testing.T) {
	client, browser, _ := served(t, false)
	other, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	push := func(c *flowclient.Client, changes ...flowclient.Change) flowclient.Reply {
		t.Helper()
		reply, err := c.Push(ctx, c.NewTransaction(), changes...)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	stranger := client.Config
	stranger.Key = other
	assertion, err := client.Assertion(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if reply := push(client, flowclient.Set("client_assertion", assertion)); reply.Status != 201 {
		t.Fatalf("a good assertion got %d: %s", reply.Status, reply.Body)
	}
	expired, err := client.Assertion(ctx, func(c flowclient.Claims) { c["exp"] = time.Now().Add(-time.Minute).Unix() })
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := client.Assertion(ctx, func(c flowclient.Claims) { c["aud"] = "https://other.example" })
	if err != nil {
		t.Fatal(err)
	}
	for name, reply := range map[string]flowclient.Reply{
		"an assertion of another key": push(flowclient.New(stranger)),
		"an assertion that was used":  push(client, flowclient.Set("client_assertion", assertion)),
		"an assertion that expired":   push(client, flowclient.Set("client_assertion", expired)),
		"an assertion for another":    push(client, flowclient.Set("client_assertion", elsewhere)),
		"something that is no JWT":    push(client, flowclient.Set("client_assertion", "a.b")),
		"no assertion at all":         push(client, flowclient.Unset("client_assertion")),
	} {
		if reply.Status != 400 {
			t.Errorf("%s got %d: %s", name, reply.Status, reply.Body)
		}
	}
	transaction := client.NewTransaction()
	code, err := client.Authorize(ctx, browser, transaction)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := client.Proof(ctx, "POST", client.Issuer+"/elsewhere", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	redeem := func(changes ...flowclient.Change) int {
		t.Helper()
		reply, err := client.Redeem(ctx, transaction, code, changes...)
		if err != nil {
			t.Fatal(err)
		}
		return reply.Status
	}
	if got := redeem(flowclient.SetHeader("DPoP", bad)); got != 400 {
		t.Errorf("a proof for another address got %d", got)
	}
	if got := redeem(flowclient.SetHeader("DPoP", bad[:len(bad)-4]+"AAAA")); got != 400 {
		t.Errorf("a proof with a wrong signature got %d", got)
	}
	if got := redeem(); got != 200 {
		t.Errorf("the code got %d", got)
	}
	if got := redeem(); got != 400 {
		t.Errorf("a code that was used got %d", got)
	}
}

// slowDisk counts what it flushes, and takes its time.
type slowDisk struct {
	began, flushes atomic.Int64
	release        chan struct{}
	failure        error
}

func (d *slowDisk) Sync() error {
	d.began.Add(1)
	<-d.release
	d.flushes.Add(1)
	return d.failure
}

// TestJournal: no step returns before it is flushed, and those that wait share a flush.
func TestJournal(t *testing.T) {
	disk := &slowDisk{release: make(chan struct{})}
	var mu sync.Mutex
	var written []byte
	j := &journal{file: disk, next: newBatch(), write: func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		written = append(written, p...)
		return len(p), nil
	}}
	var done atomic.Int64
	var all sync.WaitGroup
	step := func() {
		all.Go(func() {
			if err := j.append("token", "id", "more"); err != nil {
				t.Error(err)
			}
			if disk.flushes.Load() == 0 {
				t.Error("a step returned before anything was flushed")
			}
			done.Add(1)
		})
	}
	step()
	await(t, func() bool { return disk.began.Load() == 1 })
	for range 20 {
		step()
	}
	await(t, func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return strings.Count(string(j.next.lines), "\n") == 20
	})
	if done.Load() != 0 {
		t.Error("a step returned before its flush")
	}
	close(disk.release)
	all.Wait()
	if got := disk.flushes.Load(); got != 2 {
		t.Errorf("21 steps took %d flushes, want 2", got)
	}
	if got := strings.Count(string(written), "\n"); got != 21 {
		t.Errorf("%d lines were written", got)
	}
	disk.failure = errors.New("disk full")
	if err := j.append("token", "id", "more"); !errors.Is(err, disk.failure) {
		t.Errorf("a failed flush: %v", err)
	}
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	limited, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !done() {
		if limited.Err() != nil {
			t.Fatal("it does not come")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestMemory: a name counts once, and is forgotten after two lifetimes at most.
func TestMemory(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	m := newMemory()
	m.now, m.turned = func() time.Time { return now }, now
	if !m.use("a") || m.use("a") || m.use("") {
		t.Error("a name counts once, and no name never")
	}
	now = now.Add(lifetime + time.Second)
	if m.use("a") {
		t.Error("forgotten too soon")
	}
	m.put("young", nil)
	if !m.has("young") {
		t.Error("it is there")
	}
	now = now.Add(lifetime + time.Second)
	m.put("b", nil)
	if !m.use("a") {
		t.Error("remembered for too long")
	}
	if _, ok := m.take("b"); !ok {
		t.Error("b is there")
	}
	if _, ok := m.take("b"); ok {
		t.Error("b was taken twice")
	}
}
