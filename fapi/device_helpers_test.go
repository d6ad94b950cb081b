package fapi_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/internal/jose"
	"countersign/internal/pages"
	"countersign/internal/passkey/passkeytest"
	"countersign/store"
)

var (
	errWrongPassword = errors.New("wrong password")
	errBusy          = errors.New("busy")
)

// passwords is a directory in which everybody's password is "right".
type passwords struct{}

func (passwords) Authenticate(_ context.Context, username, password string) (string, error) {
	if password != "right" {
		return "", errWrongPassword
	}
	return "sub-" + username, nil
}

// withDevices has a server with the real device pages, and passkeys: its issuer is a domain.
func withDevices(c *fapiConfig, a *autoInteractor) {
	offersBackchannel()(c, a)
	c.Issuer = strings.Replace(c.Issuer, "127.0.0.1", "localhost", 1)
	shown, err := pages.New(pages.Config{Directory: passwords{}, Refused: errWrongPassword, Throttled: errBusy, Issuer: c.Issuer, Now: c.Now})
	if err != nil {
		panic(err)
	}
	c.Interactor, c.DevicePages, c.PasskeyName = shown, shown, "Test Bank"
	c.ACRValues = pages.ACRValues()
	if c.Assets, err = shown.Assets(); err != nil {
		panic(err)
	}
}

// newDeviceWorld is a server with alice, bob, a client that asks, and a key that push services are shown.
func newDeviceWorld(t *testing.T, options ...option) (*world, *client) {
	t.Helper()
	w := newWorld(t, append([]option{withDevices}, options...)...)
	w.putUser("bob", false)
	return w, w.register("asker", asks)
}

func (w *world) putUser(name string, disabled bool) {
	w.t.Helper()
	user := store.User{Subject: "sub-" + name, Username: name, Disabled: disabled, Claims: json.RawMessage(`{}`), CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now()}
	if err := w.store.PutUser(w.t.Context(), user); err != nil {
		w.t.Fatal(err)
	}
}

// holder is a browser with somebody in front of it.
type holder struct {
	w       *world
	t       *testing.T
	http    *http.Client
	passkey *passkeytest.Authenticator
}

// page is what a browser was answered with.
type page struct {
	status int
	body   string
	where  string
}

func (w *world) holder(t *testing.T) *holder {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &holder{w: w, t: t, http: &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second}}
}

func (p *holder) read(response *http.Response, err error) page {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	text := string(body)
	if _, after, found := strings.Cut(text, "</style>"); found {
		text = after
	}
	return page{response.StatusCode, text, response.Request.URL.Path}
}

func (p *holder) visit(path string) page {
	p.t.Helper()
	return p.read(p.http.Get(p.w.issuer + path))
}

// send presses a button of a page: key, value, key, value. The form token is the page's own.
func (p *holder) send(on page, path, action string, pairs ...string) page {
	p.t.Helper()
	form := url.Values{"form_token": {on.one(p.t, `name="form_token" value="([^"]*)"`)}, "action": {action}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return p.read(p.http.PostForm(p.w.issuer+path, form))
}

// one finds what a pattern has in parentheses.
func (p page) one(t *testing.T, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(p.body)
	if found == nil {
		t.Fatalf("the page %s (%d) has no %s:\n%s", p.where, p.status, pattern, p.body)
	}
	return html.UnescapeString(found[1])
}

func (p page) has(t *testing.T, status int, texts ...string) {
	t.Helper()
	if p.status != status {
		t.Errorf("%s: status %d, want %d:\n%s", p.where, p.status, status, p.body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(p.body), text) {
			t.Errorf("%s does not say %q:\n%s", p.where, text, p.body)
		}
	}
}

// signIn signs a person in with a password.
func (p *holder) signIn(name string) page {
	p.t.Helper()
	return p.send(p.visit("/device"), "/device", "sign-in", "username", name, "password", "right")
}

// signInByPasskey signs a person in with the passkey that was made.
func (p *holder) signInByPasskey(path string) page {
	p.t.Helper()
	on := p.visit(path)
	return p.send(on, path, "passkey", "passkey", p.passkey.Get(p.t, on.one(p.t, `data-passkey="get" data-options="([^"]*)"`)))
}

// addPasskey makes a passkey for whoever is signed in.
func (p *holder) addPasskey() page {
	p.t.Helper()
	p.passkey = passkeytest.New(p.t, p.w.issuer)
	on := p.visit("/device/settings")
	answer := p.passkey.Create(p.t, on.one(p.t, `data-passkey="create" data-options="([^"]*)"`))
	return p.send(on, "/device/settings", "add-passkey", "name", "Phone", "passkey", answer)
}

// owner is somebody who is signed in and has a passkey.
func (w *world) owner(t *testing.T, name string) *holder {
	t.Helper()
	p := w.holder(t)
	p.signIn(name).has(t, http.StatusOK, "You are signed in as", name)
	p.addPasskey().has(t, http.StatusOK, "The passkey is added")
	return p
}

// decide presses approve or deny on the page of a request, with the passkey.
func (p *holder) decide(id, action string) page {
	p.t.Helper()
	path := "/device/requests/" + id
	on := p.visit(path)
	return p.send(on, path, action, "passkey", p.passkey.Get(p.t, on.options(p.t, action)))
}

// options are those of a decision's button.
func (p page) options(t *testing.T, action string) string {
	t.Helper()
	return p.one(t, `value="`+action+`" data-options="([^"]*)"`)
}

// app is an application that confirms for a person.
type app struct {
	w    *world
	t    *testing.T
	http *http.Client
	key  jose.PrivateKey
}

func (w *world) app(t *testing.T) *app {
	t.Helper()
	return &app{w: w, t: t, http: w.holder(t).http, key: newKey(t, jose.ES256)}
}

// proof makes a DPoP proof; change alters its claims.
func (a *app) proof(method, address string, change func(claims)) string {
	a.t.Helper()
	address, _, _ = strings.Cut(address, "?")
	body := claims{"jti": random(), "htm": method, "htu": address, "iat": a.w.clock.Now().Unix()}
	if change != nil {
		change(body)
	}
	proof, err := a.key.SignEmbedded(a.t.Context(), "dpop+jwt", body)
	if err != nil {
		a.t.Fatal(err)
	}
	return proof
}

// call sends a request with a proof, or without one when it is empty. A nil form is a GET.
func (a *app) call(address, proof string, form url.Values) reply {
	a.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(a.t.Context(), method, address, body)
	if err != nil {
		a.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if proof != "" {
		request.Header.Set("DPoP", proof)
	}
	response, err := a.http.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	r := reply{status: response.StatusCode, header: response.Header, raw: string(raw)}
	if err := json.Unmarshal(raw, &r.body); err != nil {
		a.t.Fatalf("%s %s: %d %q", method, address, response.StatusCode, raw)
	}
	return r
}

// get and post send a request with a good proof. path is below the API.
func (a *app) get(path string) reply {
	a.t.Helper()
	address := a.w.issuer + "/device/api" + path
	return a.call(address, a.proof(http.MethodGet, address, nil), nil)
}

func (a *app) post(address string, form url.Values) reply {
	a.t.Helper()
	return a.call(address, a.proof(http.MethodPost, address, nil), form)
}

// enrolledApp is an application of a person.
func (w *world) enrolledApp(t *testing.T, name string) *app {
	t.Helper()
	a := w.app(t)
	device := store.Device{ID: "device of " + name + random(), Subject: "sub-" + name, Name: "Bank app", JKT: a.key.ID(), CreatedAt: w.clock.Now()}
	if err := w.store.AddDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	return a
}

var _ fapi.DevicePages = (*pages.Pages)(nil)
