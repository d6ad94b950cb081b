package pages

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
)

// onDevice is a request that waits.
func onDevice() *fapi.DeviceVisit {
	turn := payment()
	now := time.Now()
	return &fapi.DeviceVisit{
		Page: fapi.DeviceRequest, FormToken: "token", SignedIn: &fapi.SignedIn{Subject: "sub-alice", Username: "alice"}, Version: "v1", Confirms: true,
		Approve: `{"challenge":"approve"}`, Deny: `{"challenge":"deny"}`,
		Request: &fapi.RequestView{State: fapi.RequestWaiting, BackchannelView: fapi.BackchannelView{
			Reference: "reference", Client: turn.Client, Message: "MINT 1207", Scopes: turn.Scopes, Details: turn.Details,
			CreatedAt: now, ExpiresAt: now.Add(2 * time.Minute), GrantLifetime: 90 * 24 * time.Hour,
		}},
	}
}

func shownOnDevice(t *testing.T, visit *fapi.DeviceVisit) *httptest.ResponseRecorder {
	t.Helper()
	p, _ := newPages(t)
	w := httptest.NewRecorder()
	p.Device(w, httptest.NewRequest(http.MethodGet, "/device", nil), visit)
	return w
}

// TestDevicePolicy: a page of the device runs its own two scripts and its worker, each by its address, and no other;
// its forms stay at home.
func TestDevicePolicy(t *testing.T) {
	for _, page := range []fapi.DevicePage{fapi.DeviceSignIn, fapi.DeviceHome, fapi.DeviceRequest, fapi.DeviceSettings} {
		visit := onDevice()
		visit.Page = page
		w := shownOnDevice(t, visit)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", page, w.Code)
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{
			"default-src 'none'; ", "script-src https://id.bank.example/passkey.js https://id.bank.example/device/device.js; ",
			"worker-src https://id.bank.example/device/worker.js; ", "connect-src https://id.bank.example/device/events; ",
			"form-action 'self'; ", "frame-ancestors 'none'; ", "require-trusted-types-for 'script'; trusted-types countersign-worker",
		} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q has no %q", page, policy, want)
			}
		}
		for _, unwanted := range []string{"unsafe", "*", "https: "} {
			if strings.Contains(policy, unwanted) {
				t.Errorf("%s: the policy %q has %q", page, policy, unwanted)
			}
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: the headers are %v", page, w.Header())
		}
		for _, script := range regexp.MustCompile(`<script[^>]*>(.*?)</script>`).FindAllStringSubmatch(w.Body.String(), -1) {
			if script[1] != "" || !strings.Contains(script[0], ` src="/`) {
				t.Errorf("%s: an inline script: %s", page, script[0])
			}
		}
		if found := regexp.MustCompile(` on[a-z]+=| style=|javascript:`).FindString(w.Body.String()); found != "" {
			t.Errorf("%s holds %q", page, found)
		}
	}
}

// Covers: ATTACK-38. TestDeviceDecisionIsFree: nothing is chosen beforehand, and denying is as easy as approving.
func TestDeviceDecisionIsFree(t *testing.T) {
	for name, byPasskey := range map[string]bool{"with a passkey": true, "with a password": false} {
		visit := onDevice()
		if !byPasskey {
			visit.Approve, visit.Deny = "", ""
		}
		body := shownOnDevice(t, visit).Body.String()
		buttons := map[string]string{}
		for _, button := range regexp.MustCompile(`<button id="(approve|deny)"([^>]*)>`).FindAllStringSubmatch(body, -1) {
			buttons[button[1]] = strings.NewReplacer("approve", "", "deny", "").Replace(button[2])
		}
		if len(buttons) != 2 || buttons["approve"] != buttons["deny"] {
			t.Errorf("%s: the buttons are %q", name, buttons)
		}
		for _, unwanted := range []string{"autofocus", "checked", "selected", `class="primary"`} {
			if strings.Contains(body, unwanted) {
				t.Errorf("%s: the page holds %q", name, unwanted)
			}
		}
		if message, client := strings.Index(body, "MINT 1207"), strings.Index(body, `id="approve"`); message < 0 || message > client {
			t.Errorf("%s: the message does not stand before the decision", name)
		}
	}
}

// TestDeviceStates: only what waits can be decided, and each state says what it is.
func TestDeviceStates(t *testing.T) {
	for state, want := range map[fapi.RequestState]string{
		fapi.RequestWaiting: "Did you ask for this?", fapi.RequestApproved: "This was approved", fapi.RequestDenied: "This was denied",
		fapi.RequestExpired: "The time for this decision is over",
	} {
		visit := onDevice()
		visit.Request.State = state
		body := shownOnDevice(t, visit).Body.String()
		if !strings.Contains(body, want) || strings.Contains(body, `id="approve"`) != (state == fapi.RequestWaiting) {
			t.Errorf("%s: %s", state, body)
		}
	}
}

// Covers: ATTACK-39. TestDeviceHostileTexts: what a client says cannot become markup, nor pass for words of ours.
func TestDeviceHostileTexts(t *testing.T) {
	visit := onDevice()
	visit.Request.Client.Name = "Your Bank \u202egninrael\u202c <script>alert(1)</script>"
	visit.Request.Message = "a\u202eb<b>"
	visit.Request.Details[0].Lines[0].Value = "1\u202e00.1"
	visit.Passkey, visit.Approve = `{"a":"'><script>"}`, `{"a":"'><script>"}`
	for _, page := range []fapi.DevicePage{fapi.DeviceHome, fapi.DeviceRequest} {
		visit.Page, visit.Requests = page, []fapi.RequestView{*visit.Request}
		body := shownOnDevice(t, visit).Body.String()
		if strings.Contains(body, "\u202e") || strings.Contains(body, "<script>") || strings.Contains(body, "<b>") {
			t.Errorf("%s: %s", page, body)
		}
	}
}

func TestAssets(t *testing.T) {
	p, _ := newPages(t)
	assets, err := p.Assets()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, asset := range assets {
		paths = append(paths, asset.Path)
		if len(asset.Body) == 0 || asset.ContentType == "" {
			t.Errorf("%s is empty", asset.Path)
		}
		if strings.HasPrefix(asset.ContentType, "text/javascript") {
			for _, unwanted := range []string{"innerHTML", "eval(", "document.write", "http://", "https://"} {
				if strings.Contains(string(asset.Body), unwanted) {
					t.Errorf("%s holds %q", asset.Path, unwanted)
				}
			}
		}
	}
	var manifest struct {
		Start string `json:"start_url"`
		Icons []struct {
			Source string `json:"src"`
		} `json:"icons"`
	}
	if err := json.Unmarshal(assets[len(assets)-1].Body, &manifest); err != nil || manifest.Start != "/device" {
		t.Errorf("the manifest: %+v, %v", manifest, err)
	}
	for _, icon := range manifest.Icons {
		if !slices.Contains(paths, icon.Source) {
			t.Errorf("there is no icon %s", icon.Source)
		}
	}
}

// TestSignInPasskey: the sign-in page runs the one script for passkeys where there are any, and none otherwise.
func TestSignInPasskey(t *testing.T) {
	turn := newTurn()
	turn.Passkey = `{"challenge":"AAAA"}`
	w := visit(t, turn, &recorder{})
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "; script-src https://id.bank.example/passkey.js; ") {
		t.Errorf("the policy is %q", policy)
	}
	if body := w.Body.String(); !strings.Contains(body, `<script src="/passkey.js" defer></script>`) || !strings.Contains(body, "Sign in with a passkey") {
		t.Errorf("the page: %s", body)
	}
	end := &recorder{passkey: fapi.ErrPasskeyRefused}
	turn = sent(newTurn(), "action", "passkey", "passkey", "{}")
	if w := visit(t, turn, end); !slices.Equal(end.done, []string{"passkey", "sign-in failed"}) || !strings.Contains(w.Body.String(), "The passkey was not accepted") {
		t.Errorf("a refused passkey: %v, %s", end.done, w.Body.String())
	}
	end = &recorder{}
	if w := visit(t, sent(newTurn(), "action", "passkey", "passkey", "{}"), end); w.Code != http.StatusSeeOther || !slices.Equal(end.done, []string{"passkey"}) {
		t.Errorf("a passkey that is accepted: %v, %d", end.done, w.Code)
	}
}

// TestSignInPasskeyOnly: where nothing but a passkey meets the request, nothing else is offered.
func TestSignInPasskeyOnly(t *testing.T) {
	turn := newTurn()
	turn.Passkey, turn.PasskeyOnly = `{"challenge":"AAAA"}`, true
	body := visit(t, turn, &recorder{}).Body.String()
	if strings.Contains(body, `type="password"`) || !strings.Contains(body, "with a passkey, and with nothing else") || !strings.Contains(body, `id="cancel"`) {
		t.Errorf("the page: %s", body)
	}
}

// TestSettingsWithoutRequests: where nobody is asked anything, there are passkeys and no applications.
func TestSettingsWithoutRequests(t *testing.T) {
	visit := onDevice()
	visit.Page, visit.Confirms = fapi.DeviceSettings, false
	body := shownOnDevice(t, visit).Body.String()
	if strings.Contains(body, "Applications that confirm") || strings.Contains(body, "Requests to confirm") || !strings.Contains(body, `id="passkeys"`) {
		t.Errorf("the page: %s", body)
	}
}
