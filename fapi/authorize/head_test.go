package authorize_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: FD-11. HEAD changes nothing: a preview of a link does not consume its request.
func TestFD11Head(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	address := w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri"))
	b := w.Browser()
	t.Run("refuses to open a request by HEAD", func(t *testing.T) {
		response, err := fapitest.NoRedirects(b).Head(address)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK || response.Header.Get("Location") != "" || len(response.Cookies()) > 0 {
			t.Errorf("%d %v", response.StatusCode, response.Header)
		}
	})
	t.Run("accepts the GET after it", func(t *testing.T) {
		if _, _, to := b.Visit(address); to == nil || to.Query().Get("code") == "" {
			t.Errorf("sent to %v", to)
		}
	})
}
