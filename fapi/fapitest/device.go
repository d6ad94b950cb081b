package fapitest

import (
	"context"
	"crypto/tls"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/internal/pages"
	"countersign/internal/passkey/passkeytest"
)

var (
	errWrongPassword = errors.New("wrong password")
	errBusy          = errors.New("busy")
)

// passwords is a directory in which everybody's password is "right", and there were too many attempts for "busy".
type passwords struct{}

func (passwords) Authenticate(_ context.Context, attempt browser.Attempt) (browser.Proven, error) {
	switch attempt.Password {
	case "right":
	case "busy":
		return browser.Proven{}, errBusy
	default:
		return browser.Proven{}, errWrongPassword
	}
	return browser.Proven{Subject: "sub-" + attempt.Username}, nil
}

// WithDevices has a server with the real device pages and passkeys: its issuer is a domain.
func WithDevices(c *Config) {
	WithBackchannelOfAllProfiles()(c)
	c.Issuer = strings.Replace(c.Issuer, "127.0.0.1", "localhost", 1)
	shown, err := pages.New(pages.Config{Issuer: c.Issuer, Now: c.Now})
	if err != nil {
		panic(err)
	}
	c.Passwords = browser.Passwords{Directory: passwords{}, Refused: errWrongPassword, Throttled: errBusy}
	if c.Interactor, err = authorize.NewForms(shown, c.Passwords, slog.New(slog.DiscardHandler)); err != nil {
		panic(err)
	}
	c.DevicePages, c.LogoutPages, c.UILocales, c.Language = shown.Device(), shown, shown.Locales(), shown.Language
	c.PasskeyName, c.ACRValues = "Test Bank", authorize.ACRValues()
	if c.Assets, err = shown.Assets(); err != nil {
		panic(err)
	}
	c.AccountPages = shown.Account()
}

// NewDeviceWorld starts a world WithDevices, with the users alice and bob and a client of the CIBA flow.
func NewDeviceWorld(t *testing.T, options ...Option) (*World, *Client) {
	t.Helper()
	w := NewWorld(t, append([]Option{WithDevices}, options...)...)
	w.AddUser("sub-bob", "bob", `{}`)
	return w, w.Register("asker", CIBAPoll)
}

// DeviceBrowser is a browser at the device pages, with an authenticator for passkeys.
type DeviceBrowser struct {
	w       *World
	t       *testing.T
	HTTP    *http.Client
	Passkey *passkeytest.Authenticator
}

// Page is a page in a browser.
type Page struct {
	Status int
	Body   string
	Path   string
}

// DeviceBrowser makes a browser without cookies.
func (w *World) DeviceBrowser(t *testing.T) *DeviceBrowser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.Roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &DeviceBrowser{w: w, t: t, HTTP: &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second}}
}

// PasskeyOwner is a browser in which a user is signed in and has made a passkey.
func (w *World) PasskeyOwner(t *testing.T, name string) *DeviceBrowser {
	t.Helper()
	p := w.DeviceBrowser(t)
	p.SignIn(name).Has(t, http.StatusOK, "Signed in as", name)
	p.AddPasskey().Has(t, http.StatusOK, "The passkey is added")
	return p
}

// Read reads the page of a response.
func (p *DeviceBrowser) Read(response *http.Response, err error) Page {
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
	return Page{response.StatusCode, text, response.Request.URL.Path}
}

// Visit opens a path of the server.
func (p *DeviceBrowser) Visit(path string) Page {
	p.t.Helper()
	return p.Read(p.HTTP.Get(p.w.Issuer + path))
}

// Send presses a button of a page; pairs are further fields of its form: name, value, name, value. The form token is the page's.
func (p *DeviceBrowser) Send(on Page, path, action string, pairs ...string) Page {
	p.t.Helper()
	form := url.Values{"form_token": {on.One(p.t, `name="form_token" value="([^"]*)"`)}, "action": {action}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return p.Read(p.HTTP.PostForm(p.w.Issuer+path, form))
}

// SignIn signs a user in with a password.
func (p *DeviceBrowser) SignIn(name string) Page {
	p.t.Helper()
	return p.Send(p.Visit("/device"), "/device", "sign-in", "username", name, "password", "right")
}

// SignInByPasskey signs the user in with the passkey that was made.
func (p *DeviceBrowser) SignInByPasskey(path string) Page {
	p.t.Helper()
	on := p.Visit(path)
	return p.Send(on, path, "passkey", "passkey", p.Passkey.Get(p.t, on.One(p.t, `data-passkey="get" data-options="([^"]*)"`)))
}

// SignInByPasskeyAgain signs out first.
func (p *DeviceBrowser) SignInByPasskeyAgain(path string) Page {
	p.t.Helper()
	p.Send(p.Visit(path), path, "sign-out")
	return p.SignInByPasskey(path)
}

// AddPasskey makes a passkey for whoever is signed in.
func (p *DeviceBrowser) AddPasskey() Page {
	p.t.Helper()
	p.Passkey = passkeytest.New(p.t, p.w.Issuer)
	on := p.Visit("/device/settings")
	answer := p.Passkey.Create(p.t, on.One(p.t, `data-passkey="create" data-options="([^"]*)"`))
	return p.Send(on, "/device/settings", "add-passkey", "name", "Phone", "passkey", answer)
}

// Decide presses approve, with the passkey, or deny on the page of a request.
func (p *DeviceBrowser) Decide(id, action string) Page {
	p.t.Helper()
	path := "/device/requests/" + id
	on := p.Visit(path)
	if action == "deny" {
		return p.Send(on, path, action)
	}
	return p.Send(on, path, action, "passkey", p.Passkey.Get(p.t, on.Options(p.t, action)))
}

// RemoveLast presses the button of the page that asks about the last passkey, with that passkey.
func (p *DeviceBrowser) RemoveLast(on Page) Page {
	p.t.Helper()
	answer := p.Passkey.Get(p.t, on.One(p.t, `data-passkey="get" data-options="([^"]*)"`))
	return p.Send(on, "/device/settings", "remove-last", "id", on.One(p.t, `name="id" value="([^"]+)"`), "passkey", answer)
}

// One returns what a pattern has in parentheses.
func (p Page) One(t *testing.T, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(p.Body)
	if found == nil {
		t.Fatalf("the page %s (%d) has no %s:\n%s", p.Path, p.Status, pattern, p.Body)
	}
	return html.UnescapeString(found[1])
}

// Options are the passkey options of a decision's button.
func (p Page) Options(t *testing.T, action string) string {
	t.Helper()
	return p.One(t, `value="`+action+`" data-options="([^"]*)"`)
}

// Has checks the status and that the page says some texts.
func (p Page) Has(t *testing.T, status int, texts ...string) {
	t.Helper()
	if p.Status != status {
		t.Errorf("%s: status %d, want %d:\n%s", p.Path, p.Status, status, p.Body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(p.Body), text) {
			t.Errorf("%s does not say %q:\n%s", p.Path, text, p.Body)
		}
	}
}
