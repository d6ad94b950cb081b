package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Covers: PA-01. A push is a form in a POST, by a client that authenticates as at the token endpoint.
func TestPA01Push(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	tryAll(t, c.push, good("a form", nil),
		good("a form in UTF-8", setHeader("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")),
		bad("JSON", setHeader("Content-Type", "application/json"), 415, "invalid_request"),
		bad("a multipart form", setHeader("Content-Type", "multipart/form-data; boundary=x"), 415, "invalid_request"),
		bad("no content type", func(_ url.Values, h http.Header) { h.Del("Content-Type") }, 415, "invalid_request"),
		bad("another charset", setHeader("Content-Type", "application/x-www-form-urlencoded; charset=utf-16"), 415, "invalid_request"),
		bad("no authentication", unset("client_assertion"), 401, "invalid_client"))
	t.Run("refuses parameters in the address", func(t *testing.T) {
		wantError(t, c.post("/par?"+c.request().Encode(), url.Values{}, func(_ url.Values, h http.Header) {
			h.Set("DPoP", c.proof("POST", w.issuer+"/par", "", nil))
		}), 400, "invalid_request")
	})
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"} {
		t.Run("refuses "+method, func(t *testing.T) {
			response, _ := w.ask(t, method, w.issuer+"/par", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, c.request().Encode())
			if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "POST" {
				t.Errorf("%d, Allow %q", response.StatusCode, response.Header.Get("Allow"))
			}
		})
	}
}

// Covers: PA-02. What the endpoint answers with cannot be sent to it.
func TestPA02NoRequestURI(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	tryAll(t, c.push, good("a request without request_uri", nil),
		bad("an invented request_uri", set("request_uri", "urn:ietf:params:oauth:request_uri:x"), 400, "invalid_request"),
		bad("a request_uri of its own", set("request_uri", c.push(nil).text("request_uri")), 400, "invalid_request"),
		bad("an address to fetch", set("request_uri", "https://client.example/request.jwt"), 400, "invalid_request"))
}

// Covers: PA-03, RULE-16. Whatever is wrong with a request is told to the client before a person sees a page.
func TestPA03Validated(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	tryAll(t, c.push, good("a request that is right", nil),
		good("an unknown parameter", set("nonsense", "1")), good("an unknown scope beside a known one", set("scope", "openid nonsense")),
		bad("a response_type that is not supported", set("response_type", "token"), 400, "unsupported_response_type"),
		bad("a response_mode that is not supported", set("response_mode", "fragment"), 400, "invalid_request"),
		bad("a redirect_uri that is not registered", set("redirect_uri", "https://client.example/other"), 400, "invalid_request"),
		bad("a scope that is not registered", set("scope", "openid payments"), 400, "invalid_scope"),
		bad("no scope that is known", set("scope", "nonsense"), 400, "invalid_scope"),
		bad("no PKCE", unset("code_challenge"), 400, "invalid_request"),
		bad("a prompt that is not known", set("prompt", "dance"), 400, "invalid_request"),
		bad("prompt=none beside another", set("prompt", "none login"), 400, "invalid_request"),
		bad("a max_age that is no number", set("max_age", "soon"), 400, "invalid_request"),
		bad("a max_age below zero", set("max_age", "-1"), 400, "invalid_request"),
		bad("a request object", set("request", "eyJhbGciOiJub25lIn0.e30."), 400, "request_not_supported"),
		bad("a resource that is not known", set("resource", "https://elsewhere.example"), 400, "invalid_target"),
		bad("authorization_details of an unknown type", set("authorization_details", `[{"type":"unknown"}]`), 400, "invalid_authorization_details"),
		bad("another client's client_id", set("client_id", "client-2"), 401, "invalid_client"))
}

// Covers: PA-04, AM-04, ATTACK-05. A request_uri is of no use to anybody but its client, and cannot be guessed.
func TestPA04BoundToClient(t *testing.T) {
	w := newWorld(t)
	c, thief := w.register("client-1", nil), w.register("client-2", nil)
	request := c.push(nil).text("request_uri")
	t.Run("refuses it in the name of another client", func(t *testing.T) {
		status, body, sentTo := w.browser().visit(w.authorizeURL(thief.id, request))
		if sentTo != nil || status != 400 || strings.Contains(body, "state-1") {
			t.Errorf("%d %s, sent to %v", status, body, sentTo)
		}
	})
	t.Run("refuses its code to another client", func(t *testing.T) {
		wantError(t, thief.redeem(c.authorize(), nil), 400, "invalid_grant")
	})
	for name, changed := range map[string]string{
		"with a changed character": altered(request), "in capitals": strings.ToUpper(request), "with a blank": request + " ", "cut short": request[:len(request)-1],
		"of another form": strings.Replace(request, "urn:ietf:params:oauth:request_uri:", "urn:request:", 1), "without its form": strings.TrimPrefix(request, "urn:ietf:params:oauth:request_uri:"),
	} {
		t.Run("refuses it "+name, func(t *testing.T) {
			if status, _, sentTo := w.browser().visit(w.authorizeURL(c.id, changed)); sentTo != nil || status != 400 {
				t.Errorf("%d, sent to %v", status, sentTo)
			}
		})
	}
	b := w.browser()
	t.Run("accepts it from its client all the same", func(t *testing.T) {
		if _, _, sentTo := b.visit(w.authorizeURL(c.id, request)); sentTo == nil || !sentTo.Query().Has("code") {
			t.Errorf("sent to %v", sentTo)
		}
	})
	t.Run("refuses it after its use", func(t *testing.T) {
		if _, _, sentTo := b.visit(w.authorizeURL(c.id, request)); sentTo == nil || sentTo.Query().Get("error") != "invalid_request_uri" {
			t.Errorf("sent to %v", sentTo)
		}
	})
	t.Run("refuses it after its time", func(t *testing.T) {
		old := c.push(nil)
		w.clock.Advance(time.Duration(old.body["expires_in"].(float64)) * time.Second)
		if _, _, sentTo := b.visit(w.authorizeURL(c.id, old.text("request_uri"))); sentTo == nil || sentTo.Query().Get("error") != "invalid_request_uri" {
			t.Errorf("sent to %v", sentTo)
		}
	})
	t.Run("accepts no two that are the same, and all of the registered form", func(t *testing.T) {
		seen := map[string]bool{}
		for range 20 {
			one := c.push(nil).text("request_uri")
			if !strings.HasPrefix(one, "urn:ietf:params:oauth:request_uri:") || seen[one] {
				t.Errorf("%s", one)
			}
			seen[one] = true
		}
	})
}

// Covers: PA-08, IS-02, MD-03. What the endpoint is and demands is in the metadata, and is so.
func TestPA08Metadata(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	document := w.document()
	for name, want := range map[string]any{
		"pushed_authorization_request_endpoint": w.issuer + "/par", "require_pushed_authorization_requests": true,
		"authorization_response_iss_parameter_supported": true, "request_parameter_supported": false, "request_uri_parameter_supported": false,
	} {
		t.Run("accepts as "+name+" what is so", func(t *testing.T) {
			if document[name] != want {
				t.Errorf("%v, want %v", document[name], want)
			}
		})
	}
	t.Run("refuses what it says to refuse", func(t *testing.T) {
		_, _, sentTo := w.browser().visit(w.issuer + "/authorize?" + c.request().Encode())
		if sentTo == nil || sentTo.Query().Get("error") != "invalid_request" {
			t.Errorf("sent to %v", sentTo)
		}
		wantError(t, c.push(set("request", "eyJhbGciOiJub25lIn0.e30.")), 400, "request_not_supported")
	})
	for _, alter := range []func(map[string]any){claim("require_pushed_authorization_requests", true), claim("require_pushed_authorization_requests", nil)} {
		registering(t, "a client that says so itself, or does not", alter, "")
	}
}
