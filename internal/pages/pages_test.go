package pages

import (
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
)

var update = flag.Bool("update", false, "write the golden files anew")

// pageCase is a visit that shows a page.
type pageCase struct {
	name   string
	turn   *fapi.Turn
	end    *recorder
	status int
	done   []string
}

// payment is a turn in which one payment is asked for.
func payment() *fapi.Turn {
	turn := signedIn()
	turn.Details = []fapi.DetailView{{Type: "payment_initiation", Title: "Make this payment", Lines: []fapi.DetailLine{
		{Label: "creditor account › iban", Value: "DE02100100109307118603"}, {Label: "creditor name", Value: "Merchant A \u202e"},
		{Label: "instructed amount › amount", Value: "123.50"}, {Label: "instructed amount › currency", Value: "EUR"},
	}}}
	turn.Claims = []string{"birthdate", "phone_number"}
	turn.Resources = []string{"https://api.orchid.example"}
	return turn
}

func pageCases() []pageCase {
	hinted := newTurn()
	hinted.LoginHint = "alice"
	bare := signedIn()
	bare.Client = fapi.ClientView{ID: "bare"}
	bare.Scopes, bare.GrantLifetime = nil, 0
	hour := signedIn()
	hour.GrantLifetime = 90 * time.Minute
	failed := []string{"sign-in failed"}
	return []pageCase{
		{"consent-details", payment(), &recorder{}, http.StatusOK, nil},
		{"signin", newTurn(), &recorder{}, http.StatusOK, nil},
		{"signin-hint", hinted, &recorder{}, http.StatusOK, nil},
		{"signin-empty", sent(newTurn(), "action", "sign-in", "username", " ", "password", ""), &recorder{}, http.StatusOK, nil},
		{"signin-no-password", sent(newTurn(), "action", "sign-in", "username", "alice"), &recorder{}, http.StatusOK, nil},
		{"signin-wrong", sent(newTurn(), "action", "sign-in", "username", "alice", "password", "wrong"), &recorder{}, http.StatusOK, failed},
		{"signin-two-left", sent(newTurn(), "action", "sign-in", "username", "alice", "password", "wrong"), &recorder{failures: 2}, http.StatusOK, failed},
		{"signin-one-left", sent(newTurn(), "action", "sign-in", "username", "alice", "password", "wrong"), &recorder{failures: 3}, http.StatusOK, failed},
		{"signin-throttled", sent(newTurn(), "action", "sign-in", "username", "busy", "password", "right"), &recorder{}, http.StatusTooManyRequests, nil},
		{"signin-switch", sent(signedIn(), "action", "switch"), &recorder{}, http.StatusOK, nil},
		{"signin-ended", sent(newTurn(), "action", "allow", "signed_in_as", "sub-alice"), &recorder{}, http.StatusOK, nil},
		{"consent", signedIn(), &recorder{}, http.StatusOK, nil},
		{"consent-bare", bare, &recorder{}, http.StatusOK, nil},
		{"consent-hour", hour, &recorder{}, http.StatusOK, nil},
		{"consent-other-person", sent(signedIn(), "action", "allow", "signed_in_as", "sub-bob"), &recorder{}, http.StatusOK, nil},
		{"failure-no-action", sent(signedIn()), &recorder{}, http.StatusBadRequest, nil},
		{"failure-directory", sent(newTurn(), "action", "sign-in", "username", "broken", "password", "right"), &recorder{}, http.StatusInternalServerError, nil},
		{"failure-count", sent(newTurn(), "action", "sign-in", "username", "alice", "password", "wrong"), &recorder{err: errors.New("no store")}, http.StatusInternalServerError, failed},
	}
}

func TestPages(t *testing.T) {
	for _, test := range pageCases() {
		t.Run(test.name, func(t *testing.T) {
			w := visit(t, test.turn, test.end)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			if diff := cmp.Diff(test.done, test.end.done); diff != "" {
				t.Errorf("what was done (-want +got):\n%s", diff)
			}
			golden(t, test.name, w.Body.String())
		})
	}
}

// golden compares a page with its golden file. The style sheet is left out: it is a file of its own.
func golden(t *testing.T, name, got string) {
	t.Helper()
	style, err := files.ReadFile("templates/style.css")
	if err != nil {
		t.Fatal(err)
	}
	got = strings.Replace(got, string(style), "…", 1)
	file := filepath.Join("testdata", "golden", name+".html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestDecisions(t *testing.T) {
	tooMany := newTurn()
	tooMany.SignInFailures = fapi.MaxSignInFailures
	again := sent(newTurn(), "action", "sign-in", "username", "alice", "password", "right")
	again.SignInFailures = fapi.MaxSignInFailures
	tests := []struct {
		name     string
		turn     *fapi.Turn
		failures int
		want     []string
	}{
		{"right password", sent(newTurn(), "action", "sign-in", "username", "alice", "password", "right"), 0, []string{"sign in"}},
		{"space around the name", sent(newTurn(), "action", "sign-in", "username", " alice ", "password", "right"), 0, []string{"sign in"}},
		{"right password of somebody else", sent(signedIn(), "action", "sign-in", "username", "bob", "password", "right"), 0, []string{"sign in"}},
		{"last wrong password", sent(newTurn(), "action", "sign-in", "username", "alice", "password", "wrong"), fapi.MaxSignInFailures - 1, []string{"sign-in failed", "deny"}},
		{"cancel with empty fields", sent(newTurn(), "action", "cancel", "username", "", "password", ""), 0, []string{"deny"}},
		{"allow", sent(signedIn(), "action", "allow", "signed_in_as", "sub-alice"), 0, []string{"allow"}},
		{"deny", sent(signedIn(), "action", "deny", "signed_in_as", "sub-alice"), 0, []string{"deny"}},
		{"deny without sign-in", sent(newTurn(), "action", "deny"), 0, []string{"deny"}},
		{"a new visit after too many", tooMany, 0, []string{"deny"}},
		{"the right password after too many", again, 0, []string{"deny"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			end := &recorder{failures: test.failures}
			w := visit(t, test.turn, end)
			if diff := cmp.Diff(test.want, end.done); diff != "" {
				t.Errorf("what was done (-want +got):\n%s", diff)
			}
			if w.Body.Len() != 0 {
				t.Errorf("a page was written too: %s", w.Body)
			}
		})
	}
}

// TestNothingIsAllowedUnseen: whoever is not the person named on the page allows nothing.
func TestNothingIsAllowedUnseen(t *testing.T) {
	for name, turn := range map[string]*fapi.Turn{
		"nobody signed in":  sent(newTurn(), "action", "allow", "signed_in_as", "sub-alice"),
		"another person":    sent(signedIn(), "action", "allow", "signed_in_as", "sub-bob"),
		"no person":         sent(signedIn(), "action", "allow"),
		"another button":    sent(signedIn(), "action", "Allow", "signed_in_as", "sub-alice"),
		"no button":         sent(signedIn(), "signed_in_as", "sub-alice"),
		"the sign-in form":  sent(signedIn(), "action", "sign-in", "username", "alice", "password", "wrong"),
		"the switch button": sent(signedIn(), "action", "switch"),
	} {
		end := &recorder{}
		if w := visit(t, turn, end); w.Body.Len() == 0 {
			t.Errorf("%s: no page", name)
		}
		for _, done := range end.done {
			if done == "allow" || done == "sign in" {
				t.Errorf("%s: %s", name, done)
			}
		}
	}
}

func TestAuthentication(t *testing.T) {
	end := &recorder{}
	visit(t, sent(newTurn(), "action", "sign-in", "username", "alice", "password", "right"), end)
	if diff := cmp.Diff(fapi.Authentication{Subject: "sub-alice", ACR: "urn:countersign:acr:password", AMR: []string{"pwd"}}, end.authenticated); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestUniformRefusal: the page must not tell a name that exists from one that does not.
func TestUniformRefusal(t *testing.T) {
	page := func(username string) string {
		w := visit(t, sent(newTurn(), "action", "sign-in", "username", username, "password", "wrong"), &recorder{})
		return strings.ReplaceAll(w.Body.String(), username, "NAME")
	}
	if diff := cmp.Diff(page("alice"), page("mallory")); diff != "" {
		t.Errorf("the pages differ:\n%s", diff)
	}
}

func TestThrottled(t *testing.T) {
	for username, want := range map[string]string{"busy": "90", "busy, who knows how long": "60"} {
		w := visit(t, sent(newTurn(), "action", "sign-in", "username", username, "password", "right"), &recorder{})
		if got := w.Header().Get("Retry-After"); w.Code != http.StatusTooManyRequests || got != want {
			t.Errorf("%s: status %d, Retry-After %q; want 429, %s", username, w.Code, got, want)
		}
	}
}

// TestPasswordIsNeverShown: it is neither sent back nor logged.
func TestPasswordIsNeverShown(t *testing.T) {
	var logs strings.Builder
	for _, username := range []string{"alice", "busy", "broken", ""} {
		p, _ := newPages(t)
		p.log = newTextLogger(&logs)
		w := httptest.NewRecorder()
		turn := sent(newTurn(), "action", "sign-in", "username", username, "password", "s3cret-phrase")
		p.interact(w, httptest.NewRequest(http.MethodPost, "/interaction/handle", nil), turn, &recorder{})
		if strings.Contains(w.Body.String(), "s3cret-phrase") {
			t.Errorf("%q: the page holds the password", username)
		}
	}
	p, _ := newPages(t)
	p.log = newTextLogger(&logs)
	p.interact(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/interaction/handle", nil),
		sent(newTurn(), "action", "sign-in", "username", "s3cret-phrase", "password", "x"), &recorder{})
	if strings.Contains(logs.String(), "s3cret-phrase") {
		t.Errorf("the log holds what was typed:\n%s", logs.String())
	}
	if !strings.Contains(logs.String(), "sign-in refused") {
		t.Errorf("the log does not hold the refusal:\n%s", logs.String())
	}
}

func TestLoginHint(t *testing.T) {
	const field = `<input id="username" name="username" type="text" value="`
	for hint, want := range map[string]string{
		"alice":                         "alice",
		"alice@bank.example":            "alice@bank.example",
		"":                              "",
		"alice\u202egnp.exe":            "", // reads as something else
		"alice\u200b":                   "",
		"two\nlines":                    "",
		strings.Repeat("a", 201):        "",
		`"><script>alert(1)</script>`:   "&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;",
		"\" autofocus onfocus=alert(1)": "&#34; autofocus onfocus=alert(1)",
	} {
		turn := newTurn()
		turn.LoginHint = hint
		if body := visit(t, turn, &recorder{}).Body.String(); !strings.Contains(body, field+want+`"`) {
			t.Errorf("%q: the field does not hold %q", hint, want)
		}
	}
	turn := sent(signedIn(), "action", "switch")
	turn.LoginHint = "alice"
	if body := visit(t, turn, &recorder{}).Body.String(); !strings.Contains(body, field+`"`) {
		t.Error("whoever wants to be somebody else finds the old name filled in")
	}
}

func TestFail(t *testing.T) {
	p, _ := newPages(t)
	tests := []struct {
		name    string
		failure fapi.Failure
		status  int
	}{
		{"failure-400", fapi.Failure{Status: 400, Code: "invalid_request", Description: "request_uri is unknown; the application has to push a new request", CorrelationID: "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55"}, 400},
		{"failure-403", fapi.Failure{Status: 403, Code: "access_denied", Description: "this form was sent from another site"}, 403},
		{"failure-404", fapi.Failure{Status: 404, Code: "invalid_request", Description: "this page belongs to another browser, or it is too old; go back to the application and start again"}, 404},
		{"failure-500", fapi.Failure{Status: 500, Code: "server_error", Description: "try again."}, 500},
		{"failure-503", fapi.Failure{Status: 503, Code: "temporarily_unavailable"}, 503},
		{"failure-status", fapi.Failure{Status: 200, Code: "server_error"}, 500},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			p.Fail(w, httptest.NewRequest(http.MethodGet, "/authorize", nil), test.failure)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			golden(t, test.name, w.Body.String())
		})
	}
}

func TestNew(t *testing.T) {
	good := Config{Directory: &people{}, Refused: errRefused, Throttled: errThrottled}
	for name, change := range map[string]func(*Config){
		"no directory":      func(c *Config) { c.Directory = nil },
		"no Refused":        func(c *Config) { c.Refused = nil },
		"no Throttled":      func(c *Config) { c.Throttled = nil },
		"http issuer":       func(c *Config) { c.Issuer = "http://id.bank.example" },
		"issuer not a URL":  func(c *Config) { c.Issuer = "https://%zz" },
		"issuer, no scheme": func(c *Config) { c.Issuer = "id.bank.example" },
	} {
		config := good
		change(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s: made pages", name)
		}
	}
	p, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if p.name != "Countersign" || p.host != "" {
		t.Errorf("name %q, host %q", p.name, p.host)
	}
	good.Name = "Harbour Bank\n\u202e"
	if p, err = New(good); err != nil || p.name != "Harbour Bank" {
		t.Errorf("name %q, %v", p.name, err)
	}
}
