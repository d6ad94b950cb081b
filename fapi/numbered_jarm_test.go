package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Covers: MS-06, MS-07, JA-01, JA-02, JA-03, F1-12, RULE-44. Each way in which a signed response can come back, for success and for refusal.
func TestMS07SignedResponses(t *testing.T) {
	for decision, want := range map[string]string{"allow": "code", "deny": "error"} {
		w := newWorld(t, offering, deciding(decision))
		clients := map[string]*client{
			"message signing": w.register("client-1", ofProfile("fapi2-message-signing")),
			"advanced":        w.register("client-2", advancedJARM),
		}
		for profile, c := range clients {
			for _, mode := range []string{"jwt", "query.jwt", "fragment.jwt", "form_post.jwt"} {
				title := "accepts by " + mode + ", of " + profile
				if decision == "deny" {
					title = "refuses by " + mode + ", of " + profile + ", what the person refused"
				}
				t.Run(title, func(t *testing.T) {
					read := w.jarm(t, c.answered(t, mode), c)
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

// answered goes through a flow and gives the parameters that come back, from wherever the mode puts them.
func (c *client) answered(t *testing.T, mode string) url.Values {
	t.Helper()
	pushed := c.push(c.signing(claim("response_mode", mode)))
	if pushed.status != http.StatusCreated {
		t.Fatalf("push: %d %s", pushed.status, pushed.raw)
	}
	status, body, sentTo := c.w.browser().visit(c.w.authorizeURL(c.id, pushed.text("request_uri")))
	switch {
	case mode == "form_post.jwt":
		if status != http.StatusOK || !strings.Contains(body, `action="`+c.redirectURI+`"`) {
			t.Fatalf("answered %d %s", status, body)
		}
		_, rest, _ := strings.Cut(body, `name="response" value="`)
		token, _, _ := strings.Cut(rest, `"`)
		return url.Values{"response": {token}}
	case mode == "fragment.jwt":
		return fragment(t, sentTo)
	case sentTo == nil || sentTo.Fragment != "":
		t.Fatalf("answered %d %s, sent to %v", status, body, sentTo)
	}
	return sentTo.Query()
}

// Covers: MS-06, MS-07, JA-03, JA-04, F1-02, F1-12. What a client may ask for is its profile's and its registration's.
func TestMS06ResponseModes(t *testing.T) {
	w := newWorld(t, offering)
	signed := func(c *client, mode string) change {
		if mode == "" {
			return c.signing(nil)
		}
		return c.signing(claim("response_mode", mode))
	}
	free := w.register("free", ofProfile("fapi2-message-signing"))
	tryAll(t, free.push, good("none named", signed(free, "")), good("query", signed(free, "query")),
		bad("fragment, which would show the code to scripts", signed(free, "fragment"), 400, "invalid_request"),
		bad("an unknown one", signed(free, "web_message.jwt"), 400, "invalid_request"))
	only := w.register("only", all(ofProfile("fapi2-message-signing"), member("response_modes", []string{"query.jwt"})))
	tryAll(t, only.push, good("query.jwt", signed(only, "query.jwt")), good("jwt, which is the same", signed(only, "jwt")),
		bad("none named, which means query", signed(only, ""), 400, "invalid_request"), bad("fragment.jwt", signed(only, "fragment.jwt"), 400, "invalid_request"))
	first := w.register("first", advancedJARM)
	tryAll(t, first.push, good("jwt", signed(first, "jwt")),
		bad("none named, which means query", signed(first, ""), 400, "invalid_request"), bad("query", signed(first, "query"), 400, "invalid_request"))
	refusedRegistration(t, "fapi2-message-signing", map[string]any{"response_modes": []string{"fragment"}})
	refusedRegistration(t, "fapi2-message-signing", map[string]any{"authorization_signed_response_alg": "RS256"})

	t.Run("accepts the algorithm that was registered", func(t *testing.T) {
		c := w.register("es256", all(ofProfile("fapi2-message-signing"), member("authorization_signed_response_alg", "ES256")))
		header, _ := w.decode(c.answered(t, "jwt").Get("response"))
		if header.Algorithm != "ES256" {
			t.Errorf("alg %s", header.Algorithm)
		}
	})
	t.Run("accepts an error in the mode of a client that gets nothing else", func(t *testing.T) {
		query := url.Values{"client_id": {only.id}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}, "redirect_uri": {only.redirectURI}}
		_, _, sentTo := w.browser().visit(w.issuer + "/authorize?" + query.Encode())
		if sentTo == nil {
			t.Fatal("shown on a page")
		}
		if read := w.jarm(t, sentTo.Query(), only); read["error"] != "invalid_request_uri" {
			t.Errorf("told %v", read)
		}
	})
}
