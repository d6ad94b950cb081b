package pages

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/scope"
)

// Covers: LP-07. A scope with a parameter is shown as its sentence with the parameter beside it, as plain text in a direction of
// its own; one without shows none.
func TestLP07ScopeWithParameter(t *testing.T) {
	show := func(parameter string) string {
		in := signedIn()
		in.Scopes = []scope.Scope{{Name: "accounts:" + parameter, Description: "See the accounts of the consent", Parameter: parameter, AlwaysAsk: true}}
		page := consentPage(t, in)
		if page.Code != http.StatusOK {
			t.Fatal(page.Code)
		}
		return page.Body.String()
	}
	t.Run("accepts a parameter", func(t *testing.T) {
		if page := show("5f3b-1"); !strings.Contains(page, "<bdi>See the accounts of the consent</bdi> <code><bdi>5f3b-1</bdi></code>") {
			t.Error(page)
		}
	})
	t.Run("accepts a scope without", func(t *testing.T) {
		if page := show(""); strings.Contains(page, "<code>") || !strings.Contains(page, "<bdi>See the accounts of the consent</bdi></span>") {
			t.Error(page)
		}
	})
	t.Run("refuses markup and turns of direction", func(t *testing.T) {
		if page := show("a<b>\u202ec"); strings.Contains(page, "<b>") || strings.Contains(page, "\u202e") || !strings.Contains(page, "<code><bdi>a&lt;b&gt;c</bdi></code>") {
			t.Error(page)
		}
	})
}
