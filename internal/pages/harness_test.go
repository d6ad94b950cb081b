package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
)

var (
	errRefused   = errors.New("people: no")
	errThrottled = errors.New("people: too many")
)

// people is a directory of one person, with names that stand for trouble.
type people struct{ asked []string }

func (p *people) Authenticate(_ context.Context, username, password string) (string, error) {
	p.asked = append(p.asked, username)
	switch {
	case username == "busy":
		return "", waiting{90 * time.Second}
	case username == "busy, who knows how long":
		return "", fmt.Errorf("wrapped: %w", errThrottled)
	case username == "broken":
		return "", errors.New("the disk is on fire")
	case username == "alice" && password == "right":
		return "sub-alice", nil
	case username == "bob" && password == "right":
		return "sub-bob", nil
	}
	return "", fmt.Errorf("wrapped: %w", errRefused)
}

// waiting is an errThrottled that knows how long.
type waiting struct{ time.Duration }

func (w waiting) Error() string             { return "wait " + w.String() }
func (w waiting) Is(target error) bool      { return target == errThrottled }
func (w waiting) RetryAfter() time.Duration { return w.Duration }

// recorder is an ending that remembers what was done.
type recorder struct {
	done          []string
	authenticated fapi.Authentication
	failures      int
	err           error
	passkey       error
}

func (e *recorder) SignIn(w http.ResponseWriter, _ *http.Request, a fapi.Authentication) {
	e.done, e.authenticated = append(e.done, "sign in"), a
	w.WriteHeader(http.StatusSeeOther)
}

func (e *recorder) SignInFailed(context.Context) (int, error) {
	e.done = append(e.done, "sign-in failed")
	e.failures++
	return e.failures, e.err
}

func (e *recorder) SignInWithPasskey(w http.ResponseWriter, _ *http.Request) error {
	e.done = append(e.done, "passkey")
	if e.passkey == nil {
		w.WriteHeader(http.StatusSeeOther)
	}
	return e.passkey
}

func (e *recorder) Allow(w http.ResponseWriter, _ *http.Request) {
	e.done = append(e.done, "allow")
	w.WriteHeader(http.StatusSeeOther)
}

func (e *recorder) Deny(w http.ResponseWriter, _ *http.Request) {
	e.done = append(e.done, "deny")
	w.WriteHeader(http.StatusSeeOther)
}

func newPages(t testing.TB) (*Pages, *people) {
	t.Helper()
	directory := &people{}
	p, err := New(Config{
		Directory: directory, Refused: errRefused, Throttled: errThrottled, Issuer: "https://id.bank.example",
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, directory
}

// newTurn is the first visit of a browser.
func newTurn() *fapi.Turn {
	return &fapi.Turn{
		Client: fapi.ClientView{
			ID: "orchid-payments", Name: "Orchid Payments", URI: "https://orchid.example",
			PolicyURI: "https://orchid.example/privacy", TermsURI: "https://orchid.example/terms",
			LogoURI: "https://orchid.example/logo.svg", RedirectHost: "app.orchid.example",
		},
		Scopes: []fapi.Scope{
			{Name: "openid", Description: "Know who you are: a stable identifier of your account"},
			{Name: "accounts", Description: "See your accounts and their balances"},
			{Name: "payments", Description: "Prepare payments, each of which you confirm"},
		},
		FormToken: "form-token-of-this-browser", GrantLifetime: 90 * 24 * time.Hour,
	}
}

// signedIn is the visit of somebody who has signed in.
func signedIn() *fapi.Turn {
	turn := newTurn()
	turn.SignedIn = &fapi.SignedIn{Subject: "sub-alice", Username: "alice"}
	return turn
}

// sent is a visit that sends a form: key, value, key, value.
func sent(turn *fapi.Turn, pairs ...string) *fapi.Turn {
	turn.Form = url.Values{"form_token": {turn.FormToken}}
	for i := 0; i < len(pairs); i += 2 {
		turn.Form.Set(pairs[i], pairs[i+1])
	}
	return turn
}

// visit runs one turn.
func visit(t testing.TB, turn *fapi.Turn, end *recorder) *httptest.ResponseRecorder {
	t.Helper()
	p, _ := newPages(t)
	method := http.MethodGet
	if turn.Form != nil {
		method = http.MethodPost
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Correlation-Id", "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55")
	p.interact(w, httptest.NewRequest(method, "/interaction/handle", strings.NewReader("")), turn, end)
	return w
}
