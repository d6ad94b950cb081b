package authorize_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace/noop"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/internal/queue"
	"countersign/store"
)

var (
	errRefused   = errors.New("users: no")
	errThrottled = errors.New("users: too many")
	errDirectory = errors.New("the disk is on fire")
)

// users is a directory of two users, with names that cause trouble.
type users struct{}

func (users) Authenticate(_ context.Context, attempt browser.Attempt) (browser.Proven, error) {
	switch {
	case attempt.Username == "busy":
		return browser.Proven{}, waiting{90 * time.Second}
	case attempt.Username == "busy, who knows how long":
		return browser.Proven{}, fmt.Errorf("wrapped: %w", errThrottled)
	case attempt.Username == "broken":
		return browser.Proven{}, errDirectory
	case attempt.Username == "unlucky":
		return browser.Proven{}, fmt.Errorf("directory: find the user: %w", store.ErrUnavailable)
	case attempt.Username == "crowded":
		return browser.Proven{}, fmt.Errorf("directory: verify the password: %w", &queue.RefusedError{Wait: 3 * time.Second})
	case (attempt.Username == "alice" || attempt.Username == "bob") && attempt.Password == "right":
		return browser.Proven{Subject: "sub-" + attempt.Username}, nil
	}
	return browser.Proven{}, fmt.Errorf("wrapped: %w", errRefused)
}

// waiting is an errThrottled that knows how long.
type waiting struct{ time.Duration }

func (w waiting) Error() string             { return "wait " + w.String() }
func (w waiting) Is(target error) bool      { return target == errThrottled }
func (w waiting) RetryAfter() time.Duration { return w.Duration }

// pages remembers which page was shown, and with what.
type pages struct {
	shown   string
	in      authorize.Interaction
	failure browser.Failure
}

func (p *pages) SignIn(_ http.ResponseWriter, _ *http.Request, in authorize.Interaction) {
	p.shown, p.in = p.shown+"sign-in", in
}

func (p *pages) Consent(_ http.ResponseWriter, _ *http.Request, in authorize.Interaction) {
	p.shown, p.in = p.shown+"consent", in
}

func (p *pages) Fail(_ http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	p.shown, p.failure = p.shown+"failure", failure
}

// recorder is Actions that remember what was done.
type recorder struct {
	done          []string
	authenticated browser.Authentication
	failures      int
	// countErr, passkeyErr and shownErr are answered.
	countErr, passkeyErr, shownErr error
}

func (a *recorder) SignIn(_ http.ResponseWriter, _ *http.Request, proven browser.Authentication) {
	a.done, a.authenticated = append(a.done, "sign in"), proven
}

func (a *recorder) SignInWithPasskey(http.ResponseWriter, *http.Request) error {
	a.done = append(a.done, "passkey")
	return a.passkeyErr
}

// SignInThrottled implements [authorize.Actions].
func (a *recorder) SignInThrottled(context.Context, browser.Problem) {}

// Leave implements [authorize.Actions].
func (a *recorder) Leave(http.ResponseWriter, *http.Request) { a.done = append(a.done, "leave") }

// ConsentShown implements [authorize.Actions].
func (a *recorder) ConsentShown(context.Context) error { return a.shownErr }

func (a *recorder) SignInFailed(context.Context, browser.Problem) (int, error) {
	a.done = append(a.done, "sign-in failed")
	a.failures++
	return a.failures, a.countErr
}

func (a *recorder) Allow(http.ResponseWriter, *http.Request) { a.done = append(a.done, "allow") }
func (a *recorder) Deny(http.ResponseWriter, *http.Request)  { a.done = append(a.done, "deny") }
func (a *recorder) HandOff(http.ResponseWriter, *http.Request) {
	a.done = append(a.done, "hand off")
}

const correlation = "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55"

// newInteraction is an interaction in which nobody has signed in.
func newInteraction() authorize.Interaction {
	return authorize.Interaction{Client: browser.Client{ID: "orchid-payments"}, FormToken: "token", LoginHint: "hinted"}
}

// signedIn is an interaction in which alice has signed in.
func signedIn() authorize.Interaction {
	in := newInteraction()
	in.SignedIn = &browser.SignedIn{Subject: "sub-alice", Username: "alice"}
	return in
}

// sent is an interaction with a form: key, value, key, value.
func sent(in authorize.Interaction, pairs ...string) authorize.Interaction {
	in.Form = url.Values{"form_token": {in.FormToken}}
	for i := 0; i < len(pairs); i += 2 {
		in.Form.Set(pairs[i], pairs[i+1])
	}
	return in
}

// typed is the sign-in form of somebody who has not signed in.
func typed(username, password string) authorize.Interaction {
	return sent(newInteraction(), "action", "sign-in", "username", username, "password", password)
}

// allowing is the consent form.
func allowing(in authorize.Interaction, subject string) authorize.Interaction {
	return sent(in, "action", "allow", "signed_in_as", subject)
}

// byPasskey is the form that a script sends with a passkey.
func byPasskey() authorize.Interaction {
	return sent(newInteraction(), "action", "passkey", "passkey", "{}")
}

// interact has the forms deal with an interaction.
func interact(t *testing.T, in authorize.Interaction, actions *recorder, log *slog.Logger) (*pages, http.Header) {
	t.Helper()
	shown := &pages{}
	passwords := browser.Passwords{Directory: users{}, Refused: errRefused, Throttled: errThrottled}
	forms, err := authorize.NewForms(shown, passwords, log)
	if err != nil {
		t.Fatal(err)
	}
	guard := event.Guard{Now: time.Now, Log: log, Tracer: noop.NewTracerProvider().Tracer("")}
	r := httptest.NewRequest(http.MethodPost, "/interaction/handle", nil)
	r.Header.Set("x-fapi-interaction-id", correlation)
	w := httptest.NewRecorder()
	guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forms.Interact(w, r, in, actions)
	})).ServeHTTP(w, r)
	return shown, w.Header()
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestFormsActions: what each form does, where it shows no page.
func TestFormsActions(t *testing.T) {
	t.Parallel()
	tooMany := newInteraction()
	tooMany.SignInFailures = authorize.MaxSignInFailures
	again := typed("alice", "right")
	again.SignInFailures = authorize.MaxSignInFailures
	last := authorize.MaxSignInFailures - 1
	tests := []struct {
		name    string
		in      authorize.Interaction
		actions recorder
		want    []string
	}{
		{"right password", typed("alice", "right"), recorder{}, []string{"sign in"}},
		{"space around the name", typed(" alice ", "right"), recorder{}, []string{"sign in"}},
		{"right password of somebody else", sent(signedIn(), "action", "sign-in", "username", "bob", "password", "right"), recorder{}, []string{"sign in"}},
		{"last wrong password", typed("alice", "wrong"), recorder{failures: last}, []string{"sign-in failed", "deny"}},
		{"passkey", byPasskey(), recorder{}, []string{"passkey"}},
		{
			"last wrong passkey", byPasskey(), recorder{failures: last, passkeyErr: browser.ErrPasskeyRefused},
			[]string{"passkey", "sign-in failed", "deny"},
		},
		{"cancel with empty fields", sent(newInteraction(), "action", "cancel", "username", "", "password", ""), recorder{}, []string{"deny"}},
		{"allow", allowing(signedIn(), "sub-alice"), recorder{}, []string{"allow"}},
		{"deny", sent(signedIn(), "action", "deny", "signed_in_as", "sub-alice"), recorder{}, []string{"deny"}},
		{"deny without sign-in", sent(newInteraction(), "action", "deny"), recorder{}, []string{"deny"}},
		{"a new page after too many", tooMany, recorder{}, []string{"deny"}},
		{"the right password after too many", again, recorder{}, []string{"deny"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shown, _ := interact(t, test.in, &test.actions, silent())
			if diff := cmp.Diff(test.want, test.actions.done); diff != "" {
				t.Errorf("what was done (-want +got):\n%s", diff)
			}
			if shown.shown != "" {
				t.Errorf("a page was shown too: %s", shown.shown)
			}
		})
	}
}

func code(c browser.ProblemCode) browser.Problem { return browser.Problem{Code: c} }

func wrongPassword(left int) browser.Problem {
	return browser.Problem{Code: browser.WrongPassword, TriesLeft: left}
}

// TestFormsPages: what each form, and the page without one, shows.
func TestFormsPages(t *testing.T) {
	t.Parallel()
	wrong := typed("alice", "wrong")
	failed := []string{"sign-in failed"}
	tests := []struct {
		name      string
		in        authorize.Interaction
		actions   recorder
		page      string
		problem   browser.Problem
		loginHint string
		done      []string
	}{
		{"nobody signed in", newInteraction(), recorder{}, "sign-in", browser.Problem{}, "hinted", nil},
		{"signed in", signedIn(), recorder{}, "consent", browser.Problem{}, "hinted", nil},
		{"nothing typed", typed(" ", ""), recorder{}, "sign-in", code(browser.NeitherGiven), "", nil},
		{"no password", sent(newInteraction(), "action", "sign-in", "username", "alice"), recorder{}, "sign-in", code(browser.NoPassword), "alice", nil},
		{"no user name", sent(newInteraction(), "action", "sign-in", "password", "right"), recorder{}, "sign-in", code(browser.NoUsername), "", nil},
		{"wrong password", wrong, recorder{}, "sign-in", wrongPassword(4), "alice", failed},
		{"wrong password, two left", wrong, recorder{failures: 2}, "sign-in", wrongPassword(2), "alice", failed},
		{"wrong password, one left", wrong, recorder{failures: 3}, "sign-in", wrongPassword(1), "alice", failed},
		{
			"too many attempts", typed("busy", "right"), recorder{}, "sign-in",
			browser.Problem{Code: browser.TooManyAttempts, Wait: 90 * time.Second}, "busy", nil,
		},
		{
			"passkey refused", byPasskey(), recorder{passkeyErr: fmt.Errorf("%w: no", browser.ErrPasskeyRefused)}, "sign-in",
			browser.Problem{Code: browser.PasskeyRefused, TriesLeft: 4}, "hinted", []string{"passkey", "sign-in failed"},
		},
		{"switch", sent(signedIn(), "action", "switch"), recorder{}, "sign-in", browser.Problem{}, "", nil},
		{"the sign-in has ended", allowing(newInteraction(), "sub-alice"), recorder{}, "sign-in", code(browser.SignInEnded), "hinted", nil},
		{"another user", allowing(signedIn(), "sub-bob"), recorder{}, "consent", code(browser.AnotherUser), "hinted", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shown, _ := interact(t, test.in, &test.actions, silent())
			if shown.shown != test.page {
				t.Errorf("page %q, want %q", shown.shown, test.page)
			}
			want := test.in
			want.Problem, want.LoginHint = test.problem, test.loginHint
			if diff := cmp.Diff(want, shown.in); diff != "" {
				t.Errorf("what is shown (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.done, test.actions.done); diff != "" {
				t.Errorf("what was done (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFormsFailures: what is no form of the pages, and what fails on the server's side.
func TestFormsFailures(t *testing.T) {
	t.Parallel()
	internal := browser.Failure{
		Status: http.StatusInternalServerError, Code: oauth.ServerError, CorrelationID: correlation,
		Description: oauth.AsError(nil).Description,
	}
	noButton := browser.Failure{
		Status: http.StatusBadRequest, Code: oauth.InvalidRequest, CorrelationID: correlation,
		Description: "this form was sent without one of its buttons; go back and try again",
	}
	tests := []struct {
		name    string
		in      authorize.Interaction
		actions recorder
		want    browser.Failure
	}{
		{"no button", sent(signedIn(), "signed_in_as", "sub-alice"), recorder{}, noButton},
		{"another button", sent(signedIn(), "action", "Allow", "signed_in_as", "sub-alice"), recorder{}, noButton},
		{"directory", typed("broken", "right"), recorder{}, internal},
		{"count", typed("alice", "wrong"), recorder{countErr: errors.New("no store")}, internal},
		{"shown", signedIn(), recorder{shownErr: errors.New("no store")}, internal},
		{"passkey", byPasskey(), recorder{passkeyErr: errors.New("no store")}, internal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shown, _ := interact(t, test.in, &test.actions, silent())
			if diff := cmp.Diff(test.want, shown.failure); shown.shown != "failure" || diff != "" {
				t.Errorf("page %q (-want +got):\n%s", shown.shown, diff)
			}
		})
	}
}

// Covers: SP-37. The button of the consent page allows, and nothing else does: whoever is not the user named on the
// page allows nothing.
func TestSP37ConsentForm(t *testing.T) {
	t.Parallel()
	t.Run("accepts the button of the page", func(t *testing.T) {
		actions := &recorder{}
		interact(t, allowing(signedIn(), "sub-alice"), actions, silent())
		if !slices.Equal(actions.done, []string{"allow"}) {
			t.Errorf("%v", actions.done)
		}
	})
	for name, in := range map[string]authorize.Interaction{
		"of somebody who is not signed in": allowing(newInteraction(), "sub-alice"),
		"for another user":                 allowing(signedIn(), "sub-bob"),
		"for no user":                      sent(signedIn(), "action", "allow"),
		"without a button":                 sent(signedIn(), "signed_in_as", "sub-alice"),
		"with another button":              sent(signedIn(), "action", "Allow", "signed_in_as", "sub-alice"),
		"by the sign-in form":              sent(signedIn(), "action", "sign-in", "username", "alice", "password", "wrong"),
		"by the switch button":             sent(signedIn(), "action", "switch"),
	} {
		t.Run("refuses consent "+name, func(t *testing.T) {
			actions := &recorder{}
			shown, _ := interact(t, in, actions, silent())
			if slices.Contains(actions.done, "allow") || slices.Contains(actions.done, "sign in") || shown.shown == "" {
				t.Errorf("%v, page %q", actions.done, shown.shown)
			}
		})
	}
}

func TestFormsAuthentication(t *testing.T) {
	t.Parallel()
	actions := &recorder{}
	interact(t, typed("alice", "right"), actions, silent())
	want := browser.Authentication{Subject: "sub-alice", ACR: "urn:countersign:acr:password", AMR: []string{"pwd"}}
	if diff := cmp.Diff(want, actions.authenticated); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{want.ACR}, authorize.ACRValues()); diff != "" {
		t.Errorf("ACRValues (-want +got):\n%s", diff)
	}
}

func TestNewForms(t *testing.T) {
	t.Parallel()
	good := browser.Passwords{Directory: users{}, Refused: errRefused, Throttled: errThrottled}
	for name, change := range map[string]func(*browser.Passwords){
		"no directory": func(p *browser.Passwords) { p.Directory = nil },
		"no Refused":   func(p *browser.Passwords) { p.Refused = nil },
		"no Throttled": func(p *browser.Passwords) { p.Throttled = nil },
	} {
		passwords := good
		change(&passwords)
		if _, err := authorize.NewForms(&pages{}, passwords, silent()); err == nil {
			t.Errorf("%s: made forms", name)
		}
	}
}
