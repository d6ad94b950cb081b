package pages

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/browser"
	"countersign/fapi/logout"
	"countersign/internal/brand"
	"countersign/internal/oauth"
)

var update = flag.Bool("update", false, "write the golden files again")

// pageCase is a page with its golden file.
type pageCase struct {
	name   string
	page   *httptest.ResponseRecorder
	status int
}

const correlation = "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55"

func pageCases(t testing.TB) []pageCase {
	hinted := newInteraction()
	hinted.LoginHint = "alice"
	bare := signedIn()
	bare.Client = browser.Client{ID: "bare"}
	bare.Scopes, bare.GrantLifetime = nil, 0
	hour := signedIn()
	hour.GrantLifetime = 90 * time.Minute
	another := signedIn()
	another.Problem.Code = browser.AnotherUser
	again := func(username string, problem browser.Problem) *httptest.ResponseRecorder {
		in := newInteraction()
		in.LoginHint, in.Problem = username, problem
		return signInPage(t, in)
	}
	changed := signOut()
	changed.Changed = true
	internal := browser.Failure{
		Status: http.StatusInternalServerError, Code: oauth.ServerError, Description: oauth.AsError(nil).Description, CorrelationID: correlation,
	}
	return []pageCase{
		{"consent-details", consentPage(t, payment()), http.StatusOK},
		{"signin", signInPage(t, newInteraction()), http.StatusOK},
		{"signin-hint", signInPage(t, hinted), http.StatusOK},
		{"signin-empty", again("", browser.Problem{Code: browser.NeitherGiven}), http.StatusOK},
		{"signin-no-password", again("alice", browser.Problem{Code: browser.NoPassword}), http.StatusOK},
		{"signin-wrong", again("alice", browser.Problem{Code: browser.WrongPassword, TriesLeft: 4}), http.StatusOK},
		{"signin-two-left", again("alice", browser.Problem{Code: browser.WrongPassword, TriesLeft: 2}), http.StatusOK},
		{"signin-one-left", again("alice", browser.Problem{Code: browser.WrongPassword, TriesLeft: 1}), http.StatusOK},
		{"signin-throttled", again("busy", browser.Problem{Code: browser.TooManyAttempts, Wait: 90 * time.Second}), http.StatusTooManyRequests},
		{"signin-switch", signInPage(t, signedIn()), http.StatusOK},
		{"signin-ended", again("", browser.Problem{Code: browser.SignInEnded}), http.StatusOK},
		{"consent", consentPage(t, signedIn()), http.StatusOK},
		{"consent-bare", consentPage(t, bare), http.StatusOK},
		{"consent-hour", consentPage(t, hour), http.StatusOK},
		{"consent-other-person", consentPage(t, another), http.StatusOK},
		{"failure-no-action", failurePage(t, browser.Failure{
			Status: http.StatusBadRequest, Code: oauth.InvalidRequest, CorrelationID: correlation,
			Description: "this form was sent without one of its buttons; go back and try again",
		}), http.StatusBadRequest},
		{"signout", signOutPage(t, signOut(), (*Pages).SignOut), http.StatusOK},
		{"signout-bare", signOutPage(t, logout.View{FormToken: newInteraction().FormToken}, (*Pages).SignOut), http.StatusOK},
		{"signout-changed", signOutPage(t, changed, (*Pages).SignOut), http.StatusOK},
		{"signedout", signOutPage(t, signOut(), (*Pages).SignedOut), http.StatusOK},
		{"signedout-bare", signOutPage(t, logout.View{}, (*Pages).SignedOut), http.StatusOK},
		{"stayed", signOutPage(t, signOut(), (*Pages).Stayed), http.StatusOK},
		{"failure-signout", failurePage(t, browser.Failure{
			Status: http.StatusBadRequest, Code: oauth.InvalidRequest, CorrelationID: correlation, Reason: browser.NotSignedOut,
			Description: "post_logout_redirect_uri is not one of the client's post_logout_redirect_uris",
		}), http.StatusBadRequest},
		{"failure-directory", failurePage(t, internal), http.StatusInternalServerError},
		{"failure-count", failurePage(t, internal), http.StatusInternalServerError},
	}
}

func TestPages(t *testing.T) {
	for _, test := range pageCases(t) {
		t.Run(test.name, func(t *testing.T) {
			if test.page.Code != test.status {
				t.Errorf("status %d, want %d", test.page.Code, test.status)
			}
			golden(t, test.name, test.page.Body.String())
		})
	}
}

// golden compares a page with its golden file. The style sheet is left out: it is a file of its own.
func golden(t *testing.T, name, got string) {
	t.Helper()
	style, err := styleSheet(brand.Accent)
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

// TestPasswordIsNeverShown: it is not sent back, whatever the problem.
func TestPasswordIsNeverShown(t *testing.T) {
	for _, code := range []browser.ProblemCode{browser.WrongPassword, browser.TooManyAttempts, browser.NoUsername, browser.SignInEnded} {
		in := newInteraction()
		in.LoginHint, in.Problem = "alice", browser.Problem{Code: code, TriesLeft: 1}
		in.Form = url.Values{"action": {"sign-in"}, "username": {"alice"}, "password": {"s3cret-phrase"}}
		if body := signInPage(t, in).Body.String(); strings.Contains(body, "s3cret-phrase") {
			t.Errorf("%s: the page holds the password", code)
		}
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
		in := newInteraction()
		in.LoginHint = hint
		if body := signInPage(t, in).Body.String(); !strings.Contains(body, field+want+`"`) {
			t.Errorf("%q: the field does not hold %q", hint, want)
		}
	}
}

func TestFail(t *testing.T) {
	tests := []struct {
		name    string
		failure browser.Failure
		status  int
	}{
		{"failure-400", browser.Failure{Status: 400, Code: "invalid_request", Description: "request_uri is unknown; the application has to push a new request", CorrelationID: "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55"}, 400},
		{"failure-403", browser.Failure{Status: 403, Code: "access_denied", Description: "this form was sent from another site"}, 403},
		{"failure-404", browser.Failure{Status: 404, Code: "invalid_request", Description: "this page belongs to another browser, or it is too old; go back to the application and start again"}, 404},
		{"failure-500", browser.Failure{Status: 500, Code: "server_error", Description: "try again."}, 500},
		{"failure-503", browser.Failure{Status: 503, Code: "temporarily_unavailable"}, 503},
		{"failure-status", browser.Failure{Status: 200, Code: "server_error"}, 500},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := failurePage(t, test.failure)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			golden(t, test.name, w.Body.String())
		})
	}
}

func TestNew(t *testing.T) {
	for name, issuer := range map[string]string{
		"http issuer": "http://id.bank.example", "issuer not a URL": "https://%zz", "issuer, no scheme": "id.bank.example",
	} {
		if _, err := New(Config{Issuer: issuer}); err == nil {
			t.Errorf("%s: made pages", name)
		}
	}
	p, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	english := p.words.Languages()[0]
	if p.name(english) != "Countersign" || p.host != "" {
		t.Errorf("name %q, host %q", p.name(english), p.host)
	}
	if p, err = New(Config{Brand: Brand{Name: "Harbour Bank\n\u202e"}}); err != nil || p.name(english) != "Harbour Bank" {
		t.Errorf("%v", err)
	}
}

// TestSignInPasskey: the sign-in page runs the one script for passkeys where there are any, and none otherwise.
func TestSignInPasskey(t *testing.T) {
	in := newInteraction()
	in.Passkey = `{"challenge":"AAAA"}`
	w := signInPage(t, in)
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "; script-src https://id.bank.example/passkey.js; ") {
		t.Errorf("the policy is %q", policy)
	}
	if body := w.Body.String(); !strings.Contains(body, `<script src="/passkey.js" defer></script>`) || !strings.Contains(body, "Sign in with a passkey") {
		t.Errorf("the page: %s", body)
	}
	in.Problem = browser.Problem{Code: browser.PasskeyRefused, TriesLeft: 4}
	if body := signInPage(t, in).Body.String(); !strings.Contains(body, "The passkey was not accepted") {
		t.Errorf("after a refused passkey, the page: %s", body)
	}
}

// TestSignInPasskeyOnly: where nothing but a passkey satisfies the request, nothing else is offered.
func TestSignInPasskeyOnly(t *testing.T) {
	in := newInteraction()
	in.Passkey, in.PasskeyOnly = `{"challenge":"AAAA"}`, true
	body := signInPage(t, in).Body.String()
	if strings.Contains(body, `type="password"`) || !strings.Contains(body, "with a passkey, and with nothing else") || !strings.Contains(body, `id="cancel"`) {
		t.Errorf("the page: %s", body)
	}
}
