package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestRepetitionEndsNothing: a request that is sent twice, byte for byte, is refused and takes nothing along: only a
// request of its own can show that a code was used twice.
func TestRepetitionEndsNothing(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	code := c.authorize()
	var form url.Values
	var header http.Header
	first := c.redeem(code, func(f url.Values, h http.Header) { form, header = f, h })
	if first.status != http.StatusOK {
		t.Fatalf("answered %d %s", first.status, first.raw)
	}
	again := c.redeem(code, func(f url.Values, h http.Header) {
		for name := range f {
			f[name] = form[name]
		}
		for name := range h {
			h[name] = header[name]
		}
	})
	wantError(t, again, http.StatusBadRequest, "invalid_request")
	if r := c.refresh(first.text("refresh_token"), nil); r.status != http.StatusOK {
		t.Fatalf("the grant ended: %d %s", r.status, r.raw)
	}
	wantError(t, c.redeem(code, nil), http.StatusBadRequest, "invalid_grant")
	wantError(t, c.refresh(first.text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
}

// TestPathsAreNotCleaned: no path leads to a 307, which has a browser repeat its form.
func TestPathsAreNotCleaned(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"//token", "/./token", "/x/../token", "/token/", "/interaction//x", "/token/."} {
		request, err := http.NewRequest(http.MethodPost, w.issuer+"/", strings.NewReader("a=b"))
		if err != nil {
			t.Fatal(err)
		}
		request.URL.Path = path
		response, err := w.browser().http.Transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: answered %d", path, response.StatusCode)
		}
	}
}
