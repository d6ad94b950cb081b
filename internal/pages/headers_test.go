package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/browser"
)

// TestHeaders holds every page against the headers that it owes (RFC 9700 §4.2.4, §4.16; FAPI 2.0 Security Profile
// §5.2.3).
func TestHeaders(t *testing.T) {
	for _, test := range pageCases(t) {
		t.Run(test.name, func(t *testing.T) { checkHeaders(t, test.page) })
	}
	t.Run("fail", func(t *testing.T) {
		w := failurePage(t, browser.Failure{Status: 400})
		checkHeaders(t, w)
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(policy, "form-action 'none'") {
			t.Errorf("a page without a form has the policy %q", policy)
		}
	})
}

func checkHeaders(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	header := w.Header()
	for name, want := range map[string]string{
		"Content-Type":                 "text/html; charset=utf-8",
		"X-Frame-Options":              "DENY",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cache-Control":                "no-store",
		"Strict-Transport-Security":    "max-age=63072000",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           permissions,
	} {
		if diff := cmp.Diff([]string{want}, header.Values(name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	body := w.Body.String()
	_, rest, _ := strings.Cut(body, "<style>")
	style, _, found := strings.Cut(rest, "</style>")
	if !found {
		t.Fatal("the page has no style sheet")
	}
	digest := sha256.Sum256([]byte(style))
	policy := header.Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'; ", "style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; ",
		"frame-ancestors 'none'; ", "base-uri 'none'; ", "form-action '",
	} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q has no %q", policy, want)
		}
	}
	for _, unwanted := range []string{"unsafe", "script-src", "*"} {
		if strings.Contains(policy, unwanted) {
			t.Errorf("the policy %q has %q", policy, unwanted)
		}
	}
}

func TestFormAction(t *testing.T) {
	for host, want := range map[string]string{
		"app.orchid.example":      "form-action 'self' https:",
		"app.orchid.example:8443": "form-action 'self' https:",
		"":                        "form-action 'self' https:",
		"127.0.0.1:49152":         "form-action 'self' https: http://127.0.0.1:49152",
		"127.0.0.1":               "form-action 'self' https: http://127.0.0.1",
		"[::1]:49152":             "form-action 'self' https: http:",
		"[::1]":                   "form-action 'self' https: http:",
		"192.0.2.1:80":            "form-action 'self' https:",
		"x; script-src *":         "form-action 'self' https:",
		"127.0.0.1; script-src *": "form-action 'self' https:",
	} {
		policy := newContentPolicy("", "").withForm(host)
		if _, got, _ := strings.Cut(policy, "base-uri 'none'; "); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}
