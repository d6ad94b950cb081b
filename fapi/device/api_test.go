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

	"countersign/fapi/browser"
	"countersign/fapi/device"
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/mtls"
	"countersign/store"
)

var byFinger = url.Values{"acr": {browser.PasskeyACR}, "amr": {"hwk fpt"}}

// TestDeviceAPI: an application is enrolled with a code, sees what its person is asked, and decides it.
func TestDeviceAPI(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.DeviceBrowser(t)
	alice.SignIn("alice")
	code := alice.Send(alice.Visit("/device/settings"), "/device/settings", "code").One(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`)
	a := newApp(t, w)
	refused(t, a.get("/requests"), http.StatusUnauthorized, "invalid_token")
	enrol := w.Issuer + "/device/api/enrol"
	refused(t, a.post(enrol, url.Values{"code": {"AAAA"}, "name": {"Bank app"}}), http.StatusBadRequest, "invalid_grant")
	refused(t, a.post(enrol, url.Values{"code": {code}, "name": {"bad\u202ename"}}), http.StatusBadRequest, "invalid_request")
	refused(t, a.call(enrol, "", url.Values{"code": {code}, "name": {"Bank app"}}), http.StatusUnauthorized, "invalid_dpop_proof")
	r := a.post(enrol, url.Values{"code": {strings.ToLower(code)}, "name": {"Bank app"}})
	if r.Status != http.StatusCreated || r.Text("username") != "alice" || r.Text("device_id") == "" {
		t.Fatalf("enrolling: %d %s", r.Status, r.Raw)
	}
	refused(t, newApp(t, w).post(enrol, url.Values{"code": {code}, "name": {"Another"}}), http.StatusBadRequest, "invalid_grant")
	alice.Visit("/device/settings").Has(t, http.StatusOK, "Bank app")

	if list := requests(t, a.get("/requests")); len(list) != 0 {
		t.Errorf("before anything: %v", list)
	}
	authReqID := c.AuthReqID(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	id := fapitest.Reference(authReqID)
	list := requests(t, a.get("/requests"))
	if len(list) != 1 || list[0]["request_id"] != id || list[0]["binding_message"] != "OSLO 4711" || list[0]["state"] != "waiting" {
		t.Fatalf("the list: %v", list)
	}
	one := a.get("/requests/" + id)
	if one.Status != http.StatusOK || one.Body["client"].(map[string]any)["client_name"] != "Example asker" {
		t.Fatalf("the request: %d %s", one.Status, one.Raw)
	}
	for name, form := range map[string]url.Values{
		"no amr": {"acr": {browser.PasskeyACR}}, "an invented amr": {"amr": {"magic"}}, "an amr twice": {"amr": {"pin pin"}},
		"an invented acr": {"acr": {"urn:magic"}, "amr": {"pin"}},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, a.post(one.Text("approve"), form), http.StatusBadRequest, "invalid_request")
		})
	}
	decided := a.post(one.Text("approve"), byFinger)
	if decided.Status != http.StatusOK || decided.Text("state") != "approved" || decided.Text("approve") != "" {
		t.Errorf("approving: %d %s", decided.Status, decided.Raw)
	}
	refused(t, a.post(one.Text("deny"), byFinger), http.StatusConflict, "invalid_request")
	w.Clock.Advance(10 * time.Second)
	tokens := c.Poll(authReqID, nil)
	var idToken map[string]any
	if err := json.Unmarshal(fapitest.Payload(t, tokens.Text("id_token")), &idToken); err != nil {
		t.Fatal(err)
	}
	if amr, err := json.Marshal(idToken["amr"]); err != nil || idToken["acr"] != browser.PasskeyACR || string(amr) != `["hwk","fpt"]` {
		t.Errorf("the ID token says %v", idToken)
	}

	authReqID = c.AuthReqID(nil)
	one = a.get("/requests/" + fapitest.Reference(authReqID))
	a.post(one.Text("deny"), url.Values{"amr": {"pin"}})
	if r := c.Poll(authReqID, nil); r.Text("error") != "access_denied" {
		t.Errorf("after denying: %s", r.Raw)
	}
}

// TestDeviceAPIRefuses: a proof is for one call of one enrolled device, whose person may decide.
func TestDeviceAPIRefuses(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	a, bobs := enrolledApp(t, w, "alice"), enrolledApp(t, w, "bob")
	authReqID := c.AuthReqID(nil)
	id := fapitest.Reference(authReqID)
	one := a.get("/requests/" + id)
	approve, address := one.Text("approve"), w.Issuer+"/device/api/requests"
	undecided := func() {
		t.Helper()
		if r := a.get("/requests/" + id); r.Text("state") != "waiting" {
			t.Fatalf("the request is %s", r.Raw)
		}
	}

	refused(t, a.call(address, "", nil), http.StatusUnauthorized, "invalid_dpop_proof")
	refused(t, a.call(address, "nonsense", nil), http.StatusBadRequest, "invalid_dpop_proof")
	proof := a.proof(http.MethodGet, address, nil)
	if r := a.call(address, proof, nil); r.Status != http.StatusOK {
		t.Errorf("the first time: %d %s", r.Status, r.Raw)
	}
	refused(t, a.call(address, proof, nil), http.StatusBadRequest, "invalid_dpop_proof")
	for name, change := range map[string]func(fapitest.Claims){
		"another method":  func(b fapitest.Claims) { b["htm"] = "GET" },
		"another address": func(b fapitest.Claims) { b["htu"] = one.Text("deny") },
		"too old":         func(b fapitest.Claims) { b["iat"] = w.Clock.Now().Add(-2 * time.Minute).Unix() },
		"no jti":          func(b fapitest.Claims) { delete(b, "jti") },
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, a.call(approve, a.proof(http.MethodPost, approve, change), byFinger), http.StatusBadRequest, "invalid_dpop_proof")
			undecided()
		})
	}
	refused(t, bobs.get("/requests/"+id), http.StatusNotFound, "invalid_request")
	refused(t, bobs.post(approve, byFinger), http.StatusNotFound, "invalid_request")
	refused(t, a.get("/requests/unknown"), http.StatusNotFound, "invalid_request")
	digest := strings.Split(strings.TrimPrefix(approve, address+"/"+id+"/"), "/")[0]
	refused(t, a.post(strings.Replace(approve, digest, strings.Repeat("A", len(digest)), 1), byFinger), http.StatusConflict, "invalid_request")
	refused(t, a.post(strings.TrimSuffix(approve, "approve")+"maybe", byFinger), http.StatusNotFound, "invalid_request")
	refused(t, a.get("/requests?wait=ages"), http.StatusBadRequest, "invalid_request")
	undecided()

	w.Disable("sub-alice", true)
	refused(t, a.post(approve, byFinger), http.StatusUnauthorized, "invalid_token")
	w.Disable("sub-alice", false)
	undecided()
	device, err := w.Store.DeviceByKey(t.Context(), a.key.ID())
	if err != nil {
		t.Fatal(err)
	}
	other := enrolledApp(t, w, "alice")
	if err := w.Store.RemoveDevice(t.Context(), "sub-alice", device.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, a.post(approve, byFinger), http.StatusUnauthorized, "invalid_token")
	if r := other.get("/requests/" + id); r.Text("state") != "waiting" {
		t.Errorf("a removed device decided: %s", r.Raw)
	}
	w.Clock.Advance(5 * time.Minute)
	refused(t, other.post(approve, byFinger), http.StatusConflict, "invalid_request")
}

// TestDeviceAPINonce: where nonces are demanded, devices bring them too.
func TestDeviceAPINonce(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t, func(c *fapitest.Config) { c.RequireDPoPNonce = true })
	a := enrolledApp(t, w, "alice")
	address := w.Issuer + "/device/api/requests"
	r := a.get("/requests")
	refused(t, r, http.StatusBadRequest, "use_dpop_nonce")
	nonce := r.Header.Get("DPoP-Nonce")
	if r := a.call(address, a.proof(http.MethodGet, address, func(b fapitest.Claims) { b["nonce"] = nonce }), nil); nonce == "" || r.Status != http.StatusOK {
		t.Errorf("with the nonce %q: %d %s", nonce, r.Status, r.Raw)
	}
}

// TestDeviceAPIRace: of many devices that decide at once, one decision counts.
func TestDeviceAPIRace(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	var apps []*app
	for range 8 {
		apps = append(apps, enrolledApp(t, w, "alice"))
	}
	authReqID := c.AuthReqID(nil)
	one := apps[0].get("/requests/" + fapitest.Reference(authReqID))
	answers := make([]fapitest.Reply, len(apps))
	var deciding sync.WaitGroup
	for i, a := range apps {
		deciding.Go(func() { answers[i] = a.post(one.Text([]string{"approve", "deny"}[i%2]), byFinger) })
	}
	deciding.Wait()
	won := 0
	for _, answer := range answers {
		if answer.Status == http.StatusOK {
			won++
		} else {
			refused(t, answer, http.StatusConflict, "invalid_request")
		}
	}
	if won != 1 {
		t.Errorf("%d decisions were taken", won)
	}
}

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

// FuzzDeviceName: a name that is taken can be seen as it is.
func FuzzDeviceName(f *testing.F) {
	for _, seed := range []string{"Phone", "", " Phone", "bad\u202ename", strings.Repeat("é", 61), "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if device.CheckName(name) != nil {
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
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t, fapitest.WithAuditChain)
	alice := w.DeviceBrowser(t)
	alice.SignIn("alice")
	var code string
	a := newApp(t, w)
	var names []string
	for _, event := range w.NewEvidence(t, func() {
		alice.AddPasskey()
		alice.SignInByPasskeyAgain("/device/settings")
		on := alice.Visit("/device/settings")
		code = alice.Send(on, "/device/settings", "code").One(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`)
		a.post(w.Issuer+"/device/api/enrol", url.Values{"code": {code}, "name": {"Bank app"}})
		alice.Send(on, "/device/settings", "remove-passkey", "id", on.One(t, `name="id" value="([^"]+)"`))
	}) {
		names = append(names, event.Detail["event"])
		if event.Detail["subject"] != "sub-alice" {
			t.Errorf("kept %+v", event)
		}
	}
	if got, want := strings.Join(names, " "), "passkey_added device_code_made device_enrolled passkey_removed"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	one := a.get("/requests/" + fapitest.Reference(c.AuthReqID(nil)))
	events := w.NewEvidence(t, func() {
		a.post(one.Text("approve"), byFinger)
		a.post(one.Text("approve"), byFinger) // refused, and nothing is kept of it
	})
	if len(events) != 1 {
		t.Fatalf("kept %+v", events)
	}
	detail := events[0].Detail
	if events[0].ClientID != c.ID || detail["event"] != "backchannel_decided" || detail["allowed"] != "true" || detail["acr"] != browser.PasskeyACR ||
		detail["shown"] == "" || !strings.Contains(one.Text("approve"), "/"+detail["shown"]+"/") || !strings.HasPrefix(detail["device"], "device ") {
		t.Errorf("kept %+v", events[0])
	}
	if log := w.Logs.String(); strings.Contains(log, strings.ReplaceAll(code, " ", "")) {
		t.Error("the log holds the code")
	}
}

// requests reads the list of an application.
func requests(t *testing.T, r fapitest.Reply) []map[string]any {
	t.Helper()
	if r.Status != http.StatusOK {
		t.Fatalf("the list: %d %s", r.Status, r.Raw)
	}
	var list []map[string]any
	for _, each := range r.Body["requests"].([]any) {
		list = append(list, each.(map[string]any))
	}
	return list
}

func refused(t *testing.T, r fapitest.Reply, status int, code string) {
	t.Helper()
	if r.Status != status || r.Text("error") != code || r.Text("error_description") == "" || r.Text("correlation_id") == "" {
		t.Errorf("got %d %s, want %d %s", r.Status, r.Raw, status, code)
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

// app is an application that confirms for a person.
type app struct {
	w    *fapitest.World
	t    *testing.T
	http *http.Client
	key  jose.PrivateKey
}

func newApp(t *testing.T, w *fapitest.World) *app {
	t.Helper()
	return &app{w: w, t: t, http: w.DeviceBrowser(t).HTTP, key: fapitest.NewKey(t, jose.ES256)}
}

// proof makes a DPoP proof; change alters its claims.
func (a *app) proof(method, address string, change func(fapitest.Claims)) string {
	a.t.Helper()
	address, _, _ = strings.Cut(address, "?")
	body := fapitest.Claims{"jti": fapitest.RandomString(), "htm": method, "htu": address, "iat": a.w.Clock.Now().Unix()}
	if change != nil {
		change(body)
	}
	proof, err := a.key.SignEmbedded(a.t.Context(), "dpop+jwt", body)
	if err != nil {
		a.t.Fatal(err)
	}
	return proof
}

// call sends a request with a proof, or without one when it is empty. A nil form is a GET.
func (a *app) call(address, proof string, form url.Values) fapitest.Reply {
	a.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(a.t.Context(), method, address, body)
	if err != nil {
		a.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if proof != "" {
		request.Header.Set("DPoP", proof)
	}
	response, err := a.http.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	r := fapitest.Reply{Status: response.StatusCode, Header: response.Header, Raw: string(raw)}
	if err := json.Unmarshal(raw, &r.Body); err != nil {
		a.t.Fatalf("%s %s: %d %q", method, address, response.StatusCode, raw)
	}
	return r
}

// get and post send a request with a good proof. path is below the API.
func (a *app) get(path string) fapitest.Reply {
	a.t.Helper()
	address := a.w.Issuer + "/device/api" + path
	return a.call(address, a.proof(http.MethodGet, address, nil), nil)
}

func (a *app) post(address string, form url.Values) fapitest.Reply {
	a.t.Helper()
	return a.call(address, a.proof(http.MethodPost, address, nil), form)
}

// enrolledApp is an application of a person.
func enrolledApp(t *testing.T, w *fapitest.World, name string) *app {
	t.Helper()
	a := newApp(t, w)
	device := store.Device{ID: "device of " + name + fapitest.RandomString(), Subject: "sub-" + name, Name: "Bank app", JKT: a.key.ID(), CreatedAt: w.Clock.Now()}
	if err := w.Store.AddDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	return a
}
