package fapi_test

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

	"countersign/fapi"
	"countersign/mtls"
	"countersign/store"
)

var byFinger = url.Values{"acr": {fapi.PasskeyACR}, "amr": {"hwk fpt"}}

// requests reads the list of an application.
func (r reply) requests(t *testing.T) []map[string]any {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("the list: %d %s", r.status, r.raw)
	}
	var list []map[string]any
	for _, each := range r.body["requests"].([]any) {
		list = append(list, each.(map[string]any))
	}
	return list
}

func (r reply) refused(t *testing.T, status int, code string) {
	t.Helper()
	if r.status != status || r.text("error") != code || r.text("error_description") == "" || r.text("correlation_id") == "" {
		t.Errorf("got %d %s, want %d %s", r.status, r.raw, status, code)
	}
}

// TestDeviceAPI: an application is enrolled with a code, sees what its person is asked, and decides it.
func TestDeviceAPI(t *testing.T) {
	w, c := newDeviceWorld(t)
	alice := w.holder(t)
	alice.signIn("alice")
	code := alice.send(alice.visit("/device/settings"), "/device/settings", "code").one(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`)
	a := w.app(t)
	a.get("/requests").refused(t, http.StatusUnauthorized, "invalid_token")
	enrol := w.issuer + "/device/api/enrol"
	a.post(enrol, url.Values{"code": {"AAAA"}, "name": {"Bank app"}}).refused(t, http.StatusBadRequest, "invalid_grant")
	a.post(enrol, url.Values{"code": {code}, "name": {"bad\u202ename"}}).refused(t, http.StatusBadRequest, "invalid_request")
	a.call(enrol, "", url.Values{"code": {code}, "name": {"Bank app"}}).refused(t, http.StatusUnauthorized, "invalid_dpop_proof")
	r := a.post(enrol, url.Values{"code": {strings.ToLower(code)}, "name": {"Bank app"}})
	if r.status != http.StatusCreated || r.text("username") != "alice" || r.text("device_id") == "" {
		t.Fatalf("enrolling: %d %s", r.status, r.raw)
	}
	w.app(t).post(enrol, url.Values{"code": {code}, "name": {"Another"}}).refused(t, http.StatusBadRequest, "invalid_grant")
	alice.visit("/device/settings").has(t, http.StatusOK, "Bank app")

	if list := a.get("/requests").requests(t); len(list) != 0 {
		t.Errorf("before anything: %v", list)
	}
	authReqID := c.asked(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	id := fapi.BackchannelReference(authReqID)
	list := a.get("/requests").requests(t)
	if len(list) != 1 || list[0]["request_id"] != id || list[0]["binding_message"] != "OSLO 4711" || list[0]["state"] != "waiting" {
		t.Fatalf("the list: %v", list)
	}
	one := a.get("/requests/" + id)
	if one.status != http.StatusOK || one.body["client"].(map[string]any)["client_name"] != "Example asker" {
		t.Fatalf("the request: %d %s", one.status, one.raw)
	}
	for name, form := range map[string]url.Values{
		"no amr": {"acr": {fapi.PasskeyACR}}, "an invented amr": {"amr": {"magic"}}, "an amr twice": {"amr": {"pin pin"}},
		"an invented acr": {"acr": {"urn:magic"}, "amr": {"pin"}},
	} {
		t.Run(name, func(t *testing.T) {
			a.post(one.text("approve"), form).refused(t, http.StatusBadRequest, "invalid_request")
		})
	}
	decided := a.post(one.text("approve"), byFinger)
	if decided.status != http.StatusOK || decided.text("state") != "approved" || decided.text("approve") != "" {
		t.Errorf("approving: %d %s", decided.status, decided.raw)
	}
	a.post(one.text("deny"), byFinger).refused(t, http.StatusConflict, "invalid_request")
	w.clock.Advance(10 * time.Second)
	tokens := c.fetch(authReqID, nil)
	var idToken map[string]any
	if err := json.Unmarshal(payload(t, tokens.text("id_token")), &idToken); err != nil {
		t.Fatal(err)
	}
	if amr, err := json.Marshal(idToken["amr"]); err != nil || idToken["acr"] != fapi.PasskeyACR || string(amr) != `["hwk","fpt"]` {
		t.Errorf("the ID token says %v", idToken)
	}

	authReqID = c.asked(nil)
	one = a.get("/requests/" + fapi.BackchannelReference(authReqID))
	a.post(one.text("deny"), url.Values{"amr": {"pin"}})
	if r := c.fetch(authReqID, nil); r.text("error") != "access_denied" {
		t.Errorf("after denying: %s", r.raw)
	}
}

// TestDeviceAPIRefuses: a proof is for one call of one enrolled device, whose person may decide.
func TestDeviceAPIRefuses(t *testing.T) {
	w, c := newDeviceWorld(t)
	a, bobs := w.enrolledApp(t, "alice"), w.enrolledApp(t, "bob")
	authReqID := c.asked(nil)
	id := fapi.BackchannelReference(authReqID)
	one := a.get("/requests/" + id)
	approve, address := one.text("approve"), w.issuer+"/device/api/requests"
	undecided := func() {
		t.Helper()
		if r := a.get("/requests/" + id); r.text("state") != "waiting" {
			t.Fatalf("the request is %s", r.raw)
		}
	}

	a.call(address, "", nil).refused(t, http.StatusUnauthorized, "invalid_dpop_proof")
	a.call(address, "nonsense", nil).refused(t, http.StatusBadRequest, "invalid_dpop_proof")
	proof := a.proof(http.MethodGet, address, nil)
	if r := a.call(address, proof, nil); r.status != http.StatusOK {
		t.Errorf("the first time: %d %s", r.status, r.raw)
	}
	a.call(address, proof, nil).refused(t, http.StatusBadRequest, "invalid_dpop_proof")
	for name, change := range map[string]func(claims){
		"another method":  func(b claims) { b["htm"] = "GET" },
		"another address": func(b claims) { b["htu"] = one.text("deny") },
		"too old":         func(b claims) { b["iat"] = w.clock.Now().Add(-2 * time.Minute).Unix() },
		"no jti":          func(b claims) { delete(b, "jti") },
	} {
		t.Run(name, func(t *testing.T) {
			a.call(approve, a.proof(http.MethodPost, approve, change), byFinger).refused(t, http.StatusBadRequest, "invalid_dpop_proof")
			undecided()
		})
	}
	bobs.get("/requests/"+id).refused(t, http.StatusNotFound, "invalid_request")
	bobs.post(approve, byFinger).refused(t, http.StatusNotFound, "invalid_request")
	a.get("/requests/unknown").refused(t, http.StatusNotFound, "invalid_request")
	digest := strings.Split(strings.TrimPrefix(approve, address+"/"+id+"/"), "/")[0]
	a.post(strings.Replace(approve, digest, strings.Repeat("A", len(digest)), 1), byFinger).refused(t, http.StatusConflict, "invalid_request")
	a.post(strings.TrimSuffix(approve, "approve")+"maybe", byFinger).refused(t, http.StatusNotFound, "invalid_request")
	a.get("/requests?wait=ages").refused(t, http.StatusBadRequest, "invalid_request")
	undecided()

	w.putUser("alice", true)
	a.post(approve, byFinger).refused(t, http.StatusUnauthorized, "invalid_token")
	w.putUser("alice", false)
	undecided()
	device, err := w.store.DeviceByKey(t.Context(), a.key.ID())
	if err != nil {
		t.Fatal(err)
	}
	other := w.enrolledApp(t, "alice")
	if err := w.store.RemoveDevice(t.Context(), "sub-alice", device.ID); err != nil {
		t.Fatal(err)
	}
	a.post(approve, byFinger).refused(t, http.StatusUnauthorized, "invalid_token")
	if r := other.get("/requests/" + id); r.text("state") != "waiting" {
		t.Errorf("a removed device decided: %s", r.raw)
	}
	w.clock.Advance(5 * time.Minute)
	other.post(approve, byFinger).refused(t, http.StatusConflict, "invalid_request")
}

// TestDeviceAPINonce: where nonces are demanded, devices bring them too.
func TestDeviceAPINonce(t *testing.T) {
	w, _ := newDeviceWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.RequireDPoPNonce = true })
	a := w.enrolledApp(t, "alice")
	address := w.issuer + "/device/api/requests"
	r := a.get("/requests")
	r.refused(t, http.StatusBadRequest, "use_dpop_nonce")
	nonce := r.header.Get("DPoP-Nonce")
	if r := a.call(address, a.proof(http.MethodGet, address, func(b claims) { b["nonce"] = nonce }), nil); nonce == "" || r.status != http.StatusOK {
		t.Errorf("with the nonce %q: %d %s", nonce, r.status, r.raw)
	}
}

// TestDeviceAPIRace: of many devices that decide at once, one decision counts.
func TestDeviceAPIRace(t *testing.T) {
	w, c := newDeviceWorld(t)
	var apps []*app
	for range 8 {
		apps = append(apps, w.enrolledApp(t, "alice"))
	}
	authReqID := c.asked(nil)
	one := apps[0].get("/requests/" + fapi.BackchannelReference(authReqID))
	answers := make([]reply, len(apps))
	var deciding sync.WaitGroup
	for i, a := range apps {
		deciding.Go(func() { answers[i] = a.post(one.text([]string{"approve", "deny"}[i%2]), byFinger) })
	}
	deciding.Wait()
	won := 0
	for _, answer := range answers {
		if answer.status == http.StatusOK {
			won++
		} else {
			answer.refused(t, http.StatusConflict, "invalid_request")
		}
	}
	if won != 1 {
		t.Errorf("%d decisions were taken", won)
	}
}

// TestDeviceAPIWaits: a list that is waited for comes when something new does.
func TestDeviceAPIWaits(t *testing.T) {
	w, c := newDeviceWorld(t)
	a := w.enrolledApp(t, "alice")
	known := a.get("/requests").text("version")
	answered := make(chan reply, 1)
	started := time.Now()
	go func() { answered <- a.get("/requests?wait=12&version=" + known) }()
	time.Sleep(300 * time.Millisecond)
	select {
	case r := <-answered:
		t.Fatalf("answered at once: %s", r.raw)
	default:
	}
	id := fapi.BackchannelReference(c.asked(nil))
	r := <-answered
	if list := r.requests(t); len(list) != 1 || list[0]["request_id"] != id {
		t.Errorf("the list: %s", r.raw)
	}
	if took := time.Since(started); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	if r := a.get("/requests?wait=12&version=" + known); len(r.requests(t)) != 1 {
		t.Errorf("an old version: %s", r.raw)
	}
}

// TestDeviceEvents: a page is told that there is something new, and nothing of what it is; nobody else is.
func TestDeviceEvents(t *testing.T) {
	w, c := newDeviceWorld(t)
	alice := w.holder(t)
	alice.visit("/device/events").has(t, http.StatusUnauthorized, "login_required")
	alice.signIn("alice")
	page := alice.visit("/device")
	version := page.one(t, `data-version="([^"]+)"`)
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.issuer+page.one(t, `data-events="([^"]+)"`), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := alice.http.Do(request)
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
	c.asked(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	if data := next(); data == version || strings.Contains(data, "OSLO") {
		t.Errorf("the stream goes on with %q", data)
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

func (w *world) pushService() *pushService {
	w.t.Helper()
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
	certificate, _ := serverCertificate(w.t)
	p.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.StartTLS()
	w.t.Cleanup(p.Close)
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

// TestWebPush: a browser is woken by an empty message that only its push service's key of this server can send (RFC 8292).
func TestWebPush(t *testing.T) {
	w, c := newDeviceWorld(t)
	service := w.pushService()
	alice := w.holder(t)
	page := alice.signIn("alice")
	key := page.one(t, `data-push="([^"]+)"`)
	alice.send(page, "/device", "subscribe", "endpoint", service.URL+"/send/1").has(t, http.StatusOK, "This browser will tell you")
	alice.send(page, "/device", "subscribe", "endpoint", "https://10.0.0.1/send").has(t, http.StatusBadRequest)
	alice.send(page, "/device", "subscribe", "endpoint", "http://push.example/send").has(t, http.StatusBadRequest)
	c.asked(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
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
	if err := json.Unmarshal(payload(t, token), &claims); err != nil {
		t.Fatal(err)
	}
	if claims["aud"] != service.URL || claims["sub"] != w.issuer || claims["iss"] != nil || claims["exp"].(float64) > float64(w.clock.Now().Add(24*time.Hour).Unix()) {
		t.Errorf("the push service is shown %v", claims)
	}

	// A browser that is gone is forgotten.
	service.mu.Lock()
	service.status = http.StatusGone
	service.mu.Unlock()
	c.asked(nil)
	service.wait(t)
	w.eventually(func() bool {
		left, err := w.store.Subscriptions(t.Context(), "sub-alice")
		return err == nil && len(left) == 0
	})
	// So is one that expects messages of another key.
	old := store.Subscription{ID: store.DigestOf("old"), Subject: "sub-alice", Endpoint: service.URL + "/old", KeyID: "old", CreatedAt: w.clock.Now()}
	if err := w.store.PutSubscription(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	c.asked(nil)
	w.eventually(func() bool {
		left, err := w.store.Subscriptions(t.Context(), "sub-alice")
		return err == nil && len(left) == 0
	})
	if len(service.came) > 0 {
		t.Error("a message was sent to a browser that does not expect it")
	}
}

func (w *world) eventually(holds func() bool) {
	w.t.Helper()
	for range 200 {
		if holds() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatal("it did not come to be")
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

// FuzzDeviceName: a name that is taken can be seen as it is.
func FuzzDeviceName(f *testing.F) {
	for _, seed := range []string{"Phone", "", " Phone", "bad\u202ename", strings.Repeat("é", 61), "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if fapi.CheckDeviceName(name) != nil {
			return
		}
		if name != strings.TrimSpace(name) || len([]rune(name)) > 60 || strings.ContainsAny(name, "\u202e\u200b\n\x00") {
			t.Errorf("taken: %q", name)
		}
	})
}

// TestDeviceAudit: what a person confirms with, and what is decided, is in the audit log; the decision with the digest of
// what was shown, which is in the address that the application signed.
func TestDeviceAudit(t *testing.T) {
	w, c := newDeviceWorld(t, chained)
	alice := w.holder(t)
	alice.signIn("alice")
	var code string
	a := w.app(t)
	var names []string
	for _, event := range w.newly(t, func() {
		alice.addPasskey()
		alice.signInByPasskeyAgain("/device/settings")
		on := alice.visit("/device/settings")
		code = alice.send(on, "/device/settings", "code").one(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`)
		a.post(w.issuer+"/device/api/enrol", url.Values{"code": {code}, "name": {"Bank app"}})
		alice.send(on, "/device/settings", "remove-passkey", "id", on.one(t, `name="id" value="([^"]+)"`))
	}) {
		names = append(names, event.Detail["event"])
		if event.Detail["subject"] != "sub-alice" {
			t.Errorf("kept %+v", event)
		}
	}
	if got, want := strings.Join(names, " "), "passkey_added device_code_made device_enrolled passkey_removed"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	one := a.get("/requests/" + fapi.BackchannelReference(c.asked(nil)))
	events := w.newly(t, func() {
		a.post(one.text("approve"), byFinger)
		a.post(one.text("approve"), byFinger) // refused, and nothing is kept of it
	})
	if len(events) != 1 {
		t.Fatalf("kept %+v", events)
	}
	detail := events[0].Detail
	if events[0].ClientID != c.id || detail["event"] != "backchannel_decided" || detail["allowed"] != "true" || detail["acr"] != fapi.PasskeyACR ||
		detail["shown"] == "" || !strings.Contains(one.text("approve"), "/"+detail["shown"]+"/") || !strings.HasPrefix(detail["device"], "device ") {
		t.Errorf("kept %+v", events[0])
	}
	if log := w.logs.String(); strings.Contains(log, strings.ReplaceAll(code, " ", "")) {
		t.Error("the log holds the code")
	}
}
