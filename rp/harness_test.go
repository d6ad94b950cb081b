package rp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/rp"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
	"countersign/rp/session"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// site is an application that users sign in to with a world's server.
type site struct {
	t *testing.T
	// w is the world of the provider, or else provider is it.
	w        *fapitest.World
	provider *providertest.Provider
	roots    *x509.CertPool
	app      *rp.App
	client   *fapitest.Client
	config   rp.Config
	url      string
	mux      *http.ServeMux
	logs     *fapitest.LogBuffer

	// register alters what is registered of the application, before it is.
	register []fapitest.ClientOption

	mu     sync.Mutex
	errors []*rp.Error
	logins []string // the subjects of OnLogin
	outs   []rp.Logout
}

type siteOption func(*site, *rp.Config)

// atLocalhost is a site at localhost: another site than that of a world, which is at an address.
func atLocalhost(s *site) { s.url = strings.Replace(s.url, "127.0.0.1", "localhost", 1) }

// newSite starts an application. Below /open it has pages for all, below / for users who are signed in.
func newSite(t *testing.T, w *fapitest.World, options ...siteOption) *site {
	t.Helper()
	s, serve := unstarted(t)
	return s.of(w, serve, options...)
}

// of registers the application with a world, and starts it.
func (s *site) of(w *fapitest.World, serve func(...siteOption), options ...siteOption) *site {
	s.t.Helper()
	s.w = w
	t := s.t
	id := "app-" + strings.NewReplacer(":", "-", ".", "-").Replace(strings.TrimPrefix(s.url, "https://"))
	s.client = w.Register(id, fapitest.All(append(s.register, func(c *fapitest.Client, m map[string]any) {
		c.RedirectURI, c.Scope = s.url+"/auth/callback", "openid profile email accounts payments offline_access"
		m["scope"] = c.Scope
		m["redirect_uris"], m["post_logout_redirect_uris"] = []string{c.RedirectURI}, []string{s.url + "/auth/logged-out"}
		m["backchannel_logout_uri"] = s.url + "/auth/backchannel-logout"
		m["backchannel_logout_session_required"] = true
	})...))
	s.config = rp.Config{
		Issuer: w.Issuer, BaseURL: s.url, ClientID: id, Key: keyOf(t, s.client.Key), Name: "Example", AfterLogout: "/open",
		Client: client.Config{
			Scopes: []string{"openid", "accounts", "offline_access"}, Binding: client.DPoP(keyOf(t, s.client.ProofKey)),
			Roots: w.Roots, Now: w.Clock.Now, Timeout: time.Minute, // however busy the machine is
		},
	}
	serve(options...)
	return s
}

// newAttackedSite starts an application of a provider that the test controls.
func newAttackedSite(t *testing.T, p *providertest.Provider, options ...siteOption) *site {
	t.Helper()
	s, serve := unstarted(t)
	s.provider = p
	s.config = rp.Config{
		Issuer: p.Issuer, BaseURL: s.url, ClientID: providertest.ClientID, Key: generated(t), Name: "Example", AfterLogout: "/open",
		Client: client.Config{Scopes: []string{"openid", "accounts"}, Binding: client.DPoP(generated(t)), Roots: p.Roots, Now: p.Now, Timeout: time.Minute},
	}
	serve(options...)
	return s
}

func generated(t *testing.T) client.Key {
	t.Helper()
	key, err := client.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// unstarted is an application that serve configures and starts.
func unstarted(t *testing.T) (s *site, serve func(options ...siteOption)) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	certificate, roots := fapitest.ServerCertificate(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s = &site{t: t, url: "https://" + server.Listener.Addr().String(), mux: http.NewServeMux(), logs: &fapitest.LogBuffer{}, roots: roots}
	return s, func(options ...siteOption) {
		t.Helper()
		s.config.Client.Logger = slog.New(slog.NewJSONHandler(s.logs, nil))
		s.config.Hooks = rp.Hooks{
			OnError:  func(_ context.Context, e *rp.Error) { s.note(func() { s.errors = append(s.errors, e) }) },
			OnLogin:  func(_ context.Context, in *rp.Session) { s.note(func() { s.logins = append(s.logins, in.Subject()) }) },
			OnLogout: func(_ context.Context, out rp.Logout) { s.note(func() { s.outs = append(s.outs, out) }) },
		}
		for _, option := range options {
			option(s, &s.config)
		}
		s.app = s.start()
		s.mount(s.mux, s.app)
		server.Config.Handler = s.mux
		server.StartTLS()
		t.Cleanup(server.Close)
	}
}

// start makes the application again, as another process of it.
func (s *site) start() *rp.App {
	s.t.Helper()
	app, err := rp.New(s.t.Context(), s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	return app
}

// mount has the application serve.
func (s *site) mount(mux *http.ServeMux, app *rp.App) {
	mux.Handle("/auth/", app.Handler("/auth"))
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("/open", app.Session(http.HandlerFunc(s.greet)))
	mux.Handle("/", app.Require()(http.HandlerFunc(s.greet)))
}

// greet says who is signed in.
func (s *site) greet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	in, ok := rp.FromContext(r.Context())
	if !ok {
		fmt.Fprint(w, "nobody at ", r.URL.RequestURI())
		return
	}
	fmt.Fprint(w, in.Subject(), " at ", r.URL.RequestURI())
}

func (s *site) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// lastError is the last request that was refused.
func (s *site) lastError() *rp.Error {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.errors) == 0 {
		s.t.Fatal("nothing was refused")
	}
	return s.errors[len(s.errors)-1]
}

// wantError compares the last request that was refused.
func (s *site) wantError(want error) {
	s.t.Helper()
	if last := s.lastError(); !errors.Is(last, want) || last.CorrelationID == "" {
		s.t.Errorf("refused with %v, want %v", last, want)
	}
}

func keyOf(t *testing.T, key jose.PrivateKey) client.Key {
	t.Helper()
	made, err := client.NewKey(key.Signer(), key.ID(), key.Algorithm())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// user is a browser with a user in front of it.
type user struct {
	t    *testing.T
	http *http.Client
	site *site
	jar  *jar
}

// jar is a cookie jar that may block what sites set.
type jar struct {
	*cookiejar.Jar
	mu     sync.Mutex
	blocks func(*http.Cookie) bool
	// withholds says which cookies are not sent to the callback, as a browser does with those of SameSite=Lax in a post from another site.
	withholds func(*http.Cookie) bool
}

// Cookies implements [http.CookieJar].
func (j *jar) Cookies(u *url.URL) []*http.Cookie {
	cookies := j.Jar.Cookies(u)
	if j.withholds == nil || u.Path != "/auth/callback" {
		return cookies
	}
	return slices.DeleteFunc(cookies, j.withholds)
}

// SetCookies implements [http.CookieJar].
func (j *jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var kept []*http.Cookie
	for _, cookie := range cookies {
		if j.blocks == nil || !j.blocks(cookie) {
			kept = append(kept, cookie)
		}
	}
	j.Jar.SetCookies(u, kept)
}

func (s *site) user() *user {
	s.t.Helper()
	cookies, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}}
	s.t.Cleanup(transport.CloseIdleConnections)
	j := &jar{Jar: cookies}
	return &user{s.t, &http.Client{Jar: j, Transport: transport}, s, j}
}

// reply is what a browser ended at.
type reply struct {
	status  int
	body    string
	address string
	header  http.Header
}

// where is the path at which a browser ended.
func (r reply) where() string {
	parsed, err := url.Parse(r.address)
	if err != nil {
		return r.address
	}
	return parsed.RequestURI()
}

func (u *user) send(request *http.Request) reply {
	u.t.Helper()
	if request.Header.Get("Accept") == "" {
		request.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	}
	response, err := u.http.Do(request)
	if err != nil {
		u.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	return reply{response.StatusCode, string(body), response.Request.URL.String(), response.Header}
}

func (u *user) request(method, address string, body io.Reader) *http.Request {
	u.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = u.site.url + address
	}
	request, err := http.NewRequestWithContext(u.t.Context(), method, address, body)
	if err != nil {
		u.t.Fatal(err)
	}
	return request
}

// get opens an address and follows redirects, at the provider too.
func (u *user) get(address string) reply {
	u.t.Helper()
	return u.send(u.request(http.MethodGet, address, nil))
}

// step opens an address and does not follow the redirect, whose address it returns.
func (u *user) step(address string) string {
	u.t.Helper()
	once := *u.http
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	same := *u
	same.http = &once
	got := same.get(address)
	if got.status != http.StatusSeeOther && got.status != http.StatusFound {
		u.t.Fatalf("%s answered %d, no redirect: %s", address, got.status, got.body)
	}
	return got.header.Get("Location")
}

// toCallback goes from an address of the application to the provider, and returns where the provider sends the browser back to.
func (u *user) toCallback(address string) string {
	u.t.Helper()
	for range 10 {
		if address = u.step(address); strings.HasPrefix(address, "/") {
			address = u.site.w.Issuer + address
		}
		if strings.HasPrefix(address, u.site.url+"/auth/callback") {
			return address
		}
	}
	u.t.Fatal("the browser does not come back")
	return ""
}

// login goes from an address of the application through the provider that the test controls, and returns the callback.
func (u *user) login(address string) string {
	u.t.Helper()
	return "/auth/callback?" + u.site.provider.Login(u.step(address)).Encode()
}

// post sends a form as a page of the site does.
func (u *user) post(path string, form url.Values, change ...func(*http.Request)) reply {
	u.t.Helper()
	request := u.request(http.MethodPost, path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", u.site.url)
	for _, each := range change {
		each(request)
	}
	return u.send(request)
}

// wants compares where the browser ended, and what it shows.
func (u *user) wants(got reply, status int, part string) {
	u.t.Helper()
	if got.status != status || !strings.Contains(got.body, part) {
		u.t.Fatalf("at %s: %d %s\nwant %d with %q", got.address, got.status, got.body, status, part)
	}
}

// signedIn is a user who has signed in.
func (s *site) signedIn() *user {
	s.t.Helper()
	u := s.user()
	if s.provider != nil {
		u.wants(u.get(u.login("/")), http.StatusOK, "sub-alice at /")
		return u
	}
	u.wants(u.get("/"), http.StatusOK, "sub-alice at /")
	return u
}

// cookies are those that a browser keeps for the site.
func (u *user) cookies() map[string]string {
	u.t.Helper()
	base, err := url.Parse(u.site.url)
	if err != nil {
		u.t.Fatal(err)
	}
	all := map[string]string{}
	for _, cookie := range u.jar.Cookies(base) {
		if strings.HasPrefix(cookie.Name, "__Host-session") {
			all[cookie.Name] = cookie.Value
		}
	}
	return all
}

func (u *user) setCookie(name, value string) {
	u.t.Helper()
	base, err := url.Parse(u.site.url)
	if err != nil {
		u.t.Fatal(err)
	}
	u.jar.Jar.SetCookies(base, []*http.Cookie{session.NewCookie(name, value, 0)})
}

// problemOf reads a problem document.
func problemOf(t *testing.T, got reply) map[string]any {
	t.Helper()
	if kind := got.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Fatalf("%s: %s", kind, got.body)
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(got.body), &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// sealedSessions keeps sessions in cookies.
func sealedSessions(_ *site, c *rp.Config) { c.Sessions.Sealed = true }

func world(t *testing.T, options ...fapitest.Option) *fapitest.World {
	t.Helper()
	w, _ := fapitest.NewFullWorld(t, options...)
	return w
}

// asScript asks as a script of a page does.
func asScript(r *http.Request) {
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Sec-Fetch-Mode", "cors")
}
