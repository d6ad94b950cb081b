package fapitest

import (
	"net/http"
	"net/url"
	"testing"
)

// page opens an address and gives that of the page on which the browser ends up.
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

// sent gives where an address sends a browser, which must be back to a client.
func (b *Browser) Sent(t *testing.T, address string) url.Values {
	t.Helper()
	status, body, sentTo := b.Visit(address)
	if sentTo == nil {
		t.Fatalf("the browser was not sent back: %d %s", status, body)
	}
	return sentTo.Query()
}

// noRedirects is the browser's client, which stops at the first redirect.
func NoRedirects(b *Browser) *http.Client {
	client := *b.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}
