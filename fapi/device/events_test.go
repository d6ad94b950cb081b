package device_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/mtls"
	"countersign/store"
)

// TestDeviceAPIWaits: a list that is waited for comes when something new does.
func TestDeviceAPIWaits(t *testing.T) {
	t.Parallel()
	looked := make(chan struct{}, 100)
	w, c := fapitest.NewDeviceWorld(t, func(c *fapitest.Config) { c.Store = &lookedAt{c.Store, looked} })
	a := enrolledApp(t, w, "alice")
	known := a.get("/requests").Text("version")
	<-looked
	answered := make(chan fapitest.Reply, 1)
	started := time.Now()
	go func() { answered <- a.get("/requests?wait=12&version=" + known) }()
	<-looked // it has seen that nothing is new
	id := fapitest.Reference(c.AuthReqID(nil))
	r := <-answered
	if list := requests(t, r); len(list) != 1 || list[0]["request_id"] != id {
		t.Errorf("the list: %s", r.Raw)
	}
	if took := time.Since(started); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	if r := a.get("/requests?wait=12&version=" + known); len(requests(t, r)) != 1 {
		t.Errorf("an old version: %s", r.Raw)
	}
}

// lookedAt is a store that says when somebody has looked for what waits for a user.
type lookedAt struct {
	store.Store
	looked chan<- struct{}
}

// PendingBackchannel implements [store.Backchannel].
func (l *lookedAt) PendingBackchannel(ctx context.Context, subject string) ([]store.BackchannelRequest, error) {
	defer func() { l.looked <- struct{}{} }()
	return l.Store.PendingBackchannel(ctx, subject)
}

// TestDeviceEvents: a page is told that there is something new, and nothing of what it is; nobody else is.
func TestDeviceEvents(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.DeviceBrowser(t)
	alice.Visit("/device/events").Has(t, http.StatusUnauthorized, "login_required")
	alice.SignIn("alice")
	page := alice.Visit("/device")
	version := page.One(t, `data-version="([^"]+)"`)
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Issuer+page.One(t, `data-events="([^"]+)"`), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := alice.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("the stream is %s", kind)
	}
	lines := bufio.NewScanner(response.Body)
	next := func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		t.Fatalf("the stream has ended: %v", lines.Err())
		return ""
	}
	if first := next(); first != version {
		t.Errorf("the stream begins with %q, the page has %q", first, version)
	}
	c.AuthReqID(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	if data := next(); data == version || strings.Contains(data, "OSLO") {
		t.Errorf("the stream goes on with %q", data)
	}
}

// TestWebPush: a browser is woken by an empty message that only its push service's key of this server can send (RFC 8292).
func TestWebPush(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	service := newPushService(w)
	alice := w.DeviceBrowser(t)
	page := alice.SignIn("alice")
	key := page.One(t, `data-push="([^"]+)"`)
	alice.Send(page, "/device", "subscribe", "endpoint", service.URL+"/send/1").Has(t, http.StatusOK, "This browser will tell you")
	alice.Send(page, "/device", "subscribe", "endpoint", "https://10.0.0.1/send").Has(t, http.StatusBadRequest)
	alice.Send(page, "/device", "subscribe", "endpoint", "http://push.example/send").Has(t, http.StatusBadRequest)
	c.AuthReqID(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	r := service.wait(t)
	if r.Method != http.MethodPost || r.URL.Path != "/send/1" || r.Header.Get("Ttl") != "120" || service.bodies[0] != "" {
		t.Errorf("the message: %s %s, TTL %s, body %q", r.Method, r.URL, r.Header.Get("Ttl"), service.bodies[0])
	}
	token, sent, found := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "vapid t="), ", k=")
	if !found || sent != key {
		t.Fatalf("Authorization is %q, the page has the key %q", r.Header.Get("Authorization"), key)
	}
	verifyVAPID(t, token, key)
	var claims map[string]any
	if err := json.Unmarshal(fapitest.Payload(t, token), &claims); err != nil {
		t.Fatal(err)
	}
	if claims["aud"] != service.URL || claims["sub"] != w.Issuer || claims["iss"] != nil || claims["exp"].(float64) > float64(w.Clock.Now().Add(24*time.Hour).Unix()) {
		t.Errorf("the push service is shown %v", claims)
	}

	// A browser that is gone is forgotten.
	service.mu.Lock()
	service.status = http.StatusGone
	service.mu.Unlock()
	c.AuthReqID(nil)
	service.wait(t)
	eventually(w, func() bool {
		left, err := w.Store.Subscriptions(t.Context(), "sub-alice")
		return err == nil && len(left) == 0
	})
	// So is one that expects messages of another key.
	old := store.Subscription{ID: store.DigestOf("old"), Subject: "sub-alice", Endpoint: service.URL + "/old", KeyID: "old", CreatedAt: w.Clock.Now()}
	if err := w.Store.PutSubscription(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	c.AuthReqID(nil)
	eventually(w, func() bool {
		left, err := w.Store.Subscriptions(t.Context(), "sub-alice")
		return err == nil && len(left) == 0
	})
	if len(service.came) > 0 {
		t.Error("a message was sent to a browser that does not expect it")
	}
}

// verifyVAPID checks the signature as a push service does: with the key in the header.
func verifyVAPID(t *testing.T, token, key string) {
	t.Helper()
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil || len(signature) != 64 {
		t.Fatalf("the signature: %d bytes, %v", len(signature), err)
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	if !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the push service would refuse the signature")
	}
}

// pushService is where browsers take messages.
type pushService struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	came   chan *http.Request
	bodies []string
}

// newPushService starts one.
func newPushService(w *fapitest.World) *pushService {
	w.T.Helper()
	p := &pushService{came: make(chan *http.Request, 100), status: http.StatusCreated}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte(err.Error())
		}
		p.mu.Lock()
		p.bodies = append(p.bodies, string(body))
		status := p.status
		p.mu.Unlock()
		rw.WriteHeader(status)
		p.came <- r
	}))
	certificate, _ := fapitest.ServerCertificate(w.T)
	p.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.StartTLS()
	w.T.Cleanup(p.Close)
	return p
}

// wait gives the next message.
func (p *pushService) wait(t *testing.T) *http.Request {
	t.Helper()
	select {
	case r := <-p.came:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("no message came")
		return nil
	}
}

func eventually(w *fapitest.World, holds func() bool) {
	w.T.Helper()
	for range 200 {
		if holds() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.T.Fatal("it did not come to be")
}
