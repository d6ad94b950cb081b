package authorize_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: MS-06, MS-07, JA-01, JA-02, JA-03, F1-12, RULE-44. Each way in which a signed response can come back, for success and for refusal.
func TestMS07SignedResponses(t *testing.T) {
	t.Parallel()
	for decision, want := range map[string]string{"allow": "code", "deny": "error"} {
		w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.Deciding(decision))
		clients := map[string]*fapitest.Client{
			"message signing": w.Register("client-1", fapitest.OfProfile("fapi2-message-signing")),
			"advanced":        w.Register("client-2", advancedJARM),
		}
		for profile, c := range clients {
			for _, mode := range []string{"jwt", "query.jwt", "fragment.jwt", "form_post.jwt"} {
				title := "accepts by " + mode + ", of " + profile
				if decision == "deny" {
					title = "refuses by " + mode + ", of " + profile + ", what the person refused"
				}
				t.Run(title, func(t *testing.T) {
					read := w.JARM(t, c.SignedResponse(t, mode), c)
					if text, _ := read[want].(string); text == "" || read["state"] != "state-1" {
						t.Errorf("told %v", read)
					}
					if want == "error" && (read["error"] != "access_denied" || read["code"] != nil) {
						t.Errorf("told %v", read)
					}
				})
			}
		}
	}
}

// Covers: MS-06, MS-07, JA-03, JA-04, F1-02, F1-12. What a client may ask for is its profile's and its registration's.
func TestMS06ResponseModes(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	signed := func(c *fapitest.Client, mode string) fapitest.Change {
		if mode == "" {
			return c.Signing(nil)
		}
		return c.Signing(fapitest.SetClaim("response_mode", mode))
	}
	free := w.Register("free", fapitest.OfProfile("fapi2-message-signing"))
	fapitest.TryAll(t, free.Push, fapitest.Good("none named", signed(free, "")), fapitest.Good("query", signed(free, "query")),
		fapitest.Bad("fragment, which would show the code to scripts", signed(free, "fragment"), 400, "invalid_request"),
		fapitest.Bad("an unknown one", signed(free, "web_message.jwt"), 400, "invalid_request"))
	only := w.Register("only", fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.SetMember("response_modes", []string{"query.jwt"})))
	fapitest.TryAll(t, only.Push, fapitest.Good("query.jwt", signed(only, "query.jwt")), fapitest.Good("jwt, which is the same", signed(only, "jwt")),
		fapitest.Bad("none named, which means query", signed(only, ""), 400, "invalid_request"), fapitest.Bad("fragment.jwt", signed(only, "fragment.jwt"), 400, "invalid_request"))
	first := w.Register("first", advancedJARM)
	fapitest.TryAll(t, first.Push, fapitest.Good("jwt", signed(first, "jwt")),
		fapitest.Bad("none named, which means query", signed(first, ""), 400, "invalid_request"), fapitest.Bad("query", signed(first, "query"), 400, "invalid_request"))
	fapitest.WantRegistrationRefused(t, "fapi2-message-signing", map[string]any{"response_modes": []string{"fragment"}})
	fapitest.WantRegistrationRefused(t, "fapi2-message-signing", map[string]any{"authorization_signed_response_alg": "RS256"})

	t.Run("accepts the algorithm that was registered", func(t *testing.T) {
		c := w.Register("es256", fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.SetMember("authorization_signed_response_alg", "ES256")))
		header, _ := w.Verify(c.SignedResponse(t, "jwt").Get("response"))
		if header.Algorithm != "ES256" {
			t.Errorf("alg %s", header.Algorithm)
		}
	})
	t.Run("accepts an error in the mode of a client that gets nothing else", func(t *testing.T) {
		expired := only.Push(signed(only, "query.jwt")).Text("request_uri")
		w.Clock.Advance(time.Hour)
		_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(only.ID, expired))
		if sentTo == nil {
			t.Fatal("shown on a page")
		}
		if read := w.JARM(t, sentTo.Query(), only); read["error"] != "invalid_request_uri" {
			t.Errorf("told %v", read)
		}
	})
}

// Covers: OC-06, ATTACK-34. An error goes to the client only where an address of it is proven, and to a page otherwise.
func TestOC06WhereErrorsGo(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c, other := w.Register("client-1", nil), w.Register("client-2", func(c *fapitest.Client, m map[string]any) {
		c.RedirectURI = "https://other.example/callback"
		m["redirect_uris"] = []string{c.RedirectURI}
	})
	visit := func(query url.Values) (int, string, *url.URL) {
		return w.Browser().Visit(w.Issuer + "/authorize?" + query.Encode())
	}
	consumed := c.Push(nil).Text("request_uri")
	w.Browser().Visit(w.AuthorizeURL(c.ID, consumed))
	p.Does("deny")
	t.Run("accepts the address of the pushed request", func(t *testing.T) {
		for code, requestURI := range map[string]string{"invalid_request_uri": consumed, "access_denied": c.Push(nil).Text("request_uri")} {
			_, _, sentTo := visit(url.Values{"client_id": {c.ID}, "request_uri": {requestURI}, "redirect_uri": {"https://evil.example/"}, "state": {"evil"}})
			if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.RedirectURI+"?") || sentTo.Query().Get("state") != "state-1" {
				t.Fatalf("%s: sent to %v", code, sentTo)
			}
			fapitest.WantRedirectError(t, sentTo.Query(), code)
		}
	})
	live := func() []string { return []string{c.Push(nil).Text("request_uri")} }
	for name, query := range fapitest.Sorted(map[string]url.Values{
		"an address that is not registered":    {"client_id": {c.ID}, "redirect_uri": {"https://evil.example/"}},
		"an address that only begins so":       {"client_id": {c.ID}, "redirect_uri": {c.RedirectURI + "/x"}},
		"a registered address, nothing pushed": {"client_id": {c.ID}, "redirect_uri": {c.RedirectURI}, "response_type": {"code"}},
		"an address of another client":         {"client_id": {c.ID}, "redirect_uri": {other.RedirectURI}},
		"no address at all":                    {"client_id": {c.ID}},
		"an unknown client with an address":    {"client_id": {"nobody"}, "redirect_uri": {c.RedirectURI}},
		"no client":                            {"redirect_uri": {c.RedirectURI}, "request_uri": live()},
		"a parameter twice":                    {"client_id": {c.ID}, "redirect_uri": {c.RedirectURI, c.RedirectURI}},
		"another client's request":             {"client_id": {other.ID}, "request_uri": live()},
		"another client's consumed request":    {"client_id": {other.ID}, "request_uri": {consumed}},
		"an unknown request and a bad address": {"client_id": {c.ID}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}, "redirect_uri": {"https://evil.example/"}},
	}) {
		t.Run("refuses to send the browser anywhere for "+name, func(t *testing.T) {
			status, body, sentTo := visit(query)
			if sentTo != nil || status < 400 || !strings.Contains(body, "invalid_") {
				t.Fatalf("answered %d %s, sent to %v", status, body, sentTo)
			}
			if strings.Contains(body, "evil.example") || strings.Contains(body, "state-1") {
				t.Errorf("the page repeats what it was given: %s", body)
			}
		})
	}
	t.Run("refuses a push in JSON, to the client itself", func(t *testing.T) {
		r := c.Push(fapitest.Set("redirect_uri", "https://evil.example/"))
		if fapitest.WantError(t, r, 400, "invalid_request"); r.Header.Get("Location") != "" {
			t.Errorf("Location %q", r.Header.Get("Location"))
		}
	})
}

// advancedJARM registers one for response_type code with signed responses.
func advancedJARM(c *fapitest.Client, m map[string]any) {
	fapitest.FAPI1Advanced(c, m)
	m["response_types"] = []string{"code"}
}
