package pages

import (
	"html"
	"net/http"
	"slices"
	"strings"
	"testing"

	"countersign/fapi"
)

// Covers: SP-37. The consent page says who asks, for what, where the answer goes, and whom it asks; and nothing is
// allowed that was not on the page.
func TestSP37ConsentPage(t *testing.T) {
	turn := signedIn()
	page := html.UnescapeString(visit(t, turn, &recorder{}).Body.String())
	for name, text := range map[string]string{
		"the application's name": turn.Client.Name, "its address": turn.Client.URI, "where the answer goes": turn.Client.RedirectHost,
		"its privacy policy": turn.Client.PolicyURI, "its terms": turn.Client.TermsURI, "the person": turn.SignedIn.Username,
	} {
		t.Run("accepts a page with "+name, func(t *testing.T) {
			if text == "" || !strings.Contains(page, text) {
				t.Errorf("%q is not on the page", text)
			}
		})
	}
	for _, scope := range turn.Scopes {
		t.Run("accepts a page with the scope "+scope.Name, func(t *testing.T) {
			if !strings.Contains(page, scope.Description) {
				t.Errorf("%q is not on the page", scope.Description)
			}
		})
	}
	t.Run("accepts the button of the page", func(t *testing.T) {
		end := &recorder{}
		visit(t, sent(signedIn(), "action", "allow", "signed_in_as", "sub-alice"), end)
		if !slices.Equal(end.done, []string{"allow"}) {
			t.Errorf("%v", end.done)
		}
	})
	for name, turn := range map[string]*fapi.Turn{
		"of somebody who is not signed in": sent(newTurn(), "action", "allow", "signed_in_as", "sub-alice"),
		"for another person":               sent(signedIn(), "action", "allow", "signed_in_as", "sub-bob"),
		"for no person":                    sent(signedIn(), "action", "allow"),
		"without a button":                 sent(signedIn(), "signed_in_as", "sub-alice"),
		"with another button":              sent(signedIn(), "action", "Allow", "signed_in_as", "sub-alice"),
	} {
		t.Run("refuses consent "+name, func(t *testing.T) {
			end := &recorder{}
			if w := visit(t, turn, end); slices.Contains(end.done, "allow") || w.Body.Len() == 0 {
				t.Errorf("%v, %d", end.done, w.Code)
			}
		})
	}
}

// Covers: BC-08, BC-07, RULE-02, RULE-24, ATTACK-35, ATTACK-36. Pages cannot be framed, load nothing from elsewhere, run
// no script and leave no referrer.
func TestBC08PagesAlone(t *testing.T) {
	for _, test := range pageCases() {
		w := visit(t, test.turn, test.end)
		if w.Body.Len() == 0 {
			continue
		}
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
	hostile := newTurn()
	hostile.Client.Name = `"><script>alert(1)</script>`
	hostile.LoginHint = `" autofocus onfocus="alert(1)`
	t.Run("refuses to let a client's name out of its place", func(t *testing.T) {
		w := visit(t, hostile, &recorder{})
		if body := w.Body.String(); w.Code != http.StatusOK || strings.Contains(body, "<script") || strings.Contains(body, `" autofocus`) {
			t.Error(body)
		}
	})
}
