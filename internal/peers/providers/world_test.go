package providers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/bench/servers"
	"countersign/internal/flowclient"
	"countersign/rp"
	"countersign/rp/client"
	"countersign/rs"
)

const (
	// appURL is where the application is for everybody; there is nobody but the browser of the test, which connects to it where it
	// listens.
	appURL = "https://example.com"
	// audience is the API of the application's server.
	audience = appURL + "/api"
)

// site is a web server with the application on package rp and an API on package rs.
type site struct {
	t      *testing.T
	peer   *servers.Server
	server *httptest.Server
	mux    *http.ServeMux
	roots  *x509.CertPool

	app   *rp.App
	guard *rs.Guard

	mu     sync.Mutex
	logout []rp.Logout
}

// newSite listens, so that the provider can be told where: the address of the back-channel logout.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, mux: http.NewServeMux(), roots: x509.NewCertPool()}
	s.server = httptest.NewTLSServer(s.mux)
	t.Cleanup(s.server.Close)
	s.roots.AddCert(s.server.Certificate())
	return s
}

// backchannel is where the provider tells of sessions that have ended.
func (s *site) backchannel() string { return s.server.URL + "/auth/backchannel-logout" }

// certificate writes the site's certificate to a file, for providers to trust.
func (s *site) certificate() string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "site.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// transport reaches the provider and the site.
func (s *site) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "example.com:443" {
				address = s.server.Listener.Addr().String()
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
}

// open starts the application and the API, which trust the certificate in a file to be the provider's.
func (s *site) open(peer *servers.Server, authorityFile string, settings client.Config, weak rs.Weak) {
	t := s.t
	t.Helper()
	s.peer = peer
	authority, err := os.ReadFile(authorityFile)
	if err != nil {
		t.Fatal(err)
	}
	s.roots.AppendCertsFromPEM(authority)
	key, err := client.ParseKey(peer.Key.PrivateJWK())
	if err != nil {
		t.Fatal(err)
	}
	settings.Roots, settings.Transport = s.roots, s.transport()
	settings.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	s.app, err = rp.New(t.Context(), rp.Config{
		Issuer: peer.Issuer, BaseURL: appURL, ClientID: "rp", Key: key, Client: settings,
		Login: []rp.LoginOption{rp.WithResource(audience), rp.WithScopes("openid", "accounts")},
		Hooks: rp.Hooks{OnLogout: func(_ context.Context, ended rp.Logout) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.logout = append(s.logout, ended)
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.guard = s.newGuard(audience, weak)
	s.routes()
}

// newGuard makes a guard for an audience.
func (s *site) newGuard(audience string, weak rs.Weak) *rs.Guard {
	s.t.Helper()
	guard, err := rs.New(s.t.Context(), rs.Config{
		Issuer: s.peer.Issuer, Audience: audience, BaseURL: appURL, Weak: weak,
		HTTP: &http.Client{Timeout: 10 * time.Second, Transport: s.transport()},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return guard
}

func (s *site) routes() {
	s.mux.Handle("/auth/", s.app.Handler("/auth"))
	s.mux.Handle("/api/accounts", s.guard.Require(rs.Scope("accounts"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := rs.FromContext(r.Context())
		_ = json.NewEncoder(w).Encode(map[string]any{"sub": token.Subject, "client_id": token.ClientID, "jkt": token.JKT})
	})))
	s.mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "start") })
	answer := func(work func(r *http.Request, session *rp.Session) (any, error)) http.Handler {
		return s.app.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session, _ := rp.FromContext(r.Context())
			value, err := work(r, session)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			_ = json.NewEncoder(w).Encode(value)
		}))
	}
	s.mux.Handle("/me", answer(func(_ *http.Request, session *rp.Session) (any, error) {
		return map[string]string{"sub": session.Subject(), "logout": session.LogoutPath()}, nil
	}))
	s.mux.Handle("/accounts", answer(func(r *http.Request, session *rp.Session) (any, error) {
		response, err := session.HTTPClient(r.Context()).Get(audience + "/accounts")
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			return nil, errors.Join(err, fmt.Errorf("the API answers %s %s %v", response.Status, body, response.Header["Www-Authenticate"]))
		}
		return json.RawMessage(body), nil
	}))
	s.mux.Handle("/tokens", answer(func(r *http.Request, session *rp.Session) (any, error) { return session.Token(r.Context()) }))
}

// logouts are the sessions that have ended, as the application was told.
func (s *site) logouts() []rp.Logout {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.logout)
}

// signedOut reports whether the session of the site is over.
func (s *site) signedOut(b *browser) bool {
	b.t.Helper()
	_, err := b.once(appURL + "/me")
	return err != nil
}

// browser is a user with one: cookies, redirects, and what a page asks for.
type browser struct {
	t    *testing.T
	http *http.Client
	// fill fills in the form of a page of the provider.
	fill func(flowclient.Page) (flowclient.Form, error)
	// pages counts the forms that were filled in.
	pages int
	// callback is the last address of the redirect URI.
	callback string
}

func (s *site) browser() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	b := &browser{t: s.t, fill: s.peer.Fill}
	b.http = &http.Client{Jar: jar, Transport: s.transport(), Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), appURL+"/auth/callback?") {
			b.callback = r.URL.String()
		}
		if len(via) > 15 {
			return errors.New("sent around without an end")
		}
		return nil
	}}
	return b
}

// open opens an address, as a navigation, and goes on until the application shows something.
func (b *browser) open(address string) (string, error) {
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	for range 6 {
		page, err := b.send(r)
		if err != nil {
			return "", err
		}
		if page.Address.Host == "example.com" {
			if page.Status != http.StatusOK {
				return "", fmt.Errorf("%d: %s", page.Status, page.Text("main"))
			}
			return string(page.Body), nil
		}
		form, err := b.formOf(page)
		if err != nil {
			return "", err
		}
		b.pages++
		target, err := page.Address.Parse(form.Action)
		if err != nil {
			return "", err
		}
		if r, err = http.NewRequestWithContext(b.t.Context(), http.MethodPost, target.String(), strings.NewReader(form.Values.Encode())); err != nil {
			return "", err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", target.Scheme+"://"+target.Host)
	}
	return "", errors.New("the provider asks again and again")
}

// once opens an address of the application without following a redirect; one that leads away is an error.
func (b *browser) once(address string) (string, error) {
	alone := *b.http
	alone.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := alone.Get(address)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return "", errors.Join(err, fmt.Errorf("%s %s", response.Status, response.Header.Get("Location")))
	}
	return string(body), nil
}

func (b *browser) send(r *http.Request) (flowclient.Page, error) {
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	response, err := b.http.Do(r)
	if err != nil {
		return flowclient.Page{}, err
	}
	defer response.Body.Close()
	page := flowclient.Page{Address: response.Request.URL}
	page.Status, page.Header = response.StatusCode, response.Header
	page.Body, err = io.ReadAll(response.Body)
	return page, err
}

// formOf is the form that a user would send: to sign out where the page asks that, and else what the provider's pages want.
func (b *browser) formOf(page flowclient.Page) (flowclient.Form, error) {
	forms, err := page.Forms()
	if err != nil {
		return flowclient.Form{}, err
	}
	for _, form := range forms {
		if form.Values.Has("xsrf") { // node-oidc-provider: end the session?
			form.Values.Set("logout", "yes")
			return form, nil
		}
	}
	if b.fill == nil {
		return flowclient.Form{}, fmt.Errorf("a page without a form that is known (%d at %s): %s", page.Status, page.Address, page.Body)
	}
	return b.fill(page)
}

// read opens an address and reads what the application says as JSON.
func (b *browser) read(path string, into any) error {
	text, err := b.open(appURL + path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s says %q: %w", path, text, err)
	}
	return nil
}

// me signs in if that is needed, and says who that is.
func (b *browser) me() (who struct{ Sub, Logout string }) {
	b.t.Helper()
	if err := b.read("/me", &who); err != nil {
		b.t.Fatal(err)
	}
	return who
}

func (b *browser) tokens() *client.Tokens {
	b.t.Helper()
	var tokens client.Tokens
	if err := b.read("/tokens", &tokens); err != nil {
		b.t.Fatal(err)
	}
	return &tokens
}

// lab installs peers in the user's cache folder.
func lab(t *testing.T) *servers.Lab {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return &servers.Lab{Cache: filepath.Join(cache, "countersign", "peers"), Peers: ".", Folder: t.TempDir()}
}

// says has a test that fails show what the provider logged.
func says(t *testing.T, file string) {
	t.Cleanup(func() {
		if t.Failed() {
			text, err := os.ReadFile(file)
			t.Logf("the provider logged (%v):\n%s", err, text[max(0, len(text)-8000):])
		}
	})
}

// spoiled is an address with one parameter changed; "" takes it away.
func spoiled(t *testing.T, address, name, value string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	if query.Set(name, value); value == "" {
		query.Del(name)
	}
	parsed.RawQuery = query.Encode()
	return parsed.String()
}
