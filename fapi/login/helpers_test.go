package login_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/fapitest"
	"countersign/fapi/login"
	"countersign/mtls"
)

// The bank's login, and the classes that it may claim.
const (
	address     = "https://login.bank.example/sign-in?brand=main"
	acrSCA      = "urn:bank:sca"
	acrPassword = "urn:bank:password"
)

// handOff are the settings of a login that authenticates by the certificate of CN=the-login.
func handOff(signIn, consent bool) *login.Settings {
	settings := &login.Settings{
		HandOff: authorize.HandOff{Address: address, Login: signIn, Consent: consent, Lifetime: 5 * time.Minute},
		Subject: mtls.Subject{DN: "CN=the-login"},
	}
	if signIn {
		settings.HandOff.ACRValues = []string{acrSCA, acrPassword}
	}
	return settings
}

// bank is the backend of a bank's login, and the bank's users.
type bank struct {
	w *fapitest.World
	// caller calls the API, with the login's certificate.
	caller *fapitest.Client
}

// newBank starts a world that hands off to a bank's login.
func newBank(t *testing.T, signIn, consent bool, more ...fapitest.Option) (*fapitest.World, *bank) {
	t.Helper()
	w, _ := fapitest.NewFullWorld(t, append([]fapitest.Option{fapitest.WithAuditChain, func(c *fapitest.Config) {
		c.Login = handOff(signIn, consent)
	}}, more...)...)
	return w, &bank{w, withCertificate(t, w, "the-login")}
}

// withCertificate is somebody with a certificate of the authority that the server trusts.
func withCertificate(t *testing.T, w *fapitest.World, name string) *fapitest.Client {
	t.Helper()
	certificate := w.ClientCA.Issue(t, name, w.Clock.Now())
	c := &fapitest.Client{World: w, Certificate: &certificate}
	c.HTTP = w.Transport(c)
	return c
}

// everybody registers a client that may ask for everything.
func everybody(w *fapitest.World, id string) *fapitest.Client {
	return w.Register(id, fapitest.AllScopes)
}

func path(handle string) string { return "/login/v1/interactions/" + url.PathEscape(handle) }

func (b *bank) read(handle string) fapitest.Reply {
	b.w.T.Helper()
	return b.caller.SendJSON(http.MethodGet, b.w.MTLSIssuer+path(handle), "", nil, nil)
}

func (b *bank) answer(handle string, message any) fapitest.Reply {
	b.w.T.Helper()
	return b.caller.SendJSON(http.MethodPost, b.w.MTLSIssuer+path(handle), "", message, nil)
}

// message is an answer that says of an interaction that alice signed in and allows all of it, as far as that is asked.
func (b *bank) message(t *testing.T, handle string) fapitest.Claims {
	t.Helper()
	asked := b.asked(t, handle)
	m := fapitest.Claims{"request_digest": asked["request_digest"], "subject": "sub-alice"}
	for _, ask := range asked["ask"].([]any) {
		if ask == "login" {
			maps.Copy(m, fapitest.Claims{"acr": acrSCA, "amr": []string{"pwd", "hwk"}, "auth_time": b.w.Clock.Now().Unix()})
			continue
		}
		m["allowed"] = allOf(asked)
	}
	return m
}

// allOf is everything that is asked for.
func allOf(asked map[string]any) map[string]any {
	var scopes, details []any
	for _, scope := range asked["scopes"].([]any) {
		scopes = append(scopes, scope.(map[string]any)["scope"])
	}
	for _, detail := range asked["authorization_details"].([]any) {
		details = append(details, detail.(map[string]any)["value"])
	}
	return map[string]any{"scopes": scopes, "claims": asked["claims"], "authorization_details": details}
}

// asked is what the login reads, which it must be able to.
func (b *bank) asked(t *testing.T, handle string) map[string]any {
	t.Helper()
	r := b.read(handle)
	if r.Status != http.StatusOK || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("read %d %s", r.Status, r.Raw)
	}
	return r.Body
}

// done answers, which must count, and returns where the browser is to go.
func (b *bank) done(t *testing.T, handle string, message any) string {
	t.Helper()
	r := b.answer(handle, message)
	if r.Status != http.StatusOK || !strings.HasPrefix(r.Text("return_to"), b.w.Issuer+"/interaction/") || r.Body["expires_in"] != 60.0 {
		t.Fatalf("answered %d %s", r.Status, r.Raw)
	}
	return r.Text("return_to")
}

// arrive pushes a request and opens it in a browser, which is sent to the login with the handle that is returned.
func arrive(t *testing.T, c *fapitest.Client, in *fapitest.Browser, change fapitest.Change) string {
	t.Helper()
	pushed := c.Push(change)
	if pushed.Status != http.StatusCreated {
		t.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	return handleOf(t, in, c.World.AuthorizeURL(c.ID, pushed.Text("request_uri")))
}

// handleOf opens an address of the server in a browser, and returns the handle with which it is sent to the login.
func handleOf(t *testing.T, in *fapitest.Browser, at string) string {
	t.Helper()
	status, body, sentTo := in.Visit(at)
	if sentTo == nil || status != http.StatusSeeOther || !strings.HasPrefix(sentTo.String(), address+"&handle=") {
		t.Fatalf("not sent to the login: %d %s %v", status, body, sentTo)
	}
	return sentTo.Query().Get("handle")
}

// interactionOf is the address of the interaction of a handle.
func interactionOf(w *fapitest.World, handle string) string {
	of, _, _ := strings.Cut(handle, ".")
	return w.Issuer + "/interaction/" + of
}

// wantCode opens an address, by which the client gets a code, and returns it.
func wantCode(t *testing.T, in *fapitest.Browser, at string) string {
	t.Helper()
	code := in.Sent(t, at).Get("code")
	if code == "" {
		t.Fatal("no code")
	}
	return code
}

// wantError opens an address, by which the client gets an error.
func wantError(t *testing.T, in *fapitest.Browser, at, want string) url.Values {
	t.Helper()
	sent := in.Sent(t, at)
	if sent.Get("error") != want || sent.Has("code") || sent.Get("state") != "state-1" {
		t.Fatalf("sent %v, want %s", sent, want)
	}
	return sent
}

// wantPage opens an address, at which there is an error for the user, and nothing else.
func wantPage(t *testing.T, in *fapitest.Browser, at string, status int, says string) {
	t.Helper()
	got, body, sentTo := in.Visit(at)
	if got != status || sentTo != nil || !strings.Contains(body, says) {
		t.Fatalf("answered %d %s %v, want %d %s", got, body, sentTo, status, says)
	}
}

// refused demands an error of the API that has its text.
func refused(t *testing.T, r fapitest.Reply, status int, says string) {
	t.Helper()
	if r.Status != status || r.Text("error") == "" || !strings.Contains(r.Text("error_description"), says) || r.Body["return_to"] != nil {
		t.Fatalf("answered %d %s, want %d with %q", r.Status, r.Raw, status, says)
	}
}

// with is a message with other members; nil leaves one out.
func with(m fapitest.Claims, changes fapitest.Claims) fapitest.Claims {
	m = maps.Clone(m)
	for name, value := range changes {
		if value == nil {
			delete(m, name)
			continue
		}
		m[name] = value
	}
	return m
}

// nothingGranted demands that no grant was made.
func nothingGranted(t *testing.T, w *fapitest.World, do func()) {
	t.Helper()
	for _, e := range w.NewEvents(t, do) {
		if e.Detail["event"] == "grant_made" {
			t.Fatalf("granted: %v", e)
		}
	}
}
