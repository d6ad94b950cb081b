package endpoint_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// TestPathsAreNotCleaned: no path leads to a 307, which has a browser repeat its form.
func TestPathsAreNotCleaned(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for _, path := range []string{"//token", "/./token", "/x/../token", "/token/", "/interaction//x", "/token/."} {
		request, err := http.NewRequest(http.MethodPost, w.Issuer+"/", strings.NewReader("a=b"))
		if err != nil {
			t.Fatal(err)
		}
		request.URL.Path = path
		response, err := w.Browser().HTTP.Transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: answered %d", path, response.StatusCode)
		}
	}
}
