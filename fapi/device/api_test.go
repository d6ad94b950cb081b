package device_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/browser"
	"countersign/fapi/device"
	"countersign/fapi/fapitest"
)

var byFinger = url.Values{"acr": {browser.PasskeyACR}, "amr": {"hwk fpt"}}

// TestDeviceAPI: an application is enrolled with a code, sees what its user is asked, and decides it.
func TestDeviceAPI(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.PasskeyOwner(t, "alice")
	alice.SignInByPasskeyAgain("/device/settings")
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

// TestDeviceAPIRefuses: a proof is for one call of one enrolled device, whose user may decide.
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
	proof := a.proof(http.MethodGet, address, nil, nil)
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
			refused(t, a.call(approve, a.proof(http.MethodPost, approve, byFinger, change), byFinger), http.StatusBadRequest, "invalid_dpop_proof")
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
	if r := a.call(address, a.proof(http.MethodGet, address, nil, func(b fapitest.Claims) { b["nonce"] = nonce }), nil); nonce == "" || r.Status != http.StatusOK {
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

// TestDeviceAudit: what a user confirms with, and what is decided, is in the audit log; the decision with the digest of
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
		asked := alice.Send(on, "/device/settings", "remove-passkey", "id", on.One(t, `name="id" value="([^"]+)"`))
		alice.RemoveLast(asked)
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
		detail["shown"] == "" || !strings.Contains(one.Text("approve"), "/"+detail["shown"]+"."+detail["language"]+"/") || !strings.HasPrefix(detail["device"], "device ") {
		t.Errorf("kept %+v", events[0])
	}
	if log := w.Logs.String(); strings.Contains(log, strings.ReplaceAll(code, " ", "")) {
		t.Error("the log holds the code")
	}
}

// An application is told what a request does to a grant that the user allowed before, as the pages say it.
func TestDeviceAPIChange(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	a, c := enrolledApp(t, w, "alice"), w.Register("managing", fapitest.All(fapitest.AllScopes, fapitest.CIBAPoll))
	asking := func(action, scope string) fapitest.Change {
		return fapitest.Changes(fapitest.Set("grant_management_action", action), fapitest.Set("scope", scope), fapitest.Set("binding_message", "B-1"))
	}
	first := c.AuthReqID(asking("create", "openid accounts"))
	one := a.get("/requests/" + fapitest.Reference(first))
	if one.Body["grant_change"] != nil {
		t.Errorf("nothing is changed: %s", one.Raw)
	}
	a.post(one.Text("approve"), byFinger)
	made := c.Poll(first, nil)
	fapitest.WantOK(t, made)
	second := c.AuthReqID(fapitest.Changes(asking("replace", "openid payments"), fapitest.Set("grant_id", made.Text("grant_id"))))
	one = a.get("/requests/" + fapitest.Reference(second))
	want := map[string]any{
		"added": []any{"Pay"}, "kept": []any{"Know who you are: a stable identifier of your account"}, "ended": []any{"See your accounts"},
	}
	if diff := cmp.Diff(want, one.Body["grant_change"]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r := a.post(one.Text("approve"), byFinger); r.Status != http.StatusOK || r.Text("state") != "approved" {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
}
