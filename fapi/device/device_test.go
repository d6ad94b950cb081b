package device

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/signer"
	"countersign/store"
	"countersign/store/sqlite"
)

var (
	errRefused   = errors.New("refused")
	errThrottled = errors.New("throttled")
)

// directory knows one password, and answers some names in other ways.
type directory struct{}

func (directory) Authenticate(_ context.Context, attempt browser.Attempt) (browser.Proven, error) {
	switch {
	case attempt.Password == "often":
		return browser.Proven{}, errThrottled
	case attempt.Password == "broken":
		return browser.Proven{}, errors.New("the disk is full")
	case attempt.Password != "right":
		return browser.Proven{}, errRefused
	}
	return browser.Proven{Subject: "sub-" + attempt.Username}, nil
}

// requests is one request, of alice.
type requests struct{ view backchannel.View }

func (r *requests) Pending(context.Context, string) ([]backchannel.View, error) {
	return []backchannel.View{r.view}, nil
}

func (r *requests) Request(_ context.Context, reference, subject string) (backchannel.View, error) {
	if reference != r.view.Reference || subject != "sub-alice" {
		return backchannel.View{}, backchannel.ErrNotFound
	}
	return r.view, nil
}

func (r *requests) Decide(_ context.Context, d backchannel.Decision) error {
	r.view.State = backchannel.Denied
	if d.Allowed {
		r.view.State = backchannel.Approved
	}
	return nil
}

func (r *requests) Block(context.Context, string, browser.Authentication) (browser.Client, []string, error) {
	return r.view.Client, nil, nil
}

func (r *requests) Unblock(context.Context, string, string) error { return nil }

func (r *requests) Blocked(context.Context, string) ([]backchannel.Blocked, error) { return nil, nil }

// shownPages writes the name of the page, and remembers it.
type shownPages struct{ page Page }

func (p *shownPages) show(w http.ResponseWriter, name string, page Page) {
	p.page = page
	_, _ = fmt.Fprint(w, name)
}

func (p *shownPages) SignIn(w http.ResponseWriter, _ *http.Request, page Page) {
	p.show(w, "sign-in", page)
}
func (p *shownPages) Home(w http.ResponseWriter, _ *http.Request, page Page) { p.show(w, "home", page) }
func (p *shownPages) Request(w http.ResponseWriter, _ *http.Request, page Page) {
	p.show(w, "request", page)
}
func (p *shownPages) Settings(w http.ResponseWriter, _ *http.Request, page Page) {
	p.show(w, "settings", page)
}
func (p *shownPages) Fail(w http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	http.Error(w, failure.Code, failure.Status)
}

// catalogue is one key, for web push.
type catalogue struct{ signer.Record }

func newCatalogue(t *testing.T) catalogue {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := signer.Thumbprint(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return catalogue{signer.Record{
		ID: id, Public: key.Public(), Algorithm: signer.ES256, Uses: []signer.Use{signer.UsePush}, State: signer.Active,
	}}
}

func (c catalogue) Keys(context.Context) ([]signer.Record, error) {
	return []signer.Record{c.Record}, nil
}

// user is a browser in front of the device's pages.
type user struct {
	t     *testing.T
	http  *http.Client
	base  string
	pages *shownPages
	asked *requests
}

func newUser(t *testing.T) *user {
	t.Helper()
	ctx := t.Context()
	config := sqlite.Config{File: filepath.Join(t.TempDir(), "store.db"), Now: time.Now}
	if _, err := sqlite.Migrate(ctx, config); err != nil {
		t.Fatal(err)
	}
	opened, err := sqlite.Open(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	if err := opened.PutUser(ctx, store.User{Subject: "sub-alice", Username: "alice", CreatedAt: time.Now(), UpdatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	keys, err := signer.New(ctx, signer.Config{Catalogue: newCatalogue(t), Replicas: []signer.Replica{{}}})
	if err != nil {
		t.Fatal(err)
	}
	u := &user{t: t, pages: &shownPages{}, asked: &requests{backchannel.View{Reference: "one", State: backchannel.Waiting}}}
	log := slog.New(slog.DiscardHandler)
	var table endpoint.Table
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { table.Handler().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	u.base, u.http = server.URL, server.Client()
	u.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if u.http.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	addresses := endpoint.Addresses{Issuer: server.URL}
	forms, err := browser.NewForms(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{
		Store: opened, Requests: u.asked, Pages: u.pages,
		Passwords: browser.Passwords{Directory: directory{}, Refused: errRefused, Throttled: errThrottled},
		Sessions:  &browser.Sessions{Store: opened, Lifetime: time.Hour, Now: time.Now},
		Forms:     forms, Proofs: &endpoint.Proofs{}, Addresses: addresses, Signer: keys,
		Evidence: &event.Recorder{Store: opened, Now: time.Now, Log: log}, Draining: func() bool { return false }, Now: time.Now, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	table = endpoint.Table{
		Addresses: addresses, Routes: h.Routes(),
		Guard: event.Guard{Now: time.Now, Log: log, Tracer: noop.NewTracerProvider().Tracer("")},
	}
	return u
}

// open gets a page, and returns its name.
func (u *user) open(path string) string {
	u.t.Helper()
	name, _ := u.answer(u.http.Get(u.base + path))
	return name
}

// send sends a form of the page that was shown last.
func (u *user) send(path string, pairs ...string) (body string, answer *http.Response) {
	u.t.Helper()
	form := url.Values{"form_token": {u.pages.page.FormToken}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return u.answer(u.http.PostForm(u.base+path, form))
}

func (u *user) answer(answer *http.Response, err error) (string, *http.Response) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
	defer answer.Body.Close()
	var body strings.Builder
	if err := answer.Write(&body); err != nil {
		u.t.Fatal(err)
	}
	_, text, _ := strings.Cut(body.String(), "\r\n\r\n")
	return text, answer
}

func (u *user) signIn(path string) {
	u.t.Helper()
	u.open(path)
	if body, answer := u.send(path, "action", "sign-in", "username", " alice ", "password", "right"); answer.StatusCode != http.StatusSeeOther ||
		answer.Header.Get("Location") != u.base+path {
		u.t.Fatalf("signing in: %d, %s", answer.StatusCode, body)
	}
	u.open(path)
}

// TestSignIn: a password that is not accepted is a problem on the page; the directory's failure is the server's own.
func TestSignIn(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	if name := u.open("/device"); name != "sign-in" {
		t.Fatalf("the page is %q", name)
	}
	for password, want := range map[string]browser.ProblemCode{
		"": browser.NoPassword, "wrong": browser.WrongPassword, "often": browser.TooManyAttempts,
	} {
		_, answer := u.send("/device", "action", "sign-in", "username", "alice", "password", password)
		if answer.StatusCode != http.StatusOK || u.pages.page.Problem.Code != want || u.pages.page.Username != "alice" {
			t.Errorf("%q: %d, %+v", password, answer.StatusCode, u.pages.page)
		}
		if wait := answer.Header.Get("Retry-After"); (wait == "60") != (password == "often") {
			t.Errorf("%q: Retry-After is %q", password, wait)
		}
	}
	if _, answer := u.send("/device", "action", "sign-in", "username", "alice", "password", "broken"); answer.StatusCode != http.StatusInternalServerError {
		t.Errorf("a failure of the directory: %d", answer.StatusCode)
	}
	if _, answer := u.send("/device", "action", "passkey"); answer.StatusCode != http.StatusOK || u.pages.page.Problem.Code != browser.PasskeyRefused {
		t.Errorf("a passkey where there are none: %d, %+v", answer.StatusCode, u.pages.page)
	}
	if _, answer := u.send("/device", "action", "subscribe"); answer.StatusCode != http.StatusForbidden {
		t.Errorf("an action without a sign-in: %d", answer.StatusCode)
	}
	u.signIn("/device/settings")
	if name := u.open("/device"); name != "home" || len(u.pages.page.Requests) != 1 || u.pages.page.SignedIn.Username != "alice" {
		t.Errorf("the page is %q: %+v", name, u.pages.page)
	}
	const endpoint = "https://push.example/1"
	u.send("/device", "action", "subscribe", "endpoint", endpoint)
	if page := u.pages.page; page.Notice != BrowserSubscribed || page.WebPushKey == "" || !slices.Equal(page.WebPushEndpoints, []string{endpoint}) {
		t.Errorf("subscribing: %+v", page)
	}
	if _, answer := u.send("/device", "action", "subscribe", "endpoint", "http://push.example"); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("an endpoint that is not https: %d", answer.StatusCode)
	}
	if _, answer := u.send("/device", "action", "sign-out"); answer.StatusCode != http.StatusSeeOther || u.open("/device") != "sign-in" {
		t.Errorf("signing out: %d", answer.StatusCode)
	}
}

// TestDecideByPassword: a user without a passkey decides with the password, and cannot try out many.
func TestDecideByPassword(t *testing.T) {
	t.Parallel()
	const path = "/device/requests/one"
	u := newUser(t)
	u.signIn(path)
	for _, action := range []string{"", "code", "sign-in"} {
		if _, answer := u.send(path, "action", action, "password", "right"); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("action %q: %d", action, answer.StatusCode)
		}
	}
	for i, password := range []string{"wrong", "", "often", "wrong", "wrong", "wrong"} {
		want := browser.NotDecidedPassword
		if password == "often" {
			want = browser.TooManyAttempts
		}
		_, answer := u.send(path, "action", approve, "password", password)
		switch {
		case i == 5 && answer.StatusCode != http.StatusTooManyRequests:
			t.Errorf("too many: %d", answer.StatusCode)
		case i < 5 && (answer.StatusCode != http.StatusOK || u.pages.page.Problem.Code != want):
			t.Errorf("%d: %d, %+v", i, answer.StatusCode, u.pages.page.Problem)
		}
	}
	if _, answer := u.send(path, "action", approve, "password", "right"); answer.StatusCode != http.StatusSeeOther || u.asked.view.State != backchannel.Approved {
		t.Errorf("approving: %d, %s", answer.StatusCode, u.asked.view.State)
	}
	if name, answer := u.send(path, "action", deny, "password", "right"); name != "request" || answer.StatusCode != http.StatusOK || u.asked.view.State != backchannel.Approved {
		t.Errorf("a second decision: %s, %d, %s", name, answer.StatusCode, u.asked.view.State)
	}
	if _, answer := u.answer(u.http.Get(u.base + "/device/requests/other")); answer.StatusCode != http.StatusNotFound {
		t.Errorf("a request that is not there: %d", answer.StatusCode)
	}
}

// TestSettings: changes need a fresh sign-in, and what can be corrected is a problem on the page.
func TestSettings(t *testing.T) {
	t.Parallel()
	const path = "/device/settings"
	u := newUser(t)
	u.signIn(path)
	u.send(path, "action", "code")
	if u.pages.page.Code == "" || u.pages.page.CodeLifetime != codeLifetime || !u.pages.page.Fresh {
		t.Errorf("a code: %+v", u.pages.page)
	}
	u.send(path, "action", "add-passkey", "name", strings.Repeat("x", 61))
	if u.pages.page.Problem.Code != browser.InvalidName {
		t.Errorf("a long name: %+v", u.pages.page.Problem)
	}
	u.send(path, "action", "add-passkey", "name", "mine")
	if u.pages.page.Problem.Code != browser.TooManyPasskeys { // this server has none
		t.Errorf("a passkey: %+v", u.pages.page.Problem)
	}
	u.send(path, "action", "remove-device", "id", "none")
	if u.pages.page.Notice != DeviceRemoved || u.pages.page.Problem.Code != "" {
		t.Errorf("removing an application: %+v", u.pages.page)
	}
	u.send(path, "action", "remove-passkey", "id", "AAAA")
	if u.pages.page.Notice != PasskeyRemoved {
		t.Errorf("removing a passkey: %+v", u.pages.page)
	}
	for range 6 {
		u.send(path, "action", "remove-passkey", "id", "AAAA")
	}
	if _, answer := u.send(path, "action", "code"); answer.StatusCode != http.StatusTooManyRequests {
		t.Errorf("many changes: %d", answer.StatusCode)
	}
}

// TestStaleForm: a form that was shown before the sign-in changed does nothing.
func TestStaleForm(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.open("/device")
	stale := u.pages.page.FormToken
	u.signIn("/device")
	u.pages.page.FormToken = stale
	if _, answer := u.send("/device", "action", "sign-out"); answer.StatusCode != http.StatusForbidden || u.open("/device") != "home" {
		t.Errorf("a stale form: %d", answer.StatusCode)
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for name, valid := range map[string]bool{
		"My phone": true, "": false, " x": false, "x ": false, "a\u202eb": false, "\xff": false,
		strings.Repeat("é", 60): true, strings.Repeat("é", 61): false,
	} {
		if err := CheckName(name); (err == nil) != valid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
