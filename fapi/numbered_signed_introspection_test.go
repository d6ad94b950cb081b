package fapi_test

import (
	"net/http"
	"testing"
)

// Covers: MS-08, MS-09, IN-03, RULE-46. An answer of introspection that is signed for the one that asked, when it asks so.
func TestMS08SignedIntrospection(t *testing.T) {
	w := newWorld(t, offering)
	c, self, other := w.register("client-1", nil), w.resourceServer("self", w.issuer), w.resourceServer("other", "https://other.example")
	token := c.tokens().text("access_token")
	const media = "application/token-introspection+jwt"
	for name, accept := range map[string]string{"alone": media, "among others": "application/json;q=0.5, " + media + ";q=1.0"} {
		t.Run("accepts the media type "+name, func(t *testing.T) {
			r := self.introspect(token, setHeader("Accept", accept))
			if r.status != http.StatusOK || r.header.Get("Content-Type") != media || r.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("answered %d %v", r.status, r.header)
			}
			read := w.verified(t, r.raw, "token-introspection+jwt")
			told, _ := read["token_introspection"].(map[string]any)
			if read["iss"] != w.issuer || read["aud"] != self.id || read["iat"] == nil || read["sub"] != nil || read["exp"] != nil {
				t.Errorf("signed %v", read)
			}
			if told["active"] != true || told["aud"] != w.issuer || told["client_id"] != c.id || told["cnf"] == nil {
				t.Errorf("told %v", told)
			}
		})
	}
	t.Run("refuses to tell another resource server, and signs that too", func(t *testing.T) {
		read := w.verified(t, other.introspect(token, setHeader("Accept", media)).raw, "token-introspection+jwt")
		told, _ := read["token_introspection"].(map[string]any)
		if len(told) != 1 || told["active"] != false || read["aud"] != other.id {
			t.Errorf("told %v", read)
		}
	})
	t.Run("refuses a client that is no resource server", func(t *testing.T) {
		wantError(t, c.introspect(token, setHeader("Accept", media)), 400, "unauthorized_client")
	})
	for _, accept := range []string{"application/json", "*/*", media + ";q=0", ""} {
		t.Run("refuses to sign for "+accept, func(t *testing.T) {
			if r := self.introspect(token, setHeader("Accept", accept)); r.header.Get("Content-Type") != "application/json" || r.body["active"] != true {
				t.Errorf("answered %v %s", r.header, r.raw)
			}
		})
	}
}
