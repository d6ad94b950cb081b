package authorize_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: KC-12. A form decides about the page as it was read: in another language it is shown again, and nothing is granted.
func TestKC12ConsentInItsLanguage(t *testing.T) {
	t.Parallel()
	var language, wanted atomic.Value
	language.Store("en")
	wanted.Store("")
	w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) {
		c.Interactor = formInteractor{}
		c.Language = func(_ *http.Request, locales string) string {
			wanted.Store(locales)
			return language.Load().(string)
		}
	})
	c := w.Register("client-l", fapitest.All(fapitest.AllScopes, fapitest.SetMember("authorization_details_types", []string{"payment_initiation"})))
	b := w.Browser()
	interaction, token := begin(t, b, w.AuthorizeURL(c.ID, c.Push(fapitest.Changes(payment(t), fapitest.Set("ui_locales", "de pt"))).Text("request_uri")))
	t.Run("accepts the languages that the client asks for as a wish", func(t *testing.T) {
		if wanted.Load() != "de pt" {
			t.Errorf("%q", wanted.Load())
		}
	})
	language.Store("de")
	t.Run("refuses a form that was read in another language, and shows the page again", func(t *testing.T) {
		status, to, err := press(b, interaction, token, "allow")
		if err != nil || status != http.StatusSeeOther || to == nil || to.String() != interaction {
			t.Fatalf("%d, sent to %v, %v", status, to, err)
		}
	})
	t.Run("accepts the new page", func(t *testing.T) {
		_, again := begin(t, b, interaction)
		if _, to, err := press(b, interaction, again, "allow"); err != nil || to == nil || to.Query().Get("code") == "" {
			t.Errorf("sent to %v, %v", to, err)
		}
	})
}
