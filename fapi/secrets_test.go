package fapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Covers: ATTACK-52. It goes through the flow and its refusals, and looks for every secret of it in the log and in the
// traces.
func TestNothingSecretLeaks(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	pushed := c.push(nil).text("request_uri")
	b := w.browser()
	_, _, sentTo := b.visit(w.authorizeURL(c.id, pushed))
	code := sentTo.Query().Get("code")
	var assertion, proof string
	wrong := c.redeem(code, func(f url.Values, h http.Header) {
		f.Set("code_verifier", strings.Repeat("w", 43))
		assertion, proof = f.Get("client_assertion"), h.Get("DPoP")
	})
	wantError(t, wrong, 400, "invalid_grant")
	issued := c.redeem(code, nil)
	c.get("/accounts", issued.text("access_token"), nil)
	c.get("/accounts", issued.text("access_token"), func(h http.Header) { h.Del("DPoP") })
	c.refresh(issued.text("refresh_token"), nil)
	c.redeem(code, nil)

	secrets := map[string]string{
		"code": code, "request_uri": strings.TrimPrefix(pushed, "urn:ietf:params:oauth:request_uri:"), "verifier": verifier,
		"access token": issued.text("access_token"), "refresh token": issued.text("refresh_token"), "ID token": issued.text("id_token"),
		"client assertion": assertion, "DPoP proof": proof, "state": "state-1", "nonce": "nonce-1",
	}
	issuer, err := url.Parse(w.issuer)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range b.http.Jar.Cookies(issuer) {
		secrets["cookie "+cookie.Name] = cookie.Value
	}
	if len(secrets) < 12 {
		t.Fatalf("only %d secrets to look for", len(secrets))
	}
	log, spans := w.logs.String(), fmt.Sprintf("%+v", w.spans.GetSpans())
	if !strings.Contains(log, `"outcome":"invalid_grant"`) || !strings.Contains(spans, "client authentication") {
		t.Fatalf("the log or the traces are empty:\n%s\n%s", log, spans)
	}
	for name, secret := range secrets {
		t.Run("refuses to tell "+name, func(t *testing.T) {
			if secret == "" {
				t.Error("it is empty")
			}
			// A signature alone would do to use a token, so look for its last part too.
			parts := append(strings.Split(secret, "."), secret)
			for _, part := range parts {
				if len(part) >= 7 && (strings.Contains(log, part) || strings.Contains(spans, part)) && !strings.HasPrefix(part, "eyJ") {
					t.Error("it is in the log or in the traces")
				}
			}
		})
	}
}

// TestTrace finds a span for each stage of a token request, in one trace.
func TestTrace(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	code := c.authorize()
	w.spans.Reset()
	c.redeem(code, nil)
	traces := map[string]bool{}
	var names []string
	for _, span := range w.spans.GetSpans() {
		names = append(names, span.Name)
		traces[span.SpanContext.TraceID().String()] = true
	}
	for _, stage := range []string{"POST /token", "client authentication", "dpop", "signer.Sign"} {
		if !strings.Contains(strings.Join(names, "\n"), stage) {
			t.Errorf("no span %q among %q", stage, names)
		}
	}
	if len(traces) != 1 {
		t.Errorf("%d traces for one request", len(traces))
	}
}
