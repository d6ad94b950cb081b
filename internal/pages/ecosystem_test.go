package pages

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Covers: LR-24. The consent page quotes why the client asks: its words are set off from ours, and become neither markup nor text that
// turns around.
func TestLR24Purpose(t *testing.T) {
	t.Parallel()
	show := func(purpose string) string {
		in := signedIn()
		in.Purpose = purpose
		w := httptest.NewRecorder()
		newPages(t).Consent(w, httptest.NewRequest(http.MethodGet, "/", nil), in)
		return w.Body.String()
	}
	t.Run("accepts a purpose", func(t *testing.T) {
		if body := show("To open your account"); !strings.Contains(body, `<blockquote id="why"><bdi>To open your account</bdi></blockquote>`) || !strings.Contains(body, "Why it asks") {
			t.Errorf("%s", body)
		}
	})
	t.Run("accepts none", func(t *testing.T) {
		if body := show(""); strings.Contains(body, "blockquote") {
			t.Errorf("%s", body)
		}
	})
	t.Run("refuses to make it markup, or to turn", func(t *testing.T) {
		if body := show("<b>Your bank</b> \u202easks"); strings.Contains(body, "<b>Your") || strings.Contains(body, "\u202e") {
			t.Errorf("%s", body)
		}
	})
}

// Covers: LR-24. The device's page lists the claims that are asked for by name, in words.
func TestLR24ClaimsOnDevice(t *testing.T) {
	t.Parallel()
	page := onDevice()
	t.Run("refuses a list of nothing", func(t *testing.T) {
		if body := shownOnDevice(t, "request", page).Body.String(); strings.Contains(body, `id="claims"`) {
			t.Errorf("%s", body)
		}
	})
	page.Request.Claims = []string{"over18", "given_name", "<b>x"}
	t.Run("accepts a list", func(t *testing.T) {
		body := shownOnDevice(t, "request", page).Body.String()
		for _, text := range []string{`<h2 id="claims">`, "whether you are 18 or older", "first name", "&lt;b&gt;x"} {
			if !strings.Contains(body, text) {
				t.Errorf("%q is not in %s", text, body)
			}
		}
	})
}

// A grant that ends with its consent has an end and no length: the pages say how long it lasts nevertheless.
func TestEndWithoutLength(t *testing.T) {
	until := time.Date(2026, 12, 25, 0, 0, 0, 0, time.UTC)
	t.Run("accepts the end on the consent page", func(t *testing.T) {
		in := asking("en", accounts("en"))
		in.GrantLifetime, in.GrantUntil = 0, until
		if body := consentPage(t, in).Body.String(); !strings.Contains(body, "Until <bdi>24 December 2026</bdi>, which is <bdi>26 days</bdi>") {
			t.Errorf("%s", body)
		}
	})
	t.Run("accepts the end on the device's page", func(t *testing.T) {
		page := onDevice()
		page.Request.GrantLifetime, page.Request.GrantUntil = 0, until
		if body := shownOnDevice(t, "request", page).Body.String(); !strings.Contains(body, "<bdi>26 days</bdi>") {
			t.Errorf("%s", body)
		}
	})
}
