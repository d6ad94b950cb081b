package pages

import (
	"html"
	"net/http"
	"strings"
	"testing"
)

// Covers: SP-37. The consent page says who asks, for what, where the answer goes, and whom it asks. That nothing else is
// allowed is held by package authorize.
func TestSP37ConsentPage(t *testing.T) {
	in := signedIn()
	page := html.UnescapeString(consentPage(t, in).Body.String())
	for name, text := range map[string]string{
		"the application's name": in.Client.Name, "its address": in.Client.URI, "where the answer goes": in.Client.RedirectHost,
		"its privacy policy": in.Client.PolicyURI, "its terms": in.Client.TermsURI, "the user": in.SignedIn.Username,
	} {
		t.Run("accepts a page with "+name, func(t *testing.T) {
			if text == "" || !strings.Contains(page, text) {
				t.Errorf("%q is not on the page", text)
			}
		})
	}
	for _, requested := range in.Scopes {
		t.Run("accepts a page with the scope "+requested.Name, func(t *testing.T) {
			if !strings.Contains(page, requested.Description) {
				t.Errorf("%q is not on the page", requested.Description)
			}
		})
	}
}

// Covers: BC-08, BC-07, RULE-02, RULE-24, ATTACK-35, ATTACK-36. Pages cannot be framed, load nothing from elsewhere, run
// no script and leave no referrer.
func TestBC08PagesAlone(t *testing.T) {
	for _, test := range pageCases(t) {
		w := test.page
		t.Run("accepts the page "+test.name+" on its own", func(t *testing.T) { checkHeaders(t, w) })
		t.Run("refuses to have anything in the page "+test.name+" but itself", func(t *testing.T) {
			body := strings.ToLower(w.Body.String())
			for _, element := range []string{"<script", "<iframe", "<object", "<embed", "stylesheet", "href=\"http:", "src=\"http:", "javascript:", " onclick=", " onload=", "@import", "url(http"} {
				if strings.Contains(body, element) {
					t.Errorf("it holds %s", element)
				}
			}
		})
		t.Run("refuses to be framed, the page "+test.name, func(t *testing.T) {
			policy := w.Header().Get("Content-Security-Policy")
			if !strings.Contains(policy, "frame-ancestors 'none'") || !strings.Contains(policy, "default-src 'none'") || w.Header().Get("X-Frame-Options") != "DENY" {
				t.Errorf("%q, %q", policy, w.Header().Get("X-Frame-Options"))
			}
		})
	}
	hostile := newInteraction()
	hostile.Client.Name = `"><script>alert(1)</script>`
	hostile.LoginHint = `" autofocus onfocus="alert(1)`
	t.Run("refuses to let a client's name out of its place", func(t *testing.T) {
		w := signInPage(t, hostile)
		if body := w.Body.String(); w.Code != http.StatusOK || strings.Contains(body, "<script") || strings.Contains(body, `" autofocus`) {
			t.Error(body)
		}
	})
}
