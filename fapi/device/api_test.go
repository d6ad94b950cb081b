package device_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/device"
	"countersign/fapi/fapitest"
	"countersign/store"
)

var byFinger = url.Values{"acr": {browser.PasskeyACR}, "amr": {"hwk fpt"}}

// TestDeviceAPI: an application is enrolled with a code, sees what its person is asked, and decides it.
func TestDeviceAPI(t *testing.T) {
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.Holder(t)
	alice.SignIn("alice")
	code := alice.Send(alice.Visit("/device/settings"), "/device/settings", "code").One(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`)
	a := w.App(t)
	a.Get("/requests").Refused(t, http.StatusUnauthorized, "invalid_token")
	enrol := w.Issuer + "/device/api/enrol"
	a.Post(enrol, url.Values{"code": {"AAAA"}, "name": {"Bank app"}}).Refused(t, http.StatusBadRequest, "invalid_grant")
	a.Post(enrol, url.Values{"code": {code}, "name": {"bad\u202ename"}}).Refused(t, http.StatusBadRequest, "invalid_request")
	a.Call(enrol, "", url.Values{"code": {code}, "name": {"Bank app"}}).Refused(t, http.StatusUnauthorized, "invalid_dpop_proof")
	r := a.Post(enrol, url.Values{"code": {strings.ToLower(code)}, "name": {"Bank app"}})
	if r.Status != http.StatusCreated || r.Text("username") != "alice" || r.Text("device_id") == "" {
		t.Fatalf("enrolling: %d %s", r.Status, r.Raw)
	}
	w.App(t).Post(enrol, url.Values{"code": {code}, "name": {"Another"}}).Refused(t, http.StatusBadRequest, "invalid_grant")
	alice.Visit("/device/settings").Has(t, http.StatusOK, "Bank app")

	if list := a.Get("/requests").Requests(t); len(list) != 0 {
		t.Errorf("before anything: %v", list)
	}
	authReqID := c.Asked(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	id := fapitest.Reference(authReqID)
	list := a.Get("/requests").Requests(t)
	if len(list) != 1 || list[0]["request_id"] != id || list[0]["binding_message"] != "OSLO 4711" || list[0]["state"] != "waiting" {
		t.Fatalf("the list: %v", list)
	}
	one := a.Get("/requests/" + id)
	if one.Status != http.StatusOK || one.Body["client"].(map[string]any)["client_name"] != "Example asker" {
		t.Fatalf("the request: %d %s", one.Status, one.Raw)
	}
	for name, form := range map[string]url.Values{
		"no amr": {"acr": {browser.PasskeyACR}}, "an invented amr": {"amr": {"magic"}}, "an amr twice": {"amr": {"pin pin"}},
		"an invented acr": {"acr": {"urn:magic"}, "amr": {"pin"}},
	} {
		t.Run(name, func(t *testing.T) {
			a.Post(one.Text("approve"), form).Refused(t, http.StatusBadRequest, "invalid_request")
		})
	}
	decided := a.Post(one.Text("approve"), byFinger)
	if decided.Status != http.StatusOK || decided.Text("state") != "approved" || decided.Text("approve") != "" {
		t.Errorf("approving: %d %s", decided.Status, decided.Raw)
	}
	a.Post(one.Text("deny"), byFinger).Refused(t, http.StatusConflict, "invalid_request")
	w.Clock.Advance(10 * time.Second)
	tokens := c.Fetch(authReqID, nil)
	var idToken map[string]any
	if err := json.Unmarshal(fapitest.Payload(t, tokens.Text("id_token")), &idToken); err != nil {
		t.Fatal(err)
	}
	if amr, err := json.Marshal(idToken["amr"]); err != nil || idToken["acr"] != browser.PasskeyACR || string(amr) != `["hwk","fpt"]` {
		t.Errorf("the ID token says %v", idToken)
	}

	authReqID = c.Asked(nil)
	one = a.Get("/requests/" + fapitest.Reference(authReqID))
	a.Post(one.Text("deny"), url.Values{"amr": {"pin"}})
	if r := c.Fetch(authReqID, nil); r.Text("error") != "access_denied" {
		t.Errorf("after denying: %s", r.Raw)
	}
}

// TestDeviceAPIRefuses: a proof is for one call of one enrolled device, whose person may decide.
func TestDeviceAPIRefuses(t *testing.T) {
	w, c := fapitest.NewDeviceWorld(t)
	a, bobs := w.EnrolledApp(t, "alice"), w.EnrolledApp(t, "bob")
	authReqID := c.Asked(nil)
	id := fapitest.Reference(authReqID)
	one := a.Get("/requests/" + id)
	approve, address := one.Text("approve"), w.Issuer+"/device/api/requests"
	undecided := func() {
		t.Helper()
		if r := a.Get("/requests/" + id); r.Text("state") != "waiting" {
			t.Fatalf("the request is %s", r.Raw)
		}
	}

	a.Call(address, "", nil).Refused(t, http.StatusUnauthorized, "invalid_dpop_proof")
	a.Call(address, "nonsense", nil).Refused(t, http.StatusBadRequest, "invalid_dpop_proof")
	proof := a.Proof(http.MethodGet, address, nil)
	if r := a.Call(address, proof, nil); r.Status != http.StatusOK {
		t.Errorf("the first time: %d %s", r.Status, r.Raw)
	}
	a.Call(address, proof, nil).Refused(t, http.StatusBadRequest, "invalid_dpop_proof")
	for name, change := range map[string]func(fapitest.Claims){
		"another method":  func(b fapitest.Claims) { b["htm"] = "GET" },
		"another address": func(b fapitest.Claims) { b["htu"] = one.Text("deny") },
		"too old":         func(b fapitest.Claims) { b["iat"] = w.Clock.Now().Add(-2 * time.Minute).Unix() },
		"no jti":          func(b fapitest.Claims) { delete(b, "jti") },
	} {
		t.Run(name, func(t *testing.T) {
			a.Call(approve, a.Proof(http.MethodPost, approve, change), byFinger).Refused(t, http.StatusBadRequest, "invalid_dpop_proof")
			undecided()
		})
	}
	bobs.Get("/requests/"+id).Refused(t, http.StatusNotFound, "invalid_request")
	bobs.Post(approve, byFinger).Refused(t, http.StatusNotFound, "invalid_request")
	a.Get("/requests/unknown").Refused(t, http.StatusNotFound, "invalid_request")
	digest := strings.Split(strings.TrimPrefix(approve, address+"/"+id+"/"), "/")[0]
	a.Post(strings.Replace(approve, digest, strings.Repeat("A", len(digest)), 1), byFinger).Refused(t, http.StatusConflict, "invalid_request")
	a.Post(strings.TrimSuffix(approve, "approve")+"maybe", byFinger).Refused(t, http.StatusNotFound, "invalid_request")
	a.Get("/requests?wait=ages").Refused(t, http.StatusBadRequest, "invalid_request")
	undecided()

	w.PutUser("alice", true)
	a.Post(approve, byFinger).Refused(t, http.StatusUnauthorized, "invalid_token")
	w.PutUser("alice", false)
	undecided()
	device, err := w.Store.DeviceByKey(t.Context(), a.Key.ID())
	if err != nil {
		t.Fatal(err)
	}
	other := w.EnrolledApp(t, "alice")
	if err := w.Store.RemoveDevice(t.Context(), "sub-alice", device.ID); err != nil {
		t.Fatal(err)
	}
	a.Post(approve, byFinger).Refused(t, http.StatusUnauthorized, "invalid_token")
	if r := other.Get("/requests/" + id); r.Text("state") != "waiting" {
		t.Errorf("a removed device decided: %s", r.Raw)
	}
	w.Clock.Advance(5 * time.Minute)
	other.Post(approve, byFinger).Refused(t, http.StatusConflict, "invalid_request")
}

// TestDeviceAPINonce: where nonces are demanded, devices bring them too.
func TestDeviceAPINonce(t *testing.T) {
	w, _ := fapitest.NewDeviceWorld(t, func(c *fapitest.FapiConfig, _ *fapitest.AutoInteractor) { c.RequireDPoPNonce = true })
	a := w.EnrolledApp(t, "alice")
	address := w.Issuer + "/device/api/requests"
	r := a.Get("/requests")
	r.Refused(t, http.StatusBadRequest, "use_dpop_nonce")
	nonce := r.Header.Get("DPoP-Nonce")
	if r := a.Call(address, a.Proof(http.MethodGet, address, func(b fapitest.Claims) { b["nonce"] = nonce }), nil); nonce == "" || r.Status != http.StatusOK {
		t.Errorf("with the nonce %q: %d %s", nonce, r.Status, r.Raw)
	}
}

// TestDeviceAPIRace: of many devices that decide at once, one decision counts.
func TestDeviceAPIRace(t *testing.T) {
	w, c := fapitest.NewDeviceWorld(t)
	var apps []*fapitest.App
	for range 8 {
		apps = append(apps, w.EnrolledApp(t, "alice"))
	}
	authReqID := c.Asked(nil)
	one := apps[0].Get("/requests/" + fapitest.Reference(authReqID))
	answers := make([]fapitest.Reply, len(apps))
	var deciding sync.WaitGroup
	for i, a := range apps {
		deciding.Go(func() { answers[i] = a.Post(one.Text([]string{"approve", "deny"}[i%2]), byFinger) })
	}
	deciding.Wait()
	won := 0
	for _, answer := range answers {
		if answer.Status == http.StatusOK {
			won++
		} else {
			answer.Refused(t, http.StatusConflict, "invalid_request")
		}
	}
	if won != 1 {
		t.Errorf("%d decisions were taken", won)
	}
}

// TestDeviceAPIWaits: a list that is waited for comes when something new does.
func TestDeviceAPIWaits(t *testing.T) {
	w, c := fapitest.NewDeviceWorld(t)
	a := w.EnrolledApp(t, "alice")
	known := a.Get("/requests").Text("version")
	answered := make(chan fapitest.Reply, 1)
	started := time.Now()
	go func() { answered <- a.Get("/requests?wait=12&version=" + known) }()
	time.Sleep(300 * time.Millisecond)
	select {
	case r := <-answered:
		t.Fatalf("answered at once: %s", r.Raw)
	default:
	}
	id := fapitest.Reference(c.Asked(nil))
	r := <-answered
	if list := r.Requests(t); len(list) != 1 || list[0]["request_id"] != id {
		t.Errorf("the list: %s", r.Raw)
	}
	if took := time.Since(started); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	if r := a.Get("/requests?wait=12&version=" + known); len(r.Requests(t)) != 1 {
		t.Errorf("an old version: %s", r.Raw)
	}
}

// TestDeviceEvents: a page is told that there is something new, and nothing of what it is; nobody else is.
func TestDeviceEvents(t *testing.T) {
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.Holder(t)
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
	c.Asked(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	if data := next(); data == version || strings.Contains(data, "OSLO") {
		t.Errorf("the stream goes on with %q", data)
	}
}

// TestWebPush: a browser is woken by an empty message that only its push service's key of this server can send (RFC 8292).
func TestWebPush(t *testing.T) {
	w, c := fapitest.NewDeviceWorld(t)
	service := w.PushService()
	alice := w.Holder(t)
	page := alice.SignIn("alice")
	key := page.One(t, `data-push="([^"]+)"`)
	alice.Send(page, "/device", "subscribe", "endpoint", service.URL+"/send/1").Has(t, http.StatusOK, "This browser will tell you")
	alice.Send(page, "/device", "subscribe", "endpoint", "https://10.0.0.1/send").Has(t, http.StatusBadRequest)
	alice.Send(page, "/device", "subscribe", "endpoint", "http://push.example/send").Has(t, http.StatusBadRequest)
	c.Asked(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	r := service.Wait(t)
	if r.Method != http.MethodPost || r.URL.Path != "/send/1" || r.Header.Get("Ttl") != "120" || service.Bodies[0] != "" {
		t.Errorf("the message: %s %s, TTL %s, body %q", r.Method, r.URL, r.Header.Get("Ttl"), service.Bodies[0])
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
	service.Mu.Lock()
	service.Status = http.StatusGone
	service.Mu.Unlock()
	c.Asked(nil)
	service.Wait(t)
	w.Eventually(func() bool {
		left, err := w.Store.Subscriptions(t.Context(), "sub-alice")
		return err == nil && len(left) == 0
	})
	// So is one that expects messages of another key.
	old := store.Subscription{ID: store.DigestOf("old"), Subject: "sub-alice", Endpoint: service.URL + "/old", KeyID: "old", CreatedAt: w.Clock.Now()}
	if err := w.Store.PutSubscription(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	c.Asked(nil)
	w.Eventually(func() bool {
		left, err := w.Store.Subscriptions(t.Context(), "sub-alice")
		return err == nil && len(left) == 0
	})
	if len(service.Came) > 0 {
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
	w, c := fapitest.NewDeviceWorld(t, fapitest.Chained)
	alice := w.Holder(t)
	alice.SignIn("alice")
	var code string
	a := w.App(t)
	var names []string
	for _, event := range w.Newly(t, func() {
		alice.AddPasskey()
		alice.SignInByPasskeyAgain("/device/settings")
		on := alice.Visit("/device/settings")
		code = alice.Send(on, "/device/settings", "code").One(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`)
		a.Post(w.Issuer+"/device/api/enrol", url.Values{"code": {code}, "name": {"Bank app"}})
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
	one := a.Get("/requests/" + fapitest.Reference(c.Asked(nil)))
	events := w.Newly(t, func() {
		a.Post(one.Text("approve"), byFinger)
		a.Post(one.Text("approve"), byFinger) // refused, and nothing is kept of it
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
