package browser_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/store"
)

// shownFailure is an error page that shows the description alone.
type shownFailure struct{}

func (shownFailure) Fail(w http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	w.WriteHeader(failure.Status)
	_, _ = w.Write([]byte("<p>" + failure.Description)) // a recorder does not fail
}

// TestTimely: while the clock is wrong a user gets a page and a client an error, both with the time after which to try again.
func TestTimely(t *testing.T) {
	served := func(w http.ResponseWriter, _ *http.Request, _ endpoint.At) { w.WriteHeader(http.StatusNoContent) }
	var wrong error
	table := browser.Timely([]endpoint.Route{{Serve: served}, {Serve: served, Timeless: true}}, shownFailure{}, func() error { return wrong })
	get := func(route int, accept string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		r.Header.Set("Accept", accept)
		table[route].Serve(w, r, endpoint.At{})
		return w
	}
	if w := get(0, "*/*"); w.Code != http.StatusNoContent {
		t.Errorf("accepts while the clock is right: %d", w.Code)
	}
	wrong = &store.ClockError{}
	if w := get(1, "*/*"); w.Code != http.StatusNoContent {
		t.Errorf("accepts what does not depend on time: %d", w.Code)
	}
	for accept, begins := range map[string]string{
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "<p>the clock of this server is wrong",
		"application/json": `{"error":"temporarily_unavailable"`,
		"":                 `{"error":"temporarily_unavailable"`,
	} {
		w := get(0, accept)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "10" || !strings.HasPrefix(w.Body.String(), begins) {
			t.Errorf("refuses %q: %d, Retry-After %q, %s", accept, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
	}
}
