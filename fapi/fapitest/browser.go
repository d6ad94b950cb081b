package fapitest

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// Browser is a web browser with cookies.
type Browser struct {
	w    *World
	HTTP *http.Client
}

// Browser makes a browser without cookies.
func (w *World) Browser() *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.T.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.Roots}}
	w.T.Cleanup(transport.CloseIdleConnections)
	return &Browser{w, &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.Issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// Visit opens an address and follows the server's redirects. sentTo is where the browser was sent outside the server, or nil.
func (b *Browser) Visit(address string) (status int, body string, sentTo *url.URL) {
	b.w.T.Helper()
	response, err := b.HTTP.Get(address)
	if err != nil {
		b.w.T.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		b.w.T.Fatal(err)
	}
	if location := response.Header.Get("Location"); location != "" {
		if sentTo, err = url.Parse(location); err != nil {
			b.w.T.Fatal(err)
		}
	}
	return response.StatusCode, string(raw), sentTo
}

// Page opens an address and returns that of the page on which the browser ends up.
func (b *Browser) Page(t *testing.T, address string) string {
	t.Helper()
	response, err := b.HTTP.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("answered %d, Location %s", response.StatusCode, response.Header.Get("Location"))
	}
	return response.Request.URL.String()
}

// Sent opens an address and returns the parameters with which the browser is sent back to a client.
func (b *Browser) Sent(t *testing.T, address string) url.Values {
	t.Helper()
	status, body, sentTo := b.Visit(address)
	if sentTo == nil {
		t.Fatalf("the browser was not sent back: %d %s", status, body)
	}
	return sentTo.Query()
}

// NoRedirects is the browser's HTTP client, with its cookies, which follows no redirect.
func NoRedirects(b *Browser) *http.Client {
	client := *b.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// Fragment returns the parameters in the fragment of an address, which has no query.
func Fragment(t *testing.T, sentTo *url.URL) url.Values {
	t.Helper()
	if sentTo == nil || sentTo.RawQuery != "" {
		t.Fatalf("sent to %v, want a fragment alone", sentTo)
	}
	values, err := url.ParseQuery(sentTo.EscapedFragment())
	if err != nil {
		t.Fatal(err)
	}
	return values
}
