package fapitest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/internal/jose"
	"countersign/internal/pages"
	"countersign/internal/passkey/passkeytest"
	"countersign/mtls"
	"countersign/store"
)

// requests reads the list of an application.
func (r Reply) Requests(t *testing.T) []map[string]any {
	t.Helper()
	if r.Status != http.StatusOK {
		t.Fatalf("the list: %d %s", r.Status, r.Raw)
	}
	var list []map[string]any
	for _, each := range r.Body["requests"].([]any) {
		list = append(list, each.(map[string]any))
	}
	return list
}

func (r Reply) Refused(t *testing.T, status int, code string) {
	t.Helper()
	if r.Status != status || r.Text("error") != code || r.Text("error_description") == "" || r.Text("correlation_id") == "" {
		t.Errorf("got %d %s, want %d %s", r.Status, r.Raw, status, code)
	}
}

// pushService is where browsers take messages.
type pushService struct {
	*httptest.Server
	Mu     sync.Mutex
	Status int
	Came   chan *http.Request
	Bodies []string
}

func (w *World) PushService() *pushService {
	w.T.Helper()
	p := &pushService{Came: make(chan *http.Request, 100), Status: http.StatusCreated}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte(err.Error())
		}
		p.Mu.Lock()
		p.Bodies = append(p.Bodies, string(body))
		status := p.Status
		p.Mu.Unlock()
		rw.WriteHeader(status)
		p.Came <- r
	}))
	certificate, _ := ServerCertificate(w.T)
	p.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.StartTLS()
	w.T.Cleanup(p.Close)
	return p
}

// wait gives the next message.
func (p *pushService) Wait(t *testing.T) *http.Request {
	t.Helper()
	select {
	case r := <-p.Came:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("no message came")
		return nil
	}
}

func (w *World) Eventually(holds func() bool) {
	w.T.Helper()
	for range 200 {
		if holds() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.T.Fatal("it did not come to be")
}

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
func WithDevices(c *FapiConfig, a *AutoInteractor) {
	OffersBackchannel()(c, a)
	c.Issuer = strings.Replace(c.Issuer, "127.0.0.1", "localhost", 1)
	shown, err := pages.New(pages.Config{Issuer: c.Issuer, Now: c.Now})
	if err != nil {
		panic(err)
	}
	c.Passwords = browser.Passwords{Directory: passwords{}, Refused: errWrongPassword, Throttled: errBusy}
	if c.Interactor, err = authorize.NewForms(shown, c.Passwords, slog.New(slog.DiscardHandler)); err != nil {
		panic(err)
	}
	c.DevicePages, c.PasskeyName, c.ACRValues = shown.Device(), "Test Bank", authorize.ACRValues()
	if c.Assets, err = shown.Assets(); err != nil {
		panic(err)
	}
}

// newDeviceWorld is a server with alice, bob, a client that asks, and a key that push services are shown.
func NewDeviceWorld(t *testing.T, options ...Option) (*World, *Client) {
	t.Helper()
	w := NewWorld(t, append([]Option{WithDevices}, options...)...)
	w.PutUser("bob", false)
	return w, w.Register("asker", Asks)
}

func (w *World) PutUser(name string, disabled bool) {
	w.T.Helper()
	user := store.User{Subject: "sub-" + name, Username: name, Disabled: disabled, Claims: json.RawMessage(`{}`), CreatedAt: w.Clock.Now(), UpdatedAt: w.Clock.Now()}
	if err := w.Store.PutUser(w.T.Context(), user); err != nil {
		w.T.Fatal(err)
	}
}

// holder is a browser with somebody in front of it.
type holder struct {
	w       *World
	t       *testing.T
	HTTP    *http.Client
	Passkey *passkeytest.Authenticator
}

// page is what a browser was answered with.
type page struct {
	status int
	Body   string
	Where  string
}

func (w *World) Holder(t *testing.T) *holder {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.Roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &holder{w: w, t: t, HTTP: &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second}}
}

func (p *holder) Read(response *http.Response, err error) page {
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

func (p *holder) Visit(path string) page {
	p.t.Helper()
	return p.Read(p.HTTP.Get(p.w.Issuer + path))
}

// send presses a button of a page: key, value, key, value. The form token is the page's own.
func (p *holder) Send(on page, path, action string, pairs ...string) page {
	p.t.Helper()
	form := url.Values{"form_token": {on.One(p.t, `name="form_token" value="([^"]*)"`)}, "action": {action}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return p.Read(p.HTTP.PostForm(p.w.Issuer+path, form))
}

// one finds what a pattern has in parentheses.
func (p page) One(t *testing.T, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(p.Body)
	if found == nil {
		t.Fatalf("the page %s (%d) has no %s:\n%s", p.Where, p.status, pattern, p.Body)
	}
	return html.UnescapeString(found[1])
}

func (p page) Has(t *testing.T, status int, texts ...string) {
	t.Helper()
	if p.status != status {
		t.Errorf("%s: status %d, want %d:\n%s", p.Where, p.status, status, p.Body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(p.Body), text) {
			t.Errorf("%s does not say %q:\n%s", p.Where, text, p.Body)
		}
	}
}

// signIn signs a person in with a password.
func (p *holder) SignIn(name string) page {
	p.t.Helper()
	return p.Send(p.Visit("/device"), "/device", "sign-in", "username", name, "password", "right")
}

// signInByPasskey signs a person in with the passkey that was made.
func (p *holder) SignInByPasskey(path string) page {
	p.t.Helper()
	on := p.Visit(path)
	return p.Send(on, path, "passkey", "passkey", p.Passkey.Get(p.t, on.One(p.t, `data-passkey="get" data-options="([^"]*)"`)))
}

// addPasskey makes a passkey for whoever is signed in.
func (p *holder) AddPasskey() page {
	p.t.Helper()
	p.Passkey = passkeytest.New(p.t, p.w.Issuer)
	on := p.Visit("/device/settings")
	answer := p.Passkey.Create(p.t, on.One(p.t, `data-passkey="create" data-options="([^"]*)"`))
	return p.Send(on, "/device/settings", "add-passkey", "name", "Phone", "passkey", answer)
}

// owner is somebody who is signed in and has a passkey.
func (w *World) Owner(t *testing.T, name string) *holder {
	t.Helper()
	p := w.Holder(t)
	p.SignIn(name).Has(t, http.StatusOK, "You are signed in as", name)
	p.AddPasskey().Has(t, http.StatusOK, "The passkey is added")
	return p
}

// decide presses approve or deny on the page of a request, with the passkey.
func (p *holder) Decide(id, action string) page {
	p.t.Helper()
	path := "/device/requests/" + id
	on := p.Visit(path)
	return p.Send(on, path, action, "passkey", p.Passkey.Get(p.t, on.Options(p.t, action)))
}

// options are those of a decision's button.
func (p page) Options(t *testing.T, action string) string {
	t.Helper()
	return p.One(t, `value="`+action+`" data-options="([^"]*)"`)
}

// app is an application that confirms for a person.
type App struct {
	w    *World
	t    *testing.T
	http *http.Client
	Key  jose.PrivateKey
}

func (w *World) App(t *testing.T) *App {
	t.Helper()
	return &App{w: w, t: t, http: w.Holder(t).HTTP, Key: NewKey(t, jose.ES256)}
}

// proof makes a DPoP proof; change alters its claims.
func (a *App) Proof(method, address string, change func(Claims)) string {
	a.t.Helper()
	address, _, _ = strings.Cut(address, "?")
	body := Claims{"jti": Random(), "htm": method, "htu": address, "iat": a.w.Clock.Now().Unix()}
	if change != nil {
		change(body)
	}
	proof, err := a.Key.SignEmbedded(a.t.Context(), "dpop+jwt", body)
	if err != nil {
		a.t.Fatal(err)
	}
	return proof
}

// call sends a request with a proof, or without one when it is empty. A nil form is a GET.
func (a *App) Call(address, proof string, form url.Values) Reply {
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
	r := Reply{Status: response.StatusCode, Header: response.Header, Raw: string(raw)}
	if err := json.Unmarshal(raw, &r.Body); err != nil {
		a.t.Fatalf("%s %s: %d %q", method, address, response.StatusCode, raw)
	}
	return r
}

// get and post send a request with a good proof. path is below the API.
func (a *App) Get(path string) Reply {
	a.t.Helper()
	address := a.w.Issuer + "/device/api" + path
	return a.Call(address, a.Proof(http.MethodGet, address, nil), nil)
}

func (a *App) Post(address string, form url.Values) Reply {
	a.t.Helper()
	return a.Call(address, a.Proof(http.MethodPost, address, nil), form)
}

// enrolledApp is an application of a person.
func (w *World) EnrolledApp(t *testing.T, name string) *App {
	t.Helper()
	a := w.App(t)
	device := store.Device{ID: "device of " + name + Random(), Subject: "sub-" + name, Name: "Bank app", JKT: a.Key.ID(), CreatedAt: w.Clock.Now()}
	if err := w.Store.AddDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	return a
}

// signInByPasskeyAgain signs out first.
func (p *holder) SignInByPasskeyAgain(path string) page {
	p.t.Helper()
	p.Send(p.Visit(path), path, "sign-out")
	return p.SignInByPasskey(path)
}
