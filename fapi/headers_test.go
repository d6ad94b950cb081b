package fapi_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
)

// TestHeaders checks what every answer carries, and what only some may.
func TestHeaders(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	b := w.Browser()
	for path, status := range map[string]int{"/jwks": 200, "/authorize": 401, "/nothing": 404, "/par": 405, "/userinfo": 401} {
		request, err := http.NewRequest(http.MethodGet, w.Issuer+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("x-fapi-interaction-id", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
		request.Header.Set("Origin", "https://elsewhere.example")
		response, err := b.HTTP.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		h := response.Header
		if response.StatusCode != status {
			t.Errorf("%s: status %d, want %d", path, response.StatusCode, status)
		}
		if h.Get("Strict-Transport-Security") == "" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, h)
		}
		if h.Get("x-fapi-interaction-id") != "f81d4fae-7dec-11d0-a765-00a0c91e6bf6" || h.Get("X-Correlation-Id") != h.Get("x-fapi-interaction-id") {
			t.Errorf("%s: the interaction id was not echoed: %v", path, h)
		}
		if cors := h.Get("Access-Control-Allow-Origin"); (cors != "") != (path == "/jwks") {
			t.Errorf("%s: Access-Control-Allow-Origin %q", path, cors)
		}
	}
	response, err := b.HTTP.Get(w.Issuer + "/jwks")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.Header.Get("x-fapi-interaction-id") != "" || response.Header.Get("X-Correlation-Id") == "" {
		t.Errorf("without an interaction id: %v", response.Header)
	}
}
