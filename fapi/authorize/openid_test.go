package authorize_test

import (
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: OC-07. What nobody knows is ignored, at every endpoint.
func TestOC07UnknownParameters(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", nil)
	unknown := fapitest.Changes(fapitest.Set("extra", "foobar"), fapitest.Set("vtr", "x"), fapitest.Set("purpose", "<script>"), fapitest.Set("id", "1"))
	fapitest.TryAll(t, c.Push, fapitest.Good("them at the PAR endpoint", unknown))
	t.Run("accepts them from the push to the resource", func(t *testing.T) {
		pushed := c.Push(unknown).Text("request_uri")
		_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed) + "&extra=foobar&dummy=1")
		if sentTo == nil || sentTo.Query().Get("code") == "" || sentTo.Query().Has("extra") {
			t.Fatalf("sent to %v", sentTo)
		}
		issued := c.Redeem(sentTo.Query().Get("code"), unknown)
		fapitest.WantOK(t, issued)
		fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), unknown))
		fapitest.WantOK(t, c.Get("/userinfo?extra=1", issued.Text("access_token"), nil))
		fapitest.WantOK(t, c.Revoke(issued.Text("access_token"), unknown))
	})
}
