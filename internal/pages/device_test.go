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

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/device"
	"countersign/fapi/rar/display"
)

// onDevice is a request that waits.
func onDevice() device.Page {
	in := payment()
	now := harnessTime
	return device.Page{
		FormToken: "token", SignedIn: &browser.SignedIn{Subject: "sub-alice", Username: "alice"}, Version: "v1", Confirms: true,
		Approve: `{"challenge":"approve"}`,
		Request: &backchannel.View{
			State: backchannel.Waiting, Reference: "reference", Client: in.Client, Message: "MINT 1207", Scopes: in.Scopes,
			Details: in.Details, CreatedAt: now, ExpiresAt: now.Add(2 * time.Minute), GrantLifetime: 90 * 24 * time.Hour,
		},
	}
}

// devicePages are the device's pages by name.
func devicePages(t *testing.T) map[string]func(http.ResponseWriter, *http.Request, device.Page) {
	t.Helper()
	pages := newPages(t).Device()
	return map[string]func(http.ResponseWriter, *http.Request, device.Page){
		"sign-in": pages.SignIn, "home": pages.Home, "request": pages.Request, "settings": pages.Settings,
	}
}

// shownOnDevice renders one of the device's pages.
func shownOnDevice(t *testing.T, name string, page device.Page) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	devicePages(t)[name](w, httptest.NewRequest(http.MethodGet, "/device", nil), page)
	return w
}

// TestDevicePolicy: a page of the device runs its own two scripts and its worker, each by its address, and no other;
// its forms stay at home.
func TestDevicePolicy(t *testing.T) {
	for page := range devicePages(t) {
		w := shownOnDevice(t, page, onDevice())
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

// Covers: ATTACK-38, FD-134. TestDeviceDecisionIsFree: nothing is chosen beforehand, the buttons look alike, and denying
// takes less than approving.
func TestDeviceDecisionIsFree(t *testing.T) {
	for name, byPasskey := range map[string]bool{"with a passkey": true, "with a password": false} {
		page := onDevice()
		if !byPasskey {
			page.Approve = ""
		}
		_, body, _ := strings.Cut(shownOnDevice(t, "request", page).Body.String(), "</style>")
		buttons := map[string]string{}
		for _, button := range regexp.MustCompile(`<button class="button" id="(approve|deny)"([^>]*)>`).FindAllStringSubmatch(body, -1) {
			buttons[button[1]] = button[2]
		}
		if len(buttons) != 2 || strings.Contains(body, "primary\"") {
			t.Errorf("%s: the buttons are %q", name, buttons)
		}
		if asks := strings.Contains(buttons["approve"], "data-options="); asks != byPasskey || strings.Contains(buttons["deny"], "data-options=") {
			t.Errorf("%s: the buttons are %q", name, buttons)
		}
		if !byPasskey && !strings.Contains(buttons["deny"], "formnovalidate") {
			t.Errorf("%s: denying asks for the password: %q", name, buttons["deny"])
		}
		for _, unwanted := range []string{"autofocus", "checked", "selected"} {
			if strings.Contains(body, unwanted) {
				t.Errorf("%s: the page holds %q", name, unwanted)
			}
		}
		if message, client := strings.Index(body, "MINT 1207"), strings.Index(body, `id="approve"`); message < 0 || message > client {
			t.Errorf("%s: the message is not before the decision", name)
		}
	}
}

// TestDeviceStates: only what waits can be decided, and each state says what it is.
func TestDeviceStates(t *testing.T) {
	for state, want := range map[backchannel.State]string{
		backchannel.Waiting: "Somebody asks for this in your name", backchannel.Approved: "This was approved", backchannel.Denied: "This was denied",
		backchannel.Expired: "The time for this decision is over",
	} {
		page := onDevice()
		page.Request.State = state
		body := shownOnDevice(t, "request", page).Body.String()
		if !strings.Contains(body, want) || strings.Contains(body, `id="approve"`) != (state == backchannel.Waiting) {
			t.Errorf("%s: %s", state, body)
		}
	}
}

// Covers: ATTACK-39. TestDeviceHostileTexts: what a client says cannot become markup, nor pass for words of ours.
func TestDeviceHostileTexts(t *testing.T) {
	page := onDevice()
	page.Request.Client.Name = "Your Bank \u202egninrael\u202c <script>alert(1)</script>"
	page.Request.Message = "a\u202eb<b>"
	page.Request.Details = []display.View{paying("1\u202e00.1 <b>", "en")}
	page.Passkey, page.Approve = `{"a":"'><script>"}`, `{"a":"'><script>"}`
	page.Requests = []backchannel.View{*page.Request}
	for _, name := range []string{"home", "request"} {
		body := shownOnDevice(t, name, page).Body.String()
		if strings.Contains(body, "\u202e") || strings.Contains(body, "<script>") || strings.Contains(body, "<b>") {
			t.Errorf("%s: %s", name, body)
		}
	}
}

// TestDeviceProblems: each problem and each notice is said in words of its own; a problem is in the title too.
func TestDeviceProblems(t *testing.T) {
	for problem, want := range map[browser.Problem]string{
		{Code: browser.NoUsername}:                              "do not belong together",
		{Code: browser.NoPassword}:                              "do not belong together",
		{Code: browser.NeitherGiven}:                            "do not belong together",
		{Code: browser.WrongPassword}:                           "do not belong together",
		{Code: browser.TooManyAttempts, Wait: 90 * time.Second}: "Wait 2 minutes, then try again.",
		{Code: browser.PasskeyRefused}:                          "The passkey was not accepted. Try again, or sign in with your password.",
		{Code: browser.NotDecidedPassword}:                      "Nothing was decided: the password is not right.",
		{Code: browser.NotDecidedPasskey}:                       "Nothing was decided: your passkey was not accepted.",
		{Code: browser.SignInAgain}:                             "Sign in again first",
		{Code: browser.InvalidName}:                             "This name cannot be used",
		{Code: browser.TooManyPasskeys}:                         "No more passkeys can be added.",
		{Code: browser.TooManyDevices}:                          "You have as many applications as one person can.",
		{Code: browser.NewPasskeyRefused}:                       "The passkey was not accepted. Try again.",
	} {
		for _, name := range []string{"sign-in", "request", "settings"} {
			page := onDevice()
			page.Problem = problem
			body := shownOnDevice(t, name, page).Body.String()
			if !strings.Contains(body, want) || !strings.Contains(body, "<title>Problem: ") {
				t.Errorf("%s, %s: %s", name, problem.Code, body)
			}
		}
	}
	for notice, want := range map[device.NoticeCode]string{
		device.PasskeyAdded: "The passkey is added.", device.PasskeyRemoved: "The passkey is removed.",
		device.DeviceRemoved: "The application is removed", device.BrowserSubscribed: "This browser will tell you of new requests.",
	} {
		for _, name := range []string{"home", "settings"} {
			page := onDevice()
			page.Notice = notice
			if body := shownOnDevice(t, name, page).Body.String(); !strings.Contains(body, want) {
				t.Errorf("%s, %s: %s", name, notice, body)
			}
		}
	}
}

// TestDeviceUsername: what was typed is shown again, unless it would not be seen as what it is.
func TestDeviceUsername(t *testing.T) {
	for typed, shown := range map[string]bool{"alice": true, "ali\u202ece": false, " alice": false} {
		page := device.Page{FormToken: "token", Username: typed, Problem: browser.Problem{Code: browser.WrongPassword}}
		body := shownOnDevice(t, "sign-in", page).Body.String()
		if strings.Contains(body, `value="`+typed+`"`) != shown {
			t.Errorf("%q: %s", typed, body)
		}
	}
}

func TestAssets(t *testing.T) {
	assets, err := newPages(t).Assets()
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

// TestSettingsWithoutRequests: where nobody is asked anything, there are passkeys and no applications.
func TestSettingsWithoutRequests(t *testing.T) {
	page := onDevice()
	page.Confirms = false
	body := shownOnDevice(t, "settings", page).Body.String()
	if strings.Contains(body, "Applications that confirm") || strings.Contains(body, "Requests to confirm") || !strings.Contains(body, `id="passkeys"`) {
		t.Errorf("the page: %s", body)
	}
}
