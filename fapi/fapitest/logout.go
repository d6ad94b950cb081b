package fapitest

import (
	"context"
	"crypto/x509"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/internal/pages"
	"countersign/store"
)

// WithLogout offers the end session endpoint, with the built-in pages, and lets the server trust the tests' receivers.
func WithLogout(c *Config) {
	shown, err := pages.New(pages.Config{Issuer: c.Issuer, Now: c.Now})
	if err != nil {
		panic(err)
	}
	certificate, err := serverTLS()
	if err != nil {
		panic(err)
	}
	c.LogoutPages, c.OutboundRoots = shown, x509.NewCertPool()
	c.OutboundRoots.AddCert(certificate.Leaf)
}

// Told registers addresses for the end of sessions.
func Told(logoutURI string, postLogout ...string) ClientOption {
	return func(_ *Client, m map[string]any) {
		if logoutURI != "" {
			m["backchannel_logout_uri"] = logoutURI
		}
		if len(postLogout) > 0 {
			m["post_logout_redirect_uris"] = postLogout
		}
	}
}

// SignOutPage is what a browser shows at the end session endpoint.
type SignOutPage struct {
	// Status, Body and Address are those of the page on which the browser ends up; SentTo is where it was sent to, or nil.
	Status  int
	Body    string
	Address string
	SentTo  *url.URL
}

var formTokenOnPage = regexp.MustCompile(`name="form_token" value="([^"]+)"`)

// Asks reports whether the page asks whether to sign out.
func (p SignOutPage) Asks() bool {
	return p.SentTo == nil && p.Status == http.StatusOK && formTokenOnPage.MatchString(p.Body)
}

// EndSession sends the browser to the end session endpoint by GET.
func (b *Browser) EndSession(t *testing.T, parameters url.Values) SignOutPage {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.w.Issuer+"/end-session?"+parameters.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.signOutPage(t, request)
}

// Answer presses a button of the page.
func (b *Browser) Answer(t *testing.T, on SignOutPage, action string) SignOutPage {
	t.Helper()
	token := formTokenOnPage.FindStringSubmatch(on.Body)
	if token == nil {
		t.Fatalf("the page asks nothing: %d %s", on.Status, on.Body)
	}
	return b.PostTo(t, on.Address, url.Values{"form_token": {html.UnescapeString(token[1])}, "action": {action}}, b.w.Issuer)
}

// PostTo posts a form to an address, from an origin.
func (b *Browser) PostTo(t *testing.T, address string, form url.Values, origin string) SignOutPage {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", origin)
	return b.signOutPage(t, request)
}

func (b *Browser) signOutPage(t *testing.T, request *http.Request) SignOutPage {
	t.Helper()
	response, err := b.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	shown, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	page := SignOutPage{Status: response.StatusCode, Body: string(shown), Address: response.Request.URL.String()}
	if location := response.Header.Get("Location"); location != "" {
		page.SentTo = MustURL(t, location)
	}
	return page
}

// SendLogouts has another node send the notices of ended sessions that are due, waits until they are sent, and returns how many
// it has tried.
func (w *World) SendLogouts() (int, error) {
	w.T.Helper()
	ctx, stop := context.WithCancel(w.T.Context())
	defer stop()
	once := &logoutsOnce{Store: w.Store, stop: stop}
	config := w.Config
	config.Store = once
	node, err := fapi.New(ctx, config)
	if err != nil {
		w.T.Fatal(err)
	}
	node.RunLogouts(ctx)
	return once.claimed, once.err
}

// logoutsOnce ends the context of its node when notices have been claimed once.
type logoutsOnce struct {
	store.Store
	stop    context.CancelFunc
	claimed int
	err     error
}

// ClaimLogouts implements [store.Logouts].
func (o *logoutsOnce) ClaimLogouts(ctx context.Context, limit int, lease time.Duration) ([]store.Logout, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	defer o.stop()
	claimed, err := o.Store.ClaimLogouts(ctx, limit, lease)
	o.claimed, o.err = len(claimed), err
	return claimed, err
}
